package node

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"weft"
	"weft/meter"
	"weft/serve"
)

const joinNodes = "SELECT sum(s.price) FROM sales.shop s JOIN insights.sums t ON t.orders > 0"

// TestQuoteOverTheMesh: the price of a question over two nodes is what both ask, each
// by its own budgets; what another node's budget has no room for is refused before it
// runs there; and its ledger has the node, who asked, and nothing of what was refused.
func TestQuoteOverTheMesh(t *testing.T) {
	p := newPair(t, func(c *Config) {
		c.Budgets = []meter.Rule{{Name: "others", For: meter.Who{Kind: meter.WhoNode, ID: "*"}, Per: time.Hour, Rows: 7, Concurrent: 5}}
	})
	p.origin.write(shop)
	p.origin.apply("shop", serve.OutcomeCommitted)
	p.heard("sales.shop")
	p.asker.write(sums)
	p.asker.apply("sums", serve.OutcomeCommitted) // which reads the three rows of the shop
	ann := ofDomain("insights")
	quote := func(sql string, at weft.At) *serve.Quote {
		t.Helper()
		q, err := p.asker.node.Backend().Meter.Quote(context.Background(), weft.Question{SQL: sql, Subject: ann, At: at})
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	ask := func(sql string, at weft.At) error {
		ans, err := p.asker.node.Backend().Querier.Query(context.Background(), weft.Question{SQL: sql, Subject: ann, At: at})
		if err != nil {
			return err
		}
		defer func() { _ = ans.Close() }()
		_, err = serve.Collect(ans, 10)
		return err
	}
	q := quote(joinNodes, weft.At{})
	if !q.Fits || q.Rows != 4 || len(q.Products) != 2 || len(q.Budgets) != 1 || q.Budgets[0].Name != "others" || q.Budgets[0].Node == nil || q.Budgets[0].Limits[0].Used != 3 {
		t.Fatalf("%+v", q)
	}
	if q.Products[0].Product.String() != "insights.sums" || q.Products[0].Node != nil || q.Products[1].Rows != 3 || *q.Products[1].Node != p.origin.node.mesh.Self() {
		t.Errorf("%+v", q.Products)
	}
	at, err := serve.ParseAt(q.Cut)
	if err != nil {
		t.Fatal(err)
	}
	// The owner's node ends and begins again between the quote and the question.
	p.origin.restart()
	p.asker.eventually("the question of the quote's cut is answered", func() bool {
		err := ask(joinNodes, at)
		if err != nil && weft.KindOf(err) != weft.KindUnavailable {
			t.Fatal(err)
		}
		return err == nil
	})
	if q := quote("SELECT max(id) FROM sales.shop", weft.At{}); q.Fits || q.Rows != 3 || q.Refusal == nil || !strings.Contains(q.Refusal.Detail, `under the budget "others": it takes about 3 rows, and of 7 rows per 1h 6 rows are used`) {
		t.Errorf("%+v %+v", q, q.Refusal)
	}
	for _, sql := range []string{"SELECT max(id) FROM sales.shop", joinNodes} {
		err := ask(sql, weft.At{})
		if weft.KindOf(err) != weft.KindLimit || !strings.Contains(err.Error(), `under the budget "others"`) || !strings.Contains(weft.HintOf(err), "there is room from") || weft.AfterOf(err) == 0 {
			t.Errorf("%s: %v (%s)", sql, err, weft.HintOf(err))
		}
	}
	u, err := p.origin.node.Backend().Meter.Usage(t.Context(), tester, serve.UsageRequest{By: serve.UsageByConsumer, Owner: true})
	if err != nil || len(u.Usage) != 2 {
		t.Fatalf("%+v %v", u, err)
	}
	for _, l := range u.Usage {
		if l.Node == nil || *l.Node != p.asker.node.mesh.Self() || l.Rows != 3 || l.Questions != 1 || l.Subject == ann.ID && l.Refused != 2 {
			t.Errorf("%+v", l)
		}
	}
	// The owner's node is away: there is a price of the rest where that is asked for.
	p.origin.stop()
	price := func(sql string, partial bool) (*serve.Quote, error) {
		return p.asker.node.Backend().Meter.Quote(t.Context(), weft.Question{SQL: sql, Subject: ann, AllowPartial: partial})
	}
	if _, err := price(joinNodes, false); weft.KindOf(err) != weft.KindUnavailable || !strings.Contains(err.Error(), "sales.shop") {
		t.Errorf("without a node the price is %v", err)
	}
	if q, err := price(joinNodes, true); err != nil || q.Rows != 1 || len(q.Warnings) != 1 || q.Warnings[0].Product.String() != "sales.shop" || !strings.Contains(q.Warnings[0].Message, "is not in the price: node ") || q.Warnings[0].Hint == "" {
		t.Errorf("%+v %v", q, err)
	}
	if _, err := price("SELECT max(id) FROM sales.shop", true); weft.KindOf(err) != weft.KindUnavailable {
		t.Errorf("the price of nothing: %v", err)
	}
}

// TestPartsTogether: parts of one node that fit one by one and not together are said
// not to fit.
func TestPartsTogether(t *testing.T) {
	part := func(rows int64, left float64) *serve.Quote {
		return &serve.Quote{
			Rows: rows, Fits: true, Products: []serve.QuoteRead{{Product: weft.Name{Domain: "a", Product: "b"}, Rows: rows}},
			Budgets: []serve.QuoteBudget{{Name: "x", Fits: true, Limits: []serve.QuoteLimit{{Of: ofRows, Limit: 10, Takes: float64(rows), Left: left}}}},
		}
	}
	at := serve.QuoteNode{Node: &weft.KeyID{1}, NodeName: "far"}
	for _, c := range []struct {
		left float64
		fits bool
	}{{10, true}, {6, true}, {5, false}} {
		to := &serve.Quote{Fits: true}
		mergeQuote(to, part(3, c.left), at)
		mergeQuote(to, part(3, c.left), at)
		if to.Fits != c.fits || (to.Refusal == nil) != c.fits || to.Rows != 6 || len(to.Products) != 1 || to.Products[0].Rows != 6 || len(to.Budgets) != 1 || to.Budgets[0].Limits[0].Takes != 6 {
			t.Errorf("left %v: %+v", c.left, to)
		}
	}
}

// FuzzQuote holds that whatever another node sends for a quote is refused, or is one
// that adds up and can be shown.
func FuzzQuote(f *testing.F) {
	f.Add([]byte(`{"rows":1,"bytes":2,"seconds":0.5,"products":[{"product":"a.b","rows":1}],"budgets":[{"name":"x","limits":[{"of":"rows","limit":1}]}],"fits":true}`))
	f.Add([]byte(`{"rows":-1,"fits":true}`))
	f.Add([]byte(`{"seconds":1e308,"fits":false,"refusal":{"kind":"limit","detail":"\u0007"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var q *serve.Quote
		if json.Unmarshal(b, &q) != nil || checkQuote(q) != nil {
			return
		}
		to := &serve.Quote{Fits: true}
		for range 3 {
			mergeQuote(to, q, serve.QuoteNode{Node: &weft.KeyID{1}})
		}
		if to.Rows < 0 || to.Bytes < 0 || !(to.Seconds >= 0) || math.IsInf(to.Seconds, 0) || to.Fits && to.Refusal != nil || !q.Fits && to.Fits {
			t.Errorf("%+v", to)
		}
		if _, err := json.Marshal(to); err != nil {
			t.Error(err)
		}
	})
}
