package store

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/sign"
)

// copying is an origin and the copy that is made of it, without a network between.
type copying struct {
	t      testing.TB
	engine *testEngine
	origin *Store
	key    sign.Key
	dir    string // of the copy
	copy   *Store
}

// kept is a word that only the origin's hidden table has.
const kept = "nobody-else-may-see-this"

func newCopying(t testing.TB) *copying {
	t.Helper()
	root := memoryDir(t)
	c := &copying{t: t, engine: newEngine(t, root), key: sign.NewKey(), dir: filepath.Join(root, "copy", "store")}
	c.origin = mustOpen(t, testConfig(filepath.Join(root, "origin"), c.engine))
	return c
}

func offered(table string) bool { return table == "people" }

// hide adds a hidden table and one that is not offered to a commit, with a position
// and the evidence of an input.
func hide(c Candidate) Candidate {
	for _, td := range []TableData{{Table: "_input.people", Hidden: true}, {Table: "former"}} {
		td.Op, td.Schema, td.Key = weft.OpAppend, people, nil
		td.Batches = []arrow.RecordBatch{batch(row{1, kept})}
		c.Tables = append([]TableData{td}, c.Tables...)
	}
	c.Positions = weft.Positions{"files": []byte(`"` + kept + `"`)}
	c.Verdict = &weft.Verdict{Pass: true, Checks: []weft.CheckResult{
		{ID: "a", Table: "files.people", Value: kept}, {ID: "b", Table: "people", Text: "ids are whole"}, {ID: "c", Table: "former", Value: kept},
	}}
	return c
}

