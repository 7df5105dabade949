package backup

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"weft"
	"weft/peer"
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
	// Known gives the ids of the products that the node's books know now; nil where
	// none is ever deleted.
	Known func(context.Context) (map[string]bool, error)
	// Mesh gives the files by which the node is who it is in its mesh; nil where there
	// is none. They are secrets, like the token.
	Mesh func() ([]peer.File, error)
	Now  func() time.Time
}

// ErrGone says that a product is no longer there.
var ErrGone = errors.New("the product was deleted")

// Options of one backup.
type Options struct {
	Keep     int            // states to keep, this one included; 0 keeps all
	NoKeys   bool           // leave out what lets its holder act as the node
	Progress func(Progress) // may be nil; called by one goroutine
	Warn     func(error)    // may be nil; called with what is wrong and did not stop the backup
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
	s := &saver{src: src, opt: opt, touched: map[string]bool{}}
	if err := s.begin(dir); err != nil {
		return nil, err
	}
	defer s.end()
	st, err := s.all(ctx)
	if full(err) {
		_ = s.sweep(s.before, nil) // best effort; the disk may be others' too
	}
	return st, err
}

func (s *saver) all(ctx context.Context) (*State, error) {
	now := s.src.Now().UTC()
	s.state = &State{Time: now, Node: s.src.Node, Version: s.src.Version, Whole: s.src.Whole, Products: []Product{}}
	var err error
	if s.state.ID, err = s.newID(now); err != nil {
		return nil, err
	}
	for _, image := range s.src.Products {
		if err := s.product(ctx, image); err != nil {
			return nil, err
		}
	}
	if err := s.books(ctx); err != nil {
		return nil, err
	}
	if err := s.dropDeleted(ctx); err != nil {
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
	*folder
	src     Source
	opt     Options
	lock    *os.File
	before  []*State // oldest first
	unread  []Unread
	state   *State
	touched map[string]bool // files that were written or taken for the new state
}

// begin makes or takes the folder. One that holds something else is refused.
func (s *saver) begin(dir string) error {
	const op = "back up to"
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		s.folder, err = openFolder(dir)
	}
	if err != nil {
		return ioError(op, dir, err)
	}
	if err := s.take(); err != nil {
		s.end()
		return ioError(op, dir, err)
	}
	for _, u := range s.unread {
		if s.opt.Warn != nil {
			s.opt.Warn(weft.Errorf(weft.KindCorrupt, op, dir, "state %s cannot be read, and nothing is removed from the folder while it is there: %w", u.ID, u.Err).
				WithHint("`weft verify %s` says what is wrong; to let go of the state remove its file %s", dir, stateFile(u.ID)))
		}
	}
	return nil
}

func (s *saver) end() {
	if s.lock != nil {
		_ = s.lock.Close()
	}
	_ = s.folder.Close() // nothing is written through it
}

func (s *saver) take() error {
	const op = "back up to"
	es, err := fs.ReadDir(s.FS(), ".")
	if err != nil {
		return err
	}
	if len(es) > 0 && !s.has("backup.json") && !begun(es) {
		return weft.Errorf(weft.KindConflict, op, s.dir, "the folder holds something that is no backup").
			WithHint("give an empty folder, or one that weft backup made")
	}
	if s.lock, err = s.create("lock", 0); err != nil {
		return err
	}
	if err := unix.Flock(int(s.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return weft.Errorf(weft.KindConflict, op, s.dir, "another backup to this folder is running").WithHint("wait for its end")
	}
	if s.has("backup.json") {
		if err := s.known(); err != nil {
			return err
		}
	}
	if s.before, s.unread, err = s.states(); err != nil || s.checkHead() == nil {
		return err
	}
	return s.write("backup.json", head())
}

// begun reports whether a folder is one whose first backup broke off at once.
func begun(es []os.DirEntry) bool {
	return !slices.ContainsFunc(es, func(e os.DirEntry) bool { return e.Name() != "lock" && e.Name() != ".backup.json.tmp" })
}

// newID names a state by its time, later than every one that is there.
func (s *saver) newID(now time.Time) (string, error) {
	const layout = "20060102T150405.000Z"
	ids, err := s.ids()
	if err != nil {
		return "", err
	}
	for _, id := range ids {
		if last, err := time.Parse(layout, id); err == nil && !now.Truncate(time.Millisecond).After(last) {
			now = last.Add(time.Millisecond)
		}
	}
	return now.Format(layout), nil
}

// product saves one product as it is now. One that is deleted meanwhile is left
// out: its files go while they are copied.
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
	bytes := s.state.Bytes
	p, err := s.image(ctx, m)
	if err == nil {
		s.state.Products = append(s.state.Products, p)
		return nil
	}
	if s.src.Known != nil && ctx.Err() == nil {
		if ids, e := s.src.Known(ctx); e == nil && !ids[m.Point.ID] {
			s.state.Bytes = bytes
			return nil
		}
	}
	return err
}

