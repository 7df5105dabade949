package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weft"
	"weft/serve"
	"weft/store"
)

// down says whether a product's store is open.
func (r *rig) down(name string) bool {
	r.t.Helper()
	p, err := r.node.find(mustName(r.t, name))
	if err != nil {
		r.t.Fatal(err)
	}
	p.spot.mu.Lock()
	defer p.spot.mu.Unlock()
	return p.store != nil
}

// TestIdleProductIsPutBack holds that a product that nobody uses is closed, that
// status says the same of it as before, and that the next question opens it.
func TestIdleProductIsPutBack(t *testing.T) {
	r := &rig{t: t, dir: t.TempDir(), tune: func(c *Config) { c.IdleAfter = time.Nanosecond }}
	r.start()
	// Without a schedule the source is read when it changes.
	r.write(strings.Replace(shop, "slaProperties: [{property: frequency, value: 1, unit: d}]\n", "", 1) + sums)
	r.apply("shop", serve.OutcomeCommitted)
	r.apply("sums", serve.OutcomeCommitted)
	before := r.state("sales.shop")
	r.eventually("an idle product is put back", func() bool { return !r.down("sales.shop") && !r.down("insights.sums") })
	for range 2 {
		after := r.state("sales.shop")
		if r.down("sales.shop") {
			t.Error("status opened the product")
		}
		if after.Seq != before.Seq || after.Rows != before.Rows || after.State != before.State || after.Purpose != before.Purpose ||
			!after.LastCommit.Equal(*before.LastCommit) || fmt.Sprint(after.Tables) != fmt.Sprint(before.Tables) || after.Owner != before.Owner {
			t.Errorf("closed, it is\n%+v\nopen, it was\n%+v", after, before)
		}
		p, _ := r.node.find(mustName(t, "sales.shop"))
		p.mu.Lock()
		p.seen = nil // so that the second round asks the manifest
		p.mu.Unlock()
	}
	r.want("SELECT count(*) FROM sales.shop", "3")
	r.csv("1,pen,1.50\n2,ink,8.25")
	r.eventually("a changed file wakes a product that is put back, and the one made from it", func() bool {
		return r.ask("SELECT count(*) FROM sales.shop") == "2" && r.ask("SELECT value FROM insights.sums") == "9.75"
	})
}

// TestStatusKnowsWhatTheManifestDoesNot holds that status is right after a node
// that had no time to fold: the journal is further than the manifest.
func TestStatusKnowsWhatTheManifestDoesNot(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	before := r.state("sales.shop")
	r.stop()
	n, err := New(r.config())
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = n.Close() }()
	list, err := n.List(context.Background(), tester)
	if err != nil || len(list) != 1 || list[0].Seq != before.Seq || list[0].Rows != before.Rows {
		t.Fatalf("status says %+v, %v; it was %+v", list, err, before)
	}
}

