package publish

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weft"
	"weft/budget"
	"weft/contract"
	"weft/engine"
	"weft/run"
	"weft/store"
	"weft/store/storetest"
)

// house is a store and a session that can read it.
type house struct {
	*workbench
	st *store.Store
}

func newHouse(t testing.TB) *house {
	t.Helper()
	dir := t.TempDir()
	// The node's own work has room for one load and nothing else, as on a small
	// machine: who waits for a second turn while it holds one waits for ever.
	room := budget.Config{Total: budget.Amount{Memory: engine.ProcessMemory(1<<30, 2), Temp: 1 << 30, Threads: 2, Places: 1}}
	pool := engine.NewPool(engine.PoolConfig{Budget: budget.New(room, time.Now), Memory: room.Total.Memory + engine.SpareMemory}, run.Quiet())
	t.Cleanup(func() { pool.Close() })
	st, err := store.Open(context.Background(), store.Config{
		Dir: filepath.Join(dir, "store"), ID: "test", Product: weft.Name{Domain: "sales", Product: "orders"}, Sessions: pool, Env: run.Quiet(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	stage := filepath.Join(dir, "stage")
	mustMkdir(t, stage)
	s, err := pool.Session(context.Background(), engine.SessionConfig{
		Name: "test", Read: []string{dir}, Write: stage, Memory: 1 << 30, Threads: 2, Temp: t.TempDir(), TempBytes: 1 << 30,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return &house{workbench: &workbench{&storetest.Bench{T: t, Session: s, Stage: stage}}, st: st}
}

// load plans and publishes one load of table t, as the flow does.
func (h *house) load(r Request) (weft.Commit, bool, []string) {
	h.T.Helper()
	snap, err := h.st.Snapshot(context.Background(), 0)
	if err != nil {
		h.T.Fatal(err)
	}
	defer snap.Close()
	if rel, err := snap.Relation(r.Table); err == nil {
		r.Prior = &rel
	}
	r.Stage = h.Stage
	d, err := Plan(context.Background(), h.Session, r)
	if err != nil {
		h.T.Fatal(err)
	}
	c, changed, err := Publish(context.Background(), h.st, store.Candidate{Cause: weft.CauseLoad}, d)
	if err != nil {
		h.T.Fatal(err)
	}
	return c, changed, h.state(r.Table)
}

// state reads a table's rows at the head.
func (h *house) state(table string) []string {
	h.T.Helper()
	snap, err := h.st.Snapshot(context.Background(), 0)
	if err != nil {
		h.T.Fatal(err)
	}
	defer snap.Close()
	rel, err := snap.Relation(table)
	if weft.KindOf(err) == weft.KindNotFound {
		return nil
	}
	if err != nil {
		h.T.Fatal(err)
	}
	return h.Lines(rel.SQL, rel.Sources...)
}

func TestLoads(t *testing.T) {
	const rows = "SELECT range::INTEGER AS id, 'v' || range AS v FROM range(%)"
	all := func(n string) string { return strings.Replace(rows, "%", n, 1) }
	steps := []struct {
		name                       string
		key                        []string
		mode                       contract.Mode
		sql                        string
		op                         weft.TableOp // "" for no commit
		inserted, updated, deleted int64
		total                      int64
	}{
		{"first load", []string{"id"}, "", all("100"), weft.OpReplace, 100, 0, 0, 100},
		{"the same again", []string{"id"}, "", all("100"), "", 0, 0, 0, 100},
		{"the same in another order", []string{"id"}, "", all("100") + " ORDER BY v DESC", "", 0, 0, 0, 100},
		{"one changed, one gone, one new", []string{"id"}, "", "SELECT CASE WHEN id = 5 THEN 500 ELSE id END AS id, CASE WHEN id = 7 THEN 'w' ELSE v END AS v FROM (" + all("100") + ")", weft.OpMerge, 1, 1, 1, 100},
		{"most changed, of few", []string{"id"}, "", "SELECT id, v || '!' AS v FROM (" + all("90") + ")", weft.OpMerge, 1, 89, 11, 90},
		{"an upsert of what is there", []string{"id"}, contract.ModeUpsert, "SELECT 1::INTEGER AS id, 'v1!' AS v", "", 0, 0, 0, 90},
		{"an upsert", []string{"id"}, contract.ModeUpsert, "SELECT * FROM (VALUES (1, 'one'), (1000, 'new')) AS x(id, v)", weft.OpMerge, 1, 1, 0, 91},
		{"another column", []string{"id"}, "", "SELECT id, v, 1 AS more FROM (" + all("10") + ")", weft.OpMerge, 0, 10, 81, 10},
		{"an upsert without the column", []string{"id"}, contract.ModeUpsert, "SELECT * FROM (VALUES (1, 'one'), (1000, 'new')) AS x(id, v)", weft.OpMerge, 1, 1, 0, 11},
		{"a wider column", []string{"id"}, "", "SELECT id, v, 1::BIGINT AS w FROM (SELECT * FROM (VALUES (1, 'one'), (1000, 'new')) AS x(id, v))", weft.OpMerge, 0, 2, 9, 2},
		{"a wider column, the same rows", []string{"id"}, "", "SELECT id, v, 1::DECIMAL(24,2) AS w FROM (SELECT * FROM (VALUES (1, 'one'), (1000, 'new')) AS x(id, v))", weft.OpColumns, 0, 0, 0, 2},
		{"a column in another place", []string{"id"}, "", "SELECT id, 1::DECIMAL(24,2) AS w, v FROM (SELECT * FROM (VALUES (1, 'one'), (1000, 'new')) AS x(id, v))", weft.OpColumns, 0, 0, 0, 2},
		{"a narrower column", []string{"id"}, "", "SELECT id, 1::INTEGER AS w, v FROM (SELECT * FROM (VALUES (1, 'one'), (1000, 'new')) AS x(id, v))", weft.OpReplace, 2, 0, 2, 2},
		{"without it", []string{"id"}, "", "SELECT id, v FROM (SELECT * FROM (VALUES (1, 'one'), (1000, 'new')) AS x(id, v))", weft.OpColumns, 0, 0, 0, 2},
		{"all gone", []string{"id"}, "", all("0"), weft.OpMerge, 0, 0, 2, 0},
		{"many", []string{"id"}, "", all("150000"), weft.OpReplace, 150000, 0, 0, 150000},
		{"many changed, but not most", []string{"id"}, "", "SELECT id, CASE WHEN id < 60000 THEN 'w' ELSE v END AS v FROM (" + all("150000") + ")", weft.OpMerge, 0, 60000, 0, 150000},
		{"most changed", []string{"id"}, "", "SELECT id, 'x' AS v FROM (" + all("140000") + ")", weft.OpReplace, 0, 140000, 10000, 140000},
	}
	h := newHouse(t)
	for _, s := range steps {
		if testing.Short() && s.total > 100_000 {
			continue
		}
		staged := h.Staged(s.mode == "", s.sql)
		want := h.Lines("FROM " + engine.ScanParquet(staged.Files...))
		c, changed, got := h.load(Request{Table: "orders", Key: s.key, Mode: s.mode, Staged: staged})
		if changed != (s.op != "") {
			t.Errorf("%s: a commit: %v", s.name, changed)
		}
		if s.mode == "" && !slices.Equal(got, want) {
			t.Errorf("%s: there is\n%v, not\n%v", s.name, got, want)
		}
		if int64(len(got)) != s.total {
			t.Errorf("%s: %d rows, not %d", s.name, len(got), s.total)
		}
		if !changed {
			continue
		}
		x := c.Tables[0]
		if x.Op != s.op || x.Inserted != s.inserted || x.Updated != s.updated || x.Deleted != s.deleted || x.Rows != s.total {
			t.Errorf("%s: %s, %d in, %d changed, %d gone, %d rows", s.name, x.Op, x.Inserted, x.Updated, x.Deleted, x.Rows)
		}
	}
}

func TestKeylessLoads(t *testing.T) {
	h := newHouse(t)
	steps := []struct {
		name              string
		append            bool
		sqls              []string
		op                weft.TableOp
		inserted, deleted int64
	}{
		{"first load of two files", false, []string{"SELECT 1 AS a, 'x' AS b", "SELECT 1 AS a, 'x' AS b"}, weft.OpReplace, 2, 0},
		{"the same", false, []string{"SELECT 1 AS a, 'x' AS b FROM range(2)"}, "", 0, 0},
		{"one more of the same row", false, []string{"SELECT 1 AS a, 'x' AS b FROM range(3)"}, weft.OpAppend, 1, 0},
		{"one gone and one new", false, []string{"SELECT 1 AS a, 'x' AS b FROM range(2)", "SELECT 2 AS a, NULL::VARCHAR AS b"}, weft.OpReplace, 1, 1},
		{"appended", true, []string{"SELECT 2 AS a, NULL::VARCHAR AS b", "SELECT 3 AS a, 'y' AS b"}, weft.OpAppend, 2, 0},
		{"many appended", true, []string{"SELECT range::INTEGER AS a, 'y' AS b FROM range(60000)"}, weft.OpAppend, 60000, 0},
		{"nothing appended", true, nil, "", 0, 0},
	}
	for _, s := range steps {
		before := h.state("t")
		staged := h.Staged(!s.append, s.sqls...)
		want := []string{}
		if len(staged.Files) > 0 {
			want = h.Lines("FROM " + engine.ScanParquet(staged.Files...))
		}
		if s.append {
			want = append(want, before...)
			slices.Sort(want)
		}
		c, changed, got := h.load(Request{Table: "t", Staged: staged, Mode: contract.ModeAppend})
		if changed != (s.op != "") || !slices.Equal(got, want) {
			t.Errorf("%s: changed %v, %d rows, not %d", s.name, changed, len(got), len(want))
		}
		if changed && (c.Tables[0].Op != s.op || c.Tables[0].Inserted != s.inserted || c.Tables[0].Deleted != s.deleted) {
			t.Errorf("%s: %+v", s.name, c.Tables[0])
		}
	}
}

func TestQuarantine(t *testing.T) {
	h := newHouse(t)
	held := func(rows string) *store.Staged {
		s := h.Staged(false, `SELECT c0 AS "table", c1 AS reason, c2 AS place, c3 AS "row" FROM (VALUES `+rows+`) AS v(c0, c1, c2, c3)`)
		return &s
	}
	steps := []struct {
		name     string
		rows     string // "" for none
		reloaded []string
		changed  bool
		want     []string
	}{
		{"nothing held", "", []string{"a"}, false, nil},
		{"first", "('a', 'bad', 'id=1', '{}'), ('b', 'bad', 'id=2', '{}')", []string{"a"}, true, []string{"a|bad|id=1|{}", "b|bad|id=2|{}"}},
		{"the same of a, which was read again", "('a', 'bad', 'id=1', '{}')", []string{"a"}, false, []string{"a|bad|id=1|{}", "b|bad|id=2|{}"}},
		{"more of b, which only grows", "('b', 'bad', 'id=3', '{}')", []string{"a"}, true, []string{"b|bad|id=2|{}", "b|bad|id=3|{}"}},
		{"b read anew without faults", "", []string{"b"}, true, []string{}},
	}
	for _, s := range steps {
		r := QuarantineRequest{Table: store.QuarantineTable, Reloaded: s.reloaded, Stage: h.Stage}
		if s.rows != "" {
			r.Staged = held(s.rows)
		}
		snap, err := h.st.Snapshot(context.Background(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if rel, err := snap.Relation(store.QuarantineTable); err == nil {
			r.Prior = &rel
		}
		d, err := PlanQuarantine(context.Background(), h.Session, r)
		if err != nil {
			t.Fatal(s.name, err)
		}
		_, changed, err := Publish(context.Background(), h.st, store.Candidate{Cause: weft.CauseLoad}, d)
		snap.Close()
		if err != nil {
			t.Fatal(s.name, err)
		}
		// The very first call makes the first commit, even an empty one.
		if s.name != "nothing held" && changed != s.changed {
			t.Errorf("%s: changed %v", s.name, changed)
		}
		if got := h.state(store.QuarantineTable); !slices.Equal(got, s.want) {
			t.Errorf("%s: held %v, not %v", s.name, got, s.want)
		}
	}
}

// TestReplaceCounts holds that a replacement says what differs, not only that
// all is new.
func TestReplaceCounts(t *testing.T) {
	b := newBench(t)
	d, err := Plan(context.Background(), b.Session, Request{
		Table: "t", Stage: b.Stage, Prior: b.Relation("SELECT range AS a FROM range(10)"),
		Staged: b.Staged(true, "SELECT range AS a FROM range(5, 12)"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if d.Op != weft.OpReplace || d.Inserted != 2 || d.Deleted != 5 || d.FileRows != 7 {
		t.Errorf("%+v", d)
	}
}

// TestNothingIsCommitted where the engine or a staged file is gone.
func TestNothingIsCommitted(t *testing.T) {
	h := newHouse(t)
	staged := h.Staged(true, "SELECT 1 AS a")
	plan := func() (*store.TableData, error) {
		return Plan(context.Background(), h.Session, Request{Table: "t", Staged: staged, Stage: h.Stage})
	}
	d, err := plan()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(staged.Files[0]); err != nil {
		t.Fatal(err)
	}
	if _, changed, err := Publish(context.Background(), h.st, store.Candidate{}, d); err == nil || changed {
		t.Error("a file that is gone was published")
	}
	if _, err := plan(); err == nil {
		t.Error("a file that is gone was planned")
	}
	h.Session.Close()
	if _, err := plan(); err == nil {
		t.Error("a session that is gone planned")
	}
	if h.st.Head().Seq != 0 {
		t.Error("there is a commit")
	}
}

// TestFirstUpsert: also of a first load, the last row of a key counts.
func TestFirstUpsert(t *testing.T) {
	h := newHouse(t)
	staged := h.Staged(false, "SELECT 1 AS k, 'a' AS v", "SELECT 1 AS k, 'b' AS v")
	c, _, got := h.load(Request{Table: "t", Key: []string{"k"}, Mode: contract.ModeUpsert, Staged: staged})
	if !slices.Equal(got, []string{"1|b"}) || c.Tables[0].Rows != 1 {
		t.Error(got, c.Tables)
	}
}

// TestOtherKey replaces a table whose key is not what it was.
func TestOtherKey(t *testing.T) {
	b := newBench(t)
	const rows = "SELECT range AS a, -range AS b FROM range(10)"
	r := Request{Table: "t", Stage: b.Stage, Key: []string{"b"}, PriorKey: []string{"a"}, Prior: b.Relation(rows), Staged: b.Staged(true, rows)}
	d, err := Plan(context.Background(), b.Session, r)
	if err != nil || d == nil || d.Op != weft.OpReplace || d.FileRows != 10 {
		t.Errorf("%+v %v", d, err)
	}
}

// TestSharedFile publishes one staged file as two tables.
func TestSharedFile(t *testing.T) {
	h := newHouse(t)
	staged := h.Staged(true, "SELECT 1 AS a")
	var plans []*store.TableData
	for _, name := range []string{"orders", HiddenName("shop", "orders")} {
		d, err := Plan(context.Background(), h.Session, Request{Table: name, Staged: staged, Stage: h.Stage})
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, d)
	}
	if _, _, err := Publish(context.Background(), h.st, store.Candidate{Cause: weft.CauseLoad}, plans...); err != nil {
		t.Fatal(err)
	}
	if a, b := h.state("orders"), h.state(HiddenName("shop", "orders")); !slices.Equal(a, b) || len(a) != 1 {
		t.Error(a, b)
	}
}

func TestDuplicateKeysAreRefused(t *testing.T) {
	b := newBench(t)
	_, err := Plan(context.Background(), b.Session, Request{
		Table: "t", Key: []string{"k"}, Staged: b.Staged(true, "SELECT 1 AS k, range AS v FROM range(2)"),
		Prior: b.Relation("SELECT 1 AS k, 0::BIGINT AS v"), Stage: b.Stage,
	})
	if weft.KindOf(err) != weft.KindContract || !strings.Contains(err.Error(), "not unique") {
		t.Error(err)
	}
}

// TestHistory holds: whatever is loaded one after the other into a store, the
// head has the rows of the last load, and every commit that was made changed
// something.
func TestHistory(t *testing.T) {
	h := newHouse(t)
	n := 0
	for _, key := range [][]string{{"k", "k2"}, nil} {
		rapid.Check(t, func(rt *rapid.T) {
			n++
			name := fmt.Sprintf("t%d", n)
			var before []string
			for range rapid.IntRange(2, 4).Draw(rt, "loads") {
				staged := h.Staged(true, table(rt, key != nil, "rows"))
				want := h.Lines("FROM " + engine.ScanParquet(staged.Files...))
				_, changed, got := h.load(Request{Table: name, Key: key, Staged: staged})
				if !slices.Equal(got, want) {
					rt.Fatalf("the head has\n%v\nnot\n%v", got, want)
				}
				if before != nil && changed == slices.Equal(before, want) {
					rt.Fatalf("a commit: %v, from\n%v\nto\n%v", changed, before, want)
				}
				before = want
			}
		})
	}
}

// TestUUIDsBecomeTexts loads the same values as another type, which Arrow does
// not tell from it: all rows are the new type's, whichever way the rows come.
func TestUUIDsBecomeTexts(t *testing.T) {
	h := newHouse(t)
	const id = "('00000000-0000-0000-0000-00000000000' || range)"
	for i, as := range []string{"::UUID", "", "::UUID"} {
		staged := h.Staged(true, "SELECT "+id+as+" AS id, "+id+as+" AS v FROM range(5)")
		c, changed, got := h.load(Request{Table: "t", Key: []string{"id"}, Staged: staged})
		if !changed || c.Tables[0].Op != weft.OpReplace || len(got) != 5 {
			t.Fatalf("load %d: changed %v, %+v, %d rows", i, changed, c.Tables, len(got))
		}
		few := h.Staged(false, "SELECT "+id+as+" AS id, "+id+as+" AS v FROM range(4, 7)")
		if c, _, got = h.load(Request{Table: "t", Key: []string{"id"}, Mode: contract.ModeUpsert, Staged: few}); c.Tables[0].Inserted != 2 || len(got) != 7 {
			t.Fatalf("upsert %d: %+v, %v", i, c.Tables, got)
		}
	}
}
