package store

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"

	"weft"
)

// columnsTest is a store whose tables' columns change, and what each cut was
// when it was new.
type columnsTest struct {
	t    *testing.T
	e    *testEngine
	cfg  Config
	s    *Store
	cuts map[weft.Seq]string
}

func newColumnsTest(t *testing.T) *columnsTest {
	dir := t.TempDir()
	c := &columnsTest{t: t, e: newEngine(t, dir), cuts: map[weft.Seq]string{}}
	c.cfg = testConfig(dir, c.e)
	c.s = mustOpen(t, c.cfg)
	t.Cleanup(func() { _ = c.s.Close() })
	return c
}

// put commits the rows of a SELECT, which are all the table's columns, with _op
// first for a merge; notes are old=new for renamed columns and new:=text for
// defaults.
func (c *columnsTest) put(op weft.TableOp, sql string, notes ...string) {
	c.t.Helper()
	if err := c.try(op, sql, notes...); err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
}

func (c *columnsTest) try(op weft.TableOp, sql string, notes ...string) error {
	c.t.Helper()
	schema, batches := c.e.query(c.t, sql)
	td := TableData{Table: "t", Op: op, Key: []string{"id"}, Schema: schema, Batches: batches, Renamed: map[string]string{}, Defaults: map[string]string{}}
	switch op {
	case weft.OpMerge:
		td.Schema = arrow.NewSchema(schema.Fields()[1:], nil)
	case weft.OpColumns:
		td.Batches = nil
	}
	for _, n := range notes {
		if name, v, ok := strings.Cut(n, ":="); ok {
			td.Defaults[name] = v
		} else if old, name, ok := strings.Cut(n, "="); ok {
			td.Renamed[name] = old
		}
	}
	commit, err := c.s.Append(context.Background(), Candidate{Tables: []TableData{td}})
	if err == nil {
		c.cuts[commit.Seq] = c.state(commit.Seq)
	}
	return err
}

// state is the columns and rows of a cut.
func (c *columnsTest) state(seq weft.Seq) string {
	c.t.Helper()
	rows, rel := c.e.at(c.t, c.s, seq, "t")
	slices.Sort(rows)
	var cols []string
	for f := range strings.Lines(c.e.types(c.t, rel)) {
		if strings.Contains(f, "type=") {
			cols = append(cols, strings.TrimSpace(f))
		}
	}
	return strings.Join(cols, "\n") + "\n" + strings.Join(rows, "\n")
}

// same wants every kept cut to be what it was.
func (c *columnsTest) same(what string) {
	c.t.Helper()
	for _, seq := range slices.Sorted(maps.Keys(c.cuts)) {
		if got := c.state(seq); got != c.cuts[seq] {
			c.t.Fatalf("%s: %s is\n%s\nand was\n%s", what, seq, got, c.cuts[seq])
		}
	}
}

func (c *columnsTest) compact() {
	c.t.Helper()
	if err := c.s.Compact(context.Background(), true); err != nil {
		c.t.Fatal(err)
	}
}

func (c *columnsTest) reopen() {
	c.t.Helper()
	if err := c.s.Close(); err != nil {
		c.t.Fatal(err)
	}
	c.s = mustOpen(c.t, c.cfg)
}

