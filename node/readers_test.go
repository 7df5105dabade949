package node

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weft"
	"weft/serve"
)

// tills has two output ports with other readers each, and a draft beside it.
const tills = `
-- tills/product.odps.yaml --
apiVersion: v1.0.0
kind: DataProduct
id: sales.tills
name: tills
domain: sales
status: %s
description: {purpose: Invented tills.}
team: {name: Sales team, members: [{username: owner@example.com, role: owner}]}
support: [{channel: "#sales", url: "https://chat.example.com/sales"}]
inputPorts: [{name: files, version: 1.0.0, contractId: sales.tills/source}]
outputPorts:
  - {name: public, version: 1.0.0, contractId: sales.tills/tills%s}
  - {name: private, version: 1.0.0, contractId: sales.tills/staff}
-- tills/source.odcs.yaml --
apiVersion: v3.1.0
kind: DataContract
id: sales.tills/source
version: 1.0.0
status: active
servers: [{server: files, type: local, path: "data/{table}.csv", format: csv}]
schema: [{name: tills}, {name: staff}]
-- tills/tills.odcs.yaml --
apiVersion: v3.1.0
kind: DataContract
id: sales.tills/tills
version: 1.0.0
status: active
schema:
  - name: tills
    properties:
      - {name: id, logicalType: integer, required: true, primaryKey: true, primaryKeyPosition: 1}
-- tills/staff.odcs.yaml --
apiVersion: v3.1.0
kind: DataContract
id: sales.tills/staff
version: 1.0.0
status: active
schema:
  - name: staff
    properties:
      - name: name
        logicalType: string
        quality: [{metric: invalidValues, arguments: {validValues: [Ann, Bob]}, mustBe: 0}]
`

const tillsRows = `
-- tills/data/tills.csv --
id
1
2
-- tills/data/staff.csv --
name
Ann
`

// tills writes the product with a life and the readers of its public port, and rows
// where there are none yet.
func (r *rig) tills(life string, readers ...string) {
	r.t.Helper()
	props := ""
	if len(readers) > 0 {
		props = ", customProperties: [{property: weftReaders, value: [" + strings.Join(readers, ", ") + "]}]"
	}
	r.write(strings.Replace(strings.Replace(tills, "%s", life, 1), "%s", props, 1))
	if _, err := os.Stat(filepath.Join(r.dir, "tills/data/tills.csv")); err != nil {
		r.write(tillsRows)
	}
}

func ofDomain(ds ...string) weft.Subject {
	return weft.Subject{Kind: weft.SubjectService, ID: "test of " + strings.Join(ds, " "), Domains: ds}
}

// askAs asks as a subject and returns the answer's rows, or the error.
func (r *rig) askAs(s weft.Subject, sql string) (string, error) {
	r.t.Helper()
	ans, err := r.node.Backend().Querier.Query(context.Background(), weft.Question{SQL: sql, Subject: s})
	if err != nil {
		return "", err
	}
	defer func() { _ = ans.Close() }()
	rows, err := serve.Collect(ans, 100)
	if err != nil {
		return "", err
	}
	var out []string
	for _, row := range rows.Rows {
		out = append(out, string(row[0]))
	}
	return strings.Join(out, " "), nil
}

// TestReadersOfPorts: each output port has its own readers, and a question, the
// page, the history and the owner's work all keep to them.
func TestReadersOfPorts(t *testing.T) {
	r := newRig(t)
	r.tills("active", "finance")
	r.apply("tills", serve.OutcomeCommitted)
	name := mustName(t, "sales.tills")
	for _, c := range []struct {
		who         weft.Subject
		tills, priv bool
	}{
		{ofDomain("sales"), true, true},
		{ofDomain(weft.AllDomains), true, true},
		{ofDomain("finance"), true, false},
		{ofDomain("places", "finance"), true, false},
		{ofDomain("places"), false, false},
		{ofDomain(), false, false},
		{weft.ProductSubject(mustName(t, "finance.report")), true, false},
	} {
		for table, may := range map[string]bool{"tills": c.tills, "staff": c.priv} {
			_, err := r.askAs(c.who, "SELECT count(*) FROM sales.tills."+table)
			if may && err != nil || !may && weft.KindOf(err) != weft.KindDenied {
				t.Errorf("%s asks for %s: %v", c.who.ID, table, err)
			}
			if !may && !strings.Contains(weft.HintOf(err), "ask Sales team (https://chat.example.com/sales) to add") {
				t.Errorf("%s is not told whom to ask: %q", c.who.ID, weft.HintOf(err))
			}
			// A denied table is denied through every way to name it.
			for _, sql := range []string{
				"SELECT 1 FROM sales.\"tills." + table + "\"", "WITH x AS (SELECT * FROM sales.tills." + table + ") SELECT count(*) FROM x",
				"SELECT (SELECT count(*) FROM sales.tills." + table + ")", "SELECT count(*) FROM sales.tills." + table + " AT (VERSION => 2)",
			} {
				if _, err := r.askAs(c.who, sql); !may && weft.KindOf(err) != weft.KindDenied {
					t.Errorf("%s: %q: %v", c.who.ID, sql, err)
				}
			}
		}
		r.seesPage(c.who, c.tills, c.priv)
		_, err := r.node.History(t.Context(), c.who, name, 0, 10)
		if (err == nil) != (c.tills || c.priv) {
			t.Errorf("%s asks for the history: %v", c.who.ID, err)
		}
		owns := slices.Contains(c.who.Domains, "sales") || slices.Contains(c.who.Domains, weft.AllDomains)
		if _, err := r.node.Quarantine(t.Context(), c.who, name, 1, weft.At{}); (err == nil) != owns {
			t.Errorf("%s asks for what is held back: %v", c.who.ID, err)
		}
		if _, err := r.node.Pause(t.Context(), c.who, name); !owns && weft.KindOf(err) != weft.KindDenied {
			t.Errorf("%s pauses: %v", c.who.ID, err)
		}
	}
}

