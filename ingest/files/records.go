package files

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"weft"
)

const opRecords = "take the source apart"

// records writes each record of a JSON file as {"n": its line or number, "r": the
// record} on a line of its own, and rejects what is no JSON object.
func (l *load) records(ctx context.Context, f *file, to string) error {
	layout, err := f.layout()
	if err != nil {
		return err
	}
	in, err := f.open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return weft.Errorf(weft.KindUnavailable, opRecords, l.r.Where(), "%w", err)
	}
	w := bufio.NewWriterSize(out, 1<<20)
	src := decoded(&ctxReader{ctx, in}, "utf-8")
	if layout == "newline_delimited" {
		err = l.lines(f, src, w)
	} else {
		err = l.values(f, src, w, layout == "array")
	}
	if err == nil {
		err = w.Flush()
	}
	if c := out.Close(); err == nil && c != nil {
		err = weft.Errorf(weft.KindUnavailable, opRecords, l.r.Where(), "%w", c)
	}
	return err
}

// lines takes one record from each line.
func (l *load) lines(f *file, src *bufio.Reader, w *bufio.Writer) error {
	for n := 1; ; n++ {
		line, err := readLine(src)
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return weft.Errorf(weft.KindInvalid, opRecords, l.r.Where(), "%s, line %d: %s", f.label, n, err)
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if err := l.putRecord(f, w, n, line, "line"); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
	}
}

// readLine reads to the next newline; a line above maxLong is an error.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLong {
			return nil, fmt.Errorf("longer than %d MB", maxLong>>20)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// putRecord writes one record, or rejects it.
func (l *load) putRecord(f *file, w *bufio.Writer, n int, raw []byte, word string) error {
	reason := ""
	switch {
	case !json.Valid(raw):
		reason = "no JSON"
	case !utf8.Valid(raw), halfCharacter(raw):
		reason = "the text is not utf-8"
	case raw[0] != '{':
		reason = "no JSON object"
	}
	if reason != "" {
		row, _ := json.Marshal(map[string]string{word: strings.ToValidUTF8(string(raw), "\uFFFD")})
		if err := l.rejects.Add(fmt.Sprintf("%s %d: %s", word, n, reason), fmt.Sprintf("%s:%d", f.label, n), row); err != nil {
			return rejection{err}
		}
		return nil
	}
	_, err := fmt.Fprintf(w, `{"n":%d,"r":%s}`+"\n", n, raw)
	return err
}

// halfCharacter reports whether valid JSON has a \u escape of half a character: a
// surrogate without its other half.
func halfCharacter(raw []byte) bool {
	for i := bytes.IndexByte(raw, '\\'); i >= 0 && i+1 < len(raw); {
		n := 2
		if raw[i+1] == 'u' {
			n = 6
			r := escaped(raw[i:])
			if utf16.IsSurrogate(r) {
				if utf16.DecodeRune(r, escaped(raw[i+6:])) == utf8.RuneError {
					return true
				}
				n = 12
			}
		}
		next := bytes.IndexByte(raw[i+n:], '\\')
		if next < 0 {
			return false
		}
		i += n + next
	}
	return false
}

// escaped is the code of the \u escape that b begins with, 0 where it does not.
func escaped(b []byte) rune {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	if err != nil {
		return 0
	}
	return rune(n)
}

var errLongObject = errors.New("the record is too long")

// bounded gives left bytes and then fails: no record makes its reader hold more.
type bounded struct {
	r    io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLongObject
	}
	n, err := b.r.Read(p)
	b.left -= n
	return n, err
}

// values takes records from an array, or one after another. Where the text
// itself is broken nothing can tell the next record: that is an error.
func (l *load) values(f *file, src *bufio.Reader, w *bufio.Writer, array bool) error {
	bound := &bounded{r: src}
	dec := json.NewDecoder(bound)
	broken := func(n int, err error) error {
		what := "is cut off"
		switch {
		case errors.Is(err, errLongObject):
			what = fmt.Sprintf("is longer than %d MB", maxLong>>20)
		case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			what = "is broken"
		}
		return weft.Errorf(weft.KindInvalid, opRecords, l.r.Where(), "%s %s in record %d, near byte %d", f.label, what, n, dec.InputOffset()).
			WithHint("nothing was staged; replace the file by a whole one")
	}
	bound.left = maxLong
	if array {
		if _, err := dec.Token(); err != nil {
			return broken(1, err)
		}
	}
	for n := 1; ; n++ {
		if array && !dec.More() {
			if _, err := dec.Token(); err != nil {
				return broken(n, err)
			}
			return nil
		}
		var raw json.RawMessage
		bound.left = maxLong
		err := dec.Decode(&raw)
		if !array && errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return broken(n, err)
		}
		var flat bytes.Buffer
		if err := json.Compact(&flat, raw); err != nil {
			return broken(n, err)
		}
		if err := l.putRecord(f, w, n, flat.Bytes(), "record"); err != nil {
			return err
		}
	}
}
