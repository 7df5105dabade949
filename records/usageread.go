package records

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"
)

// Spent returns what still counts at now of what was used under budgets, by rule,
// account and slot.
func (b *Books) Spent(ctx context.Context, now time.Time) ([]Spent, error) {
	return list(ctx, b, "read what was used of budgets", func(r *sql.Rows) (s Spent, err error) {
		var until int64
		err = r.Scan(&s.Rule, &s.Account, &s.Slot, &until, &s.Rows, &s.Bytes, &s.Seconds)
		s.Until = time.UnixMicro(until).UTC()
		return s, err
	}, `SELECT rule, account, slot, until, rows, bytes, seconds FROM spent WHERE until > ? ORDER BY rule, account, slot`, now.UnixMicro())
}

// Paces returns how long questions took.
func (b *Books) Paces(ctx context.Context) ([]Pace, error) {
	return list(ctx, b, "read how long questions took", func(r *sql.Rows) (p Pace, err error) {
		err = r.Scan(&p.Size, &p.Seconds, &p.Bytes, &p.Count)
		return p, err
	}, `SELECT size, seconds, bytes, count FROM pace ORDER BY size`)
}

// UsageKeys returns the keys of a day.
func (b *Books) UsageKeys(ctx context.Context, day int64) ([]UsageKey, error) {
	return list(ctx, b, "read the usage", func(r *sql.Rows) (k UsageKey, err error) {
		err = r.Scan(&k.Day, &k.Node, &k.Kind, &k.Subject, &k.Purpose, &k.Product)
		return k, err
	}, `SELECT day, node, kind, subject, purpose, product FROM usage WHERE day = ?`, day)
}

// UsageBy says what usage is summed by.
type UsageBy string

// What usage can be summed by.
const (
	ByConsumer UsageBy = "consumer" // node, subject and purpose
	ByProduct  UsageBy = "product"
	ByDay      UsageBy = "day"
)

// UsageQuery says which usage is wanted. Zero fields leave nothing out.
type UsageQuery struct {
	By      UsageBy
	Since   int64    // the first day
	Some    bool     // of products of Domains, or of the one consumer, only
	Domains []string // of products
	Kind    string   // with Subject: of this node's subject
	Subject string
	Limit   int
}

// Usage sums what was used; the most seconds first, and days the newest first. Of
// fields that it does not sum by, the result says nothing. A question over several
// products counts with each where it is summed by product or only some of them are
// wanted, and else once.
func (b *Books) Usage(ctx context.Context, q UsageQuery) ([]Usage, error) {
	cols := map[UsageBy]string{ByConsumer: "node, kind, subject, purpose", ByProduct: "product", ByDay: "day"}[q.By]
	fields := []string{"day", "node", "kind", "subject", "purpose", "product"}
	named := strings.Split(cols, ", ")
	for i, f := range fields {
		if !slices.Contains(named, f) {
			fields[i] = map[bool]string{true: "0", false: "''"}[f == "day"]
		}
	}
	where, args := "day >= ?", []any{q.Since}
	once := "_once"
	if q.Some {
		var either []string
		for _, d := range q.Domains {
			either, args = append(either, "substr(product, 1, ?) = ?"), append(args, len(d)+1, d+".")
		}
		if q.Subject != "" {
			either, args = append(either, "node = '' AND kind = ? AND subject = ?"), append(args, q.Kind, q.Subject)
		}
		if len(either) == 0 {
			return nil, nil
		}
		where += " AND (" + strings.Join(either, " OR ") + ")"
		if len(q.Domains) > 0 {
			once = ""
		}
	}
	if q.By == ByProduct {
		once = ""
	}
	order := "sum(seconds) DESC, sum(rows) DESC, " + cols
	if q.By == ByDay {
		order = "day DESC"
	}
	if q.Limit <= 0 {
		q.Limit = -1
	}
	args = append(args, q.Limit)
	return list(ctx, b, "read the usage", func(r *sql.Rows) (u Usage, err error) {
		err = r.Scan(&u.Day, &u.Node, &u.Kind, &u.Subject, &u.Purpose, &u.Product, &u.NodeName, &u.Domains,
			&u.Questions, &u.Refused, &u.Rows, &u.Bytes, &u.Seconds, &u.GivenRows, &u.GivenBytes)
		return u, err
	}, `SELECT `+strings.Join(fields, ", ")+`, `+latest(q.By, "node_name")+`, `+latest(q.By, "domains")+`,
		sum(questions`+once+`), sum(refused`+once+`), sum(rows), sum(bytes), sum(seconds), sum(given_rows), sum(given_bytes)
		FROM usage WHERE `+where+` GROUP BY `+cols+` ORDER BY `+order+` LIMIT ?`, args...)
}

// latest is what the newest day says of a consumer.
func latest(by UsageBy, column string) string {
	if by != ByConsumer {
		return "''"
	}
	return "substr(max(printf('%010d', day) || " + column + "), 11)"
}

// list reads all rows of a query.
func list[T any](ctx context.Context, b *Books, op string, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := b.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, wrap(op, err)
	}
	defer func() { _ = rows.Close() }()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, wrap(op, err)
		}
		out = append(out, v)
	}
	return out, wrap(op, rows.Err())
}
