package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"weft"
	"weft/sign"
)

// copyWhole copies an immutable file to where nothing is yet, and reads back what
// the disk has: it must have the digest that was recorded when the file was
// made. Where the file system can, the copy shares its blocks until one of the
// two is written to; the file itself is never shared.
func copyWhole(ctx context.Context, from func() (*os.File, error), to *folder, rel string, f weft.File) error {
	tmp := rel + ".tmp"
	err := transfer(ctx, from, to, tmp)
	if err == nil {
		var got weft.Hash
		var n int64
		got, n, err = digestOf(ctx, to.opener(tmp), 0, -1)
		if err == nil && (got != f.Hash || n != f.Bytes) {
			err = blame(ctx, from, to.path(rel), f)
		}
	}
	if err == nil {
		err = to.Rename(tmp, rel)
	}
	if err != nil {
		_ = to.Remove(tmp) // best effort; the next backup removes what is left
		return ioError("copy", to.path(rel), err)
	}
	return nil
}

// blame says whether the original is damaged or the copy.
func blame(ctx context.Context, from func() (*os.File, error), to string, f weft.File) error {
	in, err := from()
	if err != nil {
		return ioError("copy", to, err)
	}
	path := in.Name()
	got, n, err := digestOf(ctx, func() (*os.File, error) { return in, nil }, 0, -1)
	if err != nil {
		return err
	}
	if got != f.Hash || n != f.Bytes {
		return weft.Errorf(weft.KindCorrupt, "copy", path, "the file is not what was written").
			WithHint("the states of the backup are as they were; `weft verify` lists all faults of the folder that the file is in")
	}
	return weft.Errorf(weft.KindCorrupt, "copy", to, "the disk did not keep what was written to it").WithHint("use another disk")
}

// transfer makes a durable copy of a file.
func transfer(ctx context.Context, from func() (*os.File, error), to *folder, rel string) error {
	in, err := from()
	if err != nil {
		return ioError("copy", to.path(rel), err)
	}
	defer func() { _ = in.Close() }()
	out, err := to.create(rel, os.O_TRUNC)
	if err != nil {
		return err
	}
	if err = unix.IoctlFileClone(int(out.Fd()), int(in.Fd())); err != nil { // not this file system, or two of them
		_, err = io.Copy(out, reading(ctx, in))
	}
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return ioError("copy", to.path(rel), err)
	}
	return nil
}

// digestOf reads bytes from..from+n of a file (n < 0: to its end) from the disk,
// not from memory as far as the system lets us say so.
func digestOf(ctx context.Context, open func() (*os.File, error), from, n int64) (weft.Hash, int64, error) {
	f, err := open()
	if err != nil {
		return weft.Hash{}, 0, err
	}
	defer func() { _ = f.Close() }()
	_ = unix.Fadvise(int(f.Fd()), from, max(n, 0), unix.FADV_DONTNEED) // advice: what was synced is read again
	var r io.Reader = io.NewSectionReader(f, from, 1<<62)
	if n >= 0 {
		r = io.LimitReader(r, n)
	}
	h, got, err := sign.DigestReader(reading(ctx, r))
	if err != nil {
		return h, got, ioError("read", f.Name(), err)
	}
	return h, got, nil
}

// appendPiece writes what r gives behind from bytes of a segment's copy, and
// returns the digest of it, read back.
func appendPiece(ctx context.Context, to *folder, rel string, from, length int64, r io.Reader) (weft.Hash, error) {
	out, err := to.create(rel, 0)
	if err != nil {
		return weft.Hash{}, err
	}
	defer func() { _ = out.Close() }()
	h := sha256.New()
	n, err := io.Copy(io.NewOffsetWriter(out, from), tee{reading(ctx, r), h})
	if err == nil && n != length {
		err = io.ErrUnexpectedEOF
	}
	if err == nil {
		err = out.Sync()
	}
	if err != nil {
		return weft.Hash{}, ioError("copy", to.path(rel), err)
	}
	want := weft.Hash(h.Sum(nil))
	got, _, err := digestOf(ctx, to.opener(rel), from, length)
	if err != nil {
		return want, err
	}
	if got != want {
		return want, weft.Errorf(weft.KindCorrupt, "copy", to.path(rel), "the disk did not keep what was written to it").WithHint("use another disk")
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
