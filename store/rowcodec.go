package store

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// A row in the key index is its cells, one behind the other: 0 for NULL, or 1 and
// the value. Numbers are little endian and as wide as their type, text and bytes
// have their length before them, a list the number of its items, a struct is its
// fields.

// appendRow appends a row's cells. Where they are alike, equal rows have equal
// bytes: zero has one sign, and there is one NaN.
func appendRow(b []byte, cols []arrow.Array, row int, alike bool) []byte {
	for _, c := range cols {
		b = appendCell(b, c, row, alike)
	}
	return b
}

func appendCell(b []byte, a arrow.Array, i int, alike bool) []byte {
	if a.IsNull(i) {
		return append(b, 0)
	}
	b = append(b, 1)
	switch a := a.(type) {
	case *array.Boolean:
		if a.Value(i) {
			return append(b, 1)
		}
		return append(b, 0)
	case *array.String:
		return appendBytes(b, a.Value(i))
	case *array.LargeString:
		return appendBytes(b, a.Value(i))
	case *array.Binary:
		return appendBytes(b, string(a.Value(i)))
	case *array.LargeBinary:
		return appendBytes(b, string(a.Value(i)))
	case *array.Float32:
		v := a.Value(i)
		if alike {
			v = float32(oneFloat(float64(v)))
		}
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	case *array.Float64:
		v := a.Value(i)
		if alike {
			v = oneFloat(v)
		}
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	case *array.List:
		from, to := a.ValueOffsets(i)
		b = binary.AppendUvarint(b, uint64(to-from))
		for k := from; k < to; k++ {
			b = appendCell(b, a.ListValues(), int(k), alike)
		}
		return b
	case *array.Struct:
		for k := range a.NumField() {
			b = appendCell(b, a.Field(k), i, alike)
		}
		return b
	}
	d := a.Data()
	w := a.DataType().(arrow.FixedWidthDataType).Bytes()
	at := (d.Offset() + i) * w
	return append(b, d.Buffers()[1].Bytes()[at:at+w]...)
}

// oneFloat is the one of all values that equal v.
func oneFloat(v float64) float64 {
	if v != v {
		return math.NaN()
	}
	return v + 0 // of minus zero, zero
}

func appendBytes(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// rowReader reads what appendRow wrote. Bytes that are no row of the builders'
// types make it bad, and then what it appended means nothing.
type rowReader struct {
	b   []byte
	bad bool
}

// readRow appends a row to the builders.
func readRow(row []byte, into []array.Builder) error {
	r := rowReader{b: row}
	for _, c := range into {
		r.cell(c)
	}
	if r.bad || len(r.b) > 0 {
		return fmt.Errorf("the bytes are no row of the table")
	}
	return nil
}

func (r *rowReader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad = true
		return make([]byte, max(0, min(n, 16)))
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *rowReader) count() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > uint64(len(r.b)) { // every item has a byte at least
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

func (r *rowReader) text() string { return string(r.take(r.count())) }

func (r *rowReader) cell(into array.Builder) {
	if r.bad {
		return
	}
	if r.take(1)[0] == 0 || r.bad {
		into.AppendNull()
		return
	}
	le := binary.LittleEndian
	switch c := into.(type) {
	case *array.BooleanBuilder:
		c.Append(r.take(1)[0] == 1)
	case *array.Int8Builder:
		c.Append(int8(r.take(1)[0]))
	case *array.Int16Builder:
		c.Append(int16(le.Uint16(r.take(2))))
	case *array.Int32Builder:
		c.Append(int32(le.Uint32(r.take(4))))
	case *array.Int64Builder:
		c.Append(int64(le.Uint64(r.take(8))))
	case *array.Uint8Builder:
		c.Append(r.take(1)[0])
	case *array.Uint16Builder:
		c.Append(le.Uint16(r.take(2)))
	case *array.Uint32Builder:
		c.Append(le.Uint32(r.take(4)))
	case *array.Uint64Builder:
		c.Append(le.Uint64(r.take(8)))
	case *array.Float32Builder:
		c.Append(math.Float32frombits(le.Uint32(r.take(4))))
	case *array.Float64Builder:
		c.Append(math.Float64frombits(le.Uint64(r.take(8))))
	case *array.Date32Builder:
		c.Append(arrow.Date32(le.Uint32(r.take(4))))
	case *array.TimestampBuilder:
		c.Append(arrow.Timestamp(le.Uint64(r.take(8))))
	case *array.Time64Builder:
		c.Append(arrow.Time64(le.Uint64(r.take(8))))
	case *array.Decimal128Builder:
		v := r.take(16)
		c.Append(decimal128.New(int64(le.Uint64(v[8:])), le.Uint64(v)))
	case *array.StringBuilder:
		c.Append(r.text())
	case *array.LargeStringBuilder:
		c.Append(r.text())
	case *array.BinaryBuilder: // of large ones, too
		c.Append([]byte(r.text()))
	case *array.ListBuilder:
		c.Append(true)
		for range r.count() {
			r.cell(c.ValueBuilder())
		}
	case *array.StructBuilder:
		c.Append(true)
		for k := range c.NumField() {
			r.cell(c.FieldBuilder(k))
		}
	default:
		r.bad = true
	}
}

// hasFloats reports whether values of a type may be equal and yet be other bytes:
// zero has two signs, and there is more than one NaN.
func hasFloats(t arrow.DataType) bool {
	switch t := t.(type) {
	case *arrow.Float32Type, *arrow.Float64Type:
		return true
	case *arrow.ListType:
		return hasFloats(t.Elem())
	case *arrow.StructType:
		for _, f := range t.Fields() {
			if hasFloats(f.Type) {
				return true
			}
		}
	}
	return false
}
