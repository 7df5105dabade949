package fedtest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"weft/engine"
)

// shopTwice is the shop, at its nodes and in one engine.
func shopTwice(t *testing.T) (*Circle, *engine.Direct) {
	t.Helper()
	c := shop(t)
	d := direct(t)
	for _, r := range c.readers {
		for _, p := range r.products {
			if err := Define(t.Context(), d, p.Domain, p.Name, p.File); err != nil {
				t.Fatal(err)
			}
		}
	}
	return c, d
}

// TestSumsBeforeJoins asks questions that aggregate a large table which they join to small
// ones, in all sorts of ways: some may be aggregated before the join, and must then give
// what one engine gives that does not.
func TestSumsBeforeJoins(t *testing.T) {
	c, d := shopTwice(t)
	froms := []string{
		"sales.orders o JOIN crm.customers c ON o.customer = c.id",
		"crm.customers c JOIN sales.orders o ON o.customer = c.id AND o.total > 20",
		"crm.customers c LEFT JOIN sales.orders o ON c.id = o.customer + 0",
		"crm.customers c LEFT JOIN sales.orders o ON c.id = o.customer AND o.customer > 100",
		"crm.customers c LEFT JOIN sales.orders o ON c.id = o.customer AND o.total > 90 AND o.note LIKE '%1'",
		"crm.customers c LEFT JOIN sales.orders o ON c.id = o.customer AND c.nation > 3",
		"crm.customers c JOIN geo.nations n ON n.id = c.nation LEFT JOIN sales.orders o ON c.id = o.customer AND o.total < 9",
		"sales.orders o JOIN crm.customers c ON o.customer = c.id JOIN geo.nations n ON n.id = c.nation AND n.name LIKE '%1%'",
		"(SELECT customer AS id, customer, total, day, note FROM sales.orders) o JOIN crm.customers c USING (id)",
		"crm.customers c LEFT JOIN (SELECT customer AS id, customer, total, day, note FROM sales.orders WHERE total > 80) o USING (id)",
		"sales.orders o JOIN (SELECT * FROM crm.customers UNION ALL SELECT * FROM crm.customers WHERE nation = 2) c ON o.customer = c.id",
		"(SELECT * FROM sales.orders WHERE total > 50 UNION ALL SELECT * FROM sales.orders WHERE total < 5) o JOIN crm.customers c ON o.customer = c.id",
		"crm.customers c FULL JOIN sales.orders o ON c.id = o.customer AND o.total > 95",
	}
	aggregates := []string{
		"count(*)", "count(o.total)", "sum(o.total)", "sum(o.total * 2)", "min(o.day)", "max(o.note)", "avg(o.total)",
		"count(*) FILTER (o.total > 10)", "sum(o.total) FILTER (o.day > DATE '2026-03-01')", "count(1)", "sum(1)",
		"max(c.name)", "count(DISTINCT c.nation)", "sum(c.nation)", "sum(coalesce(o.total, 5))", "count(DISTINCT o.note)", "sum(o.total + c.nation)",
		"count(*) FILTER (c.nation > 4)", "count(*) FILTER (o.note IS NULL)", "sum(o.total) / count(*)", "bool_or(o.total > 3)",
	}
	groups := []string{"", "", "c.nation", "c.id", "c.name || 'x'", "o.customer", "c.nation, c.name", "c.nation % 4", "ROLLUP (c.nation)"}
	wheres := []string{"", "", "", "o.total < 40", "c.nation = 3", "o.total > c.nation", "o.note IS NULL", "c.id < 700 AND o.day > DATE '2026-02-01'"}
	havings := []string{"", "", "", "count(*) > 3", "sum(o.total) > 100", "max(c.name) > 'c5'"}
	r := rand.New(rand.NewPCG(7, 7))
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	before, refused, asked := 0, 0, 100
	if testing.Short() {
		asked = 24
	}
	for range asked {
		var items []string
		group := pick(groups)
		if group != "" && !strings.HasPrefix(group, "ROLLUP") {
			items = append(items, group)
		}
		for i := range 1 + r.IntN(3) {
			items = append(items, fmt.Sprintf("%s AS a%d", pick(aggregates), i))
		}
		sql := "SELECT " + strings.Join(items, ", ") + " FROM " + pick(froms)
		if w := pick(wheres); w != "" {
			sql += " WHERE " + w
		}
		if group != "" {
			sql += " GROUP BY " + group
		}
		if h := pick(havings); h != "" {
			sql += " HAVING " + h
		}
		got, err := c.Ask(t.Context(), "desk", sql)
		if err != nil {
			refused++
			t.Logf("%s: %v", sql, err)
			continue
		}
		if diff := Diff(got, answer(t, d, sql)); diff != "" {
			t.Errorf("%s\n%s", sql, diff)
		}
		for _, p := range c.explain(t, sql, false).Parts {
			if strings.Contains(p.SQL, "GROUP BY") {
				before++
				break
			}
		}
	}
	if refused > 0 || before < asked/8 {
		t.Errorf("of %d questions %d were refused and %d aggregated before they joined", asked, refused, before)
	}
	t.Logf("%d of %d aggregate before they join", before, asked)
}

// TestUnionsGoByPlace: the columns of a union are those of its first branch, whatever the same
// names mean in the others, wherever these aggregate, sort or choose their rows.
func TestUnionsGoByPlace(t *testing.T) {
	c, d := shopTwice(t)
	const swapped = "(SELECT id, customer FROM sales.orders UNION ALL SELECT nation AS customer, id + 100000 AS id FROM crm.customers) u"
	for _, sql := range []string{
		"SELECT sum(id), max(customer), count(*) FROM " + swapped,
		"SELECT customer, sum(id) FROM " + swapped + " WHERE id < 900 GROUP BY customer",
		"SELECT id FROM " + swapped + " WHERE customer > 40 ORDER BY customer DESC, id LIMIT 20",
		"SELECT u.id, n.name FROM " + swapped + " JOIN geo.nations n ON n.id = u.customer",
		"SELECT n.name, sum(u.customer) FROM " + swapped + " JOIN geo.nations n ON n.id = u.id GROUP BY 1",
		"SELECT count(*) FROM geo.nations n WHERE EXISTS (SELECT 1 FROM " + swapped + " WHERE u.id = n.id)",
		"SELECT id FROM " + swapped + " WHERE customer = 7",
	} {
		got, err := c.Ask(t.Context(), "desk", sql)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		if diff := Diff(got, answer(t, d, sql)); diff != "" {
			t.Errorf("%s\n%s", sql, diff)
		}
	}
}
