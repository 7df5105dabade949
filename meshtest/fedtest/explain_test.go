package fedtest

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"weft"
	"weft/engine"
	"weft/serve"
)

var updatePlans = flag.Bool("update", false, "write the plans in testdata anew")

// shop is a circle of four domains: desk asks about its own favourites and about what
// sales, crm and geo hold.
func shop(t *testing.T) *Circle {
	t.Helper()
	c := NewCircle(t, "sales", "crm", "geo", "desk")
	c.honest = true
	d := direct(t)
	for _, x := range []struct{ domain, name, key, columns, sql string }{
		{"sales", "orders", "id", "id bigint, customer bigint, day date, total decimal(12,2), note text", "SELECT i AS id, i % 2000 AS customer, DATE '2026-01-01' + CAST(i % 300 AS INTEGER) AS day, CAST(i % 97 AS DECIMAL(12,2)) AS total, 'n' || i AS note FROM range(40000) r(i)"},
		{"sales", "lines", "", "order_id bigint, part bigint, quantity integer", "SELECT i % 40000 AS order_id, i % 500 AS part, CAST(i % 7 AS INTEGER) AS quantity FROM range(90000) r(i)"},
		{"crm", "customers", "id", "id bigint, name text, nation integer", "SELECT i AS id, 'c' || i AS name, CAST(i % 25 AS INTEGER) AS nation FROM range(2000) r(i)"},
		{"geo", "nations", "id", "id integer, name text", "SELECT CAST(i AS INTEGER) AS id, 'nation ' || i AS name FROM range(25) r(i)"},
		{"desk", "favourites", "part", "part bigint, why text", "SELECT i * 50 AS part, 'good' AS why FROM range(10) r(i)"},
	} {
		p := Product{Domain: x.domain, Name: x.name, File: filepath.Join(t.TempDir(), x.name+".parquet")}
		if x.key != "" {
			p.Key = []string{x.key}
		}
		for col := range strings.SplitSeq(x.columns, ", ") {
			name, typ, _ := strings.Cut(col, " ")
			p.Columns = append(p.Columns, Column{Name: name, Type: typ})
		}
		if _, err := d.Exec(t.Context(), engine.Statement{SQL: engine.CopyParquet(x.sql, p.File)}); err != nil {
			t.Fatal(err)
		}
		c.Publish(p)
	}
	return c
}

func (c *Circle) explain(t *testing.T, sql string, analyze bool) *weft.Plan {
	t.Helper()
	if !analyze {
		p, err := c.readers["desk"].Explain(t.Context(), shopQuestion(sql))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	ans, plan, err := c.readers["desk"].Analyze(t.Context(), shopQuestion(sql))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ans.Close() }()
	if _, err := Read(ans.Rows); err != nil {
		t.Fatal(err)
	}
	return plan()
}

func shopQuestion(sql string) weft.Question {
	return weft.Question{SQL: sql, Subject: weft.Subject{Kind: weft.SubjectPerson, ID: "tester", Domains: []string{"desk"}}}
}

// TestExplain holds plans as people read them, against testdata/explain. No other reader
// is asked anything for one.
func TestExplain(t *testing.T) {
	c := shop(t)
	c.before = func(context.Context, string) error { return errors.New("it was asked") }
	for name, sql := range map[string]string{
		"whole":  "SELECT customer,\n  sum(total)\nFROM sales.orders JOIN sales.lines ON id = order_id\nGROUP BY 1",
		"here":   "SELECT why FROM desk.favourites WHERE part > 100",
		"count":  "SELECT count(*) FROM desk.favourites",
		"no":     "SELECT 1",
		"keys":   "SELECT c.name, n.name AS nation, count(*) AS orders, sum(o.total) AS total FROM sales.orders o JOIN crm.customers c ON c.id = o.customer JOIN geo.nations n ON n.id = c.nation WHERE n.name = 'nation 7' AND o.day >= DATE '2026-03-01' GROUP BY ALL ORDER BY total DESC LIMIT 10",
		"local":  "SELECT f.why, l.quantity, l.order_id FROM desk.favourites f JOIN sales.lines l USING (part)",
		"quotes": "SELECT name, why FROM crm.customers, desk.favourites WHERE id = part AND name <> 'it''s  a (text FROM somewhere' AND why <> 'another one that makes this long'",
		"common": "WITH big AS (SELECT customer, sum(total) AS t FROM sales.orders GROUP BY customer HAVING sum(total) > 10) SELECT name, t FROM big JOIN crm.customers ON id = customer",
	} {
		t.Run(name, func(t *testing.T) {
			holdsPlan(t, name, c.explain(t, sql, false))
		})
	}
}

