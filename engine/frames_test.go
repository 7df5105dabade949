package engine

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// someRows are batches of many types, the second one large.
func someRows(t testing.TB) []arrow.RecordBatch {
	t.Helper()
	sc := arrow.NewSchema([]arrow.Field{
		{Name: "i", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "d", Type: &arrow.Decimal128Type{Precision: 4, Scale: 1}, Nullable: true},
		{Name: "t", Type: &arrow.Time64Type{Unit: arrow.Microsecond}, Nullable: true},
		{Name: "l", Type: arrow.ListOf(arrow.FixedWidthTypes.Boolean), Nullable: true},
		{Name: "u", Type: arrow.BinaryTypes.String, Nullable: true, Metadata: arrow.NewMetadata([]string{TypeKey}, []string{typeUUID})},
	}, nil)
	batch := func(n int) arrow.RecordBatch {
		b := array.NewRecordBuilder(memoryOf(), sc)
		defer b.Release()
		for i := range n {
			b.Field(0).(*array.Int64Builder).Append(int64(i))
			b.Field(1).(*array.StringBuilder).Append(strings.Repeat("x", i%50))
			b.Field(2).(*array.Decimal128Builder).Append(decimal128.FromI64(int64(i % 10000)))
			b.Field(3).(*array.Time64Builder).Append(arrow.Time64(i))
			l := b.Field(4).(*array.ListBuilder)
			l.Append(i%3 > 0)
			if i%3 > 0 {
				l.ValueBuilder().(*array.BooleanBuilder).AppendValues([]bool{true, false}, nil)
			}
			b.Field(5).AppendNull()
		}
		return b.NewRecordBatch()
	}
	return []arrow.RecordBatch{batch(3), batch(400_000), batch(1)}
}

