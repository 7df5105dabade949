package store

import (
	"encoding/binary"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// appendKey appends the canonical encoding of row's key: equal keys have equal
// bytes, and no key is the beginning of another. A null is an error.
func appendKey(b []byte, cols []arrow.Array, row int) ([]byte, error) {
	for _, c := range cols {
		if c.IsNull(row) {
			return nil, fmt.Errorf("row %d has a key that is null", row+1)
		}
		switch c := c.(type) {
		case *array.String:
			b = appendText(b, c.Value(row))
		case *array.LargeString:
			b = appendText(b, c.Value(row))
		case *array.Decimal128:
			v := c.Value(row)
			b = binary.BigEndian.AppendUint64(b, uint64(v.HighBits()))
			b = binary.BigEndian.AppendUint64(b, v.LowBits())
		default:
			v, err := keyNumber(c, row)
			if err != nil {
				return nil, err
			}
			b = binary.BigEndian.AppendUint64(b, uint64(v))
		}
	}
	return b, nil
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func keyNumber(c arrow.Array, row int) (int64, error) {
	switch c := c.(type) {
	case *array.Int64:
		return c.Value(row), nil
	case *array.Int32:
		return int64(c.Value(row)), nil
	case *array.Int16:
		return int64(c.Value(row)), nil
	case *array.Int8:
		return int64(c.Value(row)), nil
	case *array.Uint64:
		return int64(c.Value(row)), nil
	case *array.Uint32:
		return int64(c.Value(row)), nil
	case *array.Uint16:
		return int64(c.Value(row)), nil
	case *array.Uint8:
		return int64(c.Value(row)), nil
	case *array.Date32:
		return int64(c.Value(row)), nil
	case *array.Timestamp:
		return int64(c.Value(row)), nil
	case *array.Time64:
		return int64(c.Value(row)), nil
	case *array.Boolean:
		if c.Value(row) {
			return 1, nil
		}
		return 0, nil
	}
	return 0, fmt.Errorf("a column of type %s cannot be part of a key", c.DataType())
}
