package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"weft"
	"weft/run"
)

// Store is one product's data. One writer and any number of readers at once.
type Store struct {
	cfg     Config
	fs      fileSystem
	journal *journal
	lock    *os.File

	writer  sync.Mutex // one Append at a time
	index   *keyIndex
	shapes  map[string]*shape // by table, of its last commit; guarded by writer
	compact sync.Mutex        // one Compact at a time
	keySeed uint64            // of sets of keys
	guard   *guard            // holds data files before they are read
	broken  damage            // what is known to be damaged
	// manifest is the bytes of the manifest that the store was opened with.
	manifest []byte

	mu       sync.Mutex // guards what follows, never held over the disk
	man      manifest   // identity, oldest cut, checkpoint and history; Tables is not kept up
	tables   map[string]*table
	order    []string // tables in the order in which they came
	head     weft.Commit
	moved    chan struct{} // closed when head moves or the store closes
	due      chan struct{} // tells Run that there is something to fold
	done     chan struct{} // closed when the store is
	leases   map[*Snapshot]struct{}
	closed   bool
	snapshot uint64 // numbers snapshots
	holds    []Hold
	// holdsBroken is why the holds are not known; set when the store opens.
	holdsBroken *weft.Error
	folding     chan struct{} // closed when the fold that is under way ends; nil while none is
	letting     weft.Seq      // a manifest that is being written, or may have been, makes this the oldest cut; 0 for none

	holding sync.Mutex // one change of the holds at a time
}

const (
	defaultTailRows  = 100_000
	defaultTailBytes = 64 << 20
	defaultKeepFor   = 30 * 24 * time.Hour
	defaultKeepBytes = 10 << 30
	segmentBytes     = 64 << 20
)

// normal fills in the defaults and refuses what cannot work.
func (c Config) normal() (Config, error) {
	bad := func(why string) (Config, error) {
		return c, weft.Errorf(weft.KindInvalid, "open the store", c.Dir, "%s", why)
	}
	if c.Dir == "" {
		return bad("no folder is given")
	}
	if c.Product.IsZero() {
		return bad("no product is named")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return bad(err.Error())
	}
	c.Dir = dir
	if strings.ContainsAny(dir, "*?[]{}") {
		return bad("the folder's path holds one of * ? [ ] { }, which the engine takes for a pattern")
	}
	for _, d := range []struct {
		v   *int64
		def int64
	}{{&c.TailRows, defaultTailRows}, {&c.TailBytes, defaultTailBytes}, {&c.KeepBytes, defaultKeepBytes}, {(*int64)(&c.KeepFor), int64(defaultKeepFor)}} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	if c.Env.Clock == nil || c.Env.Log == nil {
		quiet := run.Quiet()
		if c.Env.Clock == nil {
			c.Env.Clock = quiet.Clock
		}
		if c.Env.Log == nil {
			c.Env.Log = quiet.Log
		}
	}
	return c, nil
}

// Open opens the store in cfg.Dir, makes it where there is none, and recovers:
// a torn write after the acknowledged length is dropped, anything else that
// does not verify is KindCorrupt. A folder that another process has open is
// KindConflict.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Metrics == nil {
		return open(ctx, cfg, disk{})
	}
	return open(ctx, cfg, timedDisk{seconds: cfg.Metrics.syncSeconds})
}

func open(ctx context.Context, cfg Config, fsys fileSystem) (*Store, error) {
	cfg, err := cfg.normal()
	if err != nil {
		return nil, err
	}
	s := &Store{
		cfg: cfg, fs: fsys, tables: map[string]*table{}, shapes: map[string]*shape{}, keySeed: newSeed(), leases: map[*Snapshot]struct{}{},
		moved: make(chan struct{}), due: make(chan struct{}, 1), done: make(chan struct{}),
	}
	s.guard = newGuard(fsys, s.filesDir(), s.done, s.fileDamage)
	s.index = newKeyIndex(s)
	for _, d := range []string{cfg.Dir, s.journalDir(), s.filesDir()} {
		if err := makeFolder(fsys, d); err != nil {
			return nil, ioError("make the folder", d, err)
		}
	}
	if s.lock, err = lockFolder(cfg.Dir); err != nil {
		return nil, err
	}
	if err := s.recover(ctx); err != nil {
		err = errors.Join(err, s.release())
		return nil, firstKnown(err)
	}
	return s, nil
}

// firstKnown unwraps what errors.Join made where the rest says nothing.
func firstKnown(err error) error {
	var e *weft.Error
	if errors.As(err, &e) {
		return e
	}
	return err
}

func (s *Store) journalDir() string { return filepath.Join(s.cfg.Dir, "journal") }
func (s *Store) filesDir() string   { return filepath.Join(s.cfg.Dir, "files") }
func (s *Store) manifestPath() string {
	return filepath.Join(s.cfg.Dir, manifestFile)
}
func (s *Store) filePath(name string) string { return filepath.Join(s.filesDir(), name) }

