package federate

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// TestKeysOnce holds that of pieces of a column each value is kept once, whatever its type,
// and that the pieces stay as they are.
func TestKeysOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, typ := range []arrow.DataType{
		arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Uint8, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Uint16, arrow.PrimitiveTypes.Int32,
		arrow.PrimitiveTypes.Uint32, arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Uint64, arrow.FixedWidthTypes.Date32,
		&arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, &arrow.Decimal128Type{Precision: 38}, arrow.BinaryTypes.String,
	} {
		if !plainKey(typ) {
			t.Errorf("%s is no key", typ)
		}
		for _, sizes := range [][]int{{0}, {1}, {0, 0}, {50}, {40, 0, 300}} {
			var pieces []arrow.Array
			want := map[string]bool{}
			for _, n := range sizes {
				b := array.NewBuilder(memory.DefaultAllocator, typ)
				b.AppendEmptyValue() // is left out: an array may begin within its memory
				for range n {
					v := fmt.Sprint(r.IntN(100))
					switch {
					case typ.ID() == arrow.DATE32:
						v = fmt.Sprintf("2026-01-%02d", 1+r.IntN(31))
					case typ.ID() == arrow.TIMESTAMP:
						v = fmt.Sprintf("2026-01-01 00:00:%02dZ", r.IntN(60))
					case arrow.IsSignedInteger(typ.ID()) || typ.ID() == arrow.DECIMAL128:
						v = fmt.Sprint(50 - r.IntN(100))
					}
					if r.IntN(10) == 0 {
						b.AppendNull()
					} else if err := b.AppendValueFromString(v); err != nil {
						t.Fatal(err)
					}
				}
				piece := array.NewSlice(b.NewArray(), 1, int64(n)+1)
				for i := range n {
					if piece.IsValid(i) {
						want[piece.ValueStr(i)] = true
					}
				}
				pieces = append(pieces, piece)
			}
			before := fmt.Sprint(pieces)
			got := together(pieces, false)
			seen := map[string]bool{}
			for i := range got.Len() {
				if v := got.ValueStr(i); got.IsNull(i) || seen[v] || !want[v] {
					t.Errorf("%s, %v: %s", typ, sizes, v)
				} else {
					seen[v] = true
				}
			}
			if len(seen) != len(want) || !arrow.TypeEqual(got.DataType(), typ) || fmt.Sprint(pieces) != before {
				t.Errorf("%s, %v: %d values of %d", typ, sizes, len(seen), len(want))
			}
			if all := together(pieces, true); all.Len() != sum(sizes) {
				t.Errorf("%s, %v: %d of what is unique", typ, sizes, all.Len())
			}
		}
	}
}

func sum(of []int) (all int) {
	for _, n := range of {
		all += n
	}
	return all
}
