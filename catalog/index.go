package catalog

import (
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// settle is how long the index waits for more after something came.
	settle = 10 * time.Millisecond
	// batch is how many cards are indexed before the first of them are found.
	batch = 8192
	// perWorker is how many cards are worth another goroutine.
	perWorker = 256
)

// index brings what is pending into the index until the catalogue is closed.
func (c *Catalog) index() {
	for {
		select {
		case <-c.quit:
			return
		case <-c.wake:
		}
		wait := time.NewTimer(settle)
		select {
		case <-c.quit:
			wait.Stop()
			return
		case <-wait.C:
		}
		for c.indexSome() {
			c.tidy()
			select {
			case <-c.quit:
				return
			default:
			}
		}
	}
}

// indexSome indexes up to a batch of what is pending and reports whether there was
// any.
func (c *Catalog) indexSome() bool {
	c.indexing.Lock()
	defer c.indexing.Unlock()
	c.mu.Lock()
	var docs []*doc
	n := 0
	for n < len(c.pending) && len(docs) < batch {
		if d := c.pending[n]; !d.dead {
			docs = append(docs, d)
		}
		n++
	}
	c.mu.Unlock()
	if n == 0 {
		return false
	}
	parts := c.build(docs)
	c.mu.Lock()
	defer c.mu.Unlock()
	// What came meanwhile stands behind.
	if c.pending = c.pending[n:]; len(c.pending) == 0 {
		c.pending = nil
	}
	for _, p := range parts {
		for at, d := range p.docs {
			c.place(d, p, at)
		}
	}
	for _, d := range docs {
		if old := d.old; old != nil {
			old.part.leave(old.at, c.view.Load().number+1)
			old.part, d.old = nil, nil
		}
	}
	c.publish(append(slices.Clone(c.view.Load().parts), parts...))
	return true
}

// place says where a card is indexed. The lock is held.
func (c *Catalog) place(d *doc, p *part, at int) {
	if d.dead {
		p.bury(at)
		return
	}
	d.part, d.at = p, at
	p.ranks[at].Store(uint64(c.rank(d)))
}

// publish lets searches see these parts. The lock is held.
func (c *Catalog) publish(parts []*part) {
	before := c.view.Load()
	v := &view{number: before.number + 1, parts: parts, origins: before.origins}
	if len(v.origins) != len(c.origins)+1 {
		v.origins = append(v.origins[:0:0], v.origins...)
		v.origins = append(v.origins, make([]keyID, len(c.origins)+1-len(v.origins))...)
		for k, n := range c.origins {
			v.origins[n] = k
		}
	}
	c.view.Store(v)
}

// build makes parts of cards, on all processors where these are many.
func (c *Catalog) build(docs []*doc) []*part {
	workers := min(runtime.GOMAXPROCS(0), (len(docs)+perWorker-1)/perWorker)
	parts := make([]*part, workers)
	var g errgroup.Group
	for i := range workers {
		mine := docs[i*len(docs)/workers : (i+1)*len(docs)/workers]
		g.Go(func() (err error) {
			b := newBuilder()
			for _, d := range mine {
				card := d.card
				if d.card = nil; card == nil {
					if card, err = c.card(d); err != nil {
						c.log.Error("a card cannot be indexed", "product", d.name.String(), "error", err)
						continue
					}
				}
				b.add(d, card)
			}
			parts[i], err = b.part()
			return err
		})
	}
	if err := g.Wait(); err != nil {
		c.log.Error("cards cannot be indexed", "error", err)
	}
	return slices.DeleteFunc(parts, func(p *part) bool { return p == nil || len(p.docs) == 0 })
}

// flush indexes all that is pending now.
func (c *Catalog) flush() {
	for c.indexSome() {
	}
}
