package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
	"weft/engine"
)

// indexWorld is a store whose table people is written by key and read both ways.
type indexWorld struct {
	t    *testing.T
	e    *testEngine
	rnd  *rand.Rand
	cfg  Config
	s    *Store
	rows map[int64]string
	used int // upserts that the index has answered
}

const indexKeys = 60

// upsert writes random rows by key through the index and commits what it says.
func (w *indexWorld) upsert() {
	w.t.Helper()
	var in []row
	for range 1 + w.rnd.IntN(8) {
		in = append(in, row{w.rnd.Int64N(indexKeys), string(rune('a' + w.rnd.IntN(3)))})
	}
	td, ok, err := w.s.Upsert(context.Background(), w.e.session(w.t), Rows{Table: "people", Schema: people, Batches: []arrow.RecordBatch{batch(in...)}})
	if err != nil {
		w.t.Fatal(err)
	}
	next := maps.Clone(w.rows)
	for _, r := range in {
		next[r.ID] = r.Name
	}
	if ok {
		w.used++
	} else { // as whoever asks would: compare with the table
		td = w.compare(next)
	}
	var inserted, updated int64
	for k, v := range next {
		if old, ok := w.rows[k]; !ok {
			inserted++
		} else if old != v {
			updated++
		}
	}
	if ok && (td.Inserted != inserted || td.Updated != updated || (len(td.Batches) == 0) != (inserted+updated == 0)) {
		w.t.Fatalf("%v on %v: %d inserted, %d updated; want %d, %d", in, w.rows, td.Inserted, td.Updated, inserted, updated)
	}
	if len(td.Batches) > 0 {
		for _, line := range texts(td.Batches[0]) {
			var op, name string
			var id int64
			if _, err := fmt.Sscanf(line, "%1s|%d|%s", &op, &id, &name); err != nil {
				w.t.Fatal(err)
			}
			if op == "b" && w.rows[id] != name {
				w.t.Fatalf("the row before is %q, it was %q", name, w.rows[id])
			}
		}
		mustAppend(w.t, w.s, Candidate{Cause: weft.CauseLoad, Tables: []TableData{td}})
	}
	w.rows = next
}

func (w *indexWorld) compare(next map[int64]string) TableData {
	var rows []opRow
	for _, k := range slices.Sorted(maps.Keys(next)) {
		old, ok := w.rows[k]
		switch {
		case !ok:
			rows = append(rows, opRow{"i", row{k, next[k]}})
		case old != next[k]:
			rows = append(rows, opRow{"b", row{k, old}}, opRow{"u", row{k, next[k]}})
		}
	}
	td := TableData{Table: "people", Op: weft.OpMerge, Schema: people, Key: []string{"id"}}
	if len(rows) > 0 {
		td.Batches = []arrow.RecordBatch{mergeBatch(rows...)}
	}
	return td
}

// other changes the table without the index.
func (w *indexWorld) other() {
	w.t.Helper()
	td := TableData{Table: "people", Schema: people, Key: []string{"id"}}
	switch kind := w.rnd.IntN(6); {
	case kind == 0: // all anew, from a file
		td.Op = weft.OpReplace
		n := 1 + w.rnd.IntN(indexKeys)
		td.File = w.e.stageFile(w.t, fmt.Sprintf("SELECT i AS id, 'r' || i AS name FROM range(%d) t(i)", n))
		w.rows = map[int64]string{}
		for i := range int64(n) {
			w.rows[i] = fmt.Sprint("r", i)
		}
	case kind == 1: // a commit that does not touch it
		mustAppend(w.t, w.s, Candidate{Cause: weft.CauseApply})
		return
	default:
		td.Op = weft.OpMerge
		var rows []opRow
		for _, k := range slices.Sorted(maps.Keys(w.rows)) {
			if w.rnd.IntN(8) == 0 {
				rows = append(rows, opRow{"d", row{k, w.rows[k]}})
				delete(w.rows, k)
			}
		}
		if len(rows) == 0 {
			return
		}
		td.Batches = []arrow.RecordBatch{mergeBatch(rows...)}
	}
	mustAppend(w.t, w.s, Candidate{Cause: weft.CauseLoad, Tables: []TableData{td}})
}

