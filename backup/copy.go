package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"weft"
	"weft/sign"
)

// copyWhole copies an immutable file to where nothing is yet, and reads back what
// the disk has: it must have the digest that was recorded when the file was
// made. Where the file system can, the copy shares its blocks until one of the
// two is written to; the file itself is never shared.
func copyWhole(ctx context.Context, from, to string, f weft.File) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return ioError("copy", to, err)
	}
	tmp := to + ".tmp"
	if err := transfer(ctx, from, tmp); err != nil {
		_ = os.Remove(tmp) // best effort; the next backup removes what is left
		return err
	}
	got, n, err := digestOf(ctx, tmp, 0, -1)
	if err == nil && (got != f.Hash || n != f.Bytes) {
		err = blame(ctx, from, to, f)
	}
	if err == nil {
		err = os.Rename(tmp, to)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return ioError("copy", to, err)
	}
	return nil
}

// blame says whether the original is damaged or the copy.
func blame(ctx context.Context, from, to string, f weft.File) error {
	got, n, err := digestOf(ctx, from, 0, -1)
	if err != nil {
		return err
	}
	if got != f.Hash || n != f.Bytes {
		return weft.Errorf(weft.KindCorrupt, "copy", from, "the file is not what was written").
			WithHint("the states of the backup are as they were; `weft verify` lists all faults of the data folder")
	}
	return weft.Errorf(weft.KindCorrupt, "copy", to, "the disk did not keep what was written to it").WithHint("use another disk")
}

// transfer makes a durable copy of a file.
func transfer(ctx context.Context, from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return ioError("copy", from, err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return ioError("copy", to, err)
	}
	if err = unix.IoctlFileClone(int(out.Fd()), int(in.Fd())); err != nil { // not this file system, or two of them
		_, err = io.Copy(out, reading(ctx, in))
	}
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return ioError("copy", to, err)
	}
	return nil
}

// digestOf reads bytes from..from+n of a file (n < 0: to its end) from the disk,
// not from memory as far as the system lets us say so.
func digestOf(ctx context.Context, path string, from, n int64) (weft.Hash, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return weft.Hash{}, 0, ioError("read", path, err)
	}
	defer func() { _ = f.Close() }()
	_ = unix.Fadvise(int(f.Fd()), from, max(n, 0), unix.FADV_DONTNEED) // advice: what was synced is read again
	var r io.Reader = io.NewSectionReader(f, from, 1<<62)
	if n >= 0 {
		r = io.LimitReader(r, n)
	}
	h, got, err := sign.DigestReader(reading(ctx, r))
	if err != nil {
		return h, got, ioError("read", path, err)
	}
	return h, got, nil
}

// appendPiece writes what r gives behind from bytes of a segment's copy, and
// returns the digest of it, read back.
func appendPiece(ctx context.Context, to string, from, length int64, r io.Reader) (weft.Hash, error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return weft.Hash{}, ioError("copy", to, err)
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return weft.Hash{}, ioError("copy", to, err)
	}
	defer func() { _ = out.Close() }()
	err = out.Truncate(from)
	h := sha256.New()
	var n int64
	if err == nil {
		n, err = io.Copy(io.NewOffsetWriter(out, from), tee{reading(ctx, r), h})
	}
	if err == nil && n != length {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = out.Sync()
	}
	if err != nil {
		return weft.Hash{}, ioError("copy", to, err)
	}
	want := weft.Hash(h.Sum(nil))
	got, _, err := digestOf(ctx, to, from, length)
	if err != nil {
		return want, err
	}
	if got != want {
		return want, weft.Errorf(weft.KindCorrupt, "copy", to, "the disk did not keep what was written to it").WithHint("use another disk")
	}
	return want, nil
}

// tee hashes what is read.
type tee struct {
	io.Reader
	h hash.Hash
}

func (t tee) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	t.h.Write(p[:n])
	return n, err
}

// reading ends with ctx.
func reading(ctx context.Context, r io.Reader) io.Reader { return &contextReader{ctx, r} }

type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, &weft.Error{Op: "copy", Kind: weft.KindCancelled, Cause: err}
	}
	return r.Reader.Read(p)
}

// writeWhole replaces a file so that a crash leaves the old content or the new.
func writeWhole(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return ioError("write", path, err)
	}
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return ioError("write", path, err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return ioError("write", path, err)
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a folder durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return ioError("sync the folder", path, err)
	}
	return nil
}

// syncTree makes all names below a folder durable.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return syncDir(path)
	})
}
