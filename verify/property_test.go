package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/store"
	"weft/store/storetest"
)

// randomTable has a rule of every kind that rows can break.
func randomTable(t *rapid.T) *contract.Table {
	all := []contract.Check{
		{ID: "t.k.required", Column: "k", Kind: "required", Text: "k has a value", Predicate: "k IS NOT NULL"},
		{ID: "t.n.range", Column: "n", Kind: "range", Text: "n from 0 to 5", Predicate: "n BETWEEN 0 AND 5"},
		{ID: "t.s.enum", Column: "s", Kind: "enum", Text: "s is a or b", Predicate: "s IN ('a', 'b')"},
		{ID: "t.s.length", Column: "s", Kind: "length", Text: "s has at most 2 characters", Predicate: "length(s) <= 2"},
		{ID: "t.s.pattern", Column: "s", Kind: "pattern", Text: "s is small letters", Predicate: "regexp_full_match(s, '[a-z]*')"},
		{ID: "t.f.range", Column: "f", Kind: "range", Text: "f is at most 1", Predicate: "f <= 1"},
		{ID: "t.pair", Kind: "custom", Text: "k is not n", Predicate: "k <> n", Severity: weft.SeverityWarning},
		{ID: "t.k.unique", Column: "k", Kind: "unique", Text: "k is there once", Columns: []string{"k"}},
		{ID: "t.s.unique", Column: "s", Kind: "unique", Text: "s, n is there once", Columns: []string{"s", "n"}},
	}
	table := &contract.Table{
		Name: "t", QuarantineLimit: 1, OnViolation: contract.Quarantine,
		Columns: []*contract.Column{
			{Name: "k", Type: contract.Type{Kind: contract.KindInt64}},
			{Name: "n", Type: contract.Type{Kind: contract.KindInt32}},
			{Name: "s", Type: contract.Type{Kind: contract.KindString}},
			{Name: "f", Type: contract.Type{Kind: contract.KindFloat64}},
		},
	}
	for _, c := range all {
		if rapid.Bool().Draw(t, c.ID) {
			c.Table = "t"
			table.Checks = append(table.Checks, c)
		}
	}
	return table
}

func randomRows(t *rapid.T, label string) string {
	n := rapid.IntRange(0, 15).Draw(t, label)
	rows := []string{}
	for range n {
		rows = append(rows, fmt.Sprintf("(%s, %s, %s, %s)",
			rapid.SampledFrom([]string{"NULL", "1", "2", "3", "4", "5", "6", "9000000000"}).Draw(t, "k"),
			rapid.SampledFrom([]string{"NULL", "-1", "0", "3", "5", "6"}).Draw(t, "n"),
			rapid.SampledFrom([]string{"NULL", "''", "'a'", "'b'", "'A'", "'abc'"}).Draw(t, "s"),
			rapid.SampledFrom([]string{"NULL", "0.5", "2", "'nan'::DOUBLE"}).Draw(t, "f")))
	}
	const types = "SELECT k::BIGINT AS k, n::INTEGER AS n, s::VARCHAR AS s, f::DOUBLE AS f FROM "
	if n == 0 {
		return types + "(SELECT NULL AS k, NULL AS n, NULL AS s, NULL AS f) WHERE false"
	}
	return types + "(VALUES " + strings.Join(rows, ", ") + ") AS v(k, n, s, f)"
}

// naive counts what breaks a rule one statement a rule, the obvious way.
func naive(b *storetest.Bench, c contract.Check, rows string, prior *store.Relation) int64 {
	sql := "SELECT count(*) FROM (" + rows + ") WHERE (" + c.Predicate + ") IS NOT DISTINCT FROM false"
	if c.Predicate == "" {
		before := "SELECT NULL::BIGINT AS k, NULL::INTEGER AS n, NULL::VARCHAR AS s, NULL::DOUBLE AS f WHERE false"
		if prior != nil {
			before = prior.SQL
		}
		key := engine.Idents(c.Columns)
		sql = fmt.Sprintf(`SELECT count(*) FROM (SELECT *, row_number() OVER (PARTITION BY %s ORDER BY age) AS nth FROM
			(SELECT *, 1 AS age FROM (%s) UNION ALL SELECT *, 0 FROM (%s))) WHERE age = 1 AND nth > 1 AND %s`, key, rows, before, present(c.Columns))
	}
	return engine.Field{Text: b.Lines(sql)[0]}.Int()
}

