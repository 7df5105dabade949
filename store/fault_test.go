package store

import (
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

var errCrash = errors.New("the power is gone")

// faultFS is the real file system with faults: at a given step one operation
// fails or the power goes. When the power is gone, what was not synced is lost
// in part: writes from some point on, one of them torn, and names likewise.
type faultFS struct {
	disk
	backup string // folder on the same disk, for what may have to come back

	mu      sync.Mutex
	rnd     *rand.Rand
	left    int // operations until the fault, negative for none
	fault   string
	crashed bool
	hit     bool
	writes  map[string][]undo // of a file, not synced
	names   map[string][]undo // of a folder, not synced
	n       int
}

// undo takes back one operation.
type undo struct {
	full    func()
	part    func()
	from    int64
	to      int64 // the bytes it is about; those from from on when it is less
	lostFor bool  // a sync failed over it: no later one brings it to the disk
}

func newFaultFS(backup string, rnd *rand.Rand) *faultFS {
	return &faultFS{
		backup: backup, rnd: rnd, left: -1,
		writes: map[string][]undo{}, names: map[string][]undo{},
	}
}

// plan sets the fault that comes after n more operations: crash, full, sync or torn.
func (f *faultFS) plan(n int, fault string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.fault, f.hit = n, fault, false
}

// step is called, with the lock held, before each operation that changes the disk.
func (f *faultFS) step(kind string) error {
	if f.crashed {
		return errCrash
	}
	if f.left < 0 {
		return nil
	}
	if f.left--; f.left >= 0 {
		return nil
	}
	switch {
	case f.fault == "crash":
		f.crashed, f.hit = true, true
		return errCrash
	case f.fault == "full" && (kind == "write" || kind == "create"):
		f.hit = true
		return unix.ENOSPC
	case f.fault == "sync" && kind == "sync":
		f.hit = true
		return unix.EIO
	}
	f.left = 0 // the next operation that fits
	return nil
}

// lose makes the disk look as after a power cut.
func (f *faultFS) lose() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, of := range []map[string][]undo{f.writes, f.names} {
		for _, path := range slices.Sorted(maps.Keys(of)) {
			f.undoTail(of[path])
			delete(of, path)
		}
	}
}

func (f *faultFS) undoTail(ops []undo) {
	keep := f.rnd.IntN(len(ops) + 1)
	for i := len(ops) - 1; i >= 0; i-- {
		switch {
		case ops[i].lostFor || i > keep:
			ops[i].full()
		case i == keep && ops[i].part != nil:
			ops[i].part()
		case i == keep:
			ops[i].full()
		}
	}
}

func (f *faultFS) Open(path string, flag int) (file, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed {
		return nil, errCrash
	}
	if flag&os.O_CREATE != 0 {
		if _, err := os.Stat(path); err != nil {
			if err := f.step("create"); err != nil {
				return nil, err
			}
			dir := filepath.Dir(path)
			f.names[dir] = append(f.names[dir], undo{full: func() { _ = os.Remove(path) }})
		}
	}
	h, err := f.disk.Open(path, flag)
	if err != nil {
		return nil, err
	}
	return &faultFile{file: h, fs: f, path: path}, nil
}

func (f *faultFS) saved(path string) string {
	f.n++
	to := filepath.Join(f.backup, itoa(int64(f.n)))
	if os.Link(path, to) != nil {
		return ""
	}
	return to
}

func (f *faultFS) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.step("name"); err != nil {
		return err
	}
	old := f.saved(to)
	if err := f.disk.Rename(from, to); err != nil {
		return err
	}
	f.writes[to] = append(f.writes[to], f.writes[from]...)
	delete(f.writes, from)
	dir := filepath.Dir(to)
	f.names[dir] = append(f.names[dir], undo{full: func() {
		_ = os.Rename(to, from)
		if old != "" {
			_ = os.Rename(old, to)
		}
	}})
	return nil
}

func (f *faultFS) Link(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.step("name"); err != nil {
		return err
	}
	if err := f.disk.Link(from, to); err != nil {
		return err
	}
	dir := filepath.Dir(to)
	f.names[dir] = append(f.names[dir], undo{full: func() { _ = os.Remove(to) }})
	return nil
}

func (f *faultFS) Remove(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.step("name"); err != nil {
		return err
	}
	old := f.saved(path)
	if err := f.disk.Remove(path); err != nil {
		return err
	}
	delete(f.writes, path) // they went with the file; a new one of this name is another
	dir := filepath.Dir(path)
	f.names[dir] = append(f.names[dir], undo{full: func() { _ = os.Rename(old, path) }})
	return nil
}

func (f *faultFS) MkdirAll(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed {
		return errCrash
	}
	return f.disk.MkdirAll(path)
}

func (f *faultFS) SyncDir(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.step("sync"); err != nil {
		return err
	}
	delete(f.names, path)
	return nil
}

func (f *faultFS) ReadDir(path string) ([]fs.DirEntry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed {
		return nil, errCrash
	}
	return f.disk.ReadDir(path)
}

// faultFile is one open file of a faultFS.
type faultFile struct {
	file
	fs   *faultFS
	path string
}

func (h *faultFile) WriteAt(b []byte, off int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	err := h.fs.step("write")
	torn := 0
	if err != nil && len(b) > 0 {
		torn = h.fs.rnd.IntN(len(b))
	}
	if err != nil && torn == 0 {
		return 0, err
	}
	h.remember(off, b)
	if err != nil {
		n, _ := h.file.WriteAt(b[:torn], off)
		return n, err
	}
	return h.file.WriteAt(b, off)
}

// remember makes it possible to take back a write of b at off.
func (h *faultFile) remember(off int64, b []byte) {
	st, err := h.file.Stat()
	if err != nil {
		return
	}
	size := st.Size()
	old := make([]byte, max(0, min(int64(len(b)), size-off)))
	_, _ = h.file.ReadAt(old, off)
	keep := append([]byte{}, b...)
	path, cut := h.path, h.fs.rnd.IntN(len(b)+1)
	full := func() {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return
		}
		_, _ = f.WriteAt(old, off)
		_ = f.Truncate(size)
		_ = f.Close()
	}
	part := func() {
		full()
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return
		}
		_, _ = f.WriteAt(keep[:cut], off)
		_ = f.Close()
	}
	h.fs.writes[path] = append(h.fs.writes[path], undo{full: full, part: part, from: off, to: off + int64(len(b))})
}

func (h *faultFile) Truncate(size int64) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.fs.step("write"); err != nil {
		return err
	}
	st, err := h.file.Stat()
	if err != nil {
		return err
	}
	old := make([]byte, max(0, st.Size()-size))
	_, _ = h.file.ReadAt(old, size)
	path := h.path
	h.fs.writes[path] = append(h.fs.writes[path], undo{from: size, full: func() {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return
		}
		_, _ = f.WriteAt(old, size)
		_ = f.Close()
	}})
	return h.file.Truncate(size)
}

func (h *faultFile) Sync() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.fs.step("sync"); err != nil {
		for i := range h.fs.writes[h.path] {
			h.fs.writes[h.path][i].lostFor = true
		}
		return err
	}
	var left []undo
	ops := h.fs.writes[h.path]
	for i, u := range ops {
		// What was written over or cut off since is no longer lost.
		covered := slices.ContainsFunc(ops[i+1:], func(o undo) bool {
			return !o.lostFor && o.from <= u.from && (o.to <= o.from || o.to >= u.to)
		})
		if u.lostFor && !covered {
			left = append(left, u)
		}
	}
	h.fs.writes[h.path] = left
	return nil
}
