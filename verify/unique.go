package verify

import (
	"context"
	"fmt"

	"weft/contract"
	"weft/engine"
)

// uniqueBranches counts the rows that have a key, and the range of keys that
// are one whole number.
func (t *table) uniqueBranches() []*branch {
	var out []*branch
	for _, r := range t.rows {
		if !r.unique() || t.heldByMerge(r) {
			continue
		}
		b := &branch{rules: []*rule{r}}
		lo, hi := "NULL::BIGINT", "NULL::BIGINT"
		if t.others() == "" && len(r.Columns) == 1 && t.integer(r.Columns[0]) {
			c := contract.QuoteIdent(r.Columns[0])
			lo, hi, b.wide = "min("+c+")::BIGINT", "max("+c+")::BIGINT", true
		}
		b.sql = fmt.Sprintf("SELECT count(*) AS n, %s AS lo, %s AS hi FROM %s WHERE %s", lo, hi, candidateView, present(r.Columns))
		out = append(out, b)
	}
	return out
}

func (t *table) integer(column string) bool {
	c := t.Table.Column(column)
	return c != nil && c.Type.IsInteger()
}

// heldByMerge says that an upsert keeps the rule by what it does: the last row
// of a key wins.
func (t *table) heldByMerge(r *rule) bool {
	if t.Staged.Full || t.Mode != contract.ModeUpsert || len(r.Columns) != len(t.Table.Key) {
		return false
	}
	for i, c := range r.Columns {
		if c != t.Table.Key[i] {
			return false
		}
	}
	return true
}

// countDistinct compares the rows that have a key with the number of different
// keys; keys has the former.
func (t *table) countDistinct(ctx context.Context, keys []*branch) error {
	var distinct []*branch
	for _, k := range keys {
		r := k.rules[0]
		if k.n == 0 || r.err != "" {
			continue
		}
		distinct = append(distinct, &branch{rules: k.rules, sql: t.distinctSQL(k)})
	}
	if err := t.evaluate(ctx, distinct); err != nil {
		return err
	}
	byRule := map[*rule]*branch{}
	for _, d := range distinct {
		byRule[d.rules[0]] = d
	}
	for _, k := range keys {
		if d := byRule[k.rules[0]]; d != nil && d.rules[0].err == "" {
			d.rules[0].failed = k.n - d.n
		}
	}
	return nil
}

// bitmapBits is the longest bitmap that whole-number keys are ticked off in.
const bitmapBits = 1 << 29

// distinctSQL counts different keys exactly. Whole numbers that lie close
// together are ticked off in a bitmap, ten times faster than by a hash table.
func (t *table) distinctSQL(k *branch) string {
	r := k.rules[0]
	if k.wide && k.hi-k.lo >= 0 && k.hi-k.lo < bitmapBits && k.hi-k.lo < 64*k.n+1<<20 {
		return fmt.Sprintf("SELECT bit_count(bitstring_agg(%s::BIGINT, %d, %d))::BIGINT AS n, NULL::BIGINT AS lo, NULL::BIGINT AS hi FROM %s",
			contract.QuoteIdent(r.Columns[0]), k.lo, k.hi, candidateView)
	}
	from := candidateView + " AS n"
	if o := t.others(); o != "" {
		from += " ANTI JOIN " + o + " AS o ON " + matches("n", "o", r.Columns)
	}
	return fmt.Sprintf("SELECT count(*) AS n, NULL::BIGINT AS lo, NULL::BIGINT AS hi FROM (SELECT 1 FROM %s WHERE %s GROUP BY %s)",
		from, present(r.Columns), engine.Idents(r.Columns))
}