// TestCountsAreNaive holds: the counts of the fused statements are those of one
// statement a rule; and good rows and held rows together are all rows.
func TestCountsAreNaive(t *testing.T) {
	b := storetest.New(t)
	rapid.Check(t, func(rt *rapid.T) {
		table := randomTable(rt)
		rows := randomRows(rt, "rows")
		c := Candidate{Table: table, Staged: b.Staged(true, rows), Mode: contract.ModeAppend}
		if rapid.Bool().Draw(rt, "append") {
			// What is there already is unique, as it was verified before.
			c.Prior = b.Relation("SELECT DISTINCT ON (k) * FROM (SELECT DISTINCT ON (s, n) * FROM (" + randomRows(rt, "prior") + "))")
			c.Staged.Full = false
		}
		out, err := Check(context.Background(), b.Session, Request{Tables: []Candidate{c}, Stage: b.Stage})
		if err != nil {
			rt.Fatal(err)
		}
		if len(out.Verdict.Checks) != len(table.Checks) {
			rt.Fatalf("%d results of %d checks", len(out.Verdict.Checks), len(table.Checks))
		}
		for i, got := range out.Verdict.Checks {
			want := naive(b, table.Checks[i], rows, c.Prior)
			if got.ID != table.Checks[i].ID || got.Failed != want || got.Pass != (want == 0) || got.Error != "" || got.Total != c.Staged.Rows {
				rt.Fatalf("%+v, but %d rows break it\nrows: %s", got, want, rows)
			}
		}
		if !out.Pass {
			rt.Fatal(out.Refusal)
		}
		checkSplit(rt, b, &c, out)
	})
}

// checkSplit holds that no row is lost or doubled, and that the good ones are good.
func checkSplit(rt *rapid.T, b *storetest.Bench, c *Candidate, out *Outcome) {
	rowJSON := func(from string) string {
		return "SELECT CAST(to_json(struct_pack(k := CAST(k AS VARCHAR), n := CAST(n AS VARCHAR), s := s, f := CAST(f AS VARCHAR))) AS VARCHAR) AS r FROM " + from
	}
	good := out.Tables[0]
	all := b.Lines(rowJSON(engine.ScanParquet(c.Staged.Files...)))
	both := rowJSON(engine.ScanParquet(good.Files...))
	if q := out.Quarantine; q != nil {
		both += ` UNION ALL SELECT "row" FROM ` + engine.ScanParquet(q.Files...)
		if out.Verdict.Quarantined != q.Rows {
			rt.Fatalf("%d rows said to be held, %d are", out.Verdict.Quarantined, q.Rows)
		}
		for _, r := range b.Lines("SELECT reason FROM " + engine.ScanParquet(q.Files...)) {
			if !strings.HasPrefix(r, "t.") {
				rt.Fatalf("held for no reason: %q", r)
			}
		}
	}
	if got := b.Lines(both); !slices.Equal(got, all) {
		rt.Fatalf("good and held rows\n%s\nare not all rows\n%s", strings.Join(got, "\n"), strings.Join(all, "\n"))
	}
	for _, k := range c.Table.Checks {
		if k.Severity == weft.SeverityWarning {
			continue
		}
		if n := naive(b, k, "FROM "+engine.ScanParquet(good.Files...), c.Prior); n > 0 {
			rt.Fatalf("%d good rows break %s", n, k.ID)
		}
	}
}
