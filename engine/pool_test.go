package engine

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weft"
	"weft/run"
)

func TestPoolReuses(t *testing.T) {
	p := testPool(t)
	cfg := SessionConfig{Name: "a", Memory: 256 << 20}
	take := func(cfg SessionConfig) Session {
		t.Helper()
		s, err := p.Session(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a := take(cfg)
	first := pid(a)
	b := take(cfg)
	if pid(b) == first {
		t.Fatal("two sessions in one worker")
	}
	_ = a.Close()
	_ = a.Close()
	cfg.Name = "another name"
	c := take(cfg)
	if pid(c) != first {
		t.Error("a healthy worker was not used again")
	}
	if _, err := c.Exec(t.Context(), Statement{SQL: "create table t as select 1 as a"}); err != nil {
		t.Fatal(err)
	}
	if got := mustAsk(t, c, "from t"); got != "1\n" { // it stays for the session
		t.Fatal(got)
	}
	_ = c.Close()
	d := take(cfg)
	if pid(d) == first {
		t.Error("a worker that holds a table was used again")
	}
	other := take(SessionConfig{Memory: 128 << 20})
	_ = d.Close()
	_ = other.Close()
	if _, err := d.Parse(t.Context(), "select 1"); weft.KindOf(err) != weft.KindUnavailable {
		t.Error("a closed session answers")
	}
	_ = b.Close()
	p.evict(time.Now().Add(time.Hour))
	if len(p.idle) != 0 || len(p.live) != 0 {
		t.Errorf("%d idle, %d live", len(p.idle), len(p.live))
	}
}

func TestPoolRun(t *testing.T) {
	p := NewPool(PoolConfig{Warm: 1}, run.Quiet())
	g := run.NewGroup(t.Context())
	g.Go("pool", p.Run)
	s, err := p.Session(t.Context(), SessionConfig{})
	if err != nil {
		t.Fatal(err)
	}
	worker := pid(s)
	g.Stop()
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/" + worker); err == nil {
		t.Error("a worker outlives its pool")
	}
	_, err = s.Parse(t.Context(), "select 1")
	if err == nil {
		t.Error("a worker outlives its pool")
	}
	_ = s.Close()
	_, err = p.Session(t.Context(), SessionConfig{})
	wantKind(t, err, weft.KindUnavailable)
}

func TestPoolTogether(t *testing.T) {
	p := testPool(t)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			for range 5 {
				s, err := p.Session(t.Context(), SessionConfig{Memory: 64 << 20, Threads: 1 + i%2})
				if err != nil {
					t.Error(err)
					return
				}
				ctx, cancel := context.WithCancel(t.Context())
				r, err := s.Query(ctx, Statement{SQL: "select range, 'some text ' || range from range(1000000)"})
				if err != nil {
					t.Error(err)
					cancel()
					continue
				}
				r.Next()
				if i%3 == 0 {
					cancel()
				}
				if i%3 == 1 {
					_ = s.Close()
				}
				r.Release()
				cancel()
				_ = s.Close()
			}
		})
	}
	wg.Wait()
}

func TestSessionIsOne(t *testing.T) {
	s := testSession(t, nil)
	r, err := s.Query(t.Context(), Statement{SQL: "select * from range(10000000)"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Query(t.Context(), Statement{SQL: "select 1"})
	wantKind(t, err, weft.KindConflict)
	r.Release()
	if got := mustAsk(t, s, "select 1"); got != "1\n" {
		t.Fatal(got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Query(ctx, Statement{SQL: "select 1"})
	wantKind(t, err, weft.KindCancelled)
	if got := mustAsk(t, s, "select 2"); got != "2\n" {
		t.Fatal(got)
	}
}

func TestProgress(t *testing.T) {
	s := testSession(t, func(c *SessionConfig) { c.Threads = 1 })
	if s.Progress() >= 0 {
		t.Error("progress of nothing")
	}
	f := parquet(t, 2_000_000)
	s = testSession(t, func(c *SessionConfig) { c.Threads, c.Read = 1, []string{f} })
	done := make(chan error)
	go func() {
		_, err := ask(t.Context(), s, Statement{SQL: "select count(distinct hash(c0, c1, c2)), count(distinct c3), max(md5(c4::varchar)) from " + QuoteLiteral(f)})
		done <- err
	}()
	seen := false
	for {
		select {
		case err := <-done:
			if err != nil || !seen {
				t.Fatalf("progress seen: %v, %v", seen, err)
			}
			return
		default:
			share := s.Progress()
			seen = seen || share > 0
			if share > 1 {
				t.Fatal(share)
			}
		}
	}
}

func TestFaults(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.csv")
	if err := os.WriteFile(bad, []byte("a,b\n1,2\nsecret,3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	torn := filepath.Join(dir, "torn.parquet")
	if err := os.WriteFile(torn, []byte("PAR1 and then nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := testSession(t, func(c *SessionConfig) { c.Read = []string{dir} })
	for _, c := range []struct {
		sql  string
		kind weft.Kind
		has  string
	}{
		{"selec 1", weft.KindInvalid, "syntax error"},
		{"select nothing from (select 1 as something)", weft.KindInvalid, `"nothing" not found`},
		{"from nowhere", weft.KindInvalid, "nowhere does not exist"},
		{"select 'secret'::int", weft.KindInvalid, "Could not convert string '…'"},
		{"select 2147483647::int + x::int from (select 2147483000 x)", weft.KindInvalid, "Overflow"},
		{"select error('stop')", weft.KindInvalid, "stop"},
		{"from read_csv(" + QuoteLiteral(bad) + ", columns = {'a': 'int', 'b': 'int'}, header = true)", weft.KindInvalid, "Line: 3"},
		{"from " + QuoteLiteral(torn), weft.KindInvalid, "<data>/torn.parquet"},
		{"from " + QuoteLiteral(dir+"/gone.parquet"), weft.KindUnavailable, "<data>/gone.parquet"},
		{"from read_csv('/etc/passwd')", weft.KindDenied, "/etc/passwd"},
		{"select 1; select 2", weft.KindInvalid, "multiple statements"},
		{"", weft.KindInvalid, ""},
		{"select $1", weft.KindInvalid, ""},
		{"select '\x00'", weft.KindInvalid, "zero byte"},
	} {
		_, err := ask(t.Context(), s, Statement{SQL: c.sql})
		t.Logf("%.40q: %v (%s)", c.sql, err, weft.HintOf(err))
		if weft.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.has) {
			t.Errorf("%s: %v (%s)", c.sql, err, weft.KindOf(err))
			continue
		}
		for _, leak := range []string{"secret", dir, "LINE", "\n", "2147483000"} {
			if strings.Contains(err.Error()+weft.HintOf(err), leak) {
				t.Errorf("%s: %q in %q", c.sql, leak, err)
			}
		}
	}
}
