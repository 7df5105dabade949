package store

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/engine"
	"weft/store/goldentest"
)

// writeGolden makes the golden folders of the current format anew. It is for
// the day on which a format version comes: what a released version wrote is
// never written again.
//
//	go test ./store ./node -run TestGolden -golden v2
var writeGolden = flag.String("golden", "", "write golden folders of this name (v2) instead of reading them")

const goldenDir = "testdata/golden"

// goldenStores are the folders that are kept of every version: what makes each.
var goldenStores = []struct {
	name string
	make func(t *testing.T, e *testEngine, dir string)
}{
	{"full", goldenFull},
	{"kept", goldenKept},
}

// TestGolden reads what every version of the format wrote: each cut and each
// change is what it was, before and after this program has written to it.
func TestGolden(t *testing.T) {
	root := t.TempDir()
	e := newEngine(t, root)
	if *writeGolden != "" {
		for _, g := range goldenStores {
			dir := filepath.Join(root, g.name)
			g.make(t, e, dir)
			to := filepath.Join(goldenDir, *writeGolden)
			if err := os.MkdirAll(to, 0o755); err != nil {
				t.Fatal(err)
			}
			goldentest.Pack(t, dir, filepath.Join(to, g.name+".tar.zst"))
			text := "What the golden folder " + g.name + " of format " + *writeGolden + " holds: every cut that is kept, and every change.\n" + goldenText(t, e, dir)
			if err := os.WriteFile(filepath.Join(to, g.name+".txt"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	archives, err := filepath.Glob(filepath.Join(goldenDir, "*", "*.tar.zst"))
	if err != nil || len(archives) < 2 {
		t.Fatal(archives, err)
	}
	for _, archive := range archives {
		name := strings.TrimSuffix(archive, ".tar.zst")
		if filepath.Base(name) == "node" {
			continue // package node reads it
		}
		t.Run(filepath.Base(filepath.Dir(name))+"/"+filepath.Base(name), func(t *testing.T) {
			b, err := os.ReadFile(name + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			_, want, _ := strings.Cut(string(b), "\n")
			dir := filepath.Join(root, strings.ReplaceAll(filepath.ToSlash(name), "/", "-"))
			goldentest.Unpack(t, archive, dir)
			if f := Verify(dir); len(f) != 0 {
				t.Fatal(f)
			}
			sameText(t, "as it was written", goldenText(t, e, dir), want)
			goldenGoesOn(t, e, dir, want)
		})
	}
}

// goldenGoesOn commits to a golden folder and folds it: what was there stays.
func goldenGoesOn(t *testing.T, e *testEngine, dir, want string) {
	s := mustOpen(t, goldenConfig(e, dir))
	head := s.Head().Seq
	mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"i", row{777, "Zoe"}})))
	compactNow(t, s)
	mustAppend(t, s, change1(weft.OpAppend, batch(row{778, "Zed"})))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if f := Verify(dir); len(f) != 0 {
		t.Fatal(f)
	}
	got := goldenText(t, e, dir)
	// The new commits are behind what was there.
	var old []string
	for _, l := range strings.SplitAfter(got, "\n#") {
		var seq weft.Seq
		if _, err := fmt.Sscanf(strings.TrimPrefix(l, "#"), "%d", &seq); err == nil && seq > head {
			break
		}
		old = append(old, l)
	}
	got = strings.TrimSuffix(strings.Join(old, ""), "#")
	sameText(t, "after new commits and a fold", got, want)
}

func sameText(t *testing.T, what, got, want string) {
	t.Helper()
	g, w := strings.Split(strings.TrimSpace(got), "\n"), strings.Split(strings.TrimSpace(want), "\n")
	for i := range max(len(g), len(w)) {
		switch {
		case i >= len(g):
			t.Fatalf("%s, line %d is missing: %s", what, i+1, w[i])
		case i >= len(w):
			t.Fatalf("%s, line %d is too much: %s", what, i+1, g[i])
		case g[i] != w[i]:
			t.Fatalf("%s, line %d is\n%s\nwant\n%s", what, i+1, g[i], w[i])
		}
	}
}

// goldenConfig opens a golden folder at a time at which nothing in it is old.
func goldenConfig(e *testEngine, dir string) Config {
	cfg := testConfig(dir, e)
	cfg.Env.Clock = &step{t: time.Date(2024, 1, 2, 0, 0, 0, 0, time.UTC)}
	return cfg
}

// goldenText says all that a folder holds, by commit.
func goldenText(t *testing.T, e *testEngine, dir string) string {
	t.Helper()
	s := mustOpen(t, goldenConfig(e, dir))
	defer func() { _ = s.Close() }()
	var b strings.Builder
	head := s.Head()
	fmt.Fprintf(&b, "%s id %s incarnation %d oldest %d\n", head.Product, head.ID, head.Incarnation, uint64(s.Oldest()))
	for _, h := range s.Holds() {
		fmt.Fprintf(&b, "hold %s\n", h)
	}
	changes := goldenChanges(t, s)
	for seq := max(s.Oldest(), 1); seq <= head.Seq; seq++ {
		c, err := s.Commit(seq)
		if err != nil {
			t.Fatal(err)
		}
		header, err := json.Marshal(struct {
			Contract, Folder weft.Hash
			Revision         string
			Positions        weft.Positions
			Verdict          *weft.Verdict
		}{c.Contract, c.Folder, c.Revision, c.Positions, c.Verdict})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "\n#%d %s %s %s\n  %s\n", uint64(seq), c.Hash, c.Time.Format(time.RFC3339Nano), c.Cause, header)
		for _, l := range changes[seq] {
			fmt.Fprintf(&b, "  change %s\n", l)
		}
		snap, err := s.Snapshot(context.Background(), seq)
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range snap.Tables() {
			rel, err := snap.Relation(info.Table)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "  table %s, hidden %v, key %v, %d rows\n", info.Table, info.Hidden, info.Key, info.Rows)
			for _, l := range e.plainRows(t, rel, info) {
				fmt.Fprintf(&b, "    %s\n", l)
			}
		}
		_ = snap.Close()
	}
	return b.String()
}

