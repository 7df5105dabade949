package node

import (
	"bytes"
	"context"
	"os"
	"sync"
	"testing"

	"weft"
	"weft/serve"
)

// TestDeleteWhileUsed deletes a product while a load of it waits for its turn,
// others are queued, and an answer is being read: each of them is told, nothing
// comes back, and the name is free.
func TestDeleteWhileUsed(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	name := mustName(t, "sales.shop")
	p, err := r.node.find(name)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := r.node.loads.Acquire(ctx, 1); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if res, err := r.node.Refresh(ctx, tester, name, serve.RefreshRequest{Wait: true}, nil); err == nil {
				t.Errorf("a load of a deleted product ended well: %+v", res)
			}
		})
	}
	r.eventually("the load waits for its turn", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.busy && len(p.asked) == 2
	})
	ans, err := r.node.reader.Query(ctx, weft.Question{SQL: "SELECT s.*, r.range FROM sales.shop s, range(100000) r", Subject: tester})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.node.Delete(ctx, tester, name, name.String()); err != nil {
		t.Fatal(err)
	}
	r.node.loads.Release(1)
	wg.Wait()
	var out bytes.Buffer
	_, _ = serve.Encode(&out, serve.FormatCSV, ans) // its files are gone: it may fail, and must not take the node with it
	_ = ans.Close()
	if _, err := os.Stat(r.node.cfg.productDir(p.record().ID)); !os.IsNotExist(err) {
		t.Error("its files are there:", err)
	}
	r.eventually("nothing uses it", func() bool {
		p.spot.mu.Lock()
		defer p.spot.mu.Unlock()
		return p.spot.users == 0 && p.store == nil
	})
	r.node.sched.at(p, r.node.env.Clock.Now()) // as a load does that ends late
	r.node.watch.set(p)
	r.node.sched.mu.Lock()
	_, due := r.node.sched.due[p]
	r.node.sched.mu.Unlock()
	if due {
		t.Error("a deleted product is looked at again")
	}
	for _, w := range r.node.watch.all() {
		if w == p {
			t.Error("a deleted product is watched")
		}
	}
	r.apply("shop", serve.OutcomeCommitted)
	r.want("SELECT count(*) FROM sales.shop", "3")
}

// TestDeleteAmongLoads deletes and applies a product again and again while others
// ask for loads and questions of it.
func TestDeleteAmongLoads(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	name := mustName(t, "sales.shop")
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, ask := range []func(){
		func() { _, _ = r.node.Refresh(ctx, tester, name, serve.RefreshRequest{Wait: true}, nil) },
		func() { _, _ = r.node.History(ctx, tester, name, 0, 10) },
		func() { _, _ = r.node.Rollback(ctx, tester, name, 1) },
		func() { _, _ = r.node.Pause(ctx, tester, name); _, _ = r.node.Resume(ctx, tester, name) },
		func() { _, _, _ = r.query("SELECT count(*) FROM sales.shop") },
	} {
		wg.Go(func() {
			for ctx.Err() == nil {
				ask()
			}
		})
	}
	for range 3 {
		if err := r.node.Delete(t.Context(), tester, name, name.String()); err != nil {
			t.Error(err)
		}
		if _, err := r.node.Apply(t.Context(), tester, serve.ApplyRequest{Archive: r.pack("shop"), Dir: r.dir + "/shop"}, nil); err != nil && weft.KindOf(err) != weft.KindConflict {
			t.Error(err)
		}
	}
	stop()
	wg.Wait()
}
