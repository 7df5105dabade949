package store

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/google/uuid"
)

// The canonical encoding of a key: equal keys have equal bytes, no key is the
// beginning of another, and bytes are in the order of the values. It is that of
// each key column, one behind the other:
//
//	integers, date, time, timestamp   8 bytes, big endian, the sign bit turned over
//	unsigned integers                 8 bytes, big endian
//	decimal                           16 bytes of the unscaled value, the sign bit turned over
//	boolean                           1 byte
//	uuid                              its 16 bytes
//	text                              its bytes, 00 written as 00 FF, and 00 01 at the end

// keySet is the keys of a batch's rows, in one piece of memory. It never changes
// once it is made.
type keySet struct {
	rows  int
	width int // of every key, 0 where they differ
	bytes []byte
	ends  []uint32 // where each row's key ends; nil where width is set
}

func (k *keySet) len() int { return k.rows }

// key is the encoded key of a row.
func (k *keySet) key(row int) []byte {
	if w := k.width; w > 0 {
		return k.bytes[row*w : row*w+w : row*w+w]
	}
	from := uint32(0)
	if row > 0 {
		from = k.ends[row-1]
	}
	return k.bytes[from:k.ends[row]:k.ends[row]]
}

// pick is the keys of the rows that are to be kept.
func (k *keySet) pick(keep func(row int) bool) *keySet {
	out := &keySet{width: k.width}
	for i := range k.rows {
		if !keep(i) {
			continue
		}
		out.rows++
		out.bytes = append(out.bytes, k.key(i)...)
		if k.width == 0 {
			out.ends = append(out.ends, uint32(len(out.bytes)))
		}
	}
	return out
}

// keyFields are the fields of a table's key, in its order.
func keyFields(s *arrow.Schema, keys []int) []arrow.Field {
	fs := make([]arrow.Field, len(keys))
	for i, k := range keys {
		fs[i] = s.Field(k)
	}
	return fs
}

// encodeKeys encodes the keys of a batch; columns are those of fields. A null is
// an error.
func encodeKeys(fields []arrow.Field, columns []arrow.Array) (*keySet, error) {
	k := &keySet{rows: columns[0].Len()}
	parts := make([]keyPart, len(columns))
	fixed := true
	for i, c := range columns {
		if c.NullN() != 0 { // or not counted yet
			for row := range k.rows {
				if c.IsNull(row) {
					return nil, fmt.Errorf("row %d has a key that is null", row+1)
				}
			}
		}
		var err error
		if parts[i], err = keyPartOf(fields[i], c); err != nil {
			return nil, err
		}
		k.width += parts[i].width
		fixed = fixed && parts[i].width > 0
	}
	if !fixed {
		k.width = 0
		return k, k.encodeTexts(parts)
	}
	if k.rows == 0 { // there is no place for a second column
		return k, nil
	}
	k.bytes = make([]byte, k.rows*k.width)
	at := 0
	for _, p := range parts {
		p.put(k.bytes[at:], k.width)
		at += p.width
	}
	return k, nil
}

// encodeTexts encodes keys that are not all of one length.
func (k *keySet) encodeTexts(parts []keyPart) error {
	k.bytes = make([]byte, 0, k.rows*16)
	k.ends = make([]uint32, k.rows)
	for i, p := range parts { // a column of fixed width is encoded first, and copied then
		if p.width == 0 {
			continue
		}
		column, w := make([]byte, k.rows*p.width), p.width
		p.put(column, w)
		parts[i].text = func(b []byte, row int) []byte { return append(b, column[row*w:row*w+w]...) }
	}
	for row := range k.rows {
		for _, p := range parts {
			k.bytes = p.text(k.bytes, row)
		}
		if len(k.bytes) > math.MaxUint32 {
			return fmt.Errorf("the keys of one batch have more than 4 GB")
		}
		k.ends[row] = uint32(len(k.bytes))
	}
	return nil
}

