package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"

	"weft"
	"weft/access"
	"weft/budget"
	"weft/catalog"
	"weft/engine"
	"weft/federate"
	"weft/ingest"
	"weft/meter"
	"weft/openlineage"
	"weft/peer"
	"weft/records"
	"weft/replicate"
	"weft/run"
	"weft/serve"
	"weft/serve/http"
	"weft/store"
)

// Node is one process that holds products. New touches nothing, Open recovers,
// Run blocks until its context ends, Close is idempotent.
type Node struct {
	cfg     Config
	env     run.Env
	started time.Time

	lock      *os.File
	books     *records.Books
	meter     *meter.Meter
	token     string
	tokens    *access.Tokens
	pool      *engine.Pool
	reader    *federate.Federation
	readers   ingest.Drivers
	server    *http.Server
	loads     *semaphore.Weighted    // loads at once
	now       atomic.Pointer[Config] // what holds now of the configuration
	reloading sync.Mutex
	work      work                   // what runs, for a stop to wait for
	opening   atomic.Pointer[string] // what Open is doing
	count     *counts
	stored    *store.Metrics // of all products
	registry  *prometheus.Registry
	stageSeq  counter
	holding   chan struct{} // one product at a time holds its files in the background
	mesh      *peer.Mesh
	cat       *catalog.Catalog
	circle    circle
	moved     moved
	peers     atomic.Pointer[peer.Mesh] // set once connections of other nodes are taken
	shelf     shelf
	sched     schedule
	watch     watch
	far       elsewhere // the products of other nodes
	copies    *replicate.Keeper
	pace      peerPace // that other nodes have to keep
	cards     cards
	hearsay   hearsay             // what others told of lineage
	made      madeBook            // what states of products were made from
	holdMu    sync.Mutex          // held while holds on products here are made and ended
	saving    sync.Map            // names of cuts that are being saved
	sender    *openlineage.Sender // whom the node tells of its loads; nil: nobody

	adopting sync.Mutex // held while a product of a new name is made

	mu       sync.RWMutex // the innermost: whoever holds it takes no other lock and waits for nothing
	products map[weft.Name]*product
	running  *run.Group      // set while Run runs
	loading  context.Context // what loads live in: it outlives running's, so that they may end
	closed   bool
}

// New makes a node from its configuration; faults of it are returned all at once.
func New(cfg Config) (*Node, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{
		products: map[weft.Name]*product{}, holding: make(chan struct{}, 1), registry: prometheus.NewRegistry(),
		moved: newMoved(), shelf: shelf{tidy: make(chan struct{}, 1)}, sched: newSchedule(cfg.Loads), pace: defaultPace,
		cards: cards{wake: make(chan struct{}, 1), due: map[*product]time.Time{}, sink: cfg.cards},
	}
	cfg.RunEnv.Metrics = n.registry // each node has its own
	n.cfg, n.env = cfg, cfg.RunEnv.Named("node")
	n.now.Store(&cfg)
	var err error
	if n.sender, err = cfg.newSender(); err != nil {
		return nil, err
	}
	n.count, n.stored = newCounts(n.registry, cfg.Version), store.NewMetrics(n.registry)
	return n, nil
}

// Open takes the data folder, which a second node is refused, lists the products
// and binds the address. Products are recovered when they are first needed.
func (n *Node) Open(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			_ = n.Close()
		}
	}()
	n.started = n.env.Clock.Now()
	if err := n.takeFolder(); err != nil {
		return err
	}
	if err := n.openDoor(ctx); err != nil { // first: probes are answered while the rest opens
		return err
	}
	if err := n.openMesh(ctx); err != nil {
		return err
	}
	if err := n.openData(ctx); err != nil {
		return err
	}
	if err := n.openCopies(); err != nil {
		return err
	}
	n.registry.MustRegister(&gauges{n: n})
	return n.writeAddress()
}

// openDoor binds the address.
func (n *Node) openDoor(ctx context.Context) (err error) {
	n.server, err = http.New(http.Config{
		Addr: n.cfg.Listen, CertFile: n.cfg.TLSCert, KeyFile: n.cfg.TLSKey, Hosts: n.cfg.Hosts, Version: n.cfg.Version,
		OpenMetrics: n.cfg.OpenMetrics, Peers: n.acceptPeer,
	}, n.backend(), n.cfg.RunEnv)
	if err != nil {
		return err
	}
	return n.server.Open(ctx)
}

// OpenStopped takes the data folder without answering anybody: for work on a node
// that does not run. Run must not be called after it.
func (n *Node) OpenStopped(ctx context.Context) error {
	n.started = n.env.Clock.Now()
	err := n.takeFolder()
	if err == nil {
		err = n.openData(ctx)
	}
	if err != nil {
		_ = n.Close()
	}
	return err
}

