package http_test

import (
	"strings"
	"testing"
	"time"

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

// TestPlanTextIsPlain holds that what others wrote cannot move the cursor.
func TestPlanTextIsPlain(t *testing.T) {
	d := open(t, http.Config{})
	_, got := d.do(t, "POST", "/api/v1/explain?format=text", "read", `{"sql":"SELECT '\u001b[2J' AS x"}`, nil)
	if strings.Contains(got, "\x1b") {
		t.Errorf("%q", got)
	}
}
