package verify

import (
	"context"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"

	"weft"
	"weft/contract"
	"weft/engine"
)

// Bounds of a refusal's text, so that it stays on one screen.
const (
	refusalRules = 5 // rules that are spelled out
	sampleRows   = 5 // keys or places of bad rows that are named
)

// refusal says why nothing may be published, or nil where everything may.
func (r *job) refusal(ctx context.Context) (*weft.Error, error) {
	var lines []string
	more := 0
	add := func(t *table, c *weft.CheckResult, k *rule) error {
		if len(lines) == refusalRules {
			more++
			return nil
		}
		line, err := t.sentence(ctx, c, k)
		lines = append(lines, line)
		return err
	}
	over := false
	for _, t := range r.tables {
		refuses := t.Table.OnViolation != contract.Quarantine || t.over
		over = over || t.over
		for i := range t.results {
			c := &t.results[i]
			if c.Pass || c.Severity != weft.SeverityError {
				continue
			}
			k := t.rule(c.ID)
			rows := k != nil || c.Kind == "type" && c.Failed > 0
			if rows && !refuses && c.Error == "" {
				continue // the bad rows are held back
			}
			if err := add(t, c, k); err != nil {
				return nil, err
			}
		}
	}
	if len(lines) == 0 {
		return nil, nil
	}
	text := "the data breaks its contract: " + strings.Join(lines, "; ")
	if more > 0 {
		text += fmt.Sprintf("; and %d more rules", more)
	}
	e := weft.Errorf(weft.KindContract, "publish", r.request.Product.String(), "%s", text)
	if over {
		return e.WithHint("%s", r.overText()), nil
	}
	return e.WithHint("the last good commit stays visible; correct the data at its source, or the contract, and refresh"), nil
}

// overText tells that a quarantine is too small.
func (r *job) overText() string {
	var w []string
	for _, t := range r.tables {
		if t.over {
			w = append(w, fmt.Sprintf("%s of %s rows of %s are bad, more than the %.4g %% that its quarantine may hold (weftQuarantineLimit)",
				humanize.Comma(t.heldRows), humanize.Comma(t.Staged.Rows+t.Staged.RejectRows), t.label(), 100*t.Table.QuarantineLimit))
		}
	}
	return strings.Join(w, "; ") + "; the last good commit stays visible"
}

func (t *table) rule(id string) *rule {
	for _, r := range t.rows {
		if r.ID == id {
			return r
		}
	}
	return nil
}

// sentence tells one broken rule: what is expected, how many rows break it, and
// where a few of them are.
func (t *table) sentence(ctx context.Context, c *weft.CheckResult, r *rule) (string, error) {
	text := c.Text
	if text == "" {
		text = c.ID
	}
	switch {
	case c.Error != "":
		return fmt.Sprintf("%s: %q cannot be checked (%s)", t.label(), text, c.Error), nil
	case r == nil && c.Kind != "type":
		return fmt.Sprintf("%s: %q does not hold, measured %s", t.label(), text, measured(c)), nil
	}
	samples, err := t.samples(ctx, c, r)
	if err != nil {
		return "", err
	}
	if samples != "" {
		samples = " (" + samples + ")"
	}
	return fmt.Sprintf("%s: %q does not hold in %s of %s rows%s", t.label(), text, humanize.Comma(c.Failed), humanize.Comma(c.Total), samples), nil
}

func measured(c *weft.CheckResult) string {
	if c.Value == "" {
		return "nothing"
	}
	return c.Value
}

// samples names a few of the rows that break a rule: by key where no key column
// is classified, rows that could not be read by where they stood in the source.
func (t *table) samples(ctx context.Context, c *weft.CheckResult, r *rule) (string, error) {
	var sql string
	switch {
	case r == nil:
		if t.Staged.Rejects == "" {
			return "", nil
		}
		sql = fmt.Sprintf("SELECT reason || ' at ' || regexp_extract(place, '[^/]*$') FROM %s LIMIT %d", engine.ScanParquet(t.Staged.Rejects), sampleRows)
	case r.unique():
		if !t.showable(r.Columns) {
			return "", nil
		}
		from := candidateView
		having := "count(*) > 1"
		if o := t.others(); o != "" {
			having += " OR bool_or(EXISTS (FROM " + o + " AS o WHERE " + matches("n", "o", r.Columns) + "))"
		}
		sql = fmt.Sprintf("SELECT %s FROM %s AS n WHERE %s GROUP BY %s HAVING %s ORDER BY %s LIMIT %d",
			place(r.Columns), from, present(r.Columns), engine.Idents(r.Columns), having, engine.Idents(r.Columns), sampleRows)
	default:
		if len(t.Table.Key) == 0 || !t.showable(t.Table.Key) {
			return "", nil
		}
		sql = fmt.Sprintf("SELECT %s FROM %s WHERE NOT (%s) ORDER BY %s LIMIT %d",
			place(t.Table.Key), candidateView, r.Predicate, engine.Idents(t.Table.Key), sampleRows)
	}
	rows, err := engine.Fields(ctx, t.job.session, engine.Statement{SQL: sql, Views: t.views(), Sources: t.sources()})
	if fatal(err) {
		return "", err
	}
	var w []string
	for _, row := range rows {
		w = append(w, shorten(row[0].Text))
	}
	if c.Failed > int64(len(w)) && len(w) > 0 {
		w = append(w, "…")
	}
	return strings.Join(w, ", "), nil
}

// showable says that values of none of the columns are classified.
func (t *table) showable(columns []string) bool {
	for _, name := range columns {
		if classified(t.Table.Column(name)) {
			return false
		}
	}
	return true
}

// shorten keeps a sample on one line.
func shorten(s string) string {
	const most = 100
	s = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