// TestColumnsChange takes a table through every change of columns, in tail and
// files: old cuts keep their columns, nothing is written again.
func TestColumnsChange(t *testing.T) {
	for _, fold := range []bool{false, true} {
		t.Run(fmt.Sprint("fold=", fold), func(t *testing.T) {
			c := newColumnsTest(t)
			after := func(what string) {
				if fold {
					c.compact()
				}
				c.same(what)
				c.reopen()
				c.same(what + ", reopened")
			}
			c.put(weft.OpReplace, "SELECT i::BIGINT AS id, i::INTEGER AS n, 'v' || i AS v, 1.5::DECIMAL(4,1) AS d FROM range(100) t(i)")
			after("first")
			c.put(weft.OpColumns, "SELECT 0::BIGINT AS id, 0::INTEGER AS n, '' AS v, 0::DECIMAL(4,1) AS d, ''::VARCHAR AS more", "more:=unknown")
			c.want("SELECT DISTINCT more AS x FROM t", "unknown")
			after("added")
			c.put(weft.OpMerge, "SELECT 'i' AS _op, 100::BIGINT AS id, 1::INTEGER AS n, 'new' AS v, 0::DECIMAL(4,1) AS d, 'said'::VARCHAR AS more")
			after("a row in it")
			c.put(weft.OpColumns, "SELECT 0::BIGINT AS id, 0::BIGINT AS n, '' AS v, 0::DECIMAL(9,3) AS d, ''::VARCHAR AS more")
			after("widened")
			c.put(weft.OpColumns, "SELECT 0::BIGINT AS id, 0::BIGINT AS n, ''::VARCHAR AS word, 0::DECIMAL(9,3) AS d, ''::VARCHAR AS more", "v=word")
			c.want("SELECT word AS x FROM t WHERE id = 7", "v7")
			after("renamed")
			c.put(weft.OpMerge, "SELECT op AS _op, 7::BIGINT AS id, 7::BIGINT AS n, w AS word, 1.5::DECIMAL(9,3) AS d, 'unknown'::VARCHAR AS more FROM (VALUES ('b', 'v7'), ('u', 'seven')) t(op, w)")
			after("updated")
			// Dropped, and a new column of its name, which has nothing of the old one.
			c.put(weft.OpColumns, "SELECT 0::BIGINT AS id, ''::VARCHAR AS word, 0::DECIMAL(9,3) AS d, ''::VARCHAR AS more")
			after("dropped")
			c.put(weft.OpColumns, "SELECT 0::DOUBLE AS n, 0::BIGINT AS id, ''::VARCHAR AS word, 0::DECIMAL(9,3) AS d, ''::VARCHAR AS more")
			c.want("SELECT count(n) AS x FROM t", "0")
			after("named again, in another order")
			// The names of two columns change places.
			c.put(weft.OpColumns, "SELECT 0::DOUBLE AS n, 0::BIGINT AS id, 0::DECIMAL(9,3) AS d, ''::VARCHAR AS tmp, ''::VARCHAR AS more", "word=tmp")
			c.put(weft.OpColumns, "SELECT 0::DOUBLE AS n, 0::BIGINT AS id, 0::DECIMAL(9,3) AS d, ''::VARCHAR AS tmp, ''::VARCHAR AS word", "more=word")
			c.want("SELECT tmp || word AS x FROM t WHERE id = 8", "v8unknown")
			after("changed places")
			c.put(weft.OpReplace, "SELECT 1::BIGINT AS id, 'x' AS n")
			after("replaced")
			c.put(weft.OpColumns, "SELECT 1::BIGINT AS id, 'x' AS n, 1::INTEGER AS late")
			after("added after it")
			if fold {
				c.idsInFiles()
			}
		})
	}
}

// want asks the head, as table t.
func (c *columnsTest) want(sql, want string) {
	c.t.Helper()
	snap, err := c.s.Snapshot(context.Background(), 0)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = snap.Close() }()
	rel, err := snap.Relation("t")
	if err != nil {
		c.t.Fatal(err)
	}
	rel.SQL = "WITH t AS (" + rel.SQL + ") " + sql
	if got := c.e.rows(c.t, rel); len(got) != 1 || got[0] != want {
		c.t.Fatalf("%s gives %v, want %s", sql, got, want)
	}
}

// idsInFiles holds the ids of Parquet columns against those of their schema.
func (c *columnsTest) idsInFiles() {
	c.t.Helper()
	n := 0
	for _, sp := range c.s.tables["t"].spans {
		for _, f := range sp.files() {
			r, err := pqfile.OpenParquetFile(c.s.filePath(f.Name), false)
			if err != nil {
				c.t.Fatal(err)
			}
			root := r.MetaData().Schema.Root()
			for i := range root.NumFields() {
				node := root.Field(i)
				at := f.schema.FieldIndices(node.Name())
				if len(at) == 1 && node.FieldID() > 0 {
					if n++; int(node.FieldID()) != columnID(f.schema, at[0]) {
						c.t.Errorf("%s: column %s has id %d, its schema says %d", f.Name, node.Name(), node.FieldID(), columnID(f.schema, at[0]))
					}
				}
			}
			_ = r.Close()
		}
	}
	if n < 10 {
		c.t.Errorf("only %d columns of files have ids", n)
	}
}

