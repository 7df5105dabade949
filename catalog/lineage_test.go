package catalog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"weft"
	"weft/catalog/catalogtest"
)

// lineageCards reads cards from a script: a product by line, and below it
// "table.column < sources" or "table rows < sources".
func lineageCards(t *testing.T, text string) (cards []*weft.Card, heads map[weft.Name]*weft.CardHead, hidden map[weft.Name]bool, gone away) {
	heads, hidden, gone = map[weft.Name]*weft.CardHead{}, map[weft.Name]bool{}, away{}
	for line := range strings.Lines(text) {
		w := strings.Fields(line)
		switch {
		case len(w) == 0 || w[0] == "#":
		case line[0] != ' ':
			n, err := weft.ParseName(w[0])
			if err != nil {
				t.Fatal(err)
			}
			c := &weft.Card{ID: w[0], Product: n, Life: weft.LifeActive, Origin: weft.KeyID{byte(len(cards) + 1)}}
			cards = append(cards, c)
			h := &weft.CardHead{Origin: c.Origin, State: weft.StateFresh}
			h.Product, h.Time = n, noon
			for _, word := range w[1:] {
				switch word {
				case "hidden":
					hidden[n] = true
				case "away":
					gone[c.Origin] = true
				default:
					h.State = weft.State(word)
				}
			}
			heads[n] = h
		default:
			left, right, _ := strings.Cut(line, "<")
			addSources(t, cards[len(cards)-1], strings.Fields(left), right)
		}
	}
	return cards, heads, hidden, gone
}

func addSources(t *testing.T, c *weft.Card, left []string, right string) {
	name, column, _ := strings.Cut(left[0], ".")
	i := slices.IndexFunc(c.Tables, func(t weft.CardTable) bool { return t.Name == name })
	if i < 0 {
		i = len(c.Tables)
		c.Tables = append(c.Tables, weft.CardTable{Name: name})
	}
	var from []weft.Source
	for s := range strings.SplitSeq(right, ",") {
		w := strings.Fields(s)
		if len(w) == 0 {
			continue
		}
		src := weft.Source{How: weft.Derivation(w[1])}
		if port, rest, ok := strings.Cut(w[0], "/"); ok {
			src.Port = port
			src.Table, src.Column, _ = strings.Cut(rest, ".")
			if !slices.ContainsFunc(c.Ports, func(p weft.CardPort) bool { return p.Name == port }) {
				c.Ports = append(c.Ports, weft.CardPort{Kind: "input", Name: port, Type: "postgres"})
			}
		} else {
			p := strings.Split(w[0], ".")
			n := weft.Name{Domain: p[0], Product: p[1]}
			src.Product, src.Table, src.Column = &n, p[2], p[3]
		}
		from = append(from, src)
	}
	if column == "" {
		c.Tables[i].Uses = append(c.Tables[i].Uses, from...)
		return
	}
	c.Tables[i].Columns = append(c.Tables[i].Columns, weft.CardColumn{Name: column, Type: "BIGINT", From: from})
}

func lineageAnswer(l *weft.Lineage, err error) string {
	if err != nil {
		var e *weft.Error
		if !errors.As(err, &e) {
			return err.Error()
		}
		return fmt.Sprintf("%s\nhint: %s\n", e, e.Hint)
	}
	var b strings.Builder
	for _, n := range l.Nodes {
		fmt.Fprintf(&b, "%s %s", n.Kind, n.ID)
		for _, w := range []string{n.Type, string(n.State)} {
			if w != "" {
				b.WriteString(", " + w)
			}
		}
		if n.Away {
			b.WriteString(", away")
		}
		if n.More {
			b.WriteString(", and more")
		}
		b.WriteString("\n")
	}
	for _, e := range l.Edges {
		fmt.Fprintf(&b, "%s → %s %v\n", e.From, e.To, e.How)
	}
	if l.Cut {
		b.WriteString("cut\n")
	}
	return b.String()
}

// TestLineage runs the scripts in testdata/lineage: cards, then questions with what
// they give.
func TestLineage(t *testing.T) {
	files, err := filepath.Glob("testdata/lineage/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runLineage(t, file) })
	}
}

