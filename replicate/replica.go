package replicate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"weft"
	"weft/run"
	"weft/store"
)

// replica is one copy: its folder, its store, and how it stands.
type replica struct {
	keeper *Keeper
	name   weft.Name
	dir    string
	added  time.Time
	wake   chan struct{} // says that something about the origin has changed
	gone   chan struct{} // closed when it is removed
	over   chan struct{} // closed when nothing of it runs any more

	mu    sync.Mutex // guards what follows; never held over network or disk, but for the record
	rec   record
	kept  time.Time // when the record was written
	open  *held     // the store that is there; nil for none
	total int64     // bytes that are coming
	done  int64
	again bool   // the store is to be replaced by a new one; it is used until then
	more  uint64 // commits that the origin is known to have besides
	node  weft.KeyID
	news  run.News // told when it has gone on, or stands otherwise
}

// held is an open store and who uses it.
type held struct {
	store *store.Store
	dir   string
	users int  // guarded by the replica's lock; the replica is one of them
	drop  bool // its folder goes with the last user
	stop  context.CancelFunc
	done  chan struct{}
}

func (c *replica) folder(n int) string {
	return filepath.Join(c.dir, "store-"+c.mark()+"-"+strconv.Itoa(n))
}

func (c *replica) config(dir, id string) store.Config {
	return c.keeper.cfg.Store(store.Config{Dir: dir, ID: id, Product: c.name, Env: c.keeper.cfg.Env})
}

// hold makes an open store the copy's, with its folds in the background.
func (c *replica) hold(st *store.Store, dir string) *held {
	ctx, stop := context.WithCancel(context.Background())
	h := &held{store: st, dir: dir, users: 1, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(h.done)
		_ = st.Run(ctx) // it logs what fails and tries again
	}()
	return h
}

// release gives a store up; with its last user it is closed.
func (c *replica) release(h *held) {
	c.mu.Lock()
	h.users--
	last := h.users == 0
	drop := h.drop
	c.mu.Unlock()
	if !last {
		return
	}
	h.stop()
	err := h.store.Close()
	<-h.done
	if drop {
		err = errors.Join(err, os.RemoveAll(h.dir))
	}
	if err != nil {
		c.keeper.cfg.Env.Log.Warn("close a copy", "product", c.name.String(), "error", err)
	}
}

// current is the store that is followed.
func (c *replica) current() *store.Store {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		return nil
	}
	return c.open.store
}

// replace makes st the copy's store, and the record what change makes of it. The one
// before goes when nobody reads it any more.
func (c *replica) replace(st *store.Store, n int, change func(*record)) error {
	h := c.hold(st, c.folder(n))
	c.mu.Lock()
	before, was := c.open, c.rec
	change(&c.rec)
	c.rec.Folder, c.rec.Last = n, n
	c.rec.State, c.rec.Reason, c.rec.Todo, c.rec.Ended = StateBehind, "", "", time.Time{}
	if err := c.rec.write(c.dir); err != nil {
		c.rec = was
		h.drop = true
		c.mu.Unlock()
		c.release(h)
		return own(err)
	}
	c.open, c.again = h, false
	c.news.Tell()
	if before != nil {
		before.drop = true
	}
	c.mu.Unlock()
	if before != nil {
		c.release(before)
	}
	return nil
}

// forget gives up what the copy holds.
func (c *replica) forget() error {
	c.mu.Lock()
	before := c.open
	c.open = nil
	c.rec.Folder, c.rec.Current = 0, time.Time{}
	err := c.rec.write(c.dir)
	if before != nil {
		before.drop = true
	}
	c.mu.Unlock()
	if before != nil {
		c.release(before)
	}
	return errors.Join(err, c.dropIncoming())
}

// dropIncoming removes what has come, and not the folder.
func (c *replica) dropIncoming() error {
	es, err := os.ReadDir(c.incoming())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, e := range es {
		err = errors.Join(err, os.Remove(filepath.Join(c.incoming(), e.Name())))
	}
	return err
}

func (c *replica) makeIncoming() error { return own(os.MkdirAll(c.incoming(), 0o700)) }

func (c *replica) coming(total int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total, c.done = total, 0
}

func (c *replica) progress(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done += n
	c.news.Tell()
}

