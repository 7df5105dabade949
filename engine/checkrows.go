package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// errBytes is said in the place of Arrow's words, which may quote a value.
var errBytes = errors.New("rows whose bytes are not as they must be")

// CheckRows holds rows of somebody who is not believed: every offset and length
// lies within its buffers, text is text, and values are those of their types. Panics
// that it may come to are the caller's to catch.
func CheckRows(b arrow.RecordBatch) error {
	if err := checkBytes(b); err != nil {
		return errBytes
	}
	for i, c := range b.Columns() {
		if err := checkValues(c); err != nil {
			return fmt.Errorf("column %q: %w", b.Schema().Field(i).Name, err)
		}
	}
	return nil
}

// checkValues finds values that Arrow's own checks let pass and the engine takes
// for granted: numbers longer than their type, times of no day.
func checkValues(a arrow.Array) error {
	switch a := a.(type) {
	case *array.Decimal128:
		p := a.DataType().(*arrow.Decimal128Type).Precision
		most := decimal128.GetScaleMultiplier(int(p))
		least := most.Negate()
		for i, v := range a.Values() {
			if !(v.Less(most) && least.Less(v)) && a.IsValid(i) {
				return fmt.Errorf("a number of more than %d digits", p)
			}
		}
	case *array.Time64:
		day := int64(86_400_000_000)
		if a.DataType().(*arrow.Time64Type).Unit == arrow.Nanosecond {
			day *= 1000
		}
		for i, v := range a.Time64Values() {
			if (v < 0 || int64(v) > day) && a.IsValid(i) {
				return errors.New("a time of no day")
			}
		}
	case *array.Timestamp:
		for i, v := range a.TimestampValues() {
			if v == math.MinInt64 && a.IsValid(i) {
				return errors.New("a time before all times")
			}
		}
	case *array.Date32:
		for i, v := range a.Date32Values() {
			if v == math.MinInt32 && a.IsValid(i) {
				return errors.New("a date before all dates")
			}
		}
	case *array.Struct:
		for i := range a.NumField() {
			if err := checkValues(a.Field(i)); err != nil {
				return err
			}
		}
	case array.ListLike:
		return checkValues(a.ListValues())
	}
	return nil
}

// checkBytes holds that every offset and length of a batch lies within its buffers and
// that text is UTF-8. It is array.ValidateRecordFull, but that it looks at the text of a
// column at once, which takes a fraction of the time.
func checkBytes(b arrow.RecordBatch) error {
	if err := array.ValidateRecord(b); err != nil {
		return err
	}
	for _, c := range b.Columns() {
		if s, ok := c.(*array.String); ok && textIsWhole(s) {
			continue
		}
		if err := array.ValidateFull(c); err != nil {
			return err
		}
	}
	return nil
}

// textIsWhole says whether a column of text, whose buffers are as long as they must be,
// is in order: its texts follow each other in one text that is UTF-8, and each begins
// with a character. Others may be in order, too.
func textIsWhole(s *array.String) bool {
	d := s.Data()
	if d.Offset() != 0 || d.Len() == 0 {
		return false
	}
	switch valid := d.Buffers()[0]; {
	case valid == nil || valid.Len() == 0:
		if d.NullN() != 0 {
			return false
		}
	case d.NullN() != d.Len()-bitutil.CountSetBits(valid.Bytes(), 0, d.Len()):
		return false
	}
	if d.Buffers()[2] == nil {
		return false
	}
	offsets := s.ValueOffsets()
	text := d.Buffers()[2].Bytes()
	last := offsets[0]
	if last < 0 || int64(offsets[len(offsets)-1]) > int64(len(text)) {
		return false
	}
	for _, o := range offsets[1:] {
		if o < last {
			return false
		}
		last = o
	}
	text = text[offsets[0]:last]
	if isASCII(text) { // where each byte is a character
		return true
	}
	if !utf8.Valid(text) {
		return false
	}
	for _, o := range offsets[:len(offsets)-1] {
		if at := int(o - offsets[0]); at < len(text) && !utf8.RuneStart(text[at]) {
			return false
		}
	}
	return true
}

// isASCII says whether no byte of a text is part of a longer character.
func isASCII(text []byte) bool {
	const high = 0x8080808080808080
	for len(text) >= 32 {
		w := binary.LittleEndian.Uint64(text) | binary.LittleEndian.Uint64(text[8:]) |
			binary.LittleEndian.Uint64(text[16:]) | binary.LittleEndian.Uint64(text[24:])
		if w&high != 0 {
			return false
		}
		text = text[32:]
	}
	for _, b := range text {
		if b >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
