package catalog

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"weft"
	"weft/peer"
	"weft/run"
	"weft/sign"
)

// The kinds of records that a catalogue reads.
const (
	kindCard = peer.KindCard
	kindHead = peer.KindHead
)

// Reach says which nodes can be reached. It is asked during searches, from many
// goroutines, and must answer at once.
type Reach interface {
	// Reached reports whether the node can be reached now, and when it was last.
	Reached(origin weft.KeyID) (ok bool, last time.Time)
}

// Config is what a catalogue is made of.
type Config struct {
	Dir   string // the folder of the derived index; empty keeps everything in memory
	Env   run.Env
	Reach Reach // nil: every origin counts as reachable
}

// Catalog is the cards and heads of all products that a node knows. All methods may
// be called from many goroutines.
type Catalog struct {
	cfg     Config
	log     *slog.Logger
	codec   codec
	speller speller

	mu       sync.RWMutex // of what stands here; searches do not take it
	products map[weft.Name]*product
	readers  map[weft.Name]map[weft.Name]bool // whose cards name this product as an input
	origins  map[weft.KeyID]uint16
	pending  []*doc // not in any part of the index yet
	cards    int    // products with a card
	unsaved  unsaved

	unpacked *lru.Cache[*doc, *weft.Card]
	view     atomic.Pointer[view]
	scratch  sync.Pool  // *scratch
	indexing sync.Mutex // held by whoever brings pending cards into the index
	parts    sync.Mutex // held by whoever merges parts
	wake     chan struct{}
	quit     chan struct{}
	done     sync.WaitGroup
	close    sync.Once
	closed   error
}

// unsaved counts what changed since the folder was written.
type unsaved struct{ cards, heads int }

// product is what is known of one name.
type product struct {
	doc  *doc // nil: no card, or not any more
	head *head
	gone stamp // the tombstone that holds, zero where there is none
}

// view is what a search sees: it never changes, but for the state of its products.
type view struct {
	number  uint32 // one more than that of the view before
	parts   []*part
	origins []weft.KeyID // by their number in a product's rank
}

// Open returns the catalogue with what its folder holds; Sync brings it up to date.
// A folder that is damaged or of another version is as good as an empty one.
func Open(ctx context.Context, cfg Config) (*Catalog, error) {
	env := cfg.Env.Named("catalog")
	c := &Catalog{
		cfg: cfg, log: env.Log, products: map[weft.Name]*product{}, readers: map[weft.Name]map[weft.Name]bool{},
		origins: map[weft.KeyID]uint16{}, wake: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	if err := c.codec.open(); err != nil {
		return nil, err
	}
	var err error
	if c.unpacked, err = lru.New[*doc, *weft.Card](keptCards); err != nil {
		return nil, err
	}
	if c.speller, err = newSpeller(); err != nil {
		return nil, err
	}
	c.view.Store(&view{origins: []weft.KeyID{{}}}) // number 0 is nobody
	if err := c.load(ctx); err != nil {
		return nil, err
	}
	c.done.Go(c.index)
	if cfg.Dir != "" {
		c.done.Go(c.saveNowAndThen)
	}
	return c, nil
}

// Close writes the folder and ends the work behind the catalogue. What it holds can
// still be read.
func (c *Catalog) Close() error {
	c.close.Do(func() {
		close(c.quit)
		c.done.Wait()
		c.closed = c.save(true)
	})
	return c.closed
}

// Apply takes cards and heads over; records of other kinds, and those that are older
// than what is known, are nothing to it. Get and All see them when it returns,
// searches within 100 ms. A record whose body says what its key does not is logged
// and left out: its signer may have meant a newer program.
func (c *Catalog) Apply(recs ...*sign.Record) {
	for _, r := range recs {
		c.apply(r, false)
	}
}

// Put takes over a card, and a head where it is not nil, that nobody signed: those
// of a node without a mesh, whose own word is enough. They are not written to the
// folder. Unsigned cards take the place of whatever is there.
func (c *Catalog) Put(card *weft.Card, h *weft.CardHead) error {
	now := c.cfg.Env.Clock.Now()
	d, err := c.newDoc(card, stamp{}, now)
	if err != nil {
		return err
	}
	d.signed, d.signer = now, card.Origin
	var hd *head
	if h != nil {
		if hd, err = newHead(h, stamp{}); err != nil {
			return err
		}
		hd.signed = now
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.product(card.Product)
	if p.doc == nil || !p.doc.same(d) {
		c.setDoc(p, d)
	}
	if hd != nil {
		c.setHead(p, hd)
	}
	return nil
}

// Drop forgets a product and all that was known of it, as if it had never been.
func (c *Catalog) Drop(n weft.Name) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(n)
}

// Len is how many products have a card.
func (c *Catalog) Len() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.cards
}

// product is what is known of a name, made where nothing is. The lock is held.
func (c *Catalog) product(n weft.Name) *product {
	p := c.products[n]
	if p == nil {
		p = &product{}
		c.products[n] = p
	}
	return p
}

// origin is the number of a node in ranks, 0 where there are too many of them. The
// lock is held.
func (c *Catalog) origin(k weft.KeyID) uint16 {
	if n, ok := c.origins[k]; ok {
		return n
	}
	n := len(c.origins) + 1
	if n > 1<<16-1 {
		return 0
	}
	c.origins[k] = uint16(n)
	return uint16(n)
}
