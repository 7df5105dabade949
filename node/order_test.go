package node

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weft"
	"weft/records"
	"weft/serve"
)

// ends fails where f takes so long that it must be waiting for itself.
func ends(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		panic(what + " waits for ever") // with all stacks
	}
}

// TestLocksHaveOneOrder does at once whatever takes more than one lock: changes of
// two products of which one reads the other, and all that looks at them.
func TestLocksHaveOneOrder(t *testing.T) {
	r := newRigWith(t, func(c *Config) { c.IdleAfter, c.IdleOpen = time.Nanosecond, 1 })
	r.write(shop + sums)
	r.apply("shop", serve.OutcomeCommitted)
	r.apply("sums", serve.OutcomeCommitted)
	first := map[string][]byte{"shop": r.pack("shop"), "sums": r.pack("sums")}
	r.write(strings.ReplaceAll("-- shop/product.odps.yaml --"+between(shop, "-- shop/product.odps.yaml --", "-- shop/source")+
		"-- sums/product.odps.yaml --"+between(sums, "-- sums/product.odps.yaml --", "-- sums/sums.odcs"), "nvented", "magined"))
	second := map[string][]byte{"shop": r.pack("shop"), "sums": r.pack("sums")}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	again := func(f func()) {
		wg.Go(func() {
			for ctx.Err() == nil {
				f()
			}
		})
	}
	for range 2 {
		again(func() { _, _ = r.node.List(ctx, tester) })
		again(func() { r.node.states() })
		again(func() { r.node.tails() })
		again(func() { _, _ = r.node.Show(ctx, tester, mustName(t, "sales.shop")) })
		again(func() { _, _ = r.node.History(ctx, tester, mustName(t, "insights.sums"), 0, 5) })
	}
	again(func() {
		_, _ = r.node.Pause(ctx, tester, mustName(t, "sales.shop"))
		_, _ = r.node.Resume(ctx, tester, mustName(t, "sales.shop"))
	})
	for _, name := range []string{"shop", "sums"} {
		wg.Go(func() {
			for i := range 4 {
				archive := first[name]
				if i%2 == 0 {
					archive = second[name]
				}
				if _, err := r.node.Apply(t.Context(), tester, serve.ApplyRequest{Archive: archive, Dir: filepath.Join(r.dir, name)}, nil); err != nil &&
					weft.KindOf(err) != weft.KindConflict { // of another load, or of the pause
					t.Error(err)
				}
			}
			stop()
		})
	}
	ends(t, "the node", wg.Wait)
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

// TestSlowApplyHoldsUpNobody holds that the node answers while the store of a
// product that is applied takes its time.
func TestSlowApplyHoldsUpNobody(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	p, err := r.node.find(mustName(t, "sales.shop"))
	if err != nil {
		t.Fatal(err)
	}
	p.spot.mu.Lock() // as while it is recovered
	r.write("-- shop/readme.md --\nother\n")
	req := serve.ApplyRequest{Archive: r.pack("shop"), Dir: filepath.Join(r.dir, "shop")}
	done := make(chan error, 1)
	go func() {
		_, err := r.node.Apply(t.Context(), tester, req, nil)
		done <- err
	}()
	r.eventually("the apply waits for the store", func() bool {
		if p.changing.TryLock() {
			p.changing.Unlock()
			return false
		}
		return true
	})
	ends(t, "the list of products", func() { r.node.Applied() })
	other := newProduct(r.node, records.Product{Name: mustName(t, "sales.other"), ID: newID()})
	ends(t, "another product", func() { r.node.put(other) })
	p.spot.mu.Unlock()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestFailedFirstApply holds that a first apply whose store cannot be made can be
// done again.
func TestFailedFirstApply(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	data := r.node.cfg.path("products")
	if err := os.Rename(data, data+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(data, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	req := serve.ApplyRequest{Archive: r.pack("shop"), Dir: filepath.Join(r.dir, "shop")}
	if _, err := r.node.Apply(t.Context(), tester, req, nil); err == nil {
		t.Fatal("there is no room for its store, and it was applied")
	}
	if s := r.state("sales.shop"); s.State != weft.StateUnreachable || s.LastError == "" {
		t.Errorf("status says %+v", s)
	}
	if err := os.Remove(data); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(data+".away", data); err != nil {
		t.Fatal(err)
	}
	r.apply("shop", serve.OutcomeCommitted)
	r.want("SELECT count(*) FROM sales.shop", "3")
	list, err := r.node.History(t.Context(), tester, mustName(t, "sales.shop"), 0, 10)
	if err != nil || len(list) != 2 || list[1].Cause != weft.CauseApply {
		t.Errorf("its history is %+v, %v", list, err)
	}
}

// TestFaultyFolderIsMendedByApply holds that a product whose applied folder this
// Weft finds faults in is not stuck with it.
func TestFaultyFolderIsMendedByApply(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	good := r.pack("shop")
	p, err := r.node.find(mustName(t, "sales.shop"))
	if err != nil {
		t.Fatal(err)
	}
	rec := p.record()
	r.write("-- shop/shop.odcs.yaml --\napiVersion: v3.1.0\nkind: DataContract\nid: sales.shop/shop\nversion: 1.0.0\nstatus: active\nschema: [{name: shop, properties: [{name: id, logicalType: wrong}]}]\n")
	f, faults, err := readArchive(r.pack("shop"))
	if err != nil || f == nil || len(faults) == 0 {
		t.Fatal("the folder has no faults", f, err)
	}
	rec.Folder = f.Hash
	if err := r.node.books.PutProduct(t.Context(), rec, r.pack("shop")); err != nil {
		t.Fatal(err)
	}
	r.restart()
	if _, err := r.node.History(t.Context(), tester, rec.Name, 0, 1); weft.KindOf(err) != weft.KindConflict {
		t.Fatal("the faulty folder was taken:", err)
	}
	res, err := r.node.Apply(t.Context(), tester, serve.ApplyRequest{Archive: good, Dir: filepath.Join(r.dir, "shop")}, nil)
	if err != nil || res.New || res.Outcome != serve.OutcomeApplied {
		t.Fatalf("%+v, %v", res, err)
	}
	r.want("SELECT count(*) FROM sales.shop", "3")
}

// TestWokenLoadsWaitOutside holds that products whose load waits for its turn are
// not open meanwhile: of thousands that wake at once, few are.
func TestWokenLoadsWaitOutside(t *testing.T) {
	r := newRigWith(t, func(c *Config) { c.IdleAfter = time.Nanosecond })
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	p, err := r.node.find(mustName(t, "sales.shop"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.node.loads.Acquire(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	p.wake(weft.CauseLoad)
	r.eventually("it waits for its turn, closed", func() bool {
		p.mu.Lock()
		busy := p.busy
		p.mu.Unlock()
		return busy && !r.down("sales.shop")
	})
	r.node.loads.Release(1)
	r.refresh("sales.shop", serve.OutcomeUnchanged)
}

// TestPauseDuringRollback holds that a pause that comes while a rollback is
// prepared is kept.
func TestPauseDuringRollback(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	r.csv("1,pen,1.50")
	r.refresh("sales.shop", serve.OutcomeCommitted)
	name := mustName(t, "sales.shop")
	p, err := r.node.find(name)
	if err != nil {
		t.Fatal(err)
	}
	p.changing.Lock()
	done := make(chan error, 1)
	go func() { _, err := r.node.Rollback(t.Context(), tester, name, 2); done <- err }()
	r.eventually("it is prepared", func() bool {
		es, err := os.ReadDir(r.node.cfg.path("stage"))
		return err == nil && len(es) > 0
	})
	p.mu.Lock()
	p.rec.Paused = true
	p.mu.Unlock()
	if err := r.node.books.SetPaused(t.Context(), p.record().ID, true); err != nil {
		t.Fatal(err)
	}
	p.changing.Unlock()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if s := r.state("sales.shop"); s.State != weft.StatePaused || s.Rows != 3 {
		t.Errorf("it is %+v", s)
	}
	r.restart()
	if s := r.state("sales.shop"); s.State != weft.StatePaused {
		t.Errorf("after a start it is %+v", s)
	}
}

// TestRollbackAndRetireAreFollowed holds that schedule and watch follow the folder
// that a rollback brings back, and leave a retired product alone.
func TestRollbackAndRetireAreFollowed(t *testing.T) {
	r := newRig(t)
	unscheduled := strings.Replace(shop, "slaProperties: [{property: frequency, value: 1, unit: d}]\n", "", 1)
	r.write(unscheduled)
	r.apply("shop", serve.OutcomeCommitted)
	r.write(strings.ReplaceAll(unscheduled, "data/shop.csv", "data/other.csv"))
	r.apply("shop", serve.OutcomeApplied)
	name := mustName(t, "sales.shop")
	p, err := r.node.find(name)
	if err != nil {
		t.Fatal(err)
	}
	patterns := func() []string {
		r.node.watch.mu.Lock()
		defer r.node.watch.mu.Unlock()
		return r.node.watch.of[p].files
	}
	first := filepath.Join(r.dir, "shop/data/shop.csv")
	if slices.Contains(patterns(), first) {
		t.Fatal("the file of the folder before is watched")
	}
	if _, err := r.node.Rollback(t.Context(), tester, name, 2); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(patterns(), first) {
		t.Errorf("after the rollback %v are watched", patterns())
	}
	if _, err := r.node.Retire(t.Context(), tester, name); err != nil {
		t.Fatal(err)
	}
	if len(patterns()) > 0 {
		t.Errorf("a retired product is watched: %v", patterns())
	}
	p.mu.Lock()
	next := p.next
	p.mu.Unlock()
	if wait := next.Sub(r.node.env.Clock.Now()); wait < tendEvery-time.Minute {
		t.Errorf("a retired product is looked at in %s", wait)
	}
	r.node.work.stop()
	_, err = r.node.Rollback(t.Context(), tester, name, 2)
	for _, err := range []error{err, r.node.Delete(t.Context(), tester, name, name.String())} {
		if weft.KindOf(err) != weft.KindUnavailable || !strings.Contains(err.Error(), "stopping") {
			t.Errorf("a node that stops says %v", err)
		}
	}
}
