package backup

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"weft"
	"weft/sign"
	"weft/store"
)

// Source is the node that is backed up.
type Source struct {
	Node    string
	Version string
	Data    string // the data folder, for its keys
	Whole   bool   // Products are all of the node's
	// Products are saved one after the other, each as it is when its turn comes;
	// ErrGone says that it was deleted meanwhile.
	Products []func(context.Context) (*store.Image, error)
	// Books writes a copy of the books to a new file; it is called after all
	// products were saved, so that it knows all of them.
	Books func(ctx context.Context, path string) error
	Now   func() time.Time
}

// ErrGone says that a product is no longer there.
var ErrGone = errors.New("the product was deleted")

// Options of one backup.
type Options struct {
	Keep     int            // states to keep, this one included; 0 keeps all
	NoKeys   bool           // leave out what lets its holder act as the node
	Progress func(Progress) // may be nil; called by one goroutine
}

// Progress says how far a backup or a restore is.
type Progress struct {
	Product string
	Bytes   int64 // of all that is or was to be copied
	Copied  int64 // that were not there yet
}

// Save adds a state to the backup folder dir, which is made where there is none.
// A state that could not be finished leaves no trace but space, which the next
// backup reuses or gives back.
func Save(ctx context.Context, dir string, src Source, opt Options) (*State, error) {
	s := &saver{dir: dir, src: src, opt: opt, touched: map[string]bool{}}
	if err := s.open(); err != nil {
		return nil, err
	}
	defer func() { _ = s.lock.Close() }()
	now := src.Now().UTC()
	s.state = &State{Time: now, Node: src.Node, Version: src.Version, Whole: src.Whole, Products: []Product{}}
	s.state.ID = s.newID(now)
	for _, image := range src.Products {
		if err := s.product(ctx, image); err != nil {
			return nil, err
		}
	}
	if err := s.books(ctx); err != nil {
		return nil, err
	}
	if err := s.keys(); err != nil {
		return nil, err
	}
	if err := s.commit(); err != nil {
		return nil, err
	}
	return s.state, s.prune()
}

type saver struct {
	dir     string
	src     Source
	opt     Options
	lock    *os.File
	before  []*State // oldest first
	state   *State
	touched map[string]bool // folders in which names were made
}

func (s *saver) path(rel string) string { return filepath.Join(s.dir, rel) }

