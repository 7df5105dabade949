package http_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weft"
	"weft/serve"
	"weft/serve/http"
)

// memoryMesh is a mesh of this node and one that was revoked.
type memoryMesh struct {
	n      *memoryNode
	joined bool
	asked  serve.SearchRequest
}

var otherKey = weft.KeyID{7}

func (m *memoryMesh) Info(context.Context, weft.Subject) (*serve.MeshInfo, error) {
	i := &serve.MeshInfo{Joined: m.joined, Name: "test"}
	if m.joined {
		i.Mesh, i.Node, i.Peers = "invented", weft.KeyID{1}, 1
		i.Domains = []serve.MeshDomain{{Domain: "sales", Key: weft.KeyID{2}, Epoch: 1, Nodes: []weft.KeyID{{1}}, Mine: true}}
	}
	return i, nil
}

func (m *memoryMesh) Found(ctx context.Context, s weft.Subject, f serve.Founding) (*serve.MeshInfo, error) {
	if m.joined {
		return nil, weft.Errorf(weft.KindConflict, "found the mesh", f.Name, "the node is in one").WithHint("weft mesh shows it")
	}
	m.n.note("found " + f.Name + " " + strings.Join(f.Domains, ","))
	m.joined = true
	return m.Info(ctx, s)
}

func (m *memoryMesh) Join(ctx context.Context, s weft.Subject, r serve.JoinRequest) (*serve.MeshInfo, error) {
	m.n.note("join " + r.Token)
	m.joined = true
	return m.Info(ctx, s)
}

func (m *memoryMesh) Peers(context.Context, weft.Subject) ([]serve.Peer, error) {
	if !m.joined {
		return nil, nil
	}
	seen := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	return []serve.Peer{
		{Node: weft.KeyID{1}, Name: "test", Domains: []string{"sales"}, Link: serve.LinkSelf},
		{Node: otherKey, Name: "other", Domains: []string{}, LastSeen: &seen, Revoked: []serve.Revocation{{Reason: "left", Time: seen}}},
	}, nil
}

func (m *memoryMesh) Invite(_ context.Context, _ weft.Subject, r serve.InviteRequest) (*serve.Invitation, error) {
	return &serve.Invitation{Token: "secret-" + r.Domain, Mesh: "invented", Domain: r.Domain, Expires: time.Unix(r.For, 0)}, nil
}

func (m *memoryMesh) Revoke(_ context.Context, _ weft.Subject, node weft.KeyID, r serve.RevokeRequest) error {
	m.n.note("revoke " + node.Short() + " " + r.Domain + " " + r.Reason)
	return nil
}

func (m *memoryMesh) Rotate(ctx context.Context, s weft.Subject) (*serve.MeshInfo, error) {
	m.n.note("rotate")
	return m.Info(ctx, s)
}

func (m *memoryMesh) Decide(ctx context.Context, s weft.Subject, domain string, r serve.DecideRequest) (*serve.MeshInfo, error) {
	m.n.note("decide " + domain + " " + r.Key.Short())
	return m.Info(ctx, s)
}

func (m *memoryMesh) Offer(_ context.Context, _ weft.Subject, p weft.Name, r serve.OfferRequest) (*serve.HandoverOffer, error) {
	return &serve.HandoverOffer{Product: p, To: r.To, Offer: "offer-" + p.String()}, nil
}

func (m *memoryMesh) Take(_ context.Context, _ weft.Subject, r serve.TakeRequest) (*serve.Handover, error) {
	m.n.note("take " + r.Offer)
	return &serve.Handover{Product: orders, From: otherKey}, nil
}

func (m *memoryMesh) Search(_ context.Context, _ weft.Subject, r serve.SearchRequest) (*serve.SearchResult, error) {
	m.asked = r
	if r.Text == "nothing" {
		return &serve.SearchResult{Query: r.Text, Searched: 1, Corrections: []string{"something"}}, nil
	}
	return &serve.SearchResult{Query: r.Text, Total: 1, Searched: 1, Hits: []serve.SearchHit{{
		Product: orders, Life: weft.LifeActive, State: weft.StateFresh, Rows: 30, Origin: serve.Origin{Here: true, Live: true},
		Why: []serve.Match{{Field: "name", Text: "orders", Words: []string{"orders"}}},
	}}}, nil
}

