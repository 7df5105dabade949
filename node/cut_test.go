package node

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weft"
	"weft/serve"
)

// door asks a question as the doors do, and gives the rows, the cut and the warnings.
func (r *rig) door(sql, at string) (string, weft.Cut, []weft.Warning, error) {
	r.t.Helper()
	a, err := serve.ParseAt(at)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ans, err := (questions{r.node}).Query(ctx, weft.Question{SQL: sql, Subject: tester, At: a})
	if err != nil {
		return "", nil, nil, err
	}
	defer func() { _ = ans.Close() }()
	var b bytes.Buffer
	if _, err := serve.Encode(&b, serve.FormatCSV, ans); err != nil {
		return "", nil, nil, err
	}
	_, rows, _ := strings.Cut(strings.ReplaceAll(b.String(), "\r\n", "\n"), "\n")
	return strings.TrimSpace(rows), ans.Cut, serve.Warnings(ans), nil
}

// wantAt wants rows at a cut, and as many warnings of skew.
func (r *rig) wantAt(sql, at, want string, skew int) {
	r.t.Helper()
	got, _, warnings, err := r.door(sql, at)
	if err != nil {
		r.t.Fatalf("%s at %s: %v (%s)", sql, at, err, weft.HintOf(err))
	}
	if got != want || len(warnings) != skew {
		r.t.Fatalf("%s at %s\n got: %s, %+v\nwant: %s, %d warnings", sql, at, got, warnings, want, skew)
	}
}

// save saves a cut.
func (r *rig) save(q serve.SaveCutRequest, products ...string) *serve.CutDetail {
	r.t.Helper()
	d, err := r.trySave(q, products...)
	if err != nil {
		r.t.Fatalf("save %s: %v (%s)", q.Name, err, weft.HintOf(err))
	}
	return d
}

func (r *rig) trySave(q serve.SaveCutRequest, products ...string) (*serve.CutDetail, error) {
	for _, p := range products {
		q.Products = append(q.Products, mustName(r.t, p))
	}
	return cutDoor{r.node}.SaveCut(context.Background(), tester, q)
}

// look shows a cut as its owners see it now.
func (r *rig) look(what string) *serve.CutDetail {
	r.t.Helper()
	d, err := cutDoor{r.node}.Cut(context.Background(), tester, what, true)
	if err != nil {
		r.t.Fatalf("show %s: %v (%s)", what, err, weft.HintOf(err))
	}
	return d
}

