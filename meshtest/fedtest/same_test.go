package fedtest

import (
	"math"
	"strings"
	"testing"

	"weft/engine"
)

func direct(t testing.TB) *engine.Direct {
	t.Helper()
	d, err := OpenEngine(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func answer(t testing.TB, d *engine.Direct, sql string) *Answer {
	t.Helper()
	a, err := AskEngine(t.Context(), d, sql)
	if err != nil {
		t.Fatal(sql, err)
	}
	return a
}

// TestDiff holds that only the same answers count as the same.
func TestDiff(t *testing.T) {
	d := direct(t)
	const base = "FROM (VALUES (1, 'a', 0.5::DOUBLE), (2, 'b', 1e20::DOUBLE), (2, 'b', 1e20::DOUBLE), (NULL, NULL, NULL)) v(i, s, f)"
	for _, c := range []struct{ got, want, diff string }{
		{base, base, ""},
		{base + " ORDER BY i DESC", base, ""},
		{base, "SELECT i, s, f * (1 + 1e-11) AS f " + base, ""},
		{base, "SELECT i, s, f * (1 + 1e-8) AS f " + base, "4 rows, and not 4\ntoo many: 1"},
		{"SELECT DISTINCT * " + base, base, "3 rows, and not 4\nmissing:  2"},
		{base, "SELECT DISTINCT * " + base, "4 rows, and not 3\ntoo many: 2"},
		{"SELECT i::BIGINT AS i, s, f " + base, base, "the columns are i int64"},
		{"SELECT i AS j, s, f " + base, base, "the columns are j int32"},
		{"SELECT coalesce(i, 0) AS i, s, f " + base, base, "missing:  NULL | NULL | NULL"},
		{"SELECT i, coalesce(s, 'NULL') AS s, f " + base, base, `too many: NULL | "NULL"`},
		{"SELECT 0.0::DOUBLE AS x", "SELECT -0.0::DOUBLE AS x", ""},
		{"SELECT 'nan'::DOUBLE AS x", "SELECT 0.0::DOUBLE AS x", "too many: NaN"},
		{"SELECT 'inf'::DOUBLE AS x", "SELECT '-inf'::DOUBLE AS x", "too many: +Inf"},
		{"SELECT [1.5::DOUBLE, NULL] AS x", "SELECT [1.5::DOUBLE * (1 + 1e-12), NULL] AS x", ""},
		{"SELECT [1, 2] AS x", "SELECT [2, 1] AS x", "too many: [1 2 ]"},
		{"SELECT {'a': 1, 'b': 'x'} AS x", "SELECT {'a': 1, 'b': 'y'} AS x", "too many: {1 \"x\" }"},
		{"SELECT 1.50::DECIMAL(9,2) AS x", "SELECT 1.51::DECIMAL(9,2) AS x", "too many: 1.5"},
		{"SELECT TIMESTAMP '2024-01-01 00:00:00.000001' AS x", "SELECT TIMESTAMP '2024-01-01' AS x", "too many: 1704067200000001"},
		{"FROM (VALUES (1e0, 2e0), (1e0 + 1e-12, 1e0)) v(a, b)", "FROM (VALUES (1e0, 1e0), (1e0 + 1e-12, 2e0)) v(a, b)", ""},
	} {
		diff := Diff(answer(t, d, c.got), answer(t, d, c.want))
		if (c.diff == "") != (diff == "") || !strings.Contains(diff, c.diff) {
			t.Errorf("%s\n%s\nsays %q, and not %q", c.got, c.want, diff, c.diff)
		}
	}
	many := "SELECT (i % 1000) / 7 AS f FROM range(60000) r(i)"
	if diff := Diff(answer(t, d, many), answer(t, d, many+" ORDER BY f DESC")); diff != "" {
		t.Error(diff)
	}
	if near([]float64{math.MaxFloat64}, []float64{-math.MaxFloat64}) {
		t.Error("the largest number is near its negative")
	}
}