func TestMeshByClient(t *testing.T) {
	d := open(t, http.Config{})
	c, ctx := d.client(t, "admin"), t.Context()
	check := func(what string, err error, ok bool) {
		t.Helper()
		if err != nil || !ok {
			t.Errorf("%s: %v, %v", what, err, ok)
		}
	}
	i, err := c.Mesh(ctx)
	check("no mesh", err, i != nil && !i.Joined && i.Name == "test")
	ps, err := c.Peers(ctx)
	check("no peers", err, ps != nil && len(ps) == 0)
	i, err = c.FoundMesh(ctx, serve.Founding{Name: "invented", Domains: []string{"sales"}})
	check("found", err, i != nil && i.Joined && i.Domains[0].Key == weft.KeyID{2})
	if _, err := c.FoundMesh(ctx, serve.Founding{}); weft.KindOf(err) != weft.KindConflict || weft.HintOf(err) == "" {
		t.Errorf("founded twice: %v", err)
	}
	ps, err = c.Peers(ctx)
	check("peers", err, len(ps) == 2 && ps[0].Link == serve.LinkSelf && !ps[0].Gone() && ps[1].Gone() && ps[1].LastSeen != nil)
	inv, err := c.Invite(ctx, serve.InviteRequest{Domain: "sales", For: 60})
	check("invite", err, inv != nil && inv.Token == "secret-sales" && inv.Expires.Unix() == 60)
	i, err = c.JoinMesh(ctx, " word\n")
	check("join", err, i != nil && i.Joined)
	check("revoke", c.RevokeMember(ctx, otherKey, serve.RevokeRequest{Domain: "sales", Reason: "left"}), true)
	_, err = c.RotateKey(ctx)
	check("rotate", err, true)
	_, err = c.DecideDomain(ctx, "sales", otherKey)
	check("decide", err, true)
	o, err := c.OfferProduct(ctx, orders, otherKey)
	check("offer", err, o != nil && o.To == otherKey && o.Offer == "offer-sales.orders")
	h, err := c.TakeProduct(ctx, o.Offer)
	check("take", err, h != nil && h.From == otherKey)
	want := []string{
		"found invented sales", "join word", "revoke 07000000 sales left", "rotate", "decide sales 07000000", "take offer-sales.orders",
	}
	if d.node.mu.Lock(); !slices.Equal(d.node.calls, want) {
		t.Errorf("the node was told %q", d.node.calls)
	}
	d.node.mu.Unlock()
}

func TestSearchByClient(t *testing.T) {
	d := open(t, http.Config{})
	c := d.client(t, "read")
	ask := serve.SearchRequest{
		Text: "late orders", Domains: []string{"sales", "places"}, Tags: []string{"a,b"}, Classifications: []string{"personal"}, Ports: []string{"http"},
		States: []string{"source lost"}, Lives: []string{"active"}, Limit: 5, Offset: 3,
	}
	r, err := c.Search(t.Context(), ask)
	if err != nil || r.Total != 1 || r.Hits[0].Product != orders || !r.Hits[0].Origin.Live {
		t.Fatalf("%+v, %v", r, err)
	}
	got := d.node.mesh().asked
	if got.Text != ask.Text || !slices.Equal(got.Domains, ask.Domains) || !slices.Equal(got.Tags, ask.Tags) || !slices.Equal(got.States, ask.States) ||
		!slices.Equal(got.Classifications, ask.Classifications) || !slices.Equal(got.Ports, ask.Ports) || !slices.Equal(got.Lives, ask.Lives) || got.Limit != 5 || got.Offset != 3 {
		t.Errorf("the node was asked %+v", got)
	}
	if r, err = c.Search(t.Context(), serve.SearchRequest{Text: "nothing"}); err != nil || r.Hits == nil || len(r.Corrections) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if got := d.node.mesh().asked; got.Limit != 20 {
		t.Errorf("the limit is %d", got.Limit)
	}
}

// TestMeshScopes: who may read may look and search; everything else is the
// administrator's.
func TestMeshScopes(t *testing.T) {
	d := open(t, http.Config{})
	node := otherKey.String()
	for _, c := range []struct {
		method, path, body string
		read               bool
		status             int // for an administrator
	}{
		{"GET", "/api/v1/mesh", "", true, 200},
		{"GET", "/api/v1/peers", "", true, 200},
		{"GET", "/api/v1/search?q=x&domain=a&domain=b", "", true, 200},
		{"GET", "/api/v1/search?q=x&limit=0", "", true, 422},
		{"GET", "/api/v1/search?words=x", "", true, 422},
		{"POST", "/api/v1/mesh", `{"name":"invented","domains":["sales"]}`, false, 201},
		{"POST", "/api/v1/mesh", `{"domains":["Sales"]}`, false, 400},
		{"POST", "/api/v1/mesh/join", `{"token":"word"}`, false, 200},
		{"POST", "/api/v1/mesh/join", `{"token":""}`, false, 422},
		{"POST", "/api/v1/mesh/invitations", `{"domain":"sales"}`, false, 201},
		{"POST", "/api/v1/mesh/invitations", `{"domain":"select"}`, false, 400},
		{"POST", "/api/v1/mesh/invitations", `{"for":99999999}`, false, 422},
		{"POST", "/api/v1/peers/" + node + "/revoke", `{"reason":"left"}`, false, 204},
		{"POST", "/api/v1/peers/" + node + "/revoke", `{"reason":""}`, false, 422},
		{"POST", "/api/v1/peers/07/revoke", `{"reason":"left"}`, false, 422},
		{"POST", "/api/v1/peers/" + strings.Repeat("x", 64) + "/revoke", `{"reason":"left"}`, false, 400},
		{"POST", "/api/v1/mesh/rotate", "", false, 200},
		{"POST", "/api/v1/mesh/domains/sales/decide", `{"key":"` + node + `"}`, false, 200},
		{"POST", "/api/v1/mesh/domains/sales/decide", `{"key":"07"}`, false, 422},
		{"POST", "/api/v1/products/sales.orders/handover", `{"to":"` + node + `"}`, false, 200},
		{"POST", "/api/v1/mesh/handovers", `{"offer":"x"}`, false, 200},
	} {
		d.node.mesh().joined = false
		for token, want := range map[string]int{"": 401, "apply": 403, "read": 403, "admin": c.status} {
			if token == "read" && c.read {
				want = c.status
			}
			if res, body := d.do(t, c.method, c.path, token, c.body, nil); res.StatusCode != want {
				t.Errorf("%s %s as %q: %d, not %d: %s", c.method, c.path, token, res.StatusCode, want, body)
			}
		}
	}
}

