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

func (m *memoryNode) Quote(_ context.Context, q weft.Question) (*serve.Quote, error) {
	if q.SQL == "bad" {
		return nil, weft.Errorf(weft.KindInvalid, "read the query", "", "it is no SELECT")
	}
	m.note(fmt.Sprintf("quote for %s at %s", q.Subject.Purpose, q.At.Time.Format(time.DateOnly)))
	q0 := &serve.Quote{Rows: 7, Cut: "cut", Products: []serve.QuoteRead{{Product: orders, Rows: 7}}, Budgets: []serve.QuoteBudget{}, Fits: q.SQL != "large"}
	if !q0.Fits {
		q0.Refusal = serve.ProblemOf(weft.Errorf(weft.KindLimit, "answer the question", "", "it is too much"), "")
	}
	return q0, nil
}

func (m *memoryNode) Usage(_ context.Context, s weft.Subject, r serve.UsageRequest) (*serve.UsageReport, error) {
	since := "-"
	if r.Since != nil {
		since = r.Since.Format(time.DateOnly)
	}
	m.note(fmt.Sprintf("usage by %s since %s, %d, owner %v", r.By, since, r.Limit, r.Owner))
	return &serve.UsageReport{By: r.By, Since: "2026-03-01", Usage: []serve.UsageLine{{Subject: s.ID, Questions: 2}}}, nil
}

// TestQuote holds that a question with quote is answered by its price, in JSON,
// whatever format is named, and that nothing of it is asked.
func TestQuote(t *testing.T) {
	d := open(t, http.Config{})
	q, err := d.client(t, "read").Quote(t.Context(), serve.QueryRequest{SQL: "SELECT 1", At: "2026-02-03", Purpose: "test"})
	if err != nil || q.Rows != 7 || !q.Fits || len(q.Products) != 1 || q.Products[0].Product != orders {
		t.Errorf("%+v %v", q, err)
	}
	if q, err = d.client(t, "read").Quote(t.Context(), serve.QueryRequest{SQL: "large"}); err != nil || q.Fits || q.Refusal == nil || q.Refusal.Kind != weft.KindLimit {
		t.Errorf("%+v %v", q, err)
	}
	if _, err := d.client(t, "read").Quote(t.Context(), serve.QueryRequest{SQL: "bad"}); weft.KindOf(err) != weft.KindInvalid {
		t.Error(err)
	}
	res, body := d.do(t, "POST", "/api/v1/query?format=csv", "read", `{"sql":"SELECT 1","quote":true}`, nil)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" || !strings.Contains(body, `"fits":true`) {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	d.node.mu.Lock()
	defer d.node.mu.Unlock()
	if !slices.Contains(d.node.calls, "quote for test at 2026-02-03") || len(d.node.asked) != 0 {
		t.Errorf("the node was told %v and asked %v", d.node.calls, d.node.asked)
	}
}

// TestUsageRoute holds what the ledger is asked for, and who is an owner.
func TestUsageRoute(t *testing.T) {
	d := open(t, http.Config{})
	day := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	for token, want := range map[string]string{
		"read":  "usage by product since 2026-02-03, 5, owner false",
		"admin": "usage by product since 2026-02-03, 5, owner true",
	} {
		u, err := d.client(t, token).Usage(t.Context(), serve.UsageRequest{By: serve.UsageByProduct, Since: &day, Limit: 5, Owner: true})
		if err != nil || len(u.Usage) != 1 || u.Usage[0].Questions != 2 {
			t.Errorf("%+v %v", u, err)
		}
		d.node.mu.Lock()
		if !slices.Contains(d.node.calls, want) {
			t.Errorf("the node was told %v", d.node.calls)
		}
		d.node.mu.Unlock()
	}
	for _, c := range []struct {
		path, token string
		want        int
	}{
		{"/api/v1/usage", "read", 200},
		{"/api/v1/usage", "apply", 403},
		{"/api/v1/usage", "", 401},
		{"/api/v1/usage?by=hour", "read", 422},
		{"/api/v1/usage?since=yesterday", "read", 400},
		{"/api/v1/usage?limit=0", "read", 422},
	} {
		if res, body := d.do(t, "GET", c.path, c.token, "", nil); res.StatusCode != c.want {
			t.Errorf("%s as %q: %d %s", c.path, c.token, res.StatusCode, body)
		}
	}
}