// open makes or takes the folder. One that holds something else is refused.
func (s *saver) open() error {
	const op = "back up to"
	es, err := os.ReadDir(s.dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return ioError(op, s.dir, err)
		}
	case err != nil:
		return ioError(op, s.dir, err)
	case len(es) > 0 && !Is(s.dir) && !begun(es):
		return weft.Errorf(weft.KindConflict, op, s.dir, "the folder holds something that is no backup").
			WithHint("give an empty folder, or one that weft backup made")
	}
	if s.lock, err = os.OpenFile(s.path("lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return ioError(op, s.dir, err)
	}
	if err := unix.Flock(int(s.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = s.lock.Close()
		return weft.Errorf(weft.KindConflict, op, s.dir, "another backup to this folder is running").WithHint("wait for its end")
	}
	if err := s.read(); err != nil {
		_ = s.lock.Close()
		return err
	}
	return nil
}

// begun reports whether a folder is one whose first backup broke off at once.
func begun(es []os.DirEntry) bool {
	return !slices.ContainsFunc(es, func(e os.DirEntry) bool { return e.Name() != "lock" && e.Name() != ".backup.json.tmp" })
}

func (s *saver) read() error {
	if !Is(s.dir) {
		b, err := json.Marshal(envelope{Magic: magic, Version: formatVersion})
		if err != nil {
			return err
		}
		return writeWhole(s.path("backup.json"), append(b, '\n'))
	}
	var err error
	s.before, err = States(s.dir)
	return err
}

// newID names a state by its time, later than every one before.
func (s *saver) newID(now time.Time) string {
	const layout = "20060102T150405.000Z"
	id := now.Format(layout)
	if n := len(s.before); n > 0 && id <= s.before[n-1].ID {
		last, err := time.Parse(layout, s.before[n-1].ID)
		if err == nil {
			id = last.Add(time.Millisecond).Format(layout)
		}
	}
	return id
}

// product saves one product as it is now.
func (s *saver) product(ctx context.Context, open func(context.Context) (*store.Image, error)) error {
	m, err := open(ctx)
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer m.Close()
	if err := s.sameChain(m); err != nil {
		return err
	}
	p := Product{Point: m.Point, Lineage: m.Lineage}
	known := map[string]weft.Hash{}
	for _, b := range s.before {
		for _, q := range b.Products {
			if q.Point.ID == m.Point.ID {
				for _, f := range q.Files {
					known[f.Name] = f.Hash
				}
			}
		}
	}
	for _, f := range m.Files {
		w := weft.File{Name: f.Name, Bytes: f.Bytes, Hash: f.Hash}
		if err := s.file(ctx, m, f.Path, w, known); err != nil {
			return err
		}
		p.Files = append(p.Files, w)
	}
	for _, g := range m.Segments {
		seg, err := s.segment(ctx, m, g)
		if err != nil {
			return err
		}
		p.Segments = append(p.Segments, seg)
	}
	if p.Manifest, err = s.blob(m.Manifest); err != nil {
		return err
	}
	s.state.Products = append(s.state.Products, p)
	return nil
}

// file copies a data file that the folder does not have.
func (s *saver) file(ctx context.Context, m *store.Image, from string, f weft.File, known map[string]weft.Hash) error {
	s.state.Bytes += f.Bytes
	to := s.path(filePath(m.Point.ID, f.Name))
	if st, err := os.Stat(to); err == nil && st.Size() == f.Bytes && known[f.Name] == f.Hash {
		s.progress(m)
		return nil
	}
	if err := copyWhole(ctx, from, to, f); err != nil {
		return err
	}
	s.touch(to)
	s.state.Copied += f.Bytes
	s.progress(m)
	return nil
}

// blob keeps a small file under its digest.
func (s *saver) blob(b []byte) (Blob, error) {
	x := Blob{Hash: sign.Digest(b), Bytes: int64(len(b))}
	s.state.Bytes += x.Bytes
	to := s.path(x.path())
	if have, err := os.ReadFile(to); err == nil && sign.Digest(have) == x.Hash {
		return x, nil
	}
	if err := writeWhole(to, b); err != nil {
		return x, err
	}
	s.touch(to)
	s.state.Copied += x.Bytes
	return x, nil
}

// books keeps a copy of the books.
func (s *saver) books(ctx context.Context) error {
	tmp := s.path(".books.tmp")
	_ = os.Remove(tmp) // of a backup that broke off
	defer func() { _ = os.Remove(tmp) }()
	if err := s.src.Books(ctx, tmp); err != nil {
		return err
	}
	b, err := os.ReadFile(tmp)
	if err != nil {
		return ioError("back up the books", tmp, err)
	}
	s.state.Books, err = s.blob(b)
	return err
}

// keys keeps the node's secrets.
func (s *saver) keys() error {
	if s.opt.NoKeys {
		return nil
	}
	for _, name := range keyFiles {
		path := filepath.Join(s.src.Data, name)
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return ioError("back up the keys", path, err)
		}
		x, err := s.blob(b)
		if err != nil {
			return err
		}
		s.state.Keys = append(s.state.Keys, Key{name, x})
	}
	return nil
}

// commit writes the state: after it, and not before, there is one more.
func (s *saver) commit() error {
	for d := range s.touched {
		if err := syncDir(d); err != nil {
			return err
		}
	}
	s.state.Cut = s.state.CutPoints().Token()
	b, err := s.state.encode()
	if err != nil {
		return err
	}
	if err := writeWhole(s.path(filepath.Join("states", s.state.ID+".json")), b); err != nil {
		return err
	}
	return syncDir(s.dir)
}

// touch remembers the folders whose names must be durable before the state is.
func (s *saver) touch(path string) {
	for d := filepath.Dir(path); len(d) >= len(s.dir) && strings.HasPrefix(d, s.dir); d = filepath.Dir(d) {
		s.touched[d] = true
	}
}

func (s *saver) progress(m *store.Image) {
	if s.opt.Progress != nil {
		s.opt.Progress(Progress{Product: m.Point.Product.String(), Bytes: s.state.Bytes, Copied: s.state.Copied})
	}
}
