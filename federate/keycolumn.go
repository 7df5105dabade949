package federate

import (
	"cmp"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft/engine"
)

// mostKeyBytes is how much of a column is kept for keys while its part comes in. What is
// more is read again from what has landed.
const mostKeyBytes = 16 << 20

// keyColumn keeps the values of a column while its part comes in, where others are asked
// with them: to read them again would take a statement, for which all of these wait.
type keyColumn struct {
	at     int // of the schema
	typ    arrow.DataType
	unique bool
	bytes  int
	pieces []arrow.Array // nil where it was given up
	values arrow.Array   // when all have come: each once, but for a unique one's; nil for none
}

// keyColumns are the columns of a part that others are asked with, by their names.
func (p *parting) keyColumns(i int, sc *arrow.Schema) map[string]*keyColumn {
	out := map[string]*keyColumn{}
	for o, part := range p.split.Parts {
		for _, u := range p.plan[o].uses {
			for _, s := range part.Keys[u].From {
				if s.SQL != "" || s.Part != i || out[s.Column] != nil {
					continue
				}
				at := sc.FieldIndices(s.Column)
				if len(at) == 1 && plainKey(sc.Field(at[0]).Type) {
					out[s.Column] = &keyColumn{at: at[0], typ: sc.Field(at[0]).Type, unique: s.Unique}
				}
			}
		}
	}
	return out
}

// plainKey says whether values of a type are the same where their bytes are.
func plainKey(t arrow.DataType) bool {
	switch t.ID() {
	case arrow.INT8, arrow.INT16, arrow.INT32, arrow.INT64, arrow.UINT8, arrow.UINT16, arrow.UINT32, arrow.UINT64,
		arrow.DATE32, arrow.TIMESTAMP, arrow.DECIMAL128, arrow.STRING:
		return true
	}
	return false
}

// add takes a copy: a batch's memory is its reader's.
func (k *keyColumn) add(b arrow.RecordBatch) {
	if k.bytes > mostKeyBytes {
		return
	}
	c, err := array.Concatenate([]arrow.Array{b.Column(k.at)}, memory.DefaultAllocator)
	if err != nil {
		k.bytes, k.pieces = mostKeyBytes+1, nil
		return
	}
	k.bytes += int(c.Data().SizeInBytes())
	if k.pieces = append(k.pieces, c); k.bytes > mostKeyBytes {
		k.pieces = nil
	}
}

// done puts the values together.
func (k *keyColumn) done() {
	switch {
	case len(k.pieces) > 0:
		k.values = together(k.pieces, k.unique)
	case k.bytes == 0:
		k.values = array.MakeArrayOfNull(memory.DefaultAllocator, k.typ, 0)
	}
	k.pieces = nil
}

// together is arrays as one, with no NULL and each value once where they are not unique;
// nil where that cannot be had.
func together(of []arrow.Array, unique bool) arrow.Array {
	all, err := array.Concatenate(of, memory.DefaultAllocator)
	switch {
	case err != nil:
		return nil
	case unique, all.Len() == 0:
		return all
	}
	if s, ok := all.(*array.String); ok {
		return textsOnce(s)
	}
	// Equal values have equal bytes, and in which order they come makes no difference.
	switch all.DataType().(arrow.FixedWidthDataType).Bytes() {
	case 1:
		return once(all, numbersOnce[uint8])
	case 2:
		return once(all, numbersOnce[uint16])
	case 4:
		return once(all, numbersOnce[uint32])
	case 8:
		return once(all, numbersOnce[uint64])
	case 16:
		return once(all, func(v [][2]uint64) [][2]uint64 {
			slices.SortFunc(v, func(x, y [2]uint64) int { return cmp.Or(cmp.Compare(x[1], y[1]), cmp.Compare(x[0], y[0])) })
			return slices.Compact(v)
		})
	}
	return nil
}

// once is each value of an array of T once, by a function that may change what it is given.
func once[T any](a arrow.Array, distinct func([]T) []T) arrow.Array {
	var one T
	d := a.Data()
	values := slices.Clone(unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(d.Buffers()[1].Bytes()))), d.Offset()+d.Len())[d.Offset():])
	if a.NullN() > 0 {
		n := 0
		for i, v := range values {
			if a.IsValid(i) {
				values[n] = v
				n++
			}
		}
		values = values[:n]
	}
	values = distinct(values)
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*int(unsafe.Sizeof(one)))
	return array.MakeFromData(array.NewData(a.DataType(), len(values), []*memory.Buffer{nil, memory.NewBufferBytes(bytes)}, nil, 0, 0))
}

// numbersOnce is each number once, in order. Those that lie close to each other, as numbers
// of a sequence do, are marked by a bit each, which takes a tenth of sorting them; and that a
// fifth to a fifteenth of Arrow's own function, which looks each one up in a table that grows.
func numbersOnce[T uint8 | uint16 | uint32 | uint64](values []T) []T {
	if len(values) == 0 {
		return values
	}
	least := slices.Min(values)
	span := uint64(slices.Max(values) - least)
	if span/64 >= uint64(len(values)) { // a word for a value at most
		slices.Sort(values)
		return slices.Compact(values)
	}
	marks := make([]uint64, span/64+1)
	for _, v := range values {
		at := uint64(v - least)
		marks[at/64] |= 1 << (at % 64)
	}
	out := values[:0]
	for i, m := range marks {
		for ; m != 0; m &= m - 1 {
			out = append(out, least+T(i*64+bits.TrailingZeros64(m)))
		}
	}
	return out
}

// textsOnce is each text once.
func textsOnce(a *array.String) arrow.Array {
	values := make([]string, 0, a.Len())
	for i := range a.Len() {
		if a.IsValid(i) {
			values = append(values, a.Value(i))
		}
	}
	slices.Sort(values)
	b := array.NewStringBuilder(memory.DefaultAllocator)
	b.AppendValues(slices.Compact(values), nil)
	return b.NewArray()
}

// landedKeys are the values that a use names where all of them were kept as they came; the
// lock must be held.
func (p *parting) landedKeys(k engine.KeyUse) (Enclosed, int64, bool) {
	var of []arrow.Array
	var field arrow.Field
	unique := true // one that two parts have may come twice
	for _, s := range k.From {
		if s.SQL != "" || p.got[s.Part] == nil {
			return Enclosed{}, 0, false
		}
		c := p.got[s.Part].keys[s.Column]
		if c == nil || c.values == nil {
			return Enclosed{}, 0, false
		}
		f := p.got[s.Part].schema.Field(c.at)
		if of = append(of, c.values); len(of) > 1 && (!arrow.TypeEqual(f.Type, field.Type) || !f.Metadata.Equal(field.Metadata)) {
			return Enclosed{}, 0, false // the engine finds the type that has both
		}
		field, unique = f, unique && s.Unique
	}
	if len(of) == 0 {
		return Enclosed{}, 0, false
	}
	all := of[0]
	if len(of) > 1 {
		if all = together(of, unique); all == nil {
			return Enclosed{}, 0, false
		}
	}
	field.Name, field.Nullable = "k", true
	sc := arrow.NewSchema([]arrow.Field{field}, nil)
	n := int64(all.Len())
	return Enclosed{Schema: sc, Batches: []arrow.RecordBatch{array.NewRecordBatch(sc, []arrow.Array{all}, n)}}, n, true
}