// seesPage holds that the page of the product shows who's rows the subject may read,
// and no value of the others.
func (r *rig) seesPage(who weft.Subject, public, private bool) {
	r.t.Helper()
	d, err := r.node.Show(r.t.Context(), who, mustName(r.t, "sales.tills"))
	if err != nil {
		r.t.Fatal(err)
	}
	for i, may := range []bool{public, private} {
		s := d.Schema[i]
		seen := s.Sample != nil || s.Rows > 0 || s.Columns[0].Stats != nil || len(s.Checks) > 0
		if seen != may || (s.Closed == "") != may || len(s.Columns) != 1 {
			r.t.Errorf("%s sees %s: %+v", who.ID, s.Name, s)
		}
	}
	if d.Head == nil {
		r.t.Errorf("%s sees no head", who.ID)
		return
	}
	for _, k := range d.Head.Verdict.Checks {
		if !private && strings.Contains(k.Text, "Ann") {
			r.t.Errorf("%s sees %q", who.ID, k.Text)
		}
	}
	if d.Folder != "" && !of(who, "sales") {
		r.t.Errorf("%s sees where the folder is: %s", who.ID, d.Folder)
	}
}

// TestDraftsAreHidden: what is not offered yet looks to other domains like what is
// not there.
func TestDraftsAreHidden(t *testing.T) {
	r := newRig(t)
	r.tills("draft", `"*"`)
	r.apply("tills", serve.OutcomeCommitted)
	finance, name := ofDomain("finance"), mustName(t, "sales.tills")
	_, err := r.askAs(finance, "SELECT * FROM sales.tills")
	_, none := r.askAs(finance, "SELECT * FROM sales.tillz")
	if weft.KindOf(err) != weft.KindNotFound || strings.ReplaceAll(err.Error(), "tills", "tillz") != none.Error() || weft.HintOf(err) != weft.HintOf(none) {
		t.Errorf("a draft: %v (%s); none: %v (%s)", err, weft.HintOf(err), none, weft.HintOf(none))
	}
	if _, err := r.node.Show(t.Context(), finance, name); weft.KindOf(err) != weft.KindNotFound {
		t.Error(err)
	}
	if _, err := r.node.Pause(t.Context(), finance, name); weft.KindOf(err) != weft.KindNotFound {
		t.Error(err)
	}
	if list, err := r.node.List(t.Context(), finance); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	if got, err := r.askAs(ofDomain("sales"), "SELECT count(*) FROM sales.tills"); err != nil || got != "2" {
		t.Errorf("%s %v", got, err)
	}
	r.restart() // what is told by the books says the same
	if list, err := r.node.List(t.Context(), finance); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
}

