package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
	"weft/engine"
	"weft/records"
	"weft/run"
	"weft/store"
)

func TestMain(m *testing.M) {
	if engine.IsWorker() {
		os.Exit(engine.Work())
	}
	os.Exit(m.Run())
}

// house is a data folder with one product, without a node around it.
type house struct {
	t     testing.TB
	data  string
	pool  *engine.Pool
	s     *store.Store
	books *records.Books
	name  weft.Name
	id    string
}

func newHouse(t testing.TB) *house { return newHouseOf(t, "0123456789abcdef") }

func newHouseOf(t testing.TB, id string) *house {
	t.Helper()
	h := &house{t: t, data: filepath.Join(t.TempDir(), "data"), pool: engine.NewPool(engine.PoolConfig{}, run.Quiet()), id: id}
	h.name = weft.Name{Domain: "sales", Product: "people"}
	t.Cleanup(h.pool.Close)
	h.must(os.MkdirAll(h.data, 0o700))
	h.must(os.WriteFile(filepath.Join(h.data, "token"), []byte("weft_secret\n"), 0o600))
	h.open()
	p := records.Product{ID: h.id, Name: h.name, Folder: weft.Hash{1}, Applied: time.Unix(1, 0)}
	h.must(h.books.PutProduct(context.Background(), p, []byte("archive")))
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("%v (%s)", err, weft.HintOf(err))
	}
}

func (h *house) open() {
	h.t.Helper()
	var err error
	h.s, err = store.Open(context.Background(), store.Config{
		Dir: filepath.Join(h.data, "products", h.id), ID: h.id, Product: h.name,
		TailRows: 200, Sessions: h.pool, Temp: h.t.TempDir(), Env: run.Quiet(),
	})
	h.must(err)
	h.books, err = records.Open(context.Background(), filepath.Join(h.data, "books.db"))
	h.must(err)
	h.t.Cleanup(h.close)
}

func (h *house) close() {
	h.must(errors.Join(h.s.Close(), h.books.Close()))
}

func (h *house) source() Source {
	return Source{
		Node: "test", Version: "test", Data: h.data, Whole: true, Now: time.Now, Books: h.books.CopyTo,
		Products: []func(context.Context) (*store.Image, error){h.s.Image},
	}
}

func (h *house) save(dir string, opt Options) *State {
	h.t.Helper()
	st, err := Save(context.Background(), dir, h.source(), opt)
	h.must(err)
	return st
}

var people = arrow.NewSchema([]arrow.Field{
	{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "name", Type: arrow.BinaryTypes.String},
}, nil)

// commit appends n invented rows, or replaces the table by them.
func (h *house) commit(op weft.TableOp, from, n int64) weft.Commit {
	h.t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, people)
	for i := from; i < from+n; i++ {
		b.Field(0).(*array.Int64Builder).Append(i)
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("person %d", i))
	}
	c, err := h.s.Append(context.Background(), store.Candidate{Cause: weft.CauseLoad, Folder: weft.Hash{1}, Tables: []store.TableData{{
		Table: "people", Op: op, Schema: people, Key: []string{"id"}, Batches: []arrow.RecordBatch{b.NewRecordBatch()},
	}}})
	h.must(err)
	return c
}

