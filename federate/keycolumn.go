package federate

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
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
func (k *keyColumn) done(ctx context.Context) {
	switch {
	case len(k.pieces) > 0:
		k.values = together(ctx, k.pieces, k.unique)
	case k.bytes == 0:
		k.values = array.MakeArrayOfNull(memory.DefaultAllocator, k.typ, 0)
	}
	k.pieces = nil
}

// together is arrays as one, each value once where they are not unique; nil where that
// cannot be had.
func together(ctx context.Context, of []arrow.Array, unique bool) arrow.Array {
	all, err := array.Concatenate(of, memory.DefaultAllocator)
	if err == nil && !unique {
		all, err = compute.UniqueArray(ctx, all)
	}
	if err != nil {
		return nil
	}
	return all
}

// landedKeys are the values that a use names where all of them were kept as they came; the
// lock must be held.
func (p *parting) landedKeys(ctx context.Context, k engine.KeyUse) (Enclosed, int64, bool) {
	var of []arrow.Array
	var field arrow.Field
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
		field = f
	}
	if len(of) == 0 {
		return Enclosed{}, 0, false
	}
	all := of[0]
	if len(of) > 1 {
		if all = together(ctx, of, false); all == nil {
			return Enclosed{}, 0, false
		}
	}
	field.Name, field.Nullable = "k", true
	sc := arrow.NewSchema([]arrow.Field{field}, nil)
	n := int64(all.Len())
	return Enclosed{Schema: sc, Batches: []arrow.RecordBatch{array.NewRecordBatch(sc, []arrow.Array{all}, n)}}, n, true
}