// TestChurn uses more products than stay open, all at once and at random: rows
// only ever grow, and every question sees a state that was committed.
func TestChurn(t *testing.T) {
	products, rounds := 5, 40
	if testing.Short() {
		rounds = 12
	}
	r := &rig{t: t, dir: t.TempDir(), tune: func(c *Config) { c.IdleAfter, c.IdleOpen, c.Loads = time.Nanosecond, 1, 2 }}
	r.start()
	rows := make([]int, products)
	write := func(i int) {
		var b strings.Builder
		b.WriteString("id,item,price\n")
		for k := range rows[i] {
			fmt.Fprintf(&b, "%d,thing,%d.50\n", k+1, k)
		}
		path := filepath.Join(r.dir, fmt.Sprintf("p%d", i), "data", fmt.Sprintf("p%d.csv", i))
		if err := os.WriteFile(path+".tmp", []byte(b.String()), 0o644); err != nil {
			t.Error(err)
		}
		if err := os.Rename(path+".tmp", path); err != nil {
			t.Error(err)
		}
	}
	for i := range products {
		name := fmt.Sprintf("p%d", i)
		r.write(strings.ReplaceAll(shop, "shop", name))
		rows[i] = 3
		r.apply(name, serve.OutcomeCommitted)
	}
	ctx := context.Background()
	var wg sync.WaitGroup
	for i := range products {
		name := mustName(t, fmt.Sprintf("sales.p%d", i))
		wg.Go(func() { // the only one who writes it
			for range rounds / 4 {
				rows[i]++
				write(i)
				if _, err := r.node.Refresh(ctx, tester, name, serve.RefreshRequest{Wait: true}, nil); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for w := range 3 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(7, uint64(w)))
			least := make([]int, products)
			for range rounds {
				i := rnd.IntN(products)
				name := mustName(t, fmt.Sprintf("sales.p%d", i))
				var err error
				switch rnd.IntN(4) {
				case 0:
					_, err = r.node.List(ctx, tester)
				case 1:
					_, err = r.node.History(ctx, tester, name, 0, 10)
				case 2:
					_, err = r.node.Quarantine(ctx, tester, name, 10, weft.At{})
				default:
					var text string
					text, _, err = r.query("SELECT count(*) FROM " + name.String())
					n := 0
					if _, scan := fmt.Sscan(text, &n); err == nil && scan != nil {
						err = scan
					}
					if err == nil && n < least[i] {
						t.Errorf("%s has %d rows, it had %d", name, n, least[i])
					}
					least[i] = max(least[i], n)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for i := range products {
		r.want(fmt.Sprintf("SELECT count(*) FROM sales.p%d", i), fmt.Sprint(rows[i]))
	}
	r.restart()
	for i := range products {
		r.want(fmt.Sprintf("SELECT count(*) FROM sales.p%d", i), fmt.Sprint(rows[i]))
	}
}

// TestFullDisk holds that intake stops while too little of the disk is free, that
// reading and folding go on, that it is said, and that intake resumes by itself.
func TestFullDisk(t *testing.T) {
	var free atomic.Int64
	free.Store(1 << 50)
	r := &rig{t: t, dir: t.TempDir(), tune: func(c *Config) { c.free = func(string) int64 { return free.Load() } }}
	r.start()
	r.write(strings.Replace(shop, "slaProperties: [{property: frequency, value: 1, unit: d}]\n", "", 1))
	r.apply("shop", serve.OutcomeCommitted)
	free.Store(0)
	ctx := context.Background()
	name := mustName(t, "sales.shop")
	refused := func(what string, err error) {
		t.Helper()
		if weft.KindOf(err) != weft.KindLimit || !strings.Contains(err.Error(), r.node.cfg.Data) || weft.HintOf(err) == "" {
			t.Errorf("%s on a full disk: %v (%s)", what, err, weft.HintOf(err))
		}
	}
	r.csv("1,pen,1.50")
	_, err := r.node.Refresh(ctx, tester, name, serve.RefreshRequest{Wait: true}, nil)
	refused("a load", err)
	_, err = r.node.Rollback(ctx, tester, name, 2)
	refused("a rollback", err)
	_, err = r.node.Apply(ctx, tester, serve.ApplyRequest{Archive: r.pack("shop"), Dir: filepath.Join(r.dir, "shop")}, nil)
	refused("an apply", err)
	st, err := r.node.Status(ctx, tester)
	if err != nil || !strings.Contains(st.Todo, "disk.reserve") {
		t.Errorf("status says %q, %v", st.Todo, err)
	}
	r.want("SELECT count(*) FROM sales.shop", "3")
	p, err := r.node.find(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.putBack(ctx); err != nil {
		t.Error(err)
	}
	if g, err := store.Peek(r.node.cfg.productDir(p.record().ID)); err != nil || !g.Whole {
		t.Errorf("the tail was not folded on a full disk: %+v, %v", g, err)
	}
	free.Store(1 << 50)
	r.csv("1,pen,2.50\n2,ink,3.50")
	r.eventually("intake resumes", func() bool { return r.ask("SELECT count(*) FROM sales.shop") == "2" })
}