// sum reads a table at a commit: rows and what they add up to.
func sum(t testing.TB, pool *engine.Pool, s *store.Store, dir string, seq weft.Seq) string {
	t.Helper()
	ctx := context.Background()
	snap, err := s.Snapshot(ctx, seq)
	if err != nil {
		t.Fatalf("%s: %v", seq, err)
	}
	defer func() { _ = snap.Close() }()
	r, err := snap.Relation("people")
	if weft.KindOf(err) == weft.KindNotFound {
		return "none"
	}
	if err != nil {
		t.Fatal(err)
	}
	sess, err := pool.Session(ctx, engine.SessionConfig{Name: "test", Read: []string{dir}, Memory: 256 << 20, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sess.Close() }()
	rd, err := sess.Query(ctx, engine.Statement{SQL: "SELECT count(*), sum(id), max(name) FROM (" + r.SQL + ")", Sources: r.Sources})
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Release()
	if !rd.Next() {
		t.Fatal(rd.Err())
	}
	b := rd.RecordBatch()
	return b.Column(0).ValueStr(0) + " " + b.Column(1).ValueStr(0) + " " + b.Column(2).ValueStr(0)
}

func (h *house) sum(seq weft.Seq) string { return sum(h.t, h.pool, h.s, h.data, seq) }

// restore puts a state into a new folder and opens its product.
func (h *house) restore(dir, state string, clone bool) (*house, *Restored) {
	h.t.Helper()
	to := filepath.Join(h.t.TempDir(), "data")
	r, err := Restore(context.Background(), dir, to, RestoreOptions{State: state, Clone: clone, Env: run.Quiet()})
	h.must(err)
	o := &house{t: h.t, data: to, pool: h.pool, name: h.name, id: r.Products[0].ID}
	o.open()
	return o, r
}

// A history of commits, folds and backups: every state gives back every commit
// that was kept, and going on from it is a chain of its own.
func TestEveryStateComesBack(t *testing.T) {
	h := newHouse(t)
	dir := filepath.Join(t.TempDir(), "backup")
	rnd := rand.New(rand.NewPCG(1, 2))
	answers := map[weft.Seq]string{}
	var states []*State
	next := int64(0)
	for step := range 40 {
		switch n := rnd.Int64N(10); {
		case n < 6:
			h.commit(weft.OpAppend, next, 1+rnd.Int64N(120))
			next += 120
		case n == 6:
			h.commit(weft.OpReplace, next, 50)
			next += 120
		case n == 7:
			h.must(h.s.Compact(t.Context(), true))
		default:
			states = append(states, h.save(dir, Options{}))
		}
		if head := h.s.Head().Seq; head > 0 && answers[head] == "" {
			answers[head] = h.sum(head)
		}
		if step == 20 {
			h.close()
			h.open()
		}
	}
	if len(states) < 4 {
		t.Fatalf("only %d states were saved", len(states))
	}
	if f, err := verify(t, dir); err != nil || len(f) > 0 {
		t.Fatalf("%v %v", f, err)
	}
	for _, st := range states {
		o, r := h.restore(dir, st.ID, false)
		at := st.Products[0].Point
		for seq := weft.Seq(1); seq <= at.Seq; seq++ {
			if got := o.sum(seq); got != answers[seq] {
				t.Errorf("state %s: %s is %s, was %s", st.ID, seq, got, answers[seq])
			}
		}
		if at.Seq == 0 {
			continue
		}
		head := r.Products[0]
		if head.Seq != at.Seq+1 || head.Incarnation != at.Incarnation+1 {
			t.Errorf("after %v the head is %v", at, head)
		}
		c, ok := o.s.Last()
		if !ok || c.Cause != weft.CauseRestore || c.From == nil || c.From.Hash != at.Hash || c.Previous != at.Hash {
			t.Errorf("the first commit of the new incarnation is %+v", c.Header)
		}
		if st == states[len(states)-1] { // it goes on, folds, and is whole
			o.commit(weft.OpAppend, 1<<20, 300)
			want := o.sum(0)
			o.must(o.s.Compact(t.Context(), true))
			o.close()
			if f := store.Verify(filepath.Join(o.data, "products", o.id)); len(f) > 0 {
				t.Error(f)
			}
			o.open()
			if got := o.sum(0); got != want {
				t.Errorf("after going on it is %s, was %s", got, want)
			}
			again := o.save(dir, Options{}) // beside the states of the incarnation before
			o2, _ := o.restore(dir, again.ID, false)
			if got := o2.sum(0); got != want {
				t.Errorf("restored once more it is %s, was %s", got, want)
			}
			if l := again.Products[0].Lineage; len(l) != 1 || l[0].Hash != at.Hash {
				t.Errorf("its lineage is %v", l)
			}
		}
	}
}

func verify(t testing.TB, dir string) ([]store.Finding, error) {
	t.Helper()
	r, err := Verify(context.Background(), dir)
	if err != nil {
		return nil, err
	}
	if len(r.Findings) == 0 && (r.States == 0 || r.Files == 0) {
		t.Errorf("the check saw %d states and %d files", r.States, r.Files)
	}
	return r.Findings, nil
}

// sizes gives the bytes of every file below dir.
func sizes(t testing.TB, dir string) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		i, err := e.Info()
		out[path] = i.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A second backup copies what is new and nothing else, counted in bytes.
func TestOnlyWhatIsNewIsCopied(t *testing.T) {
	h := newHouse(t)
	dir := filepath.Join(t.TempDir(), "backup")
	h.commit(weft.OpAppend, 0, 5000)
	h.must(h.s.Compact(t.Context(), true))
	first := h.save(dir, Options{})
	before := sizes(t, dir)
	again := h.save(dir, Options{})
	if again.Copied > 0 {
		t.Errorf("an unchanged product cost %d of %d bytes", again.Copied, again.Bytes)
	}
	for path, n := range sizes(t, dir) {
		if before[path] == 0 && !strings.Contains(path, "/states/") && n > 0 {
			t.Errorf("%s is new with %d bytes", path, n)
		}
	}
	segment := filepath.Join(h.data, "products", h.id, "journal", "000001.weftj")
	was := sizes(t, filepath.Dir(segment))[segment]
	h.commit(weft.OpAppend, 10000, 3)
	grown := sizes(t, filepath.Dir(segment))[segment] - was
	third := h.save(dir, Options{})
	if third.Copied != grown {
		t.Errorf("%d bytes of the journal are new and %d were copied (of %d at first)", grown, third.Copied, first.Copied)
	}
	if g := third.Products[0].Segments[0]; len(g.Pieces) != 2 {
		t.Errorf("the segment has the pieces %v", g.Pieces)
	}
}

// Many small backups do not make a state's list of pieces long.
func TestPiecesAreJoined(t *testing.T) {
	h := newHouse(t)
	dir := filepath.Join(t.TempDir(), "backup")
	var last *State
	for i := range maxPieces + 3 {
		h.commit(weft.OpAppend, int64(i), 1)
		last = h.save(dir, Options{Keep: 2})
	}
	if n := len(last.Products[0].Segments[0].Pieces); n > maxPieces {
		t.Errorf("there are %d pieces", n)
	}
	if f, err := verify(t, dir); err != nil || len(f) > 0 {
		t.Fatalf("%v %v", f, err)
	}
	o, _ := h.restore(dir, "", false)
	if got, want := o.sum(0), h.sum(0); got != want {
		t.Errorf("it is %s, was %s", got, want)
	}
}

// With keep, old states and what only they needed go; the others stay whole.
func TestOldStatesGo(t *testing.T) {
	h := newHouse(t)
	dir := filepath.Join(t.TempDir(), "backup")
	for i := range int64(5) {
		h.commit(weft.OpReplace, i*1000, 2000)
		h.must(h.s.Compact(t.Context(), true))
		h.save(dir, Options{Keep: 2})
	}
	all, _, err := States(dir)
	h.must(err)
	if len(all) != 2 {
		t.Fatalf("%d states are kept", len(all))
	}
	named := map[string]bool{}
	for _, s := range all {
		s.names(func(rel string) { named[filepath.Join(dir, rel)] = true })
	}
	for path := range sizes(t, dir) {
		if (strings.Contains(path, "/products/") || strings.Contains(path, "/blobs/")) && !named[path] {
			t.Errorf("%s is of no state", path)
		}
	}
	for _, s := range all {
		o, _ := h.restore(dir, s.ID, false)
		if got, want := o.sum(s.Products[0].Point.Seq), h.sum(s.Products[0].Point.Seq); got != want {
			t.Errorf("state %s is %s, was %s", s.ID, got, want)
		}
	}
}

// A backup that breaks off, anywhere, leaves the states before as they were,
// and the next one succeeds.
func TestBrokenOffBackup(t *testing.T) {
	h := newHouse(t)
	dir := filepath.Join(t.TempDir(), "backup")
	h.commit(weft.OpAppend, 0, 2000)
	good := h.save(dir, Options{})
	want := h.sum(good.Products[0].Point.Seq)
	h.commit(weft.OpReplace, 5000, 3000)
	h.must(h.s.Compact(t.Context(), true))
	h.commit(weft.OpAppend, 9000, 10)
	broken := errors.New("broken off")
	for n := range 4 {
		ctx, cancel := context.WithCancelCause(t.Context())
		src := h.source()
		if n == 0 {
			src.Books = func(context.Context, string) error { return broken }
		}
		left := n
		_, err := Save(ctx, dir, src, Options{Keep: 1, Progress: func(Progress) {
			if left--; left == 0 {
				cancel(broken)
			}
		}})
		cancel(nil)
		if err == nil && n < 3 {
			t.Fatalf("backup %d did not break off", n)
		}
		if err == nil {
			break
		}
		all, _, err := States(dir)
		h.must(err)
		if len(all) != 1 || all[0].ID != good.ID {
			t.Fatalf("after backup %d broke off there are %d states", n, len(all))
		}
		if f, err := verify(t, dir); err != nil || len(f) > 0 {
			t.Fatalf("%v %v", f, err)
		}
		o, _ := h.restore(dir, "", false)
		if got := o.sum(good.Products[0].Point.Seq); got != want {
			t.Errorf("it is %s, was %s", got, want)
		}
	}
	// What it had copied as a whole is not copied again, unless it is damaged.
	h.commit(weft.OpReplace, 20000, 3000)
	h.must(h.s.Compact(t.Context(), true))
	src := h.source()
	src.Books = func(context.Context, string) error { return broken }
	if _, err := Save(t.Context(), dir, src, Options{}); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	m, err := h.s.Image(t.Context())
	h.must(err)
	m.Close()
	fresh := m.Files[len(m.Files)-1]
	copied := filepath.Join(dir, filePath(h.id, fresh.Name))
	was, err := os.Stat(copied)
	h.must(err)
	damaged := filepath.Join(t.TempDir(), "damaged")
	h.must(os.CopyFS(damaged, os.DirFS(dir)))
	h.save(dir, Options{})
	if is, err := os.Stat(copied); err != nil || !os.SameFile(was, is) {
		t.Errorf("the file is another one, %v", err)
	}
	h.must(os.WriteFile(filepath.Join(damaged, filePath(h.id, fresh.Name)), make([]byte, fresh.Bytes), 0o600))
	h.save(damaged, Options{})
	if f, err := verify(t, damaged); err != nil || len(f) > 0 {
		t.Fatalf("%v %v", f, err)
	}
	// What a torn write left behind the recorded end is written over.
	seg := good.Products[0].Segments[0]
	path := filepath.Join(dir, seg.path())
	h.must(os.Truncate(path, seg.end()))
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	h.must(err)
	_, err = f.WriteString("torn")
	h.must(errors.Join(err, f.Close()))
	h.save(dir, Options{})
	if f, err := verify(t, dir); err != nil || len(f) > 0 {
		t.Fatalf("%v %v", f, err)
	}
	o, _ := h.restore(dir, "", false)
	if got, want := o.sum(0), h.sum(0); got != want {
		t.Errorf("it is %s, was %s", got, want)
	}
}

// Damage of the node's data does not get into a backup, damage of a backup does
// not get out of it; both are named.
func TestDamage(t *testing.T) {
	h := newHouse(t)
	dir := filepath.Join(t.TempDir(), "backup")
	h.commit(weft.OpAppend, 0, 5000)
	h.must(h.s.Compact(t.Context(), true))
	st := h.save(dir, Options{})
	for _, rel := range []string{
		filePath(h.id, st.Products[0].Files[0].Name), st.Products[0].Segments[0].path(),
		st.Products[0].Manifest.path(), st.Books.path(), "states/" + st.ID + ".json",
	} {
		path := filepath.Join(dir, rel)
		whole, err := os.ReadFile(path)
		h.must(err)
		bad := bytes.Clone(whole)
		bad[len(bad)/2] ^= 4
		h.must(os.WriteFile(path, bad, 0o600))
		f, err := verify(t, dir)
		if err != nil || len(f) != 1 || f[0].File != rel {
			t.Errorf("%s: %v %v", rel, f, err)
		}
		to := filepath.Join(t.TempDir(), "data")
		if _, err := Restore(t.Context(), dir, to, RestoreOptions{Env: run.Quiet()}); weft.KindOf(err) != weft.KindCorrupt {
			t.Errorf("%s is damaged and the restore says %v", rel, err)
		}
		for _, left := range []string{to, to + ".restoring"} {
			if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a restore that failed left %s", left)
			}
		}
		h.must(os.WriteFile(path, whole, 0o600))
	}
	// A data file of the node.
	other := filepath.Join(t.TempDir(), "other")
	name := st.Products[0].Files[0].Name
	path := filepath.Join(h.data, "products", h.id, "files", name)
	whole, err := os.ReadFile(path)
	h.must(err)
	whole[len(whole)/2] ^= 1
	h.must(os.WriteFile(path, whole, 0o600))
	if _, err := Save(t.Context(), other, h.source(), Options{}); weft.KindOf(err) != weft.KindCorrupt || !strings.Contains(err.Error(), name) {
		t.Errorf("a damaged data file: %v", err)
	}
	if all, _, err := States(other); err != nil || len(all) > 0 {
		t.Errorf("%d states, %v", len(all), err)
	}
}

