package serve

import (
	"math"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/uuid"

	"weft"
)

// everyType is the closed table of types in Arrow, with their edge values; the
// first row of each is NULL, and shorter columns repeat it at their end.
type typeCase struct {
	name   string
	typ    arrow.DataType
	build  func(array.Builder)
	sql    string // expected TypeName
	nested bool
}

func add[T any, B interface{ Append(T) }](vs ...T) func(array.Builder) {
	return func(b array.Builder) {
		for _, v := range vs {
			b.(B).Append(v)
		}
	}
}

func micros(s string) arrow.Timestamp {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return arrow.Timestamp(t.UnixMicro())
}

func dec(s string, scale int32) decimal128.Num {
	d, err := decimal128.FromString(s, 38, scale)
	if err != nil {
		panic(err)
	}
	return d
}

func everyType() []typeCase {
	ts := []arrow.Timestamp{0, micros("2026-03-01T12:30:00.25Z"), micros("1969-12-31T23:59:59.999999Z"), micros("0001-01-01T00:00:00Z"), micros("9999-12-31T23:59:59Z")}
	us, utc := &arrow.TimestampType{Unit: arrow.Microsecond}, &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	return []typeCase{
		{name: "bool", typ: arrow.FixedWidthTypes.Boolean, sql: "boolean", build: add[bool, *array.BooleanBuilder](true, false)},
		{name: "i8", typ: arrow.PrimitiveTypes.Int8, sql: "tinyint", build: add[int8, *array.Int8Builder](math.MinInt8, math.MaxInt8, 0)},
		{name: "i16", typ: arrow.PrimitiveTypes.Int16, sql: "smallint", build: add[int16, *array.Int16Builder](math.MinInt16, math.MaxInt16)},
		{name: "i32", typ: arrow.PrimitiveTypes.Int32, sql: "integer", build: add[int32, *array.Int32Builder](math.MinInt32, math.MaxInt32)},
		{name: "i64", typ: arrow.PrimitiveTypes.Int64, sql: "bigint", build: add[int64, *array.Int64Builder](math.MinInt64, math.MaxInt64, 1<<53+1)},
		{name: "f32", typ: arrow.PrimitiveTypes.Float32, sql: "float", build: add[float32, *array.Float32Builder](0.1, float32(math.NaN()), float32(math.Inf(1)), math.MaxFloat32)},
		{name: "f64", typ: arrow.PrimitiveTypes.Float64, sql: "double", build: add[float64, *array.Float64Builder](0.1, math.Inf(-1), math.SmallestNonzeroFloat64, math.Copysign(0, -1), 1e21, 123456789)},
		{name: "dec", typ: &arrow.Decimal128Type{Precision: 12, Scale: 2}, sql: "decimal(12,2)", build: add[decimal128.Num, *array.Decimal128Builder](dec("1234567890.12", 2), dec("-0.05", 2), dec("0", 2))},
		{name: "huge", typ: &arrow.Decimal128Type{Precision: 38, Scale: 0}, sql: "decimal(38,0)", build: add[decimal128.Num, *array.Decimal128Builder](dec("99999999999999999999999999999999999999", 0), dec("-99999999999999999999999999999999999999", 0))},
		{name: "small", typ: &arrow.Decimal128Type{Precision: 38, Scale: 38}, sql: "decimal(38,38)", build: add[decimal128.Num, *array.Decimal128Builder](dec("0.00000000000000000000000000000000000001", 38))},
		{name: "text", typ: arrow.BinaryTypes.String, sql: "text", build: add[string, *array.StringBuilder]("", "a,b", "say \"hi\"", "line\r\nbreak", "Zoë 🧵", " \x01\\ ", "null")},
		{name: "blob", typ: arrow.BinaryTypes.Binary, sql: "blob", build: func(b array.Builder) {
			for _, v := range [][]byte{{}, {0, 255, 254}, []byte("x")} {
				b.(*array.BinaryBuilder).Append(v)
			}
		}},
		{name: "date", typ: arrow.FixedWidthTypes.Date32, sql: "date", build: add[arrow.Date32, *array.Date32Builder](0, -1, 20513, -719162, 2932896)},
		{name: "time", typ: arrow.FixedWidthTypes.Time64us, sql: "time", build: add[arrow.Time64, *array.Time64Builder](0, 86399999999, 3600e6)},
		{name: "ts", typ: us, sql: "timestamp", build: add[arrow.Timestamp, *array.TimestampBuilder](ts...)},
		{name: "tz", typ: utc, sql: "timestamptz", build: add[arrow.Timestamp, *array.TimestampBuilder](ts...)},
		{name: "id", typ: extensions.NewUUIDType(), sql: "uuid", build: add[uuid.UUID, *extensions.UUIDBuilder](uuid.UUID{}, uuid.MustParse("1b4e28ba-2fa1-11d2-883f-0016d3cca427"))},
		{name: "list", typ: arrow.ListOf(arrow.PrimitiveTypes.Int32), sql: "integer[]", nested: true, build: func(b array.Builder) {
			l := b.(*array.ListBuilder)
			l.Append(true)
			l.Append(true)
			l.ValueBuilder().(*array.Int32Builder).AppendValues([]int32{1, 0, 3}, []bool{true, false, true})
		}},
		{name: "obj", typ: arrow.StructOf(arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int32, Nullable: true}, arrow.Field{Name: "b \"q\"", Type: arrow.BinaryTypes.String, Nullable: true}), sql: "struct(a integer, b \"q\" text)", nested: true, build: func(b array.Builder) {
			s := b.(*array.StructBuilder)
			s.Append(true)
			s.FieldBuilder(0).(*array.Int32Builder).Append(7)
			s.FieldBuilder(1).(*array.StringBuilder).Append("x\n")
		}},
	}
}

// everyRecord has all types side by side.
func everyRecord(cases []typeCase) (*arrow.Schema, arrow.RecordBatch) {
	const rows = 8
	var fields []arrow.Field
	var cols []arrow.Array
	for _, c := range cases {
		b := array.NewBuilder(memory.DefaultAllocator, c.typ)
		b.AppendNull()
		c.build(b)
		for b.Len() < rows {
			b.AppendNull()
		}
		fields = append(fields, arrow.Field{Name: c.name, Type: c.typ, Nullable: true})
		cols = append(cols, b.NewArray())
	}
	s := arrow.NewSchema(fields, nil)
	return s, array.NewRecordBatch(s, cols, rows)
}

// testCut is the state that test answers say they were read at.
func testCut() weft.Cut {
	return weft.Cut{{
		Product: weft.Name{Domain: "sales", Product: "orders"}, ID: "p1", Incarnation: 1, Seq: 12,
		Hash: weft.Hash{1, 2, 3}, Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}}
}

func answerOf(s *arrow.Schema, recs ...arrow.RecordBatch) *weft.Answer {
	r, err := array.NewRecordReader(s, recs)
	if err != nil {
		panic(err)
	}
	return &weft.Answer{Schema: s, Cut: testCut(), Held: 3, Rows: r, Close: func() error { return nil }}
}
