package store

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

var errCrash = errors.New("the power is gone")

// faultFS is the real file system with faults: at a given step one operation
// fails or the power goes. It knows of every file what is on the disk for sure
// and what was written since:
//
//   - A write reaches the disk when its file is synced. Until then a power cut
//     leaves any of the writes, in any order, whole, torn by sectors or not at all.
//   - A name (made, renamed, linked, removed, a folder too) reaches the disk when
//     its folder is synced. Until then a power cut leaves the first ones of a
//     folder's, however many, and of each folder by itself.
//   - After a sync that failed, some of the writes are on the disk and the others
//     never will be, whatever is synced later, while readers go on seeing all.
//   - What another process has written (the engine) is not synced until it is.
type faultFS struct {
	disk
	backup string // folder on the same disk, for what may have to come back

	mu      sync.Mutex
	rnd     *rand.Rand
	left    int // operations until the fault, negative for none
	fault   string
	crashed bool
	hit     bool
	steps   int // operations that changed the disk so far
	files   map[string]*inode
	names   map[string][]nameOp // of a folder, not synced
	n       int
}

// inode is what is known of a file's content.
type inode struct {
	durable []byte    // on the disk for sure
	ops     []writeOp // since
}

// writeOp is one write, or where data is nil a change of the size.
type writeOp struct {
	off  int64
	data []byte
}

// nameOp is one change of a folder's names, and how it is taken back.
type nameOp struct {
	n    int
	undo func()
}

const sectorSize = 512

func newFaultFS(backup string, rnd *rand.Rand) *faultFS {
	return &faultFS{backup: backup, rnd: rnd, left: -1, files: map[string]*inode{}, names: map[string][]nameOp{}}
}

// adopt takes what is below a folder as being on the disk.
func (f *faultFS) adopt(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		f.files[path] = &inode{durable: b}
		return err
	})
}

// plan sets the fault that comes after n more operations: crash, full, sync,
// write or name.
func (f *faultFS) plan(n int, fault string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.fault, f.hit = n, fault, false
}

// restore ends what was planned: the machine is on again.
func (f *faultFS) restore() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.crashed, f.left = false, -1
}

// step is called, with the lock held, before each operation that changes the disk.
func (f *faultFS) step(kind string) error {
	if f.crashed {
		return errCrash
	}
	f.steps++
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
	case f.fault == kind:
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
	var undo []nameOp
	for _, dir := range slices.Sorted(maps.Keys(f.names)) {
		ops := f.names[dir]
		undo = append(undo, ops[f.rnd.IntN(len(ops)+1):]...)
	}
	slices.SortFunc(undo, func(a, b nameOp) int { return cmp.Compare(b.n, a.n) })
	for _, op := range undo {
		op.undo()
	}
	clear(f.names)
	for _, path := range slices.Sorted(maps.Keys(f.files)) {
		node := f.files[path]
		for _, op := range node.ops {
			node.durable = f.tear(node.durable, op)
		}
		node.ops = nil
		if _, err := os.Stat(path); err != nil {
			delete(f.files, path)
			continue
		}
		now, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
		if err == nil {
			_, _ = now.Write(node.durable)
			_ = now.Close()
		}
	}
}

// tear puts on the disk what a power cut leaves of one write.
func (f *faultFS) tear(b []byte, op writeOp) []byte {
	switch f.rnd.IntN(4) {
	case 0:
		return b
	case 1:
		if len(op.data) == 0 {
			return b
		}
		for at := 0; at < len(op.data); {
			end := min(len(op.data), at+sectorSize-int((op.off+int64(at))%sectorSize))
			if f.rnd.IntN(2) == 0 {
				b = writeOp{op.off + int64(at), op.data[at:end]}.apply(b)
			}
			at = end
		}
		return b
	}
	return op.apply(b)
}

func (op writeOp) apply(b []byte) []byte {
	if op.data == nil {
		if op.off <= int64(len(b)) {
			return b[:op.off:op.off]
		}
		return append(b, make([]byte, op.off-int64(len(b)))...)
	}
	if end := op.off + int64(len(op.data)); end > int64(len(b)) {
		b = append(b, make([]byte, end-int64(len(b)))...)
	}
	copy(b[op.off:], op.data)
	return b
}

// named remembers a change of names in a folder; the lock is held.
func (f *faultFS) named(path string, undo func()) {
	f.n++
	dir := filepath.Dir(path)
	f.names[dir] = append(f.names[dir], nameOp{f.n, undo})
}

