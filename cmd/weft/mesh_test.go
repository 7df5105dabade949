package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"weft"
	"weft/serve"
)

func keyOf(b byte) weft.KeyID { return weft.KeyID{b, b, b, b} }

func hits(now time.Time) *serve.SearchResult {
	hour := now.Add(-time.Hour)
	return &serve.SearchResult{
		Query: "late carrier", Total: 40, Searched: 1234, Corrections: []string{"late carrier"},
		Hits: []serve.SearchHit{
			{
				Product: weft.Name{Domain: "operations", Product: "flights"}, Purpose: "Flights of a carrier, and how late they were.", Owner: "Operations", Life: weft.LifeActive, State: weft.StateFresh,
				Rows: 336776, Changed: &hour, Origin: serve.Origin{Node: keyOf(2), Name: "tower", Live: true, AsOf: now},
				Why: []serve.Match{
					{Field: "purpose", Text: "Flights of a carrier, and how late they were.", Words: []string{"carrier", "late"}},
					{Field: "column", Where: "flights.carrier", Text: "who flies: a carrier", Words: []string{"carrier"}},
				},
			},
			{
				Product: weft.Name{Domain: "places", Product: "carriers"}, Life: weft.LifeDraft, Origin: serve.Origin{Node: keyOf(3), Link: serve.LinkAway, AsOf: hour, Fault: "the domain places is claimed by two keys"},
				Why: []serve.Match{{Field: "name", Text: "carriers", Words: []string{"carriers"}}},
			},
		},
	}
}