func (m *memoryMesh) Lineage(_ context.Context, _ weft.Subject, r serve.LineageRequest) (*weft.Lineage, error) {
	if r.Of == "sales.none" {
		return nil, weft.Errorf(weft.KindNotFound, "find the lineage", r.Of, "there is no product of this name")
	}
	m.n.note(fmt.Sprintf("lineage %s %s %d", r.Of, r.Direction, r.Depth))
	n := weft.Name{Domain: "sales", Product: "orders"}
	return &weft.Lineage{Of: "sales.orders", Nodes: []weft.LineageNode{{ID: "sales.orders", Kind: weft.LineageProduct, Product: &n, State: weft.StateFresh}}, Edges: []weft.LineageEdge{}}, nil
}

func TestLineageRoute(t *testing.T) {
	d := open(t, http.Config{})
	l, err := d.client(t, "read").Lineage(t.Context(), serve.LineageRequest{Of: "sales.orders.x", Direction: weft.Upstream, Depth: 3})
	if err != nil || len(l.Nodes) != 1 || *l.Nodes[0].Product != orders {
		t.Errorf("the client gets %v, %v", l, err)
	}
	if d.node.mu.Lock(); !slices.Contains(d.node.calls, "lineage sales.orders.x upstream 3") {
		t.Errorf("the node was asked %v", d.node.calls)
	}
	d.node.mu.Unlock()
	for query, want := range map[string]string{
		"of=sales.orders":                `{"of":"sales.orders","nodes":[{"id":"sales.orders","kind":"product","product":"sales.orders","state":"fresh"}],"edges":[]}`,
		"of=sales.orders&format=text":    "sales.orders · fresh\nnothing is known of what it is made from, or of what is made from it",
		"of=sales.orders&format=mermaid": "flowchart LR\n  n0[\"sales.orders\"]\n  style n0 stroke-width:3px",
	} {
		if r, got := d.do(t, "GET", "/api/v1/lineage?"+query, "read", "", nil); r.StatusCode != 200 || strings.TrimSpace(got) != want {
			t.Errorf("%s gives %d %s, want %s", query, r.StatusCode, got, want)
		}
	}
	for query, want := range map[string]int{"of=sales.none": 404, "of=x&depth=101": 422, "": 422, "of=sales.orders&direction=left": 422, "of=sales.orders&format=html": 422} {
		if r, got := d.do(t, "GET", "/api/v1/lineage?"+query, "read", "", nil); r.StatusCode != want {
			t.Errorf("%q gives %d %s, want %d", query, r.StatusCode, got, want)
		}
	}
}

func (m *memoryMesh) Tell(_ context.Context, _ weft.Subject, message []byte) (int, error) {
	if string(message) != "[{},{}]" {
		return 0, weft.Errorf(weft.KindInvalid, "read the lineage event", "", "it is no event")
	}
	return 2, nil
}

func TestTellLineage(t *testing.T) {
	d := open(t, http.Config{})
	if r, got := d.do(t, "POST", "/api/v1/lineage/events", "admin", "[{},{}]", nil); r.StatusCode != 201 || strings.TrimSpace(got) != `{"events":2}` {
		t.Errorf("%d %s", r.StatusCode, got)
	}
	for _, c := range []struct {
		token, body string
		want        int
	}{{"admin", "x", 400}, {"read", "[{},{}]", 403}, {"", "[{},{}]", 401}, {"admin", strings.Repeat(" ", 1<<20+1), 413}} {
		if r, got := d.do(t, "POST", "/api/v1/lineage/events", c.token, c.body, nil); r.StatusCode != c.want {
			t.Errorf("%s gives %d %s, want %d", c.token, r.StatusCode, got, c.want)
		}
	}
}