// goldenChanges are the changes that followers are given, by commit, as lines.
func goldenChanges(t *testing.T, s *Store) map[weft.Seq][]string {
	out := map[weft.Seq][]string{}
	if s.Oldest() == s.Head().Seq {
		return out
	}
	for c, err := range s.Follow(context.Background(), s.Oldest()) {
		if err != nil {
			t.Fatal(err)
		}
		seq := c.Commit.Seq
		for _, tr := range c.Tables {
			out[seq] = append(out[seq], fmt.Sprintf("%s %s", tr.Op, tr.Table))
			for _, rec := range tr.Batches {
				for _, l := range texts(rec) {
					out[seq] = append(out[seq], "  "+l)
				}
			}
		}
		if seq == s.Head().Seq && !c.More {
			break
		}
	}
	return out
}

// plainRows are the rows of a relation as the engine spells them, sorted.
func (e *testEngine) plainRows(t testing.TB, r Relation, info TableInfo) []string {
	t.Helper()
	var cols []string
	for _, f := range info.Schema.Fields() {
		cols = append(cols, "coalesce("+engine.QuoteIdent(f.Name)+"::VARCHAR, 'NULL')")
	}
	r.SQL = "SELECT concat_ws('|', " + strings.Join(cols, ", ") + ") FROM (" + r.SQL + ")"
	return e.rows(t, r)
}

// goldenFull is a product with every kind of file and frame, and all cuts kept.
func goldenFull(t *testing.T, e *testEngine, dir string) {
	s := mustOpen(t, testConfig(dir, e))
	s.journal.max = 6000
	goldenTypes(t, e, s)
	goldenPeople(t, e, s)
	sh := newShapes(t, e)
	for i, kind := range []int{0, 6, 0, 6, 1, 6, 3, 6, 2, 4, 6} {
		mustAppend(t, s, sh.step(kind))
		if i == 5 {
			compactNow(t, s)
		}
	}
	if err := s.Hold("audit", 5); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for name := range filesBelow(t, dir) {
		kinds[filepath.Dir(name)] = true
	}
	b, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		t.Fatal(err)
	}
	m, err := decodeManifest("manifest", b)
	if err != nil {
		t.Fatal(err)
	}
	for _, mt := range m.Tables {
		for i, sp := range mt.Spans {
			if i > 0 {
				kinds["spans"] = true
			}
			for _, f := range sp.Files {
				kinds[string(f.Form)] = true
			}
		}
	}
	kinds["history"] = len(m.History) > 0
	for _, k := range []string{"journal", "files", "rows", "change", "spans", "history"} {
		if !kinds[k] {
			t.Errorf("the golden folder has no %s", k)
		}
	}
}

// goldenTypes commits a table of all types, and what a header can say.
func goldenTypes(t *testing.T, e *testEngine, s *Store) {
	schema, batches := e.query(t, allTypes)
	td := TableData{Table: "types", Op: weft.OpAppend, Schema: schema, Key: []string{"id"}, Batches: batches}
	mustAppend(t, s, Candidate{
		Cause: weft.CauseApply, Contract: weft.Hash{1, 2, 3}, Folder: weft.Hash{4, 5, 6}, Revision: "3fa9c2+",
		Positions: weft.Positions{"shop": json.RawMessage(`{"files":["a.csv"],"lsn":"0/16B3748"}`)},
		Verdict: &weft.Verdict{Pass: true, Quarantined: 1, Checks: []weft.CheckResult{{
			ID: "types.id.required", Table: "types", Column: "id", Kind: "required", Text: "id is there", Severity: weft.SeverityError, Pass: true, Total: 3,
		}}},
		Tables: []TableData{td, {
			Table: QuarantineTable, Hidden: true, Op: weft.OpAppend, Schema: goldenQuarantine(t, e),
			Batches: goldenRows(t, e, "SELECT 'types' AS \"table\", 'id: is missing' AS reason, 'a.csv:3' AS place, '{\"id\":null}' AS row"),
		}},
	})
	mustAppend(t, s, Candidate{Cause: weft.CauseApply}) // a commit without rows
	// The same types from a staged file, with the engine's own spelling of them.
	td.Op, td.Batches, td.File = weft.OpReplace, nil, e.stageFile(t, allTypes+" WHERE id < 3")
	mustAppend(t, s, Candidate{Cause: weft.CauseCode, Tables: []TableData{td}})
}