// openData opens what is in the data folder and lists the products.
func (n *Node) openData(ctx context.Context) (err error) {
	n.opens("the books are opened")
	if n.books, err = records.Open(ctx, n.cfg.path("books.db")); err != nil {
		return err
	}
	if err := n.hearsay.load(ctx, n.books); err != nil {
		return err
	}
	if err := n.openMeter(ctx); err != nil {
		return err
	}
	if n.token, err = access.LocalToken(n.cfg.path("token")); err != nil {
		return err
	}
	n.tokens = access.NewTokens(n.books, n.env.Clock, n.token)
	n.pool = engine.NewPool(engine.PoolConfig{
		Warm: warmWorkers, Budget: budget.New(n.cfg.division(), time.Now), Memory: n.cfg.AllMemory, Spill: n.cfg.TempBytes,
	}, n.cfg.RunEnv)
	n.loads = semaphore.NewWeighted(int64(n.cfg.Loads))
	n.readers = Drivers()
	n.reader = federate.New(n.limits(n.cfg), n.pool, visibleProducts{n}, n.cfg.RunEnv)
	return n.openProducts(ctx)
}

// takeFolder makes the data folder, locks it, and clears what an interrupted
// run left behind.
func (n *Node) takeFolder() error {
	const op = "open the data folder"
	for _, d := range []string{"", "products", copiesFolder, "stage", "tmp"} {
		if err := store.MakeFolder(n.cfg.path(d)); err != nil {
			return weft.Errorf(weft.KindUnavailable, op, n.cfg.Data, "%w", err)
		}
	}
	f, err := os.OpenFile(n.cfg.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return weft.Errorf(weft.KindUnavailable, op, n.cfg.Data, "%w", err)
	}
	if err := lock(f, lockWait); err != nil {
		_ = f.Close()
		return weft.Errorf(weft.KindConflict, op, n.cfg.Data, "another node holds it").
			WithHint("stop that node (`weft status` tells where it is), or use another folder with --data")
	}
	n.lock = f
	// The folder ignores itself in git: it holds data and a token.
	if err := os.WriteFile(n.cfg.path(".gitignore"), []byte("*\n"), 0o600); err != nil {
		return weft.Errorf(weft.KindUnavailable, op, n.cfg.Data, "%w", err)
	}
	for _, d := range []string{"stage", "tmp"} {
		if err := clear(n.cfg.path(d)); err != nil {
			return weft.Errorf(weft.KindUnavailable, op, n.cfg.path(d), "%w", err)
		}
	}
	return nil
}

// lockWait is how long a folder is waited for that another process holds. A node that
// was killed while it started a worker leaves a process behind that has its files open
// until it has become that worker.
const lockWait = 2 * time.Second

// lock takes the lock of a file for this process, and waits for it.
func lock(f *os.File, wait time.Duration) error {
	for until := time.Now().Add(wait); ; time.Sleep(20 * time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil || time.Now().After(until) {
			return err
		}
	}
}

func clear(dir string) error {
	es, err := os.ReadDir(dir)
	for _, e := range es {
		err = errors.Join(err, os.RemoveAll(dir+"/"+e.Name()))
	}
	return err
}

// openProducts lists the products in the books. What a folder says is in the books
// too; it is read where an older node has not kept it.
func (n *Node) openProducts(ctx context.Context) error {
	recs, err := n.books.Products(ctx)
	if err != nil {
		return err
	}
	briefs, err := n.books.Briefs(ctx)
	if err != nil {
		return err
	}
	attempts, err := n.books.LastAttempts(ctx)
	if err != nil {
		return err
	}
	for i, rec := range recs {
		n.opens(fmt.Sprintf("products are listed, %d of %d", i, len(recs)))
		p := newProduct(n, rec)
		n.put(p)
		if a, ok := attempts[rec.ID]; ok {
			p.last = &a
			p.last.Verdict = nil
			if a.Outcome == records.Committed || a.Outcome == records.Unchanged {
				p.lastOK = a.Ended
			}
		}
		if b := briefs[rec.ID]; b != nil && json.Unmarshal(b, p.brief) == nil && p.brief.Form == briefForm {
			continue
		}
		p.brief = &brief{}
		f, err := p.readFolder(ctx)
		if err != nil {
			n.env.Log.Error("open the product", "product", rec.Name.String(), "error", err)
			p.broken = err
			continue
		}
		p.brief = briefOf(f, rec.Env)
		n.keepBrief(ctx, rec, p.brief)
	}
	return nil
}

// opens notes what Open is doing, for whoever asks why the node is not ready.
func (n *Node) opens(what string) { n.opening.Store(&what) }

// keepBrief keeps what a folder says for the next start.
func (n *Node) keepBrief(ctx context.Context, rec records.Product, b *brief) {
	body, err := json.Marshal(b)
	if err == nil {
		err = n.books.PutBrief(ctx, rec.ID, rec.Folder, body)
	}
	if err != nil {
		n.env.Log.Warn("keep what the folder says; it is read again at the next start", "product", rec.Name.String(), "error", err)
	}
}

// address is what node.json says: how the command line finds the node.
type address struct {
	URL string `json:"url"`
	PID int    `json:"pid"`
}