// holdsPlan holds a plan as people read it against a file of testdata/explain.
func holdsPlan(t *testing.T, name string, p *weft.Plan) {
	t.Helper()
	var b strings.Builder
	if err := serve.WritePlan(&b, p, serve.PlanPrint{}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "explain", name+".txt")
	if *updatePlans {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != b.String() {
		t.Errorf("%v\n%s", err, b.String())
	}
	for l := range strings.SplitSeq(b.String(), "\n") {
		if len([]rune(l)) > 100 {
			t.Errorf("%d columns: %s", len([]rune(l)), l)
		}
	}
}

// awayQuestion has a few customers beside many orders, of which it keeps what cannot be put
// together of parts.
const awayQuestion = "SELECT n.name, f.why, median(l.quantity * c.id + l.part) AS m FROM sales.lines l JOIN sales.orders o ON o.id = l.order_id JOIN crm.customers c ON c.id = o.customer JOIN geo.nations n ON n.id = c.nation LEFT JOIN desk.favourites f ON f.part = l.part WHERE c.nation IN (3, 7) AND o.note <> n.name GROUP BY ALL ORDER BY ALL LIMIT 20"

// TestExplainAway holds the plan of a question whose last step runs at another reader, and
// what is measured of it.
func TestExplainAway(t *testing.T) {
	c := shop(t)
	c.SendAway() // the tables are small
	holdsPlan(t, "away", c.explain(t, awayQuestion, false))
	ran := c.explain(t, awayQuestion, true)
	last := ran.Parts[len(ran.Parts)-1]
	if ran.Here != nil || !last.Last || len(last.Guests) != 3 || last.Measured.Rows == 0 || ran.Measured.Rows != last.Measured.Rows || len(ran.Cut) != 5 || c.away.Load() != 1 {
		t.Errorf("%+v", ran)
	}
	for _, p := range ran.Parts {
		if p.Measured == nil || p.Measured.Rows == 0 {
			t.Errorf("part %d: %+v", p.Number, p)
		}
	}
}

// TestAnsweredOnce holds that a query whose answer others are asked with is not run again in
// the last step, which a plan says when it was run, and that the answer is the right one.
func TestAnsweredOnce(t *testing.T) {
	c := shop(t)
	const sql = `WITH l AS (SELECT id, total FROM sales.orders UNION ALL SELECT id, 1 FROM crm.customers)
		SELECT count(*) FROM sales.lines WHERE order_id IN (SELECT id FROM l GROUP BY id HAVING sum(total) > 95)`
	before, ran := c.explain(t, sql, false), c.explain(t, sql, true)
	if !strings.Contains(before.Here.SQL, "HAVING") || strings.Contains(ran.Here.SQL, "HAVING") || !strings.Contains(ran.Here.SQL, "ANY(SELECT k FROM weft_keys.") {
		t.Errorf("%s\nran as\n%s", before.Here.SQL, ran.Here.SQL)
	}
	want := 0
	for i := range 90_000 {
		if id := i % 40_000; id%97 == 96 || id < 2000 && id%97 == 95 {
			want++
		}
	}
	if got := c.number(t, sql); got != strconv.Itoa(want) {
		t.Errorf("%s, wanted %d", got, want)
	}
}

// number asks for one number.
func (c *Circle) number(t *testing.T, sql string) string {
	t.Helper()
	ans, err := c.readers["desk"].Query(t.Context(), shopQuestion(sql))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ans.Close() }()
	if !ans.Rows.Next() {
		t.Fatal(ans.Rows.Err())
	}
	return ans.Rows.RecordBatch().Column(0).ValueStr(0)
}