// check holds the index against a full read and the model.
func (w *indexWorld) check() {
	w.t.Helper()
	b := array.NewInt64Builder(memory.DefaultAllocator)
	var want []string
	for k := range int64(indexKeys) {
		b.Append(k)
		if v, ok := w.rows[k]; ok {
			want = append(want, fmt.Sprintf("%d|%s", k, v))
		}
	}
	keys := array.NewRecordBatch(arrow.NewSchema(people.Fields()[:1], nil), []arrow.Array{b.NewArray()}, indexKeys)
	rec, err := lookup(w.s, w.e.session(w.t), "people", keys)
	if err != nil {
		w.t.Fatal(err)
	}
	if got := texts(rec); !slices.Equal(got, want) {
		w.t.Fatalf("the index gives %v, want %v", got, want)
	}
	full, _ := w.e.at(w.t, w.s, 0, "people")
	slices.Sort(want)
	if !slices.Equal(full, want) {
		w.t.Fatalf("the table is %v, want %v", full, want)
	}
}

// lookup gives the rows of keys as the index has them, in the order of the keys;
// a table that has no index yet gets one, and one that is spoiled another.
func lookup(s *Store, sess engine.Session, table string, keys arrow.RecordBatch) (arrow.RecordBatch, error) {
	x := s.index
	x.mu.Lock()
	defer x.mu.Unlock()
	err := errors.New("the index is of no use")
	for range 2 {
		x.saw[table] = math.MaxInt64 / 2
		t, usable := x.use(context.Background(), sess, table)
		if t == nil || usable != nil {
			err = errors.Join(err, usable)
			continue
		}
		var rec arrow.RecordBatch
		if rec, err = x.rowsOf(t, keys); err == nil {
			return rec, nil
		}
		if err := x.failed(context.Background(), err); err != nil {
			return nil, err
		}
	}
	return nil, err
}

func (x *keyIndex) rowsOf(t *indexed, keys arrow.RecordBatch) (arrow.RecordBatch, error) {
	set, err := encodeKeys(keyFields(t.schema, t.keys), keys.Columns())
	if err != nil {
		return nil, err
	}
	out := array.NewRecordBuilder(memory.DefaultAllocator, t.schema)
	for i := range set.len() {
		row, err := x.row(t, set.key(i))
		if err == nil && row != nil {
			err = ofIndex(readRow(row, out.Fields()))
		}
		if err != nil {
			return nil, err
		}
	}
	return out.NewRecordBatch(), nil
}

// spoilIndex does to the folder of a closed store's index what a crash or a disk
// may do, and says what.
func spoilIndex(t testing.TB, rnd *rand.Rand, dir string) string {
	es, err := os.ReadDir(dir)
	if err != nil || len(es) == 0 {
		return "there is no index yet"
	}
	switch rnd.IntN(5) {
	case 0:
		_ = os.RemoveAll(dir)
		return "the index is gone"
	case 4: // the one of an earlier time
		old := dir + ".old"
		if _, err := os.Stat(old); err != nil {
			if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			return "the index is kept for later"
		}
		_ = os.RemoveAll(dir)
		if err := os.Rename(old, dir); err != nil {
			t.Fatal(err)
		}
		return "the index is that of an earlier time"
	case 1: // a file that was lost or cut off
		path := filepath.Join(dir, es[rnd.IntN(len(es))].Name())
		if st, err := os.Stat(path); err == nil && rnd.IntN(2) == 0 {
			_ = os.Truncate(path, rnd.Int64N(st.Size()+1))
			return "a file of the index is cut off"
		}
		_ = os.Remove(path)
		return "a file of the index is gone"
	}
	path := filepath.Join(dir, es[rnd.IntN(len(es))].Name())
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		return "the index stays"
	}
	b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
	_ = os.WriteFile(path, b, 0o600)
	return "a bit of the index turned over"
}

