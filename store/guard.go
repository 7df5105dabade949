package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"

	"weft"
)

// guard holds every data file against its digest before it is first read, and
// again when it is no longer the file that was held: damage is told, never
// served. It remembers by inode, size and time of change; what a disk changes
// under a file that it has given before, nobody sees until the next start.
// Safe for concurrent use.
type guard struct {
	fs    fileSystem
	dir   string        // of the data files
	stop  chan struct{} // closed when the store is
	slots chan struct{} // large files that are hashed at once
	found func(f *dataFile, err *weft.Error)

	mu   sync.Mutex
	held map[string]*holding // by path
}

// holding is one file that was held or is being held.
type holding struct {
	file fileID
	done chan struct{} // closed when err is set
	err  *weft.Error   // what is wrong with the file, nil for nothing
}

// fileID tells whether a file is still the one that it was.
type fileID struct {
	device, inode     uint64
	size              int64
	changed, modified syscall.Timespec
}

// smallFile is the size up to which a file is hashed by who asks for it: that
// takes less than a millisecond.
const smallFile = 1 << 20

func newGuard(fsys fileSystem, dir string, stop chan struct{}, found func(*dataFile, *weft.Error)) *guard {
	return &guard{
		fs: fsys, dir: dir, stop: stop, slots: make(chan struct{}, max(2, runtime.NumCPU())), found: found,
		held: map[string]*holding{},
	}
}

// filePart is one file on the disk that a data file consists of.
type filePart struct {
	name  string
	bytes int64
	hash  weft.Hash
}

// parts lists what a data file consists of: what guard, verify and recovery hold.
// Its keys are none of it: they are derived, and a fault of theirs is no damage.
func (f *dataFile) parts() []filePart {
	return []filePart{{f.Name, f.Bytes, f.Hash}}
}

// check waits until the files were held. The error is KindCorrupt and names the
// first file that is not what was written.
func (g *guard) check(ctx context.Context, files ...*dataFile) error {
	var waits []*holding
	for _, f := range files {
		for _, p := range f.parts() {
			h := g.hold(f, p)
			waits = append(waits, h)
		}
	}
	for _, h := range waits {
		select {
		case <-h.done:
		case <-ctx.Done():
			return weft.Errorf(weft.KindCancelled, "hold the files against their digests", g.dir, "%w", ctx.Err())
		}
		if h.err != nil {
			return h.err
		}
	}
	return nil
}

// hold starts to hold a file, or finds that it was.
func (g *guard) hold(f *dataFile, p filePart) *holding {
	path := filepath.Join(g.dir, p.name)
	id, err := g.identify(path)
	if err != nil {
		h := &holding{done: make(chan struct{}), err: g.missing(path, err)}
		close(h.done)
		if h.err.Kind == weft.KindCorrupt {
			g.tell(f, h.err)
		}
		return h
	}
	if id.size != p.bytes {
		h := &holding{done: make(chan struct{}), err: p.compare(path, weft.Hash{}, id.size)}
		close(h.done)
		g.tell(f, h.err)
		return h
	}
	return g.once(path, id, func() *weft.Error {
		err := g.digest(path, p)
		if err != nil && err.Kind == weft.KindCorrupt {
			g.tell(f, err)
		}
		return err
	})
}

// once lets read judge a file as it is now, one time for all who ask.
func (g *guard) once(path string, id fileID, read func() *weft.Error) *holding {
	g.mu.Lock()
	h := g.held[path]
	if h != nil && h.file == id {
		g.mu.Unlock()
		return h
	}
	h = &holding{file: id, done: make(chan struct{})}
	g.held[path] = h
	g.mu.Unlock()
	work := func() {
		defer close(h.done)
		if h.err = read(); h.err == nil || h.err.Kind == weft.KindCorrupt {
			return
		}
		g.mu.Lock() // the disk may answer next time
		if g.held[path] == h {
			delete(g.held, path)
		}
		g.mu.Unlock()
	}
	if id.size <= smallFile {
		work()
		return h
	}
	go func() {
		g.slots <- struct{}{}
		defer func() { <-g.slots }()
		work()
	}()
	return h
}

func (g *guard) tell(f *dataFile, err *weft.Error) {
	if g.found != nil {
		g.found(f, err)
	}
}

func (g *guard) identify(path string) (fileID, error) {
	st, err := g.fs.Stat(path)
	if err != nil {
		return fileID{}, err
	}
	id := fileID{size: st.Size()}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		id.device, id.inode, id.changed, id.modified = uint64(sys.Dev), sys.Ino, sys.Ctim, sys.Mtim
	}
	return id, nil
}

func (g *guard) missing(path string, err error) *weft.Error {
	if errors.Is(err, fs.ErrNotExist) {
		return corrupt(path, 0, "the file is missing")
	}
	return knownError(ioError("read the file", path, err))
}

// digest reads the whole file.
func (g *guard) digest(path string, p filePart) *weft.Error {
	f, err := g.fs.Open(path, os.O_RDONLY)
	if err != nil {
		return g.missing(path, err)
	}
	defer func() { _ = f.Close() }()
	got, n, err := digestFile(f, p.bytes+1, g.stop)
	switch {
	case errors.Is(err, errEnded):
		return knownError(closedError())
	case err != nil:
		return knownError(ioError("read the file", path, err))
	}
	return p.compare(path, got, n)
}

