package store

import (
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft/engine"
)

// shareFrom is how many bytes of a tail's blocks that are in no shared memory yet
// a question is given as a copy before they are laid out for all questions.
const shareFrom = 1 << 20

// tailReading is what questions make of a tail, once for all that come after:
// its keys as a set, and its blocks laid out for workers. It follows the tail
// when a question comes, so that a commit does not wait for it.
type tailReading struct {
	mu     sync.Mutex
	keys   *engine.KeySet
	keyed  int            // rows whose keys are in it
	still  *engine.KeySet // what questions are given of keys
	stills int            // rows whose keys are in still
	shared []*engine.Shared
	blocks int // that are in shared
}

// keysOf encodes the keys of a batch that has the columns of a table.
func keysOf(s *arrow.Schema, keys []int, rec arrow.RecordBatch) (*keySet, error) {
	cols := make([]arrow.Array, len(keys))
	for i, k := range keys {
		cols[i] = rec.Column(k)
	}
	return encodeKeys(keyFields(s, keys), cols)
}

// keyWidth is the length of every encoded key of a table, 0 where they differ.
func keyWidth(s *arrow.Schema, keys []int) int {
	none, err := keysOf(s, keys, array.NewRecordBatch(s, emptyColumns(s), 0))
	if err != nil {
		panic(err) // the key's types were checked when the table was made
	}
	return none.width
}

func emptyColumns(s *arrow.Schema) []arrow.Array {
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	defer b.Release()
	return b.NewRecordBatch().Columns()
}

// keySet returns the keys of the view's rows, and perhaps of later ones, each with
// the Seq of its first change in the tail. Workers may read it while the tail grows.
func (v tailView) keySet(seed uint64) *engine.KeySet {
	r := &v.of.read
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.keys == nil {
		r.keys = engine.NewKeySet(keyWidth(v.of.schema, v.of.keys), seed)
	}
	at := 0
	for _, b := range v.blocks {
		n := int(b.NumRows())
		if from, to := max(r.keyed-at, 0), min(n, v.rows-at); from < to {
			keys, err := keysOf(v.of.schema, v.of.keys, b.NewSlice(int64(from), int64(to)))
			if err != nil {
				panic(err) // they were encoded once before
			}
			for i := range to - from {
				if r.keys, err = r.keys.Add(keys.key(i), v.seq[at+from+i]); err != nil {
					panic(err) // more keys than a tail can have
				}
			}
		}
		at += n
	}
	r.keyed = max(r.keyed, v.rows)
	if r.still == nil || r.stills != r.keyed {
		r.still, r.stills = r.keys.Still(), r.keyed
	}
	return r.still
}

// source gives the view's rows; live, where it is not nil, becomes a column.
func (v tailView) source(name string, live []byte) engine.Source {
	src := engine.Source{Name: name, Schema: v.of.schema, Rows: int64(v.rows)}
	if live != nil {
		src.Mark, src.Marks = columnLive, live
	}
	rest, rows := v.share(&src)
	src.Batches = v.joined(rest, rows)
	return src
}

// share takes the blocks that are in shared memory, puts more there when they
// have become many, and returns those that are not with the number of rows that
// are still wanted of them.
func (v tailView) share(src *engine.Source) ([]arrow.RecordBatch, int64) {
	r := &v.of.read
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.blocks < v.whole {
		var size int
		for _, b := range v.blocks[r.blocks:v.whole] {
			size += recordSize(b)
		}
		if size >= shareFrom {
			// Where it fails, memory or files are short: then they are copied.
			if sh, err := engine.Share(v.of.schema, v.larger(v.blocks[r.blocks:v.whole])); err == nil {
				r.shared, r.blocks = append(r.shared, sh), v.whole
			}
		}
	}
	rows := int64(v.rows)
	for _, sh := range r.shared {
		if rows > 0 {
			src.Shared = append(src.Shared, sh)
			rows -= sh.Rows()
		}
	}
	if rows <= 0 { // only then there may be more in shared than the view has blocks
		return nil, 0
	}
	return v.blocks[r.blocks:], rows
}

// larger puts blocks together: each costs a question some microseconds.
func (v tailView) larger(blocks []arrow.RecordBatch) []arrow.RecordBatch {
	var out, some []arrow.RecordBatch
	size := 0
	for _, b := range blocks {
		if n := recordSize(b); len(some) > 0 && size+n > shareFrom {
			out, some, size = append(out, joinRecords(v.of.schema, some)), nil, 0
		}
		some = append(some, b)
		size += recordSize(b)
	}
	return append(out, joinRecords(v.of.schema, some))
}

// live says of each row whether it is its key's last one at the cut and no
// delete, a bit a row. The store's lock must be held.
func (v tailView) live() []byte {
	bits := make([]byte, (v.rows+7)/8)
	for i := range v.rows {
		if v.of.seqTo[i] > int64(v.cut) && v.op[i] != 'd' {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	return bits
}