func (f *faultFS) Open(path string, flag int) (file, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed {
		return nil, errCrash
	}
	_, err := os.Lstat(path)
	fresh := err != nil
	if flag&os.O_CREATE != 0 && (fresh || flag&os.O_TRUNC != 0) {
		if err := f.step("create"); err != nil {
			return nil, err
		}
	}
	node := f.files[path]
	if node == nil && !fresh { // another process has written it
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		node = &inode{ops: []writeOp{{0, b}}}
		f.files[path] = node
	}
	h, err := f.disk.Open(path, flag)
	if err != nil {
		return nil, err
	}
	if fresh && flag&os.O_CREATE != 0 {
		node = &inode{}
		f.files[path] = node
		f.named(path, func() { _ = os.Remove(path); delete(f.files, path) })
	} else if flag&os.O_TRUNC != 0 {
		node.ops = append(node.ops, writeOp{})
	}
	return &faultFile{file: h, fs: f, node: node}, nil
}

// saved keeps a file under another name, as long as it may have to come back.
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
	old, oldNode := f.saved(to), f.files[to]
	if err := f.disk.Rename(from, to); err != nil {
		return err
	}
	if st, err := os.Stat(to); err == nil && st.IsDir() {
		f.moveTree(from, to)
	} else {
		f.files[to] = f.files[from]
		delete(f.files, from)
		if f.files[to] == nil {
			delete(f.files, to)
		}
	}
	f.named(to, func() {
		_ = os.Rename(to, from)
		if st, err := os.Stat(from); err == nil && st.IsDir() {
			f.moveTree(to, from)
		} else if node := f.files[to]; node != nil {
			f.files[from] = node
			delete(f.files, to)
		}
		if old != "" {
			_ = os.Rename(old, to)
			f.files[to] = oldNode
		}
	})
	return nil
}

// moveTree gives what is known of a folder's files its new place. Names in it
// that are not synced are taken for lost: a folder is synced before it is moved.
func (f *faultFS) moveTree(from, to string) {
	for path, node := range maps.Clone(f.files) {
		if rest, ok := strings.CutPrefix(path, from+string(filepath.Separator)); ok {
			delete(f.files, path)
			f.files[filepath.Join(to, rest)] = node
		}
	}
	for dir, ops := range maps.Clone(f.names) {
		if dir != from && !strings.HasPrefix(dir, from+string(filepath.Separator)) {
			continue
		}
		for _, op := range slices.Backward(ops) {
			_ = os.Rename(to, from) // the operations know the old place
			op.undo()
			_ = os.Rename(from, to)
		}
		delete(f.names, dir)
	}
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
	if node := f.files[from]; node != nil {
		f.files[to] = node
	}
	f.named(to, func() { _ = os.Remove(to); delete(f.files, to) })
	return nil
}

func (f *faultFS) Remove(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.step("name"); err != nil {
		return err
	}
	st, err := os.Lstat(path)
	if err != nil {
		return err
	}
	old, node := "", f.files[path]
	if !st.IsDir() {
		old = f.saved(path)
	}
	if err := f.disk.Remove(path); err != nil {
		return err
	}
	delete(f.files, path)
	f.named(path, func() {
		if st.IsDir() {
			_ = os.Mkdir(path, 0o700)
			return
		}
		_ = os.Rename(old, path)
		if node != nil {
			f.files[path] = node
		}
	})
	return nil
}

func (f *faultFS) MkdirAll(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.crashed {
		return errCrash
	}
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := f.step("name"); err != nil {
		return err
	}
	if err := f.disk.MkdirAll(path); err != nil {
		return err
	}
	f.named(path, func() { _ = os.RemoveAll(path) })
	return nil
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
	node *inode
}

func (h *faultFile) WriteAt(b []byte, off int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	err := h.fs.step("write")
	n := len(b)
	if err != nil && n > 0 {
		n = h.fs.rnd.IntN(n) // a write that fails may have come in part
	}
	if n > 0 {
		h.node.ops = append(h.node.ops, writeOp{off, slices.Clone(b[:n])})
		if done, err := h.file.WriteAt(b[:n], off); err != nil {
			return done, err
		}
	}
	return n, err
}

func (h *faultFile) Truncate(size int64) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.fs.step("write"); err != nil {
		return err
	}
	h.node.ops = append(h.node.ops, writeOp{off: size})
	return h.file.Truncate(size)
}

func (h *faultFile) Sync() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.fs.step("sync"); err != nil {
		for _, op := range h.node.ops {
			h.node.durable = h.fs.tear(h.node.durable, op)
		}
		h.node.ops = nil
		return err
	}
	for _, op := range h.node.ops {
		h.node.durable = op.apply(h.node.durable)
	}
	h.node.ops = nil
	return nil
}
