package postgres

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"weft/contract"
)

// Microseconds and days from 1970 to 2000, where PostgreSQL counts from.
const (
	epochMicros = 946_684_800_000_000
	epochDays   = 10_957
)

// errShort means that the stream does not hold what its lengths say.
var errShort = errors.New("the server's COPY stream is not whole")

// appendFunc decodes one value into its builder; p is never nil. An error
// rejects the row and leaves the builder as it was.
type appendFunc func(b array.Builder, p []byte) error

// decoder returns how values of a column are decoded.
func decoder(c column) appendFunc {
	f := scalarDecoder(c.scalar, c.scale)
	if c.found.Type.Kind == contract.KindList {
		return listDecoder(f)
	}
	return f
}

func scalarDecoder(typ string, scale int) appendFunc {
	switch typ {
	case "bool":
		return fixed(1, func(b array.Builder, p []byte) { b.(*array.BooleanBuilder).Append(p[0] != 0) })
	case "int2":
		return fixed(2, func(b array.Builder, p []byte) { b.(*array.Int16Builder).Append(int16(binary.BigEndian.Uint16(p))) })
	case "int4":
		return fixed(4, func(b array.Builder, p []byte) { b.(*array.Int32Builder).Append(int32(binary.BigEndian.Uint32(p))) })
	case "int8":
		return fixed(8, func(b array.Builder, p []byte) { b.(*array.Int64Builder).Append(int64(binary.BigEndian.Uint64(p))) })
	case "oid":
		return fixed(4, func(b array.Builder, p []byte) { b.(*array.Int64Builder).Append(int64(binary.BigEndian.Uint32(p))) })
	case "float4":
		return fixed(4, func(b array.Builder, p []byte) {
			b.(*array.Float32Builder).Append(math.Float32frombits(binary.BigEndian.Uint32(p)))
		})
	case "float8":
		return fixed(8, func(b array.Builder, p []byte) {
			b.(*array.Float64Builder).Append(math.Float64frombits(binary.BigEndian.Uint64(p)))
		})
	case "numeric":
		return func(b array.Builder, p []byte) error {
			n, err := decodeNumeric(p, scale)
			if err == nil {
				b.(*array.Decimal128Builder).Append(n)
			}
			return err
		}
	case "date":
		return appendDate
	case "time":
		return fixed(8, func(b array.Builder, p []byte) {
			b.(*array.Time64Builder).Append(arrow.Time64(binary.BigEndian.Uint64(p)))
		})
	case "timestamp", "timestamptz":
		return appendTimestamp
	case "uuid":
		return fixed(16, func(b array.Builder, p []byte) {
			var s [36]byte
			uuidText(&s, p)
			b.(*array.StringBuilder).BinaryBuilder.Append(s[:])
		})
	case "bytea":
		return func(b array.Builder, p []byte) error { b.(*array.BinaryBuilder).Append(p); return nil }
	case "jsonb":
		return func(b array.Builder, p []byte) error {
			if len(p) < 1 || p[0] != 1 {
				return errShort
			}
			return appendText(b, p[1:])
		}
	}
	return appendText
}

func fixed(n int, f func(b array.Builder, p []byte)) appendFunc {
	return func(b array.Builder, p []byte) error {
		if len(p) != n {
			return errShort
		}
		f(b, p)
		return nil
	}
}

func appendDate(b array.Builder, p []byte) error {
	if len(p) != 4 {
		return errShort
	}
	d := int32(binary.BigEndian.Uint32(p))
	switch {
	case d == math.MaxInt32: // infinity, for the engine as well
	case d == math.MinInt32:
		d = -math.MaxInt32
	case d > math.MaxInt32-epochDays-1:
		return errors.New("the date is later than the type reaches")
	default:
		d += epochDays
	}
	b.(*array.Date32Builder).Append(arrow.Date32(d))
	return nil
}

func appendTimestamp(b array.Builder, p []byte) error {
	if len(p) != 8 {
		return errShort
	}
	t := int64(binary.BigEndian.Uint64(p))
	switch {
	case t == math.MaxInt64: // infinity, for the engine as well
	case t == math.MinInt64:
		t = -math.MaxInt64
	case t > math.MaxInt64-epochMicros-1:
		return errors.New("the time is later than the type reaches")
	default:
		t += epochMicros
	}
	b.(*array.TimestampBuilder).Append(arrow.Timestamp(t))
	return nil
}

func appendText(b array.Builder, p []byte) error {
	if !utf8.Valid(p) {
		return errors.New("the text is not UTF-8")
	}
	b.(*array.StringBuilder).BinaryBuilder.Append(p)
	return nil
}

func uuidText(s *[36]byte, p []byte) {
	hex.Encode(s[0:8], p[0:4])
	hex.Encode(s[9:13], p[4:6])
	hex.Encode(s[14:18], p[6:8])
	hex.Encode(s[19:23], p[8:10])
	hex.Encode(s[24:36], p[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
}

// listDecoder decodes arrays of one dimension. An element that cannot be decoded
// becomes NULL in a row that is rejected.
func listDecoder(elem appendFunc) appendFunc {
	return func(b array.Builder, p []byte) error {
		if len(p) < 12 {
			return errShort
		}
		dims := int32(binary.BigEndian.Uint32(p))
		p = p[12:] // also: flags, the oid of the elements
		l := b.(*array.ListBuilder)
		if dims == 0 {
			l.Append(true)
			return nil
		}
		if dims != 1 {
			return errors.New("the array has more than one dimension")
		}
		if len(p) < 8 {
			return errShort
		}
		n := int(int32(binary.BigEndian.Uint32(p)))
		p = p[8:] // also: the lower bound
		if n < 0 || n > len(p)/4 {
			return errShort
		}
		l.Append(true)
		var fail error
		for range n {
			v, rest, null, err := value(p)
			if err != nil {
				return partly{err}
			}
			p = rest
			if null {
				l.ValueBuilder().AppendNull()
			} else if err := elem(l.ValueBuilder(), v); err != nil {
				l.ValueBuilder().AppendNull()
				fail = partly{err}
			}
		}
		return fail
	}
}

// partly is an error after the builder has taken the value's place.
type partly struct{ error }

// value takes one length-prefixed value off p.
func value(p []byte) (v, rest []byte, null bool, err error) {
	if len(p) < 4 {
		return nil, nil, false, errShort
	}
	n := int32(binary.BigEndian.Uint32(p))
	p = p[4:]
	if n == -1 {
		return nil, p, true, nil
	}
	if n < 0 || int(n) > len(p) {
		return nil, nil, false, errShort
	}
	return p[:n], p[n:], false, nil
}
