package engine

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"weft/run"
)

// TestPlanIsKept holds that a question which is asked again over the same views opens
// less, and that whatever comes between, each answer is that of its own text, views
// and files.
func TestPlanIsKept(t *testing.T) {
	d, err := OpenDirect(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := Resolved(t.TempDir())
	var st [2]Statement
	const sum = "SELECT sum(a) AS s, min(t) AS t FROM sales.orders WHERE a >= 0 GROUP BY ALL"
	for i := range st {
		f := filepath.Join(dir, fmt.Sprint(i, ".parquet"))
		if _, err := d.Exec(t.Context(), Statement{SQL: fmt.Sprintf("copy (select range + %d as a, 'x' || range as t from range(1000)) to %s", i, QuoteLiteral(f))}); err != nil {
			t.Fatal(err)
		}
		st[i] = Statement{SQL: sum, Files: []string{f}, Views: []View{{Schema: "sales", Name: "orders", SQL: "from read_parquet([" + QuoteLiteral(f) + "])"}}}
	}
	_ = d.Close()
	var opens atomic.Int64
	p := NewPool(PoolConfig{seen: func(string, bool) { opens.Add(1) }}, run.Quiet())
	t.Cleanup(p.Close)
	want := [2]string{"499500|x0\n", "500500|x0\n"}
	askOf := func(st Statement) (string, error) {
		s, err := p.Session(t.Context(), SessionConfig{Memory: 64 << 20, Threads: 2, Read: []string{dir}, Leave: true})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if p, _ := ProtectionOf(s); !p.Leave {
			t.Skip("this kernel does not ask")
		}
		return ask(t.Context(), s, st)
	}
	is := func(i int, what string) {
		t.Helper()
		if got, err := askOf(st[i]); err != nil || got != want[i] {
			t.Errorf("%s: %q %v", what, got, err)
		}
	}
	with := func(sql string) Statement { s := st[0]; s.SQL = sql; return s }
	is(0, "first")
	first := opens.Swap(0)
	is(0, "again")
	if again := opens.Swap(0); again >= first {
		t.Errorf("the first time %d files were opened, then %d", first, again)
	}
	is(1, "the same text over another file")
	is(0, "and back")
	if got, err := askOf(with("SELECT count(*) FROM sales.orders")); err != nil || got != "1000\n" {
		t.Errorf("another text: %q %v", got, err)
	}
	is(0, "after another text")
	for range 2 { // fails when it runs, not when it is planned
		if got, err := askOf(with("SELECT sum(t::int) FROM sales.orders")); err == nil {
			t.Errorf("it does not fail: %q", got)
		}
	}
	is(0, "after a failure")
	if got, err := askOf(Statement{SQL: "SELECT 42"}); err != nil || got != "42\n" {
		t.Errorf("without views: %q %v", got, err)
	}
	is(0, "after one without views")
	a, _ := askOf(with("SELECT random() FROM sales.orders LIMIT 1"))
	b, _ := askOf(with("SELECT random() FROM sales.orders LIMIT 1"))
	if a == "" || a == b {
		t.Errorf("a plan that is used again gives the random number %q again", a)
	}
	long := with("SELECT count(*) FROM sales.orders a, sales.orders b, range(30) WHERE hash(a.a, b.a) = 1")
	for range 2 { // one whose plan is not kept
		if got, err := askOf(long); err != nil || got != "0\n" {
			t.Errorf("a long one: %q %v", got, err)
		}
	}
	is(0, "at the end")
}
