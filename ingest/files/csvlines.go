package files

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"weft/ingest"
)

// collect takes the lines that the engine could not read.
func (l *load) collect(ctx context.Context, g *group, last bool, errs, scans string) error {
	n, err := l.count(ctx, "count(*)", errs)
	if err != nil || n == 0 {
		return err
	}
	if n >= 2*ingest.MaxRejects {
		return rejection{l.rejects.TooMany()}
	}
	return l.collectLines(ctx, g, last, errs, scans)
}

// brokenLine is what the engine's list says of one line.
type brokenLine struct {
	file, line, text string
	offset           int64  // of the line, from 1
	structure        string // why the line does not split into the columns
	found            int    // fields, where there are too few or too many
	casts            []int  // columns whose value does not fit
}

func (l *load) collectLines(ctx context.Context, g *group, last bool, errs, scans string) error {
	sql := fmt.Sprintf(`SELECT s.file_path, CAST(e.line AS VARCHAR), CAST(e.error_type AS VARCHAR), CAST(e.column_idx AS VARCHAR), e.error_message, e.csv_line, CAST(e.line_byte_position AS VARCHAR)
FROM %s e JOIN %s s USING (scan_id, file_id) ORDER BY s.file_path, e.line, e.column_idx`, errs, scans)
	var cur *brokenLine
	l.broken = map[brokenAt]bool{}
	var lines lineCounter
	defer lines.close()
	flush := func() error {
		if cur == nil {
			return nil
		}
		line := cur.line
		if f := g.file(cur.file); f != nil && g.csv.encoding == "utf-8" {
			line = lines.find(f, cur.offset, line)
		}
		reason, err := g.reason(cur, last)
		if err != nil {
			return err
		}
		l.broken[brokenAt{cur.file, line}] = true
		if err := l.rejects.Add(fmt.Sprintf("line %s: %s", line, reason), l.r.Label(cur.file)+":"+line, g.rowJSON(cur)); err != nil {
			return rejection{err}
		}
		return nil
	}
	err := rows(ctx, l.r, sql, func(t []string, _ []bool) error {
		if cur == nil || cur.file != t[0] || cur.line != t[1] {
			if err := flush(); err != nil {
				return err
			}
			cur = &brokenLine{file: t[0], line: t[1], text: t[5]}
			cur.offset, _ = strconv.ParseInt(t[6], 10, 64)
		}
		index, _ := strconv.Atoi(t[3])
		g.explain(cur, t[2], index-1, t[4])
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// explain notes one of the engine's errors; its own words cite values.
func (g *group) explain(b *brokenLine, kind string, column int, message string) {
	switch kind {
	case "CAST":
		b.casts = append(b.casts, column)
	case "MISSING COLUMNS", "TOO MANY COLUMNS":
		_, found, _ := strings.Cut(message, "Found: ")
		if n := leadingNumber(found); b.found == 0 || kind == "TOO MANY COLUMNS" {
			b.found = n // of missing ones the first has the true number, of others the last
		}
		b.structure = fmt.Sprintf("expected %d columns, found %d", len(g.found), b.found)
	case "UNQUOTED VALUE":
		b.structure = "a quote is not closed where its value ends"
	case "LINE SIZE OVER MAXIMUM":
		b.structure = fmt.Sprintf("the line is longer than %d MB", maxLong>>20)
	case "INVALID ENCODING", "INVALID UNICODE":
		b.structure = "the text is not " + g.csv.encoding
	default:
		b.structure = "the line breaks the rules of CSV"
	}
}

// reason says why the line is rejected, and asks for another type where only an
// inferred one is to blame.
func (g *group) reason(b *brokenLine, last bool) (string, error) {
	if b.structure != "" {
		return b.structure, nil
	}
	var w []string
	for _, i := range b.casts {
		for _, c := range g.bound {
			if c.Index != i {
				continue
			}
			if !c.Declared && !last {
				return "", errReinfer
			}
			w = append(w, fmt.Sprintf("type %s: column %s", c.Type, c.Source))
		}
	}
	return strings.Join(w, ", "), nil
}

func leadingNumber(s string) int {
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	n, _ := strconv.Atoi(s[:end])
	return n
}

// rowJSON is the row by column, or the line where it does not split.
func (g *group) rowJSON(b *brokenLine) json.RawMessage {
	text := strings.ToValidUTF8(b.text, "\uFFFD")
	fields := g.csv.fields(text)
	if b.structure != "" || len(fields) != len(g.found) {
		raw, _ := json.Marshal(map[string]string{"line": text})
		return raw
	}
	return object(g.found, fields)
}

// object writes a JSON object that keeps the order of the columns; values that
// are one of nulls are null.
func object(names []ingest.Found, values []string, nulls ...string) json.RawMessage {
	var b strings.Builder
	b.WriteByte('{')
	for i, n := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		k, _ := json.Marshal(n.Name)
		v := []byte("null")
		if !slices.Contains(nulls, values[i]) {
			v, _ = json.Marshal(strings.ToValidUTF8(values[i], "\uFFFD"))
		}
		b.Write(k)
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return json.RawMessage(b.String())
}
