package replicate

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"weft"
	"weft/store"
)

// Keeper keeps the copies of one node. Open lists them, Run keeps them until its
// context ends, Close is idempotent. Safe for concurrent use.
type Keeper struct {
	cfg    Config
	timing timing

	changing sync.Mutex // one Add or Remove at a time

	mu      sync.Mutex
	all     map[weft.Name]*replica
	running context.Context // set while Run runs
	tasks   sync.WaitGroup
	closed  bool
}

// New makes a Keeper.
func New(cfg Config) *Keeper {
	cfg.Env = cfg.Env.Named("replicate")
	return &Keeper{cfg: cfg, timing: usual, all: map[weft.Name]*replica{}}
}

func (k *Keeper) now() time.Time { return k.cfg.Env.Clock.Now() }

// Open lists the copies that there are. One whose record cannot be read is told of and
// left where it is.
func (k *Keeper) Open() error {
	es, err := os.ReadDir(k.cfg.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return weft.Errorf(weft.KindUnavailable, "list the copies", k.cfg.Dir, "%w", err)
	}
	for _, e := range es {
		name, err := weft.ParseName(e.Name())
		if err != nil || !e.IsDir() {
			continue
		}
		dir := filepath.Join(k.cfg.Dir, e.Name())
		rec, err := readRecord(dir)
		if weft.KindOf(err) == weft.KindNotFound { // a crash came before it was written
			_ = os.RemoveAll(dir)
			continue
		}
		if err != nil {
			k.cfg.Env.Log.Error("read a copy", "product", name.String(), "error", err)
			continue
		}
		k.all[name] = k.replica(name, *rec)
	}
	return nil
}

func (k *Keeper) replica(name weft.Name, rec record) *replica {
	return &replica{
		keeper: k, name: name, dir: filepath.Join(k.cfg.Dir, name.String()), added: rec.Added, rec: rec,
		wake: make(chan struct{}, 1), gone: make(chan struct{}), over: make(chan struct{}),
	}
}

// Run keeps the copies until ctx ends, which is no error.
func (k *Keeper) Run(ctx context.Context) error {
	k.mu.Lock()
	k.running = ctx
	for _, c := range k.all {
		k.start(c)
	}
	k.mu.Unlock()
	<-ctx.Done()
	k.mu.Lock()
	k.running = nil
	k.mu.Unlock()
	k.tasks.Wait()
	return nil
}

// start runs a copy; the lock must be held.
func (k *Keeper) start(c *replica) {
	ctx, cancel := context.WithCancel(k.running)
	k.tasks.Go(func() {
		defer cancel()
		go func() {
			select {
			case <-c.gone:
				cancel()
			case <-ctx.Done():
			}
		}()
		c.run(ctx)
	})
}

// Close closes the stores of all copies; Run has ended.
func (k *Keeper) Close() error {
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return nil
	}
	k.closed = true
	all := k.list()
	k.mu.Unlock()
	for _, c := range all {
		c.mu.Lock()
		h := c.open
		c.open = nil
		if h != nil {
			c.keep(k.now())
		}
		c.mu.Unlock()
		if h != nil {
			c.release(h)
		}
	}
	return nil
}

// list are the copies by name; the lock must be held.
func (k *Keeper) list() []*replica {
	out := make([]*replica, 0, len(k.all))
	for _, c := range k.all {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *replica) int { return strings.Compare(a.name.String(), b.name.String()) })
	return out
}

func (k *Keeper) find(name weft.Name) *replica {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all[name]
}

// Add begins to keep a copy of a product; it comes in the background. One that is there
// because it was needed stays from now on. KindConflict where one was added before,
// KindNotFound where nobody is known to have the product, and KindDenied where its owner
// does not let this node.
func (k *Keeper) Add(name weft.Name) error { return k.add(name, false) }

func (k *Keeper) add(name weft.Name, needed bool) error {
	const op = "keep a copy of"
	k.changing.Lock()
	defer k.changing.Unlock()
	if c := k.find(name); c != nil {
		if needed {
			return nil
		}
		if done, err := c.stay(); done {
			return err
		}
		return weft.Errorf(weft.KindConflict, op, name.String(), "there is a copy already").WithHint("weft replica list shows how it stands")
	}
	o, err := k.cfg.Look(name)
	switch {
	case err != nil:
		return err
	case o == nil:
		return weft.Errorf(weft.KindNotFound, op, name.String(), "no other node of the mesh is known to have it").WithHint("weft search shows what there is")
	case o.Denied != nil:
		return o.Denied
	}
	c := k.replica(name, record{Magic: recordMagic, Version: recordVersion, Product: name, Added: k.now(), State: StateCopying, Needed: needed})
	c.node = o.Node
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return weft.Errorf(weft.KindUnavailable, op, name.String(), "%w", err)
	}
	if err := errors.Join(c.rec.write(c.dir), syncFolder(k.cfg.Dir)); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all[name] = c
	if k.running != nil {
		k.start(c)
	}
	return nil
}

