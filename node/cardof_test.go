package node

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"weft"
	"weft/contract"
	"weft/records"
	"weft/sign"
	"weft/transform"
)

// secretive is a folder whose contracts say as much about values as they can.
var secretive = map[string][]byte{
	"product.odps.yaml": []byte(`apiVersion: v1.0.0
kind: DataProduct
id: doc-1
name: orders
domain: sales
version: 2.1.0
status: deprecated
description: {purpose: Orders., limitations: Late., usage: Join.}
tags: [core]
team: {name: Sales team, members: [{username: owner@example.com, role: owner}]}
support: [{channel: "#sales", url: "https://chat.example.com/sales"}]
inputPorts:
  - {name: shop, version: 1.0.0, contractId: sales.orders/shop}
  - {name: stores, version: 1.0.0, contractId: x, customProperties: [{property: weftProduct, value: places.stores}]}
outputPorts:
  - {name: orders, version: 2.0.0, contractId: sales.orders/orders, customProperties: [{property: weftReaders, value: [finance, places]}]}
`),
	"shop.odcs.yaml": []byte(`apiVersion: v3.1.0
kind: DataContract
id: sales.orders/shop
version: 1.0.0
status: active
servers: [{server: db, type: postgres, host: VALUE-host.example.com, port: 5432, database: VALUE-shop, schema: public}]
schema: [{name: orders}]
`),
	"orders.odcs.yaml": []byte(`apiVersion: v3.1.0
kind: DataContract
id: sales.orders/orders
version: 2.0.0
status: active
slaProperties: [{property: latency, value: 1, unit: h}]
schema:
  - name: orders
    description: All orders.
    dataGranularityDescription: one order
    tags: [money]
    properties:
      - {name: id, logicalType: integer, required: true, primaryKey: true, primaryKeyPosition: 1, logicalTypeOptions: {minimum: 31337}}
      - name: kind
        logicalType: string
        businessName: Kind
        description: What kind.
        classification: internal
        examples: [VALUE-pen]
        logicalTypeOptions: {pattern: "^VALUE-.*$", maxLength: 31337}
        quality: [{metric: invalidValues, arguments: {validValues: [VALUE-pen, VALUE-ink]}, mustBe: 0, description: VALUE-text}]
        customProperties: [{property: weftDefault, value: VALUE-default}]
      - {name: store, logicalType: string, relationships: [{to: stores.store_id}, {to: places.stores.stores.store_id}, {to: places.stores.code}]}
      - {name: replaces, logicalType: integer, relationships: [{to: orders.id}]}
    quality:
      - {type: sql, query: "SELECT count(*) FROM {object} WHERE kind = 'VALUE-pen'", mustBeLessThan: 31337, description: VALUE-check}
`),
	"orders.sql": []byte("SELECT *, 'VALUE-literal' AS x FROM shop.orders\n"),
}

func readSecretive(t *testing.T) *contract.Folder {
	t.Helper()
	f, faults := contract.ReadFiles(secretive)
	if f == nil || contract.HasErrors(faults) {
		t.Fatal(faults)
	}
	return f
}

