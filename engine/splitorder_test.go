package engine

import "testing"

// TestAnyOrder holds of which questions the tables' rows may come in any order.
func TestAnyOrder(t *testing.T) {
	s := testSession(t, nil)
	for sql, want := range map[string]bool{
		"SELECT a, sum(b) FROM x.t GROUP BY a": true,
		"SELECT count(*) FROM x.t":             true,
		"SELECT a FROM x.t ORDER BY a":         true,
		"SELECT a FROM x.t ORDER BY a LIMIT 3": true,
		"WITH u AS (SELECT a FROM x.t UNION ALL SELECT a FROM y.t) SELECT max(a) FROM u": true,
		"SELECT sum(a) FROM x.t WHERE EXISTS (SELECT 1 FROM y.t WHERE y.t.a = x.t.a)":    true,
		"SELECT sum(a) / count(DISTINCT b) FROM x.t HAVING sum(a) > 0":                   true,
		"SELECT a FROM x.t":                                            false,
		"SELECT DISTINCT a FROM x.t":                                   false,
		"SELECT a FROM x.t LIMIT 3":                                    false,
		"SELECT a FROM x.t UNION ALL SELECT a FROM y.t ORDER BY 1":     false, // denied, not wrong
		"SELECT sum(a) FROM (SELECT a FROM x.t LIMIT 3)":               false,
		"SELECT sum(a) FROM (SELECT a FROM x.t ORDER BY a LIMIT 3)":    true,
		"SELECT sum(a) FROM (SELECT DISTINCT ON (b) a FROM x.t)":       false,
		"SELECT list(a) FROM x.t":                                      false,
		"SELECT string_agg(a, ',' ORDER BY a) FROM x.t":                false,
		"SELECT any_value(a) FROM x.t":                                 false,
		"SELECT first(a) FROM x.t":                                     false,
		"SELECT a, row_number() OVER () AS n FROM x.t ORDER BY a":      false,
		"SELECT sum(a) FROM x.t WHERE a IN (SELECT first(b) FROM y.t)": false,
		"SELECT array(SELECT a FROM y.t), sum(a) FROM x.t":             false,
		"SELECT sum(a) FROM x.t ASOF JOIN y.t ON x.t.a >= y.t.a":       false,
		"SELECT sum(a) FROM x.t TABLESAMPLE 10 ROWS":                   false,
		"WITH RECURSIVE r AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM r WHERE a < 9) SELECT sum(r.a) FROM r, x.t": false,
	} {
		b, err := s.Parse(t.Context(), sql)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		tree, err := readTree(b, sql)
		if err != nil {
			t.Fatal(err)
		}
		if got := anyOrder(tree.stmt); got != want {
			t.Errorf("%s: %v", sql, got)
		}
	}
}