// fold folds a product so that what retention lets go of goes.
func (r *rig) fold(name string) {
	r.t.Helper()
	p, err := r.node.find(mustName(r.t, name))
	if err != nil {
		r.t.Fatal(err)
	}
	release, err := p.hold(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	defer release()
	for range 2 { // what was rebased goes with the next fold
		if err := p.store.Compact(context.Background(), true); err != nil {
			r.t.Fatal(err)
		}
	}
}

// change gives the shop n items, and waits for the commit.
func (r *rig) change(n int) {
	r.t.Helper()
	var rows []string
	for i := range n {
		rows = append(rows, fmt.Sprintf("%d,item,%d.00", i+1, n))
	}
	r.csv(strings.Join(rows, "\n"))
	// A node that has just started reads by itself, too.
	if _, err := r.node.Refresh(context.Background(), tester, mustName(r.t, "sales.shop"), serve.RefreshRequest{Wait: true}, nil); err != nil {
		r.t.Fatal(err)
	}
	r.want("SELECT count(*), max(price) FROM sales.shop", fmt.Sprintf("%d,%d.00", n, n))
}

const fiveItems = "id,item,price\n1,item,5.00\n2,item,5.00\n3,item,5.00\n4,item,5.00\n5,item,5.00\n"

const both = "SELECT (SELECT count(*) FROM sales.shop), orders FROM insights.sums"

// skewed is a node with a shop of 5 items and sums that were made from 4.
func skewed(t *testing.T) *rig {
	r := newRig(t)
	r.write(shop + sums)
	r.apply("shop", serve.OutcomeCommitted)
	r.apply("sums", serve.OutcomeCommitted)
	r.change(4)
	r.eventually("sums follow", func() bool { return r.ask("SELECT orders FROM insights.sums") == "4" })
	if _, err := r.node.Pause(t.Context(), tester, mustName(t, "insights.sums")); err != nil {
		t.Fatal(err)
	}
	r.change(5)
	return r
}

// TestSkew: products made from one another at different speeds give a warning, and at a
// saved cut rows that fit.
func TestSkew(t *testing.T) {
	r := skewed(t)
	r.wantAt(both, "", "5,4", 1)
	_, cut, warnings, err := r.door(both, "")
	if err != nil || warnings[0].Kind != weft.WarnSkew || warnings[0].Product.String() != "sales.shop" || !strings.Contains(warnings[0].Message, "insights.sums was made from it at") {
		t.Fatalf("%+v, %v", warnings, err)
	}
	r.wantAt("SELECT count(*) FROM sales.shop", "", "5", 0)
	r.wantAt(both, cut.Token(), "5,4", 1) // the same cut, the same rows, and the same to be known of them

	d := r.save(serve.SaveCutRequest{Name: "fits"}, "sales.shop", "insights.sums")
	if len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "sales.shop") || len(d.Warnings) > 0 {
		t.Errorf("notes %q, warnings %+v", d.Notes, d.Warnings)
	}
	r.wantAt(both, "fits", "4,4", 0)
	r.wantAt(both, d.Token, "4,4", 0)
	if d := r.save(serve.SaveCutRequest{Name: "newest", Newest: true}, "sales.shop", "insights.sums"); len(d.Warnings) != 1 {
		t.Errorf("the newest fit: %+v", d)
	}
	r.wantAt(both, "newest", "5,4", 1)
	// Commits that change no rows make no skew: the folder is applied again.
	if _, err := r.node.Resume(t.Context(), tester, mustName(t, "insights.sums")); err != nil {
		t.Fatal(err)
	}
	r.eventually("sums follow", func() bool { return r.ask("SELECT orders FROM insights.sums") == "5" })
	r.write(strings.ReplaceAll(shop, "Invented orders.", "Invented orders again."))
	r.write("-- shop/data/shop.csv --\n" + fiveItems)
	r.apply("shop", serve.OutcomeApplied)
	r.wantAt(both, "", "5,5", 0)
}

// TestSameCutSameRows: what is committed, folded and restarted after a cut changes
// nothing of it, until retention ends it; then it is said how far back can be read. What
// is held stays.
func TestSameCutSameRows(t *testing.T) {
	r := newRigWith(t, func(c *Config) { c.KeepFor = time.Millisecond })
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	const all = "SELECT * FROM sales.shop ORDER BY id"
	before := r.ask(all)
	one := r.save(serve.SaveCutRequest{Name: "one", Hold: true}, "sales.shop")
	if !one.Points[0].Held || one.Points[0].Until != nil {
		t.Errorf("the own product is not held: %+v", one.Points)
	}
	r.change(9)
	r.wantAt(all, "one", before, 0)
	two := r.ask(all)
	r.save(serve.SaveCutRequest{Name: "two"}, "sales.shop")
	for n := range 4 {
		r.change(n + 10)
		r.fold("sales.shop")
	}
	r.restart()
	for _, at := range []string{"one", one.Token} {
		r.wantAt(all, at, before, 0)
	}
	r.wantAt(all, "two", two, 0)
	if d := r.look("one"); d.Points[0].State != serve.PointReadable || !d.Points[0].Held || d.Hash != one.Hash {
		t.Errorf("%+v", d)
	}
	holds, err := cutDoor{r.node}.Holds(t.Context(), tester)
	if err != nil || len(holds) != 1 || holds[0].For != "one" || holds[0].By != tester.ID {
		t.Fatalf("%+v, %v", holds, err)
	}
	if _, err := (cutDoor{r.node}).Cut(t.Context(), tester, "none", true); weft.KindOf(err) != weft.KindNotFound {
		t.Error(err)
	}
	if err := (cutDoor{r.node}).DropCut(t.Context(), tester, "one"); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		r.change(n + 20)
		r.fold("sales.shop")
	}
	_, _, _, err = r.door(all, "two")
	if weft.KindOf(err) != weft.KindGone || !strings.Contains(err.Error(), "the oldest of sales.shop is #") {
		t.Fatalf("past its retention: %v", err)
	}
	if p := r.look("two").Points[0]; p.State != serve.PointGone || p.Oldest == 0 || p.Newest < p.Oldest || p.Problem == "" {
		t.Errorf("%+v", p)
	}
	if _, err := r.trySave(serve.SaveCutRequest{Name: "late", At: one.Token}); weft.KindOf(err) != weft.KindGone {
		t.Errorf("a cut that is gone is saved: %v", err)
	}
}

