package serve

import (
	"bytes"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
)

// csvEncoder writes RFC 4180 quoting with a header, lines ended by \n. NULL is
// nothing and empty text is ""; where an answer has one column only, NULL is ""
// as well, because readers skip empty lines.
type csvEncoder struct {
	o *out
}

func newCSVEncoder(o *out, a *weft.Answer) *csvEncoder {
	for i, n := range columnNames(a.Schema) {
		if i > 0 {
			o.buf = append(o.buf, ',')
		}
		at := len(o.buf)
		o.buf = quoteCSV(append(o.buf, n...), at)
	}
	o.buf = append(o.buf, '\n')
	return &csvEncoder{o: o}
}

func (e *csvEncoder) batch(rec arrow.RecordBatch) error {
	cols := bindAll(rec)
	for i := range int(rec.NumRows()) {
		dst := e.o.buf
		for c, col := range cols {
			if c > 0 {
				dst = append(dst, ',')
			}
			switch {
			case col.null(i):
				if len(cols) == 1 {
					dst = append(dst, '"', '"')
				}
			case col.class < free:
				at := len(dst)
				if dst = col.text(dst, i); len(dst) == at {
					dst = append(dst, '"', '"') // an empty blob is not NULL
				}
			default:
				at := len(dst)
				dst = quoteCSV(col.text(dst, i), at)
			}
		}
		e.o.buf = append(dst, '\n')
		if err := e.o.full(); err != nil {
			return err
		}
	}
	return nil
}

func (e *csvEncoder) end(int64) error { return e.o.spill() }

func (e *csvEncoder) release() {}

// quoteCSV makes dst[at:] a field: quoted where it is empty or holds a comma, a
// quote, a line end, or blanks at its ends that readers would trim.
func quoteCSV(dst []byte, at int) []byte {
	field := dst[at:]
	need := len(field) == 0 || field[0] <= ' ' || field[len(field)-1] <= ' '
	if !need && bytes.IndexByte(field, ',') < 0 && bytes.IndexByte(field, '"') < 0 &&
		bytes.IndexByte(field, '\n') < 0 && bytes.IndexByte(field, '\r') < 0 {
		return dst
	}
	raw := bytes.Clone(field)
	dst = append(dst[:at], '"')
	for _, b := range raw {
		if b == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, b)
	}
	return append(dst, '"')
}
