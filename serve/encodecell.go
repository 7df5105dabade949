package serve

import (
	"encoding/base64"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
)

// How values look as text, in every text format:
//
//	boolean            true, false
//	integers           all digits; JSON numbers, also beyond 2^53
//	float, double      the shortest digits that read back the same; NaN, Infinity
//	                   and -Infinity are JSON strings
//	decimal            all digits, as many after the point as the type says; JSON
//	                   strings, because most readers make doubles of numbers
//	text               as it is
//	blob               base64
//	date, time         2026-03-01, 13:45:00.25
//	timestamp          2026-03-01T13:45:00.25; timestamptz with Z, always UTC
//	interval           ISO 8601: P1M2DT3H
//	uuid               1b4e28ba-2fa1-11d2-883f-0016d3cca427
//	list, struct, map  JSON: array, object, array of {"key":…,"value":…}
//	NULL               JSON null; CSV: nothing, while empty text is ""
//
// docs/types.md has the same table.

// class says what quoting the text of a cell needs.
type class int

const (
	bare   class = iota // a number or boolean: none
	float               // a number, but for NaN and the infinities
	plain               // text that never needs escapes: quotes in JSON
	free                // any text
	nested              // JSON already
)

// cell appends the text of row i, which is not NULL.
type cell func(dst []byte, i int) []byte

// column gives the text of one array.
type column struct {
	arr   arrow.Array
	class class
	text  cell
}

// null reports whether row i has no value.
func (c *column) null(i int) bool {
	switch a := c.arr.(type) {
	case *array.Null:
		return true
	case *array.Dictionary:
		return a.IsNull(i) || a.Dictionary().IsNull(a.GetValueIndex(i))
	}
	return c.arr.IsNull(i)
}

// json appends row i as a JSON value.
func (c *column) json(dst []byte, i int) []byte {
	if c.null(i) {
		return append(dst, "null"...)
	}
	switch c.class {
	case bare, nested:
		return c.text(dst, i)
	case float:
		at := len(dst)
		dst = c.text(dst, i)
		if last := dst[len(dst)-1]; last == 'N' || last == 'y' {
			dst = append(dst, '"', '"')
			copy(dst[at+1:], dst[at:len(dst)-2])
			dst[at] = '"'
		}
		return dst
	case plain:
		return append(c.text(append(dst, '"'), i), '"')
	}
	at := len(dst)
	dst = c.text(dst, i)
	return quoteJSON(dst, at)
}

// bind makes the column of an array.
func bind(arr arrow.Array) *column {
	c := &column{arr: arr}
	if !c.bindNumber() && !c.bindText() && !c.bindTime() && !c.bindNested() {
		// What the closed table of types does not have still shows as its library writes it.
		c.class, c.text = free, func(dst []byte, i int) []byte { return append(dst, arr.ValueStr(i)...) }
	}
	return c
}

func signed[T int8 | int16 | int32 | int64](v []T) cell {
	return func(dst []byte, i int) []byte { return strconv.AppendInt(dst, int64(v[i]), 10) }
}

func unsigned[T uint8 | uint16 | uint32 | uint64](v []T) cell {
	return func(dst []byte, i int) []byte { return strconv.AppendUint(dst, uint64(v[i]), 10) }
}

func (c *column) bindNumber() bool {
	switch a := c.arr.(type) {
	case *array.Null:
		c.text = func(dst []byte, _ int) []byte { return dst }
	case *array.Boolean:
		c.text = func(dst []byte, i int) []byte { return strconv.AppendBool(dst, a.Value(i)) }
	case *array.Int8:
		c.text = signed(a.Int8Values())
	case *array.Int16:
		c.text = signed(a.Int16Values())
	case *array.Int32:
		c.text = signed(a.Int32Values())
	case *array.Int64:
		c.text = signed(a.Int64Values())
	case *array.Uint8:
		c.text = unsigned(a.Uint8Values())
	case *array.Uint16:
		c.text = unsigned(a.Uint16Values())
	case *array.Uint32:
		c.text = unsigned(a.Uint32Values())
	case *array.Uint64:
		c.text = unsigned(a.Uint64Values())
	case *array.Float16:
		c.class, c.text = float, func(dst []byte, i int) []byte { return appendFloat(dst, float64(a.Value(i).Float32()), 32) }
	case *array.Float32:
		v := a.Float32Values()
		c.class, c.text = float, func(dst []byte, i int) []byte { return appendFloat(dst, float64(v[i]), 32) }
	case *array.Float64:
		v := a.Float64Values()
		c.class, c.text = float, func(dst []byte, i int) []byte { return appendFloat(dst, v[i], 64) }
	default:
		return c.bindDecimal()
	}
	return true
}

func (c *column) bindDecimal() bool {
	c.class = plain
	switch a := c.arr.(type) {
	case *array.Decimal32:
		s := a.DataType().(arrow.DecimalType).GetScale()
		c.text = func(dst []byte, i int) []byte { return appendScaled(dst, int64(a.Value(i)), s) }
	case *array.Decimal64:
		s := a.DataType().(arrow.DecimalType).GetScale()
		c.text = func(dst []byte, i int) []byte { return appendScaled(dst, int64(a.Value(i)), s) }
	case *array.Decimal128:
		s := a.DataType().(arrow.DecimalType).GetScale()
		c.text = func(dst []byte, i int) []byte { return appendDecimal128(dst, a.Value(i), s) }
	case *array.Decimal256:
		s := a.DataType().(arrow.DecimalType).GetScale()
		c.text = func(dst []byte, i int) []byte { return placePoint(dst, a.Value(i).BigInt().String(), s) }
	default:
		return false
	}
	return true
}

