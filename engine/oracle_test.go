package engine

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
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
	"pgregory.net/rapid"

	"weft"
	"weft/run"
)

var (
	oracleTrees = flag.Int("oracle", 400, "trees that TestOracleTrees changes at random")
	oracleSeed  = flag.Uint64("oracle.seed", 1, "the first seed of TestOracleTrees")
)

// oracle knows which files a worker wanted to open, because the kernel asked the
// node for each of them, and which it was given.
type oracle struct {
	t     testing.TB
	pool  *Pool
	s     Session
	files map[Target]string
	root  string
	bait  []string

	mu     sync.Mutex
	given  map[string]int
	wanted map[string]int // and not given
}

func newOracle(t testing.TB) *oracle {
	t.Helper()
	o := &oracle{t: t, root: t.TempDir(), files: map[Target]string{}, given: map[string]int{}, wanted: map[string]int{}}
	d, err := OpenDirect(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	write := func(name, sql string) string {
		f := filepath.Join(o.root, "products", name, "1.parquet")
		if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Exec(t.Context(), Statement{SQL: "copy (" + sql + ") to " + QuoteLiteral(f) + " (format parquet)"}); err != nil {
			t.Fatal(err)
		}
		return f
	}
	for _, v := range testViews(t) {
		o.files[Target{v.Schema, v.Name}] = write(strings.Trim(v.Schema+"-"+v.Name, "-"), v.SQL)
	}
	bait := write("bait", "select 'SECRET' as secret")
	o.bait = []string{bait, filepath.Dir(bait), filepath.Dir(bait) + "/*.parquet", o.root + "/products/*/*.parquet", "/etc/passwd", "/proc/self/environ", "bait.csv", "../bait.parquet"}
	o.pool = NewPool(PoolConfig{Warm: 1, seen: o.see}, run.Quiet())
	t.Cleanup(o.pool.Close)
	o.open()
	if p, _ := ProtectionOf(o.s); !p.Leave {
		t.Skipf("this kernel does not ask: %+v", p)
	}
	return o
}

func (o *oracle) open() {
	s, err := o.pool.Session(context.Background(), SessionConfig{
		Name: "oracle", Read: []string{filepath.Join(o.root, "products")}, Leave: true, Memory: 128 << 20, Threads: 2,
		Temp: filepath.Join(o.root, "tmp"), TempBytes: 16 << 20,
	})
	if err != nil {
		o.t.Fatal(err)
	}
	o.s = s
}

func (o *oracle) see(path string, given bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if given {
		o.given[path]++
	} else if !strings.HasPrefix(path, filepath.Join(o.root, "tmp")) && path != allocatorReads {
		o.wanted[path]++
	}
}

// allocatorReads is what the C library looks at before it gives memory back; it
// does without.
const allocatorReads = "/proc/sys/vm/overcommit_memory"

// take returns what was opened and what was only wanted since the last time.
func (o *oracle) take() (given, wanted map[string]int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	given, wanted = o.given, o.wanted
	o.given, o.wanted = map[string]int{}, map[string]int{}
	return given, wanted
}

// run asks a statement over the views of targets.
func (o *oracle) run(sql string, targets map[Target]bool) error {
	st := Statement{SQL: sql}
	for target := range targets {
		base, _, _ := strings.Cut(target.Table, "@")
		f, ok := o.files[Target{target.Schema, base}]
		if !ok {
			continue
		}
		st.Views = append(st.Views, View{Schema: target.Schema, Name: target.Table, SQL: "from read_parquet([" + QuoteLiteral(f) + "], hive_partitioning = false)"})
		st.Files = append(st.Files, f)
	}
	o.take()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	_, err := ask(ctx, o.s, st)
	cancel()
	if o.s.(*session).broken.Load() {
		_ = o.s.Close()
		o.open()
	}
	given, wanted := o.take()
	for f := range given {
		if !slices.Contains(st.Files, f) {
			o.t.Fatalf("%s\n  opened %s", sql, f)
		}
	}
	if len(wanted) > 0 {
		o.t.Fatalf("%s\n  wanted to open %v", sql, slices.Collect(maps.Keys(wanted)))
	}
	if err == nil && len(given) < len(st.Files) && !strings.Contains(sql, "false") {
		return fmt.Errorf("%d of %d files were opened", len(given), len(st.Files))
	}
	return err
}

// bind takes a query through the gate and notes its targets.
func (o *oracle) bind(p Parser, text string) (*Bound, map[Target]bool, error) {
	targets := map[Target]bool{}
	rules := testRules
	rules.Resolve = func(r TableRef) (Target, error) {
		t, err := testResolver(r)
		if err == nil {
			targets[t] = true
		}
		return t, err
	}
	b, err := Bind(context.Background(), p, text, rules)
	return b, targets, err
}

// TestOracleSees holds that the oracle is none that sees nothing: what goes past
// the gate is seen, and not opened either.
func TestOracleSees(t *testing.T) {
	o := newOracle(t)
	one := o.files[Target{Table: "t"}]
	view := []View{{Name: "t", SQL: "from read_parquet([" + QuoteLiteral(one) + "])"}}
	if got, err := ask(t.Context(), o.s, Statement{SQL: "select count(*) from t", Views: view, Files: []string{one}}); err != nil || got != "20\n" {
		t.Fatal(got, err)
	}
	if given, wanted := o.take(); given[one] == 0 || len(wanted) > 0 {
		t.Fatalf("given %v, wanted %v", given, wanted)
	}
	for _, st := range []Statement{
		{SQL: "select count(*) from t", Views: view}, // the file is not this statement's
		{SQL: "from read_parquet(" + QuoteLiteral(o.bait[0]) + ")", Files: []string{one}},
		{SQL: "from " + QuoteLiteral(o.bait[0])},
		{SQL: "from glob(" + QuoteLiteral(o.bait[2]) + ")"},
		{SQL: "from read_text(" + QuoteLiteral(o.bait[0]) + ")"},
	} {
		got, err := ask(t.Context(), o.s, st)
		if strings.Contains(got, "SECRET") || err == nil && got != "" {
			t.Errorf("%s gives %q", st.SQL, got)
		}
		if given, wanted := o.take(); len(given) > 0 || len(wanted) == 0 {
			t.Errorf("%s: given %v, wanted %v", st.SQL, given, wanted)
		}
	}
	if out, err := o.s.Exec(t.Context(), Statement{SQL: "copy (select 1) to " + QuoteLiteral(one), Files: []string{one}}); err == nil {
		t.Errorf("a file that may be read was written: %d", out)
	}
	if got, err := ask(t.Context(), o.s, Statement{SQL: "select count(*) from t", Views: view, Files: []string{one}}); err != nil || got != "20\n" {
		t.Fatal(got, err)
	}
}

// TestStandingViews holds that a question finds the views of the one before only
// where they are its own to the letter, and that nothing of a failed one stays.
func TestStandingViews(t *testing.T) {
	o := newOracle(t)
	files := []string{o.files[Target{Table: "t"}], o.files[Target{Table: "u"}]}
	view := func(schema, name, file, columns string) View {
		return View{Schema: schema, Name: name, SQL: "select " + columns + " from read_parquet([" + QuoteLiteral(file) + "])"}
	}
	a := []View{view("sales", "t", files[0], "id"), view("sales", "u", files[1], "id, label")}
	run := func(sql string, views []View, want string) {
		t.Helper()
		got, err := ask(t.Context(), o.s, Statement{SQL: sql, Views: views, Files: files})
		switch {
		case want == "" && err == nil:
			t.Errorf("%s gives %q and should fail", sql, got)
		case want != "" && (err != nil || got != want):
			t.Errorf("%s gives %q, %v, want %q", sql, got, err, want)
		}
	}
	const n = "select count(*) from sales.t"
	opened := func() int { given, _ := o.take(); return given[files[0]] + given[files[1]] }
	run(n, a, "20\n")
	first := opened()
	run(n, a, "20\n")
	if again := opened(); again >= first || again == 0 {
		t.Errorf("%d opens, and %d with the views that stand", first, again)
	}
	run("select count(*) from duckdb_views() where not internal", a, "2\n")
	run(n, a[1:], "")                                          // t is not in it any more
	run(n, []View{view("sales", "t", files[1], "id")}, "12\n") // the same name for other rows
	run("select label from sales.u limit 1", a[:1], "")        // u is not in it
	run("select count(label) from sales.u", a, "12\n")         // and now it is
	run("select error('stop') from sales.u", a, "")            // a failure spoils the transaction
	run("select count(label) from sales.u", a, "12\n")
	if _, err := o.s.Deparse(t.Context(), []byte(`{"broken": 1}`)); err == nil {
		t.Error("a broken tree is written")
	}
	run("select count(label) from sales.u", a, "12\n")
	ctx, cancel := context.WithCancel(t.Context())
	r, err := o.s.Query(ctx, Statement{SQL: "select t.id from sales.t, range(100000000)", Views: a, Files: files})
	if err != nil {
		t.Fatal(err)
	}
	r.Next()
	cancel()
	r.Release() // left in the middle
	run("select count(label) from sales.u", a, "12\n")
	run("select count(*) from duckdb_views() where not internal", nil, "0\n")
	run("select count(*) from sales.u", nil, "")
}

// TestStandingSources holds that a view over a source that comes anew with each question
// stands as long as its columns are the same, and that what reads it is made anew with it.
func TestStandingSources(t *testing.T) {
	o := newOracle(t)
	source := func(name string, values ...any) Source {
		typ := arrow.DataType(arrow.PrimitiveTypes.Int64)
		if _, ok := values[0].(string); ok {
			typ = arrow.BinaryTypes.String
		}
		b := array.NewRecordBuilder(memory.DefaultAllocator, arrow.NewSchema([]arrow.Field{{Name: "k", Type: typ}}, nil))
		defer b.Release()
		for _, v := range values {
			if f, ok := b.Field(0).(*array.StringBuilder); ok {
				f.Append(v.(string))
			} else {
				b.Field(0).(*array.Int64Builder).Append(int64(v.(int)))
			}
		}
		r := b.NewRecordBatch()
		return Source{Name: name, Schema: r.Schema(), Batches: []arrow.RecordBatch{r}}
	}
	keys := View{Schema: "keys", Name: "k1", SQL: "select k from arrow_source('one')"}
	over := View{Schema: "sales", Name: "t", SQL: "select k, 1 as n from keys.k1"}
	for _, c := range []struct {
		sql    string
		source Source
		views  []View
		want   string
	}{
		{"select sum(k) from keys.k1", source("one", 1, 2), []View{keys}, "3\n"},
		{"select sum(k) from keys.k1", source("one", 5), []View{keys}, "5\n"}, // the plan would read what has gone
		{"select max(k) from keys.k1", source("one", "b", "a"), []View{keys}, "b\n"},
		{"select max(k) from sales.t", source("one", "b", "c"), []View{keys, over}, "c\n"},
		{"select max(k) from sales.t", source("one", 3), []View{keys, over}, "3\n"},
		{"select max(k) from sales.t", source("two", 4), []View{{Schema: "keys", Name: "k1", SQL: "select k from arrow_source('two')"}, over}, "4\n"},
		{"select max(k) from keys.k1", source("two", 6), []View{keys}, ""}, // the source of before is not there
		{"select 1 from sales.t", source("one", 6), []View{keys}, ""},
		{"select count(*) from duckdb_views() where not internal", source("one", 6), []View{keys}, "1\n"},
	} {
		got, err := ask(t.Context(), o.s, Statement{SQL: c.sql, Views: c.views, Sources: []Source{c.source}})
		if (err != nil) != (c.want == "") || got != c.want {
			t.Errorf("%s gives %q, %v, want %q", c.sql, got, err, c.want)
		}
	}
}

// TestOracleQueries runs made-up queries and wants only their own files opened.
func TestOracleQueries(t *testing.T) {
	o := newOracle(t)
	passed := 0
	rapid.Check(t, func(rt *rapid.T) {
		g := &queryGen{t: rt}
		q := g.query(rapid.IntRange(0, 3).Draw(rt, "depth"))
		q = strings.Replace(q, "'a'", QuoteLiteral(rapid.SampledFrom(o.bait).Draw(rt, "bait")), 1)
		b, targets, err := o.bind(o.s, q)
		if err == nil && o.run(b.SQL, targets) == nil {
			passed++
		}
	})
	if passed < 5 {
		t.Errorf("only %d ran", passed)
	}
}

// planted is a Parser that gives a tree of the test's own for the text, and is
// the engine's for everything else.
type planted struct {
	Session
	tree []byte
}

func (p planted) Parse(ctx context.Context, text string) ([]byte, error) {
	if text == "planted" {
		return p.tree, nil
	}
	return p.Session.Parse(ctx, text)
}

// TestOracleTrees changes syntax trees at random (a piece of another, another name,
// a path, a field less), takes them through the walker as if the parser had given
// them, and wants of what passes that it opens its tables' files and no others.
func TestOracleTrees(t *testing.T) {
	o := newOracle(t)
	var trees []any
	for _, q := range seeds(t) {
		if len(q) > 600 || strings.IndexByte(q, 0) >= 0 {
			continue
		}
		b, err := o.s.Parse(t.Context(), q)
		if err != nil {
			continue
		}
		var tree map[string]any
		if json.Unmarshal(b, &tree) == nil && tree["error"] == false {
			trees = append(trees, tree)
		}
	}
	n := *oracleTrees
	if testing.Short() {
		n = min(n, 100)
	}
	walked, ran := 0, 0
	for i := range n {
		seed := *oracleSeed + uint64(i)
		m := &mutator{rand.New(rand.NewPCG(seed, 0)), trees, o.words()}
		tree, err := json.Marshal(m.tree())
		if err != nil {
			t.Fatal(err)
		}
		b, targets, err := o.bind(planted{o.s, tree}, "planted")
		if o.s.(*session).broken.Load() { // the engine's writer does not survive every tree
			_ = o.s.Close()
			o.open()
		}
		switch weft.KindOf(err) {
		case weft.KindInvalid, weft.KindLimit, weft.KindNotFound, weft.KindUnavailable:
		default:
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if err != nil {
			continue
		}
		walked++
		if err := o.run(b.SQL, targets); err == nil {
			ran++
		}
	}
	t.Logf("%d trees changed, %d passed the walker, %d ran", n, walked, ran)
	if walked < n/20 || ran == 0 {
		t.Errorf("of %d trees %d passed and %d ran: the changes are too wild to prove anything", n, walked, ran)
	}
}

// words are what a mutator puts in the place of names and values.
func (o *oracle) words() []string {
	out := append([]string{
		"read_parquet", "read_csv", "read_text", "glob", "query", "query_table", "parquet_scan", "sniff_csv", "arrow_source", "duckdb_settings",
		"getenv", "current_setting", "json_execute_serialized_sql", "range", "unnest", "lower", "t", "u", "sales", "orders", "main", "system", "bait",
		"TABLE_FUNCTION", "BASE_TABLE", "SUBQUERY", "FUNCTION", "SHOW_REF", "COLUMN_REF", "CONSTANT", "VALUE_CONSTANT", "",
	}, o.bait...)
	return out
}

// mutator changes trees.
type mutator struct {
	*rand.Rand
	trees []any
	words []string
}

func (m *mutator) pick() any { return clone(m.trees[m.IntN(len(m.trees))]) }

// tree is one of the trees with one to three changes.
func (m *mutator) tree() any {
	t := m.pick()
	for range 1 + m.IntN(3) {
		m.change(t)
	}
	return t
}

// place is a value within a tree and the way to put another there.
type treePlace struct {
	value any
	set   func(any)
	drop  func()
}

// change changes one place.
func (m *mutator) change(tree any) {
	all := places(tree)
	if len(all) == 0 { // nothing is left of it
		return
	}
	p := all[m.IntN(len(all))]
	switch k := m.IntN(10); {
	case k < 3: // a piece of the same kind from another tree
		if kind := kindOf(p.value); kind != "" {
			var same []any
			for _, q := range places(m.pick()) {
				if kindOf(q.value) == kind {
					same = append(same, q.value)
				}
			}
			if len(same) > 0 {
				p.set(clone(same[m.IntN(len(same))]))
			}
		}
	case k < 8: // another word
		var texts []treePlace
		for _, q := range all {
			if _, ok := q.value.(string); ok {
				texts = append(texts, q)
			}
		}
		if len(texts) > 0 {
			texts[m.IntN(len(texts))].set(m.words[m.IntN(len(m.words))])
		}
	case k < 9:
		p.drop()
	default: // the piece once more, within itself
		if list, ok := p.value.([]any); ok && len(list) > 0 {
			p.set(append(list, clone(list[m.IntN(len(list))])))
		}
	}
}

// kindOf is what a node may be exchanged for.
func kindOf(v any) string {
	o, ok := v.(map[string]any)
	if !ok {
		return ""
	}
	switch {
	case o["class"] != nil:
		return "expression"
	case o["type"] != nil && o["sample"] != nil:
		return "table"
	case o["type"] != nil && o["modifiers"] != nil:
		return "query"
	}
	return ""
}

// places lists every value within a tree, in a fixed order.
func places(v any) []treePlace {
	var out []treePlace
	switch x := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(x)) {
			out = append(out, treePlace{x[k], func(v any) { x[k] = v }, func() { delete(x, k) }})
			out = append(out, places(x[k])...)
		}
	case []any:
		for i := range x {
			out = append(out, treePlace{x[i], func(v any) { x[i] = v }, func() { x[i] = nil }})
			out = append(out, places(x[i])...)
		}
	}
	return out
}

func clone(v any) any {
	switch x := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(x))
		for k, e := range x {
			c[k] = clone(e)
		}
		return c
	case []any:
		c := make([]any, len(x))
		for i, e := range x {
			c[i] = clone(e)
		}
		return c
	}
	return v
}
