package replicate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"weft"
	"weft/run"
	"weft/store"
)

var orders = weft.Name{Domain: "sales", Product: "orders"}

// clock is set by hand.
type clock struct{ t time.Time }

func (c *clock) Now() time.Time { return c.t }

// still is a keeper whose copy has a store, and an origin that is what the test says.
func still(t *testing.T, o *Origin) (*Keeper, *replica, *clock) {
	t.Helper()
	now := &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	env := run.Quiet()
	env.Clock = now
	dir := t.TempDir()
	k := New(Config{
		Dir: dir, Env: env, Look: func(weft.Name) (*Origin, error) { return o, nil },
		Store: func(c store.Config) store.Config { return c }, Room: func(weft.Name) error { return nil },
	})
	c := k.replica(orders, record{Magic: recordMagic, Version: recordVersion, Product: orders, Added: now.t, ID: "a", Folder: 1, Last: 1, Seconds: 3600, State: StateCurrent, Current: now.t})
	if err := os.MkdirAll(c.folder(1), 0o700); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(t.Context(), store.Config{Dir: c.folder(1), ID: "a", Product: orders, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Append(t.Context(), store.Candidate{Cause: weft.CauseApply}); err != nil {
		t.Fatal(err)
	}
	c.open = c.hold(st, c.folder(1))
	k.all[orders] = c
	t.Cleanup(func() { _ = k.Close() })
	return k, c, now
}

// TestExpires: a copy whose origin stays away is used as long as its owner lets it, by
// what the origin said and what its card says, and what it holds is removed after.
func TestExpires(t *testing.T) {
	o := &Origin{ID: "a", For: 30 * time.Minute}
	k, c, now := still(t, o)
	away := weft.Errorf(weft.KindUnavailable, "ask", "", "no route")
	c.settle(away, 0)
	now.t = now.t.Add(29 * time.Minute)
	h, err := k.Hold(orders)
	if err != nil {
		t.Fatal(err)
	}
	if i := k.List()[0]; i.State != StateAway || !i.Until.Equal(h.Current.Add(30*time.Minute)) || !i.Removed.IsZero() {
		t.Errorf("%+v", i)
	}
	h.Release()
	now.t = now.t.Add(2 * time.Minute)
	if _, err := k.Hold(orders); err == nil {
		t.Error("it is used after its owner's time")
	}
	if err := c.expire(); err != nil {
		t.Fatal(err)
	}
	c.settle(away, 3) // it stays so
	i := k.List()[0]
	if i.State != StateExpired || !i.Until.IsZero() || !i.Removed.Equal(now.t.Add(KeepUnused)) {
		t.Errorf("%+v", i)
	}
	now.t = now.t.Add(KeepUnused - time.Minute)
	if err := c.expire(); err != nil || c.open == nil {
		t.Errorf("removed too early: %v", err)
	}
	now.t = now.t.Add(time.Minute)
	if err := c.expire(); err != nil || c.open != nil {
		t.Errorf("not removed: %v", err)
	}
	if _, err := os.Stat(c.folder(1)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what it held is there: %v", err)
	}
	if i := k.List()[0]; i.State != StateExpired || i.Bytes != 0 || !i.Removed.IsZero() {
		t.Errorf("%+v", i)
	}
}

// TestSettles says what each fault makes of a copy, and whether it may be used then.
func TestSettles(t *testing.T) {
	for name, x := range map[string]struct {
		err  error
		want State
		used bool
	}{
		"no way to it":          {weft.Errorf(weft.KindUnavailable, "a", "", "no route"), StateAway, true},
		"cut off":               {fmt.Errorf("%w: %w", errNotWhole, io.ErrUnexpectedEOF), StateAway, true},
		"it goes quiet":         {errQuiet, StateAway, true},
		"it says no":            {weft.Errorf(weft.KindDenied, "a", "", "no"), StateRefused, false},
		"it does not know it":   {weft.Errorf(weft.KindNotFound, "a", "", "what?"), StateRefused, false},
		"bytes of no sense":     {fmt.Errorf("%w: x", errMalformed), StateFaulty, false},
		"a commit of no sense":  {weft.Errorf(weft.KindCorrupt, "a", "", "x"), StateFaulty, false},
		"another chain":         {&forked{errors.New("x")}, StateStopped, false},
		"the disk is full":      {own(&os.PathError{Op: "write", Err: syscall.ENOSPC}), StateFull, true},
		"the reserve is needed": {own(weft.Errorf(weft.KindLimit, "a", "", "x")), StateFull, true},
		"this disk fails":       {own(syscall.EIO), StateBehind, true},
		"a file is gone":        {weft.Errorf(weft.KindGone, "a", "", "x"), StateCurrent, true},
		"it keeps less":         {&anew{why: "x"}, StateCopying, true},
	} {
		t.Run(name, func(t *testing.T) {
			k, c, _ := still(t, &Origin{ID: "a", For: time.Hour})
			c.settle(x.err, 0)
			h, err := k.Hold(orders)
			if err == nil {
				h.Release()
			}
			if i := k.List()[0]; i.State != x.want || (err == nil) != x.used {
				t.Errorf("%+v, used: %v", i, err)
			}
		})
	}
}

// TestLooks: what the records say holds at once, whatever the origin has said.
func TestLooks(t *testing.T) {
	o := &Origin{ID: "a", For: time.Hour}
	k, _, _ := still(t, o)
	for name, change := range map[string]func(){
		"denied":           func() { o.Denied = weft.Errorf(weft.KindDenied, "a", "", "no") },
		"another product":  func() { o.Denied, o.ID = nil, "b" },
		"as it was before": func() { o.ID = "a" },
	} {
		change()
		h, err := k.Hold(orders)
		if err == nil {
			h.Release()
		}
		if (err == nil) != (o.Denied == nil && o.ID == "a") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEndless: an origin that never ends what it sends, and one that sends next to
// nothing, are ended.
func TestEndless(t *testing.T) {
	for name, body := range map[string]io.Reader{
		"an endless offer": endless{}, "a byte now and then": &slow{}, "nothing at all": &stuck{make(chan struct{})},
	} {
		t.Run(name, func(t *testing.T) {
			k, c, _ := still(t, &Origin{ID: "a"})
			k.timing.quiet = 30 * time.Millisecond
			k.cfg.Ask = func(ctx context.Context, _ weft.KeyID, _ weft.Name, _ string, _ url.Values) (io.ReadCloser, error) {
				return &until{body, ctx}, nil
			}
			if _, _, err := c.offer(t.Context(), &Origin{ID: "a"}); !errors.Is(err, errQuiet) && !errors.Is(err, errMalformed) {
				t.Error(err)
			}
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type slow struct{}

func (slow) Read(p []byte) (int, error) {
	<-time.After(time.Millisecond)
	p[0] = '{'
	return 1, nil
}

type stuck struct{ never chan struct{} }

func (s *stuck) Read([]byte) (int, error) { <-s.never; return 0, io.EOF }

// until is a body that ends with its context, as one of HTTP does.
type until struct {
	io.Reader
	ctx context.Context
}

func (u *until) Read(p []byte) (int, error) {
	if _, ok := u.Reader.(*stuck); ok {
		<-u.ctx.Done()
	}
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.Reader.Read(p)
}

func (u *until) Close() error { return nil }

// TestRecords: a record that is no record is told of, and the others are kept.
func TestRecords(t *testing.T) {
	dir := t.TempDir()
	for name, body := range map[string]string{
		"sales.a": `{"magic":"weft replica","version":1,"product":"sales.a","state":"current"}`,
		"sales.b": `{"magic":"weft replica","version":2,"product":"sales.b"}`,
		"sales.c": `{"magic":"weft replica","version":1,"product":"sales.a"}`,
		"sales.d": `nothing`,
		"other":   `{}`,
	} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, recordFile), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k := New(Config{Dir: dir, Env: run.Quiet()})
	if err := k.Open(); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range k.Names() {
		names = append(names, n.String())
	}
	if strings.Join(names, " ") != "sales.a" {
		t.Errorf("%v", names)
	}
}

func FuzzFeed(f *testing.F) {
	var b strings.Builder
	w := NewFeedWriter(&b)
	_ = w.Commit([]byte("told"), [][]byte{[]byte("schema")}, [][]byte{[]byte("block")})
	_ = w.Pulse(Pulse{Micros: 5, Head: weft.Point{Product: orders, Seq: 3}})
	_ = w.End(End{Fault: json.RawMessage(`{}`)})
	f.Add([]byte(b.String()), []byte(`{"manifest":""}`))
	f.Fuzz(func(t *testing.T, feed, offer []byte) {
		r := &feedReader{strings.NewReader(string(feed))}
		for {
			kind, b, err := r.frame("TSKPE")
			if err != nil {
				break
			}
			switch kind {
			case frameTold:
				_, _, _ = store.ReadTold(b)
			case framePulse:
				_ = decode(b, new(Pulse))
			case frameEnd:
				_ = decode(b, new(End))
			}
		}
		_, _, _ = readOffer(offer, orders, &Origin{ID: "a"})
		_, _ = parseRecord(offer)
	})
}
