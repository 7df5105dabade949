package files

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// dialect is how a CSV file's text makes records.
type dialect struct {
	delimiter string
	quote     string // one byte, empty for none
	escape    string // one byte, empty for none
	skip      int    // lines above the header
	header    bool
	encoding  string // utf-8, latin-1, utf-16
	nulls     []string
	dates     string // strptime format, empty for ISO
	stamps    string
}

// maxRecord bounds what one record may take.
const maxRecord = 4 << 20

var errLongRecord = errors.New("a record is longer than 4 MB: is a quote not closed?")

// decoded gives content as UTF-8 without a byte order mark.
func decoded(r io.Reader, encoding string) *bufio.Reader {
	switch encoding {
	case "latin-1":
		r = transform.NewReader(r, charmap.ISO8859_1.NewDecoder())
	case "utf-16":
		r = transform.NewReader(r, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder())
	}
	b := bufio.NewReaderSize(r, 64<<10)
	if head, _ := b.Peek(3); bytes.Equal(head, []byte("\xef\xbb\xbf")) {
		_, _ = b.Discard(3)
	}
	return b
}

// record reads the next record. io.EOF at the end.
func (d dialect) record(r *bufio.Reader) ([]string, error) {
	var fields []string
	var field []byte
	size, inside, any, closed := 0, false, false, false
	for {
		c, err := r.ReadByte()
		if err == io.EOF {
			if !any {
				return nil, io.EOF
			}
			return append(fields, string(field)), nil
		}
		if err != nil {
			return nil, err
		}
		any = true
		if size++; size > maxRecord {
			return nil, errLongRecord
		}
		switch {
		case inside && d.escape != "" && c == d.escape[0] && d.escape != d.quote:
			if next, err := r.ReadByte(); err == nil {
				field = append(field, next)
			}
		case inside && d.quote != "" && c == d.quote[0]:
			if next, _ := r.Peek(1); len(next) == 1 && next[0] == c && (d.escape == d.quote || d.escape == "") {
				_, _ = r.ReadByte()
				field = append(field, c)
				continue
			}
			inside, closed = false, true
		case inside:
			field = append(field, c)
		case d.quote != "" && c == d.quote[0] && len(field) == 0 && !closed:
			inside = true
		case c == '\n', c == '\r':
			if next, _ := r.Peek(1); c == '\r' && len(next) == 1 && next[0] == '\n' {
				_, _ = r.ReadByte()
			}
			return append(fields, string(field)), nil
		case d.atDelimiter(c, r):
			fields, field, closed = append(fields, string(field)), nil, false
		default:
			field = append(field, c)
		}
	}
}

// atDelimiter reports whether c begins the delimiter, and eats the rest of it.
func (d dialect) atDelimiter(c byte, r *bufio.Reader) bool {
	if d.delimiter == "" || c != d.delimiter[0] {
		return false
	}
	rest := d.delimiter[1:]
	if rest == "" {
		return true
	}
	if next, _ := r.Peek(len(rest)); string(next) != rest {
		return false
	}
	_, _ = r.Discard(len(rest))
	return true
}

// first reads the first record below the skipped lines; nil for a file without
// one.
func (d dialect) first(f *file) ([]string, error) {
	c, err := f.open()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return nil, err
	}
	defer c.Close()
	r := decoded(c, d.encoding)
	for range d.skip {
		if err := skipLine(r); err != nil {
			return nil, nil //nolint:nilerr // fewer lines than are skipped: no header
		}
	}
	rec, err := d.record(r)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	return rec, err
}

func skipLine(r *bufio.Reader) error {
	for n := 0; ; {
		line, err := r.ReadSlice('\n')
		n += len(line)
		if err == nil {
			return nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) || n > maxRecord {
			return err
		}
	}
}

// fields splits one line that the engine gave back.
func (d dialect) fields(line string) []string {
	rec, err := d.record(bufio.NewReader(bytes.NewReader([]byte(line))))
	if err != nil {
		return nil
	}
	return rec
}