// TestUnplanned asks what the engine can plan, and cannot as it is cut: a query by a name that
// has a full join in it goes where the name stands, beside a column of the outer one. It is
// answered from whole tables, which a plan says when it was run.
func TestUnplanned(t *testing.T) {
	c := shop(t)
	const sql = `WITH RECURSIVE f(n, s) AS (SELECT id, name FROM geo.nations UNION SELECT n + 1, s FROM f WHERE n < 5),
		w AS (SELECT min(c.id) AS a, max(7.5) AS b FROM f FULL JOIN crm.customers c ON f.n = c.id JOIN f AS g ON f.s = g.s GROUP BY c.nation)
		SELECT count(*) FROM sales.lines l WHERE l.part IN (SELECT b - 0.5 FROM w WHERE a = l.quantity) AND l.part <= ALL (SELECT part + 7 FROM sales.lines)`
	for _, away := range []bool{false, true} {
		if away {
			c.SendAway()
		}
		if got := c.number(t, sql); got != "180" { // every 500th line
			t.Errorf("%s, wanted 180", got)
		}
	}
	if p := c.explain(t, sql, true); p.Here == nil || !strings.Contains(p.Here.SQL, "w AS (") {
		t.Errorf("%+v", p)
	}
}

// TestLateralBesideLateral asks with two lateral items behind a comma, of which the second
// has an outer join and names the table before: the engine has no plan for that on the right
// of an inner join.
func TestLateralBesideLateral(t *testing.T) {
	c := shop(t)
	const v = "(SELECT m.name AS p, c.name AS x FROM geo.nations n LEFT JOIN geo.nations m ON m.id = n.id + 1) v"
	for _, sql := range []string{
		"SELECT count(x) FROM crm.customers c, unnest([c.id, c.nation]) u(e) CROSS JOIN LATERAL " + v,
		"SELECT count(x) FROM crm.customers c CROSS JOIN (unnest([c.id, c.nation]) u(e) CROSS JOIN " + v + ")",
	} {
		for range 2 {
			if got := c.number(t, sql); got != "100000" { // 2000 customers, 2 values, 25 nations
				t.Errorf("%s: %s", sql, got)
			}
			sql = strings.ReplaceAll(sql, "geo.nations", "crm.customers")
			sql = strings.ReplaceAll(sql, "m ON m.id = n.id + 1", "m ON m.id = n.id + 1 WHERE n.id < 25") // all at one node
		}
	}
}

// TestNamesFromOutside asks with queries that read one node's tables and name what stands
// around them in WITH parts of their own: they are not that node's to answer.
func TestNamesFromOutside(t *testing.T) {
	c := shop(t)
	for sql, want := range map[string]string{
		`WITH RECURSIVE f(n) AS (SELECT id FROM geo.nations UNION SELECT n + 1 FROM f WHERE n < 5)
		SELECT sum(a) FROM (WITH RECURSIVE w(m) AS (SELECT n FROM f UNION SELECT m + 1 FROM w WHERE m < 5) SELECT max(total) AS a FROM sales.orders) x CROSS JOIN f`: "2400",
		`WITH RECURSIVE f(n) AS (SELECT id FROM geo.nations UNION SELECT n + 1 FROM f WHERE n < 5)
		SELECT sum(a) FROM (SELECT max(id) AS a FROM sales.orders WHERE id IN (SELECT n FROM f)) x CROSS JOIN f`: "600",
		`SELECT sum(a) FROM crm.customers c, LATERAL (WITH w AS MATERIALIZED (SELECT c.id AS n) SELECT min(o.id) AS a FROM sales.orders o JOIN w ON w.n = o.customer) x`:                                  "1999000",
		`SELECT sum(a) FROM crm.customers c, LATERAL (WITH RECURSIVE w(n) AS (SELECT c.id UNION SELECT n + 1 FROM w WHERE n < 4) SELECT min(o.id) AS a FROM sales.orders o JOIN w ON w.n = o.customer) x`: "1999000",
	} {
		if got := c.number(t, sql); got != want {
			t.Errorf("%s: %s, wanted %s", sql, got, want)
		}
	}
}

