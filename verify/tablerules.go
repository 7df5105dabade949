package verify

import (
	"context"
	"strconv"
	"strings"
	"time"

	"weft"
	"weft/contract"
	"weft/engine"
)

// checkTable measures the table rules on what would be published, and gathers
// the evidence of all rules in the contract's order.
func (t *table) checkTable(ctx context.Context) error {
	measured, err := t.measure(ctx)
	if err != nil {
		return err
	}
	rules := map[string]*rule{}
	for _, r := range t.rows {
		rules[r.ID] = r
	}
	if t.Staged.RejectRows > 0 {
		t.results = append(t.results, weft.CheckResult{
			ID: t.label() + ".unreadable", Table: t.label(), Kind: "type", Text: "every row of the source can be read as the types expected",
			Severity: weft.SeverityError, Failed: t.Staged.RejectRows, Total: t.Staged.Rows + t.Staged.RejectRows,
		})
	}
	for i := range t.Table.Checks {
		k := &t.Table.Checks[i]
		c := weft.CheckResult{ID: k.ID, Table: t.label(), Column: k.Column, Kind: k.Kind, Text: k.Text, Severity: k.Severity, Total: t.Staged.Rows}
		if c.Severity == "" {
			c.Severity = weft.SeverityError
		}
		if r := rules[k.ID]; r != nil {
			c.Failed, c.Error, c.Pass = r.failed, r.err, !r.broken()
		} else {
			m := measured[i]
			c.Value, c.Error, c.Pass = m.text, m.err, m.holds(k)
			c.Total = t.good.Rows
		}
		t.results = append(t.results, c)
	}
	return nil
}

// measurement is the number that a table rule gave.
type measurement struct {
	text string // as the engine writes it, "" where there was nothing to measure
	err  string
}

// holds compares the number; nothing to measure holds.
func (m measurement) holds(k *contract.Check) bool {
	if m.err != "" {
		return false
	}
	if m.text == "" || k.Compare == nil {
		return true
	}
	v, err := strconv.ParseFloat(m.text, 64)
	return err == nil && k.Compare.Holds(v)
}

// measure runs the metrics of the table in one scan and each SQL rule alone; by
// the place of the rule in Table.Checks.
func (t *table) measure(ctx context.Context) (map[int]measurement, error) {
	out := map[int]measurement{}
	var metrics []int
	for i := range t.Table.Checks {
		k := &t.Table.Checks[i]
		switch {
		case k.Metric != "":
			metrics = append(metrics, i)
		case k.Query != "":
			m, err := t.sqlRule(ctx, k)
			if err != nil {
				return nil, err
			}
			out[i] = m
		case k.Predicate == "" && !isUnique(k):
			out[i] = measurement{err: "the rule says nothing that can be checked"}
		}
	}
	if len(metrics) == 0 {
		return out, nil
	}
	err := t.metrics(ctx, metrics, out)
	if err == nil || fatal(err) {
		return out, err
	}
	if err := t.readable(ctx); err != nil {
		return nil, err
	}
	for _, i := range metrics { // one of them cannot be evaluated: find which
		if err := t.metrics(ctx, []int{i}, out); fatal(err) {
			return nil, err
		} else if err != nil {
			out[i] = measurement{err: err.Error()}
		}
	}
	return out, nil
}

func (t *table) metrics(ctx context.Context, which []int, out map[int]measurement) error {
	var w []string
	for _, i := range which {
		w = append(w, "CAST(("+t.Table.Checks[i].Metric+") AS VARCHAR)")
	}
	rows, err := engine.Fields(ctx, t.job.session, engine.Statement{
		SQL: "SELECT " + strings.Join(w, ", ") + " FROM " + contract.QuoteIdent(t.inner()) + ".state", Views: t.stateViews(t.inner(), "state"), Sources: t.sources(),
	})
	if err != nil {
		return err
	}
	if len(rows) != 1 {
		return fault(t.label(), "metrics gave %d rows", len(rows))
	}
	for j, i := range which {
		out[i] = measurement{text: rows[0][j].Text}
	}
	return nil
}

// sqlRule runs a quality query of the owner, through the same gate as every
// other SQL that is not ours. It sees the tables of this candidate only.
func (t *table) sqlRule(ctx context.Context, k *contract.Check) (measurement, error) {
	column := contract.QuoteIdent(k.Column)
	object := contract.QuoteIdent(t.Table.Name)
	text := strings.NewReplacer("${object}", object, "{object}", object, "${property}", column, "{property}", column).Replace(k.Query)
	now := t.job.request.Now
	bound, err := engine.Bind(ctx, t.job.session, text, engine.Rules{
		Owner: true, Resolve: t.job.resolve(t), Now: func() time.Time { return now },
	})
	if fatal(err) {
		return measurement{}, err
	}
	if err != nil {
		return measurement{err: err.Error()}, nil
	}
	st := engine.Statement{SQL: "SELECT CAST(COLUMNS(*) AS VARCHAR) FROM (" + bound.SQL + ") LIMIT 2"}
	for _, u := range t.job.tables {
		if !visible(t, u) {
			continue
		}
		st.Views = append(st.Views, u.stateViews("", u.Table.Name)...)
		st.Sources = append(st.Sources, u.sources()...)
	}
	rows, err := engine.Fields(ctx, t.job.session, st)
	switch {
	case fatal(err):
		return measurement{}, err
	case err != nil:
		return measurement{err: err.Error()}, nil
	case len(rows) != 1 || len(rows[0]) != 1:
		return measurement{err: "a quality query must give one row with one number"}, nil
	}
	text = rows[0][0].Text
	switch text { // a condition counts as 1 or 0
	case "true":
		text = "1"
	case "false":
		text = "0"
	}
	if _, err := strconv.ParseFloat(text, 64); err != nil && !rows[0][0].Null {
		return measurement{err: "a quality query must give a number"}, nil
	}
	return measurement{text: text}, nil
}

// visible says which tables a quality query of t sees: those of the same port,
// output tables among themselves.
func visible(t, u *table) bool { return t.Staged.Port == u.Staged.Port }

// resolve gives the tables that a quality query of t may name.
func (r *job) resolve(t *table) engine.Resolver {
	return func(ref engine.TableRef) (engine.Target, error) {
		var names []string
		for _, u := range r.tables {
			if !visible(t, u) {
				continue
			}
			if len(ref.Parts) == 1 && ref.Parts[0] == u.Table.Name {
				return engine.Target{Table: u.Table.Name}, nil
			}
			names = append(names, u.Table.Name)
		}
		return engine.Target{}, weft.Errorf(weft.KindNotFound, "find the table", strings.Join(ref.Parts, "."),
			"a quality query sees only the tables of its own contract").WithHint("write {object}, or one of: %s", strings.Join(names, ", "))
	}
}