// keyPart is one column of a key. One of fixed width puts all its values at the
// beginning of b and every stride bytes behind; of others, text appends one.
type keyPart struct {
	width int
	put   func(b []byte, stride int)
	text  func(b []byte, row int) []byte
}

func keyPartOf(f arrow.Field, c arrow.Array) (keyPart, error) {
	switch c := c.(type) {
	case *array.String:
		if name, _ := sqlType(f); name == "UUID" {
			return uuidPart(c)
		}
		return keyPart{text: func(b []byte, row int) []byte { return appendText(b, c.Value(row)) }}, nil
	case *array.LargeString:
		return keyPart{text: func(b []byte, row int) []byte { return appendText(b, c.Value(row)) }}, nil
	case *array.Decimal128:
		return fixedPart(16, c.Values(), func(b []byte, v decimal128.Num) {
			putSigned(b, v.HighBits())
			binary.BigEndian.PutUint64(b[8:], v.LowBits())
		}), nil
	case *array.Boolean:
		return keyPart{width: 1, put: func(b []byte, stride int) {
			for row := range c.Len() {
				if c.Value(row) {
					b[row*stride] = 1
				}
			}
		}}, nil
	}
	return numberPart(c)
}

func fixedPart[T any](width int, values []T, put func(b []byte, v T)) keyPart {
	return keyPart{width: width, put: func(b []byte, stride int) {
		for row, v := range values {
			put(b[row*stride:], v)
		}
	}}
}

func signedPart[T ~int8 | ~int16 | ~int32 | ~int64](values []T) keyPart {
	return keyPart{width: 8, put: func(b []byte, stride int) {
		for row, v := range values {
			putSigned(b[row*stride:], int64(v))
		}
	}}
}

func unsignedPart[T ~uint8 | ~uint16 | ~uint32 | ~uint64](values []T) keyPart {
	return keyPart{width: 8, put: func(b []byte, stride int) {
		for row, v := range values {
			binary.BigEndian.PutUint64(b[row*stride:], uint64(v))
		}
	}}
}

// uuidPart reads the uuids first: the text of one may be written in more than one
// way.
func uuidPart(c *array.String) (keyPart, error) {
	ids := make([]uuid.UUID, c.Len())
	for row := range ids {
		var err error
		if ids[row], err = uuid.Parse(c.Value(row)); err != nil {
			return keyPart{}, fmt.Errorf("row %d has a key that is no uuid", row+1)
		}
	}
	return fixedPart(16, ids, func(b []byte, v uuid.UUID) { copy(b, v[:]) }), nil
}

func numberPart(c arrow.Array) (keyPart, error) {
	switch c := c.(type) {
	case *array.Int64:
		return signedPart(c.Int64Values()), nil
	case *array.Int32:
		return signedPart(c.Int32Values()), nil
	case *array.Int16:
		return signedPart(c.Int16Values()), nil
	case *array.Int8:
		return signedPart(c.Int8Values()), nil
	case *array.Uint64:
		return unsignedPart(c.Uint64Values()), nil
	case *array.Uint32:
		return unsignedPart(c.Uint32Values()), nil
	case *array.Uint16:
		return unsignedPart(c.Uint16Values()), nil
	case *array.Uint8:
		return unsignedPart(c.Uint8Values()), nil
	case *array.Date32:
		return signedPart(c.Date32Values()), nil
	case *array.Timestamp:
		return signedPart(c.TimestampValues()), nil
	case *array.Time64:
		return signedPart(c.Time64Values()), nil
	}
	return keyPart{}, fmt.Errorf("a column of type %s cannot be part of a key", c.DataType())
}

func putSigned(b []byte, v int64) { binary.BigEndian.PutUint64(b, uint64(v)^1<<63) }

func appendText(b []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, 0)
		if i < 0 {
			b = append(b, s...)
			return append(b, 0, 1)
		}
		b = append(append(b, s[:i]...), 0, 0xFF)
		s = s[i+1:]
	}
}
