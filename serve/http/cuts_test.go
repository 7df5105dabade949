package http_test

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"weft"
	"weft/serve"
	"weft/serve/http"
)

// memoryCuts has one saved cut, and one hold.
type memoryCuts struct{ n *memoryNode }

func (m memoryCuts) detail(name string) *serve.CutDetail {
	d := &serve.CutDetail{Name: name, Token: testCut().Token(), Text: testCut().String(), Hash: testCut().Ref()}
	for _, p := range testCut() {
		d.Points = append(d.Points, serve.CutPoint{Point: p, State: serve.PointReadable})
	}
	return d
}

func (m memoryCuts) SaveCut(_ context.Context, s weft.Subject, r serve.SaveCutRequest) (*serve.CutDetail, error) {
	if err := weft.CheckCutName(r.Name); err != nil {
		return nil, err
	}
	b, err := json.Marshal(r)
	m.n.note("save " + string(b) + " " + s.ID)
	return m.detail(r.Name), err
}

func (m memoryCuts) Cuts(context.Context, weft.Subject) ([]serve.CutDetail, error) {
	return []serve.CutDetail{*m.detail("one")}, nil
}

func (m memoryCuts) Cut(_ context.Context, _ weft.Subject, what string, look bool) (*serve.CutDetail, error) {
	if what == "none" {
		return nil, weft.Errorf(weft.KindNotFound, "find the cut", what, "there is no such cut")
	}
	m.n.note("show " + what)
	d := m.detail("one")
	if !look {
		d.Points[0].State = serve.PointUnknown
	}
	return d, nil
}

func (m memoryCuts) DropCut(_ context.Context, _ weft.Subject, name string) error {
	m.n.note("drop " + name)
	return nil
}

func (m memoryCuts) Holds(context.Context, weft.Subject) ([]serve.HoldInfo, error) {
	return []serve.HoldInfo{{Product: orders, Hold: "cut.one.3", Seq: 3, By: "ann"}}, nil
}

func (m memoryCuts) DropHold(_ context.Context, _ weft.Subject, p weft.Name, hold string) error {
	m.n.note("release " + p.String() + " " + hold)
	return find(p)
}

// TestCutsByClient takes every call of the client through the routes.
func TestCutsByClient(t *testing.T) {
	d := open(t, http.Config{})
	c, ctx := d.client(t, "admin"), t.Context()
	x, err := c.SaveCut(ctx, serve.SaveCutRequest{Name: "one", Products: []weft.Name{orders}, At: "2026-03-01", Hold: true, For: 60})
	if err != nil || x.Name != "one" || x.Hash != testCut().Ref() || x.Points[0].Hash != testCut()[0].Hash {
		t.Fatalf("%+v, %v", x, err)
	}
	if _, err := c.SaveCut(ctx, serve.SaveCutRequest{Name: "ONE"}); weft.KindOf(err) != weft.KindInvalid {
		t.Error(err)
	}
	list, err := c.Cuts(ctx)
	if err != nil || len(list) != 1 || list[0].Points[0].Seq != 3 {
		t.Errorf("%+v, %v", list, err)
	}
	for look, want := range map[bool]serve.PointState{true: serve.PointReadable, false: serve.PointUnknown} {
		if x, err := c.Cut(ctx, testCut().Token(), look); err != nil || x.Points[0].State != want {
			t.Errorf("%+v, %v", x, err)
		}
	}
	if _, err := c.Cut(ctx, "none", true); weft.KindOf(err) != weft.KindNotFound {
		t.Error(err)
	}
	if err := c.DropCut(ctx, "one"); err != nil {
		t.Error(err)
	}
	hs, err := c.Holds(ctx)
	if err != nil || len(hs) != 1 || hs[0].Hold != "cut.one.3" {
		t.Errorf("%+v, %v", hs, err)
	}
	if err := c.DropHold(ctx, orders, "cut.one.3"); err != nil {
		t.Error(err)
	}
	want := []string{
		`save {"name":"one","products":["sales.orders"],"at":"2026-03-01","hold":true,"for":60} admin`,
		"show " + testCut().Token(), "show " + testCut().Token(), "drop one", "release sales.orders cut.one.3",
	}
	d.node.mu.Lock()
	got := d.node.calls
	d.node.mu.Unlock()
	if !slices.Equal(got, want) {
		t.Errorf("asked %q\nwant  %q", got, want)
	}
	// Whoever may read can save and look; ending a hold is the owner's.
	for path, code := range map[string]int{"GET /api/v1/cuts": 200, "GET /api/v1/holds": 200, "DELETE /api/v1/products/sales.orders/holds/x": 403} {
		method, p, _ := strings.Cut(path, " ")
		if r, got := d.do(t, method, p, "read", "", nil); r.StatusCode != code {
			t.Errorf("%s gives %d %s", path, r.StatusCode, got)
		}
	}
}

// TestWarningsTravel: what is to be known of an answer comes after its rows, in every
// format, and through the client.
func TestWarningsTravel(t *testing.T) {
	d := open(t, http.Config{})
	w := weft.Warning{Kind: weft.WarnSkew, Product: orders, Message: "Zoë: they do not fit"}
	d.node.query = func(context.Context, weft.Question) (*weft.Answer, error) {
		a := answer(numbers(3, 10)...)
		a.Warnings = func() []weft.Warning { return []weft.Warning{w} }
		return a, nil
	}
	for _, f := range formats {
		s, err := d.client(t, "read").QueryAs(t.Context(), serve.QueryRequest{SQL: "SELECT 1"}, f)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Warnings()) != 0 {
			t.Errorf("%s: warned before the rows", f)
		}
		if _, err := io.ReadAll(s); err != nil {
			t.Fatal(err)
		}
		if got := s.Warnings(); !slices.Equal(got, []weft.Warning{w}) {
			t.Errorf("%s: %+v", f, got)
		}
	}
	a, err := d.client(t, "read").Query(t.Context(), serve.QueryRequest{SQL: "SELECT 1"})
	if err != nil {
		t.Fatal(err)
	}
	for a.Rows.Next() {
		a.Rows.RecordBatch()
	}
	if got := serve.Warnings(a); a.Rows.Err() != nil || !slices.Equal(got, []weft.Warning{w}) {
		t.Errorf("%+v, %v", got, a.Rows.Err())
	}
	_ = a.Close()
}
