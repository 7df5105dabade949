package transform

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weft"
	"weft/contract"
	"weft/demo"
	"weft/engine"
)

// stores is the card of the product that the scripts' folders read.
var stores = &weft.Card{Product: weft.Name{Domain: "places", Product: "stores"}, Tables: []weft.CardTable{
	{Name: "stores", Columns: []weft.CardColumn{{Name: "store_id"}, {Name: "town"}, {Name: "region"}}},
}}

func theCard(cards ...*weft.Card) func(weft.Name) *weft.Card {
	return func(n weft.Name) *weft.Card {
		i := slices.IndexFunc(cards, func(c *weft.Card) bool { return c.Product == n })
		if i < 0 {
			return nil
		}
		return cards[i]
	}
}

func lineageText(t testing.TB, s engine.Parser, f *contract.Folder, card func(weft.Name) *weft.Card) string {
	t.Helper()
	made, err := Lineage(context.Background(), s, f, card)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	list := func(from []weft.Source) {
		for _, s := range from {
			where := "source " + s.Port
			if s.Product != nil {
				where = s.Product.String()
			}
			fmt.Fprintf(&b, "    %s / %s / %s, %s\n", where, s.Table, s.Column, s.How)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(made)) {
		fmt.Fprintf(&b, "%s\n", name)
		for _, c := range f.Table(name).Columns {
			fmt.Fprintf(&b, "  %s\n", c.Name)
			list(made[name].From[c.Name])
		}
		b.WriteString("  rows\n")
		list(made[name].Uses)
	}
	return b.String()
}

// TestLineage holds the lineage of the folders in testdata/lineage, with the card
// of the product that they read and without.
func TestLineage(t *testing.T) {
	s, _ := newSession(t)
	scripts(t, "lineage", func(x *script) {
		f := x.folder("check-missing", "input-unknown")
		x.want(lineageText(x.t, s, f, theCard(stores)) + "\nwithout the card\n" + lineageText(x.t, s, f, nil))
	})
}

// TestLineageOfDemo holds the lineage of the demonstration's products.
func TestLineageOfDemo(t *testing.T) {
	s, _ := newSession(t)
	dir := t.TempDir()
	if err := demo.Write(dir); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*", "product.odps.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no products", err)
	}
	var folders []*contract.Folder
	var cards []*weft.Card
	for _, file := range files {
		rel, _ := filepath.Rel(dir, filepath.Dir(file))
		f, faults := contract.Read(os.DirFS(dir), filepath.ToSlash(rel))
		checkFaults(t, f, faults)
		folders = append(folders, f)
		c := &weft.Card{Product: f.Name}
		for _, u := range f.Tables() {
			ct := weft.CardTable{Name: u.Name}
			for _, col := range u.Columns {
				ct.Columns = append(ct.Columns, weft.CardColumn{Name: col.Name})
			}
			c.Tables = append(c.Tables, ct)
		}
		cards = append(cards, c)
	}
	var b strings.Builder
	for _, f := range folders {
		fmt.Fprintf(&b, "# %s\n%s\n", f.Name, lineageText(t, s, f, theCard(cards...)))
	}
	golden := path.Join("testdata", "demo.lineage")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(want) != b.String() {
		t.Errorf("the demonstration has the lineage\n%s%v", b.String(), err)
	}
}

// deaf is a parser that cannot be asked.
type deaf struct{ engine.Parser }

func (deaf) Parse(context.Context, string) ([]byte, error) {
	return nil, weft.Errorf(weft.KindUnavailable, "parse", "", "the worker is gone")
}

// torn is a parser that cannot read the SQL.
type torn struct{ engine.Parser }

func (torn) Parse(context.Context, string) ([]byte, error) { return nil, errors.New("no tree") }

// TestLineageUntraced holds that a parser which is away is an error, and that SQL
// which cannot be traced may come from everything.
func TestLineageUntraced(t *testing.T) {
	f := &contract.Folder{
		Name:   weft.Name{Domain: "sales", Product: "sums"},
		Inputs: []*contract.Input{{Name: "stores", Product: stores.Product}},
		Outputs: []*contract.Output{{Contract: &contract.Contract{Tables: []*contract.Table{
			{Name: "sums", SQL: "SELECT 1", Columns: []*contract.Column{{Name: "n"}}},
		}}}},
	}
	if _, err := Lineage(t.Context(), deaf{}, f, nil); weft.KindOf(err) != weft.KindUnavailable {
		t.Errorf("a parser that is away gives %v", err)
	}
	made, err := Lineage(t.Context(), torn{}, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := made["sums"]
	if len(l.From["n"]) != 1 || l.From["n"][0].Column != engine.AnyColumn || *l.From["n"][0].Product != stores.Product || len(l.Uses) != 1 {
		t.Errorf("SQL that cannot be traced has the lineage %+v", l)
	}
}
