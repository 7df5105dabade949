package framemem

import (
	"bytes"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func TestSizes(t *testing.T) {
	for _, n := range []int{0, 1, 1 << 16, 1<<16 + 1, 3 << 20, 64 << 20, 65 << 20} {
		b := New(n)
		if len(b) != n {
			t.Fatalf("%d bytes for %d", len(b), n)
		}
		for i := range b {
			b[i] = byte(i)
		}
		b = Allocator{}.Reallocate(2*n+1, b)
		if len(b) != 2*n+1 {
			t.Fatalf("%d bytes for %d more", len(b), n+1)
		}
		for i := range n {
			if b[i] != byte(i) {
				t.Fatalf("byte %d of %d is lost", i, n)
			}
		}
		if b = (Allocator{}).Reallocate(n/2, b); len(b) != n/2 {
			t.Fatalf("%d bytes for %d", len(b), n/2)
		}
		Free(b)
	}
	Free(make([]byte, 100_000)) // not ours: left alone
	Free(nil)
}

// TestStream: what is read of Arrow's stream is there until it is released, though memory
// comes back while others hold what is older, and then is given back.
func TestStream(t *testing.T) {
	defer Poison(Poison(true))
	sc := arrow.NewSchema([]arrow.Field{{Name: "a", Type: arrow.PrimitiveTypes.Int64}, {Name: "s", Type: arrow.BinaryTypes.String}}, nil)
	var buf bytes.Buffer
	w := ipc.NewWriter(&buf, ipc.WithSchema(sc))
	build := array.NewRecordBuilder(memory.DefaultAllocator, sc)
	defer build.Release()
	const batches, rows = 8, 20_000
	for k := range batches {
		for i := range rows {
			build.Field(0).(*array.Int64Builder).Append(int64(k*rows + i))
			build.Field(1).(*array.StringBuilder).Append("a text of some length")
		}
		rec := build.NewRecordBatch()
		if err := w.Write(rec); err != nil {
			t.Fatal(err)
		}
		rec.Release()
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := ipc.NewReader(&buf, ipc.WithAllocator(Allocator{}))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	var kept arrow.RecordBatch
	for k := 0; r.Next(); k++ {
		rec := r.RecordBatch()
		for i := range rows {
			if v := rec.Column(0).(*array.Int64).Value(i); v != int64(k*rows+i) {
				t.Fatalf("row %d of batch %d is %d", i, k, v)
			}
			if s := rec.Column(1).(*array.String).Value(i); s != "a text of some length" {
				t.Fatalf("row %d of batch %d is %q", i, k, s)
			}
		}
		if k == 2 {
			kept = rec
			kept.Retain()
		}
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	col := kept.Column(0).(*array.Int64)
	if v := col.Value(7); v != 2*rows+7 {
		t.Errorf("memory that is read was given back: %d", v)
	}
	values := col.Int64Values()
	kept.Release()
	if v := values[7]; v == 2*rows+7 {
		t.Error("memory that nobody reads was not given back")
	}
}
