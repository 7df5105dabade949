package engine

import (
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft/framemem"
)

// TestCheckBytes holds the fast look at text against Arrow's own: both let the same
// batches pass, whatever is broken in them.
func TestCheckBytes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	words := []string{"", "a", "text", "a text that is longer than thirty-two bytes", "größer", "日本語", "x\x00y", "🙂🙂"}
	sc := arrow.NewSchema([]arrow.Field{{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	passed, refused := 0, 0
	for range 20_000 {
		n := rnd.IntN(12)
		var text []byte
		var offsets []int32
		bits := make([]byte, 8)
		nulls := 0
		for i := range n {
			offsets = append(offsets, int32(len(text)))
			if rnd.IntN(5) == 0 {
				nulls++
				continue
			}
			bits[i/8] |= 1 << (i % 8)
			text = append(text, words[rnd.IntN(len(words))]...)
		}
		offsets = append(offsets, int32(len(text)))
		switch rnd.IntN(7) {
		case 0:
			offsets[rnd.IntN(len(offsets))] += int32(rnd.IntN(7) - 3)
		case 1:
			if len(text) > 0 {
				text[rnd.IntN(len(text))] ^= 1 << rnd.IntN(8)
			}
		case 2:
			nulls += rnd.IntN(3) - 1
		case 3:
			text = text[:rnd.IntN(len(text)+1)]
		case 4:
			offsets = offsets[:rnd.IntN(len(offsets)+1)]
		}
		nulls = max(min(nulls, n), 0)
		bufs := []*memory.Buffer{memory.NewBufferBytes(bits), memory.NewBufferBytes(arrow.Int32Traits.CastToBytes(offsets)), memory.NewBufferBytes(text)}
		if rnd.IntN(20) == 0 {
			bufs[rnd.IntN(3)] = nil
		}
		same(t, sc, bufs, n, nulls, &passed, &refused)
	}
	if passed < 1000 || refused < 1000 {
		t.Errorf("%d batches pass, %d are refused", passed, refused)
	}
}

// same makes a batch of the buffers, where Arrow makes one at all, and has both look.
func same(t *testing.T, sc *arrow.Schema, bufs []*memory.Buffer, n, nulls int, passed, refused *int) {
	t.Helper()
	defer func() {
		if recover() != nil { // Arrow makes no array of it
			*refused++
		}
	}()
	col := array.MakeFromData(array.NewData(arrow.BinaryTypes.String, n, bufs, nil, nulls, 0))
	b := array.NewRecordBatch(sc, []arrow.Array{col}, int64(n))
	fast, full := checkBytes(b), array.ValidateRecordFull(b)
	if (fast == nil) != (full == nil) {
		t.Errorf("%d rows, %d nulls, %v: %v, and Arrow says %v", n, nulls, bufs, fast, full)
	}
	if full == nil {
		*passed++
	} else {
		*refused++
	}
}

// TestFrameMemory: memory comes back with the last array over it, and not before.
func TestFrameMemory(t *testing.T) {
	defer framemem.Poison(framemem.Poison(true))
	sc := arrow.NewSchema([]arrow.Field{{Name: "a", Type: arrow.PrimitiveTypes.Int64}, {Name: "s", Type: arrow.BinaryTypes.String}}, nil)
	build := array.NewRecordBuilder(memory.DefaultAllocator, sc)
	defer build.Release()
	for i := range 10_000 {
		build.Field(0).(*array.Int64Builder).Append(int64(i))
		build.Field(1).(*array.StringBuilder).Append("a text of some length")
	}
	rec := build.NewRecordBatch()
	defer rec.Release()
	parts, _ := encodeBatch(rec)
	frame := framemem.New(0)
	for _, p := range parts {
		frame = append(frame, p...)
	}
	own := framemem.New(len(frame))
	copy(own, frame)
	got, err := decodeBatch(sc, own)
	if err != nil {
		t.Fatal(err)
	}
	piece := got.NewSlice(10, 20)
	got.Release()
	if v := piece.Column(0).(*array.Int64).Value(3); v != 13 || own[0] == 0xdb && own[1] == 0xdb {
		t.Errorf("memory that is read was given back: %d", v)
	}
	piece.Release()
	if own[0] != 0xdb || own[len(own)-1] != 0xdb {
		t.Error("memory that nobody reads was not given back")
	}
	bad := framemem.New(1 << 17)
	if _, err := decodeBatch(sc, bad); err == nil || bad[0] != 0xdb {
		t.Errorf("a frame that is no batch: %v", err)
	}
}