// TestCardOf: a card says what the folder says of the product, and no value.
func TestCardOf(t *testing.T) {
	f, rec := readSecretive(t), records.Product{ID: "p1"}
	from := map[string]transform.TableLineage{"orders": {
		From: map[string][]weft.Source{"id": {{Port: "shop", Table: "orders", Column: "id", How: weft.DeriveIdentity}}},
		Uses: []weft.Source{{Port: "shop", Table: "orders", Column: "kind", How: weft.DeriveFilter}},
	}}
	c := cardOf(f, rec, from)
	text, err := sign.Canonical(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"VALUE", "31337", "owner@example.com"} {
		if strings.Contains(string(text), value) {
			t.Errorf("the card has %q: %s", value, text)
		}
	}
	if again, _ := sign.Canonical(cardOf(f, rec, from)); string(again) != string(text) {
		t.Error("of the same folder it is another one")
	}
	places := weft.Name{Domain: "places", Product: "stores"}
	if c.ID != "p1" || c.Product.String() != "sales.orders" || c.Document != "doc-1" || c.Version != "2.1.0" || c.Life != weft.LifeDeprecated || c.Deprecated == nil ||
		c.Owner != "Sales team" || len(c.Support) != 1 || !slices.Equal(c.Readers, []string{"finance", "places"}) || c.Shortened {
		t.Errorf("%+v", c)
	}
	if p := c.Ports; len(p) != 3 || p[0].Type != "postgres" || p[1].Type != "product" || *p[1].Product != places || p[2].Type != "tables" || !slices.Equal(p[2].Readers, c.Readers) {
		t.Errorf("%+v", c.Ports)
	}
	if len(c.Promises) != 1 || c.Promises[0].Property != "latency" {
		t.Errorf("%+v", c.Promises)
	}
	tab := c.Tables[0]
	if tab.Port != "orders" || tab.Granularity != "one order" || !slices.Equal(tab.Key, []string{"id"}) || len(tab.Columns) != 4 || len(tab.Uses) != 1 || !slices.Equal(tab.Tags, []string{"money"}) {
		t.Errorf("%+v", tab)
	}
	if k := tab.Columns[0]; k.Type != "bigint" || !k.Required || !k.Unique || len(k.From) != 1 {
		t.Errorf("%+v", k)
	}
	if k := tab.Columns[1]; k.Type != "text" || k.BusinessName != "Kind" || k.Classification != "internal" || k.Description != "What kind." {
		t.Errorf("%+v", k)
	}
	if got := tab.Columns[2].References; !slices.Equal(got, []string{"places.stores.stores.store_id", "places.stores.stores.code"}) {
		t.Errorf("%q", got)
	}
	if got := tab.Columns[3].References; !slices.Equal(got, []string{"orders.id"}) {
		t.Errorf("%q", got)
	}
	rec.Retired = true
	if c := cardOf(f, rec, nil); c.Life != weft.LifeRetired || c.Deprecated != nil {
		t.Errorf("retired it is %+v", c)
	}
}

// TestShorten: whatever a folder says, its card fits, says that it was cut, and is
// text.
func TestShorten(t *testing.T) {
	long := func(n int) string { return strings.Repeat("ä€x", n/6+1) }
	wide := func(columns, each int) *contract.Folder {
		f := &contract.Folder{Name: weft.Name{Domain: "sales", Product: "wide"}}
		tab := &contract.Table{Name: "wide"}
		for i := range columns {
			tab.Columns = append(tab.Columns, &contract.Column{Name: fmt.Sprintf("column_%d", i), Description: long(each), Tags: []string{"a", "b"}, Relationships: []contract.Relationship{{To: "wide.column_0"}}})
		}
		f.Outputs = []*contract.Output{{Name: "wide", Contract: &contract.Contract{Tables: []*contract.Table{tab}}}}
		return f
	}
	texts := wide(1, 1)
	texts.Description = contract.Description{Purpose: long(10 << 20), Limitations: long(10 << 20), Usage: long(1 << 20)}
	texts.Tags = []string{long(1 << 20)}
	texts.Support = []contract.Channel{{Channel: long(1 << 20), URL: "https://example.com/" + long(1<<20)}}
	texts.Team.Name, texts.ID, texts.Version = long(1<<20), long(1<<20), long(1<<20)
	many := wide(3, 1)
	for range 100_000 {
		many.Tags = append(many.Tags, "tag")
	}
	for name, c := range map[string]struct {
		f    *contract.Folder
		cut  bool
		cols int
	}{
		"small":            {wide(10, 100), false, 10},
		"long texts":       {texts, true, 1},
		"long columns":     {wide(200, 5000), true, 200},
		"many columns":     {wide(1500, 300), true, 1500},
		"too many columns": {wide(50_000, 10), true, 0},
		"many tags":        {many, true, 3},
	} {
		t.Run(name, func(t *testing.T) {
			card := cardOf(c.f, records.Product{ID: "x"}, nil)
			b, err := json.Marshal(card)
			if err != nil || len(b) > maxCard || card.Shortened != c.cut || !utf8.Valid(b) || strings.Contains(string(b), `�`) {
				t.Errorf("%d bytes, shortened %v, %v", len(b), card.Shortened, err)
			}
			if got := len(card.Tables[0].Columns); got == 0 || c.cols > 0 && got != c.cols {
				t.Errorf("%d columns are left", got)
			}
			if len(c.f.Tags) > 0 && name == "long texts" && len(c.f.Tags[0]) < 1<<20 {
				t.Error("the folder's tags were changed")
			}
		})
	}
}

func TestNullShare(t *testing.T) {
	for _, c := range []struct {
		rows, values int64
		want         float64
	}{{0, 0, 0}, {10, 10, 0}, {10, 0, 1}, {3, 2, 0.33}, {1_000_000, 999_999, 0.01}, {1_000_000, 1, 0.99}, {2, 1, 0.5}} {
		if got := nullShare(c.rows, c.values); got != c.want {
			t.Errorf("%d of %d: %v", c.values, c.rows, got)
		}
	}
}