// Two chains under one name are noticed wherever they meet.
func TestForks(t *testing.T) {
	h := newHouse(t)
	dir := filepath.Join(t.TempDir(), "backup")
	h.commit(weft.OpAppend, 0, 10)
	h.commit(weft.OpAppend, 10, 10)
	back := h.save(dir, Options{})

	// A copy of the folder, made without a word, goes its own way.
	h.close()
	copied := &house{t: t, data: filepath.Join(t.TempDir(), "copy"), pool: h.pool, name: h.name, id: h.id}
	h.must(os.CopyFS(copied.data, os.DirFS(h.data)))
	h.open()
	copied.open()
	h.commit(weft.OpAppend, 20, 1)
	copied.commit(weft.OpAppend, 30, 2)
	ours, theirs := h.s.Head(), copied.s.Head()
	if err := h.s.Same(ours.Incarnation, ours.Seq, ours.Hash[:8]); err != nil {
		t.Error(err)
	}
	if err := h.s.Same(theirs.Incarnation, theirs.Seq, theirs.Hash[:8]); weft.KindOf(err) != weft.KindConflict || !strings.Contains(err.Error(), "fork") {
		t.Errorf("a cut of the other chain: %v", err)
	}
	for _, err := range h.s.FollowFrom(t.Context(), theirs) {
		if weft.KindOf(err) != weft.KindConflict || !strings.Contains(err.Error(), "fork") {
			t.Errorf("a follower of the other chain: %v", err)
		}
	}
	h.save(dir, Options{})
	if _, err := Save(t.Context(), dir, copied.source(), Options{}); weft.KindOf(err) != weft.KindConflict || !strings.Contains(err.Error(), "fork") {
		t.Errorf("a backup of the other chain beside this one's: %v", err)
	}

	// An old copy in the place of the data, without a restore.
	h.commit(weft.OpAppend, 40, 1)
	h.save(dir, Options{})
	late := h.s.Head()
	if err := copied.s.Same(late.Incarnation, late.Seq, late.Hash[:8]); weft.KindOf(err) != weft.KindConflict || !strings.Contains(err.Error(), "older than the cut") {
		t.Errorf("a cut of a later commit: %v", err)
	}

	// A restore says what it lost; what is shared still answers.
	o, _ := h.restore(dir, back.ID, false)
	shared := back.Products[0].Point
	if err := o.s.Same(shared.Incarnation, shared.Seq, shared.Hash[:8]); err != nil {
		t.Errorf("a cut that both chains share: %v", err)
	}
	err := o.s.Same(ours.Incarnation, ours.Seq, ours.Hash[:8])
	if weft.KindOf(err) != weft.KindConflict || !strings.Contains(err.Error(), "restored at "+shared.Seq.String()) {
		t.Errorf("a cut of a commit that was lost: %v", err)
	}
	for _, err := range o.s.FollowFrom(t.Context(), ours) {
		if weft.KindOf(err) != weft.KindConflict {
			t.Errorf("a follower that has seen what was lost: %v", err)
		}
	}
	for c, err := range o.s.FollowFrom(t.Context(), shared) {
		if err != nil || c.Commit.Cause != weft.CauseRestore || c.Commit.From.Hash != shared.Hash {
			t.Errorf("a follower at the shared head gets %+v, %v", c.Commit.Header, err)
		}
		break
	}
	if f, err := verify(t, dir); err != nil || len(f) > 0 {
		t.Errorf("%v %v", f, err)
	}

	// The same state restored twice: two second incarnations.
	twin, _ := h.restore(dir, back.ID, false)
	o.save(dir, Options{})
	if _, err := Save(t.Context(), dir, twin.source(), Options{}); weft.KindOf(err) != weft.KindConflict {
		t.Errorf("a backup of the twin: %v", err)
	}
	apart := filepath.Join(t.TempDir(), "apart")
	twin.save(apart, Options{})
	all, _, err := States(apart)
	h.must(err)
	b, err := all[0].encode()
	h.must(err)
	h.must(os.WriteFile(filepath.Join(dir, "states", all[0].ID+".json"), b, 0o600))
	f, err := verify(t, dir)
	if err != nil || !slices.ContainsFunc(f, func(x store.Finding) bool { return strings.Contains(x.Message, "a fork") }) {
		t.Errorf("two chains in one folder: %v %v", f, err)
	}
}

