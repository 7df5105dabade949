package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"weft/contract"
	"weft/engine"
	"weft/ingest"
)

// stageCSV reads the group in one pass: the engine parses straight into the
// contract's types. Whole numbers are read as doubles and must be whole, because
// the engine would round a fraction away. When anything does not fit, further
// passes find out which lines, and load the others.
func (l *load) stageCSV(ctx context.Context, g *group, last bool) error {
	cols, _, read := g.columns(guarded)
	err := l.copyPart(ctx, "SELECT "+cols+" FROM "+g.reader(read))
	if err == nil {
		return nil
	}
	if !ingest.Retry(err) {
		return l.fault(err, g)
	}
	err = l.sortCSV(ctx, g, last, sorted)
	if err == nil || errors.Is(err, errReinfer) || isRejection(err) {
		return err
	}
	return l.fault(err, g)
}

// rejection carries an error of Rejects through retry.
type rejection struct{ error }

func (r rejection) Unwrap() error { return r.error }

func isRejection(err error) bool { return errors.As(err, new(rejection)) }

// care is how whole numbers are read.
type care int

const (
	guarded care = iota // as doubles; one that is not whole ends the statement
	sorted              // as doubles; one that is not whole marks its row
	exactly             // as text, however large; one that is not whole marks its row
)

// columns are the SELECT list of the group, what is true for a row with a wrong
// whole number, and the type that each source column is read as.
func (g *group) columns(c care) (list, bad string, read []string) {
	read = g.text()
	var cols, wrong []string
	for _, b := range g.bound {
		e := fmt.Sprintf("c%d", b.Index)
		switch {
		case b.Index < 0:
			e = "CAST(NULL AS " + b.Type.SQL() + ")"
		case b.Type.IsInteger() && c != guarded:
			try := ingest.TrySQL(e, b.Type)
			if c == sorted && !g.large[b.Name] {
				read[b.Index], try = "DOUBLE", ingest.TryWholeSQL(e, b.Type)
			}
			wrong = append(wrong, fmt.Sprintf("(%s IS NOT NULL AND (%s) IS NULL)", e, try))
			e = try
		case b.Type.IsInteger() && g.large[b.Name]:
			e = ingest.WholeTextSQL(e, b.Type)
		case b.Type.IsInteger():
			read[b.Index] = "DOUBLE"
			e = ingest.WholeSQL(e, b.Type)
		default:
			read[b.Index] = b.Type.SQL()
		}
		cols = append(cols, e+" AS "+contract.QuoteIdent(b.Name))
	}
	bad = "false"
	if len(wrong) > 0 {
		bad = strings.Join(wrong, " OR ")
	}
	return strings.Join(cols, ", "), bad, read
}

// sortCSV makes the engine list the lines that do not fit, asks for better types
// where an inferred one is to blame, and then copies the others. (Only
// store_rejects is good for that: with ignore_errors alone the engine also drops
// good lines that follow a broken one.)
func (l *load) sortCSV(ctx context.Context, g *group, last bool, c care) error {
	l.looks++
	look, errs, scans := fmt.Sprintf("weft_look_%d", l.looks), fmt.Sprintf("weft_errors_%d", l.looks), fmt.Sprintf("weft_scans_%d", l.looks)
	cols, bad, read := g.columns(c)
	var touch []string
	for _, b := range g.bound {
		if b.Index >= 0 {
			touch = append(touch, fmt.Sprintf("count(c%d)", b.Index)) // makes the engine convert it
		}
	}
	from := g.reader(read, "store_rejects=true", "rejects_table="+contract.QuoteLiteral(errs), "rejects_scan="+contract.QuoteLiteral(scans), fmt.Sprintf("rejects_limit=%d", 2*ingest.MaxRejects))
	sql := fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT count(*) AS n, count(*) FILTER (WHERE %s) AS bad, %s AS touched FROM %s", look, bad, strings.Join(touch, " + "), from)
	if _, err := l.r.Session.Exec(ctx, engine.Statement{SQL: sql}); err != nil {
		return err
	}
	defer func() { // the session goes back to its pool
		for _, t := range []string{look, errs, scans} {
			_, _ = l.r.Session.Exec(context.WithoutCancel(ctx), engine.Statement{SQL: "DROP TABLE IF EXISTS " + t})
		}
	}()
	wrong, err := l.count(ctx, "sum(bad)", look)
	if err != nil {
		return err
	}
	if wrong > 0 && !last && inferredWhole(g) {
		return errReinfer
	}
	if wrong > 0 && c == sorted {
		return l.sortCSV(ctx, g, last, exactly)
	}
	if err := l.collect(ctx, g, last, errs, scans); err != nil {
		return err
	}
	if wrong > ingest.MaxRejects {
		return rejection{l.rejects.TooMany()}
	}
	before := l.out.Rows
	if err := l.copyPart(ctx, "SELECT "+cols+" FROM "+g.reader(read, "store_rejects=true")+" WHERE NOT ("+bad+")"); err != nil {
		return err
	}
	if fit, err := l.count(ctx, "sum(n - bad)", look); err != nil || int64(fit) != l.out.Rows-before {
		return fmt.Errorf("%d rows fit, but %d were loaded (%v)", fit, l.out.Rows-before, err)
	}
	if wrong == 0 {
		return nil
	}
	return l.collectWhole(ctx, g, read)
}