// TestSavedCuts: names, times and tokens; and what is refused.
func TestSavedCuts(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	d := r.save(serve.SaveCutRequest{Name: "one"}, "sales.shop", "sales.shop")
	if len(d.Points) != 1 || d.Points[0].State != serve.PointUnknown || d.Hash == (weft.Hash{}) || !strings.HasPrefix(d.Token, "cut2_") {
		t.Errorf("%+v", d)
	}
	then := time.Now()
	r.change(7)
	at := r.save(serve.SaveCutRequest{Name: "then", At: then.UTC().Format(time.RFC3339Nano)}, "sales.shop")
	if at.AsOf == nil || !at.AsOf.Equal(then) || at.Text != d.Text {
		t.Errorf("%s as of %v, and it was %s", at.Text, at.AsOf, d.Text)
	}
	_, cut, _, err := r.door("SELECT * FROM sales.shop", then.UTC().Format(time.RFC3339Nano))
	if err != nil || !cut.AsOf().Equal(then) || cut.String() != d.Text {
		t.Errorf("%s as of %s: %v", cut, cut.AsOf(), err)
	}
	copied := r.save(serve.SaveCutRequest{Name: "copy", At: "one"})
	if copied.Token != d.Token {
		t.Error("a copy of a cut is another one")
	}
	for name, x := range map[string]struct {
		q    serve.SaveCutRequest
		p    []string
		kind weft.Kind
	}{
		"the name is taken":    {serve.SaveCutRequest{Name: "one"}, []string{"sales.shop"}, weft.KindConflict},
		"no name":              {serve.SaveCutRequest{Name: "2026"}, []string{"sales.shop"}, weft.KindInvalid},
		"a token as a name":    {serve.SaveCutRequest{Name: "cut2_x"}, []string{"sales.shop"}, weft.KindInvalid},
		"no product":           {serve.SaveCutRequest{Name: "x"}, nil, weft.KindInvalid},
		"no such product":      {serve.SaveCutRequest{Name: "x"}, []string{"sales.nothing"}, weft.KindNotFound},
		"not in the cut":       {serve.SaveCutRequest{Name: "x", At: "one"}, []string{"sales.nothing"}, weft.KindInvalid},
		"before the product":   {serve.SaveCutRequest{Name: "x", At: "2001-01-01"}, []string{"sales.shop"}, weft.KindNotFound},
		"after the newest":     {serve.SaveCutRequest{Name: "x", At: "sales.shop#99"}, nil, weft.KindNotFound},
		"a cut that there was": {serve.SaveCutRequest{Name: "x", At: "nothing"}, nil, weft.KindNotFound},
	} {
		if _, err := r.trySave(x.q, x.p...); weft.KindOf(err) != x.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	list, err := cutDoor{r.node}.Cuts(t.Context(), tester)
	if err != nil || len(list) != 3 || list[0].Name != "copy" {
		t.Errorf("%+v, %v", list, err)
	}
	// Whatever asks at a state takes the name: a plan, a price, a table as a file.
	q := weft.Question{SQL: "SELECT count(*) FROM sales.shop", Subject: tester, At: weft.At{Saved: "one"}}
	if plan, err := (doorQuestions{questions{r.node}}).Explain(t.Context(), q, true); err != nil || plan == nil {
		t.Errorf("a plan at a saved cut: %v", err)
	}
	if price, err := r.node.quote(t.Context(), q); err != nil || price.Cut != d.Token {
		t.Errorf("a price at a saved cut: %+v, %v", price, err)
	}
	q.At.Saved = "never"
	if _, err := r.node.quote(t.Context(), q); weft.KindOf(err) != weft.KindNotFound {
		t.Errorf("a price at no cut: %v", err)
	}
	other := weft.Subject{Kind: weft.SubjectPerson, ID: "other", Domains: []string{"insights"}}
	if err := (cutDoor{r.node}).DropCut(t.Context(), other, "one"); weft.KindOf(err) != weft.KindDenied {
		t.Errorf("somebody else drops it: %v", err)
	}
	if _, err := (questions{r.node}).Query(t.Context(), weft.Question{SQL: "SELECT 1", Subject: tester, At: weft.At{Saved: "tomorrow"}}); weft.KindOf(err) != weft.KindNotFound {
		t.Errorf("no such cut: %v", err)
	}
}

// TestRestoredAndForked: a cut of a commit that a backup does not have, and one of another
// chain of the same incarnation, are noticed and said.
func TestRestoredAndForked(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	const all = "SELECT count(*) FROM sales.shop"
	saved := r.save(serve.SaveCutRequest{Name: "saved", Hold: true}, "sales.shop")
	kept := filepath.Join(t.TempDir(), "kept")
	if _, err := r.node.Backup(t.Context(), tester, serve.BackupRequest{Dir: kept}, nil); err != nil {
		t.Fatal(err)
	}
	r.stop()
	data := filepath.Join(r.dir, ".weft")
	twin := &rig{t: t, dir: t.TempDir()}
	if err := os.CopyFS(filepath.Join(twin.dir, ".weft"), os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"token", "books.db"} {
		if err := os.Chmod(filepath.Join(twin.dir, ".weft", secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(twin.dir, "shop"), os.DirFS(filepath.Join(r.dir, "shop"))); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.change(6)
	lost := r.save(serve.SaveCutRequest{Name: "lost"}, "sales.shop")

	// A copy of the folder goes on by itself: its commit of that number is another one.
	twin.start()
	defer twin.stop()
	twin.write("-- shop/data/shop.csv --\nid,item,price\n1,other,1.00\n")
	if _, err := twin.node.Refresh(t.Context(), tester, mustName(t, "sales.shop"), serve.RefreshRequest{Wait: true}, nil); err != nil {
		t.Fatal(err)
	}
	_, _, _, err := twin.door(all, lost.Token)
	if weft.KindOf(err) != weft.KindConflict {
		t.Errorf("a fork: %v", err)
	}
	twin.wantAt(all, "saved", "3", 0)

	// The backup is put in its place.
	r.restores(kept)
	r.wantAt(all, "saved", "3", 0)
	r.wantAt(all, saved.Token, "3", 0)
	if p := r.look("saved").Points[0]; p.State != serve.PointReadable || !p.Held {
		t.Errorf("what was held before the restore is not: %+v", p)
	}
	_, _, _, err = r.door(all, lost.Token)
	if weft.KindOf(err) != weft.KindConflict || !strings.Contains(err.Error(), "restored at") {
		t.Errorf("after a restore: %v", err)
	}
	p := r.look(lost.Token).Points[0]
	if p.State != serve.PointOther || !strings.Contains(p.Problem, "restored at") || p.Newest == 0 {
		t.Errorf("%+v", p)
	}
	if slices.ContainsFunc(r.look("saved").Points, func(p serve.CutPoint) bool { return p.Problem != "" }) {
		t.Error("the cut of before has a problem")
	}
}
