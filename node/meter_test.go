package node

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weft"
	"weft/federate"
	"weft/meter"
	"weft/records"
	"weft/run"
	"weft/serve"
)

// rowsAnHour is a rule for every subject.
func rowsAnHour(rows int64) meter.Rule {
	return meter.Rule{For: meter.Who{Kind: meter.WhoSubject, ID: "*"}, Per: time.Hour, Rows: rows}
}

const sumTills = "SELECT sum(id) FROM sales.tills"

// TestBudgets: what is over a budget is refused before it runs, a restart keeps what
// was used, and a quote says the same beforehand.
func TestBudgets(t *testing.T) {
	rules := []meter.Rule{rowsAnHour(5)}
	var again Config
	r := newRigWith(t, func(c *Config) {
		c.Budgets = rules
		c.Reread = func() (*Reread, error) { return &Reread{Config: again}, nil }
	})
	r.tills("active")
	r.apply("tills", serve.OutcomeCommitted)
	ann, bob := ofDomain("sales", "ann"), ofDomain("sales", "bob")
	quote := func(s weft.Subject, at weft.At) *serve.Quote {
		t.Helper()
		q, err := r.node.Backend().Meter.Quote(context.Background(), weft.Question{SQL: sumTills, Subject: s, At: at})
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	refused := func(s weft.Subject) {
		t.Helper()
		_, err := r.askAs(s, sumTills)
		if weft.KindOf(err) != weft.KindLimit || weft.AfterOf(err) < 59*time.Minute ||
			!strings.Contains(err.Error(), `under the budget "* per 1h": it takes about 2 rows, and of 5 rows per 1h 4 rows are used and 1 row left`) {
			t.Errorf("%v, free in %s", err, weft.AfterOf(err))
		}
	}
	first := quote(ann, weft.At{})
	if first.Rows != 2 || first.Bytes == 0 || first.Seconds <= 0 || !first.Fits || len(first.Budgets) != 1 || first.Budgets[0].Limits[0].Left != 5 || first.CutText != "sales.tills#2" {
		t.Errorf("%+v", first)
	}
	if _, err := r.askAs(ann, sumTills); err != nil {
		t.Fatal(err)
	}
	// Between a quote and the question the node restarts, and the product moves on.
	r.restart()
	r.write("-- tills/data/tills.csv --\nid\n1\n2\n3\n4\n5\n6\n")
	r.reread("sales.tills")
	if q := quote(bob, weft.At{}); q.Rows != 6 || q.Fits || q.Refusal == nil || !strings.Contains(q.Refusal.Hint, "never fits") {
		t.Errorf("%+v", q)
	}
	at, err := serve.ParseAt(first.Cut)
	if err != nil {
		t.Fatal(err)
	}
	if q := quote(ann, at); q.Rows != 2 || q.Bytes == 0 || q.Cut != first.Cut || !q.Fits || q.Budgets[0].Limits[0].Used != 2 {
		t.Errorf("%+v", q)
	}
	if _, err := r.node.Backend().Cuts.SaveCut(t.Context(), ann, serve.SaveCutRequest{Name: "quoted", At: first.Cut}); err != nil {
		t.Fatal(err)
	}
	if q := quote(ann, weft.At{Saved: "quoted"}); q.Rows != 2 || q.Cut != first.Cut {
		t.Errorf("at the saved cut: %+v", q)
	}
	ask := func(s weft.Subject) error {
		ans, err := r.node.Backend().Querier.Query(context.Background(), weft.Question{SQL: sumTills, Subject: s, At: at})
		if err != nil {
			return err
		}
		rows, err := serve.Collect(ans, 10)
		if err == nil && string(rows.Rows[0][0]) != `"3"` {
			t.Errorf("at the quote's cut the answer is %s", rows.Rows[0][0])
		}
		_ = ans.Close()
		return err
	}
	if err := ask(ann); err != nil {
		t.Fatal(err)
	}
	r.write("-- tills/data/tills.csv --\nid\n1\n2\n")
	r.reread("sales.tills")
	refused(ann)
	r.restart()
	refused(ann)
	if err := ask(bob); err != nil {
		t.Error("another one's use counts:", err)
	}
	again = *r.node.conf()
	again.Budgets = []meter.Rule{rowsAnHour(6)}
	if res, err := r.node.Reload(t.Context(), tester); err != nil || len(res.Faults) > 0 {
		t.Fatal(res, err)
	}
	if err := ask(ann); err != nil {
		t.Error("the limit was raised:", err)
	}
	again.Budgets = []meter.Rule{{For: meter.Who{Kind: meter.WhoSubject, ID: "*"}}}
	if res, err := r.node.Reload(t.Context(), tester); err != nil || len(res.Faults) != 1 || !strings.Contains(res.Faults[0].Message, "limits nothing") {
		t.Errorf("%+v %v", res, err)
	}
}

// reread has the product read what its sources are now; the node may have seen that
// they changed by itself.
func (r *rig) reread(name string) {
	r.t.Helper()
	if _, err := r.node.Refresh(context.Background(), tester, mustName(r.t, name), serve.RefreshRequest{Wait: true}, nil); err != nil {
		r.t.Fatal(err)
	}
}

// TestWhoUsed: questions are booked to who asks, other nodes by what they proved and
// nobody by what they say, and the ledger shows each what is theirs.
func TestWhoUsed(t *testing.T) {
	key := weft.KeyID{7}
	r := newRigWith(t, func(c *Config) {
		c.Budgets = []meter.Rule{{Name: "nodes", For: meter.Who{Kind: meter.WhoNode, ID: "*"}, Per: time.Hour, Rows: 3}}
	})
	r.tills("active", "places")
	r.apply("tills", serve.OutcomeCommitted)
	liar := ofDomain("sales")
	liar.Attributes = map[string]string{AttributeNode: key.String(), "team": "a"}
	for range 3 { // more than the budget of nodes
		if _, err := r.askAs(liar, sumTills); err != nil {
			t.Fatal(err)
		}
	}
	peer := ofNode(ofDomain("places"), key)
	peer.Purpose = "reports"
	asPeer := func() error {
		ans, err := (questions{r.node}).Query(context.Background(), weft.Question{SQL: "SELECT * FROM sales.tills", Subject: peer})
		if err != nil {
			return err
		}
		if _, err := serve.Collect(ans, 10); err != nil {
			t.Error(err)
		}
		return ans.Close()
	}
	if err := asPeer(); err != nil {
		t.Fatal(err)
	}
	if err := asPeer(); weft.KindOf(err) != weft.KindLimit || !strings.Contains(err.Error(), `"nodes"`) {
		t.Error(err)
	}
	bad := peer
	bad.Attributes = map[string]string{AttributeNode: "nobody"}
	if _, err := (questions{r.node}).Query(context.Background(), weft.Question{SQL: sumTills, Subject: bad}); weft.KindOf(err) != weft.KindInvalid {
		t.Error("a node that is none:", err)
	}
	report := func(s weft.Subject, by serve.UsageBy, owner bool) []serve.UsageLine {
		t.Helper()
		u, err := r.node.Backend().Meter.Usage(t.Context(), s, serve.UsageRequest{By: by, Owner: owner})
		if err != nil {
			t.Fatal(err)
		}
		return u.Usage
	}
	all := report(tester, serve.UsageByProduct, true)
	if len(all) != 1 || all[0].Product != "sales.tills" || all[0].Questions != 4 || all[0].Refused != 1 || all[0].Rows != 8 || all[0].GivenRows != 5 || all[0].Seconds <= 0 || all[0].GivenBytes == 0 {
		t.Errorf("%+v", all)
	}
	who := report(ofDomain("sales"), serve.UsageByConsumer, true)
	if len(who) != 2 {
		t.Fatalf("%+v", who)
	}
	for _, l := range who {
		switch {
		case l.Node == nil && l.Subject == liar.ID && l.Questions == 3 && l.Refused == 0:
		case l.Node != nil && *l.Node == key && l.Subject == peer.ID && l.Purpose == "reports" && l.Questions == 1 && l.Refused == 1:
		default:
			t.Errorf("%+v", l)
		}
	}
	if got := report(ofDomain("places"), serve.UsageByConsumer, true); len(got) != 0 {
		t.Errorf("another domain's owner sees %+v", got)
	}
	if got := report(liar, serve.UsageByConsumer, false); len(got) != 1 || got[0].Questions != 3 {
		t.Errorf("the subject itself sees %+v", got)
	}
	if got := report(ofDomain("places"), serve.UsageByDay, false); len(got) != 0 {
		t.Errorf("a subject here sees what one of the same name elsewhere used: %+v", got)
	}
}

// TestLoadsAreBooked: a load that reads another product is in the ledger, and no
// budget stops it.
func TestLoadsAreBooked(t *testing.T) {
	r := newRigWith(t, func(c *Config) { c.Budgets = []meter.Rule{rowsAnHour(1)} })
	r.tills("active", "places")
	r.apply("tills", serve.OutcomeCommitted)
	r.write(copyOfTills)
	r.apply("copy", serve.OutcomeCommitted)
	u, err := r.node.Backend().Meter.Usage(t.Context(), tester, serve.UsageRequest{By: serve.UsageByConsumer, Owner: true})
	if err != nil || len(u.Usage) != 1 || u.Usage[0].Kind != weft.SubjectProduct || u.Usage[0].Subject != "places.copy" ||
		u.Usage[0].Rows != 2 || u.Usage[0].GivenRows != 2 || u.Usage[0].Purpose != "derive" {
		t.Errorf("%+v %v", u, err)
	}
}

const copyOfTills = `
-- copy/product.odps.yaml --
apiVersion: v1.0.0
kind: DataProduct
id: places.copy
name: copy
domain: places
status: active
description: {purpose: Invented copies.}
team: {name: Places team, members: [{username: owner@example.com, role: owner}]}
inputPorts: [{name: tills, version: 1.0.0, contractId: sales.tills/tills, customProperties: [{property: weftProduct, value: sales.tills}]}]
outputPorts: [{name: copy, version: 1.0.0, contractId: places.copy/copy}]
-- copy/copy.sql --
SELECT id FROM tills
-- copy/copy.odcs.yaml --
apiVersion: v3.1.0
kind: DataContract
id: places.copy/copy
version: 1.0.0
status: active
schema:
  - name: copy
    properties:
      - {name: id, logicalType: integer}
`

// BenchmarkAdmitPoint is what it adds to a question to be let in and booked.
func BenchmarkAdmitPoint(b *testing.B) {
	books, err := records.Open(b.Context(), filepath.Join(b.TempDir(), "books.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = books.Close() }()
	var rules []meter.Rule
	for i := range 16 {
		r := rowsAnHour(1 << 50)
		r.Per *= time.Duration(i + 1)
		rules = append(rules, r)
	}
	for name, rules := range map[string][]meter.Rule{"no budget": nil, "16 budgets": rules} {
		b.Run(name, func(b *testing.B) {
			n := &Node{token: "token", meter: meter.New(meter.Config{Rules: rules, Books: books, Env: run.Quiet()})}
			q := weft.Question{SQL: "SELECT name FROM sales.tills WHERE id = 4711", Subject: ofDomain("sales")}
			e := federate.Estimate{Rows: 5, Bytes: 50, Reads: []federate.Read{{Product: weft.Name{Domain: "sales", Product: "tills"}, Rows: 5, Bytes: 50}}}
			for b.Loop() {
				done, err := n.admit(withAsked(b.Context(), &asked{}), q, nil, e)
				if err != nil {
					b.Fatal(err)
				}
				done(federate.Used{Began: true, Time: time.Millisecond})
			}
		})
	}
}

// TestCopiesAreCounted: what a copy takes is in the ledger, and a file that is over
// the other node's budget is not sent.
func TestCopiesAreCounted(t *testing.T) {
	c := newCopying(t, consents)
	c.add()
	used := func() (u serve.UsageLine) {
		t.Helper()
		r, err := c.origin.node.Backend().Meter.Usage(t.Context(), tester, serve.UsageRequest{By: serve.UsageByConsumer, Owner: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range r.Usage {
			if l.Node != nil && *l.Node == key(2) && l.Purpose == "copy" {
				u = l
			}
		}
		return u
	}
	up, err := c.origin.node.find(c.name())
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(c.origin.node.cfg.productDir(up.record().ID), "*", "*.parquet"))
	if err != nil || len(files) == 0 {
		t.Fatal("the product has no file: ", err)
	}
	get := func() int {
		t.Helper()
		res, err := c.seen.client(c.key).Get("http://peer" + peerPrefix + "/products/sales.shop/files/" + filepath.Base(files[0]))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		return res.StatusCode
	}
	if got := get(); got != http.StatusOK {
		t.Fatalf("status %d", got)
	}
	c.origin.eventually("the file is booked", func() bool { u := used(); return u.Bytes > 0 && u.GivenBytes > 0 && u.Refused == 0 })
	c.origin.node.meter.SetRules(t.Context(), []meter.Rule{{For: meter.Who{Kind: meter.WhoNode, ID: "*"}, Per: time.Hour, Bytes: 1}})
	if got := get(); got != http.StatusTooManyRequests {
		t.Errorf("status %d over the budget", got)
	}
	if u := used(); u.Refused == 0 {
		t.Errorf("%+v", u)
	}
}