const goldenQuarantineSQL = "SELECT '' AS \"table\", '' AS reason, '' AS place, '' AS row"

func goldenQuarantine(t *testing.T, e *testEngine) *arrow.Schema {
	schema, _ := e.query(t, goldenQuarantineSQL)
	return schema
}

func goldenRows(t *testing.T, e *testEngine, sql string) []arrow.RecordBatch {
	_, bs := e.query(t, sql)
	return bs
}

// goldenPeople commits in every way that there is, with folds in between.
func goldenPeople(t *testing.T, e *testEngine, s *Store) {
	bulk := func(op weft.TableOp, sql string, ins, upd, del int64) {
		c := change1(op)
		c.Tables[0].File = e.stageFile(t, sql)
		if op == weft.OpMerge {
			c.Tables[0].Inserted, c.Tables[0].Updated, c.Tables[0].Deleted = ins, upd, del
		}
		mustAppend(t, s, c)
	}
	many := func(from, n int64) []row {
		var rs []row
		for i := range n {
			rs = append(rs, row{from + i, "n" + itoa(from+i)})
		}
		return rs
	}
	mustAppend(t, s, change1(weft.OpAppend, batch(row{1, "Ada"}, row{2, "Bob"}, row{3, "Cyd"})))
	mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"d", row{2, "Bob"}}, opRow{"b", row{3, "Cyd"}}, opRow{"u", row{3, "Dan"}}, opRow{"i", row{4, "Eve"}})))
	events := TableData{Table: "events", Op: weft.OpAppend, Schema: people, Batches: []arrow.RecordBatch{batch(row{1, "in"}, row{1, "in"})}}
	mustAppend(t, s, Candidate{Cause: weft.CauseLoad, Tables: []TableData{events}})
	bulk(weft.OpAppend, "SELECT 100 + i AS id, 'bulk' || i AS name FROM range(8) t(i)", 0, 0, 0)
	bulk(weft.OpMerge, "SELECT * FROM (VALUES ('b', 100::BIGINT, 'bulk0'), ('u', 100, 'B0'), ('d', 101, 'bulk1'), ('i', 200, 'new')) t(_op, id, name)", 1, 1, 1)
	compactNow(t, s) // bulk files become history
	mustAppend(t, s, change1(weft.OpReplace, batch(many(1000, 40)...)))
	mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"d", row{1001, "n1001"}}, opRow{"b", row{1002, "n1002"}}, opRow{"u", row{1002, "x"}})))
	compactNow(t, s) // a change file
	for i := range int64(6) {
		mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"b", row{1010 + i, "n" + itoa(1010+i)}}, opRow{"u", row{1010 + i, "y"}}, opRow{"i", row{1100 + i, "z"}})))
	}
	compactNow(t, s) // a new base
	events.Op, events.Batches = weft.OpReplace, []arrow.RecordBatch{batch(row{9, "out"})}
	mustAppend(t, s, Candidate{Cause: weft.CauseRollback, Tables: []TableData{events}})
	bulk(weft.OpAppend, "SELECT 2000 + i AS id, 'late' || i AS name FROM range(4) t(i)", 0, 0, 0)
	bulk(weft.OpMerge, "SELECT * FROM (VALUES ('d', 2000::BIGINT, 'late0')) t(_op, id, name)", 0, 0, 1)
	mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"b", row{2001, "late1"}}, opRow{"u", row{2001, "last"}})))
}

// goldenKept is a product of which retention has let go of the first commits.
func goldenKept(t *testing.T, e *testEngine, dir string) {
	cfg := testConfig(dir, e)
	clock := cfg.Env.Clock.(*step)
	clock.t = clock.t.Add(-72 * time.Hour)
	cfg.KeepFor = 24 * time.Hour
	s := mustOpen(t, cfg)
	s.journal.max = 1000
	mustAppend(t, s, Candidate{Tables: []TableData{{Table: "still", Schema: people, Op: weft.OpAppend, Batches: []arrow.RecordBatch{batch(row{5, "old"})}}}})
	for i := range 4 {
		mustAppend(t, s, change1(weft.OpReplace, batch(row{int64(i), "Ada"})))
	}
	compactNow(t, s)
	clock.t = clock.t.Add(71 * time.Hour)
	mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"i", row{77, "Bob"}})))
	compactNow(t, s)
	mustAppend(t, s, change1(weft.OpAppend, batch(row{78, "Cyd"})))
	if s.Oldest() == 0 {
		t.Error("the golden folder keeps everything")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(goldenFiles(t, dir), func(n string) bool { return n != "journal/"+segmentName(1) }) {
		t.Error("no segment was dropped")
	}
}

func goldenFiles(t *testing.T, dir string) []string {
	var out []string
	for n := range filesBelow(t, dir) {
		out = append(out, n)
	}
	return out
}