// TestKeyIndex holds the index against full reads after random histories: written
// by key and otherwise, folded, reopened, with its folder deleted and damaged.
func TestKeyIndex(t *testing.T) {
	n := 30
	if testing.Short() {
		n = 8
	}
	used := 0
	e := newEngine(t, t.TempDir())
	for seed, to := seeds(n); seed < to; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(seed), 3))
			w := &indexWorld{t: t, e: e, rnd: rnd, cfg: testConfig(filepath.Join(e.dir, fmt.Sprint("x", seed)), e), rows: map[int64]string{1: "a", 2: "b"}}
			w.cfg.TailRows = 5
			w.s = mustOpen(t, w.cfg)
			mustAppend(t, w.s, change1(weft.OpReplace, batch(row{1, "a"}, row{2, "b"})))
			for range 40 {
				switch k := rnd.IntN(20); {
				case k < 10:
					w.upsert()
				case k < 14:
					w.other()
				case k < 16:
					w.check()
				case k < 17:
					compactNow(t, w.s)
				default:
					if err := w.s.Close(); err != nil {
						t.Fatal(err)
					}
					if rnd.IntN(2) == 0 {
						spoilIndex(t, rnd, w.s.indexPath())
					}
					w.s = mustOpen(t, w.cfg)
				}
			}
			w.check()
			used += w.used
		})
	}
	if used < n {
		t.Errorf("the index has answered %d times: the test says little", used)
	}
}

// TestUpsertOfEveryType sends a row of every type through the index and back, and
// holds that equal rows are no change.
func TestUpsertOfEveryType(t *testing.T) {
	e := newEngine(t, t.TempDir())
	s := mustOpen(t, testConfig(filepath.Join(e.dir, "types"), e))
	td := change1(weft.OpReplace)
	td.Tables[0].Key = []string{"k"}
	sql := `SELECT i AS k, i % 2 = 0 AS b, i::TINYINT AS i8, i::SMALLINT AS i16, i::INTEGER AS i32, i::UTINYINT AS u8, i::USMALLINT AS u16, i::UINTEGER AS u32,
		i::UBIGINT AS u64, (i / 3)::FLOAT AS f, CASE i WHEN 0 THEN 'nan'::DOUBLE WHEN 1 THEN -0.0::DOUBLE ELSE i / 7 END AS d, (i / 3)::DECIMAL(18, 4) AS n, 'x' || i AS s,
		('y' || i)::BLOB AS bin, DATE '2024-01-01' + i::INTEGER AS day, TIMESTAMP '2024-01-01' + INTERVAL (i) SECOND AS ts, TIMESTAMPTZ '2024-01-01 00:00:00+00' AS tz,
		TIME '12:00:00' AS tm, [i, NULL, i + 1] AS l, {'a': i, 'b': ['q', NULL]} AS st, CASE WHEN i % 3 = 0 THEN NULL ELSE i END AS maybe FROM range(50) t(i)`
	td.Tables[0].File = e.stageFile(t, sql)
	read := func(sql string) (recs []arrow.RecordBatch, schema *arrow.Schema) {
		rd, err := e.session(t).Query(context.Background(), Relation{}.statement(sql))
		if err != nil {
			t.Fatal(err)
		}
		defer rd.Release()
		for rd.Next() {
			b := rd.RecordBatch()
			b.Retain()
			recs = append(recs, b)
		}
		if rd.Err() != nil {
			t.Fatal(rd.Err())
		}
		return recs, rd.Schema()
	}
	recs, schema := read(sql)
	td.Tables[0].Schema = schema
	mustAppend(t, s, td)
	keys := array.NewRecordBatch(arrow.NewSchema(schema.Fields()[:1], nil), recs[0].Columns()[:1], recs[0].NumRows())
	got, err := lookup(s, e.session(t), "people", keys)
	if err != nil {
		t.Fatal(err)
	}
	if want := texts(recs[0]); !slices.Equal(texts(got), want) {
		t.Fatalf("the index gives\n%v\nthe table is\n%v", texts(got), want)
	}
	same, _ := read("SELECT * REPLACE (CASE k WHEN 1 THEN 0.0::DOUBLE ELSE d END AS d) FROM (" + sql + ")")
	up, ok, err := s.Upsert(context.Background(), e.session(t), Rows{Table: "people", Schema: schema, Batches: same})
	if err != nil || !ok || len(up.Batches) > 0 {
		t.Fatalf("equal rows are a change: %+v, %v, %v", up, ok, err)
	}
	other, _ := read("SELECT * REPLACE (CASE k WHEN 7 THEN [1::BIGINT] ELSE l END AS l) FROM (" + sql + ")")
	up, ok, err = s.Upsert(context.Background(), e.session(t), Rows{Table: "people", Schema: schema, Batches: other})
	if err != nil || !ok || up.Updated != 1 || up.Inserted != 0 || up.Batches[0].NumRows() != 2 {
		t.Fatalf("one other row is %+v, %v, %v", up, ok, err)
	}
	mustAppend(t, s, Candidate{Cause: weft.CauseLoad, Tables: []TableData{up}})
}

