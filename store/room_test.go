package store

import (
	"context"
	"sync/atomic"
	"testing"

	"weft"
	"weft/engine"
)

// slowSessions gives sessions whose statements wait.
type slowSessions struct {
	engine.Sessions
	wait, began chan struct{}
}

type slowSession struct {
	engine.Session
	of *slowSessions
}

func (s *slowSessions) Session(ctx context.Context, cfg engine.SessionConfig) (engine.Session, error) {
	inner, err := s.Sessions.Session(ctx, cfg)
	return &slowSession{inner, s}, err
}

func (s *slowSession) Exec(ctx context.Context, st engine.Statement) (int64, error) {
	close(s.of.began)
	<-s.of.wait
	return s.Session.Exec(ctx, st)
}

// TestCommitsWaitForAFoldThatIsFarBehind holds that memory is bounded while a
// fold lasts, that whoever waits can give up, and that nobody waits for nothing.
func TestCommitsWaitForAFoldThatIsFarBehind(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	cfg := testConfig(dir, e)
	cfg.TailRows = 10
	slow := &slowSessions{Sessions: cfg.Sessions, wait: make(chan struct{}), began: make(chan struct{})}
	cfg.Sessions = slow
	s := mustOpen(t, cfg)
	var next atomic.Int64
	ten := func(ctx context.Context) error {
		var rows []row
		for range 10 {
			rows = append(rows, row{next.Add(1), "x"})
		}
		_, err := s.Append(ctx, change1(weft.OpAppend, batch(rows...)))
		return err
	}
	for range 20 { // no fold is under way: nobody waits
		if err := ten(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if rows, bytes := s.TailSize(); rows != 200 || bytes <= 0 {
		t.Fatal("in memory are", rows, "rows of", bytes, "bytes")
	}
	folded := make(chan error, 1)
	go func() { folded <- s.Compact(t.Context(), false) }()
	<-slow.began
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	go func() { gaveUp <- ten(ctx) }()
	waited := make(chan error, 1)
	go func() { waited <- ten(t.Context()) }()
	cancel()
	if err := <-gaveUp; weft.KindOf(err) != weft.KindCancelled {
		t.Fatal(err)
	}
	if head := s.Head().Seq; head != 20 {
		t.Fatal("a commit did not wait:", head)
	}
	close(slow.wait)
	if err := <-folded; err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
	if n, _ := s.TailSize(); n != 10 || s.Head().Seq != 21 {
		t.Fatal(n, s.Head().Seq)
	}
}
