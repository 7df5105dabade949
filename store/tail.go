package store

import (
	"slices"
	"sort"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
)

// blockRows is the least number of rows that an Arrow block of the tail has,
// but for the last ones: a hundred thousand blocks of one row cost seconds a read.
const blockRows = 2000

// tail is rows of a table that are in the journal and in no file yet, in the
// order of their commits. The store's lock guards it. What a view took of it
// stays as it is: blocks, seq and op only grow, and seqTo of a row changes only
// to a Seq above every view that was taken before.
type tail struct {
	schema     *arrow.Schema // of the table
	keys       []int         // positions of the key columns, nil for a keyless table
	blocks     []arrow.RecordBatch
	open       int // blocks from here on are small ones, to be joined
	openRows   int64
	rows       int
	bytes      int64
	seq        []int64
	op         []byte
	seqTo      []int64  // keyed tables only
	last       keyTable // keyed tables only: key → its last row
	pending    []pendingKeys
	firstMerge weft.Seq // 0 where there are appends only
	// closed says that a fold takes all of it: what comes next goes to another.
	closed bool
	read   tailReading
}

func newTail(schema *arrow.Schema, keys []int) *tail {
	return &tail{schema: schema, keys: keys}
}

// rowsIn is what one commit adds to a tail: the table's columns, the op of each
// row and, for keyed tables, each row's encoded key. Rows before an update are
// left out: no cut sees them.
type rowsIn struct {
	rec  arrow.RecordBatch
	op   []byte
	keys *keySet
}

// add appends one batch of a commit.
func (t *tail) add(seq weft.Seq, in rowsIn, merge bool) {
	n := int(in.rec.NumRows())
	if n == 0 {
		return
	}
	if merge && t.firstMerge == 0 {
		t.firstMerge = seq
	}
	t.op = append(t.op, in.op...)
	for range n {
		t.seq = append(t.seq, int64(seq))
	}
	if t.keys != nil {
		t.pending = append(t.pending, pendingKeys{in.keys, int64(seq)})
	}
	t.rows += n
	t.bytes += int64(recordSize(in.rec))
	t.addBlock(in.rec)
}

// pendingKeys are rows of a tail that seqTo and last do not know of yet.
type pendingKeys struct {
	keys *keySet
	seq  int64
}

// catchUp brings seqTo and last up to the rows. A commit does not wait for it:
// it is done while the next one is being synced, or when a view is taken.
func (t *tail) catchUp() {
	for _, p := range t.pending {
		first := t.last.addSet(p.keys)
		for i := range p.keys.len() {
			t.seqTo = append(t.seqTo, seqForever)
			if old, ok := t.last.put(p.keys, i, first+i); ok {
				t.seqTo[old] = p.seq
			}
		}
	}
	t.pending = nil
}

// addBlock keeps blocks large: small ones wait, at most blockRows rows of them,
// until they are joined into one.
func (t *tail) addBlock(rec arrow.RecordBatch) {
	if rec.NumRows() >= blockRows {
		t.seal()
		t.blocks = append(t.blocks, rec)
		t.open = len(t.blocks)
		return
	}
	t.blocks = append(t.blocks, rec)
	t.openRows += rec.NumRows()
	if t.openRows >= blockRows {
		t.seal()
	}
}

func (t *tail) seal() {
	if len(t.blocks)-t.open > 1 {
		// A new slice: views hold the old one.
		t.blocks = append(slices.Clone(t.blocks[:t.open]), joinRecords(t.schema, t.blocks[t.open:]))
	}
	t.open, t.openRows = len(t.blocks), 0
}

// joinRecords makes one batch of many. They are of the same schema, so that
// joining cannot fail but by memory.
func joinRecords(schema *arrow.Schema, recs []arrow.RecordBatch) arrow.RecordBatch {
	if len(recs) == 1 {
		return recs[0]
	}
	cols := make([]arrow.Array, schema.NumFields())
	parts := make([]arrow.Array, len(recs))
	var n int64
	for _, r := range recs {
		n += r.NumRows()
	}
	for c := range cols {
		for i, r := range recs {
			parts[i] = r.Column(c)
		}
		a, err := array.Concatenate(parts, memory.DefaultAllocator)
		if err != nil {
			panic(err) // the schemas were compared when the rows came in
		}
		cols[c] = a
	}
	return array.NewRecordBatch(schema, cols, n)
}

// upTo is the number of rows with a Seq of at most cut.
func (t *tail) upTo(cut weft.Seq) int {
	return sort.Search(len(t.seq), func(i int) bool { return t.seq[i] > int64(cut) })
}

// tailView is the part of a tail that a cut sees. Safe beside the writer.
type tailView struct {
	of     *tail
	blocks []arrow.RecordBatch
	whole  int // blocks before this one are never joined with others again
	rows   int
	cut    weft.Seq
	op     []byte
	seq    []int64
	merges bool
	// firstMerge is the first commit of the tail that is no append, 0 for none.
	firstMerge weft.Seq
}

// view takes the rows up to cut; the store's lock must be held.
func (t *tail) view(cut weft.Seq) tailView {
	t.catchUp()
	n := t.upTo(cut)
	return tailView{
		of: t, blocks: t.blocks, whole: t.open, rows: n, cut: cut, op: t.op[:n:n], seq: t.seq[:n:n],
		merges: t.firstMerge != 0 && t.firstMerge <= cut, firstMerge: t.firstMerge,
	}
}

// records returns the view's rows as blocks of at least blockRows rows but for
// the last.
func (v tailView) records() []arrow.RecordBatch { return v.joined(v.blocks, int64(v.rows)) }

// joined returns the first rows of blocks, small ones put together.
func (v tailView) joined(blocks []arrow.RecordBatch, rows int64) []arrow.RecordBatch {
	var out, small []arrow.RecordBatch
	var smallRows int64
	flush := func() {
		if len(small) > 0 {
			out = append(out, joinRecords(v.of.schema, small))
		}
		small, smallRows = nil, 0
	}
	for _, b := range blocks {
		if rows <= 0 {
			break
		}
		if b.NumRows() > rows {
			b = b.NewSlice(0, rows)
		}
		rows -= b.NumRows()
		if b.NumRows() >= blockRows {
			flush()
			out = append(out, b)
			continue
		}
		small = append(small, b)
		if smallRows += b.NumRows(); smallRows >= blockRows {
			flush()
		}
	}
	flush()
	return out
}