// Remove ends a copy and removes all of it. KindNotFound where there is none.
func (k *Keeper) Remove(name weft.Name) error {
	k.changing.Lock()
	defer k.changing.Unlock()
	k.mu.Lock()
	c, running := k.all[name], k.running != nil
	k.mu.Unlock()
	if c == nil {
		return weft.Errorf(weft.KindNotFound, "remove the copy of", name.String(), "there is none here").WithHint("weft replica list shows those there are")
	}
	close(c.gone)
	if running {
		<-c.over
	}
	k.mu.Lock()
	delete(k.all, name)
	k.mu.Unlock()
	if err := c.forget(); err != nil {
		return weft.Errorf(weft.KindUnavailable, "remove the copy of", name.String(), "%w", err)
	}
	// A reader may have files of it open, which go with it.
	if err := store.RemoveCopy(c.dir); err != nil {
		return err
	}
	return nil
}

// Wake says that something about a product's origin has changed: its card, its head,
// or whether it can be reached.
func (k *Keeper) Wake(name weft.Name) {
	c := k.find(name)
	if c == nil {
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Names are the products that are copied.
func (k *Keeper) Names() []weft.Name {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := []weft.Name{}
	for _, c := range k.list() {
		out = append(out, c.name)
	}
	return out
}

// Held is a copy that may be used until it is released.
type Held struct {
	Store   *store.Store
	Current time.Time // when it was last known to be what its origin has
	Release func()
}

// Hold gives a copy to read from; the error is why it may not be used now, and
// KindNotFound where there is none. Who may read it is for the caller to decide.
func (k *Keeper) Hold(name weft.Name) (*Held, error) {
	c := k.find(name)
	if c == nil {
		return nil, weft.Errorf(weft.KindNotFound, "use the copy", name.String(), "there is none here")
	}
	o, err := c.look()
	if _, err := c.may(o, err, k.now()); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		return nil, weft.Errorf(weft.KindUnavailable, "use the copy", name.String(), "it was removed just now")
	}
	h := c.open
	h.users++
	return &Held{Store: h.store, Current: c.rec.Current, Release: sync.OnceFunc(func() { c.release(h) })}, nil
}

// List tells how the copies stand, by name.
func (k *Keeper) List() []Info {
	k.mu.Lock()
	all := k.list()
	k.mu.Unlock()
	out := []Info{}
	for _, c := range all {
		out = append(out, c.info())
	}
	return out
}

// info tells how the copy stands.
func (c *replica) info() Info {
	o, lookErr := c.look()
	until, why := c.may(o, lookErr, c.keeper.now())
	c.mu.Lock()
	i := Info{
		Product: c.name, Origin: c.node, State: c.rec.State, Reason: c.rec.Reason, Todo: c.rec.Todo, Added: c.rec.Added,
		Current: c.rec.Current, Needed: c.rec.Needed, Behind: c.more, Total: c.total, Done: min(c.done, c.total), Tables: c.rec.Tables,
	}
	var st *store.Store
	if c.open != nil {
		st = c.open.store
		i.Point = st.Head()
	}
	if !c.rec.Ended.IsZero() && st != nil {
		i.Removed = c.rec.Ended.Add(KeepUnused)
	}
	c.mu.Unlock()
	if st != nil {
		i.Bytes = st.Bytes()
	}
	if why == nil {
		i.Until = until
	} else if weft.KindOf(lookErr) == weft.KindDenied { // its card says so, before the origin was asked
		i.State, i.Reason, i.Todo = StateRefused, clip(lookErr.Error()), weft.HintOf(lookErr)
	}
	return i
}

// sweep removes the folders of stores that are not the copy's.
func (c *replica) sweep(keep int) error {
	es, err := os.ReadDir(c.dir)
	for _, e := range es {
		if strings.HasPrefix(e.Name(), "store-") && e.Name() != filepath.Base(c.folder(keep)) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(c.dir, e.Name())))
		}
	}
	return err
}

// isFull says whether a disk had no more room.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
