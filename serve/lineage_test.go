package serve

import (
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"weft"
)

var updateLineage = flag.Bool("update-lineage", false, "write testdata/lineage.txt anew")

// theLineage is an invented answer with everything that one can have.
func theLineage() *weft.Lineage {
	orders, stores, revenue := weft.Name{Domain: "sales", Product: "orders"}, weft.Name{Domain: "places", Product: "stores"}, weft.Name{Domain: "insights", Product: "revenue"}
	gone := weft.Name{Domain: "far", Product: "gone"}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return &weft.Lineage{
		Of: "sales.orders.orders.amount",
		Nodes: []weft.LineageNode{
			{ID: "sales.orders.orders.amount", Kind: weft.LineageColumn, Product: &orders, Table: "orders", Column: "amount", Type: "DECIMAL(18,2)", State: weft.StateFresh, Changed: &at},
			{ID: "source sales.orders/shop.lines.price", Kind: weft.LineageSource, Product: &orders, Port: "shop", Table: "lines", Column: "price", Type: "postgres", State: weft.StateFresh},
			{ID: "pg://shop/lines#price", Kind: weft.LineageOutside, Namespace: "pg://shop", Name: "lines\x1b[31m\"];", Column: "price"},
			{ID: "sales.orders.orders", Kind: weft.LineageTable, Product: &orders, Table: "orders", State: weft.StateFresh},
			{ID: "places.stores.shops.id", Kind: weft.LineageColumn, Product: &stores, Table: "shops", Column: "id", State: weft.StateLate, More: true},
			{ID: "far.gone.t.x", Kind: weft.LineageUnknown, Product: &gone, Table: "t", Column: "x"},
			{ID: "insights.revenue.revenue.total", Kind: weft.LineageColumn, Product: &revenue, Table: "revenue", Column: "total", State: weft.StateRefused},
			{ID: "insights.revenue.revenue.again", Kind: weft.LineageColumn, Product: &revenue, Table: "revenue", Column: "again", State: weft.StateRefused},
			{ID: "insights.revenue.revenue", Kind: weft.LineageTable, Product: &revenue, Table: "revenue", State: weft.StateRefused},
			{ID: "unknown 1", Kind: weft.LineageUnknown},
		},
		Edges: []weft.LineageEdge{
			{From: "source sales.orders/shop.lines.price", To: "sales.orders.orders.amount", How: []weft.Derivation{weft.DeriveAggregate}},
			{From: "far.gone.t.x", To: "sales.orders.orders.amount", How: []weft.Derivation{weft.DeriveConditional}},
			{From: "pg://shop/lines#price", To: "source sales.orders/shop.lines.price", How: []weft.Derivation{weft.DeriveIdentity}},
			{From: "places.stores.shops.id", To: "sales.orders.orders", How: []weft.Derivation{weft.DeriveFilter, weft.DeriveJoin}},
			{From: "sales.orders.orders.amount", To: "insights.revenue.revenue.total", How: []weft.Derivation{weft.DeriveIdentity}},
			{From: "sales.orders.orders.amount", To: "insights.revenue.revenue.again", How: []weft.Derivation{weft.DeriveIdentity}},
			{From: "sales.orders.orders.amount", To: "insights.revenue.revenue", How: []weft.Derivation{weft.DeriveGroup}},
			{From: "insights.revenue.revenue", To: "unknown 1"},
			{From: "insights.revenue.revenue.total", To: "insights.revenue.revenue.again", How: []weft.Derivation{weft.DeriveTransform}},
			{From: "insights.revenue.revenue.again", To: "sales.orders.orders.amount", How: []weft.Derivation{weft.DeriveTransform}},
		},
		Cut: true,
	}
}

// TestWriteLineage holds the text and the diagram against testdata/lineage.txt.
func TestWriteLineage(t *testing.T) {
	var b strings.Builder
	if err := WriteLineage(&b, theLineage(), LineagePrint{}); err != nil {
		t.Fatal(err)
	}
	b.WriteString("----\n")
	if err := WriteMermaid(&b, theLineage()); err != nil {
		t.Fatal(err)
	}
	b.WriteString("----\n")
	alone := weft.Lineage{Of: "a.b", Nodes: []weft.LineageNode{{ID: "a.b", Kind: weft.LineageProduct, Product: &weft.Name{Domain: "a", Product: "b"}}}}
	if err := WriteLineage(&b, &alone, LineagePrint{}); err != nil {
		t.Fatal(err)
	}
	if *updateLineage {
		if err := os.WriteFile("testdata/lineage.txt", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/lineage.txt")
	if err != nil || string(want) != b.String() {
		t.Errorf("%v; got\n%s", err, b.String())
	}
	if strings.ContainsRune(b.String(), '\x1b') {
		t.Error("a control character got through")
	}
	if err := WriteLineage(&b, &weft.Lineage{Of: "x"}, LineagePrint{}); err == nil {
		t.Error("a lineage without its node is written")
	}
}