// TestInputOfAnotherDomain: a product may read another domain's only where that lets
// it, its state says so, and the owner is told whom a change cuts off.
func TestInputOfAnotherDomain(t *testing.T) {
	r := newRig(t)
	open := shop
	closed := strings.Replace(shop, ", customProperties: [{property: weftReaders, value: [insights]}]", "", 1)
	if closed == open {
		t.Fatal("the folder has no readers")
	}
	state := func(want weft.State) func() bool {
		return func() bool {
			d, err := r.node.Show(t.Context(), tester, mustName(t, "insights.sums"))
			return err == nil && d.State == want
		}
	}
	r.write(closed + sums)
	r.apply("shop", serve.OutcomeCommitted)
	res := r.apply("sums", serve.OutcomeRefused)
	if !strings.Contains(res.Message, "read the input shop: ") || !strings.Contains(res.Message, "only its own domain sales may read it, not a subject of insights") {
		t.Errorf("%s", res.Message)
	}
	st, err := r.node.Status(t.Context(), tester)
	if err != nil || st.Products[0].State != weft.StateRefused || !strings.Contains(st.Products[0].Todo, `to add insights to weftReaders of output port "shop" of sales.shop`) {
		t.Errorf("%+v %v", st.Products[0], err)
	}
	r.write(open)
	r.apply("shop", serve.OutcomeApplied)
	r.eventually("it reads once it may", state(weft.StateFresh))
	r.want("SELECT orders FROM insights.sums", "3")

	r.write(closed)
	cut, err := r.node.Apply(t.Context(), tester, serve.ApplyRequest{Archive: r.pack("shop"), DryRun: true}, nil)
	if err != nil || cut.Outcome != serve.OutcomeBreaks || !slices.ContainsFunc(cut.Differences, func(d serve.Difference) bool {
		return d.Breaking && d.What == "reader cut off" && d.Before == "insights.sums"
	}) {
		t.Errorf("%+v %v", cut, err)
	}
	r.write(strings.Replace(open, "status: active", "status: draft", 1))
	cut, err = r.node.Apply(t.Context(), tester, serve.ApplyRequest{Archive: r.pack("shop"), DryRun: true}, nil)
	if err != nil || !slices.ContainsFunc(cut.Differences, func(d serve.Difference) bool { return d.What == "reader cut off" }) {
		t.Errorf("a draft cuts nobody off: %+v %v", cut, err)
	}
	r.write(closed)
	r.eventually("nothing was changed", state(weft.StateFresh))
	r.apply("shop", serve.OutcomeApplied)
	r.eventually("it is refused at once", state(weft.StateRefused))
	r.want("SELECT orders FROM insights.sums", "3") // what it made stays
}

// TestTokensOfDomains: a token is of the node's domains or of those that it names.
func TestTokensOfDomains(t *testing.T) {
	r := newRigWith(t, func(c *Config) { c.Domains = []string{"sales", "insights"} })
	r.tills("active", "finance")
	r.apply("tills", serve.OutcomeCommitted)
	b := r.node.Backend()
	for name, c := range map[string]struct {
		domains    []string
		want       []string
		may, apply bool
	}{
		"node": {nil, []string{"sales", "insights"}, true, true}, "other": {[]string{"finance", "places"}, []string{"finance", "places"}, false, false},
		"one": {[]string{"sales"}, []string{"sales"}, true, true},
	} {
		tok, err := b.Tokens.CreateToken(t.Context(), tester, serve.TokenRequest{Name: name, Scopes: []serve.Scope{serve.ScopeRead, serve.ScopeApply}, Domains: c.domains})
		if err != nil || !slices.Equal(tok.Domains, c.domains) {
			t.Fatal(tok, err)
		}
		who, err := b.Tokens.Authenticate(t.Context(), tok.Token)
		if err != nil || !slices.Equal(who.Subject.Domains, c.want) {
			t.Fatalf("%+v %v", who, err)
		}
		if _, err := r.askAs(who.Subject, "SELECT * FROM sales.tills.staff"); (err == nil) != c.may {
			t.Errorf("%s: %v", name, err)
		}
		_, err = b.Owner.Apply(t.Context(), who.Subject, serve.ApplyRequest{Archive: r.pack("tills"), DryRun: true}, nil)
		if (err == nil) != c.apply {
			t.Errorf("%s applies: %v", name, err)
		}
	}
	local, err := b.Tokens.Authenticate(t.Context(), r.node.Token())
	if err != nil || !slices.Equal(local.Subject.Domains, []string{"sales", "insights"}) {
		t.Errorf("%+v %v", local, err)
	}
	_, err = b.Tokens.CreateToken(t.Context(), tester, serve.TokenRequest{Name: "boss", Scopes: []serve.Scope{serve.ScopeAdmin}, Domains: []string{"sales"}})
	if weft.KindOf(err) != weft.KindInvalid {
		t.Errorf("an administrator of one domain: %v", err)
	}
	list, err := b.Tokens.ListTokens(t.Context(), tester)
	if err != nil || len(list) != 3 || !slices.Equal(list[2].Domains, []string{"finance", "places"}) {
		t.Errorf("%+v %v", list, err)
	}
}