func TestColumnsThatNeedAllRowsWrittenAreRefused(t *testing.T) {
	c := newColumnsTest(t)
	c.put(weft.OpReplace, "SELECT 1::BIGINT AS id, 1::INTEGER AS n, 'x' AS v, 1.5::DECIMAL(4,1) AS d")
	for why, sql := range map[string]string{
		"narrower":            "SELECT 1::BIGINT AS id, 1::SMALLINT AS n, 'x' AS v, 1.5::DECIMAL(4,1) AS d",
		"another type":        "SELECT 1::BIGINT AS id, 'a' AS n, 'x' AS v, 1.5::DECIMAL(4,1) AS d",
		"fewer digits before": "SELECT 1::BIGINT AS id, 1::INTEGER AS n, 'x' AS v, 1.5::DECIMAL(4,2) AS d",
		"no exact double":     "SELECT 1::BIGINT AS id, 1::FLOAT AS n, 'x' AS v, 1.5::DECIMAL(4,1) AS d",
		"another key":         "SELECT 1::DECIMAL(19,0) AS id, 1::INTEGER AS n, 'x' AS v, 1.5::DECIMAL(4,1) AS d",
		"no key":              "SELECT 1::INTEGER AS n, 'x' AS v, 1.5::DECIMAL(4,1) AS d",
		"the same":            "SELECT 1::BIGINT AS id, 1::INTEGER AS n, 'x' AS v, 1.5::DECIMAL(4,1) AS d",
	} {
		if err := c.try(weft.OpColumns, sql); weft.KindOf(err) != weft.KindInvalid {
			t.Errorf("%s: %v", why, err)
		}
	}
	if h := c.s.Head(); h.Seq != 1 {
		t.Errorf("the head is %s", h.Seq)
	}
}

var columnSeeds = flag.Uint64("columns", 6, "seeds of TestColumnsChangeAtRandom")

// TestColumnsChangeAtRandom makes random histories of rows, columns, folds and
// restarts: every kept cut stays what it was, and followers see each commit with
// its own columns.
func TestColumnsChangeAtRandom(t *testing.T) {
	for seed := range *columnSeeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { columnsAtRandom(t, seed) })
	}
}

