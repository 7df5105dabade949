package engine

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// readBlocks reads a file of texts with empty lines between them and # comments.
func readBlocks(t testing.TB, file string) []string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for block := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n\n") {
		var lines []string
		for l := range strings.SplitSeq(block, "\n") {
			if !strings.HasPrefix(l, "# ") {
				lines = append(lines, l)
			}
		}
		if q := strings.Join(lines, "\n"); q != "" {
			out = append(out, q)
		}
	}
	return out
}

// testViews are the invented tables of tables.sql.
func testViews(t testing.TB) []View {
	t.Helper()
	b, err := os.ReadFile("testdata/gate/answers/tables.sql")
	if err != nil {
		t.Fatal(err)
	}
	var vs []View
	for l := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n") {
		name, sql, _ := strings.Cut(l, ": ")
		v := View{Name: name, SQL: sql}
		if s, table, ok := strings.Cut(name, "/"); ok {
			v.Schema, v.Name = s, table
		}
		vs = append(vs, v)
	}
	return vs
}

// viewsOf are the views whose names a query has in it.
func viewsOf(query string, all []View) []View {
	var out []View
	for _, v := range all {
		if strings.Contains(query, v.Name) || v.Schema != "" && strings.Contains(query, v.Schema) {
			out = append(out, v)
		}
	}
	return out
}

// sorted gives the lines of an answer in order: answers are multisets.
func sorted(answer string) string {
	lines := strings.Split(answer, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestAnswers holds, in a real worker, that a query gives the same rows with the
// gate and without it.
func TestAnswers(t *testing.T) {
	s := testSession(t, func(c *SessionConfig) { c.Threads = 1 })
	all := testViews(t)
	for i, q := range readBlocks(t, "testdata/gate/answers/answers.txt") {
		if testing.Short() && i%3 != 0 {
			continue
		}
		views := viewsOf(q, all)
		plain, err := ask(t.Context(), s, Statement{SQL: q, Views: views})
		if err != nil {
			t.Errorf("%s\n  does not run without the gate: %v", q, err)
			continue
		}
		b, err := Bind(t.Context(), s, q, testRules)
		if err != nil {
			t.Errorf("%s\n  is refused: %v", q, err)
			continue
		}
		checkFixpoint(t, s, b)
		gated, err := ask(t.Context(), s, Statement{SQL: b.SQL, Views: views})
		if err != nil {
			t.Errorf("%s\n  becomes\n%s\n  which does not run: %v", q, b.SQL, err)
			continue
		}
		if sorted(plain) != sorted(gated) || b.Ordered && plain != gated {
			t.Errorf("%s\n  becomes\n%s\n  and gives\n%s  instead of\n%s", q, b.SQL, gated, plain)
		}
	}
}

// TestAnswersTables reads tables through the gate whose views have other names.
func TestAnswersTables(t *testing.T) {
	s := testSession(t, nil)
	views := append(testViews(t),
		View{Schema: "sales", Name: "orders@12", SQL: "select 7 as id, 70 as amount"},
		View{Schema: "sales", Name: "orders.lines@20260101t000000", SQL: "select 8 as id, 7 as order_id"})
	for _, c := range []struct{ query, want string }{
		{"select count(*) from sales.orders.lines where sales.orders.lines.quantity = 1 and lines.id < 10", "3\n"},
		{`select lines.id from sales."orders.lines" as lines where id = 3`, "3\n"},
		{"select sales.orders.amount + orders.id from sales.orders at (version => 12)", "77\n"},
		{"select o.id, p.amount, l.id from sales.orders o join sales.orders p at (version => 12) on o.id = p.id join sales.orders.lines l at (timestamp => date '2026-01-01') on l.order_id = p.id", "7|70|8\n"},
		{"select o.id from sales.orders o where exists (select 1 from sales.orders.lines where sales.orders.lines.id = 29 and lines.order_id = o.id)", "9\n"},
		{"select (select max(quantity) from sales.orders.lines where sales.orders.lines.order_id = sales.orders.id) from sales.orders where id = 1", "3\n"},
		{"with orders as (select id from sales.orders at (version => 12)) select orders.id, o.id from orders, sales.orders o where o.id = 1", "7|1\n"},
		{"select now() = current_timestamp, current_date = today(), now()::date = current_date, localtimestamp = (now() at time zone 'UTC')", "true|true|true|true\n"},
		{"select strftime(now(), '%Y-%m-%d %H:%M:%S'), current_date, localtime, typeof(current_time), typeof(now())", "2026-03-31 12:30:15|2026-03-31|12:30:15.123456|TIME WITH TIME ZONE|TIMESTAMP WITH TIME ZONE\n"},
		{"select age(timestamp '2026-03-30')", `{"months":0,"days":1,"nanoseconds":0}` + "\n"},
		{"select count(*) from sales.orders tablesample reservoir(3 rows)", "3\n"},
	} {
		b, err := Bind(t.Context(), s, c.query, testRules)
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
			continue
		}
		checkFixpoint(t, s, b)
		got, err := ask(t.Context(), s, Statement{SQL: b.SQL, Views: views})
		if err != nil || got != c.want {
			t.Errorf("%s\n  becomes\n%s\n  and gives\n%s  instead of\n%s  %v", c.query, b.SQL, got, c.want, err)
		}
	}
}
