package verify

import (
	"context"
	"fmt"
	"strings"

	"weft"
	"weft/engine"
)

// candidateView is what the rows under check are called in our statements.
const candidateView = "candidate"

// branchLimit is how many counts one statement holds; more only make its plan
// long.
const branchLimit = 48

// branch is one count of a statement: a SELECT of the columns n, lo and hi.
type branch struct {
	sql   string
	rules []*rule // whose outcome it is
	n     int64
	lo    int64
	hi    int64
	wide  bool // lo and hi are known
}

// count fills in how many rows break each row rule and unique rule.
//
// Each rule becomes its own filtered count in one UNION ALL: the engine then
// leaves out every row group whose statistics prove that no row breaks the rule
// (required and ranges cost next to nothing) and filters dictionaries instead
// of rows (enums and patterns). Other rules on one column share one filter and
// are told apart only when it finds something.
func (t *table) count(ctx context.Context) error {
	if len(t.Staged.Files) == 0 || t.Staged.Rows == 0 || len(t.rows) == 0 {
		return nil
	}
	first := t.rowBranches()
	keys := t.uniqueBranches()
	if err := t.evaluate(ctx, append(first, keys...)); err != nil {
		return err
	}
	var again []*branch
	for _, b := range first {
		switch {
		case len(b.rules) == 1:
			b.rules[0].failed = b.n
		case b.n > 0:
			for _, r := range b.rules {
				again = append(again, t.filter(r))
			}
		}
	}
	if err := t.evaluate(ctx, again); err != nil {
		return err
	}
	for _, b := range again {
		b.rules[0].failed = b.n
	}
	return t.countDistinct(ctx, keys)
}

// rowBranches groups the row rules into filters.
func (t *table) rowBranches() []*branch {
	var out []*branch
	shared := map[string]*branch{}
	for _, r := range t.rows {
		if r.unique() {
			continue
		}
		if b := shared[r.Column]; b != nil && !provable(r.Kind) {
			b.rules = append(b.rules, r)
			b.sql = t.filterSQL(b.rules)
			continue
		}
		b := t.filter(r)
		out = append(out, b)
		if !provable(r.Kind) && r.Column != "" {
			shared[r.Column] = b
		}
	}
	return out
}

// provable says that statistics of row groups usually decide a rule of this
// kind, so that a filter of its own costs nothing.
func provable(kind string) bool { return kind == "required" || kind == "range" || kind == "enum" }

func (t *table) filter(r *rule) *branch {
	rules := []*rule{r}
	return &branch{sql: t.filterSQL(rules), rules: rules}
}

func (t *table) filterSQL(rules []*rule) string {
	return "SELECT count(*) AS n, NULL::BIGINT AS lo, NULL::BIGINT AS hi FROM " + candidateView + " WHERE NOT (" + conjunction(rules) + ")"
}

// conjunction is true for rows that break none of the rules, or NULL.
func conjunction(rules []*rule) string {
	var w []string
	for _, r := range rules {
		w = append(w, "("+r.Predicate+")")
	}
	return strings.Join(w, " AND ")
}

// evaluate runs the branches and fills in what they count. Where the statement
// fails, each is run alone, so that a rule that cannot be evaluated is known.
func (t *table) evaluate(ctx context.Context, branches []*branch) error {
	for len(branches) > 0 {
		part := branches[:min(branchLimit, len(branches))]
		branches = branches[len(part):]
		err := t.evaluateTogether(ctx, part)
		if err == nil {
			continue
		}
		if fatal(err) {
			return err
		}
		if err := t.readable(ctx); err != nil {
			return err
		}
		for _, b := range part {
			if err := t.evaluateTogether(ctx, []*branch{b}); fatal(err) {
				return err
			} else if err != nil {
				for _, r := range b.rules {
					r.err = err.Error()
				}
			}
		}
	}
	return nil
}

// readable reads all staged rows, to tell rows that cannot be read from rules
// that cannot be evaluated.
func (t *table) readable(ctx context.Context) error {
	_, err := engine.Fields(ctx, t.job.session, engine.Statement{
		SQL: "SELECT count(COLUMNS(*)) FROM " + candidateView, Views: t.views(), Sources: t.sources(),
	})
	if err != nil {
		return &weft.Error{Op: "read the staged rows of", Subject: t.label(), Kind: weft.KindUnavailable, Hint: weft.HintOf(err), Cause: err}
	}
	return nil
}

func (t *table) evaluateTogether(ctx context.Context, part []*branch) error {
	var w []string
	for i, b := range part {
		w = append(w, fmt.Sprintf("SELECT %d AS i, n, lo, hi FROM (%s)", i, b.sql))
	}
	rows, err := engine.Fields(ctx, t.job.session, engine.Statement{SQL: strings.Join(w, " UNION ALL "), Views: t.views(), Sources: t.sources()})
	if err != nil {
		return err
	}
	if len(rows) != len(part) {
		return fault(t.label(), "the engine gave %d counts where %d were asked for", len(rows), len(part))
	}
	for _, row := range rows {
		i := row[0].Int()
		if i < 0 || i >= int64(len(part)) {
			return fault(t.label(), "the engine gave a count that was not asked for")
		}
		b := part[i]
		b.n, b.lo, b.hi = row[1].Int(), row[2].Int(), row[3].Int()
	}
	return nil
}
