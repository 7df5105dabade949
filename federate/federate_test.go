package federate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
	"weft/budget"
	"weft/engine"
	"weft/run"
	"weft/store"
)

func TestMain(m *testing.M) {
	if engine.IsWorker() {
		os.Exit(engine.Work())
	}
	os.Exit(m.Run())
}

var numbersName = weft.Name{Domain: "test", Product: "numbers"}

var numberSchema = arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)

// rig is a gate over one product of 5,000 numbers.
type rig struct {
	*Federation
	pool   *engine.Pool
	budget *budget.Budget
	dir    string
	store  *store.Store
}

// Product finds the one product.
func (r *rig) Product(_ weft.Subject, n weft.Name) (Product, bool) {
	return Product{Name: n, ID: "numbers", Store: r.store}, n == numbersName
}

// Names lists the one product.
func (r *rig) Names(weft.Subject) []weft.Name { return []weft.Name{numbersName} }

const testMemory = 128 << 20

func newRig(t *testing.T, change func(*Config, *budget.Config)) *rig {
	t.Helper()
	one := budget.Amount{Memory: engine.ProcessMemory(testMemory, 2), Temp: 64 << 20, Threads: 2, Places: 1}
	b := budget.Config{RunningAll: 3, Total: budget.Amount{Memory: 5 * one.Memory, Temp: 5 * one.Temp, Threads: 10, Places: 5}}
	b.SetLane(budget.Light, one, 2, 200, 0)
	b.SetLane(budget.Heavy, one, 2, 200, 0)
	b.SetLane(budget.Own, one, 0, 0, 0)
	r := &rig{dir: t.TempDir()}
	cfg := Config{
		Data: filepath.Join(r.dir, "products"), Temp: filepath.Join(r.dir, "tmp"), Memory: testMemory, TempBytes: 64 << 20, Threads: 2,
		Deadline: time.Minute,
	}
	if change != nil {
		change(&cfg, &b)
	}
	r.budget = budget.New(b, time.Now)
	r.pool = engine.NewPool(engine.PoolConfig{Warm: 1, Budget: r.budget, Memory: b.Total.Memory + engine.SpareMemory}, run.Quiet())
	g := run.NewGroup(t.Context())
	g.Go("pool", r.pool.Run)
	var err error
	r.store, err = store.Open(t.Context(), store.Config{Dir: filepath.Join(cfg.Data, "numbers"), ID: "numbers", Product: numbersName, Env: run.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.Stop()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		_ = r.store.Close()
	})
	rb := array.NewRecordBuilder(memory.DefaultAllocator, numberSchema)
	for i := range 5000 {
		rb.Field(0).(*array.Int64Builder).Append(int64(i))
	}
	if _, err := r.store.Append(t.Context(), store.Candidate{Cause: weft.CauseLoad, Tables: []store.TableData{{
		Table: "numbers", Op: weft.OpAppend, Schema: numberSchema, Batches: []arrow.RecordBatch{rb.NewRecordBatch()},
	}}}); err != nil {
		t.Fatal(err)
	}
	r.Federation = New(cfg, r.pool, r, run.Quiet())
	return r
}

func subject(id string) weft.Subject { return weft.Subject{Kind: weft.SubjectPerson, ID: id} }

// ask returns the rows of an answer as text.
func (r *rig) ask(ctx context.Context, who, sql string) (string, error) {
	ans, err := r.Query(ctx, weft.Question{SQL: sql, Subject: subject(who)})
	if err != nil {
		return "", err
	}
	defer func() { _ = ans.Close() }()
	var b strings.Builder
	for ans.Rows.Next() {
		rec := ans.Rows.RecordBatch()
		for i := range int(rec.NumRows()) {
			for _, c := range rec.Columns() {
				b.WriteString(c.ValueStr(i) + " ")
			}
		}
	}
	return strings.TrimSpace(b.String()), ans.Rows.Err()
}

const (
	lightSQL = "SELECT count(*), sum(n) FROM test.numbers"
	// Nothing shows beforehand that this takes hours.
	crossSQL = "SELECT count(*) FROM test.numbers a, test.numbers b, test.numbers c WHERE hash(a.n, b.n, c.n) = 1"
	// This makes rows of its own, which shows.
	seriesSQL = "SELECT count(*) FROM range(10000000) a(n), range(10000000) b(n) WHERE hash(a.n, b.n) = 1"
)

