package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"weft/contract"
	"weft/ingest"
)

// brokenAt is a line of a file.
type brokenAt struct{ path, line string }

// unfit are the rows of one file with values that do not fit, as the engine found
// them: by the texts of the columns that its reader is not sure of, which alone
// decide it.
type unfit struct {
	reasons map[string]string
	rows    int64
}

// collectUnfit takes the rows with values that do not fit. The
// engine does not know their lines, so the file is read once more to find the
// records of the same texts; where that gives other rows than the engine's, its
// rows are taken without a line.
func (l *load) collectUnfit(ctx context.Context, g *group, read []string) error {
	columns, reason, bad := g.unfitRules()
	faults := map[string]*unfit{}
	sql := fmt.Sprintf("SELECT filename, %s AS reason, CAST(count(*) AS VARCHAR), %s, CAST(%s AS VARCHAR) AS touched FROM %s WHERE %s GROUP BY filename, reason, %s",
		reason, strings.Join(columns, ", "), g.touch(), g.reader(read, "store_rejects=true", "filename=true"), bad, strings.Join(columns, ", "))
	err := rows(ctx, l.r, sql, func(t []string, valid []bool) error {
		f := faults[t[0]]
		if f == nil {
			f = &unfit{reasons: map[string]string{}}
			faults[t[0]] = f
		}
		n, err := strconv.ParseInt(t[2], 10, 64)
		f.rows += n
		f.reasons[textKey(t[3:len(t)-1], valid[3:])] = t[1]
		return err
	})
	if err != nil {
		return err
	}
	for _, f := range g.files {
		w := faults[f.path]
		if w == nil {
			continue
		}
		found, err := l.findUnfit(ctx, g, f, w)
		switch {
		case ctx.Err() != nil:
			return ctx.Err() // what was found is not all
		case err != nil || int64(len(found)) != w.rows:
			err = l.unfitWithoutLine(ctx, g.one(f), read)
		default:
			for _, r := range found {
				if err = l.rejects.Add(fmt.Sprintf("line %s: %s", r.line, r.reason), l.r.Label(f.path)+":"+r.line, r.row); err != nil {
					break
				}
			}
		}
		if err != nil {
			return rejection{err}
		}
	}
	return nil
}

// unfitRules are the columns that may not fit as the engine reads them, the reason
// that a row of theirs is rejected for, and what is true for such a row.
func (g *group) unfitRules() (columns []string, reason, bad string) {
	var reasons, is []string
	for _, b := range g.unsure() {
		w := g.way(b, true)
		wrong := w.wrong()
		columns, is = append(columns, w.value), append(is, wrong)
		reasons = append(reasons, fmt.Sprintf("CASE WHEN %s THEN %s END", wrong, contract.QuoteLiteral(fmt.Sprintf("type %s: column %s", b.Type, b.Source))))
	}
	return columns, "concat_ws(', ', " + strings.Join(reasons, ", ") + ")", strings.Join(is, " OR ")
}

// unsure are the bound columns whose values may not fit when the engine has read
// them.
func (g *group) unsure() []ingest.Binding {
	var out []ingest.Binding
	for _, b := range g.bound {
		if b.Index >= 0 && !g.way(b, true).sure {
			out = append(out, b)
		}
	}
	return out
}

// textKey tells apart the texts of some columns, NULL from the empty text too.
func textKey(texts []string, valid []bool) string {
	var b strings.Builder
	for i, t := range texts {
		if valid[i] {
			b.WriteString(strconv.Itoa(len(t)))
			b.WriteByte(':')
			b.WriteString(t)
		} else {
			b.WriteByte('-')
		}
	}
	return b.String()
}

// rejectedRecord is one record that was found again.
type rejectedRecord struct {
	line, reason string
	row          json.RawMessage
}

// findUnfit reads a file's records for those that w names, but for the lines that
// the engine gave back for another reason.
func (l *load) findUnfit(ctx context.Context, g *group, f *file, w *unfit) ([]rejectedRecord, error) {
	in, err := f.open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	r := decoded(&ctxReader{ctx, in}, g.csv.encoding)
	line := int64(1)
	for range g.csv.skip {
		if err := skipLine(r); err != nil {
			return nil, err
		}
		line++
	}
	var out []rejectedRecord
	columns := g.unsure()
	texts, valid := make([]string, len(columns)), make([]bool, len(columns))
	for header := g.csv.header; ; header = false {
		rec, err := g.csv.record(r)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		at := strconv.FormatInt(line, 10)
		for _, field := range rec {
			line += linesIn(field)
		}
		line++
		if header || len(rec) != len(g.found) || l.broken[brokenAt{f.path, at}] {
			continue
		}
		for i, b := range columns {
			texts[i], valid[i] = rec[b.Index], !g.csv.null(rec[b.Index])
		}
		if reason, ok := w.reasons[textKey(texts, valid)]; ok {
			if int64(len(out)) == w.rows {
				return nil, nil // more than the engine found: not to be told apart
			}
			out = append(out, rejectedRecord{at, reason, object(g.found, rec, g.csv.nulls...)})
		}
	}
}

// null reports whether a field's text means NULL.
func (d dialect) null(text string) bool {
	for _, n := range d.nulls {
		if n == text {
			return true
		}
	}
	return false
}

// linesIn counts the line ends inside a quoted field.
func linesIn(field string) (n int64) {
	if !strings.ContainsAny(field, "\r\n") {
		return 0
	}
	for i := range len(field) {
		if c := field[i]; c == '\r' || c == '\n' && (i == 0 || field[i-1] != '\r') {
			n++
		}
	}
	return n
}

// unfitWithoutLine takes the same rows as the engine reads them.
func (l *load) unfitWithoutLine(ctx context.Context, g *group, read []string) error {
	_, reason, bad := g.unfitRules()
	var pairs []string
	for i, f := range g.found {
		pairs = append(pairs, fmt.Sprintf("%s, CAST(c%d AS VARCHAR)", contract.QuoteLiteral(f.Name), i))
	}
	sql := fmt.Sprintf("SELECT %s, CAST(json_object(%s) AS VARCHAR), filename FROM %s WHERE %s",
		reason, strings.Join(pairs, ", "), g.reader(read, "store_rejects=true", "filename=true"), bad)
	return rows(ctx, l.r, sql, func(t []string, _ []bool) error {
		return l.rejects.Add(t[0], l.r.Label(t[2]), json.RawMessage(t[1]))
	})
}