// lockFolder takes the folder for this process until the file is closed.
func lockFolder(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, ioError("lock the folder", path, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ioError("lock the folder", path, err)
		}
		return nil, weft.Errorf(weft.KindConflict, "open the store", dir, "another process has this data folder open").
			WithHint("stop the other node, or start this one with a data folder of its own")
	}
	return f, nil
}

// release gives up everything that is open.
func (s *Store) release() error {
	err := s.index.close()
	if s.journal != nil {
		err = errors.Join(err, s.journal.close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
		s.lock = nil
	}
	return err
}

// Head is the last commit; Seq 0 before the first.
func (s *Store) Head() weft.Point {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.point(s.head)
}

func (s *Store) point(c weft.Commit) weft.Point {
	p := weft.Point{
		Product: s.journal.product, ID: s.journal.id, Incarnation: s.journal.inc,
		Seq: c.Seq, Hash: c.Hash, Time: c.Time,
	}
	if c.Seq > 0 { // a commit from before a restore is what it was
		p.ID, p.Incarnation = c.ID, c.Incarnation
	}
	return p
}

// Last returns the whole last commit, false before the first.
func (s *Store) Last() (weft.Commit, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head, s.head.Seq > 0
}

// Oldest is the oldest Seq that can be read; 0 where everything is kept.
func (s *Store) Oldest() weft.Seq {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.man.Oldest
}

// kept says whether a commit can still be read, by its Seq.
func (s *Store) kept(seq weft.Seq) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return closedError()
	case seq > s.head.Seq || seq == 0:
		return noCommit(seq)
	case seq < s.man.Oldest:
		return s.gone(seq.String())
	}
	return nil
}

// gone says that retention has ended for something; the lock must be held.
func (s *Store) gone(what string) error {
	return weft.Errorf(weft.KindGone, "read the commit", what, "it is no longer kept; the oldest of %s is %s", s.cfg.Product, s.man.Oldest).
		WithHint("read at %s or later", s.man.Oldest)
}

// Commit returns one commit.
func (s *Store) Commit(seq weft.Seq) (weft.Commit, error) {
	if err := s.kept(seq); err != nil {
		return weft.Commit{}, err
	}
	c, err := s.journal.commit(seq)
	if weft.KindOf(err) == weft.KindNotFound { // retention may have come in between
		if gone := s.kept(seq); gone != nil {
			err = gone
		}
	}
	return c, err
}

// Commits returns up to limit commits, newest first, with Seq below before (0
// is from the head). It ends at the oldest that is kept. With an error come the
// commits above the one that cannot be read.
func (s *Store) Commits(before weft.Seq, limit int) ([]weft.Commit, error) {
	s.mu.Lock()
	from, oldest, closed := s.head.Seq, max(s.man.Oldest, 1), s.closed
	s.mu.Unlock()
	if closed {
		return nil, closedError()
	}
	if before > 0 {
		from = min(from, before-1)
	}
	var out []weft.Commit
	for seq := from; seq >= oldest && len(out) < limit; seq-- {
		c, err := s.journal.commit(seq)
		if err != nil {
			return out, err
		}
		out = append(out, c)
	}
	return out, nil
}

// SeqAt returns the last commit at or before t; KindNotFound before the first,
// KindGone below what is kept.
func (s *Store) SeqAt(t time.Time) (weft.Seq, error) {
	s.mu.Lock()
	oldest, head, closed := s.man.Oldest, s.head, s.closed
	s.mu.Unlock()
	if closed {
		return 0, closedError()
	}
	if head.Seq > 0 && !t.Before(head.Time) {
		return head.Seq, s.headLost()
	}
	seq, err := s.journal.seqAt(t)
	if err != nil {
		return 0, err
	}
	if seq < oldest {
		s.mu.Lock()
		defer s.mu.Unlock()
		return 0, s.gone("of " + t.UTC().Format(time.RFC3339))
	}
	if seq == 0 {
		return 0, weft.Errorf(weft.KindNotFound, "read as of", t.UTC().Format(time.RFC3339), "%s had no commit by then", s.cfg.Product).
			WithHint("`weft history %s` lists the commits with their times", s.cfg.Product)
	}
	return seq, nil
}

// Bytes is the size of the store on disk.
func (s *Store) Bytes() int64 {
	var n int64
	for _, d := range []string{s.cfg.Dir, s.journalDir(), s.filesDir()} {
		es, err := s.fs.ReadDir(d)
		if err != nil {
			continue // a figure for people, not worth failing for
		}
		for _, e := range es {
			if i, err := e.Info(); err == nil && !e.IsDir() {
				n += i.Size()
			}
		}
	}
	return n
}

// Close ends the store, when whoever writes or folds has ended. Relations that
// snapshots gave before stay readable until those are closed, as long as nobody
// opens the folder again; for further ones a file that was not held yet is
// refused. Idempotent.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.moved)
	close(s.done)
	s.mu.Unlock()
	// Whoever writes or folds ends first.
	s.compact.Lock()
	defer s.compact.Unlock()
	s.writer.Lock()
	defer s.writer.Unlock()
	return s.release()
}

// tableNames lists the tables in their order; the lock must be held.
func (s *Store) tableNames() []string { return slices.Clone(s.order) }