// TestLightUnderHeavy holds that a hundred heavy questions of one subject, some of
// which looked light, do not stop a light one of another: it is never refused, and
// takes at most ten times its idle time.
func TestLightUnderHeavy(t *testing.T) {
	r := newRig(t, func(c *Config, _ *budget.Config) { c.Slice = 100 * time.Millisecond })
	light := func(n int) time.Duration {
		var took []time.Duration
		for range n {
			began := time.Now()
			if got, err := r.ask(t.Context(), "bob", lightSQL); err != nil || got != "5000 12497500" {
				t.Fatalf("%q, %v", got, err)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		return took[n/2]
	}
	light(10)
	idle := light(40)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 100 {
		sql := seriesSQL
		if i%2 == 0 { // each in other words, so that none is known
			sql = fmt.Sprintf("%s AND a.n <> -%d", crossSQL, i)
		}
		wg.Go(func() {
			if _, err := r.ask(ctx, "ann", sql); weft.KindOf(err) != weft.KindCancelled {
				t.Error(err)
			}
		})
	}
	for r.budget.State().Running[budget.Heavy] < 2 {
		time.Sleep(time.Millisecond)
	}
	light(5)
	busy := light(100)
	t.Logf("p50 of a light question: %v idle, %v beside a hundred heavy ones; %+v", idle, busy, r.budget.State())
	if busy > 10*idle {
		t.Errorf("a light question takes %v beside heavy ones and %v idle", busy, idle)
	}
	if n := r.budget.State().Waiting[budget.Light] + r.budget.State().Waiting[budget.Heavy]; n < 90 {
		t.Errorf("only %d wait", n)
	}
	cancel()
	wg.Wait()
	if s := r.budget.State(); s.Used != (budget.Amount{}) || r.Running() != 0 || r.Waiting() != 0 {
		t.Errorf("nothing is asked, and in use is %+v", s)
	}
}

// TestWaitsAmongTheHeavy holds that a question that looked light gives up its
// worker where the heavy ones have no place, and is answered when they have.
func TestWaitsAmongTheHeavy(t *testing.T) {
	r := newRig(t, func(c *Config, _ *budget.Config) { c.Slice = 50 * time.Millisecond })
	const slow = "SELECT count(*) FROM test.numbers a, test.numbers b, test.numbers c WHERE a.n < 4 AND hash(a.n, b.n, c.n) = 1"
	ctx, cancel := context.WithCancel(t.Context())
	var heavy sync.WaitGroup
	for _, who := range []string{"ann", "cid"} {
		for range 2 {
			heavy.Go(func() { _, _ = r.ask(ctx, who, seriesSQL) })
		}
	}
	for r.budget.State().Running[budget.Heavy] < 3 {
		time.Sleep(time.Millisecond)
	}
	done := make(chan error)
	go func() {
		_, err := r.ask(t.Context(), "bob", slow)
		done <- err
	}()
	for r.budget.State().Waiting[budget.Heavy] < 2 {
		select {
		case err := <-done:
			t.Fatalf("it did not wait: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	if s := r.budget.State(); s.Running[budget.Light] != 0 {
		t.Errorf("it waits and holds a light place: %+v", s)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	heavy.Wait()
}

// TestQuestionLowersLimits holds that what a question asks for is what its worker
// has.
func TestQuestionLowersLimits(t *testing.T) {
	r := newRig(t, nil)
	big := "SELECT sum(length(s)) FROM (SELECT string_agg(repeat('x', 1000) || n) AS s FROM test.numbers, range(20) GROUP BY n % 7)"
	q := weft.Question{SQL: big, Subject: subject("ann")}
	read := func() error {
		ans, err := r.Query(t.Context(), q)
		if err != nil {
			return err
		}
		defer func() { _ = ans.Close() }()
		for ans.Rows.Next() {
		}
		return ans.Rows.Err()
	}
	q.Limits.Memory = 70 << 20
	if err := read(); weft.KindOf(err) != weft.KindLimit {
		t.Errorf("with little memory: %v", err)
	}
	q.SQL, q.Limits = crossSQL, weft.Limits{Deadline: 100 * time.Millisecond}
	began := time.Now()
	if err := read(); weft.KindOf(err) != weft.KindLimit || time.Since(began) > 2*time.Second {
		t.Errorf("past its deadline after %v: %v", time.Since(began), err)
	}
	for _, c := range []struct{ limit, asked, want int64 }{
		{100, 0, 100}, {100, 200, 100}, {1 << 30, 300 << 20, 256 << 20}, {1 << 30, 1, leastMemory}, {32 << 20, 1 << 20, 32 << 20},
	} {
		if got := lowered(c.limit, c.asked); got != c.want {
			t.Errorf("of %d asked %d: %d", c.limit, c.asked, got)
		}
	}
}

// TestRefusals holds that what is refused says by which rule.
func TestRefusals(t *testing.T) {
	r := newRig(t, func(_ *Config, b *budget.Config) { b.Queued[budget.Heavy] = 3 })
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() { _, _ = r.ask(ctx, "ann", seriesSQL) })
	}
	for r.budget.State().Waiting[budget.Heavy] < 3 {
		time.Sleep(time.Millisecond)
	}
	_, err := r.ask(t.Context(), "ann", seriesSQL)
	if weft.KindOf(err) != weft.KindLimit || weft.AfterOf(err) == 0 || !strings.Contains(err.Error(), "3 of yours are waiting") {
		t.Errorf("%v, after %v", err, weft.AfterOf(err))
	}
	cancel()
	wg.Wait()
	if _, err := r.ask(t.Context(), "ann", "SELECT 1 FROM test.unknown"); weft.KindOf(err) != weft.KindNotFound {
		t.Error(err)
	}
	if got, err := r.ask(t.Context(), "ann", fmt.Sprintf("SELECT max(n) FROM %s AT (VERSION => 1)", numbersName)); err != nil || got != "4999" {
		t.Error(got, err)
	}
}

// TestEndedWhereItNeedsNoWorker holds that a question whose asker is gone, or whose
// time is up, is said to be so wherever it stands, also before it has a worker: its
// text was read before.
func TestEndedWhereItNeedsNoWorker(t *testing.T) {
	r := newRig(t, nil)
	if _, err := r.ask(t.Context(), "bob", lightSQL); err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.ask(gone, "bob", lightSQL); weft.KindOf(err) != weft.KindCancelled || !errors.Is(err, context.Canceled) {
		t.Errorf("whose asker is gone gives %v", err)
	}
	late, stop := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer stop()
	if _, err := r.ask(late, "bob", lightSQL); weft.KindOf(err) != weft.KindLimit {
		t.Errorf("whose time is up gives %v", err)
	}
}
