package engine

import (
	"errors"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
)

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

var errBytes = errors.New("rows whose bytes are not as they must be") // Arrow's words may quote a value