var errEnded = errors.New("the store closes")

// readFull reads until b is full or the file ends.
func readFull(f file, b []byte, at int64) (int, error) {
	n, err := f.ReadAt(b, at)
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// knownError gives an error that is one of Weft's as such.
func knownError(err error) *weft.Error {
	var e *weft.Error
	if errors.As(err, &e) {
		return e
	}
	return weft.Errorf(weft.KindInternal, "", "", "%w", err)
}

// compare says what is wrong with a file of which n bytes with the digest got
// were read.
func (p filePart) compare(path string, got weft.Hash, n int64) *weft.Error {
	switch {
	case n != p.bytes:
		return corrupt(path, min(n, p.bytes), "the file does not have the %d bytes that were written", p.bytes)
	case got != p.hash:
		return corrupt(path, 0, "the digest of the file does not hold")
	}
	return nil
}

// trust takes a file as held that this process has just hashed.
func (g *guard) trust(f *dataFile) {
	for _, p := range f.parts() {
		path := filepath.Join(g.dir, p.name)
		if id, err := g.identify(path); err == nil && id.size == p.bytes { // else it is held when it is read
			g.know(path)
		}
	}
}

// know takes a file as held as it is now.
func (g *guard) know(path string) {
	id, err := g.identify(path)
	if err != nil {
		return
	}
	h := &holding{file: id, done: make(chan struct{})}
	close(h.done)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held[path] = h
}

// forget drops what is known of files that are gone.
func (g *guard) forget(f *dataFile) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range f.parts() {
		delete(g.held, filepath.Join(g.dir, p.name))
	}
	delete(g.held, filepath.Join(g.dir, f.Name+keysSuffix))
}

// digestFile hashes up to limit bytes of a file. Reading goes on while what was
// read is hashed. It ends early with errEnded when stop closes.
func digestFile(f file, limit int64, stop <-chan struct{}) (weft.Hash, int64, error) {
	const size, ahead = 256 << 10, 4
	type piece struct {
		b   []byte
		err error
	}
	pieces, free := make(chan piece, ahead), make(chan []byte, ahead+1)
	quit := make(chan struct{})
	defer close(quit)
	if limit <= size { // one read: nothing to go on meanwhile
		b := make([]byte, limit)
		n, err := readFull(f, b, 0)
		return sha256.Sum256(b[:n]), int64(n), err
	}
	for range cap(free) {
		free <- make([]byte, size)
	}
	go func() {
		defer close(pieces)
		for at := int64(0); at < limit; {
			var b []byte
			select {
			case b = <-free:
			case <-quit:
				return
			}
			n, err := readFull(f, b[:min(size, limit-at)], at)
			at += int64(n)
			select {
			case pieces <- piece{b[:n], err}:
			case <-quit:
				return
			}
			if err != nil || n < size {
				return
			}
		}
	}()
	h := sha256.New()
	var n int64
	for p := range pieces {
		select {
		case <-stop:
			return weft.Hash{}, n, errEnded
		default:
		}
		if p.err != nil {
			return weft.Hash{}, n, p.err
		}
		h.Write(p.b)
		n += int64(len(p.b))
		free <- p.b[:size]
	}
	var d weft.Hash
	h.Sum(d[:0])
	return d, n, nil
}

// checkTable holds the files of a table's view.
func (s *Snapshot) checkTable(v *tableView) error {
	err := s.store.guard.check(s.ctx, v.dataFiles()...)
	var e *weft.Error
	if errors.As(err, &e) && e.Kind == weft.KindCorrupt {
		told := *e // the guard keeps its own
		told.Message += ", so that table " + v.name + " of " + s.point.Product.String() + " cannot be read at " + s.point.Seq.String()
		return told.WithHint("other tables can be read, and states that do not need this file; restore the product from a backup. `weft verify` lists all faults of the folder")
	}
	return err
}

func (v *tableView) dataFiles() []*dataFile {
	var fs []*dataFile
	for _, l := range v.levels {
		if l.file != nil {
			fs = append(fs, l.file)
		}
	}
	return fs
}

// holdAll holds all data files in the background, those that the head is read
// from first, so that usually no reader waits. Stores that share slots take
// turns.
func (s *Store) holdAll(ctx context.Context) {
	s.mu.Lock()
	var files []*dataFile
	for _, t := range s.tables {
		if sp := t.head(); sp != nil {
			files = append(files, sp.files()...)
		}
	}
	for _, f := range s.allFiles() {
		if !slices.Contains(files, f) {
			files = append(files, f)
		}
	}
	s.mu.Unlock()
	for _, f := range files {
		if s.cfg.Background != nil {
			select {
			case s.cfg.Background <- struct{}{}:
			case <-ctx.Done():
				return
			case <-s.done:
				return
			}
		}
		if hold, err := s.holdFile(f.Name); err == nil { // else it is gone by now
			_ = s.guard.check(ctx, hold)
			s.dropFile(hold)
		}
		if s.cfg.Background != nil {
			<-s.cfg.Background
		}
		if ctx.Err() != nil || s.isClosed() {
			return
		}
	}
}
