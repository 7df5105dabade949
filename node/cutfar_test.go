package node

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weft"
	"weft/records"
	"weft/serve"
)

// holding is the shop, whose owner lets another domain hold its history.
var holding = strings.Replace(shop, "value: [insights]}", "value: [insights]}, {property: weftHolds, value: {domains: [insights], for: 2h}}", 1)

// TestCutsOverTheMesh saves cuts of another node's product, by its newest state, a time and
// a token; finds one by its hash there; and says when the origin is away.
func TestCutsOverTheMesh(t *testing.T) {
	p := newPair(t, nil)
	p.origin.write(shop)
	p.origin.apply("shop", serve.OutcomeCommitted)
	p.heard("sales.shop")
	there := p.origin.save(serve.SaveCutRequest{Name: "there"}, "sales.shop")
	then := time.Now().UTC().Format(time.RFC3339Nano)
	here := p.asker.save(serve.SaveCutRequest{Name: "here"}, "sales.shop")
	if here.Token != there.Token || here.Hash != there.Hash {
		t.Errorf("%s here and %s there", here.Token, there.Token)
	}
	p.origin.change(8)
	later := p.asker.save(serve.SaveCutRequest{Name: "later"}, "sales.shop")
	if later.Points[0].Seq <= here.Points[0].Seq {
		t.Errorf("the newest is %s", later.Text)
	}
	if d := p.asker.save(serve.SaveCutRequest{Name: "then", At: then}, "sales.shop"); d.Text != here.Text || d.AsOf == nil {
		t.Errorf("then it was %s", d.Text)
	}
	if d := p.asker.save(serve.SaveCutRequest{Name: "copy", At: there.Token}); d.Hash != there.Hash {
		t.Errorf("the copy is %+v", d)
	}
	if x := p.asker.look(there.Token).Points[0]; x.State != serve.PointReadable || x.ID == "" || x.Newest <= x.Seq || x.Node == "" {
		t.Errorf("%+v", x)
	}

	// A hash is found where the answer came from, and kept from then on.
	long := longCut(300)
	p.origin.node.keepCut(t.Context(), long)
	for range 2 {
		d, err := cutDoor{p.asker.node}.Cut(t.Context(), tester, long.Token(), false)
		if err != nil || d.Hash != long.Ref() || len(d.Points) != 300 {
			t.Fatalf("%+v, %v", d, err)
		}
	}
	if c, err := p.asker.node.books.Whole(t.Context(), long.Ref()); err != nil || c.Ref() != long.Ref() {
		t.Error("it is not kept: ", err)
	}
	if _, err := (cutDoor{p.asker.node}).Cut(t.Context(), tester, weft.RefToken(weft.Hash{9}), false); weft.KindOf(err) != weft.KindNotFound {
		t.Error(err)
	}

	p.origin.stop()
	if x := p.asker.look("here").Points[0]; x.State != serve.PointAway || x.Problem == "" {
		t.Errorf("the origin is away: %+v", x)
	}
	if _, err := p.asker.trySave(serve.SaveCutRequest{Name: "away"}, "sales.shop"); weft.KindOf(err) != weft.KindUnavailable {
		t.Error(err)
	}
	p.origin.start()
	p.asker.eventually("it is back", func() bool { return p.asker.look("here").Points[0].State == serve.PointReadable })
}

// longCut is a cut of n products of nowhere.
func longCut(n int) weft.Cut {
	var c weft.Cut
	for i := range n {
		c = append(c, weft.Point{
			Product: weft.Name{Domain: "far", Product: fmt.Sprintf("away_%d", i)}, ID: "x", Incarnation: 1, Seq: 3, Hash: sha256.Sum256([]byte{byte(i), byte(i >> 8)}),
			Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		})
	}
	return c
}