func TestPrintSearch(t *testing.T) {
	now := at("2026-03-01T12:00:00Z")
	p, b := paper(70)
	printSearch(p, &serve.SearchRequest{Text: "late carier", Limit: 2}, hits(now), now)
	want := `operations.flights  active · fresh · 336,776 rows, changed 1 h ago
  Flights of a carrier, and how late they were.
  owner Operations · at tower, known as of now
  column flights.carrier  who flies: a carrier

places.carriers  draft
  at 03030303, which is away: known as of 1 h ago
  ✗ the domain places is claimed by two keys

40 of 1,234 products
→ did you mean “late carrier”?
→ --offset 2 shows more
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b, want)
	}
	p, b = paper(70)
	p.colour = true
	printSearch(p, &serve.SearchRequest{Text: "late carier"}, hits(now), now)
	for _, want := range []string{"Flights of a \x1b[1;33mcarrier\x1b[0m, and how \x1b[1;33mlate\x1b[0m they were.", "\x1b[1mplaces.\x1b[0m\x1b[1;33mcarriers\x1b[0m"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%q", want, b.String())
		}
	}
	for _, c := range []struct {
		r    serve.SearchRequest
		res  serve.SearchResult
		want string
	}{
		{serve.SearchRequest{Text: "flihgt"}, serve.SearchResult{Searched: 3, Corrections: []string{"flight"}}, "nothing fits \"flihgt\", of 3 products\n→ did you mean “flight”?\n"},
		{serve.SearchRequest{Text: "x\x1b[2Jy"}, serve.SearchResult{Searched: 1}, "nothing fits \"x\uFFFD[2Jy\", of 1 product\n→ weft search without words lists all products\n"},
		{serve.SearchRequest{Offset: 20}, serve.SearchResult{Searched: 3, Total: 3}, "no more products, of 3 products\n"},
		{serve.SearchRequest{}, serve.SearchResult{}, "no product, of 0 products\n"},
	} {
		p, b := paper(100)
		printSearch(p, &c.r, &c.res, now)
		if b.String() != c.want {
			t.Errorf("got\n%swant\n%s", b, c.want)
		}
	}
}

func meshOfThree(now time.Time) (*serve.MeshInfo, []serve.Peer) {
	seen := now.Add(-3 * time.Minute)
	info := &serve.MeshInfo{
		Joined: true, Node: keyOf(1), Name: "shop", ID: strings.Repeat("ab", 32), Mesh: "acme", Founder: true, Founders: []weft.KeyID{keyOf(9)}, Threshold: 1,
		Domains: []serve.MeshDomain{
			{Domain: "places", Key: keyOf(5), Epoch: 1, Nodes: []weft.KeyID{keyOf(2)}, Claims: []serve.MeshClaim{{Key: keyOf(5), Nodes: []weft.KeyID{keyOf(2)}}, {Key: keyOf(6)}}},
			{Domain: "sales", Key: keyOf(4), Epoch: 1, Nodes: []weft.KeyID{keyOf(1), keyOf(3)}, Mine: true, Admits: true},
		},
		Peers: 2, Reachable: 1, Records: 12, Cards: 3,
	}
	via := keyOf(2)
	return info, []serve.Peer{
		{Node: keyOf(1), Name: "shop", Domains: []string{"sales"}, Link: serve.LinkSelf, Cards: 2, Addresses: []string{"10.0.0.1:7070"}, Version: "1.0"},
		{Node: keyOf(2), Name: "map", Domains: []string{"places"}, Link: serve.LinkDirect, LastSeen: &now, Cards: 1, Revoked: []serve.Revocation{{Domain: "sales", Time: now}}},
		{Node: keyOf(3), Name: "till", Domains: []string{"sales"}, Link: serve.LinkRelay, Via: &via, LastSeen: &now},
		{Node: keyOf(7), Name: "old", Link: serve.LinkAway, LastSeen: &seen, Revoked: []serve.Revocation{{Reason: "stolen", Time: now}}},
		{Node: keyOf(8), Name: "map", Link: serve.LinkAway, Rotated: &via},
	}
}

func TestPrintMeshAndPeers(t *testing.T) {
	now := at("2026-03-01T12:00:00Z")
	info, peers := meshOfThree(now)
	p, b := paper(120)
	printMesh(p, info, peers)
	key := func(b byte) string { return keyOf(b).String() }
	want := `acme · 3 nodes · 2 reachable · 3 products · 12 records
mesh       ` + info.ID + `
this node  shop ` + key(1) + ` and speaks for sales
founders   1 of 1 founding key decide; this node holds one

domain  nodes       key
places  map         05050505  claimed twice
sales   shop, till  04040404  this node admits
✗ domain places is claimed by 2 keys: its names resolve to nothing until a founder decides
→ weft mesh decide places 0505050500000000 · admits map
→ weft mesh decide places 0606060600000000 · admits none
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b, want)
	}
	p, b = paper(120)
	p.tty = false
	peerGrid(peers, now).print(p)
	want = `node  key       domains  link                           seen       products  address        version
shop  01010101  sales    this node                      now               2  10.0.0.1:7070  1.0
map   02020202  places   direct, not for sales any more  just now          1
till  03030303  sales    relay map                      just now          0
old   07070707  —        revoked: stolen                3 min ago         0
map   08080808  —        now 02020202                   never             0
`
	if got, want := strings.Join(strings.Fields(b.String()), " "), strings.Join(strings.Fields(want), " "); got != want {
		t.Errorf("got\n%swant\n%s", b, want)
	}
	p, b = paper(120)
	printMesh(p, &serve.MeshInfo{Name: "shop"}, nil)
	if !strings.HasPrefix(b.String(), "shop is in no mesh\n→ weft mesh init") {
		t.Errorf("got %s", b)
	}
}

