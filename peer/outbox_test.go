package peer

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"weft"
	"weft/sign"
)

// made makes a signed record.
func made(t testing.TB, key sign.Key, kind, name string, version uint64, body any) *sign.Record {
	t.Helper()
	r, err := sign.Seal(sign.Head{Kind: kind, Key: name, Version: version, Time: time.Now()}, body, key)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// pushes are the records of a page.
func pushes(t testing.TB, page []byte) (out []string) {
	t.Helper()
	for len(page) > 0 {
		n := int(page[0])<<24 | int(page[1])<<16 | int(page[2])<<8 | int(page[3])
		body := page[frameHeader : frameHeader+n]
		switch frameKind(page[4]) {
		case framePush:
			if err := records(body, func(raw []byte) bool {
				r, err := sign.Peek(raw)
				if err != nil {
					t.Error(err)
					return false
				}
				out = append(out, fmt.Sprint(r.Kind, " ", r.Key, " ", r.Version))
				return true
			}); err != nil {
				t.Error(err)
			}
		case frameBehind:
			out = append(out, "behind")
		default:
			out = append(out, fmt.Sprint("frame ", page[4]))
		}
		page = page[frameHeader+n:]
	}
	return out
}

func pushTo(l *link, r *sign.Record) {
	l.out.push(placeOf(r.Kind, r.Key, r.Signers[0].String()), r)
}

func testLink() *link {
	n := &network{born: time.Now(), byPeer: map[weft.KeyID]*link{}}
	n.list.Store(&[]*link{})
	return newLink(n, weft.KeyID{1}, nil, nil, true)
}

// Of a record that waits the newest version goes, authorities first, and nothing goes
// back to where it came from.
func TestOutboxOrder(t *testing.T) {
	k, l := sign.NewKey(), testLink()
	for _, r := range []*sign.Record{
		made(t, k, KindHead, "a.b", 1, "x"), made(t, k, KindCard, "a.b", 1, "x"), made(t, k, KindHead, "a.b", 3, "x"),
		made(t, k, KindHead, "a.b", 2, "x"), made(t, k, KindNode, "n", 1, "x"), made(t, k, KindAdmission, "n/a", 1, "x"),
	} {
		pushTo(l, r)
	}
	back := made(t, k, KindCard, "a.back", 1, "x")
	pushTo(l, back)
	l.got.add(back.Hash()) // the other side sends it meanwhile
	if err := l.out.bulk(newAnswer(1, nil)); err != nil {
		t.Fatal(err)
	}
	if err := l.out.urgent(frame{framePing, nil}); err != nil {
		t.Fatal(err)
	}
	page, sent, behind, err := l.out.next(l)
	if err != nil || sent != 4 || behind {
		t.Errorf("%d records, behind %v, %v", sent, behind, err)
	}
	want := fmt.Sprint([]string{"frame 4", "admission n/a 1", "node n 1", "card a.b 1", "head a.b 3", "frame 8"})
	if got := fmt.Sprint(pushes(t, page)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A slow link gets pages of a bounded size; what does not fit into the outbox is left
// for the other side to ask, and that is said last.
func TestOutboxIsBounded(t *testing.T) {
	k, l := sign.NewKey(), testLink()
	body := make([]byte, 24<<10)
	for i := range 300 {
		pushTo(l, made(t, k, KindCard, fmt.Sprint("a.p", i), 1, body))
	}
	if l.out.bytes > outboxBytes {
		t.Errorf("%d bytes wait", l.out.bytes)
	}
	var all []string
	for len(all) == 0 || all[len(all)-1] != "behind" {
		page, _, _, err := l.out.next(l)
		if err != nil || len(page) > 2*pageBytes {
			t.Fatalf("a page of %d bytes, %v", len(page), err)
		}
		all = append(all, pushes(t, page)...)
	}
	if len(all) < 50 || all[0] != "card a.p0 1" {
		t.Errorf("%d records went, the first %s", len(all), all[0])
	}
	for range outboxFrames {
		if err := l.out.bulk(frame{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.out.bulk(frame{}); weft.KindOf(err) != weft.KindInvalid {
		t.Errorf("one answer too many: %v", err)
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct {
		a, b, c, d, want int
	}{
		{1, 1, 1, 1, 1},
		{1, 2, 1, 1, 1}, // one version back
		{1, 2, 1, 2, 2},
		{2, 3, 1, 2, 2},
		{2, 3, 1, 1, 0},
		{1, 1, 2, 3, 0},
	} {
		x, y := hello{Oldest: c.a, Newest: c.b}, hello{Oldest: c.c, Newest: c.d}
		if v, w := commonVersion(x, y), commonVersion(y, x); v != c.want || w != c.want {
			t.Errorf("%d–%d and %d–%d speak %d and %d, want %d", c.a, c.b, c.c, c.d, v, w, c.want)
		}
	}
}

// A flood is slowed down to the rate of its signer first and cut off then; others
// are dropped above it, and come when they are asked for.
func TestQuotas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q quotas
		a, b := weft.KeyID{1}, weft.KeyID{2}
		for range signerBurst {
			if d := q.wait(a, 100); d != 0 {
				t.Fatalf("within the burst it waits %s", d)
			}
		}
		if d := q.wait(a, 100); d <= 0 {
			t.Error("above the burst it does not wait")
		}
		if q.over(b, 100) || !q.over(a, 100) {
			t.Error("one signer's rate is another one's")
		}
		time.Sleep(time.Minute)
		if q.over(a, 100) {
			t.Error("a minute later it is above the rate still")
		}
		c := newConduct()
		for i := range 10 {
			if c.throttle(time.Second) {
				t.Errorf("it is cut off after %d s", i)
			}
		}
		if !c.throttle(time.Second) {
			t.Error("it is never cut off")
		}
		time.Sleep(2 * time.Minute)
		if c.throttle(time.Second) {
			t.Error("it is cut off for what was long ago")
		}
	})
}

// Who misbehaves is cut off for longer each time, and each reason is said once.
func TestBans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bans
		id := weft.KeyID{1}
		if b.banned(id) {
			t.Error("banned from the start")
		}
		if !b.ban(id, "floods") || b.ban(id, "floods") {
			t.Error("a reason is said never or twice")
		}
		if !b.ban(id, "lies") {
			t.Error("another reason is not said")
		}
		time.Sleep(3 * time.Minute)
		if !b.banned(id) {
			t.Error("the third ban is no longer than the first")
		}
		time.Sleep(2 * time.Minute)
		if b.banned(id) {
			t.Error("a ban never ends")
		}
		if !b.say(weft.KeyID{2}, "x") || b.say(weft.KeyID{2}, "x") || b.banned(weft.KeyID{2}) {
			t.Error("what is said of one who is not banned")
		}
	})
}

func TestRecent(t *testing.T) {
	r := newRecent(4)
	h := func(i int) weft.Hash { return weft.Hash{byte(i)} }
	for i := range 8 {
		if !r.add(h(i)) || r.add(h(i)) {
			t.Errorf("%d is new twice or never", i)
		}
	}
	for i := 4; i < 8; i++ {
		if !r.has(h(i)) {
			t.Errorf("%d is forgotten", i)
		}
	}
	r.add(h(8))
	if r.has(h(0)) {
		t.Error("nothing is forgotten")
	}
	if r.remove(h(8)); r.has(h(8)) {
		t.Error("what was removed is there")
	}
}
