package engine

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// splitPlaces are the tables of the splitter's tests: an invented shop whose domains
// are sites of their own, but for desk, which is here.
var splitPlaces = map[string]Place{
	"sales.orders":    {Site: "sales", Columns: words2("o_id o_cust o_day o_total o_note"), Types: words2("BIGINT BIGINT DATE DOUBLE VARCHAR"), Unique: [][]string{{"o_id"}}, Rows: 1_000_000},
	"sales.lines":     {Site: "sales", Columns: words2("l_order l_part l_qty l_price l_day"), Types: words2("BIGINT BIGINT INTEGER DOUBLE DATE"), Rows: 4_000_000},
	"crm.customers":   {Site: "crm", Columns: words2("c_id c_name c_nation c_phone"), Types: words2("BIGINT VARCHAR INTEGER VARCHAR"), Unique: [][]string{{"c_id"}}, Rows: 100_000},
	"supply.parts":    {Site: "supply", Columns: words2("p_id p_name p_type"), Types: words2("BIGINT VARCHAR VARCHAR"), Unique: [][]string{{"p_id"}}, Rows: 200_000},
	"supply.prices":   {Site: "supply", Columns: words2("r_part r_maker r_cost"), Types: words2("BIGINT BIGINT DOUBLE"), Unique: [][]string{{"r_part", "r_maker"}}, Rows: 800_000},
	"supply.makers":   {Site: "supply", Columns: words2("m_id m_nation"), Types: words2("BIGINT INTEGER"), Unique: [][]string{{"m_id"}}, Rows: 10_000},
	"supply.nations":  {Site: "supply", Columns: words2("k_id k_name"), Types: words2("INTEGER VARCHAR"), Unique: [][]string{{"k_id"}}, Rows: 25},
	"supply.clients":  {Site: "supply", Columns: words2("t_id t_nation"), Types: words2("BIGINT INTEGER"), Unique: [][]string{{"t_id"}}, Rows: 50_000},
	"geo.nations":     {Site: "geo", Columns: words2("n_id n_name"), Unique: [][]string{{"n_id"}}, Rows: 25},
	"east.orders":     {Site: "east", Columns: words2("o_id o_cust o_day o_total o_note"), Types: words2("BIGINT INTEGER DATE DOUBLE VARCHAR"), Numbers: words2("o_total"), Rows: 500_000},
	"west.orders":     {Site: "west", Columns: words2("o_id o_cust o_day o_total o_note"), Types: words2("BIGINT BIGINT DATE DOUBLE VARCHAR"), Numbers: words2("o_total"), Rows: 500_000},
	"north.sales":     {Site: "north", Columns: words2("s_id s_cust s_day s_total"), Unique: [][]string{{"s_id"}}, Rows: 500_000, Shard: &Shard{"s_id", 2, 0, "integer"}},
	"south.sales":     {Site: "south", Columns: words2("s_id s_cust s_day s_total"), Unique: [][]string{{"s_id"}}, Rows: 500_000, Shard: &Shard{"s_id", 2, 1, "integer"}},
	"north.items":     {Site: "north", Columns: words2("i_sale i_line i_part i_qty i_price"), Unique: [][]string{{"i_sale", "i_line"}}, Numbers: words2("i_price i_qty"), Rows: 2_000_000, Shard: &Shard{"i_sale", 2, 0, "integer"}},
	"south.items":     {Site: "south", Columns: words2("i_sale i_line i_part i_qty i_price"), Unique: [][]string{{"i_sale", "i_line"}}, Numbers: words2("i_price i_qty"), Rows: 2_000_000, Shard: &Shard{"i_sale", 2, 1, "integer"}},
	"south.odd":       {Site: "south", Columns: words2("x_sale x_note"), Rows: 2_000_000, Shard: &Shard{"x_sale", 3, 1, "integer"}},
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

var updateSplits = flag.Bool("splits", false, "write testdata/split.txt anew")

// TestSplit holds how questions are cut against testdata/split.txt: a line with > is the
// question, and what follows is what runs here and what each site is asked.
func TestSplit(t *testing.T) {
	s := testSession(t, nil)
	const file = "testdata/split.txt"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for q := range strings.Lines(string(b)) {
		q, ok := strings.CutPrefix(strings.TrimSpace(q), "> ")
		if !ok {
			continue
		}
		if out.Len() > 0 {
			out.WriteByte('\n')
		}
		fmt.Fprintf(&out, "> %s\n%s", q, describeSplit(t, s, q))
	}
	if *updateSplits {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if out.String() != string(b) {
		t.Errorf("read and then write anew with -splits:\n%s", out.String())
	}
}

func describeSplit(t *testing.T, s Session, q string) string {
	sp, err := SplitQuery(t.Context(), s, q, splitRules())
	if err != nil {
		return fmt.Sprintf("refused: %v\n", err)
	}
	var b strings.Builder
	if sp.Site != "" {
		return fmt.Sprintf("all at %s\n", sp.Site)
	}
	fmt.Fprintf(&b, "here: %s\n", sp.SQL)
	for i, p := range sp.Parts {
		var uses []int
		for u := range p.Keys {
			uses = append(uses, u)
		}
		text, err := p.Text(t.Context(), s, uses)
		if err != nil {
			t.Errorf("%s: part %d: %v", q, i, err)
		}
		site := p.Site
		if site == "" {
			site = "here, for keys"
		}
		fmt.Fprintf(&b, "part %d, %s, about %d rows: %s\n", i, site, p.Rows, text)
		for _, k := range p.Keys {
			for _, f := range k.From {
				if f.SQL != "" {
					fmt.Fprintf(&b, "  %s from parts %v: %s\n", k.Name, f.Needs, f.SQL)
				} else {
					fmt.Fprintf(&b, "  %s from part %d: %s\n", k.Name, f.Part, f.Column)
				}
			}
		}
	}
	return b.String()
}

// TestLoosen: an equality is taken out of the engine's sight where the relations are
// connected without it, and no column of it is a key. What is written in an ON goes to
// WHERE, as it names relations that are joined later.
func TestLoosen(t *testing.T) {
	s := testSession(t, nil)
	for q, want := range map[string]string{
		`SELECT count(*) FROM crm.customers, sales.orders, sales.lines, supply.parts
		WHERE c_id = o_cust AND o_id = l_order AND l_part = p_id AND c_name = p_name`: ` AND COALESCE((customers.c_name = parts.p_name), (`,
		`SELECT count(*) FROM crm.customers c JOIN supply.parts p ON c_name = p_name JOIN sales.lines l ON l_part = p_id AND l_order = c_id`: ` WHERE COALESCE((c.c_name = p.p_name), (`,
	} {
		sp, err := SplitQuery(t.Context(), s, q, splitRules())
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, p := range sp.Parts {
			for _, k := range p.Keys {
				all = append(all, k.Name)
			}
		}
		before := sp.SQL
		if err := sp.Loosen(t.Context(), s, all); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(sp.SQL, "COALESCE"); n != 1 || !strings.Contains(sp.SQL, want) {
			t.Errorf("%s\nbecame\n%s", before, sp.SQL)
		}
	}
}

// TestAnswered: a query that keys came from gives way to these, and to no others.
func TestAnswered(t *testing.T) {
	s := testSession(t, nil)
	const q = `WITH l AS (SELECT * FROM east.orders UNION ALL SELECT * FROM west.orders)
		SELECT c_name, o_day FROM crm.customers, l WHERE c_id = o_cust AND c_id IN (SELECT o_cust FROM l GROUP BY o_cust HAVING sum(o_total) > 100)`
	sp, err := SplitQuery(t.Context(), s, q, splitRules())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	answered := ""
	for _, p := range sp.Parts {
		for _, k := range p.Keys {
			all = append(all, k.Name)
			if k.From[0].SQL != "" {
				answered = k.Name
			}
		}
	}
	before := sp.SQL
	put, err := sp.Answered(t.Context(), s, all)
	want := "ANY(SELECT k FROM weft_keys." + answered + ")"
	if err != nil || len(put) != 1 || put[0] != answered || !strings.Contains(sp.SQL, want) || strings.Contains(sp.SQL, "HAVING") || !strings.Contains(before, "HAVING") {
		t.Errorf("%s\nbecame\n%s\nby %v, wanted %s of %v: %v", before, sp.SQL, put, want, all, err)
	}
	if put, err := sp.Answered(t.Context(), s, nil); err != nil || put != nil {
		t.Error(put, err)
	}
}

// spoiling writes what reads parts that are no tables as another query.
type spoiling struct{ Parser }

func (s spoiling) Deparse(ctx context.Context, tree []byte) (string, error) {
	if bytes.Contains(tree, []byte(`"~q`)) {
		return "SELECT 1", nil
	}
	return s.Parser.Deparse(ctx, tree)
}

// TestCutPlainly: a question whose parts cannot be written can still be cut into its tables,
// and what is wrong with a question itself is no fault of the cut.
func TestCutPlainly(t *testing.T) {
	s := spoiling{testSession(t, nil)}
	const q = "SELECT c_name, l_qty FROM crm.customers JOIN (SELECT o_cust, l_qty FROM sales.orders, sales.lines WHERE o_id = l_order) AS x ON c_id = o_cust"
	_, err := SplitQuery(t.Context(), s, q, splitRules())
	if !errors.As(err, new(*CutError)) {
		t.Fatalf("the parts are written: %v", err)
	}
	rules := splitRules()
	rules.Plain = true
	sp, err := SplitQuery(t.Context(), s, q, rules)
	if err != nil || len(sp.Parts) != 3 {
		t.Fatalf("%+v %v", sp, err)
	}
	for _, p := range sp.Parts {
		if !p.Plain() || len(p.Keys) > 0 {
			t.Errorf("%s: %v", p.View, p.Columns)
		}
	}
	if _, err := SplitQuery(t.Context(), s, "SELECT c_name FROM", splitRules()); err == nil || errors.As(err, new(*CutError)) {
		t.Errorf("a broken text: %v", err)
	}
}

// TestAway holds what a question's last step is at another site: its own tables by their
// names there, narrowed down by guests, and the guests in the types that they had.
func TestAway(t *testing.T) {
	s := testSession(t, nil)
	for q, want := range map[string]string{
		"SELECT median(l_qty * c_id) FROM sales.orders, sales.lines l, crm.customers WHERE o_id = l_order AND c_id = o_cust AND c_nation = 7": `SELECT median((l_qty * c_id)) FROM (SELECT * FROM sales.orders AS orders WHERE (o_cust = ANY(SELECT c_id FROM weft_guests.crm))) AS orders , sales.lines AS l , weft_guests.crm AS customers WHERE ((o_id = l_order) AND (c_id = o_cust))`,
		"SELECT median(s * o_total) FROM sales.orders JOIN (SELECT c_nation AS n, sum(c_id) AS s FROM crm.customers GROUP BY 1) ON n = o_id":  `SELECT median((s * o_total)) FROM (SELECT * FROM sales.orders AS orders WHERE (o_id = ANY(SELECT n FROM weft_guests.crm))) AS orders INNER JOIN (SELECT n, CAST(s AS HUGEINT) AS s FROM weft_guests.crm) AS "~q1" ON ((n = o_id))`,
		"SELECT count(*) FROM sales.orders AS x(a, b) AT (VERSION => 3), crm.customers WHERE a = c_id":                                        `SELECT count_star() FROM (SELECT * FROM sales.orders AS x AT (VERSION => 3) WHERE (o_id = ANY(SELECT c_id FROM weft_guests.crm))) AS x(a, b) , weft_guests.crm AS customers WHERE (a = c_id)`,
	} {
		r := splitRules()
		r.Away = true
		at := r.Place
		r.Place = func(t Target) Place {
			p := at(t)
			if p.Site == "sales" {
				p.Site = ""
			}
			return p
		}
		sp, err := SplitQuery(t.Context(), s, q, r)
		if err != nil {
			t.Fatal(err)
		}
		guests := map[Target]Guest{}
		for _, p := range sp.Parts {
			if p.Site == "" {
				sp.Own = append(sp.Own, p)
			} else {
				g := Guest{Name: p.Site}
				if slices.Contains(p.Columns, "s") {
					g.Huge = []string{"s"}
				}
				guests[p.View] = g
			}
		}
		got, own, err := sp.Away(t.Context(), s, guests)
		if err != nil || got != want || len(own) == 0 {
			t.Errorf("%s\nis %s\nwanted %s\n%v, %v", q, got, want, err, own)
		}
	}
}