// arrival is a commit as the origin sends it; its files are staged beside the copy.
func (c *copying) arrival(seq weft.Seq) Arrival {
	c.t.Helper()
	raw, err := c.origin.Raw(seq, offered)
	if err != nil {
		c.t.Fatal(err)
	}
	told, err := Tell(raw.Commit, c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	a := Arrival{Told: told, Schemas: raw.Schemas, Blocks: raw.Blocks, Files: map[string]string{}}
	for _, t := range raw.Commit.Tables {
		for _, f := range t.Files {
			a.Files[f.Name] = filepath.Join(c.engine.dir, "stage", f.Name)
			c.fetch(f.Name, seq, a.Files[f.Name])
		}
	}
	return a
}

// fetch copies a file of the origin.
func (c *copying) fetch(name string, seq weft.Seq, to string) {
	c.t.Helper()
	f, err := c.origin.File(c.t.Context(), name, seq, offered)
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Bytes))
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// begin lays the copy out from what the origin offers now, and opens it.
func (c *copying) begin() {
	c.t.Helper()
	o, err := c.origin.Offer(offered)
	if err != nil {
		c.t.Fatal(err)
	}
	cp, err := ReadOffer(o.Manifest, product, c.origin.journal.id)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(c.dir, "files"), 0o700); err != nil {
		c.t.Fatal(err)
	}
	for _, f := range cp.Files {
		c.fetch(f.Name, 0, FilePath(c.dir, f.Name))
	}
	var first *Arrival
	if cp.Point.Seq > 0 {
		a := c.arrival(cp.Point.Seq)
		first = &a
	}
	if err := LayOut(c.dir, cp, first); err != nil {
		c.t.Fatal(err)
	}
	c.open()
	if err := c.copy.CheckCopy(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

func (c *copying) open() {
	c.t.Helper()
	c.copy = mustOpen(c.t, testConfig(c.dir, c.engine))
}

// follow takes all commits that the copy does not have.
func (c *copying) follow() {
	c.t.Helper()
	for seq := c.copy.Head().Seq + 1; seq <= c.origin.Head().Seq; seq++ {
		if _, err := c.copy.Take(c.t.Context(), c.arrival(seq)); err != nil {
			c.t.Fatalf("commit %s: %v", seq, err)
		}
	}
}

// same holds that both have one head, and the same rows at every commit that the copy
// keeps.
func (c *copying) same(when string) {
	c.t.Helper()
	if a, b := c.origin.Head(), c.copy.Head(); a != b {
		c.t.Fatalf("%s: the origin is at %+v, the copy at %+v", when, a, b)
	}
	for seq := max(c.copy.Oldest(), 1); seq <= c.origin.Head().Seq; seq++ {
		want, _ := c.engine.at(c.t, c.origin, seq, "people")
		got, _ := c.engine.at(c.t, c.copy, seq, "people")
		if !slices.Equal(got, want) {
			c.t.Errorf("%s, at %s: %v, at the origin %v", when, seq, got, want)
		}
	}
	for _, t := range c.copy.tableNames() {
		if t != "people" {
			c.t.Errorf("%s: the copy has table %q", when, t)
		}
	}
}

// keepsToItself holds that nothing of what stays at the origin is in the copy's files.
func (c *copying) keepsToItself() {
	c.t.Helper()
	err := filepath.WalkDir(filepath.Dir(c.dir), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, word := range []string{kept, "_input.people", "former"} {
			if bytes.Contains(b, []byte(word)) {
				c.t.Errorf("%s holds %q", path, word)
			}
		}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *copying) append(cands ...Candidate) {
	c.t.Helper()
	for _, x := range cands {
		mustAppend(c.t, c.origin, hide(x))
	}
}

func (c *copying) fold(s *Store) {
	c.t.Helper()
	if err := s.Compact(c.t.Context(), true); err != nil {
		c.t.Fatal(err)
	}
}

// TestCopy makes a copy of every form that a product's data has: begun before the
// first commit, from a checkpoint with and without changes, over bulk commits, folds of
// either side and restarts. It has the origin's chain, its rows at every commit, and
// nothing that stays at the origin.
func TestCopy(t *testing.T) {
	for _, begin := range []string{"before the first commit", "at a checkpoint without changes", "at a checkpoint with changes", "behind a checkpoint"} {
		t.Run(begin, func(t *testing.T) {
			c := newCopying(t)
			if begin == "before the first commit" {
				c.begin()
			}
			file := c.engine.stageFile(t, "SELECT CAST(range AS BIGINT) AS id, 'p' || range AS name FROM range(100)")
			c.append(
				Candidate{Cause: weft.CauseLoad, Tables: []TableData{{Table: "people", Op: weft.OpAppend, Schema: people, Key: []string{"id"}, File: file}}},
				change1(weft.OpMerge, mergeBatch(opRow{"b", row{1, "p1"}}, opRow{"u", row{1, "Ann"}}, opRow{"d", row{2, "p2"}}, opRow{"i", row{200, "Bob"}})),
			)
			if begin == "at a checkpoint without changes" {
				c.fold(c.origin)
				c.begin()
			}
			c.append(change1(weft.OpMerge, mergeBatch(opRow{"d", row{200, "Bob"}}, opRow{"i", row{201, "Cy"}})))
			if begin == "at a checkpoint with changes" {
				c.fold(c.origin)
				c.append(change1(weft.OpMerge, mergeBatch(opRow{"i", row{202, "Di"}})))
				c.fold(c.origin)
				c.begin()
			}
			c.append(change1(weft.OpAppend, batch(row{300, "Ed"}, row{301, "Flo"})))
			if begin == "behind a checkpoint" {
				c.begin()
			}
			c.follow()
			c.same("followed")
			c.fold(c.copy)
			c.same("folded")
			c.append(change1(weft.OpReplace, batch(row{1, "Gil"})), change1(weft.OpAppend, batch(row{2, "Hal"})))
			c.fold(c.origin)
			c.follow()
			c.same("replaced")
			if err := c.copy.Close(); err != nil {
				t.Fatal(err)
			}
			if f := Verify(c.dir); len(f) > 0 {
				t.Errorf("the folder of the copy: %v", f)
			}
			c.keepsToItself()
			c.open()
			c.append(change1(weft.OpAppend, batch(row{3, "Ida"})))
			c.follow()
			c.same("opened again")
			if _, err := c.copy.Append(t.Context(), change1(weft.OpAppend, batch(row{4, "Joe"}))); weft.KindOf(err) != weft.KindConflict {
				t.Errorf("a commit of one's own in a copy: %v", err)
			}
			if _, err := c.origin.Take(t.Context(), c.arrival(1)); weft.KindOf(err) != weft.KindConflict {
				t.Errorf("a commit of another's in an origin: %v", err)
			}
		})
	}
}

// TestCopyOfARestore: a copy that is begun from a product that was restored knows the
// chain before.
func TestCopyOfARestore(t *testing.T) {
	c := newCopying(t)
	c.append(change1(weft.OpAppend, batch(row{1, "Ann"})), change1(weft.OpAppend, batch(row{2, "Bob"})))
	c.begin()
	c.follow()
	dir, head := c.origin.cfg.Dir, c.origin.Head()
	m, length := c.origin.manifest, c.origin.journal.active().end
	_ = c.origin.Close()
	if err := Revive(dir, "", m, head, 1, length, 0); err != nil {
		t.Fatal(err)
	}
	c.origin = mustOpen(t, testConfig(dir, c.engine))
	c.append(change1(weft.OpAppend, batch(row{3, "Cy"})))
	if _, err := c.copy.Take(t.Context(), c.arrival(3)); weft.KindOf(err) != weft.KindConflict || !strings.Contains(err.Error(), "incarnation 2") {
		t.Errorf("the commit of another incarnation: %v", err)
	}
	_ = c.copy.Close()
	if err := RemoveCopy(filepath.Dir(c.dir)); err != nil {
		t.Fatal(err)
	}
	c.begin()
	c.follow()
	c.same("begun again")
	_ = c.copy.Close()
	if f := Verify(c.dir); len(f) > 0 {
		t.Errorf("the folder of the copy: %v", f)
	}
}

// TestCopyHoldsEveryByte changes each part of what comes: nothing of it is taken.
func TestCopyHoldsEveryByte(t *testing.T) {
	c := newCopying(t)
	c.append(change1(weft.OpAppend, batch(row{1, "Ann"})))
	c.begin()
	c.follow()
	file := c.engine.stageFile(t, "SELECT CAST(range AS BIGINT) AS id, 'p' || range AS name FROM range(100, 110)")
	other := c.engine.stageFile(t, "SELECT CAST(range AS BIGINT) AS id, 'p' || range AS name FROM range(100, 109)")
	c.append(
		change1(weft.OpMerge, mergeBatch(opRow{"b", row{1, "Ann"}}, opRow{"u", row{1, "Bob"}}, opRow{"i", row{2, "Cy"}})),
		Candidate{Cause: weft.CauseLoad, Tables: []TableData{{Table: "people", Op: weft.OpAppend, Schema: people, Key: []string{"id"}, File: file}}},
	)
	head := c.copy.Head()
	refused := func(what string, a Arrival) {
		t.Helper()
		if _, err := c.copy.Take(t.Context(), a); err == nil || c.copy.Head() != head {
			t.Fatalf("%s: %v, the head is %v", what, err, c.copy.Head())
		}
	}
	good := c.arrival(2)
	for part, pick := range map[string]func(*Arrival) *[]byte{
		"told": func(a *Arrival) *[]byte { return &a.Told }, "schema": func(a *Arrival) *[]byte { return &a.Schemas[0] },
		"block": func(a *Arrival) *[]byte { return &a.Blocks[0] },
	} {
		whole := *pick(&good)
		for i := range whole {
			a := Arrival{Told: good.Told, Schemas: slices.Clone(good.Schemas), Blocks: slices.Clone(good.Blocks)}
			wrong := slices.Clone(whole)
			wrong[i] ^= 0x40
			*pick(&a) = wrong
			refused(fmt.Sprintf("%s, byte %d", part, i), a)
			*pick(&a) = whole[:i]
			refused(fmt.Sprintf("%s of %d bytes", part, i), a)
		}
	}
	refused("no block", Arrival{Told: good.Told, Schemas: good.Schemas})
	refused("no schema", Arrival{Told: good.Told, Blocks: good.Blocks})
	refused("a block twice", Arrival{Told: good.Told, Schemas: good.Schemas, Blocks: append(slices.Clone(good.Blocks), good.Blocks...)})
	refused("the commit after the next", c.arrival(3))
	raw, _ := c.origin.Raw(2, offered)
	for what, change := range map[string]func(*weft.Commit){
		"another commit before": func(x *weft.Commit) { x.Previous[0]++ },
		"another product":       func(x *weft.Commit) { x.Product.Product = "others" },
		"another incarnation":   func(x *weft.Commit) { x.Incarnation++ },
		"an earlier time":       func(x *weft.Commit) { x.Time = head.Time },
		"a hidden table":        func(x *weft.Commit) { x.Tables[0].Hidden = true },
		"other counts":          func(x *weft.Commit) { x.Tables[0].Inserted++ },
		"no way to change":      func(x *weft.Commit) { x.Tables[0].Op = "drop" },
		"another key":           func(x *weft.Commit) { x.Tables[0].Key = []string{"name"} },
		"no key":                func(x *weft.Commit) { x.Tables[0].Key = nil },
		"positions":             func(x *weft.Commit) { x.Positions = weft.Positions{"a": []byte("1")} },
	} {
		x := raw.Commit
		x.Tables = slices.Clone(x.Tables)
		change(&x)
		told, err := Tell(x, c.key) // the origin itself says it
		if err != nil {
			t.Fatal(err)
		}
		refused(what, Arrival{Told: told, Schemas: good.Schemas, Blocks: good.Blocks})
	}
	if _, err := c.copy.Take(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	head = c.copy.Head()
	bulk := c.arrival(3)
	name := raw.Commit.Tables[0].Table
	for n, path := range bulk.Files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		refused("no file", Arrival{Told: bulk.Told, Schemas: bulk.Schemas})
		refused("a file of fewer rows", Arrival{Told: bulk.Told, Schemas: bulk.Schemas, Files: map[string]string{n: other}})
		if err := os.WriteFile(path, b[:len(b)/2], 0o600); err != nil {
			t.Fatal(err)
		}
		refused("half a file of "+name, bulk)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.copy.Take(t.Context(), bulk); err != nil {
		t.Fatal(err)
	}
	c.same("in the end")
}

// TestCopyCannotReachHiddenFiles: a file of a table that is not offered is not given,
// under whichever name of a commit it is asked for.
func TestCopyCannotReachHiddenFiles(t *testing.T) {
	c := newCopying(t)
	cand := change1(weft.OpAppend, batch(row{1, "Ann"}))
	cand.Tables = append(cand.Tables, TableData{Table: "_input.people", Hidden: true, Op: weft.OpAppend, Schema: people, File: c.engine.stageFile(t, "SELECT 1::BIGINT AS id, 'x' AS name")})
	commit := mustAppend(t, c.origin, cand)
	name := commit.Tables[1].Files[0].Name
	for _, seq := range []weft.Seq{0, 1} {
		if f, err := c.origin.File(t.Context(), name, seq, offered); weft.KindOf(err) != weft.KindGone {
			t.Errorf("at %s: %v, %v", seq, f, err)
		}
	}
	raw, err := c.origin.Raw(1, offered)
	if err != nil || len(raw.Commit.Tables) != 1 || len(raw.Blocks) != 1 {
		t.Errorf("%+v, %v", raw.Commit, err)
	}
	c.fold(c.origin)
	o, err := c.origin.Offer(offered)
	if err != nil || strings.Contains(string(o.Manifest), "_input") || !slices.Equal(o.Tables, []string{"people"}) {
		t.Errorf("%s, %v", o.Manifest, err)
	}
}

func FuzzTake(f *testing.F) {
	c := &copying{t: f, key: sign.NewKey(), origin: mustOpen(f, testConfig(f.TempDir()))}
	c.append(change1(weft.OpAppend, batch(row{1, "Ann"})), change1(weft.OpMerge, mergeBatch(opRow{"d", row{1, "Ann"}}, opRow{"i", row{2, "Bob"}})))
	for seq := weft.Seq(1); seq <= 2; seq++ {
		a := c.arrival(seq)
		f.Add(a.Told[toldPrefix:], a.Schemas[0], a.Blocks[0])
	}
	f.Fuzz(func(t *testing.T, header, schema, block []byte) {
		// What is signed may be anything: the origin itself may mean harm.
		hash := sign.Digest(header)
		by := c.key.ID()
		told := slices.Concat(hash[:], by[:], c.key.Sign(toldContext, hash[:], header), header)
		a := Arrival{Told: told, Schemas: [][]byte{schema}, Blocks: [][]byte{block}}
		_, _, _ = a.read()
		if sc, err := foreignSchema(schema); err == nil && checkBatchMessage(block) == nil {
			rec, err := decodeBlock(schema, append(make([]byte, blockPrefix), block...))
			if err == nil && sc != nil {
				func() {
					defer func() { _ = recovered(nil, recover()) }()
					_ = holdRows(rec)
				}()
			}
		}
	})
}

func FuzzReadOffer(f *testing.F) {
	schema, err := encodeSchema(people)
	if err != nil {
		f.Fatal(err)
	}
	m := &manifest{
		ID: "a", Product: product, Incarnation: 1, Oldest: 3, Copy: true, Checkpoint: checkpoint{Seq: 3, Hash: weft.Hash{1}},
		Tables: []manifestTable{{Name: "people", Rows: 2, Spans: []manifestSpan{{From: 1, Schema: schema, Key: []string{"id"}, Files: []*dataFile{
			{Name: "a.parquet", Form: formChange, First: 1, Last: 3, Rows: 2, Bytes: 9, Hash: weft.Hash{2}},
		}}}}},
	}
	offer, err := encodeManifest(m)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := ReadOffer(offer, product, "a"); err != nil {
		f.Fatal(err)
	}
	f.Add(offer, schema)
	f.Fuzz(func(t *testing.T, b, schema []byte) {
		_, _ = ReadOffer(b, product, "a")
		again := *m
		again.Tables = slices.Clone(m.Tables)
		again.Tables[0].Spans = []manifestSpan{{From: 1, Schema: schema}}
		if b, err := encodeManifest(&again); err == nil {
			_, _ = ReadOffer(b, product, "a")
		}
	})
}
