package serve

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
)

// hexDigits spell the escapes of control characters.
const hexDigits = "0123456789abcdef"

// quoteJSON makes dst[at:] a JSON string. Text is UTF-8; a byte that is not
// becomes the replacement character.
func quoteJSON(dst []byte, at int) []byte {
	clean := true
	for _, b := range dst[at:] {
		if b < 0x20 || b == '"' || b == '\\' || b >= utf8.RuneSelf {
			clean = false
			break
		}
	}
	if clean {
		dst = append(dst, 0, '"')
		copy(dst[at+1:], dst[at:len(dst)-2])
		dst[at] = '"'
		return dst
	}
	raw := string(dst[at:])
	dst = append(dst[:at], '"')
	for i := 0; i < len(raw); {
		b := raw[i]
		switch {
		case b >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(raw[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b == '\n':
			dst = append(dst, '\\', 'n')
		case b == '\r':
			dst = append(dst, '\\', 'r')
		case b == '\t':
			dst = append(dst, '\\', 't')
		case b < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
		default:
			dst = append(dst, b)
		}
		i++
	}
	return append(dst, '"')
}

// Columns names the columns of a schema and their types.
func Columns(s *arrow.Schema) []Column {
	cs := make([]Column, s.NumFields())
	for i, f := range s.Fields() {
		cs[i] = Column{Name: f.Name, Type: TypeName(f)}
	}
	return cs
}

// jsonHead is what a JSON answer says before its rows.
type jsonHead struct {
	Columns []Column `json:"columns"`
	Cut     string   `json:"cut"`
	CutText string   `json:"cutText"`
	Points  weft.Cut `json:"points"`
	Held    int64    `json:"held"`
}

// jsonEncoder writes one document: columns, cut, rows as arrays, and after them
// the number of rows, who gave what, and the warnings where there are any. A document that broke off has no end.
type jsonEncoder struct {
	o     *out
	a     *weft.Answer
	first bool
}

func newJSONEncoder(o *out, a *weft.Answer) *jsonEncoder {
	points := a.Cut.Sorted()
	if points == nil {
		points = weft.Cut{}
	}
	head, _ := json.Marshal(jsonHead{Columns(a.Schema), a.Cut.Token(), a.Cut.String(), points, a.Held}) // always encodes
	o.buf = append(o.buf, head[:len(head)-1]...)
	o.buf = append(o.buf, `,"rows":[`...)
	return &jsonEncoder{o: o, a: a, first: true}
}

func (e *jsonEncoder) batch(rec arrow.RecordBatch) error {
	cols := bindAll(rec)
	for i := range int(rec.NumRows()) {
		dst := e.o.buf
		if !e.first {
			dst = append(dst, ',')
		}
		e.first = false
		dst = append(dst, '\n', '[')
		for c, col := range cols {
			if c > 0 {
				dst = append(dst, ',')
			}
			dst = col.json(dst, i)
		}
		e.o.buf = append(dst, ']')
		if err := e.o.full(); err != nil {
			return err
		}
	}
	return nil
}

func (e *jsonEncoder) end(rows int64) error {
	e.o.buf = append(e.o.buf, "\n],\"rowCount\":"...)
	e.o.buf = strconv.AppendInt(e.o.buf, rows, 10)
	if gs := WhoGave(e.a); len(gs) > 0 {
		b, _ := json.Marshal(gs) // names, numbers and texts always encode
		e.o.buf = append(append(e.o.buf, ",\"parts\":"...), b...)
	}
	if ws := Warnings(e.a); len(ws) > 0 {
		b, _ := json.Marshal(ws) // texts and a name always encode
		e.o.buf = append(append(e.o.buf, ",\"warnings\":"...), b...)
	}
	e.o.buf = append(e.o.buf, "}\n"...)
	return e.o.spill()
}

func (e *jsonEncoder) release() {}

func bindAll(rec arrow.RecordBatch) []*column {
	cols := make([]*column, rec.NumCols())
	for i := range cols {
		cols[i] = bind(rec.Column(i))
	}
	return cols
}

// ndjsonEncoder writes one object per row and nothing else; the cut is in the
// headers.
type ndjsonEncoder struct {
	o     *out
	names [][]byte // {"name": and ,"name":
}

func newNDJSONEncoder(o *out, a *weft.Answer) *ndjsonEncoder {
	e := &ndjsonEncoder{o: o}
	for i, n := range columnNames(a.Schema) {
		key := []byte{','}
		if i == 0 {
			key[0] = '{'
		}
		key = quoteJSON(append(key, n...), 1)
		e.names = append(e.names, append(key, ':'))
	}
	return e
}

func (e *ndjsonEncoder) batch(rec arrow.RecordBatch) error {
	cols := bindAll(rec)
	for i := range int(rec.NumRows()) {
		dst := e.o.buf
		for c, col := range cols {
			dst = col.json(append(dst, e.names[c]...), i)
		}
		if len(cols) == 0 {
			dst = append(dst, '{')
		}
		e.o.buf = append(dst, '}', '\n')
		if err := e.o.full(); err != nil {
			return err
		}
	}
	return nil
}

func (e *ndjsonEncoder) end(int64) error { return e.o.spill() }

func (e *ndjsonEncoder) release() {}