// TestTableOfDoubleKeysHasNoIndex holds that a table whose keys are not unique is
// never written by an index that knows one row of each.
func TestTableOfDoubleKeysHasNoIndex(t *testing.T) {
	e := newEngine(t, t.TempDir())
	s := mustOpen(t, testConfig(filepath.Join(e.dir, "double"), e))
	mustAppend(t, s, change1(weft.OpReplace, batch(row{1, "a"}, row{2, "b"})))
	mustAppend(t, s, change1(weft.OpAppend, batch(row{2, "c"})))
	for range 20 {
		if _, ok, err := s.Upsert(context.Background(), e.session(t), Rows{Table: "people", Schema: people, Batches: []arrow.RecordBatch{batch(row{2, "d"})}}); ok || err != nil {
			t.Fatal(ok, err)
		}
	}
}

// built is a store whose table people has an index, and rows 1 to 20.
func built(t *testing.T, e *testEngine, dir string) (*Store, Config) {
	t.Helper()
	cfg := testConfig(filepath.Join(e.dir, dir), e)
	s := mustOpen(t, cfg)
	var rows []row
	for i := range int64(20) {
		rows = append(rows, row{i, strings.Repeat("n", 100)})
	}
	mustAppend(t, s, change1(weft.OpReplace, batch(rows...)))
	for i := 0; ; i++ {
		if _, ok := one(t, e, s, "x"); ok {
			return s, cfg
		}
		if i > 20 {
			t.Fatal("there is no index")
		}
	}
}

// one upserts row 1.
func one(t *testing.T, e *testEngine, s *Store, name string) (TableData, bool) {
	t.Helper()
	td, ok, err := s.Upsert(context.Background(), e.session(t), Rows{Table: "people", Schema: people, Batches: []arrow.RecordBatch{batch(row{1, name})}})
	if err != nil {
		t.Fatal(err)
	}
	return td, ok
}

// TestIndexIsBounded holds that neither large rows of a commit nor large rows
// before an update are held in memory: the table is read instead.
func TestIndexIsBounded(t *testing.T) {
	e := newEngine(t, t.TempDir())
	s, _ := built(t, e, "bounded")
	s.index.change = 100 // the row before has 100 bytes and a key
	if td, ok := one(t, e, s, "x"); ok {
		t.Errorf("an upsert beyond the bound is %+v", td)
	}
	s.index.change, s.index.commit = 1000, 100
	td, ok := one(t, e, s, strings.Repeat("y", 50))
	if !ok {
		t.Fatal("the index is gone")
	}
	mustAppend(t, s, Candidate{Cause: weft.CauseLoad, Tables: []TableData{td}})
	td, ok = one(t, e, s, strings.Repeat("z", 120))
	if !ok || td.Updated != 1 {
		t.Fatalf("a small commit was not taken in: %+v", td)
	}
	mustAppend(t, s, Candidate{Cause: weft.CauseLoad, Tables: []TableData{td}})
	if td, ok := one(t, e, s, "x"); ok {
		t.Errorf("a commit beyond the bound was taken in: %+v", td)
	}
}