// A clone has the rows, products of its own, and nobody's keys.
func TestClone(t *testing.T) {
	h := newHouse(t)
	dir := filepath.Join(t.TempDir(), "backup")
	h.must(h.books.PutToken(t.Context(), records.Token{Name: "ci", Scopes: []string{"apply"}, Created: time.Unix(1, 0)}, weft.Hash{7}))
	h.commit(weft.OpAppend, 0, 500)
	h.must(h.s.Compact(t.Context(), true))
	h.commit(weft.OpAppend, 500, 5)
	st := h.save(dir, Options{})
	o, r := h.restore(dir, st.ID, true)
	if r.Keys || o.id == h.id {
		t.Errorf("keys %v, id %s", r.Keys, o.id)
	}
	if _, err := os.Stat(filepath.Join(o.data, "token")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the clone has the original's token")
	}
	ps, err := o.books.Products(t.Context())
	h.must(err)
	if len(ps) != 1 || ps[0].ID != o.id || !ps[0].Paused {
		t.Errorf("the clone's products are %+v", ps)
	}
	if ts, err := o.books.Tokens(t.Context()); err != nil || len(ts) > 0 {
		t.Errorf("the clone knows the tokens %v, %v", ts, err)
	}
	if got, want := o.sum(0), h.sum(0); got != want {
		t.Errorf("it is %s, was %s", got, want)
	}
	o.commit(weft.OpAppend, 1000, 300)
	o.must(o.s.Compact(t.Context(), true))
	o.close()
	if f := store.Verify(filepath.Join(o.data, "products", o.id)); len(f) > 0 {
		t.Error(f)
	}
	o.open()
	o.save(filepath.Join(t.TempDir(), "of the clone"), Options{})
	if st := o.save(dir, Options{}); st.Products[0].Point.ID != o.id { // two products: no fork
		t.Error(st.Products[0].Point)
	}
}

