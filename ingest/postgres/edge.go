package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/zeebo/xxh3"

	"weft/contract"
)

// maxEdge is how many rows with the last value of the cursor are remembered one by
// one: every commit carries them.
const maxEdge = 2_000

// edge is what a read saw of the rows that have the largest value of the cursor.
// Others may come with the same value later, and only these tell them apart.
type edge struct {
	Columns string   `json:"columns"`        // of what the hashes are
	Digest  string   `json:"digest"`         // over all of the rows, in any order
	Rows    []string `json:"rows,omitempty"` // the hash of each; missing where they are more than maxEdge
}

// count is the number of rows, with which the digest begins.
func (e *edge) count() int64 {
	text, _, _ := strings.Cut(e.Digest, ":")
	n, _ := strconv.ParseInt(text, 10, 64) // 0 in one that is not ours: then nothing is said
	return n
}

// edgeColumns tells hashes of other columns apart.
func (t *read) edgeColumns() string {
	return fmt.Sprintf("%x", xxh3.HashString(strings.Join(t.exprs(), ",")))
}

// rowHash is SQL: 64 bits over the bound columns of a row.
func (t *read) rowHash() string {
	return "left(encode(sha256(convert_to(ROW(" + strings.Join(t.exprs(), ", ") + ")::text, 'UTF8')), 'hex'), 16)"
}

// edgeOf looks at the rows that have one value of the cursor.
func (t *read) edgeOf(ctx context.Context, col, value string) (*edge, error) {
	e := &edge{Columns: t.edgeColumns()}
	hashes := "(SELECT " + t.rowHash() + " AS h FROM " + t.name + " WHERE " + col + " = " + literal(value) + ") AS e"
	var n int64
	err := t.conn.QueryRow(ctx, "SELECT count(*), count(*) || ':' || coalesce(sum(('x' || h)::bit(64)::bigint::numeric), 0) FROM "+hashes).Scan(&n, &e.Digest)
	if err != nil || n > maxEdge {
		return e, err
	}
	rows, err := t.conn.Query(ctx, "SELECT h FROM "+hashes+" ORDER BY h")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var h string
		if err := rows.Scan(&h); err != nil {
			return nil, err
		}
		e.Rows = append(e.Rows, h)
	}
	return e, rows.Err()
}

// lateRows is a SELECT of the rows that have the cursor's last value and were not
// read with it; empty where there are none. An upsert may read a row twice, an
// append must not.
func (t *read) lateRows(ctx context.Context, col string, old tablePosition) (string, error) {
	if old.Edge == nil {
		return "", nil // a position of before edges were kept
	}
	here := whereOf([]string{col + " = " + literal(old.Cursor)})
	again := "SELECT " + strings.Join(t.exprs(), ", ") + " FROM " + t.name + here
	upsert := t.r.Mode() == contract.ModeUpsert
	other := old.Edge.Columns != t.edgeColumns() // read by another contract: the hashes say nothing, their number does
	if other && upsert {
		return again, nil
	}
	now, err := t.edgeOf(ctx, col, old.Cursor)
	switch {
	case err != nil || now.Digest == old.Edge.Digest:
		return "", err
	case other:
		if more := now.count() - old.Edge.count(); more > 0 {
			t.notes = append(t.notes, fmt.Sprintf("%s: %d rows came later with the cursor's last value %s; since the columns have changed they cannot be told from those that were read and are left out (use a finer weftCursor, or mode upsert)",
				t.out.Table, more, old.Cursor))
		}
		return "", nil
	case len(old.Edge.Rows) == 0 && upsert:
		return again, nil
	case len(old.Edge.Rows) == 0:
		t.notes = append(t.notes, fmt.Sprintf("%s: rows came later with the cursor's last value %s, which more than %d rows have: they cannot be told from those that were read and are left out (use a finer weftCursor, or mode upsert)",
			t.out.Table, old.Cursor, maxEdge))
		return "", nil
	}
	late := t.lateSQL(here, old.Edge.Rows)
	var any bool
	if err := t.conn.QueryRow(ctx, "SELECT EXISTS ("+late+")").Scan(&any); err != nil || !any {
		return "", err // rows are gone, and none are new
	}
	return late, nil
}

// lateSQL takes of equal rows those beyond the number that was read.
func (t *read) lateSQL(where string, known []string) string {
	var inner, outer []string
	for i, e := range t.exprs() {
		inner = append(inner, fmt.Sprintf("%s AS c%d", e, i))
		outer = append(outer, fmt.Sprintf("e.c%d", i))
	}
	hash := t.rowHash()
	return fmt.Sprintf("SELECT %s FROM (SELECT %s, %s AS h, row_number() OVER (PARTITION BY %s) AS nth FROM %s%s) AS e LEFT JOIN (SELECT h, count(*) AS k FROM unnest('{%s}'::text[]) AS u(h) GROUP BY h) AS s ON s.h = e.h WHERE e.nth > coalesce(s.k, 0)",
		strings.Join(outer, ", "), strings.Join(inner, ", "), hash, hash, t.name, where, strings.Join(known, ","))
}
