package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"weft"
	"weft/contract"
	"weft/records"
	"weft/store"
)

// Products stand on a shelf: one that nobody uses is its entry in the books and
// its files. hold takes it down, which reads its folder and recovers its store;
// when it has not been used for a while, or others want its place, it is put back:
// its tail is folded, its files are closed, its memory is given up.
const (
	idleAfter = 5 * time.Minute // default of Config.IdleAfter
	idleOpen  = 32              // default of Config.IdleOpen
)

// shelf is the node's side of it: which products are down and unused.
type shelf struct {
	mu   sync.Mutex
	idle []idleProduct // those used last are last
	tidy chan struct{}
}

type idleProduct struct {
	p     *product
	since time.Time
}

// spot is the product's side of it.
type spot struct {
	mu      sync.Mutex // held while the product is taken down or put back
	users   int
	stop    context.CancelFunc // ends the store's own work; nil while the store is closed
	stopped chan struct{}      // closed when the store's own work has ended
}

// hold makes the product's folder and store usable until release is called; any
// number of holds at once. The error is why it cannot be used.
func (p *product) hold(ctx context.Context) (release func(), err error) {
	return p.holdAs(ctx, nil)
}

// holdAs is hold for who brings a new record, nil for none: a product that is put
// back is taken down as that, since the folder before may be one that cannot be read.
func (p *product) holdAs(ctx context.Context, rec *records.Product) (release func(), err error) {
	p.spot.mu.Lock()
	defer p.spot.mu.Unlock()
	if p.ended() {
		return nil, p.endedError("use the product")
	}
	if p.store == nil {
		if rec != nil {
			p.mu.Lock()
			p.rec = *rec
			p.mu.Unlock()
		}
		// Whoever asks first may go away meanwhile; others want it as well.
		err := p.open(context.WithoutCancel(ctx))
		p.mu.Lock()
		p.broken = err
		p.mu.Unlock()
		if err != nil {
			p.node.env.Log.Error("open the product", "product", p.name().String(), "error", err)
			p.node.cards.touch(p)
			return nil, err
		}
		p.startStore()
	}
	p.spot.users++
	p.node.shelf.remove(p)
	return sync.OnceFunc(p.release), nil
}

func (p *product) release() {
	p.spot.mu.Lock()
	defer p.spot.mu.Unlock()
	if p.spot.users--; p.spot.users > 0 || p.store == nil {
		return
	}
	if p.ended() {
		_ = p.shut() // whoever ended it may have closed the store, and then only forgets it
		return
	}
	p.node.shelf.add(p)
}

// holdOpen is hold for a product that is down already; false where it is not.
func (p *product) holdOpen() (release func(), ok bool) {
	p.spot.mu.Lock()
	defer p.spot.mu.Unlock()
	if p.store == nil || p.ended() {
		return nil, false
	}
	p.spot.users++
	p.node.shelf.remove(p)
	return sync.OnceFunc(p.release), true
}

// open reads the folder that was applied and recovers the store. The spot is locked.
func (p *product) open(ctx context.Context) error {
	rec := p.record()
	f, err := p.readFolder(ctx)
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, p.node.storeConfig(rec))
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.folder, p.brief, p.store, p.seen = f, briefOf(f, rec.Env), s, nil
	p.mu.Unlock()
	return nil
}

var errFaultyFolder = errors.New("this Weft finds faults in it that an older one did not")

func (p *product) readFolder(ctx context.Context) (*contract.Folder, error) {
	rec := p.record()
	archive, err := p.node.books.Archive(ctx, rec.Folder)
	if err != nil {
		return nil, err
	}
	f, faults, err := readArchive(archive)
	if err != nil {
		return nil, err
	}
	if contract.HasErrors(faults) {
		return nil, weft.Errorf(weft.KindConflict, "read the applied folder", rec.Name.String(),
			"%w: %s", errFaultyFolder, faults[0].Message).WithHint("mend the folder and apply it again")
	}
	return f, nil
}

// startStore lets the store fold in the background while it is open. The spot is
// locked.
func (p *product) startStore() {
	ctx, stop := context.WithCancel(context.Background())
	p.spot.stop, p.spot.stopped = stop, make(chan struct{})
	go func(s *store.Store, stopped chan struct{}) {
		defer close(stopped)
		_ = s.Run(ctx) // it logs what fails and tries again
	}(p.store, p.spot.stopped)
}

// putBack closes a product that nobody uses. Its tail is folded first, so that the
// next hold has nothing to replay; where that fails, it is replayed.
func (p *product) putBack(ctx context.Context) error {
	release, ok := p.holdOpen()
	if !ok {
		return nil
	}
	if !p.store.Folded() {
		if err := p.store.Compact(ctx, true); err != nil && weft.KindOf(err) != weft.KindConflict {
			p.node.env.Log.Warn("fold the tail of an idle product", "product", p.name().String(), "error", err)
		}
	}
	release()
	p.spot.mu.Lock()
	defer p.spot.mu.Unlock()
	if p.spot.users > 0 || p.store == nil {
		return nil
	}
	return p.shut()
}

// shut closes the store and gives up it and the folder; who uses them now keeps
// them, and is told by the store that it is closed. The spot is locked.
func (p *product) shut() (err error) {
	p.node.shelf.remove(p)
	if p.store == nil {
		return nil
	}
	var seen *store.Glance // nil is looked up in the manifest
	if p.spot.stop != nil {
		if g, err := glance(p.store); err == nil {
			seen = &g
		}
		p.spot.stop()
		err = p.store.Close()
		<-p.spot.stopped
		p.spot.stop = nil
	}
	if p.spot.users > 0 {
		return err
	}
	p.mu.Lock()
	p.store, p.folder, p.seen = nil, nil, seen
	p.mu.Unlock()
	p.stats.forget()
	return err
}

// close ends the product's use for good, even where it is used.
func (p *product) close() error {
	p.end()
	p.spot.mu.Lock()
	defer p.spot.mu.Unlock()
	return p.shut()
}

func (s *shelf) add(p *product) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = append(s.idle, idleProduct{p, p.node.env.Clock.Now()})
	select {
	case s.tidy <- struct{}{}:
	default:
	}
}

func (s *shelf) remove(p *product) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = slices.DeleteFunc(s.idle, func(i idleProduct) bool { return i.p == p })
}

// next is the product to put back next, and how long to wait for that; nil where
// none is down and unused.
func (s *shelf) next(now time.Time, after time.Duration, most int) (*product, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) == 0 {
		return nil, 0
	}
	first := s.idle[0]
	if len(s.idle) > most {
		return first.p, 0
	}
	return first.p, max(0, first.since.Add(after).Sub(now))
}

// tidyUp puts back what is not used, until ctx ends.
func (n *Node) tidyUp(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.shelf.tidy:
		case <-timer.C:
		}
		for ctx.Err() == nil {
			p, wait := n.shelf.next(n.env.Clock.Now(), n.cfg.IdleAfter, n.cfg.IdleOpen)
			if p == nil {
				break
			}
			if wait > 0 {
				timer.Reset(wait)
				break
			}
			if err := p.putBack(ctx); err != nil {
				n.env.Log.Warn("close an idle product", "product", p.name().String(), "error", err)
			}
		}
	}
}
