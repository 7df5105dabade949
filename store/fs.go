package store

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"weft"
)

// fileSystem is every way in which the store touches the disk, so that tests
// can tear writes, fail syncs, fill the disk and crash between any two steps.
// Paths are absolute. Safe for concurrent use.
type fileSystem interface {
	Open(path string, flag int) (file, error)
	Rename(from, to string) error
	// Link gives a file a second name.
	Link(from, to string) error
	Remove(path string) error
	MkdirAll(path string) error
	ReadDir(path string) ([]fs.DirEntry, error)
	Stat(path string) (fs.FileInfo, error)
	// SyncDir makes the names in a folder durable.
	SyncDir(path string) error
}

// file is one open file.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
	Stat() (fs.FileInfo, error)
}

// disk is the real file system.
type disk struct{}

func (disk) Open(path string, flag int) (file, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err // not f: a nil *os.File in an interface is not nil
	}
	return f, nil
}

func (disk) Rename(from, to string) error               { return os.Rename(from, to) }
func (disk) Link(from, to string) error                 { return os.Link(from, to) }
func (disk) Remove(path string) error                   { return os.Remove(path) }
func (disk) MkdirAll(path string) error                 { return os.MkdirAll(path, 0o700) }
func (disk) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }
func (disk) Stat(path string) (fs.FileInfo, error)      { return os.Stat(path) }

func (disk) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeWhole replaces the file at path so that a crash leaves the old content
// or the new one: a temporary file, synced, renamed, the folder synced.
func writeWhole(fsys fileSystem, path string, content []byte) error {
	return writeNew(fsys, path, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// writeNew is writeWhole of what write writes.
func writeNew(fsys fileSystem, path string, write func(io.Writer) error) error {
	tmp := path + ".tmp"
	f, err := fsys.Open(tmp, os.O_CREATE|os.O_TRUNC|os.O_RDWR)
	if err != nil {
		return err
	}
	err = write(io.NewOffsetWriter(f, 0))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = fsys.Remove(tmp) // best effort; Open removes what is left over
		return err
	}
	if err := fsys.Rename(tmp, path); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}

// MakeFolder makes a folder, for its owner alone, and what is missing above it. When
// it returns, a loss of power does not take their names away.
func MakeFolder(path string) error { return makeFolder(disk{}, path) }

// makeFolder makes a folder and what is missing above it, names and all. The name of
// one that is there is made durable too: who made it may not have come so far.
func makeFolder(fsys fileSystem, path string) error {
	parent := filepath.Dir(path)
	_, err := fsys.Stat(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if missing && parent != path {
		if err := makeFolder(fsys, parent); err != nil {
			return err
		}
	}
	if missing {
		err = fsys.MkdirAll(path)
	}
	if err != nil {
		return err
	}
	err = fsys.SyncDir(parent)
	if !missing && errors.Is(err, fs.ErrPermission) {
		return nil // another's folder, in which another made it
	}
	return err
}

// readWhole reads a file of at most limit bytes.
func readWhole(fsys fileSystem, path string, limit int64) ([]byte, error) {
	f, err := fsys.Open(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() > limit {
		return nil, errTooLong
	}
	b := make([]byte, st.Size())
	n, err := f.ReadAt(b, 0)
	if err == io.EOF && n == len(b) {
		err = nil
	}
	return b, err
}

var errTooLong = errors.New("the file is longer than any valid one")

// ioError says what an operation on a file met, with what to do about a full disk.
func ioError(op, path string, err error) error {
	var known *weft.Error
	if errors.As(err, &known) {
		return err
	}
	e := weft.Errorf(weft.KindUnavailable, op, path, "%w", err)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return e.WithHint("free space on this disk; nothing that was published is lost, and the next attempt goes on from there")
	}
	return e.WithHint("look at the disk and the folder's permissions")
}

// place is where in a file a fault is, as the cause of an error.
type place int64

func (p place) Error() string { return "at byte " + itoa(int64(p)) }

// corrupt says that stored bytes are not what was written, and where.
func corrupt(path string, offset int64, format string, args ...any) *weft.Error {
	e := weft.Errorf(weft.KindCorrupt, "read", path, format, args...)
	e.Cause = place(offset)
	return e.WithHint("restore the product from a backup; `weft verify` lists all faults of the folder")
}