func columnsAtRandom(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	c := newColumnsTest(t)
	ints := []string{"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "DECIMAL(20,0)", "DECIMAL(24,3)"}
	type col struct {
		name string
		typ  int
	}
	cols := []col{{"c0", 0}}
	named := 1
	list := func(value func(col) string) string {
		w := []string{"id"}
		for _, x := range cols {
			w = append(w, value(x)+"::"+ints[x.typ]+" AS "+x.name)
		}
		return strings.Join(w, ", ")
	}
	random := func(col) string { return fmt.Sprintf("((id * 7 + %d) %% 100)", r.IntN(100)) }
	c.put(weft.OpReplace, "SELECT "+list(random)+" FROM (SELECT i::BIGINT AS id FROM range(50) t(i))")
	for range 25 {
		switch r.IntN(8) {
		case 0:
			named++
			cols = append(cols, col{fmt.Sprintf("c%d", named), r.IntN(len(ints))})
			c.put(weft.OpColumns, "SELECT "+list(func(col) string { return "0" })+" FROM (SELECT 0::BIGINT AS id)", cols[len(cols)-1].name+":=42")
		case 1:
			x := &cols[r.IntN(len(cols))]
			if x.typ+1 < len(ints) {
				x.typ++
				c.put(weft.OpColumns, "SELECT "+list(func(col) string { return "0" })+" FROM (SELECT 0::BIGINT AS id)")
			}
		case 2:
			x := &cols[r.IntN(len(cols))]
			old := x.name
			named++
			x.name = fmt.Sprintf("c%d", named)
			c.put(weft.OpColumns, "SELECT "+list(func(col) string { return "0" })+" FROM (SELECT 0::BIGINT AS id)", old+"="+x.name)
		case 3:
			if len(cols) > 1 {
				cols = slices.Delete(cols, 0, 1)
				c.put(weft.OpColumns, "SELECT "+list(func(col) string { return "0" })+" FROM (SELECT 0::BIGINT AS id)")
			}
		case 4:
			c.compact()
			c.same("compacted")
		case 5:
			c.reopen()
			c.same("reopened")
		default:
			c.put(weft.OpMerge, fmt.Sprintf("SELECT 'i' AS _op, %s FROM (SELECT %d::BIGINT AS id)", list(random), 1000+r.IntN(1<<30)))
		}
	}
	c.compact()
	c.same("at the end")
	seen := 0
	for ch, err := range c.s.Follow(context.Background(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		info := ch.Commit.Tables[0]
		b, err := encodeSchema(ch.Tables[0].Schema)
		if err != nil || len(b) == 0 {
			t.Fatal(err)
		}
		if got, want := ch.Tables[0].Schema.NumFields()-1, strings.Count(c.cuts[ch.Commit.Seq], "type="); got != want {
			t.Errorf("%s (%s) is followed with %d columns, it has %d", ch.Commit.Seq, info.Op, got, want)
		}
		if seen++; seen == len(c.cuts) {
			break
		}
	}
}

// TestColumnsOfTheSameArrowTypeDiffer takes uuids for texts and back: Arrow has
// text for both, and neither a key nor a value of one is one of the other.
func TestColumnsOfTheSameArrowTypeDiffer(t *testing.T) {
	const (
		uuid = "'00000000-0000-0000-0000-000000000001'::UUID"
		text = "'00000000-0000-0000-0000-000000000001'"
	)
	for _, fold := range []bool{false, true} {
		for _, x := range []struct{ name, have, want string }{
			{"key", "SELECT " + uuid + " AS id, 1 AS v", "SELECT " + text + " AS id, 1 AS v"},
			{"key, back", "SELECT " + text + " AS id, 1 AS v", "SELECT " + uuid + " AS id, 1 AS v"},
			{"value", "SELECT 1 AS id, " + uuid + " AS v", "SELECT 1 AS id, " + text + " AS v"},
			{"value, back", "SELECT 1 AS id, 'x' AS v", "SELECT 1 AS id, " + uuid + " AS v"},
			{"within a value", "SELECT 1 AS id, ['x'] AS v", "SELECT 1 AS id, [" + uuid + "] AS v"},
			{"no sign", "SELECT 1 AS id, -1::INTEGER AS v", "SELECT 1 AS id, 1::USMALLINT AS v"},
		} {
			t.Run(fmt.Sprintf("%s, fold=%v", x.name, fold), func(t *testing.T) {
				c := newColumnsTest(t)
				c.put(weft.OpReplace, x.have)
				if fold {
					c.compact()
				}
				for op, sql := range map[weft.TableOp]string{weft.OpColumns: x.want, weft.OpAppend: x.want, weft.OpMerge: "SELECT 'i' AS _op, * FROM (" + x.want + ")"} {
					if err := c.try(op, sql); weft.KindOf(err) != weft.KindInvalid {
						t.Errorf("%s: %v", op, err)
					}
				}
				// A batch that is not of the columns that its change says.
				schema, _ := c.e.query(t, x.have)
				_, batches := c.e.query(t, x.want)
				td := TableData{Table: "t", Op: weft.OpAppend, Key: []string{"id"}, Schema: schema, Batches: batches}
				if _, err := c.s.Append(context.Background(), Candidate{Tables: []TableData{td}}); weft.KindOf(err) != weft.KindInvalid {
					t.Errorf("a batch of other columns: %v", err)
				}
				c.put(weft.OpReplace, x.want)
				c.put(weft.OpMerge, "SELECT o AS _op, w.* FROM ("+x.want+") w, (VALUES ('b'), ('u')) ops(o)")
				c.same("replaced")
				c.compact()
				c.reopen()
				c.same("reopened")
			})
		}
	}
}

// TestReplaceKeepsIDsByName gives a replacement a name of before that no longer
// means anything: a column that is there under its own name is that column.
func TestReplaceKeepsIDsByName(t *testing.T) {
	c := newColumnsTest(t)
	ids := func() string {
		s := c.s.tables["t"].head().last().schema
		out := ""
		for i, f := range s.Fields() {
			out += fmt.Sprintf("%s=%d ", f.Name, columnID(s, i))
		}
		return out
	}
	c.put(weft.OpReplace, "SELECT 1 AS id, 'a' AS old, 'b' AS new")
	want := "id=1 old=2 new=3 "
	if got := ids(); got != want {
		t.Fatal(got)
	}
	c.put(weft.OpReplace, "SELECT 1 AS id, 'a' AS old, 'b' AS new, 1 AS more", "old=new")
	if got := ids(); got != want+"more=4 " {
		t.Errorf("the columns are %s", got)
	}
	c.put(weft.OpReplace, "SELECT 1 AS id, 'b' AS fresh, 1 AS more", "new=fresh")
	if got := ids(); got != "id=1 fresh=3 more=4 " {
		t.Errorf("the columns are %s", got)
	}
}

// TestNamesOfTheStoreAreRefused keeps columns from being taken for those that files
// have for older cuts.
func TestNamesOfTheStoreAreRefused(t *testing.T) {
	c := newColumnsTest(t)
	for _, name := range []string{"_weft_2", "_WEFT_7", "_weft_n", "_seq", "_Op", "_seq_to", "_live"} {
		if err := c.try(weft.OpReplace, `SELECT 1 AS id, 1 AS "`+name+`"`); weft.KindOf(err) != weft.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.put(weft.OpReplace, `SELECT 1 AS id, 1 AS "_weft", 2 AS "weft_2"`)
}

// TestOldCutsDoNotMeetWiderValues asks old cuts, with conditions that the engine may
// decide in any order, after values came into the same files that the columns of
// those cuts do not hold.
func TestOldCutsDoNotMeetWiderValues(t *testing.T) {
	c := newColumnsTest(t)
	const cols = "i::BIGINT AS id, %s AS n, %s AS d, 'v' || i AS v"
	rows := func(n, d string, from, to int) string {
		return fmt.Sprintf("SELECT "+cols+" FROM range(%d, %d) t(i)", n, d, from, to)
	}
	narrow := func(from, to int) string { return rows("(i % 100)::TINYINT", "(i % 90)::DECIMAL(4,1)", from, to) }
	wide := func(from, to int) string {
		return rows("(10000000000 + i)::BIGINT", "(1000000 + i)::DECIMAL(18,4)", from, to)
	}
	c.put(weft.OpReplace, narrow(0, 3000))
	c.put(weft.OpAppend, narrow(3000, 6000))
	c.put(weft.OpMerge, "SELECT 'i' AS _op, * FROM ("+narrow(6000, 6500)+")")
	c.put(weft.OpColumns, wide(0, 1))
	c.put(weft.OpAppend, wide(6500, 9000))
	c.put(weft.OpMerge, "SELECT o AS _op, x.* FROM ("+wide(0, 400)+") x, (VALUES ('b'), ('u')) o(o) ORDER BY x.id, o")
	asked := map[string]string{}
	ask := func(what string) {
		t.Helper()
		for seq := weft.Seq(1); seq <= 3; seq++ {
			snap, err := c.s.Snapshot(context.Background(), seq)
			if err != nil {
				t.Fatal(err)
			}
			rel, err := snap.Relation("t")
			if err != nil {
				t.Fatal(err)
			}
			table := rel.SQL
			for _, where := range []string{
				"n > 5", "n = 7", "n + 1::TINYINT > 30", "n IN (1, 2, 99)", "abs(n) > 50 AND id % 3 = 0", "d < 4.5", "d + 1 > 20 OR v LIKE '%7'",
				"n BETWEEN 3 AND 8 AND d <> 4", "n IS NOT NULL", "n = (SELECT max(n) FROM t)", "v IN (SELECT v FROM t WHERE n < 3)", "hash(n) % 2 = 0",
			} {
				rel.SQL = "WITH t AS (" + table + ") SELECT count(*) AS a, sum(n) AS b, max(d) AS c FROM t WHERE " + where
				got := c.e.rows(t, rel)[0]
				name := fmt.Sprint(seq, where)
				if old, ok := asked[name]; ok && old != got {
					t.Errorf("%s: %s at %s: %s, was %s", what, where, seq, got, old)
				}
				asked[name] = got
			}
			_ = snap.Close()
		}
	}
	ask("in the tail")
	c.compact()
	ask("folded")
	c.put(weft.OpMerge, "SELECT 'i' AS _op, * FROM ("+wide(9000, 9400)+")")
	c.compact()
	ask("folded again")
	c.reopen()
	ask("reopened")
}