func (n *Node) writeAddress() error {
	b, err := json.Marshal(address{URL: n.URL(), PID: os.Getpid()})
	if err != nil {
		return err
	}
	tmp := n.cfg.path(".node.json")
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return weft.Errorf(weft.KindUnavailable, "write the node's address", tmp, "%w", err)
	}
	return os.Rename(tmp, n.cfg.path("node.json"))
}

// Running reports whether Run has begun to answer and has not ended.
func (n *Node) Running() bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.running != nil && !n.closed
}

// URL is where the API is.
func (n *Node) URL() string { return n.server.URL() }

// Upgraded says in one sentence that Open has upgraded a data folder of an older
// format, and where what it replaced is; empty where it has not.
func (n *Node) Upgraded() string {
	saved := n.books.Upgraded()
	if saved == "" {
		return ""
	}
	name := filepath.Base(saved)
	return fmt.Sprintf("The data folder was of an older format and is upgraded; what was replaced is kept in the folders %s (docs/format/versions.md says how to go back).", name)
}

// Token is the local administrator's token.
func (n *Node) Token() string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.token
}

// Backend is what doors and embedding programs speak to.
func (n *Node) Backend() serve.Backend { return n.backend() }

// Run serves and loads until ctx ends, then drains.
func (n *Node) Run(ctx context.Context) error {
	g := run.NewGroup(ctx)
	// The workers outlive the door, and loads the loops that began them: what is
	// being answered or loaded when ctx ends is ended, within the time to drain.
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	loading, cutOff := context.WithCancel(working)
	defer cutOff()
	workers := run.NewGroup(working)
	workers.Go("workers", n.pool.Run)
	workers.Go("usage", n.meter.Run)
	g.Go("api", func(ctx context.Context) error { return n.serve(ctx, cutOff) })
	n.mu.Lock()
	n.running, n.loading = g, loading
	n.mu.Unlock()
	for _, p := range n.all() {
		n.sched.at(p, n.firstRead(p))
	}
	g.Go("mesh", n.mesh.Run)
	if n.sender != nil {
		workers.Go("lineage", n.sender.Run) // the last loads are told of, too
	}
	g.Go("readers", n.tellReaders)
	if n.copies != nil { // a node that was not opened as a whole
		g.Go("copies", n.copies.Run)
	}
	g.Go("shelf", n.tidyUp)
	g.Go("cards", n.runCards)
	g.Go("null shares", n.runNullShares)
	g.Go("watch", n.runWatch)
	g.Go("holds", n.runHolds)
	g.Go("schedule", n.runSchedule)
	err := g.Wait()
	n.finishCards(working)
	stop()
	return errors.Join(err, workers.Wait())
}

// Close gives everything back. Idempotent.
func (n *Node) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	ps := make([]*product, 0, len(n.products))
	for _, p := range n.products {
		ps = append(ps, p)
	}
	n.mu.Unlock()
	var errs []error
	if n.server != nil {
		errs = append(errs, n.server.Close())
	}
	for _, p := range ps {
		errs = append(errs, p.close())
	}
	if n.copies != nil {
		errs = append(errs, n.copies.Close())
	}
	errs = append(errs, n.closeMesh()...)
	if n.pool != nil {
		n.pool.Close()
	}
	if n.meter != nil {
		errs = append(errs, n.meter.Flush(context.Background())) // what was used up to the end
	}
	if n.books != nil {
		errs = append(errs, n.books.Close())
	}
	if n.lock != nil {
		_ = os.Remove(n.cfg.path("node.json"))
		errs = append(errs, n.lock.Close())
	}
	return errors.Join(errs...)
}

// find returns the product of that name.
func (n *Node) find(name weft.Name) (*product, error) {
	if p := n.known(name); p != nil {
		return p, nil
	}
	return nil, notHere(name)
}

// notHere is also what is said of a product that the asker may not know of.
func notHere(name weft.Name) *weft.Error {
	return weft.Errorf(weft.KindNotFound, "find the product", name.String(), "there is no such product here").
		WithHint("`weft status` lists the products of this node")
}

// known is find, nil where there is none.
func (n *Node) known(name weft.Name) *product {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.products[name]
}

// put lists the product.
func (n *Node) put(p *product) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.products[p.name()] = p
}

// all returns the products by name.
func (n *Node) all() []*product {
	n.mu.RLock()
	defer n.mu.RUnlock()
	ps := make([]*product, 0, len(n.products))
	for _, p := range n.products {
		ps = append(ps, p)
	}
	slices.SortFunc(ps, func(a, b *product) int { return compare(a.name(), b.name()) })
	return ps
}

func (n *Node) storeConfig(rec records.Product) store.Config {
	return store.Config{
		Dir: n.cfg.productDir(rec.ID), ID: rec.ID, Product: rec.Name, Incarnation: n.incarnation(rec.Name, rec.ID),
		TailRows: n.cfg.TailRows, KeepFor: n.cfg.KeepFor, KeepBytes: n.cfg.KeepBytes,
		Sessions: n.pool, Temp: n.cfg.path("tmp"), Background: n.holding, Metrics: n.stored, Env: n.cfg.RunEnv,
	}
}