func (c *column) bindText() bool {
	c.class = free
	blob := func(v func(int) []byte) {
		c.class, c.text = plain, func(dst []byte, i int) []byte { return base64.StdEncoding.AppendEncode(dst, v(i)) }
	}
	switch a := c.arr.(type) {
	case *array.String:
		c.text = func(dst []byte, i int) []byte { return append(dst, a.Value(i)...) }
	case *array.LargeString:
		c.text = func(dst []byte, i int) []byte { return append(dst, a.Value(i)...) }
	case *array.StringView:
		c.text = func(dst []byte, i int) []byte { return append(dst, a.Value(i)...) }
	case *array.Binary:
		blob(a.Value)
	case *array.LargeBinary:
		blob(a.Value)
	case *array.BinaryView:
		blob(a.Value)
	case *array.FixedSizeBinary:
		blob(a.Value)
	case *extensions.UUIDArray:
		raw := a.Storage().(*array.FixedSizeBinary)
		c.class, c.text = plain, func(dst []byte, i int) []byte { return appendUUID(dst, raw.Value(i)) }
	case array.ExtensionArray:
		in := bind(a.Storage())
		c.class, c.text = in.class, in.text
	case *array.Dictionary:
		in := bind(a.Dictionary())
		c.class, c.text = in.class, func(dst []byte, i int) []byte { return in.text(dst, a.GetValueIndex(i)) }
	default:
		return false
	}
	return true
}

func (c *column) bindTime() bool {
	c.class = plain
	switch a := c.arr.(type) {
	case *array.Date32:
		c.text = func(dst []byte, i int) []byte { return appendDate(dst, int32(a.Value(i))) }
	case *array.Date64:
		c.text = func(dst []byte, i int) []byte {
			days, _ := floorDiv(int64(a.Value(i)), secondsPerDay*1000)
			return appendDay(dst, days)
		}
	case *array.Time32:
		u := a.DataType().(*arrow.Time32Type).Unit
		c.text = func(dst []byte, i int) []byte { return appendTime(dst, int64(a.Value(i)), u) }
	case *array.Time64:
		u := a.DataType().(*arrow.Time64Type).Unit
		c.text = func(dst []byte, i int) []byte { return appendTime(dst, int64(a.Value(i)), u) }
	case *array.Timestamp:
		t := a.DataType().(*arrow.TimestampType)
		c.text = func(dst []byte, i int) []byte {
			return appendTimestamp(dst, int64(a.Value(i)), t.Unit, t.TimeZone != "")
		}
	case *array.Duration:
		per := perSecond(a.DataType().(*arrow.DurationType).Unit)
		c.text = func(dst []byte, i int) []byte {
			secs, frac := int64(a.Value(i))/per, int64(a.Value(i))%per*(1e9/per)
			return appendInterval(dst, 0, int32(secs/secondsPerDay), secs%secondsPerDay*1e9+frac)
		}
	case *array.MonthInterval:
		c.text = func(dst []byte, i int) []byte { return appendInterval(dst, int32(a.Value(i)), 0, 0) }
	case *array.DayTimeInterval:
		c.text = func(dst []byte, i int) []byte {
			v := a.Value(i)
			return appendInterval(dst, 0, v.Days, int64(v.Milliseconds)*1e6)
		}
	case *array.MonthDayNanoInterval:
		c.text = func(dst []byte, i int) []byte {
			v := a.Value(i)
			return appendInterval(dst, v.Months, v.Days, v.Nanoseconds)
		}
	default:
		return false
	}
	return true
}

func (c *column) bindNested() bool {
	c.class = nested
	switch a := c.arr.(type) {
	case *array.Map: // before ListLike, which it is too
		keys, items := bind(a.Keys()), bind(a.Items())
		c.text = func(dst []byte, i int) []byte {
			from, to := a.ValueOffsets(i)
			return appendList(dst, from, to, func(dst []byte, j int) []byte {
				dst = keys.json(append(dst, `{"key":`...), j)
				return append(items.json(append(dst, `,"value":`...), j), '}')
			})
		}
	case array.ListLike:
		items := bind(a.ListValues())
		c.text = func(dst []byte, i int) []byte {
			from, to := a.ValueOffsets(i)
			return appendList(dst, from, to, items.json)
		}
	case *array.Struct:
		c.text = structCell(a)
	default:
		return false
	}
	return true
}

func appendList(dst []byte, from, to int64, item cell) []byte {
	dst = append(dst, '[')
	for j := from; j < to; j++ {
		if j > from {
			dst = append(dst, ',')
		}
		dst = item(dst, int(j))
	}
	return append(dst, ']')
}

func structCell(a *array.Struct) cell {
	t := a.DataType().(*arrow.StructType)
	fields, names := make([]*column, a.NumField()), make([][]byte, a.NumField())
	for f := range fields {
		fields[f] = bind(a.Field(f))
		names[f] = append(quoteJSON([]byte(t.Field(f).Name), 0), ':')
	}
	return func(dst []byte, i int) []byte {
		dst = append(dst, '{')
		for f, c := range fields {
			if f > 0 {
				dst = append(dst, ',')
			}
			dst = c.json(append(dst, names[f]...), i)
		}
		return append(dst, '}')
	}
}