// dropDeleted leaves out what was deleted after it was saved: the copy of the
// books, made before, may not know it any more. What the books alone know, a
// restore forgets.
func (s *saver) dropDeleted(ctx context.Context) error {
	if s.src.Known == nil {
		return nil
	}
	ids, err := s.src.Known(ctx)
	if err != nil {
		return err
	}
	s.state.Products = slices.DeleteFunc(s.state.Products, func(p Product) bool {
		gone := !ids[p.Point.ID]
		if gone {
			s.state.Bytes -= p.bytes()
		}
		return gone
	})
	return nil
}

// image copies what the folder does not have of a product.
func (s *saver) image(ctx context.Context, m *store.Image) (Product, error) {
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
			return p, err
		}
		p.Files = append(p.Files, w)
	}
	for _, g := range m.Segments {
		seg, err := s.segment(ctx, m, g)
		if err != nil {
			return p, err
		}
		p.Segments = append(p.Segments, seg)
	}
	var err error
	p.Manifest, err = s.blob(m.Manifest)
	return p, err
}

// file copies a data file that the folder does not have. One that no state names
// is of a backup that broke off: it is read once, and kept where it is good.
func (s *saver) file(ctx context.Context, m *store.Image, from string, f weft.File, known map[string]weft.Hash) error {
	s.state.Bytes += f.Bytes
	to := filePath(m.Point.ID, f.Name)
	if st, err := s.Lstat(to); err == nil && st.Mode().IsRegular() && st.Size() == f.Bytes {
		good := known[f.Name] == f.Hash
		if !good {
			got, _, err := digestOf(ctx, s.opener(to), 0, -1)
			good = err == nil && got == f.Hash
		}
		if good {
			s.touch(to)
			s.progress(m)
			return nil
		}
	}
	open := func() (*os.File, error) { return os.Open(from) }
	if err := s.roomFor(func() error { return copyWhole(ctx, open, s.folder, to, f) }); err != nil {
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
	if have, err := s.read(x.path(), x.Bytes); err == nil && sign.Digest(have) == x.Hash {
		s.touch(x.path())
		return x, nil
	}
	if err := s.roomFor(func() error { return s.write(x.path(), b) }); err != nil {
		return x, err
	}
	s.touch(x.path())
	s.state.Copied += x.Bytes
	return x, nil
}

// maxBooks bounds what is taken for a node's books.
const maxBooks = 4 << 30

// books keeps a copy of the books.
func (s *saver) books(ctx context.Context) error {
	const tmp = ".books.tmp"
	defer func() { _ = s.Remove(tmp) }()
	err := s.roomFor(func() error {
		_ = s.Remove(tmp) // of a backup that broke off
		err := s.src.Books(ctx, s.path(tmp))
		var db interface{ Code() int }
		if errors.As(err, &db) && db.Code()&0xff == 13 { // SQLITE_FULL is of this disk: the node's is only read
			err = ioError("copy the books to", s.path(tmp), unix.ENOSPC)
		}
		return err
	})
	if err != nil {
		return err
	}
	b, err := s.read(tmp, maxBooks)
	if err != nil {
		return err
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
	return s.mesh()
}

// mesh keeps what makes the node the same one of its mesh.
func (s *saver) mesh() error {
	if s.src.Mesh == nil {
		return nil
	}
	files, err := s.src.Mesh()
	if err != nil {
		return err
	}
	for _, f := range files {
		x, err := s.blob(f.Bytes)
		if err != nil {
			return err
		}
		s.state.Keys = append(s.state.Keys, Key{meshFolder + f.Name, x})
	}
	return nil
}

// commit writes the state: after it, and not before, there is one more.
func (s *saver) commit() error {
	dirs := map[string]bool{}
	for rel := range s.touched {
		for rel != "." {
			rel = filepath.Dir(rel)
			dirs[rel] = true
		}
	}
	for d := range dirs {
		if err := s.sync(d); err != nil {
			return err
		}
	}
	s.state.Cut = s.state.CutPoints().Token()
	b, err := s.state.encode()
	if err != nil {
		return err
	}
	if err := s.write(stateFile(s.state.ID), b); err != nil {
		return err
	}
	return s.sync(".")
}

// touch says that the state has a file: its name must be durable before the
// state is, and it is nobody's left over.
func (s *saver) touch(rel string) { s.touched[rel] = true }

func (s *saver) progress(m *store.Image) {
	if s.opt.Progress != nil {
		s.opt.Progress(Progress{Product: m.Point.Product.String(), Bytes: s.state.Bytes, Copied: s.state.Copied})
	}
}