// TestSkewOverTheMesh: what another node's product was made from is asked of it.
func TestSkewOverTheMesh(t *testing.T) {
	p := newPair(t, nil)
	p.origin.write(shop)
	p.origin.apply("shop", serve.OutcomeCommitted)
	p.heard("sales.shop")
	p.asker.write(strings.Replace(sums, "type: tables}", "type: tables, customProperties: [{property: weftReaders, value: [sales]}]}", 1))
	p.asker.apply("sums", serve.OutcomeCommitted)
	if _, err := p.asker.node.Pause(t.Context(), tester, mustName(t, "insights.sums")); err != nil {
		t.Fatal(err)
	}
	p.origin.change(6)
	p.origin.eventually("the origin knows of the sums", func() bool { _, ok := p.origin.node.cat.Get(mustName(t, "insights.sums")); return ok })
	for _, r := range []*rig{p.origin, p.asker} {
		d := r.save(serve.SaveCutRequest{Name: "newest", Newest: true}, "sales.shop", "insights.sums")
		if len(d.Warnings) != 1 || d.Warnings[0].Product.String() != "sales.shop" {
			t.Errorf("%+v", d.Warnings)
		}
		d = r.save(serve.SaveCutRequest{Name: "fits"}, "sales.shop", "insights.sums")
		if len(d.Warnings) > 0 || len(d.Notes) != 1 || d.Points[1].Product.String() != "sales.shop" || d.Points[1].Seq == d.Points[1].Newest {
			t.Errorf("%+v", d)
		}
		r.node.made.known = nil // as after a restart
		if d := r.look("newest"); len(d.Warnings) != 1 {
			t.Errorf("%+v", d.Warnings)
		}
	}
}

