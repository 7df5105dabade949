package backup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"weft"
)

// folder is a backup folder, or the one that a restore makes, held open. All
// names are relative to it, and a link that leads out of it is not followed: a
// backup may come from anywhere, and somebody else may be able to write to the
// disk that it is on.
type folder struct {
	*os.Root
	dir string // as it was given, for messages and for what needs a path
}

// openFolder holds a folder open that is there.
func openFolder(dir string) (*folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &folder{root, dir}, nil
}

func (f *folder) path(rel string) string { return filepath.Join(f.dir, rel) }

func (f *folder) has(rel string) bool {
	_, err := f.Lstat(rel)
	return err == nil
}

// open opens a file to be read. What is no file is refused: a pipe would be
// waited for.
func (f *folder) open(rel string) (*os.File, error) {
	in, err := f.OpenFile(rel, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, ioError("read", f.path(rel), err)
	}
	st, err := in.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = corrupt(f.path(rel), "it is no file")
	}
	if err != nil {
		_ = in.Close()
		return nil, ioError("read", f.path(rel), err)
	}
	return in, nil
}

// opener opens a file of the folder each time that it is called.
func (f *folder) opener(rel string) func() (*os.File, error) {
	return func() (*os.File, error) { return f.open(rel) }
}

// read gives a small file of at most limit bytes.
func (f *folder) read(rel string, limit int64) ([]byte, error) {
	in, err := f.open(rel)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	b, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, ioError("read", f.path(rel), err)
	}
	if int64(len(b)) > limit {
		return nil, corrupt(f.path(rel), "the file is longer than any valid one")
	}
	return b, nil
}

// create opens a file to be written, and makes it and its folder where they are
// not there.
func (f *folder) create(rel string, flags int) (*os.File, error) {
	if err := f.MkdirAll(filepath.Dir(rel), 0o700); err != nil {
		return nil, ioError("write", f.path(rel), err)
	}
	out, err := f.OpenFile(rel, os.O_CREATE|os.O_RDWR|unix.O_NONBLOCK|flags, 0o600)
	if err != nil {
		return nil, ioError("write", f.path(rel), err)
	}
	return out, nil
}

// write replaces a file so that a crash leaves the old content or the new.
func (f *folder) write(rel string, b []byte) error {
	tmp := filepath.Join(filepath.Dir(rel), "."+filepath.Base(rel)+".tmp")
	out, err := f.create(tmp, os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = out.Write(b)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = f.Rename(tmp, rel)
	}
	if err != nil {
		_ = f.Remove(tmp)
		return ioError("write", f.path(rel), err)
	}
	return f.sync(filepath.Dir(rel))
}

// sync makes the names in a folder durable.
func (f *folder) sync(rel string) error {
	d, err := f.Open(rel)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return ioError("sync the folder", f.path(rel), err)
	}
	return nil
}

// syncTree makes all names below the folder durable.
func (f *folder) syncTree() error {
	return fs.WalkDir(f.FS(), ".", func(rel string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return f.sync(rel)
	})
}

// ioError wraps what the system says; an error of ours passes as it is.
func ioError(op, path string, err error) error {
	var known *weft.Error
	if errors.As(err, &known) {
		return err
	}
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		err = fmt.Errorf("%s: %w", p.Op, p.Err) // the path is said once
	}
	return weft.Errorf(weft.KindUnavailable, op, path, "%w", err).WithHint("%s", hintOf(err))
}

// full reports whether it was for want of space.
func full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// hintOf says what to do about an error of the system.
func hintOf(err error) string {
	switch {
	case full(err):
		return "free space on that disk and run it again; a backup lets go of old states when their files in its folder states are removed"
	case errors.Is(err, unix.EROFS):
		return "the node must be able to write there; with systemd, ReadWritePaths= names the folder"
	case errors.Is(err, fs.ErrPermission):
		return "a backup is its owner's alone: run it as the user that made it, or let that user write there"
	}
	return "look at the disk and the folder's permissions"
}
