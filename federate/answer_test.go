package federate

import (
	"context"
	"sync"
	"testing"
	"time"

	"weft"
	"weft/budget"
)

// idle holds that nothing is held for any question.
func (r *rig) idle(t *testing.T, when string) {
	t.Helper()
	if s := r.budget.State(); s.Used != (budget.Amount{}) || r.Running() != 0 || r.Waiting() != 0 {
		t.Errorf("%s: %d run, %d wait, in use is %+v", when, r.Running(), r.Waiting(), s)
	}
}

// TestCloseGivesBackOnce: however an answer ends, and however often it is closed,
// its turn and its worker are given back once.
func TestCloseGivesBackOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("its workers have little memory, which the race detector takes for itself")
	}
	r := newRig(t, nil)
	question := func(sql string) weft.Question { return weft.Question{SQL: sql, Subject: subject("ann")} }
	ans, err := r.Query(t.Context(), question("SELECT n FROM test.numbers"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Running() != 1 || len(ans.Cut) != 1 || ans.Held != 0 || ans.Schema.NumFields() != 1 {
		t.Errorf("%d run, %+v", r.Running(), ans)
	}
	if !ans.Rows.Next() { // the rest is not read
		t.Fatal(ans.Rows.Err())
	}
	ans.Rows.Retain()
	ans.Rows.Release() // of a reader that keeps its own count
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := ans.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	r.idle(t, "closed early")
	for name, sql := range map[string]string{
		"no SQL": "SELECT FROM WHERE", "two": "SELECT 1; SELECT 2", "unknown": "SELECT * FROM test.nothing", "no column": "SELECT nope FROM test.numbers",
		"a file": "SELECT * FROM read_csv('/etc/passwd')", "an error while it runs": "SELECT CAST('x' || n AS INTEGER) FROM test.numbers",
	} {
		ans, err := r.Query(t.Context(), question(sql))
		if err == nil {
			for ans.Rows.Next() {
			}
			err = ans.Rows.Err()
			_ = ans.Close()
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		r.idle(t, name)
	}
	if got, err := r.ask(t.Context(), "ann", lightSQL); err != nil || got != "5000 12497500" {
		t.Errorf("%q %v", got, err)
	}
}

// endless gives its first rows at once and more than anybody waits for.
const endless = "SELECT a.n, b.n AS m, c.n AS o FROM test.numbers a, test.numbers b, test.numbers c"

// TestEndOfStream: a deadline that passes while rows come is a limit, a client
// that goes away is no fault, and both end the worker's work.
func TestEndOfStream(t *testing.T) {
	if testing.Short() {
		t.Skip("heavy work for workers of little memory, which the race detector takes for itself")
	}
	r := newRig(t, nil)
	read := func(ctx context.Context, q weft.Question, after func()) error {
		ans, err := r.Query(ctx, q)
		if err != nil {
			return err
		}
		defer func() { _ = ans.Close() }()
		for ans.Rows.Next() {
			if after != nil {
				after()
			}
		}
		return ans.Rows.Err()
	}
	q := weft.Question{SQL: endless, Subject: subject("ann")}
	q.Limits.Deadline = 400 * time.Millisecond
	if err := read(t.Context(), q, nil); weft.KindOf(err) != weft.KindLimit || weft.HintOf(err) == "" {
		t.Errorf("%v (%s)", err, weft.HintOf(err))
	}
	r.idle(t, "past its deadline")
	ctx, cancel := context.WithCancel(t.Context())
	q.Limits.Deadline = 0
	if err := read(ctx, q, cancel); weft.KindOf(err) != weft.KindCancelled {
		t.Error(err)
	}
	r.idle(t, "cancelled")
}

// TestCancelWhileWaiting: a question that is taken back before its turn has held
// nothing.
func TestCancelWhileWaiting(t *testing.T) {
	if testing.Short() {
		t.Skip("heavy work for workers of little memory, which the race detector takes for itself")
	}
	r := newRig(t, nil)
	busy, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, who := range []string{"ann", "bob"} {
		for range 4 { // more than there are places
			wg.Go(func() { _, _ = r.ask(busy, who, seriesSQL) })
		}
	}
	waiting := func(n int) {
		t.Helper()
		deadline := time.Now().Add(30 * time.Second)
		for r.budget.State().Waiting[budget.Heavy] < n {
			if time.Now().After(deadline) {
				t.Fatalf("%+v", r.budget.State())
			}
			time.Sleep(time.Millisecond)
		}
	}
	waiting(3)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := r.ask(ctx, "ann", seriesSQL)
		done <- err
	}()
	waiting(4)
	cancel()
	if err := <-done; weft.KindOf(err) != weft.KindCancelled {
		t.Error(err)
	}
	stop()
	wg.Wait()
	r.idle(t, "all taken back")
}
