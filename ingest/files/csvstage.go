package files

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/ingest"
)

// stageCSV reads the group in one pass: the engine parses straight into types
// that it is fast with, and what it made must fit the contract's. When anything
// does not fit, further passes find out which lines, and load the others.
func (l *load) stageCSV(ctx context.Context, g *group, last bool) error {
	err := l.copyCSV(ctx, g)
	if err == nil {
		return nil
	}
	if !ingest.Retry(err) {
		return l.fault(err, g)
	}
	if g.long, err = g.longRecords(ctx); err != nil {
		return l.fault(err, g)
	}
	if g.long {
		if err = l.copyCSV(ctx, g); err == nil || !ingest.Retry(err) {
			return l.failed(err, g)
		}
	}
	if g.blanks, err = l.quotedBlanks(ctx, g); err != nil {
		return l.fault(err, g)
	}
	if g.blanks {
		if err = l.copyCSV(ctx, g); err == nil || !ingest.Retry(err) {
			return l.failed(err, g)
		}
	}
	another := func(err error) bool {
		return err != nil && !errors.Is(err, errReinfer) && !isRejection(err) && ingest.Retry(err)
	}
	if err = l.sortCSV(ctx, g, last, sorted); another(err) {
		err = l.sortCSV(ctx, g, last, exactly) // the fast way ends at the ends of a type
	}
	if another(err) {
		err = l.evenCSV(ctx, g, last, err)
	}
	return l.failed(err, g)
}

// failed names the group in an error, where it does not say all already.
func (l *load) failed(err error, g *group) error {
	if err == nil || errors.Is(err, errReinfer) || isRejection(err) {
		return err
	}
	return l.fault(err, g)
}

// copyCSV copies the group where all of it fits.
func (l *load) copyCSV(ctx context.Context, g *group) error {
	cols, _, read := g.columns(guarded)
	return l.copyPart(ctx, "SELECT "+cols+" FROM "+g.reader(read))
}

// quotedBlanks reports whether a column that is no text has "" in it. To the
// reader that is empty text; for such columns it means that there is no value.
func (l *load) quotedBlanks(ctx context.Context, g *group) (found bool, err error) {
	var w []string
	for _, b := range g.bound {
		if b.Index >= 0 && !emptyText(b.Type) {
			w = append(w, fmt.Sprintf("c%d = ''", b.Index))
		}
	}
	if len(w) == 0 {
		return false, nil
	}
	sql := "SELECT CAST(coalesce(bool_or(" + strings.Join(w, " OR ") + "), false) AS VARCHAR) FROM " + g.reader(g.text(), "store_rejects=true")
	err = rows(ctx, l.r, sql, func(t []string, _ []bool) error {
		found = t[0] == "true"
		return nil
	})
	if err != nil && ingest.Retry(err) {
		return false, nil // a file that cannot be read shows that when it is sorted
	}
	return found, err
}

// evenCSV tries once more with even line ends, where they were mixed.
func (l *load) evenCSV(ctx context.Context, g *group, last bool, before error) error {
	e, mixed, err := l.even(ctx, g)
	if err != nil {
		return err
	}
	defer e.drop()
	if !mixed {
		return before
	}
	return l.sortCSV(ctx, e, last, sorted)
}

// rejection carries an error through what would try another way: one of Rejects,
// or one that came when rows were taken already, which the other way would take
// once more.
type rejection struct{ error }

func (r rejection) Unwrap() error { return r.error }

func isRejection(err error) bool { return errors.As(err, new(rejection)) }

// care is how values are read that the engine's reader would change.
type care int

const (
	guarded care = iota // by a fast way; what does not fit ends the statement
	sorted              // by a fast way; what does not fit marks its row
	exactly             // as text; what does not fit marks its row
)

// columns are the SELECT list of the group, what is true for a row with a value
// that does not fit, and the type that each source column is read as.
func (g *group) columns(c care) (list, bad string, read []string) {
	read = g.text()
	var cols, wrong []string
	for _, b := range g.bound {
		name := " AS " + contract.QuoteIdent(b.Name)
		if b.Index < 0 {
			cols = append(cols, "CAST(NULL AS "+b.Type.SQL()+")"+name)
			continue
		}
		w := g.way(b, c == exactly)
		read[b.Index] = w.read
		if c == guarded {
			cols = append(cols, w.strict+name)
			continue
		}
		cols = append(cols, w.try+name)
		if !w.sure {
			wrong = append(wrong, w.wrong())
		}
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
	from := g.reader(read, "store_rejects=true", "rejects_table="+contract.QuoteLiteral(errs), "rejects_scan="+contract.QuoteLiteral(scans), fmt.Sprintf("rejects_limit=%d", 2*ingest.MaxRejects))
	sql := fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT count(*) AS n, count(*) FILTER (WHERE %s) AS bad, %s AS touched FROM %s", look, bad, g.touch(), from)
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
	if wrong > 0 && !last && inferredAway(g) {
		return errReinfer
	}
	if wrong > 0 && c == sorted {
		return l.sortCSV(ctx, g, last, exactly)
	}
	if wrong > ingest.MaxRejects {
		return rejection{l.rejects.TooMany()}
	}
	rows, rejects := l.out.Rows, l.rejects.Count()
	if err = l.collect(ctx, g, last, errs, scans); err == nil {
		err = l.take(ctx, g, look, "SELECT "+cols+" FROM "+g.reader(read, "store_rejects=true")+" WHERE NOT ("+bad+")", read)
	}
	if l.out.Rows > rows || l.rejects.Count() > rejects {
		return l.final(err, g)
	}
	return err
}

// take copies the rows that fit, as many as the look counted, and collects those
// that do not.
func (l *load) take(ctx context.Context, g *group, look, sql string, read []string) error {
	before := l.out.Rows
	if err := l.copyPart(ctx, sql); err != nil {
		return err
	}
	fit, err := l.count(ctx, "sum(n - bad)", look)
	if err != nil {
		return err
	}
	if got := l.out.Rows - before; int64(fit) != got {
		return rejection{weft.Errorf(weft.KindInternal, "read the source", l.r.Where(), "%s: %d rows fit, but %d were loaded", g.place(), fit, got).
			WithHint("nothing was staged; read it again")}
	}
	wrong, err := l.count(ctx, "sum(bad)", look)
	if err != nil || wrong == 0 {
		return err
	}
	return l.collectUnfit(ctx, g, read)
}

// final makes an error one that no other way of reading is tried after.
func (l *load) final(err error, g *group) error {
	if err = l.failed(err, g); err == nil || errors.Is(err, errReinfer) {
		return err
	}
	return rejection{err}
}

// touch is an aggregate that makes the engine convert every bound column, and so
// find all that is wrong with a line.
func (g *group) touch() string {
	var w []string
	for _, b := range g.bound {
		if b.Index >= 0 {
			w = append(w, fmt.Sprintf("count(c%d)", b.Index))
		}
	}
	return strings.Join(w, " + ")
}

// inferredAway reports whether a type that nobody declared may be to blame.
func inferredAway(g *group) bool {
	for _, b := range g.bound {
		if !b.Declared && b.Index >= 0 && !g.way(b, false).sure {
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