func inferredWhole(g *group) bool {
	for _, b := range g.bound {
		if !b.Declared && b.Type.IsInteger() {
			return true
		}
	}
	return false
}

func (l *load) count(ctx context.Context, what, table string) (n int, err error) {
	err = rows(ctx, l.r, "SELECT CAST("+what+" AS VARCHAR) FROM "+table, func(t []string, _ []bool) error {
		n, err = strconv.Atoi(t[0])
		return err
	})
	return n, err
}

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
	structure        string // why the line does not split into the columns
	found            int    // fields, where there are too few or too many
	casts            []int  // columns whose value does not fit
}

func (l *load) collectLines(ctx context.Context, g *group, last bool, errs, scans string) error {
	sql := fmt.Sprintf(`SELECT s.file_path, CAST(e.line AS VARCHAR), CAST(e.error_type AS VARCHAR), CAST(e.column_idx AS VARCHAR), e.error_message, e.csv_line
FROM %s e JOIN %s s USING (scan_id, file_id) ORDER BY s.file_path, e.line, e.column_idx`, errs, scans)
	var cur *brokenLine
	flush := func() error {
		if cur == nil {
			return nil
		}
		reason, err := g.reason(cur, last)
		if err != nil {
			return err
		}
		if err := l.rejects.Add(fmt.Sprintf("line %s: %s", cur.line, reason), l.r.Label(cur.file)+":"+cur.line, g.rowJSON(cur)); err != nil {
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
		b.structure = fmt.Sprintf("the line is longer than %d MB", maxLine>>20)
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

// object writes a JSON object that keeps the order of the columns.
func object(names []ingest.Found, values []string) json.RawMessage {
	var b strings.Builder
	b.WriteByte('{')
	for i, n := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		k, _ := json.Marshal(n.Name)
		v, _ := json.Marshal(values[i])
		b.Write(k)
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return json.RawMessage(b.String())
}

// collectWhole takes the rows whose whole numbers are not whole or do not fit.
// The engine does not know their lines.
func (l *load) collectWhole(ctx context.Context, g *group, read []string) error {
	var reasons, bad, pairs []string
	for _, b := range g.bound {
		if b.Index < 0 || !b.Type.IsInteger() {
			continue
		}
		e := fmt.Sprintf("c%d", b.Index)
		is := fmt.Sprintf("(%s IS NOT NULL AND (%s) IS NULL)", e, ingest.TrySQL(e, b.Type))
		bad = append(bad, is)
		reasons = append(reasons, fmt.Sprintf("CASE WHEN %s THEN %s END", is, contract.QuoteLiteral(fmt.Sprintf("type %s: column %s", b.Type, b.Source))))
	}
	for i, f := range g.found {
		pairs = append(pairs, fmt.Sprintf("%s, CAST(c%d AS VARCHAR)", contract.QuoteLiteral(f.Name), i))
	}
	sql := fmt.Sprintf("SELECT concat_ws(', ', %s), CAST(json_object(%s) AS VARCHAR), filename FROM %s WHERE %s",
		strings.Join(reasons, ", "), strings.Join(pairs, ", "), g.reader(read, "store_rejects=true", "filename=true"), strings.Join(bad, " OR "))
	return rows(ctx, l.r, sql, func(t []string, _ []bool) error {
		if err := l.rejects.Add(t[0], l.r.Label(t[2]), json.RawMessage(t[1])); err != nil {
			return rejection{err}
		}
		return nil
	})
}