// What must not be done is refused before anything is.
func TestRefusals(t *testing.T) {
	h := newHouse(t)
	h.commit(weft.OpAppend, 0, 1)
	full := t.TempDir()
	h.must(os.WriteFile(filepath.Join(full, "letter.txt"), nil, 0o600))
	if _, err := Save(t.Context(), full, h.source(), Options{}); weft.KindOf(err) != weft.KindConflict {
		t.Errorf("a backup into somebody's folder: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "backup")
	h.save(dir, Options{NoKeys: true})
	if _, err := Restore(t.Context(), dir, full, RestoreOptions{Env: run.Quiet()}); weft.KindOf(err) != weft.KindConflict {
		t.Errorf("a restore over something: %v", err)
	}
	if _, err := Restore(t.Context(), dir, filepath.Join(full, "x"), RestoreOptions{State: "1999", Env: run.Quiet()}); weft.KindOf(err) != weft.KindNotFound {
		t.Errorf("a state that is not there: %v", err)
	}
	if _, _, err := States(full); weft.KindOf(err) != weft.KindNotFound {
		t.Errorf("states of a folder that is no backup: %v", err)
	}
	_, r := h.restore(dir, "", false)
	if r.Keys {
		t.Error("keys came out of a backup without them")
	}
	for path := range sizes(t, dir) {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, st.Mode())
		}
	}
	there, link := filepath.Join(t.TempDir(), "there"), filepath.Join(t.TempDir(), "link")
	h.must(errors.Join(os.Mkdir(there, 0o700), os.Symlink(there, link)))
	if _, err := Restore(t.Context(), dir, link, RestoreOptions{Env: run.Quiet()}); err != nil {
		t.Errorf("a restore through a link: %v", err)
	}
	if _, err := os.Stat(filepath.Join(there, "books.db")); err != nil {
		t.Error(err)
	}
	lock := &saver{touched: map[string]bool{}}
	h.must(lock.begin(dir))
	defer lock.end()
	if _, err := Save(t.Context(), dir, h.source(), Options{}); weft.KindOf(err) != weft.KindConflict {
		t.Errorf("two backups at once: %v", err)
	}
}