// behind notes how many commits the origin is known to have besides the copy's.
func (c *replica) behind(o *Origin) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.more = 0
	if c.open == nil || o.Head == nil {
		return
	}
	if h := c.open.store.Head(); o.Head.Incarnation == h.Incarnation && o.Head.Seq > h.Seq {
		c.more = uint64(o.Head.Seq - h.Seq)
		if c.rec.State == StateCurrent {
			c.rec.State = StateBehind
		}
	}
}

// confirm notes that the copy was what the origin has at a time.
func (c *replica) confirm(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.more = 0
	c.news.Tell()
	if at.After(c.rec.Current) {
		c.rec.Current = at
	}
	was := c.rec.State
	c.rec.State, c.rec.Reason, c.rec.Todo, c.rec.Ended = StateCurrent, "", "", time.Time{}
	now := c.keeper.now()
	if was != StateCurrent || now.Sub(c.kept) >= c.keeper.timing.keep {
		c.keep(now)
	}
	if was != StateCurrent {
		c.keeper.cfg.Env.Log.Info("a copy is current", "product", c.name.String(), "was", string(was))
	}
}

// keep writes the record; the lock must be held. What cannot be written is old after a
// restart, and says so itself.
func (c *replica) keep(now time.Time) {
	c.kept = now
	if err := c.rec.write(c.dir); err != nil {
		c.keeper.cfg.Env.Log.Warn("write down how a copy stands", "product", c.name.String(), "error", err)
	}
}

// set notes how the copy stands and why. What may not be used begins to be removed.
func (c *replica) set(s State, reason, todo string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.keeper.now()
	was, why := c.rec.State, c.rec.Reason
	c.rec.State, c.rec.Reason, c.rec.Todo = s, clip(reason), clip(todo)
	switch {
	case s.serves():
		c.rec.Ended = time.Time{}
	case c.rec.Ended.IsZero():
		c.rec.Ended = now
	}
	if was == s && why == c.rec.Reason {
		return
	}
	c.news.Tell()
	c.keep(now)
	c.keeper.cfg.Env.Log.Info("a copy stands otherwise", "product", c.name.String(), "state", string(s), "was", string(was), "reason", c.rec.Reason)
}

// maxReason is how much is kept of what another node says.
const maxReason = 500

// clip keeps text of another node short and on one line.
func clip(s string) string {
	out := []rune{}
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			r = ' '
		}
		if out = append(out, r); len(out) == maxReason {
			break
		}
	}
	return string(out)
}

// look is what is known of the product, as far as the copy may go on with it.
func (c *replica) look() (*Origin, error) {
	o, err := c.keeper.cfg.Look(c.name)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case o == nil:
		return nil, weft.Errorf(weft.KindUnavailable, "find the product", c.name.String(), "no node of the mesh is known to have it").
			WithHint("weft search shows what there is")
	case o.Denied != nil:
		return nil, o.Denied
	case c.rec.Folder > 0 && c.rec.ID != o.ID:
		return nil, &forked{fmt.Errorf("the product of that name is another one now (id %.8s, the copy is of %.8s)", o.ID, c.rec.ID)}
	}
	c.node = o.Node
	return o, nil
}

// may says why the copy may not be used now, nil where it may; until is to when, if
// its origin stays away.
func (c *replica) may(o *Origin, err error, now time.Time) (until time.Time, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	refuse := func(kind weft.Kind, format string, args ...any) (time.Time, error) {
		return time.Time{}, weft.Errorf(kind, "use the copy", c.name.String(), format, args...)
	}
	switch {
	case err != nil:
		return time.Time{}, err
	case c.open == nil:
		return refuse(weft.KindUnavailable, "it is not there yet")
	case !c.rec.State.serves():
		return refuse(weft.KindUnavailable, "%s", c.rec.Reason)
	case c.rec.Current.IsZero():
		return refuse(weft.KindUnavailable, "it was never known to be what its origin has")
	case c.open.store.Head().Seq == 0:
		return refuse(weft.KindUnavailable, "the product has published nothing yet")
	}
	// What the origin said last and what its card says: the shorter time holds.
	lasts := min(o.For, time.Duration(c.rec.Seconds)*time.Second)
	if until = c.rec.Current.Add(lasts); now.After(until) && now.Sub(c.rec.Current) > grace {
		return refuse(weft.KindUnavailable, "its origin could not be reached since %s, and its owner lets a copy be used for %s without", c.rec.Current.Format(time.RFC3339), lasts)
	}
	return until, nil
}

// grace is how long a copy whose owner lets it be used for no time at all holds
// between two pulses.
const grace = 15 * time.Second
