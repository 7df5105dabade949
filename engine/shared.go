package engine

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"golang.org/x/sys/unix"
)

// sharedMemory makes a memory file of n bytes that this process can write
// through the mapping it returns, and nobody else, by whatever they are given.
func sharedMemory(name string, n int64) (*os.File, []byte, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, nil, fmt.Errorf("make shared memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if err := f.Truncate(n); err != nil {
		_ = f.Close()
		return nil, nil, fmt.Errorf("make shared memory: %w", err)
	}
	mem, err := unix.Mmap(fd, 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err == nil {
		if _, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_FUTURE_WRITE|unix.F_SEAL_SEAL); err != nil {
			_ = unix.Munmap(mem)
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, fmt.Errorf("make shared memory: %w", err)
	}
	return f, mem, nil
}

// Shared is batches that were laid out once in a memory file, so that any number
// of statements can read them without a copy. Immutable; it goes when nothing
// refers to it.
type Shared struct {
	file *os.File
	size int64
	rows int64
}

// Share lays batches of one schema out for workers.
func Share(schema *arrow.Schema, batches []arrow.RecordBatch) (*Shared, error) {
	fd, err := unix.MemfdCreate("weft-rows", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make shared memory: %w", err)
	}
	sh := &Shared{file: os.NewFile(uintptr(fd), "weft-rows")}
	s := &spool{w: bufio.NewWriterSize(sh.file, 128<<10)}
	err = writeSource(s, Source{Schema: schema, Batches: batches})
	if err == nil {
		err = s.seal(sh.file)
	}
	if err != nil {
		_ = sh.file.Close()
		return nil, err
	}
	sh.size = s.pos
	for _, b := range batches {
		sh.rows += b.NumRows()
	}
	return sh, nil
}

// Read gives the batches, which read the memory file until done is called.
func (s *Shared) Read() (batches []arrow.RecordBatch, done func(), err error) {
	mem, err := unix.Mmap(int(s.file.Fd()), 0, int(s.size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("read shared memory: %w", err)
	}
	src, err := readSource("", mem)
	done = func() {
		src.release()
		_ = unix.Munmap(mem)
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return src.Batches, done, nil
}

// Rows is the number of rows.
func (s *Shared) Rows() int64 { return s.rows }

// Bytes is how much memory they take.
func (s *Shared) Bytes() int64 { return s.size }

// mappings is memory of the process that statements read through. A file stays
// mapped for some statements more, or until the worker rests: to find its pages anew
// costs a small question more than to read them.
type mappings struct {
	files []*mapping
}

type mapping struct {
	dev, ino uint64
	bytes    []byte
	unused   int  // statements since the last that had it
	once     bool // no other statement has it
}

// keepMapped is how many statements that do not have a file leave it mapped.
const keepMapped = 8

// begin says that a statement comes that has nothing yet.
func (m *mappings) begin() {
	for _, f := range m.files {
		f.unused++
	}
}

// settle gives up what statements no longer have.
func (m *mappings) settle() { m.drop(func(f *mapping) bool { return f.unused > keepMapped }) }

// end gives up what only the statement has that has ended.
func (m *mappings) end() { m.drop(func(f *mapping) bool { return f.once }) }

// close gives up everything.
func (m *mappings) close() { m.drop(func(*mapping) bool { return true }) }

func (m *mappings) drop(which func(*mapping) bool) {
	m.files = slices.DeleteFunc(m.files, func(f *mapping) bool {
		if !which(f) {
			return false
		}
		_ = unix.Munmap(f.bytes)
		return true
	})
}

// add maps a file to be read, of exactly size bytes where size is not negative.
// A file that is mapped keeps its number, so that no other can be taken for it.
func (m *mappings) add(fd int, size int64, once bool) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if size >= 0 && st.Size != size || st.Size <= 0 {
		return nil, fmt.Errorf("a file of %d bytes where %d were announced", st.Size, size)
	}
	for _, f := range m.files {
		if f.dev == st.Dev && f.ino == st.Ino && int64(len(f.bytes)) == st.Size {
			f.unused = 0
			return f.bytes, nil
		}
	}
	b, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ, unix.MAP_SHARED)
	if err == nil {
		m.files = append(m.files, &mapping{dev: st.Dev, ino: st.Ino, bytes: b, once: once})
	}
	return b, err
}

// open maps a file by its path.
func (m *mappings) open(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := m.add(int(f.Fd()), -1, false)
	runtime.KeepAlive(f)
	return b, err
}

// Close gives the memory up before nothing refers to it any more. Nothing may be
// reading it. Idempotent.
func (s *Shared) Close() { _ = s.file.Close() }
