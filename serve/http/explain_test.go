package http_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"weft"
	"weft/serve"
	"weft/serve/http"
)

// TestExplainRoute asks for plans by the client and as text, and holds what of the
// request reaches the node.
func TestExplainRoute(t *testing.T) {
	d := open(t, http.Config{})
	r := serve.ExplainRequest{QueryRequest: serve.QueryRequest{SQL: "SELECT 1", AllowPartial: true, MaxStaleness: 90}, Analyze: true}
	p, err := d.client(t, "read").Explain(t.Context(), r)
	if err != nil || p.Here == nil || p.Here.SQL != "SELECT 1" || p.Measured == nil || p.Measured.Rows != 30 {
		t.Errorf("the client gets %+v, %v", p, err)
	}
	if q := d.node.last(); !q.AllowPartial || q.MaxStaleness != 90*time.Second || q.Subject.ID != "read" {
		t.Errorf("the node was asked %+v", q)
	}
	want := "answered here: no other node is asked\n  reads     sales.orders: 30 rows, 900 bytes in files\n    SELECT 1\n"
	if r, got := d.do(t, "POST", "/api/v1/explain?format=text", "read", `{"sql":"SELECT 1"}`, nil); r.StatusCode != 200 || got != want {
		t.Errorf("as text it is %d %s", r.StatusCode, got)
	}
	for body, want := range map[string]int{`{}`: 422, `{"sql":"SELECT 1","maxStaleness":-1}`: 422, `{"sql":"SELECT 1","at":"2026-02-30"}`: 400} {
		if r, got := d.do(t, "POST", "/api/v1/explain", "read", body, nil); r.StatusCode != want {
			t.Errorf("%s gives %d %s", body, r.StatusCode, got)
		}
	}
	if r, _ := d.do(t, "POST", "/api/v1/explain", "apply", `{"sql":"SELECT 1"}`, nil); r.StatusCode != 403 {
		t.Errorf("a token that may not read gets %d", r.StatusCode)
	}
}

// TestAnswerSaysWhoGave holds that who gave what to an answer, and its warnings, come after
// the rows, and are known by the request's id.
func TestAnswerSaysWhoGave(t *testing.T) {
	d := open(t, http.Config{})
	warning := weft.Warning{Kind: weft.WarnPartial, Product: orders, Message: "rows are missing"}
	d.node.query = func(context.Context, weft.Question) (*weft.Answer, error) {
		a := answer(numbers(3, 10)...)
		a.Parts = func() []weft.PartUse {
			return []weft.PartUse{{Node: weft.KeyID{1}, Name: "crm", Cut: testCut(), Rows: 4, Bytes: 400}}
		}
		a.Warnings = func() []weft.Warning { return []weft.Warning{warning} }
		return a, nil
	}
	s, err := d.client(t, "read").QueryAs(t.Context(), serve.QueryRequest{SQL: "SELECT 1"}, serve.FormatCSV)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if _, err := io.Copy(io.Discard, s); err != nil {
		t.Fatal(err)
	}
	if p := s.Parts(); len(p) != 1 || p[0].Name != "crm" || p[0].Rows != 4 || p[0].Bytes != 400 || p[0].Node != (weft.KeyID{1}) || p[0].Cut[0].Product != orders {
		t.Errorf("who gave is %+v", p)
	}
	if w := s.Warnings(); len(w) != 1 || w[0] != warning {
		t.Errorf("the warnings are %+v", w)
	}
	o, err := d.client(t, "read").Outcome(t.Context(), s.Request)
	if err != nil || len(o.Parts) != 1 || o.Parts[0].Name != "crm" || len(o.Warnings) != 1 || o.Warnings[0] != warning {
		t.Errorf("the outcome is %+v, %v", o, err)
	}
}

// TestPlanTextIsPlain holds that what others wrote cannot move the cursor.
func TestPlanTextIsPlain(t *testing.T) {
	d := open(t, http.Config{})
	_, got := d.do(t, "POST", "/api/v1/explain?format=text", "read", `{"sql":"SELECT '\u001b[2J' AS x"}`, nil)
	if strings.Contains(got, "\x1b") {
		t.Errorf("%q", got)
	}
}