func runLineage(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(strings.TrimSpace(string(text)), "\n\n")
	cards, heads, hidden, gone := lineageCards(t, strings.TrimSuffix(blocks[0], "----"))
	c := open(t, Config{Reach: gone})
	for _, card := range cards {
		if err := c.Put(card, heads[card.Product]); err != nil {
			t.Fatal(err)
		}
	}
	known := func(n weft.Name) bool { return !hidden[n] }
	out := []string{blocks[0]}
	for _, b := range blocks[1:] {
		question, want, _ := strings.Cut(b, "\n----")
		w := strings.Fields(question)
		q := LineageQuery{Known: known}
		for i := 2; i < len(w); i++ {
			if w[i] == "depth" {
				q.Depth, _ = strconv.Atoi(w[i+1])
				break
			}
			q.Direction = weft.Direction(w[i])
		}
		var l *weft.Lineage
		if q.Of, err = c.FindOf(w[1], known); err == nil {
			l, err = c.Lineage(t.Context(), q)
		}
		got := lineageAnswer(l, err)
		out = append(out, question+"\n----\n"+strings.TrimSpace(got))
		if !*update && strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%s: %s\ngives\n%swant%s", file, question, got, want)
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(out, "\n\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// column is a column of an invented mesh: product and number.
type column struct{ product, column int }

// TestLineageRandom holds the answers over invented cards, with cycles, against the
// closure of all of their sources.
func TestLineageRandom(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := open(t, Config{})
		n := 2 + r.IntN(12)
		name := func(i int) weft.Name {
			return weft.Name{Domain: "d" + strconv.Itoa(i%3), Product: "p" + strconv.Itoa(i)}
		}
		made := map[column][]column{}
		for i := range n {
			card := &weft.Card{ID: fmt.Sprint(i), Product: name(i), Tables: []weft.CardTable{{Name: "t"}}}
			for j := range 3 {
				col := weft.CardColumn{Name: "c" + strconv.Itoa(j)}
				for range r.IntN(3) {
					from := column{r.IntN(n), r.IntN(3)}
					p := name(from.product)
					if from.product == i {
						continue
					}
					made[column{i, j}] = append(made[column{i, j}], from)
					col.From = append(col.From, weft.Source{Product: &p, Table: "t", Column: "C" + strconv.Itoa(from.column), How: weft.DeriveTransform})
				}
				card.Tables[0].Columns = append(card.Tables[0].Columns, col)
			}
			if err := c.Put(card, nil); err != nil {
				t.Fatal(err)
			}
		}
		start := column{r.IntN(n), r.IntN(3)}
		id := func(x column) string { return fmt.Sprintf("%s.t.c%d", name(x.product), x.column) }
		up := closure(start, func(x column) []column { return made[x] })
		down := closure(start, func(x column) (out []column) {
			for to, from := range made {
				if slices.Contains(from, x) {
					out = append(out, to)
				}
			}
			return out
		})
		for direction, want := range map[weft.Direction]map[column]bool{weft.Upstream: up, weft.Downstream: down} {
			l, err := c.Lineage(t.Context(), LineageQuery{Of: Of{name(start.product), "t", fmt.Sprintf("c%d", start.column)}, Direction: direction})
			if err != nil {
				t.Fatal(err)
			}
			var got, all []string
			for _, node := range l.Nodes {
				got = append(got, node.ID)
			}
			for x := range want {
				all = append(all, id(x))
			}
			slices.Sort(got)
			slices.Sort(all)
			if !slices.Equal(got, all) {
				t.Fatalf("seed %d: %s of %s gives\n%v\nof\n%v", seed, direction, id(start), got, all)
			}
		}
	}
}

func closure(start column, next func(column) []column) map[column]bool {
	seen := map[column]bool{start: true}
	for todo := []column{start}; len(todo) > 0; {
		x := todo[0]
		todo = todo[1:]
		for _, y := range next(x) {
			if !seen[y] {
				seen[y] = true
				todo = append(todo, y)
			}
		}
	}
	return seen
}

// TestLineageBounded holds that what very many read is cut and says so.
func TestLineageBounded(t *testing.T) {
	c := open(t, Config{})
	top := weft.Name{Domain: "a", Product: "top"}
	put := func(card *weft.Card) {
		if err := c.Put(card, nil); err != nil {
			t.Fatal(err)
		}
	}
	put(&weft.Card{Product: top, Tables: []weft.CardTable{{Name: "top", Columns: []weft.CardColumn{{Name: "x"}}}}})
	for i := range maxLineageNodes + 200 {
		n := weft.Name{Domain: "a", Product: "p" + strconv.Itoa(i)}
		put(&weft.Card{Product: n, Tables: []weft.CardTable{{Name: "t", Columns: []weft.CardColumn{
			{Name: "y", From: []weft.Source{{Product: &top, Table: "top", Column: "x", How: weft.DeriveIdentity}}},
		}}}})
	}
	l, err := c.Lineage(t.Context(), LineageQuery{Of: Of{Product: top, Table: "top", Column: "x"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Nodes) != maxLineageNodes || !l.Cut || !l.Nodes[0].More {
		t.Errorf("%d nodes, cut %v, more %v", len(l.Nodes), l.Cut, l.Nodes[0].More)
	}
	ids := map[string]bool{}
	for _, n := range l.Nodes {
		ids[n.ID] = true
	}
	if len(ids) != len(l.Nodes) {
		t.Errorf("%d ids of %d nodes", len(ids), len(l.Nodes))
	}
	for _, e := range l.Edges {
		if !ids[e.From] || !ids[e.To] {
			t.Fatalf("the edge %v leads out of the answer", e)
		}
	}
}

// outside is what others told, in a test.
type outside struct {
	jobs    []*OutsideJob
	sources map[Dataset]OutsideReader
}

func (o outside) Jobs(d Dataset, up bool) (out []*OutsideJob) {
	for _, j := range o.jobs {
		side := j.Inputs
		if up {
			side = j.Outputs
		}
		if slices.Contains(side, d) {
			out = append(out, j)
		}
	}
	return out
}

func (o outside) Job(name Dataset) *OutsideJob {
	for _, j := range o.jobs {
		if j.Name == name {
			return j
		}
	}
	return nil
}

func (o outside) Dataset(p weft.Name, port, table string) (Dataset, bool) {
	if port == "" {
		return Dataset{"weft", p.String() + "." + table}, true
	}
	for d, r := range o.sources {
		if r == (OutsideReader{p, port, table}) {
			return d, true
		}
	}
	return Dataset{}, false
}

func (o outside) Product(d Dataset) (weft.Name, string, bool) {
	w := strings.Split(d.Name, ".")
	if d.Namespace != "weft" || len(w) != 3 {
		return weft.Name{}, "", false
	}
	return weft.Name{Domain: w[0], Product: w[1]}, w[2], true
}

func (o outside) Readers(d Dataset) []OutsideReader {
	if r, ok := o.sources[d]; ok {
		return []OutsideReader{r}
	}
	return nil
}

// TestLineageOutside follows a job that fills a source, a job that reads a product
// with columns and one without, and back into a product.
func TestLineageOutside(t *testing.T) {
	cards, heads, _, _ := lineageCards(t, `
sales.orders
  orders.amount < shop/lines.price aggregate
far.report
  report.total <
`)
	c := open(t, Config{})
	for _, card := range cards {
		if err := c.Put(card, heads[card.Product]); err != nil {
			t.Fatal(err)
		}
	}
	pg, raw, mart, sheet := Dataset{"postgres://db", "shop.lines"}, Dataset{"file", "raw.csv"}, Dataset{"pg://mart", "sums"}, Dataset{"weft", "far.report.report"}
	orders := Dataset{"weft", "sales.orders.orders"}
	orders2 := weft.Name{Domain: "sales", Product: "orders"}
	o := outside{
		jobs: []*OutsideJob{
			{Name: Dataset{"airflow", "fill"}, Inputs: []Dataset{raw}, Outputs: []Dataset{pg}, Columns: []OutsideColumn{
				{raw, "PRICE", pg, "price", weft.DeriveTransform}, {raw, "flag", pg, "", weft.DeriveFilter},
			}},
			{Name: Dataset{"airflow", "dashboard"}, Inputs: []Dataset{orders}},
			{Name: Dataset{"dbt", "sums"}, Inputs: []Dataset{orders}, Outputs: []Dataset{mart, sheet}, Columns: []OutsideColumn{
				{orders, "amount", mart, "sum", weft.DeriveAggregate}, {orders, "amount", sheet, "TOTAL", weft.DeriveAggregate}, {orders, "amount", mart, "", weft.DeriveGroup},
			}},
		},
		sources: map[Dataset]OutsideReader{pg: {orders2, "shop", "lines"}},
	}
	for _, x := range []struct{ of, want string }{
		{"sales.orders.amount", `column sales.orders.orders.amount, BIGINT, fresh
source source sales.orders/shop.lines.price, postgres, fresh
outside file/raw.csv#PRICE
job job airflow/dashboard
outside pg://mart/sums#sum
column far.report.report.total, BIGINT, fresh
outside pg://mart/sums
source sales.orders/shop.lines.price → sales.orders.orders.amount [aggregate]
file/raw.csv#PRICE → source sales.orders/shop.lines.price [transform]
sales.orders.orders.amount → job airflow/dashboard []
sales.orders.orders.amount → pg://mart/sums#sum [aggregate]
sales.orders.orders.amount → far.report.report.total [aggregate]
sales.orders.orders.amount → pg://mart/sums [group]
`},
		{"sales.orders", `product sales.orders, fresh
source source sales.orders/shop, postgres, fresh
job job airflow/dashboard
job job dbt/sums
outside pg://mart/sums
product far.report, fresh
source sales.orders/shop → sales.orders []
sales.orders → job airflow/dashboard []
sales.orders → job dbt/sums []
job dbt/sums → pg://mart/sums []
job dbt/sums → far.report []
`},
		{"sales.orders.orders", `table sales.orders.orders, fresh
source source sales.orders/shop.lines, postgres, fresh
job job airflow/fill
outside file/raw.csv
job job airflow/dashboard
job job dbt/sums
outside pg://mart/sums
table far.report.report, fresh
source sales.orders/shop.lines → sales.orders.orders [aggregate]
job airflow/fill → source sales.orders/shop.lines []
file/raw.csv → job airflow/fill []
sales.orders.orders → job airflow/dashboard []
sales.orders.orders → job dbt/sums []
job dbt/sums → pg://mart/sums []
job dbt/sums → far.report.report []
`},
	} {
		of, err := c.FindOf(x.of, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := lineageAnswer(c.Lineage(t.Context(), LineageQuery{Of: of, Outside: o})); got != x.want {
			t.Errorf("%s gives\n%swant\n%s", x.of, got, x.want)
		}
	}
}

// BenchmarkLineage asks for the whole lineage of columns among 100,000 cards.
func BenchmarkLineage(b *testing.B) {
	m := catalogtest.NewMesh(1)
	c := open(b, Config{})
	const cards = 100_000
	for i := range cards {
		if err := c.Put(m.Card(i, 1), m.Head(i, 1)); err != nil {
			b.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(1, 1))
	nodes := 0
	b.ResetTimer()
	for b.Loop() {
		card := m.Card(r.IntN(cards), 1)
		t := card.Tables[0]
		if _, err := c.Lineage(b.Context(), LineageQuery{Of: Of{card.Product, t.Name, t.Columns[r.IntN(len(t.Columns))].Name}}); err != nil {
			b.Fatal(err)
		}
		l, err := c.Lineage(b.Context(), LineageQuery{Of: Of{Product: card.Product}})
		if err != nil {
			b.Fatal(err)
		}
		nodes += len(l.Nodes)
	}
	b.ReportMetric(float64(nodes)/float64(b.N), "nodes/op")
}
