package node

import (
	"slices"
	"strings"
	"testing"
	"time"

	"weft"
	"weft/serve"
)

// flightsCard is a card with relationships of every form.
func flightsCard() *weft.Card {
	return &weft.Card{
		ID: "p1", Product: weft.Name{Domain: "operations", Product: "flights"}, Version: "1.2.0", Life: weft.LifeActive, Purpose: "Flights.", Owner: "Operations",
		Readers: []string{"sales"}, Support: []weft.Contact{{Channel: "chat", URL: "https://example.com"}},
		Ports: []weft.CardPort{
			{Kind: "input", Name: "tower", Type: "postgres"},
			{Kind: "input", Name: "stores", Type: "product", Product: &weft.Name{Domain: "places", Product: "stores"}},
			{Kind: "output", Name: "flights", Type: "tables"},
		},
		Tables: []weft.CardTable{
			{Name: "flights", Key: []string{"id"}, Columns: []weft.CardColumn{
				{Name: "id", Type: "bigint", Required: true},
				{Name: "origin", Type: "text", References: []string{"places.airports.airports.faa"}},
				{Name: "dest", Type: "text", References: []string{"places.airports.airports.faa"}},
				{Name: "day", Type: "date", References: []string{"weather.hours.daily.day"}},
				{Name: "place", Type: "text", References: []string{"weather.hours.daily.place", "crews.id", "not a reference"}},
			}},
			{Name: "crews", Columns: []weft.CardColumn{{Name: "id", Type: "bigint"}}},
		},
		Promises: []weft.CardPledge{{Property: "latency", Promised: "1h"}},
	}
}

func TestJoins(t *testing.T) {
	keys := map[string][]string{"weather.hours.daily": {"day", "place"}, "places.airports": {"faa"}}
	var got []string
	for _, s := range joins(flightsCard(), func(p weft.Name, table string) []string {
		return keys[weft.TableName{Name: p, Table: table}.String()]
	}) {
		got = append(got, s.Text)
	}
	want := []string{
		"FROM operations.flights t JOIN places.airports r ON t.origin = r.faa",
		"FROM operations.flights t JOIN places.airports r ON t.dest = r.faa",
		"FROM operations.flights t JOIN weather.hours.daily r ON t.day = r.day AND t.place = r.place",
		"FROM operations.flights t JOIN operations.flights.crews r ON t.place = r.id",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestCardDetail(t *testing.T) {
	c, at := flightsCard(), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	d := cardDetail(c, nil)
	if d.Name != c.Product || d.Owner != "Operations" || d.Seq != 0 || d.LastCommit != nil || d.Head != nil || len(d.Schema) != 2 || d.Schema[0].Columns[0].NullShare != nil {
		t.Errorf("without a head: %+v", d)
	}
	if len(d.Upstream) != 1 || d.Ports[0].Source != "postgres" || d.Ports[1].Source != "" || d.Ports[1].Product == nil || !slices.Equal(d.Readers, []string{"sales"}) {
		t.Errorf("ports %+v", d.Ports)
	}
	head := &weft.CardHead{
		Point: weft.Point{Product: c.Product, ID: "p1", Incarnation: 1, Seq: 4, Time: at}, State: weft.StateLate, Held: 2, Bytes: 9,
		Tables: []weft.TableHead{{Name: "flights", Rows: 10, Nulls: map[string]float64{"origin": 0.25}}, {Name: "crews", Rows: 5}},
	}
	d = cardDetail(c, head)
	if d.State != weft.StateLate || d.Rows != 15 || d.Seq != 4 || !d.LastCommit.Equal(at) || d.Held != 2 || !slices.Equal(d.Tables, []string{"operations.flights", "operations.flights.crews"}) {
		t.Errorf("the summary is %+v", d.ProductSummary)
	}
	cols := d.Schema[0].Columns
	if *cols[1].NullShare != 0.25 || *cols[0].NullShare != 0 || !cols[0].Key || d.Schema[1].Columns[0].NullShare != nil {
		t.Errorf("columns %+v", cols)
	}
	if len(c.Promises) != 1 || d.Promises[0] != (serve.Promise{Property: "latency", Promised: "1h"}) {
		t.Errorf("promises %+v", d.Promises)
	}
	c.Deprecated = &weft.Deprecation{Until: &at, Replacement: &weft.Name{Domain: "a", Product: "b"}}
	if got := cardDetail(c, nil).Todo; got != "the product is deprecated, served until 2026-03-01; a.b takes its place" {
		t.Errorf("got %q", got)
	}
}

func TestNodeURL(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:7070": "http://127.0.0.1:7070", "[::1]:1": "http://[::1]:1", "localhost:1": "http://localhost:1",
		"10.0.0.1:7070": "https://10.0.0.1:7070", "shop.example.com:443": "https://shop.example.com:443",
	} {
		if got := nodeURL(addr); got != want {
			t.Errorf("%s is %s", addr, got)
		}
	}
}

// TestClosedTables: the page of a product of another node says which tables are not for
// the asker, by the domains that the mesh knows this node of.
func TestClosedTables(t *testing.T) {
	c := flightsCard()
	c.Ports[2].Readers = []string{"sales"}
	c.Ports = append(c.Ports, weft.CardPort{Kind: "output", Name: "staff", Type: "tables"})
	c.Tables[0].Port, c.Tables[1].Port = "flights", "staff"
	for _, k := range []struct {
		domains []string
		closed  []bool
	}{
		{[]string{"operations"}, []bool{false, false}},
		{[]string{"sales"}, []bool{false, true}},
		{[]string{"weather"}, []bool{true, true}},
		{nil, []bool{true, true}},
	} {
		d := cardDetail(c, nil)
		open := closeTables(d, c, k.domains)
		for i, want := range k.closed {
			if got := d.Schema[i].Closed; (got != "") != want || want && !strings.Contains(got, "ask Operations (https://example.com) to add") {
				t.Errorf("%v, %s: %q", k.domains, d.Schema[i].Name, got)
			}
		}
		if open != slices.Contains(k.closed, false) {
			t.Errorf("%v may read something: %v", k.domains, open)
		}
	}
}

// TestAbroad: who speaks for this node is elsewhere of the domains that the mesh says.
func TestAbroad(t *testing.T) {
	r := newRig(t)
	if got := r.node.abroad(tester); len(got) != 0 {
		t.Errorf("without a mesh: %q", got)
	}
	if _, err := r.node.Backend().Mesh.Found(t.Context(), tester, serve.Founding{Domains: []string{"sales"}}); err != nil {
		t.Fatal(err)
	}
	if got := r.node.abroad(tester); !slices.Equal(got, []string{"sales"}) {
		t.Errorf("in one: %q", got)
	}
	if got := r.node.abroad(ofDomain("finance")); !slices.Equal(got, []string{"finance"}) {
		t.Errorf("a token of a domain: %q", got)
	}
}
