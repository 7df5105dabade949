package ingest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weft/contract"
	"weft/ingest"
	"weft/ingest/files"
	"weft/ingest/ingesttest"
	"weft/run"
)

func TestMain(m *testing.M) { ingesttest.Main(m) }

// look gives the shape of a CSV file, a line a column.
func look(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "orders.csv"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := ingest.ParseFrom("orders.csv", dir, orders)
	if err != nil {
		t.Fatal(err)
	}
	p := &ingesttest.Port{T: t, Driver: files.New(), Server: o.Server, Tables: []ingest.Want{{Table: o.Table}}}
	s, stage := p.Session()
	shape, err := ingest.Drivers{p.Driver}.Shape(context.Background(), ingest.Request{Server: &p.Server, Tables: p.Tables, Stage: stage, Session: s, Env: run.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return describe(shape.Tables[0])
}

func describe(st contract.ShapeTable) string {
	out := fmt.Sprintf("%s %d rows, key %v\n", st.Name, st.Rows, st.Key)
	for _, c := range st.Columns {
		out += fmt.Sprintf("%s %s nulls=%d distinct=%d", c.Name, c.Type, c.Nulls, c.Distinct)
		if len(c.Enum) > 0 {
			out += fmt.Sprintf(" enum=%v", c.Enum)
		}
		if c.Min+c.Max != "" {
			out += fmt.Sprintf(" range=%s..%s", c.Min, c.Max)
		}
		if c.Personal {
			out += " personal"
		}
		out += "\n"
	}
	return out
}

// TestShape measures a table of every kind of column.
func TestShape(t *testing.T) {
	var b strings.Builder
	b.WriteString("note,id,contact,state,price,tiny,day,call,zip,card\n")
	for i := range 100 {
		fmt.Fprintf(&b, "%s,%d,person%d@example.com,%s,%d.5,1e-7,2024-01-%02d,+44 20 7946 %04d,%05d,%s\n",
			[]string{"a", "", "c"}[i%3], i, i, []string{"paid", "open", "sent"}[i%3], i, i%28+1, i, i%50, []string{"4111 1111 1111 1111", "5500 0000 0000 0004", "340000000000009"}[i%3])
	}
	got := look(t, b.String())
	want := `orders 100 rows, key [id]
note text nulls=33 distinct=2 enum=[a c]
id bigint nulls=0 distinct=100 range=0..99
contact text nulls=0 distinct=100 personal
state text nulls=0 distinct=3 enum=[open paid sent]
price double precision nulls=0 distinct=100 range=0.5..99.5
tiny double precision nulls=0 distinct=1 range=0.0000001..0.0000001
day date nulls=0 distinct=28
call text nulls=0 distinct=100 personal
zip text nulls=0 distinct=50
card text nulls=0 distinct=3 personal
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestKeys: one column, two together, or none.
func TestKeys(t *testing.T) {
	table := func(head string, row func(i int) string) string {
		s := head + "\n"
		for i := range 60 {
			s += row(i) + "\n"
		}
		return s
	}
	for name, c := range map[string]struct{ text, want string }{
		"id before the first":   {table("ref,id", func(i int) string { return fmt.Sprintf("r%d,%d", i, i) }), "key [id]"},
		"the table's id":        {table("no,order_id", func(i int) string { return fmt.Sprintf("%d,%d", i, i) }), "key [order_id]"},
		"the first":             {table("carrier,name", func(i int) string { return fmt.Sprintf("C%d,Name %d", i, i) }), "key [carrier]"},
		"two together":          {table("order_id,line,qty", func(i int) string { return fmt.Sprintf("%d,%d,%d", i/3, i%3, i%7) }), "key [order_id line]"},
		"three together":        {table("year,month,shop_id,qty", func(i int) string { return fmt.Sprintf("%d,%d,%d,1", i/20, i/5%4, i%5) }), "key [year month shop_id]"},
		"not a measure":         {table("kind,price", func(i int) string { return fmt.Sprintf("k%d,%d.25", i%2, i) }), "key []"},
		"not with nulls":        {table("id,x", func(i int) string { return fmt.Sprintf("%s,1", []string{"", fmt.Sprint(i)}[min(i, 1)]) }), "key []"},
		"not a person's e-mail": {table("email,x", func(i int) string { return fmt.Sprintf("a%d@example.com,1", i) }), "key []"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := look(t, c.text); !strings.Contains(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
