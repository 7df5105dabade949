package engine

import (
	"fmt"
	"strings"
	"testing"
)

// splitPlaces are the tables of the splitter's tests: an invented shop whose domains
// are sites of their own, but for desk, which is here.
var splitPlaces = map[string]Place{
	"sales.orders":    {Site: "sales", Columns: words2("o_id o_cust o_day o_total o_note"), Unique: [][]string{{"o_id"}}, Rows: 1_000_000},
	"sales.lines":     {Site: "sales", Columns: words2("l_order l_part l_qty l_price l_day"), Rows: 4_000_000},
	"crm.customers":   {Site: "crm", Columns: words2("c_id c_name c_nation c_phone"), Unique: [][]string{{"c_id"}}, Rows: 100_000},
	"supply.parts":    {Site: "supply", Columns: words2("p_id p_name p_type"), Unique: [][]string{{"p_id"}}, Rows: 200_000},
	"geo.nations":     {Site: "geo", Columns: words2("n_id n_name"), Unique: [][]string{{"n_id"}}, Rows: 25},
	"east.orders":     {Site: "east", Columns: words2("o_id o_cust o_day o_total o_note"), Numbers: words2("o_total"), Rows: 500_000},
	"west.orders":     {Site: "west", Columns: words2("o_id o_cust o_day o_total o_note"), Numbers: words2("o_total"), Rows: 500_000},
	"desk.favourites": {Columns: words2("f_part f_why"), Rows: 10},
}

func words2(s string) []string { return strings.Fields(s) }

func splitRules() SplitRules {
	n, placed := 0, map[Target]Place{}
	return SplitRules{
		Rules: Rules{Resolve: func(ref TableRef) (Target, error) {
			name := strings.ToLower(strings.Join(ref.Parts, "."))
			p, ok := splitPlaces[name]
			if !ok {
				return Target{}, fmt.Errorf("there is no %s", name)
			}
			t := Target{Schema: ref.Parts[0], Table: ref.Parts[1]}
			p.Name, p.At = t, ref.At
			if p.Site != "" {
				n++
				t.Table += "~" + digits(n)
			}
			placed[t] = p
			return t, nil
		}},
		Place:   func(t Target) Place { return placed[t] },
		Travels: func(Target, string) bool { return true },
	}
}

func TestSplitLook(t *testing.T) {
	s := testSession(t, nil)
	for _, q := range []string{
		"SELECT count(*) FROM sales.orders o JOIN sales.lines l ON o.o_id = l.l_order",
		"SELECT c_name, sum(l_qty * l_price) FROM sales.orders, sales.lines, crm.customers, geo.nations WHERE o_id = l_order AND c_id = o_cust AND c_nation = n_id AND n_name = 'PERU' AND o_day >= DATE '1995-01-01' AND l_day BETWEEN DATE '1995-01-01' AND DATE '1995-03-01' GROUP BY 1 ORDER BY 2 DESC LIMIT 5",
		"WITH o AS (SELECT * FROM east.orders UNION ALL SELECT * FROM west.orders) SELECT c_name, count(*) FROM o, crm.customers WHERE c_id = o_cust AND o_total > 100 GROUP BY ALL",
		"SELECT f_why, p_name FROM desk.favourites LEFT JOIN supply.parts ON f_part = p_id AND p_type = 'x'",
		"SELECT * FROM crm.customers c WHERE EXISTS (SELECT 1 FROM sales.orders WHERE o_cust = c.c_id AND o_total > 5) AND c_nation IN (SELECT n_id FROM geo.nations WHERE n_name LIKE 'A%')",
		"SELECT p_name FROM supply.parts p, sales.lines l WHERE p_id = l_part AND l_qty < (SELECT 0.2*avg(l_qty) FROM sales.lines WHERE l_part = p_id)",
		"SELECT c_name FROM crm.customers, (SELECT o_cust, sum(o_total) AS s FROM sales.orders GROUP BY o_cust HAVING sum(o_total) > 3) x WHERE c_id = o_cust",
		"WITH o AS (SELECT * FROM east.orders UNION ALL SELECT * FROM west.orders) SELECT o_cust, count(*), avg(o_total), sum(o_total * 2) s FROM o WHERE o_day > DATE '1995-01-01' GROUP BY o_cust HAVING count(*) > 2 ORDER BY s DESC LIMIT 3",
		"WITH o AS (SELECT * FROM east.orders UNION ALL SELECT * FROM west.orders) SELECT o_note, o_id FROM o WHERE o_total > 5 ORDER BY o_total DESC LIMIT 3 OFFSET 2",
		"WITH o AS (SELECT * FROM east.orders UNION ALL SELECT * FROM west.orders) SELECT count(*) FILTER (o_total > 5), max(o_day) FROM o",
		"SELECT code, count(*) FROM (SELECT substring(c_phone from 1 for 2) AS code FROM crm.customers WHERE substring(c_phone from 1 for 2) IN ('13', '31') AND c_id > (SELECT avg(c_id) FROM crm.customers WHERE c_nation > 1) AND NOT EXISTS (SELECT * FROM sales.orders WHERE o_cust = c_id)) AS x GROUP BY code",
	} {
		sp, err := SplitQuery(t.Context(), s, q, splitRules())
		fmt.Println("==", q)
		if err != nil {
			fmt.Println("ERR", err)
			continue
		}
		fmt.Println("site", sp.Site, "sql", sp.SQL)
		for i, p := range sp.Parts {
			var uses []int
			for i := range p.Keys {
				uses = append(uses, i)
			}
			text, err := p.Text(t.Context(), s, uses)
			fmt.Println("  part", i, p.View, p.Site, p.Rows, text, err)
			for _, k := range p.Keys {
				fmt.Println("     ", k.Name, k.Column, k.From)
			}
		}
	}
}
