package store

import (
	"bytes"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"weft"
)

// rowCheck holds the rows of one change of one table: ops that are known, each
// key at most once, an update's two rows together.
type rowCheck struct {
	ch     *change
	td     TableData
	seen   *keyTable // nil where a key may come twice
	before []byte    // key of a "b" whose "u" has not come yet
	open   bool
	row    int64
}

func newRowCheck(ch *change, td TableData) *rowCheck {
	c := &rowCheck{ch: ch, td: td}
	if ch.keys != nil {
		c.seen = &keyTable{}
	}
	return c
}

// rows checks one batch and counts its changes. The batch has _op first where
// the change is a merge.
func (c *rowCheck) rows(b arrow.RecordBatch) (rowsIn, error) {
	n := int(b.NumRows())
	in := rowsIn{op: make([]byte, n)}
	shift := 0
	if c.td.Op == weft.OpMerge {
		shift = 1
		ops := b.Column(0).(*array.String)
		for i := range n {
			if v := ops.Value(i); ops.IsValid(i) && len(v) == 1 {
				in.op[i] = v[0]
			}
		}
	} else {
		for i := range in.op {
			in.op[i] = 'i'
		}
	}
	first := 0
	if c.ch.keys != nil {
		cols := make([]arrow.Array, len(c.ch.keys))
		for i, k := range c.ch.keys {
			cols[i] = b.Column(k + shift)
		}
		var err error
		if in.keys, err = encodeKeys(keyFields(c.ch.schema, c.ch.keys), cols); err != nil {
			return in, invalid(c.td.Table, "%v", err).WithHint("key columns are never null")
		}
		if c.seen != nil {
			first = c.seen.addSet(in.keys)
		}
	}
	for i := range n {
		c.row++
		if err := c.one(in, i, first+i); err != nil {
			return in, err
		}
	}
	return in, nil
}

// one checks and counts one row.
func (c *rowCheck) one(in rowsIn, i, row int) error {
	op := in.op[i]
	var key []byte
	if in.keys != nil {
		key = in.keys.key(i)
	}
	if c.open != (op == 'u') || c.open && !bytes.Equal(c.before, key) {
		return invalid(c.td.Table, "row %d: the row before an update (b) and the row after it (u) stand together and have one key", c.row)
	}
	c.open = false
	info := &c.ch.info
	switch op {
	case 'b':
		c.before, c.open = key, true
		return nil // its key is counted with the row after it
	case 'i':
		info.Inserted++
	case 'u':
		info.Updated++
	case 'd':
		info.Deleted++
	default:
		return invalid(c.td.Table, "row %d: column %s is none of i, d, b, u", c.row, ColumnOp)
	}
	if c.seen == nil {
		return nil
	}
	if _, twice := c.seen.put(in.keys, i, row); twice {
		return invalid(c.td.Table, "row %d: its key is in the change twice", c.row).
			WithHint("a commit changes a key once; merge the changes of one key into one")
	}
	return nil
}

// end says whether the last row was whole.
func (c *rowCheck) end() error {
	if c.open {
		return invalid(c.td.Table, "the last row is one before an update, and the one after it is missing")
	}
	return nil
}

// readRows does for a batch read back from the journal what rows does for one
// that comes in, without holding it again.
func (ch *change) readRows(b arrow.RecordBatch) (rowsIn, error) {
	c := rowCheck{ch: &change{schema: ch.schema, keys: ch.keys}, td: TableData{Table: ch.info.Table, Op: ch.info.Op}}
	in, err := c.rows(b)
	if err != nil {
		return in, err
	}
	return ch.tailRows(b, in)
}

// tailRows makes of a block's rows what the tail keeps: the table's columns,
// without the rows before an update.
func (ch *change) tailRows(b arrow.RecordBatch, in rowsIn) (rowsIn, error) {
	if ch.info.Op != weft.OpMerge {
		in.rec = b
		return in, nil
	}
	in.rec = array.NewRecordBatch(ch.schema, b.Columns()[1:], b.NumRows())
	if bytes.IndexByte(in.op, 'b') < 0 {
		return in, nil
	}
	out := rowsIn{}
	keep := make([]bool, len(in.op))
	for i, op := range in.op {
		if keep[i] = op != 'b'; keep[i] {
			out.op = append(out.op, op)
		}
	}
	out.keys = in.keys.pick(func(row int) bool { return keep[row] })
	var err error
	out.rec, err = pick(in.rec, keep)
	return out, err
}