// TestHoldsWantConsent: another domain holds history only where the owner lets it, as long
// as that says; the owner sees and ends it.
func TestHoldsWantConsent(t *testing.T) {
	p := newPair(t, nil)
	p.origin.write(shop)
	p.origin.apply("shop", serve.OutcomeCommitted)
	p.heard("sales.shop")
	_, err := p.asker.trySave(serve.SaveCutRequest{Name: "held", Hold: true}, "sales.shop")
	if weft.KindOf(err) != weft.KindDenied || !strings.Contains(weft.HintOf(err), "weftHolds") {
		t.Fatalf("without consent: %v (%s)", err, weft.HintOf(err))
	}
	if _, err := p.asker.node.books.SavedCut(t.Context(), "held"); weft.KindOf(err) != weft.KindNotFound {
		t.Error("what could not be held is saved")
	}
	p.origin.write(holding)
	p.origin.apply("shop", serve.OutcomeApplied)
	d := p.asker.save(serve.SaveCutRequest{Name: "held", Hold: true, For: 86400}, "sales.shop")
	if x := d.Points[0]; !x.Held || x.Until == nil || time.Until(*x.Until) > 2*time.Hour || time.Until(*x.Until) < time.Hour {
		t.Fatalf("%+v", x)
	}
	holds, err := cutDoor{p.origin.node}.Holds(t.Context(), tester)
	if err != nil || len(holds) != 1 || holds[0].By != tester.ID || holds[0].For != "held" || holds[0].Expires == nil || holds[0].Node == "" {
		t.Fatalf("%+v, %v", holds, err)
	}
	if got := p.stored(); got != 1 {
		t.Fatalf("the store has %d holds", got)
	}
	// Who asks can let go of it, and somebody else cannot.
	if _, err := p.origin.node.askPeerAs(p.asker.node, holds[0].Hold); weft.KindOf(err) != weft.KindNotFound {
		t.Errorf("another node lets go of it: %v", err)
	}
	if err := (cutDoor{p.asker.node}).DropCut(t.Context(), tester, "held"); err != nil {
		t.Fatal(err)
	}
	if p.stored() != 0 {
		t.Error("a dropped cut still holds")
	}
	// Its owner can.
	p.asker.save(serve.SaveCutRequest{Name: "again", Hold: true}, "sales.shop")
	holds, _ = cutDoor{p.origin.node}.Holds(t.Context(), tester)
	stranger := weft.Subject{Kind: weft.SubjectPerson, ID: "x", Domains: []string{"insights"}}
	if err := (cutDoor{p.origin.node}).DropHold(t.Context(), stranger, mustName(t, "sales.shop"), holds[0].Hold); weft.KindOf(err) != weft.KindDenied {
		t.Errorf("no owner ends it: %v", err)
	}
	if err := (cutDoor{p.origin.node}).DropHold(t.Context(), tester, mustName(t, "sales.shop"), holds[0].Hold); err != nil {
		t.Fatal(err)
	}
	if x := p.asker.look("again").Points[0]; x.Held || !strings.Contains(x.Problem, "ended the hold") {
		t.Errorf("%+v", x)
	}
	// Its time ends it, and a restart does not.
	p.asker.save(serve.SaveCutRequest{Name: "short", Hold: true}, "sales.shop")
	p.origin.restart()
	if p.stored() != 1 {
		t.Error("a restart has ended a hold")
	}
	all, err := p.origin.node.books.Holds(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	all[0].Expires = time.Now().Add(-time.Second)
	if err := p.origin.node.books.PutHold(t.Context(), all[0]); err != nil {
		t.Fatal(err)
	}
	p.origin.node.endHolds(t.Context())
	if p.stored() != 0 {
		t.Error("its time has not ended a hold")
	}
}

// stored counts what the origin's store of the shop holds.
func (p *pair) stored() int {
	p.t.Helper()
	x, err := p.origin.node.find(mustName(p.t, "sales.shop"))
	if err != nil {
		p.t.Fatal(err)
	}
	release, err := x.hold(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	defer release()
	return len(x.store.Holds())
}

// askPeerAs asks another node to let go of a hold that is not of this one.
func (n *Node) askPeerAs(other *Node, hold string) ([]byte, error) {
	return n.askPeer(context.Background(), other.mesh.Self(), http.MethodDelete, "/holds", url.Values{"product": {"sales.shop"}, "hold": {hold}}, nil)
}

// TestHoldsAreBounded: a node cannot fill an owner's list.
func TestHoldsAreBounded(t *testing.T) {
	r := newRig(t)
	r.write(holding)
	r.apply("shop", serve.OutcomeCommitted)
	p, err := r.node.find(mustName(t, "sales.shop"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := p.points(t.Context(), tester, pointAsk{limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	at := list.Points[0]
	asker := weft.KeyID{7}
	for i := range maxHoldsOf {
		err := r.node.books.PutHold(t.Context(), records.Hold{ID: p.record().ID, Product: p.name(), Point: at.Point, Name: fmt.Sprint("h", i), Node: asker, For: fmt.Sprint("h", i)})
		if err != nil {
			t.Fatal(err)
		}
	}
	q := holdAsk{Product: p.name(), Incarnation: at.Incarnation, Seq: at.Seq, Hash: at.Hash, Cut: "more"}
	s := weft.Subject{Domains: []string{"insights"}}
	if _, err := r.node.giveHold(t.Context(), s, asker, q); weft.KindOf(err) != weft.KindLimit {
		t.Errorf("one more than the bound: %v", err)
	}
	if _, err := r.node.giveHold(t.Context(), s, weft.KeyID{8}, q); err != nil {
		t.Errorf("another node: %v", err)
	}
	q.Hash[0]++
	if _, err := r.node.giveHold(t.Context(), s, weft.KeyID{9}, q); weft.KindOf(err) != weft.KindConflict {
		t.Errorf("of another chain: %v", err)
	}
	if _, err := r.node.giveHold(t.Context(), weft.Subject{Domains: []string{"places"}}, weft.KeyID{8}, q); weft.KindOf(err) != weft.KindDenied {
		t.Errorf("who may not read: %v", err)
	}
}

// TestPointListIsChecked: what another node says of its products is held against what it
// was asked and what is known.
func TestPointListIsChecked(t *testing.T) {
	name := mustName(t, "sales.shop")
	at := weft.Point{Product: name, ID: "id", Incarnation: 1, Seq: 5, Hash: weft.Hash{1}, Time: time.Unix(100, 0).UTC()}
	far := &foreign{name: name, id: "id", head: &weft.CardHead{Point: at}}
	one := func(change func(*madePoint)) *pointList {
		m := madePoint{Point: at, Rows: at}
		change(&m)
		return &pointList{Points: []madePoint{m}}
	}
	same := func(*madePoint) {}
	bySeq := pointAsk{ref: weft.CutRef{Seq: 5, HashPrefix: []byte{1}}}
	for what, x := range map[string]struct {
		l  *pointList
		q  pointAsk
		ok bool
	}{
		"right":             {one(same), bySeq, true},
		"a list":            {one(same), pointAsk{limit: 5}, true},
		"by time":           {one(same), pointAsk{time: at.Time}, true},
		"after the time":    {one(same), pointAsk{time: at.Time.Add(-1)}, false},
		"nothing":           {&pointList{}, bySeq, false},
		"too many":          {&pointList{Points: make([]madePoint, maxPoints+1)}, pointAsk{}, false},
		"another product":   {one(func(m *madePoint) { m.Product.Product = "other" }), bySeq, false},
		"another id":        {one(func(m *madePoint) { m.ID = "other" }), bySeq, false},
		"another commit":    {one(func(m *madePoint) { m.Seq = 4 }), bySeq, false},
		"another hash":      {one(func(m *madePoint) { m.Hash = weft.Hash{2} }), bySeq, false},
		"not as its head":   {one(func(m *madePoint) { m.Hash = weft.Hash{1, 1} }), bySeq, false},
		"rows of later":     {one(func(m *madePoint) { m.Rows.Seq = 6 }), bySeq, false},
		"rows of another":   {one(func(m *madePoint) { m.Rows.Product.Product = "other" }), bySeq, false},
		"made from nothing": {one(func(m *madePoint) { m.From = []weft.Point{{}} }), bySeq, false},
		"made from itself":  {one(func(m *madePoint) { m.From = []weft.Point{at} }), bySeq, false},
		"out of order":      {one(same), pointAsk{before: 5}, false},
	} {
		if err := x.l.check(far, x.q); (err == nil) != x.ok {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestOtherBytesForAHash: a node that gives other bytes than those that a hash is of is not
// believed.
func TestOtherBytesForAHash(t *testing.T) {
	r := newRig(t)
	long := longCut(200)
	for name, body := range map[string]string{
		"another cut": string(longCut(201).Whole()), "nothing": "", "noise": "weft cut 1\nx\n", "too much": strings.Repeat("x", maxCutReply+1),
	} {
		r.node.far = &oneBody{body}
		if c := r.node.askCut(t.Context(), weft.KeyID{1}, long.Ref()); c != nil {
			t.Errorf("%s: it was believed: %s", name, c)
		}
	}
	r.node.far = &oneBody{string(long.Whole())}
	if c := r.node.askCut(t.Context(), weft.KeyID{1}, long.Ref()); c.Ref() != long.Ref() {
		t.Error("the right bytes are not")
	}
}

// oneBody is a mesh in which every answer is the same.
type oneBody struct{ body string }

func (o *oneBody) find(weft.Name) (*foreign, error) { return nil, nil }
func (o *oneBody) client(weft.KeyID) *http.Client   { return &http.Client{Transport: o} }
func (o *oneBody) domainsOf(weft.KeyID) []string    { return nil }
func (o *oneBody) own() []string                    { return nil }
func (o *oneBody) reached(weft.KeyID) bool          { return true }
func (o *oneBody) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(o.body))}, nil
}

// FuzzPoints reads any bytes as what a node says of a product: they are refused, or name
// states of that product in order.
func FuzzPoints(f *testing.F) {
	name := weft.Name{Domain: "sales", Product: "shop"}
	at := weft.Point{Product: name, ID: "id", Incarnation: 1, Seq: 5, Hash: weft.Hash{1}, Time: time.Unix(100, 0).UTC()}
	b, err := json.Marshal(pointList{Points: []madePoint{{Point: at, Rows: at, From: []weft.Point{{Product: weft.Name{Domain: "a", Product: "b"}, Seq: 2}}}}, Oldest: 1, Newest: 7})
	if err != nil {
		f.Fatal(errors.New("no seed"))
	}
	f.Add(b, uint64(5), uint64(0))
	f.Add(b, uint64(0), uint64(9))
	f.Fuzz(func(t *testing.T, b []byte, seq, before uint64) {
		var l pointList
		if json.Unmarshal(b, &l) != nil {
			return
		}
		q := pointAsk{ref: weft.CutRef{Seq: weft.Seq(seq)}, before: weft.Seq(before)}
		if l.check(&foreign{name: name, id: "id"}, q) != nil {
			return
		}
		last := q.before
		for _, p := range l.Points {
			if p.Product != name || p.Seq == 0 || seq == 0 && last > 0 && p.Seq >= last {
				t.Fatalf("%+v was taken", l)
			}
			last = p.Seq
		}
	})
}

// FuzzCutAsks reads any bytes as what another node asks about cuts.
func FuzzCutAsks(f *testing.F) {
	f.Add("seq=5&incarnation=1&hash=0102", []byte(`{"product":"sales.shop","incarnation":1,"seq":5,"hash":"`+strings.Repeat("01", 32)+`","cut":"one","by":"ann","for":60}`))
	f.Add("time=2026-03-01T12:00:00Z&before=3&limit=100", []byte(`{}`))
	f.Fuzz(func(t *testing.T, query string, body []byte) {
		name := weft.Name{Domain: "sales", Product: "shop"}
		if v, err := url.ParseQuery(query); err == nil {
			if q, err := readPointAsk(v, name); err == nil {
				again, err := readPointAsk(q.values(), name)
				if err != nil || again.ref.Seq != q.ref.Seq || again.before != q.before || !again.time.Equal(q.time) || len(q.ref.HashPrefix) > 32 {
					t.Fatalf("%q: %+v, and then %+v: %v", query, q, again, err)
				}
			}
		}
		q, err := readHoldAsk(strings.NewReader(string(body)))
		if err == nil && (q.Seq == 0 || q.Seconds < 0 || q.Product.IsZero()) {
			t.Fatalf("%+v was taken", q)
		}
	})
}

// TestQuestionsAtCutsOverTheMesh asks over the mesh at a saved cut, a token, a hash and a
// time: the rows are those of then, after commits, folds and restarts, and a restored or
// forked origin is noticed.
func TestQuestionsAtCutsOverTheMesh(t *testing.T) {
	p := newPair(t, nil)
	p.origin.write(shop)
	p.origin.apply("shop", serve.OutcomeCommitted)
	p.heard("sales.shop")
	const all = "SELECT count(*) FROM sales.shop"
	then := time.Now()
	p.asker.save(serve.SaveCutRequest{Name: "then"}, "sales.shop")
	_, cut, _, err := p.asker.door(all, "")
	if err != nil {
		t.Fatal(err, weft.HintOf(err))
	}
	kept := filepath.Join(t.TempDir(), "kept")
	if _, err := p.origin.node.Backup(t.Context(), tester, serve.BackupRequest{Dir: kept}, nil); err != nil {
		t.Fatal(err)
	}
	p.origin.change(9)
	p.origin.fold("sales.shop")
	lost := p.asker.save(serve.SaveCutRequest{Name: "lost"}, "sales.shop")
	whole := weft.Cut(append(longCut(100), cut[0]))
	p.origin.node.keepCut(t.Context(), whole)
	for _, at := range []string{"then", cut.Token(), whole.Token(), then.UTC().Format(time.RFC3339Nano)} {
		p.asker.wantAt(all, at, "3", 0)
	}
	_, at, _, err := p.asker.door(all, then.UTC().Format(time.RFC3339Nano))
	if err != nil || at.Token() != cut.Token() || !at.AsOf().Equal(then) {
		t.Errorf("%s as of %s, want %s: %v", at, at.AsOf(), cut, err)
	}
	p.asker.wantAt(all, "", "9", 0)
	p.origin.restart()
	p.asker.eventually("the origin is back", func() bool { _, _, _, err := p.asker.door(all, "lost"); return err == nil })
	p.asker.wantAt(all, "then", "3", 0)

	p.origin.stop()
	_, _, _, err = p.asker.door(all, "then")
	if weft.KindOf(err) != weft.KindUnavailable {
		t.Errorf("the origin is away: %v", err)
	}
	p.origin.restores(kept)
	p.asker.eventually("the origin is back", func() bool { _, _, _, err := p.asker.door(all, "then"); return err == nil })
	p.asker.wantAt(all, "then", "3", 0)
	_, _, _, err = p.asker.door(all, lost.Token)
	if weft.KindOf(err) != weft.KindConflict || !strings.Contains(err.Error(), "restored at") {
		t.Errorf("the origin was restored: %v", err)
	}
	if x := p.asker.look("lost").Points[0]; x.State != serve.PointOther {
		t.Errorf("%+v", x)
	}
}

// TestSkewInQuestionsOverTheMesh: a question over two nodes has a warning where their
// products do not fit, and none at a saved cut.
func TestSkewInQuestionsOverTheMesh(t *testing.T) {
	p := newPair(t, nil)
	p.origin.write(shop)
	p.origin.apply("shop", serve.OutcomeCommitted)
	p.heard("sales.shop")
	p.asker.write(sums)
	p.asker.apply("sums", serve.OutcomeCommitted)
	if _, err := p.asker.node.Pause(t.Context(), tester, mustName(t, "insights.sums")); err != nil {
		t.Fatal(err)
	}
	p.origin.change(6)
	p.asker.save(serve.SaveCutRequest{Name: "fits"}, "sales.shop", "insights.sums")
	p.asker.wantAt(both, "", "6,3", 1)
	p.asker.wantAt(both, "fits", "3,3", 0)
	if _, err := p.asker.node.Resume(t.Context(), tester, mustName(t, "insights.sums")); err != nil {
		t.Fatal(err)
	}
	p.asker.eventually("sums follow", func() bool { rows, _, _, err := p.asker.door(both, ""); return err == nil && rows == "6,6" })
	p.asker.wantAt(both, "", "6,6", 0)
	p.asker.wantAt(both, "fits", "3,3", 0)
}

// TestHeldOverTheMesh: what another node's owner holds stays readable from here past its
// retention, and what nobody holds is gone, with the oldest that there is.
func TestHeldOverTheMesh(t *testing.T) {
	p := newPair(t, func(c *Config) { c.KeepFor = time.Millisecond })
	p.origin.write(holding)
	p.origin.apply("shop", serve.OutcomeCommitted)
	p.heard("sales.shop")
	const all = "SELECT count(*) FROM sales.shop"
	p.asker.save(serve.SaveCutRequest{Name: "held", Hold: true}, "sales.shop")
	for n := range 3 {
		p.origin.change(n + 10)
		p.origin.fold("sales.shop")
	}
	p.asker.wantAt(all, "held", "3", 0)
	if err := (cutDoor{p.asker.node}).DropCut(t.Context(), tester, "held"); err != nil {
		t.Fatal(err)
	}
	p.asker.save(serve.SaveCutRequest{Name: "free"}, "sales.shop")
	for n := range 3 {
		p.origin.change(n + 20)
		p.origin.fold("sales.shop")
	}
	_, _, _, err := p.asker.door(all, "free")
	if weft.KindOf(err) != weft.KindGone || !strings.Contains(err.Error(), "the oldest of sales.shop is #") {
		t.Errorf("past its retention: %v", err)
	}
	if x := p.asker.look("free").Points[0]; x.State != serve.PointGone || x.Oldest == 0 || x.Newest < x.Oldest {
		t.Errorf("%+v", x)
	}
}