// TestTooMuchToSend asks a question whose guests are many times as large as their types let one
// believe: they do not go, and the question is answered here.
func TestTooMuchToSend(t *testing.T) {
	c := shop(t)
	c.SendAway()
	d := direct(t)
	for _, p := range []Product{
		{Domain: "crm", Name: "letters", Columns: []Column{{Name: "id", Type: "bigint"}, {Name: "text", Type: "text"}}},
		{Domain: "sales", Name: "calls", Columns: []Column{{Name: "id", Type: "bigint"}, {Name: "a", Type: "bigint"}, {Name: "b", Type: "bigint"}}},
	} {
		p.File = filepath.Join(t.TempDir(), p.Name+".parquet")
		rows := "SELECT i AS id, repeat('letter ', 35) || i AS text FROM range(300000) r(i)"
		if p.Domain == "sales" {
			rows = "SELECT i AS id, i AS a, i AS b FROM range(600000) r(i)"
		}
		if _, err := d.Exec(t.Context(), engine.Statement{SQL: engine.CopyParquet(rows, p.File)}); err != nil {
			t.Fatal(err)
		}
		c.Publish(p)
	}
	for sql, want := range map[string]int64{
		"SELECT median(length(x.text) + l.a + l.b) FROM sales.calls l JOIN crm.letters x ON x.id = l.id": 0,
		"SELECT median(x.id + l.a + l.b) FROM sales.calls l JOIN crm.letters x ON x.id = l.id":           1,
	} {
		c.away.Store(0)
		ans, err := c.Ask(t.Context(), "desk", sql)
		if err != nil || ans.Rows != 1 || c.away.Load() != want {
			t.Errorf("%s: %v, %v; its last step was sent away %d times, wanted %d", sql, ans, err, c.away.Load(), want)
		}
	}
}

// TestExplainAsksNobody holds that a plan needs no other reader, also where the time that
// now() means is theirs to say.
func TestExplainAsksNobody(t *testing.T) {
	c := shop(t)
	c.before = func(context.Context, string) error { return errors.New("it was asked") }
	const sql = "SELECT name, now() FROM crm.customers, desk.favourites WHERE id = part"
	if p := c.explain(t, sql, false); len(p.Parts) == 0 {
		t.Errorf("%+v", p)
	}
	if _, _, err := c.readers["desk"].Analyze(t.Context(), shopQuestion(sql)); weft.KindOf(err) != weft.KindUnavailable {
		t.Error(err)
	}
	for _, sql := range []string{"SELECT * FROM crm.nothing", "SELECT * FROM nobody.orders", "DROP TABLE x"} {
		if _, err := c.readers["desk"].Explain(t.Context(), shopQuestion(sql)); err == nil {
			t.Errorf("%s is explained", sql)
		}
	}
}

// TestAnalyze holds what is measured against what there is.
func TestAnalyze(t *testing.T) {
	c := shop(t)
	const sql = "SELECT c.name, o.total FROM sales.orders o JOIN crm.customers c ON c.id = o.customer WHERE c.nation = 7"
	p := c.explain(t, sql, true)
	if len(p.Parts) != 2 || p.Here == nil || p.Here.Measured == nil || p.Measured == nil || p.Measured.Rows != 1600 || len(p.Cut) != 2 {
		t.Fatalf("%+v", p)
	}
	by := map[string]weft.PlanPart{}
	for _, x := range p.Parts {
		by[x.Name] = x
	}
	crm, sales := by["crm"], by["sales"]
	if crm.Measured == nil || crm.Measured.Rows != 80 || len(crm.Keys) != 0 {
		t.Errorf("crm gave %+v", crm)
	}
	if sales.Measured == nil || sales.Measured.Rows != 1600 || len(sales.Keys) != 1 || sales.Keys[0].Sent == nil || *sales.Keys[0].Sent != 80 {
		t.Errorf("sales gave %+v", sales)
	}
	if sales.Measured.Began < crm.Measured.Last || p.Here.Measured.Began < sales.Measured.Last || p.Measured.Last < p.Here.Measured.First {
		t.Errorf("crm %+v, sales %+v, here %+v, all %+v", crm.Measured, sales.Measured, p.Here.Measured, p.Measured)
	}
	if p := c.explain(t, "SELECT * FROM sales.lines WHERE part < 5", true); !p.Whole || p.Parts[0].Measured == nil || p.Parts[0].Measured.Rows != 900 {
		t.Errorf("a whole one: %+v", p)
	}
}
