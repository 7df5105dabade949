package verify

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"weft/contract"
	"weft/engine"
	"weft/store/storetest"
)

// BenchmarkCheck compares Check of twenty rules with the same rules as one fused
// query, over the same million rows.
func BenchmarkCheck(b *testing.B) {
	w := storetest.New(b)
	staged := w.Staged(true, `SELECT range AS id, 'k' || range AS code, range % 50 AS a, random() * 1000 AS b, (range * 7) % 1000 AS c,
		'city ' || (range % 300) AS d, TIMESTAMP '2024-01-01' + INTERVAL (range % 1000000) SECOND AS e, CAST(random() * 100 AS DECIMAL(14,2)) AS f,
		CASE WHEN range % 10 = 0 THEN NULL ELSE 'x' || (range % 20) END AS g, (range % 3)::INTEGER AS h,
		DATE '2020-01-01' + (range % 1000)::INTEGER AS i, uuid()::VARCHAR AS j FROM range(1000000)`)
	table := &contract.Table{Name: "t"}
	for _, c := range []string{"id", "code", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		kind := contract.KindString
		if c == "id" {
			kind = contract.KindInt64
		}
		table.Columns = append(table.Columns, &contract.Column{Name: c, Type: contract.Type{Kind: kind}})
	}
	add := func(kind, column, predicate string) {
		table.Checks = append(table.Checks, contract.Check{ID: fmt.Sprint(len(table.Checks)), Kind: kind, Column: column, Predicate: predicate})
	}
	for _, c := range []string{"id", "code", "a", "b", "c", "d", "e", "f"} {
		add("required", c, c+" IS NOT NULL")
	}
	add("range", "a", "a >= 0")
	add("range", "b", "b >= 0 AND b <= 1000")
	add("range", "c", "c BETWEEN 0 AND 1000")
	add("range", "f", "f >= 0")
	add("range", "i", "i >= DATE '2000-01-01'")
	add("range", "e", "e >= TIMESTAMP '2000-01-01'")
	add("enum", "h", "h IN (0, 1, 2)")
	add("pattern", "d", "regexp_full_match(d, 'city [0-9]+')")
	add("length", "j", "length(j) = 36")
	add("length", "code", "length(code) <= 20")
	table.Checks = append(table.Checks, contract.Check{ID: "u", Kind: "unique", Columns: []string{"id"}},
		contract.Check{ID: "rows", Kind: "rowCount", Metric: "count(*)"})

	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			out, err := Check(context.Background(), w.Session, Request{Tables: []Candidate{{Table: table, Staged: staged}}, Stage: w.Stage})
			if err != nil || !out.Pass {
				b.Fatal(err, out)
			}
		}
	})
	var fused []string
	for _, k := range table.Checks {
		if k.Predicate != "" {
			fused = append(fused, "count(*) FILTER (WHERE NOT ("+k.Predicate+"))")
		}
	}
	sql := "SELECT count(*), count(DISTINCT id), " + strings.Join(fused, ", ") + " FROM " + engine.ScanParquet(staged.Files...)
	b.Run("fused", func(b *testing.B) {
		for b.Loop() {
			if _, err := engine.Fields(context.Background(), w.Session, engine.Statement{SQL: sql}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
