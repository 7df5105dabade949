package node

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weft"
	"weft/peer"
	"weft/serve"
)

// pair are two nodes of one mesh over real links: one of domain sales, which founded
// it, and one of domain insights.
type pair struct {
	t             *testing.T
	origin, asker *rig
}

func newPair(t *testing.T, tune func(*Config)) *pair {
	t.Helper()
	p := &pair{t: t, origin: newRigWith(t, tune), asker: newRig(t)}
	listen := p.origin.node.server.Addr()
	p.origin.tune = func(c *Config) { // it is where it was, when it comes back
		if c.Listen = listen; tune != nil {
			tune(c)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := p.origin.node.mesh.Found(ctx, peer.Founding{Name: "test", Domains: []string{"sales"}}); err != nil {
		t.Fatal(err)
	}
	word, err := p.origin.node.mesh.Invite(ctx, peer.Invitation{Domain: "insights", Expires: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.asker.node.mesh.Join(ctx, word); err != nil {
		t.Fatal(err)
	}
	return p
}

// heard waits until the asker knows the head of a product as it is at the origin.
func (p *pair) heard(name string) {
	p.t.Helper()
	n := mustName(p.t, name)
	up, err := p.origin.node.find(n)
	if err != nil {
		p.t.Fatal(err)
	}
	release, err := up.hold(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	head := up.store.Head()
	release()
	p.asker.eventually("the asker knows the head", func() bool {
		e, ok := p.asker.node.cat.Get(n)
		return ok && e.Head != nil && e.Head.Hash == head.Hash
	})
}

// TestPullOverTheMesh makes a product from one of another node over a real link, and
// holds that it follows, outlives the origin's end, and follows again.
func TestPullOverTheMesh(t *testing.T) {
	p := newPair(t, nil)
	p.origin.write(shop)
	p.origin.apply("shop", serve.OutcomeCommitted)
	p.heard("sales.shop")
	p.asker.write(sums)
	p.asker.apply("sums", serve.OutcomeCommitted)
	p.asker.want("SELECT * FROM insights.sums", "3,11.75")

	p.origin.csv("1,pen,2.50\n2,ink,7.25")
	p.origin.refresh("sales.shop", serve.OutcomeCommitted)
	p.heard("sales.shop")
	p.asker.eventually("it follows", func() bool { return p.asker.ask("SELECT * FROM insights.sums") == "2,9.75" })

	// The origin goes. What was published stays, and it is said what is the matter.
	p.origin.stop()
	p.asker.eventually("the origin is missed", func() bool {
		return p.asker.state("insights.sums").State == weft.StateUpstreamStopped
	})
	if s := p.asker.state("insights.sums"); !strings.Contains(s.Todo, "weft peers") {
		t.Errorf("to do %q", s.Todo)
	}
	_, err := p.asker.node.Refresh(context.Background(), tester, mustName(t, "insights.sums"), serve.RefreshRequest{Wait: true}, nil)
	if weft.KindOf(err) != weft.KindUnavailable {
		t.Error(err)
	}
	p.asker.want("SELECT * FROM insights.sums", "2,9.75")

	// It comes back, with other rows.
	p.origin.csv("9,mug,100")
	p.origin.start()
	p.origin.eventually("it has read them", func() bool { return p.origin.ask("SELECT count(*) FROM sales.shop") == "1" })
	p.heard("sales.shop")
	p.asker.eventually("it follows again", func() bool { return p.asker.ask("SELECT * FROM insights.sums") == "1,100.00" })
	p.asker.eventually("it is fresh", func() bool { return p.asker.state("insights.sums").State == weft.StateFresh })
}

// TestOriginEndsInTheMiddle ends the origin while it sends: nothing of what came is
// taken, and nothing is left of it.
func TestOriginEndsInTheMiddle(t *testing.T) {
	if testing.Short() {
		t.Skip("pulls millions of rows")
	}
	p := newPair(t, func(c *Config) { c.Drain = time.Millisecond })
	b := newTypeBench(t)
	p.origin.write(strings.Replace(typeProduct("shop", "parquet", []typeColumn{{name: "price", typ: "bigint"}}), `["*"]`, "[insights]", 1))
	path := filepath.Join(p.origin.dir, "shop", "data", "shop.parquet")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	b.exec("COPY (SELECT i AS id, i % 7 AS price FROM range(6000000) r(i)) TO '" + path + "' (FORMAT parquet)")
	p.origin.apply("shop", serve.OutcomeCommitted)
	p.heard("sales.shop")
	p.asker.write(sums)
	stage := p.asker.node.cfg.path("stage")
	failed := make(chan error, 1)
	go func() {
		_, err := p.asker.node.Apply(context.Background(), tester, serve.ApplyRequest{Archive: p.asker.pack("sums")}, nil)
		failed <- err
	}()
	p.asker.eventually("the first rows are staged", func() bool {
		found, err := filepath.Glob(filepath.Join(stage, "*", "*.parquet"))
		return err == nil && len(found) > 0
	})
	p.origin.stop()
	if err := <-failed; weft.KindOf(err) != weft.KindUnavailable || weft.HintOf(err) == "" {
		t.Errorf("%v, to do %q", err, weft.HintOf(err))
	}
	if left, err := os.ReadDir(stage); err != nil || len(left) > 0 {
		t.Errorf("left in the staging folder: %v %v", left, err)
	}
	if s := p.asker.state("insights.sums"); s.State != weft.StateUpstreamStopped || s.Rows != 0 {
		t.Errorf("%s, %d rows", s.State, s.Rows)
	}
	// The origin comes back, and the pull is made by itself.
	p.origin.start()
	p.asker.eventually("it is made", func() bool {
		s := p.asker.state("insights.sums")
		return s.State == weft.StateFresh && s.Rows == 1
	})
}

// TestComesBack holds that a product which could not read another node is loaded when
// that can be reached again, and not before.
func TestComesBack(t *testing.T) {
	p := newPulling(t)
	p.asker.apply("sums", serve.OutcomeCommitted)
	base := p.seen.moves(nowhere)
	if _, err := p.refresh(); weft.KindOf(err) != weft.KindUnavailable {
		t.Fatal(err)
	}
	n := p.asker.node
	gone := n.tellBack(nil)
	if len(gone) != 0 {
		t.Errorf("away are %v", gone)
	}
	p.seen.mu.Lock()
	p.seen.away = true
	p.seen.mu.Unlock()
	if gone = n.tellBack(gone); !gone[key(1)] {
		t.Errorf("away are %v", gone)
	}
	p.seen.mu.Lock()
	p.seen.away, p.seen.base = false, base
	p.seen.mu.Unlock()
	n.tellBack(gone)
	p.asker.eventually("it is fresh again", func() bool { return p.asker.state("insights.sums").State == weft.StateFresh })
}
