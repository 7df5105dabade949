package meter

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weft"
	"weft/records"
	"weft/run"
)

// fakeClock is a clock that a test moves.
type fakeClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *fakeClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// rig is a meter with its books and a clock.
type rig struct {
	*Meter
	t     *testing.T
	clock *fakeClock
	books *records.Books
	path  string
}

func newRig(t *testing.T, rules ...Rule) *rig {
	t.Helper()
	if err := CheckRules(rules); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, clock: &fakeClock{at: time.Date(2026, 3, 1, 10, 0, 30, 0, time.UTC)}, path: filepath.Join(t.TempDir(), "books.db")}
	r.open(rules)
	t.Cleanup(func() { _ = r.books.Close() })
	return r
}

func (r *rig) open(rules []Rule) {
	r.t.Helper()
	var err error
	if r.books, err = records.Open(r.t.Context(), r.path); err != nil {
		r.t.Fatal(err)
	}
	env := run.Quiet()
	env.Clock = r.clock
	r.Meter = New(Config{Rules: rules, Books: r.books, Env: env})
	if err := r.Open(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// restart stops cleanly, or as a killed process does, and starts again.
func (r *rig) restart(clean bool, rules ...Rule) {
	r.t.Helper()
	if clean {
		if err := r.Flush(context.Background()); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := r.books.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.open(rules)
}

var (
	orders = weft.Name{Domain: "sales", Product: "orders"}
	lines  = weft.Name{Domain: "sales", Product: "lines"}
	stores = weft.Name{Domain: "places", Product: "stores"}
	nodeA  = weft.KeyID{1}
	nodeB  = weft.KeyID{2}
)

func who(id string, domains ...string) Consumer {
	return Consumer{Kind: weft.SubjectPerson, Subject: id, Domains: domains}
}

func from(node weft.KeyID, c Consumer) Consumer {
	c.Node, c.NodeName = node, "node of "+node.Short()
	return c
}

func reads(n weft.Name, rows int64) []Read { return []Read{{n, rows, rows * 100}} }

func mustWho(text string) Who {
	w, err := ParseWho(text)
	if err != nil {
		panic(err)
	}
	return w
}

// step is one thing that happens.
type step struct {
	after   time.Duration // on the clock, before it
	who     Consumer
	reads   []Read
	seconds float64 // that it takes
	keep    bool    // it goes on running
	end     int     // the question of that step, from 1, ends
	fails   bool    // it fails before it began
	refused string  // part of the refusal; empty where it is let in
	wait    time.Duration
}

// TestRules holds what each kind of rule lets in.
func TestRules(t *testing.T) {
	ann, bob := who("ann", "sales"), who("bob", "places", "sales")
	for _, c := range []struct {
		name  string
		rule  Rule
		steps []step
	}{
		{"rows of each subject", Rule{For: mustWho("*"), Per: time.Hour, Rows: 100}, []step{
			{who: ann, reads: reads(orders, 60)},
			{who: bob, reads: reads(orders, 60)},
			{
				who: ann, reads: reads(orders, 60), wait: 60*time.Minute + 30*time.Second,
				refused: `under the budget "* per 1h": it takes about 60 rows, and of 100 rows per 1h 60 rows are used and 40 rows left`,
			},
			{who: ann, reads: reads(orders, 40)},
			{after: 60 * time.Minute, who: ann, reads: reads(orders, 1), refused: "0 rows left", wait: 30 * time.Second},
			{after: 30 * time.Second, who: ann, reads: reads(orders, 100)},
		}},
		{"one subject, whatever it is", Rule{For: mustWho("subject:ann"), Per: time.Hour, Rows: 100}, []step{
			{who: ann, reads: reads(orders, 100)},
			{who: ann, reads: reads(orders, 1), refused: "subject:ann"},
			{who: bob, reads: reads(orders, 1000)},
			{who: Consumer{Kind: weft.SubjectService, Subject: "ann"}, reads: reads(orders, 100)},
		}},
		{"one subject of a kind", Rule{For: mustWho("subject:service ann"), Per: time.Hour, Rows: 100}, []step{
			{who: ann, reads: reads(orders, 1000)},
			{who: Consumer{Kind: weft.SubjectService, Subject: "ann"}, reads: reads(orders, 101), refused: "never fits"},
		}},
		{"the same subject at two nodes is two", Rule{For: mustWho("*"), Per: time.Hour, Rows: 100}, []step{
			{who: ann, reads: reads(orders, 100)},
			{who: from(nodeA, ann), reads: reads(orders, 100)},
			{who: from(nodeB, ann), reads: reads(orders, 100)},
			{who: from(nodeA, ann), reads: reads(orders, 1), refused: "0 rows left"},
		}},
		{"a node, all its subjects together", Rule{For: mustWho("node:" + nodeA.String()), Per: time.Hour, Rows: 100}, []step{
			{who: from(nodeA, ann), reads: reads(orders, 60)},
			{who: from(nodeA, bob), reads: reads(orders, 60), refused: "40 rows left"},
			{who: from(nodeB, bob), reads: reads(orders, 600)},
			{who: bob, reads: reads(orders, 600)},
		}},
		{"a node by its name", Rule{For: mustWho("node:node of " + nodeA.Short()), Per: time.Hour, Rows: 100}, []step{
			{who: from(nodeA, ann), reads: reads(orders, 101), refused: "never fits"},
			{who: from(nodeB, ann), reads: reads(orders, 101)},
		}},
		{"each node by itself, and not this one", Rule{For: mustWho("node:*"), Per: time.Hour, Rows: 100}, []step{
			{who: from(nodeA, ann), reads: reads(orders, 60)},
			{who: from(nodeB, ann), reads: reads(orders, 60)},
			{who: from(nodeA, bob), reads: reads(orders, 60), refused: "40 rows left"},
			{who: ann, reads: reads(orders, 600)},
		}},
		{"a domain, wherever its subjects ask", Rule{For: mustWho("domain:sales"), Per: time.Hour, Rows: 100}, []step{
			{who: ann, reads: reads(orders, 60)},
			{who: from(nodeA, bob), reads: reads(orders, 60), refused: "40 rows left"},
			{who: who("cid", "places"), reads: reads(orders, 600)},
			{who: who("operator", weft.AllDomains), reads: reads(orders, 600)},
		}},
		{"each domain by itself", Rule{For: mustWho("domain:*"), Per: time.Hour, Rows: 100}, []step{
			{who: ann, reads: reads(orders, 60)},
			{who: who("cid", "places"), reads: reads(orders, 60)},
			{who: bob, reads: reads(orders, 60), refused: "40 rows left"},
		}},
		{"all but some", Rule{For: mustWho("*"), Except: []Who{mustWho("domain:places")}, Per: time.Hour, Rows: 100}, []step{
			{who: ann, reads: reads(orders, 101), refused: "never fits"},
			{who: bob, reads: reads(orders, 600)},
		}},
		{"of one product", Rule{For: mustWho("*"), Products: []Scope{Scope(orders)}, Per: time.Hour, Rows: 100}, []step{
			{who: ann, reads: append(reads(orders, 100), reads(stores, 5000)...)},
			{who: ann, reads: reads(stores, 5000)},
			{who: ann, reads: reads(lines, 5000)},
			{who: ann, reads: reads(orders, 1), refused: `"* on sales.orders per 1h"`},
			{who: ann},
		}},
		{"of a domain's products", Rule{For: mustWho("*"), Products: []Scope{{"sales", "*"}}, Per: time.Hour, Rows: 100}, []step{
			{who: ann, reads: reads(stores, 5000)},
			{who: ann, reads: append(reads(orders, 60), reads(lines, 60)...), refused: "it takes about 120 rows"},
		}},
		{"bytes", Rule{For: mustWho("*"), Per: 24 * time.Hour, Bytes: 10_000}, []step{
			{who: ann, reads: reads(orders, 60)},
			{who: ann, reads: reads(orders, 60), refused: "it takes about 5.9 KiB, and of 9.8 KiB per 1d 5.9 KiB are used and 3.9 KiB left", wait: 24*time.Hour + 24*time.Minute - 30*time.Second - 10*time.Hour%(24*time.Minute)},
		}},
		{"seconds are what questions took before", Rule{For: mustWho("*"), Per: time.Hour, Seconds: 10}, []step{
			{who: ann, reads: reads(orders, 1000), seconds: 4},
			{who: ann, reads: reads(orders, 1000), seconds: 4},
			{who: ann, reads: reads(orders, 1000), refused: "it takes about 4 s, and of 10 s per 1h 8 s are used and 2 s left"},
			{who: bob, reads: reads(orders, 2000), seconds: 8},
		}},
		{"at once", Rule{For: mustWho("*"), Concurrent: 2}, []step{
			{who: ann, keep: true},
			{who: ann, keep: true},
			{who: ann, refused: `under the budget "*": 2 of 2 questions at once run already`, wait: time.Second},
			{who: bob},
			{end: 1},
			{who: ann, keep: true},
			{who: ann, refused: "2 of 2"},
			{end: 2},
			{end: 6},
			{after: 999 * time.Hour, who: ann},
		}},
		{"what runs is reserved", Rule{For: mustWho("*"), Per: time.Hour, Rows: 100}, []step{
			{who: ann, reads: reads(orders, 60), keep: true},
			{who: ann, reads: reads(orders, 60), refused: "60 rows are used and 40 rows left", wait: time.Hour},
			{who: ann, reads: reads(orders, 40), keep: true},
			{end: 1},
			{end: 3},
			{who: ann, reads: reads(orders, 1), refused: "0 rows left"},
		}},
		{"what never began has read nothing", Rule{For: mustWho("*"), Per: time.Hour, Rows: 100}, []step{
			{who: ann, reads: reads(orders, 100), fails: true},
			{who: ann, reads: reads(orders, 100)},
		}},
		{"used piece by piece, free piece by piece", Rule{For: mustWho("*"), Per: time.Hour, Rows: 100}, []step{
			{who: ann, reads: reads(orders, 50)},
			{after: 20 * time.Minute, who: ann, reads: reads(orders, 50)},
			{who: ann, reads: reads(orders, 60), refused: "0 rows left", wait: 60*time.Minute + 30*time.Second},
			{who: ann, reads: reads(orders, 50), refused: "0 rows left", wait: 40*time.Minute + 30*time.Second},
			{after: 40*time.Minute + 30*time.Second, who: ann, reads: reads(orders, 50)},
			{who: ann, reads: reads(orders, 1), refused: "0 rows left", wait: 20 * time.Minute},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.rule)
			running := map[int]*Ticket{}
			for i, s := range c.steps {
				r.clock.add(s.after)
				if s.end > 0 {
					running[s.end].Done(Used{Began: true})
					running[s.end].Done(Used{Began: true}) // counts once
					continue
				}
				r.step(t, i+1, s, running)
			}
			for _, a := range r.rules[0].accounts {
				if a.running != 0 || a.reserved != (Price{}) || len(a.ends) != 0 {
					t.Errorf("nothing runs, and %s holds %+v of %d", a.key, a.reserved, a.running)
				}
			}
		})
	}
}

// step asks, and holds that the answer and the quote before say the same.
func (r *rig) step(t *testing.T, n int, s step, running map[int]*Ticket) {
	t.Helper()
	ask := Ask{Consumer: s.who, Text: fmt.Sprint(s.reads), Reads: s.reads}
	q := r.Quote(ask)
	k, err := r.Admit(ask)
	if fmt.Sprint(q.Refusal) != fmt.Sprint(err) {
		t.Errorf("step %d: the quote said %v, and then came %v", n, q.Refusal, err)
	}
	if s.refused != "" {
		switch {
		case weft.KindOf(err) != weft.KindLimit || weft.HintOf(err) == "":
			t.Errorf("step %d: %v of kind %s", n, err, weft.KindOf(err))
		case !strings.Contains(err.Error()+" "+weft.HintOf(err), s.refused):
			t.Errorf("step %d: the refusal is %q, %q", n, err, weft.HintOf(err))
		case s.wait != 0 && weft.AfterOf(err) != s.wait:
			t.Errorf("step %d: it is free in %s, not %s", n, weft.AfterOf(err), s.wait)
		}
		return
	}
	if err != nil {
		t.Errorf("step %d: %v", n, err)
		return
	}
	if s.keep {
		running[n] = k
		return
	}
	k.Done(Used{Began: !s.fails, Seconds: s.seconds})
}

// TestLongestRefusal holds that of several rules the one is named that lasts longest,
// and that a rule with room does not hide one without.
func TestLongestRefusal(t *testing.T) {
	r := newRig(t,
		Rule{Name: "hour", For: mustWho("*"), Per: time.Hour, Rows: 100},
		Rule{Name: "day", For: mustWho("domain:sales"), Per: 24 * time.Hour, Rows: 150},
		Rule{Name: "once", For: mustWho("*"), Concurrent: 1},
		Rule{Name: "never", For: mustWho("*"), Products: []Scope{Scope(stores)}, Per: time.Hour, Rows: 10},
	)
	ask := Ask{Consumer: who("ann", "sales"), Reads: reads(orders, 100)}
	k, err := r.Admit(ask)
	if err != nil {
		t.Fatal(err)
	}
	k.Done(Used{Began: true})
	for _, c := range []struct {
		reads []Read
		want  string
	}{
		{reads(orders, 50), `"hour"`},
		{reads(orders, 51), `"day"`},
		{append(reads(orders, 51), reads(stores, 11)...), `"never"`},
	} {
		ask.Reads = c.reads
		if _, err := r.Admit(ask); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v", err)
		}
	}
	q := r.Quote(ask)
	if len(q.Rules) != 4 || q.Rules[0].Fits || q.Rules[0].Left.Rows != 0 || !q.Rules[2].Fits || q.Rules[1].Left.Rows != 50 || q.Rules[1].Account != "sales" {
		t.Errorf("%+v", q.Rules)
	}
}

// TestRestart holds that a clean stop loses nothing, that a budget with another limit
// goes on with what was used, and that one for others does not.
func TestRestart(t *testing.T) {
	rule := Rule{For: mustWho("*"), Per: time.Hour, Rows: 100}
	r := newRig(t, rule)
	ask := Ask{Consumer: who("ann", "sales"), Text: "t", Reads: reads(orders, 60)}
	use := func() {
		t.Helper()
		k, err := r.Admit(ask)
		if err != nil {
			t.Fatal(err)
		}
		k.Done(Used{Began: true, Seconds: 2, GivenRows: 7, GivenBytes: 70})
	}
	full := func(want bool) {
		t.Helper()
		if _, err := r.Admit(ask); (err != nil) != want {
			t.Errorf("full is %v, want %v", err, want)
		}
	}
	use()
	full(true)
	r.restart(true, rule)
	full(true)
	if s := r.pace.predict("", 6000); s != 2 {
		t.Errorf("a question of that size takes %v s", s)
	}
	more := rule
	more.Rows = 200
	r.SetRules(t.Context(), []Rule{more})
	use()
	r.SetRules(t.Context(), []Rule{rule})
	full(true)
	other := rule
	other.For = mustWho("domain:sales")
	r.SetRules(t.Context(), []Rule{other})
	use()
	full(true)
	r.SetRules(t.Context(), []Rule{rule, other})
	full(true)
	r.SetRules(t.Context(), []Rule{rule}) // the books know it from before
	full(true)
	r.clock.add(61 * time.Minute)
	r.restart(true, rule)
	full(false)
	got, err := r.books.Usage(t.Context(), records.UsageQuery{By: records.ByConsumer})
	if err != nil || len(got) != 1 || got[0].Questions != 3 || got[0].Rows != 180 || got[0].Seconds != 6 || got[0].GivenRows != 21 || got[0].Refused == 0 {
		t.Errorf("%+v %v", got, err)
	}
	if spent, err := r.books.Spent(t.Context(), r.clock.Now()); err != nil || len(spent) != 0 {
		t.Errorf("%+v %v", spent, err)
	}
}

// TestRunningAcrossReload holds that a question that runs while the rules change is
// given back to where it came from.
func TestRunningAcrossReload(t *testing.T) {
	rule := Rule{For: mustWho("*"), Per: time.Hour, Concurrent: 1, Rows: 1000}
	r := newRig(t, rule)
	ask := Ask{Consumer: who("ann"), Reads: reads(orders, 10)}
	k, err := r.Admit(ask)
	if err != nil {
		t.Fatal(err)
	}
	rule.Concurrent = 2
	r.SetRules(t.Context(), []Rule{rule})
	k2, err := r.Admit(ask)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Admit(ask); err == nil {
		t.Error("three run under a budget for two")
	}
	r.SetRules(t.Context(), nil)
	k.Done(Used{Began: true})
	k2.Done(Used{Began: true})
	r.SetRules(t.Context(), []Rule{rule})
	q := r.Quote(ask)
	if q.Rules[0].Running != 0 || q.Rules[0].Used.Rows != 20 {
		t.Errorf("%+v", q.Rules[0])
	}
}

// failing are books that cannot be written for a while.
type failing struct {
	*records.Books
	err error
}

func (f *failing) PutMetered(ctx context.Context, m records.Metered, now time.Time) error {
	if f.err != nil {
		return f.err
	}
	return f.Books.PutMetered(ctx, m, now)
}

// TestFlushFails holds that nothing is lost, and nothing counted twice, where the
// books cannot be written for a while.
func TestFlushFails(t *testing.T) {
	rule := Rule{For: mustWho("*"), Per: time.Hour, Rows: 1000}
	r := newRig(t, rule)
	books := &failing{r.books, errors.New("the disk is full")}
	r.Meter.books = books
	ask := Ask{Consumer: who("ann"), Reads: reads(orders, 10)}
	for i := range 6 {
		k, err := r.Admit(ask)
		if err != nil {
			t.Fatal(err)
		}
		k.Done(Used{Began: true, Seconds: 1})
		if err := r.Flush(t.Context()); (err != nil) != (books.err != nil) {
			t.Error(err)
		}
		if i == 3 {
			books.err = nil
		}
	}
	r.restart(true, rule)
	if q := r.Quote(ask); q.Rules[0].Used != (Price{60, 6000, 6}) {
		t.Errorf("%+v", q.Rules[0].Used)
	}
	got, err := r.books.Usage(t.Context(), records.UsageQuery{By: records.ByProduct})
	if err != nil || len(got) != 1 || got[0].Rows != 60 || got[0].Questions != 6 {
		t.Errorf("%+v %v", got, err)
	}
}

// TestBounded holds that made up names fill neither memory nor books.
func TestBounded(t *testing.T) {
	r := newRig(t, Rule{For: mustWho("*"), Per: time.Hour, Rows: 1_000_000_000})
	r.ledger.most = 300
	for i := range maxAccounts + 500 {
		k, err := r.Admit(Ask{Consumer: who(fmt.Sprint("made up ", i)), Reads: reads(orders, 1)})
		if err != nil {
			t.Fatal(err)
		}
		k.Done(Used{Began: true})
	}
	for i := range 100 {
		c := who("made up 1")
		c.Purpose = fmt.Sprint("purpose ", i)
		r.Book(Ask{Consumer: c, Reads: reads(orders, 1)}).Done(Used{Began: true})
	}
	if n := len(r.rules[0].accounts); n > maxAccounts+1 {
		t.Errorf("%d accounts", n)
	}
	if u := r.rules[0].accounts[others].window.sum.Rows; u != 500 {
		t.Errorf("the others have used %d", u)
	}
	if n := len(r.ledger.known); n > r.ledger.most+maxPurposes+2 {
		t.Errorf("%d entries of one day", n)
	}
	if n := len(r.ledger.purposes); n > r.ledger.most+2 {
		t.Errorf("%d consumers", n)
	}
	r.clock.add(2 * time.Hour)
	if _, err := r.Admit(Ask{Consumer: who("new")}); err != nil || len(r.rules[0].accounts) > 2 {
		t.Errorf("%v; %d accounts are kept of an hour that is over", err, len(r.rules[0].accounts))
	}
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, err := r.books.Usage(t.Context(), records.UsageQuery{By: records.ByProduct})
	if err != nil || len(all) != 1 || all[0].Rows != maxAccounts+600 {
		t.Errorf("%+v %v", all, err)
	}
}

// TestRaces asks, books, flushes and changes the rules at the same time; in the end
// everything is given back and counted.
func TestRaces(t *testing.T) {
	rules := []Rule{
		{For: mustWho("*"), Per: time.Hour, Rows: 1 << 40, Concurrent: 1000},
		{For: mustWho("domain:*"), Per: time.Hour, Seconds: 1e9},
		{For: mustWho("node:*"), Per: time.Hour, Rows: 500},
	}
	r := newRig(t, rules...)
	var wg, background sync.WaitGroup
	stop := make(chan struct{})
	background.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			r.SetRules(t.Context(), rules[:2+i%2])
			if err := r.Flush(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	const each = 300
	for g := range 8 {
		wg.Go(func() {
			for i := range each {
				c := who(fmt.Sprint("subject ", i%5), "sales")
				if g%2 == 0 {
					c = from(nodeA, c)
				}
				r.Quote(Ask{Consumer: c})
				k, err := r.Admit(Ask{Consumer: c, Text: fmt.Sprint(i), Reads: reads(orders, 1)})
				if err != nil {
					continue // the rule for nodes
				}
				k.Done(Used{Began: true, Seconds: 0.001})
			}
		})
	}
	wg.Wait()
	close(stop)
	background.Wait()
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := r.books.Usage(t.Context(), records.UsageQuery{By: records.ByProduct})
	if err != nil || len(got) != 1 || got[0].Questions+got[0].Refused != 8*each || got[0].Rows != got[0].Questions {
		t.Errorf("%+v %v", got, err)
	}
	for _, rs := range r.rules {
		for _, a := range rs.accounts {
			if a.running != 0 || len(a.ends) != 0 {
				t.Errorf("%s of %s still has %d", a.key, rs.Label(), a.running)
			}
		}
	}
}

// BenchmarkAdmit is what it costs a question to be let in and booked, with a node's
// fill of rules.
func BenchmarkAdmit(b *testing.B) {
	var rules []Rule
	for i := range 16 {
		rules = append(rules, Rule{Name: fmt.Sprint(i), For: []Who{mustWho("*"), mustWho("domain:sales"), mustWho("node:*"), mustWho("subject:ann")}[i%4], Per: time.Hour * time.Duration(i+1), Rows: 1 << 60, Bytes: 1 << 60, Seconds: 1e18, Concurrent: 1000})
	}
	books, err := records.Open(b.Context(), filepath.Join(b.TempDir(), "books.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = books.Close() }()
	m := New(Config{Rules: rules, Books: books, Env: run.Quiet()})
	ask := Ask{Consumer: from(nodeA, who("ann", "sales")), Text: "0123456789abcdef", Reads: reads(orders, 1000)}
	for b.Loop() {
		k, err := m.Admit(ask)
		if err != nil {
			b.Fatal(err)
		}
		k.Done(Used{Began: true, Seconds: 0.001})
	}
}