func written(t testing.TB, batches []arrow.RecordBatch) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewRowWriter(&b, batches[0].Schema())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range batches {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End(map[string]int{"rows": 1}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// readRows reads all rows; whole says that it came to the end.
func readRows(r io.Reader) (rows int64, last arrow.RecordBatch, err error) {
	q, err := NewRowReader(r)
	if err != nil {
		return 0, nil, err
	}
	for {
		b, err := q.Next()
		if errors.Is(err, io.EOF) {
			var v map[string]int
			return rows, last, q.End(&v)
		}
		if err != nil {
			return rows, last, err
		}
		rows += b.NumRows()
		last = b
	}
}

func TestRowsOverTheWire(t *testing.T) {
	in := someRows(t)
	all := written(t, in)
	n, last, err := readRows(bytes.NewReader(all))
	if err != nil || n != 400_004 || !array.RecordEqual(last, in[2]) || !last.Schema().Field(5).HasMetadata() {
		t.Fatalf("%d rows: %v", n, err)
	}
	// Slices, which begin in the middle of their memory, come out as they are.
	n, last, err = readRows(bytes.NewReader(written(t, []arrow.RecordBatch{in[1].NewSlice(7, 1000)})))
	if err != nil || n != 993 || !array.RecordEqual(last, in[1].NewSlice(7, 1000)) {
		t.Fatalf("%d rows: %v", n, err)
	}
	small := written(t, in[:1])
	for i := range small {
		if _, _, err := readRows(bytes.NewReader(small[:i])); !errors.Is(err, ErrNotWhole) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

// TestRowTooLarge holds that a row which no reader takes is not written.
func TestRowTooLarge(t *testing.T) {
	sc := arrow.NewSchema([]arrow.Field{{Name: "s", Type: arrow.BinaryTypes.String}}, nil)
	b := array.NewRecordBuilder(memoryOf(), sc)
	defer b.Release()
	b.Field(0).(*array.StringBuilder).Append(strings.Repeat("x", MaxRowFrame))
	w, err := NewRowWriter(io.Discard, sc)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(b.NewRecordBatch()); err == nil {
		t.Error("a row of more than a frame is written")
	}
}

// TestRowsOfNoValue holds that values which the engine could not bear are refused.
func TestRowsOfNoValue(t *testing.T) {
	one := func(typ arrow.DataType, set func(array.Builder)) arrow.RecordBatch {
		b := array.NewRecordBuilder(memoryOf(), arrow.NewSchema([]arrow.Field{{Name: "x", Type: typ}}, nil))
		defer b.Release()
		set(b.Field(0))
		return b.NewRecordBatch()
	}
	dec := &arrow.Decimal128Type{Precision: 4, Scale: 1}
	for what, b := range map[string]arrow.RecordBatch{
		"10000 in four digits":   one(dec, func(b array.Builder) { b.(*array.Decimal128Builder).Append(decimal128.FromI64(10000)) }),
		"-10000 in four digits":  one(dec, func(b array.Builder) { b.(*array.Decimal128Builder).Append(decimal128.FromI64(-10000)) }),
		"the least of all":       one(dec, func(b array.Builder) { b.(*array.Decimal128Builder).Append(decimal128.New(math.MinInt64, 0)) }),
		"a time of the next day": one(&arrow.Time64Type{Unit: arrow.Microsecond}, func(b array.Builder) { b.(*array.Time64Builder).Append(86_400_000_001) }),
		"a time before":          one(&arrow.Time64Type{Unit: arrow.Microsecond}, func(b array.Builder) { b.(*array.Time64Builder).Append(-1) }),
		"no text":                one(arrow.BinaryTypes.String, func(b array.Builder) { b.(*array.StringBuilder).Append("secret\xff") }),
		"no text in a list": one(arrow.ListOf(dec), func(b array.Builder) {
			l := b.(*array.ListBuilder)
			l.Append(true)
			l.ValueBuilder().(*array.Decimal128Builder).Append(decimal128.FromI64(10000))
		}),
		"in a struct": one(arrow.StructOf(arrow.Field{Name: "d", Type: dec}), func(b array.Builder) {
			s := b.(*array.StructBuilder)
			s.Append(true)
			s.FieldBuilder(0).(*array.Decimal128Builder).Append(decimal128.FromI64(10000))
		}),
		"no rows": one(dec, func(array.Builder) {}),
	} {
		_, _, err := readRows(bytes.NewReader(written(t, []arrow.RecordBatch{b})))
		if err == nil || errors.Is(err, ErrNotWhole) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// FuzzRows holds that no bytes of another node make a reader panic or take memory
// without bound, and that the engine takes whatever passes.
func FuzzRows(f *testing.F) {
	in := someRows(f)
	small := written(f, []arrow.RecordBatch{in[0], in[2]})
	f.Add(small)
	for i := 0; i < len(small); i += 13 {
		b := bytes.Clone(small)
		b[i] ^= 0x41
		f.Add(b)
	}
	f.Add(frame(frameSchema, []byte(`[{"kind":"list","parts":[{"kind":"struct","parts":[{"kind":"decimal","p":38}]}]}]`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := NewRowReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		for {
			r, err := q.Next()
			if err != nil {
				return
			}
			for _, c := range r.Columns() {
				for i := range c.Len() {
					_ = c.ValueStr(i)
				}
			}
			r.Release()
		}
	})
}

// TestWorkBetweenFrames: whoever waits for rows is told of work before, between and after
// them, and whoever does not is not.
func TestWorkBetweenFrames(t *testing.T) {
	rows := someRows(t)
	var b bytes.Buffer
	work := func() {
		if err := WriteWork(&b); err != nil {
			t.Fatal(err)
		}
	}
	work()
	w, err := NewRowWriter(&b, rows[0].Schema())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		work()
		work()
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	work()
	if err := w.End(1); err != nil {
		t.Fatal(err)
	}
	told := 0
	r, err := NewWaitingRowReader(bytes.NewReader(b.Bytes()), func() { told++ })
	for err == nil {
		var rec arrow.RecordBatch
		if rec, err = r.Next(); err == nil {
			rec.Release()
		}
	}
	if want := 2 + 2*len(rows); err != io.EOF || told != want {
		t.Errorf("told %d times of %d, and %v", told, want, err)
	}
	if _, err := NewRowReader(bytes.NewReader(b.Bytes())); err == nil {
		t.Error("work is told to nobody")
	}
	long := append([]byte{1, 0, 0, 0, frameWork, 0, 0, 0}, 'x')
	if _, err := NewWaitingRowReader(bytes.NewReader(long), func() {}); err == nil {
		t.Error("work has a payload")
	}
}