// TestIndexOfAnotherBootIsNotBelieved holds that an index that was written before
// the machine was started anew is made again: whole files of it may be lost, and
// no checksum misses them.
func TestIndexOfAnotherBootIsNotBelieved(t *testing.T) {
	e := newEngine(t, t.TempDir())
	s, cfg := built(t, e, "boot")
	// What such a loss may look like: a row is not there, all else is.
	key := append(rowPrefix("people"), mustKey(t, 1)...)
	if err := s.index.db.Delete(key, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, cfg)
	s.index.boot = "another"
	for i := 0; ; i++ {
		if i > 20 {
			t.Fatal("the index was not made again")
		}
		td, ok := one(t, e, s, "other")
		if ok && (td.Inserted != 0 || td.Updated != 1) {
			t.Fatalf("a row that is there is %+v", td)
		}
		if ok {
			break
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, cfg)
	s.index.boot = "another"
	if td, ok := one(t, e, s, "other"); !ok || td.Updated != 1 {
		t.Errorf("the index of the same boot is not believed: %+v, %v", td, ok)
	}
	if a, b := bootID(), bootID(); a != b || len(a) < 32 {
		t.Errorf("the boot is %q, then %q", a, b)
	}
}

func mustKey(t *testing.T, id int64) []byte {
	t.Helper()
	set, err := keysOf(people, []int{0}, batch(row{id, ""}))
	if err != nil {
		t.Fatal(err)
	}
	return set.key(0)
}

// TestIndexOfAClosedStoreStaysClosed asks an index of a store that was closed
// meanwhile, as when a product is deleted during its load.
func TestIndexOfAClosedStoreStaysClosed(t *testing.T) {
	e := newEngine(t, t.TempDir())
	s, cfg := built(t, e, "closed")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(cfg.Dir); err != nil {
		t.Fatal(err)
	}
	_, ok, err := s.Upsert(context.Background(), e.session(t), Rows{Table: "people", Schema: people, Batches: []arrow.RecordBatch{batch(row{1, "z"})}})
	if ok || err == nil {
		t.Errorf("a closed store answers: %v, %v", ok, err)
	}
	if _, err := os.Stat(cfg.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is there again: %v", err)
	}
}

// failing is a session whose questions fail.
type failing struct{ engine.Session }

func (failing) Query(context.Context, engine.Statement) (array.RecordReader, error) {
	return nil, weft.Errorf(weft.KindLimit, "run the statement", "", "no memory")
}

// TestIndexOutlivesOthersErrors holds that the parts of other tables stay where one
// cannot be made, for a reason that has nothing to do with the index.
func TestIndexOutlivesOthersErrors(t *testing.T) {
	e := newEngine(t, t.TempDir())
	s, _ := built(t, e, "outlives")
	other := change1(weft.OpReplace, batch(row{1, "a"}))
	other.Tables[0].Table = "others"
	mustAppend(t, s, other)
	rows := Rows{Table: "others", Schema: people, Batches: []arrow.RecordBatch{batch(row{1, "b"})}}
	for range 20 {
		if _, ok, err := s.Upsert(context.Background(), failing{}, rows); ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if _, ok := one(t, e, s, "y"); !ok {
		t.Error("the index of a table is gone because another one could not be made")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	rows.Table = "people"
	mustAppend(t, s, change1(weft.OpAppend, batch(row{50, "b"})))
	if _, ok, err := s.Upsert(ctx, e.session(t), rows); !ok && weft.KindOf(err) != weft.KindCancelled {
		t.Fatal(ok, err)
	}
	if _, ok := one(t, e, s, "y"); !ok {
		t.Error("the index is gone because a load was cancelled")
	}
	if err := s.index.db.Close(); err != nil { // whatever is asked of it fails now
		t.Fatal(err)
	}
	if _, ok := one(t, e, s, "y"); ok {
		t.Error("an index that cannot be read answers")
	}
	for i := 0; ; i++ {
		if _, ok := one(t, e, s, "y"); ok {
			return
		}
		if i > 20 {
			t.Fatal("there is no index any more")
		}
	}
}