// TestFindPeer: a node is named by its name or by the beginning of its key, and
// never taken for another.
func TestFindPeer(t *testing.T) {
	_, peers := meshOfThree(time.Now())
	peers = append(peers, serve.Peer{Node: weft.KeyID{2, 2, 2, 9}, Name: "twin"}, serve.Peer{Node: keyOf(0x77), Name: "twin"})
	list := func(context.Context) ([]serve.Peer, error) { return peers, nil }
	a := testApp()
	for text, want := range map[string]byte{"shop": 1, "map": 2, "0303": 3, "03030303": 3, keyOf(3).String(): 3, strings.ToUpper(keyOf(0x77).String()): 0x77} {
		if p, err := a.findPeer(t.Context(), list, text); err != nil || p.Node != keyOf(want) {
			t.Errorf("%s is %s, %v", text, p.Node.Short(), err)
		}
	}
	for text, hint := range map[string]string{
		"twin": "twin (02020209), twin (77777777)", "0202": "map (02020202), twin (02020209)", "old": "it is one of shop (01010101)", "01": "it is one of", "": "it is one of",
	} {
		if p, err := a.findPeer(t.Context(), list, text); weft.KindOf(err) != weft.KindInvalid || !strings.Contains(weft.HintOf(err), hint) {
			t.Errorf("%q is %s, %v (%s)", text, p.Node.Short(), err, weft.HintOf(err))
		}
	}
	if p, err := a.findPeer(t.Context(), list, strings.Repeat("e", 64)); err != nil || p.Node.Short() != "eeeeeeee" {
		t.Errorf("an unknown whole key is %v, %v", p, err)
	}
}

func TestWordOrInput(t *testing.T) {
	for in, want := range map[string]string{"weft1.abc\n": "weft1.abc", "": "", "two words": "", strings.Repeat("x", maxToken+1): ""} {
		a := testApp()
		a.in = strings.NewReader(in)
		got, err := a.wordOrInput("read", "-")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%.20q is %q, %v", in, got, err)
		}
	}
}

// TestShowOfAnotherNode: the page of a product of another node says where it is and
// how old that knowledge is, who may read it, and how it joins.
func TestShowOfAnotherNode(t *testing.T) {
	now := at("2026-03-01T12:00:00Z")
	quarter, none := 0.25, 0.0
	d := &serve.ProductDetail{
		ProductSummary: serve.ProductSummary{Name: weft.Name{Domain: "operations", Product: "flights"}, Life: weft.LifeActive, State: weft.StateFresh, Rows: 10, Held: 2},
		Origin:         &serve.Origin{Node: keyOf(2), Name: "tower", Link: serve.LinkAway, AsOf: now.Add(-5 * time.Minute), Signed: now.Add(-2 * time.Hour)},
		Checks:         &serve.CheckCounts{Passed: 3, Failed: 1},
		Readers:        []string{"sales"},
		Head:           &serve.CommitInfo{},
		Schema: []serve.TableDetail{{Name: "operations.flights", Rows: 10, Closed: "only operations, sales may read it: ask Tower to add places", Columns: []serve.ColumnDetail{
			{Name: "origin", Type: "text", NullShare: &quarter}, {Name: "dest", Type: "text", NullShare: &none},
		}}},
		Joins: []serve.Snippet{{Text: "FROM operations.flights t JOIN places.airports r ON t.origin = r.faa"}},
		Query: []serve.Snippet{{Tool: "weft", Text: "weft query 'FROM operations.flights'"}},
	}
	d.Head.Seq, d.Head.Time = 4, now.Add(-time.Hour)
	p, b := paper(100)
	printProduct(p, d, false, now)
	want := `operations.flights  active · fresh

origin   at tower, which is away: known as of 5 min ago
signed   by 02020202 for domain operations · 2 h ago
rows     10, and 2 held back
commit   #4 · 1 h ago · 3 of 4 checks hold
read by  operations, sales
size     0 B

operations.flights · 10 rows
✗ you may not read it: only operations, sales may read it: ask Tower to add places
column  type  nulls
origin  text   25 %
dest    text      0

joins
  FROM operations.flights t JOIN places.airports r ON t.origin = r.faa

try
  # weft
  weft query 'FROM operations.flights'
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b, want)
	}
}

func TestStatusSaysTheMesh(t *testing.T) {
	p, b := paper(100)
	printStatus(p, &serve.NodeStatus{Name: "shop", Mesh: &serve.MeshStatus{Name: "acme", Peers: 3, Reachable: 2, Conflicts: []string{"sales"}}}, time.Now())
	if !strings.Contains(b.String(), "mesh acme · 3 other nodes · 2 reachable\n✗ domain sales is claimed twice: weft mesh says how that is decided\n") {
		t.Errorf("got\n%s", b)
	}
}
