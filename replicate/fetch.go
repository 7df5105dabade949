package replicate

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"weft"
)

// incoming is where files stand until they are whole and belong to a store. The name
// is of this copy alone, since workers that were let into a folder know it by its
// place on the disk: one of the same name that was made again they cannot read.
func (c *replica) incoming() string { return filepath.Join(c.dir, "incoming-"+c.mark()) }

// mark tells this copy's folders from those of one that was removed before.
func (c *replica) mark() string { return strconv.FormatInt(c.added.UnixNano(), 36) }

const partSuffix = ".part"

// fetchBuffer is how much is read at once.
const fetchBuffer = 1 << 20

// fetch brings one file, held against its digest and synced; it goes on where an
// earlier try broke off. The commit of Seq names it, or with 0 the offer.
func (c *replica) fetch(ctx context.Context, o *Origin, f weft.File, seq weft.Seq) (path string, err error) {
	path = filepath.Join(c.incoming(), f.Name)
	if ok, err := c.have(path, f); ok || err != nil {
		return path, err
	}
	part := path + partSuffix
	w, err := os.OpenFile(part, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", own(err)
	}
	defer func() { err = errors.Join(err, own(w.Close())) }()
	h := sha256.New()
	n, err := resume(w, h, f.Bytes)
	if err != nil {
		return "", own(err)
	}
	c.progress(n)
	for n < f.Bytes {
		if err := c.keeper.cfg.Room(c.name); err != nil {
			return "", own(err)
		}
		m, err := c.some(ctx, o, f, seq, n, io.MultiWriter(&ownWriter{w}, h))
		n += m
		if err != nil && (m == 0 || !errors.Is(err, errNotWhole)) {
			return "", err
		}
	}
	if weft.Hash(h.Sum(nil)) != f.Hash {
		_ = os.Remove(part) // it is of no use
		c.progress(-n)
		return "", fmt.Errorf("%w: file %s is not the one whose digest was said", errMalformed, f.Name)
	}
	if err := w.Sync(); err != nil {
		return "", own(err)
	}
	return path, own(os.Rename(part, path))
}

// have says whether a file is there as a whole already. One that is not what was
// said is removed.
func (c *replica) have(path string, f weft.File) (bool, error) {
	r, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, own(err)
	}
	defer func() { _ = r.Close() }()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(r, f.Bytes+1))
	if err != nil {
		return false, own(err)
	}
	if n == f.Bytes && weft.Hash(h.Sum(nil)) == f.Hash {
		c.progress(n)
		return true, nil
	}
	return false, own(os.Remove(path))
}

// resume reads what is there of a file; what cannot be its beginning is dropped.
func resume(w *os.File, h hash.Hash, most int64) (int64, error) {
	n, err := io.Copy(h, io.LimitReader(w, most+1))
	if err == nil && n > most {
		h.Reset()
		n = 0
	}
	if err == nil {
		err = w.Truncate(n)
	}
	if err == nil {
		_, err = w.Seek(n, io.SeekStart)
	}
	return n, err
}

// some asks for the rest of a file from a byte on, and gives how much of it came.
func (c *replica) some(ctx context.Context, o *Origin, f weft.File, seq weft.Seq, from int64, to io.Writer) (n int64, err error) {
	ctx, w := startWatch(ctx, c.keeper.timing.quiet)
	defer w.end()
	defer func() { err = why(ctx, err) }()
	q := url.Values{"from": {strconv.FormatInt(from, 10)}}
	if seq > 0 {
		q.Set("seq", strconv.FormatUint(uint64(seq), 10))
	}
	body, err := c.keeper.cfg.Ask(ctx, o.Node, c.name, "/files/"+url.PathEscape(f.Name), q)
	if err != nil {
		return 0, err
	}
	defer func() { _ = body.Close() }()
	r := w.reader(body)
	buf := make([]byte, min(fetchBuffer, f.Bytes-from))
	for n < f.Bytes-from {
		m, rerr := r.Read(buf[:min(int64(len(buf)), f.Bytes-from-n)])
		if m > 0 {
			if _, err := to.Write(buf[:m]); err != nil {
				return n, err
			}
			n += int64(m)
			c.progress(int64(m))
		}
		if rerr != nil && n < f.Bytes-from {
			return n, fmt.Errorf("%w: %w", errNotWhole, rerr)
		}
	}
	if m, _ := readFull(r, buf[:1]); m > 0 {
		return n, fmt.Errorf("%w: more of file %s comes than the %d bytes that were said", errMalformed, f.Name, f.Bytes)
	}
	return n, nil
}

// ownFault is an error of this side, not of what comes.
type ownFault struct{ error }

func (e *ownFault) Unwrap() error { return e.error }

// own marks an error of this side.
func own(err error) error {
	if err == nil {
		return nil
	}
	return &ownFault{err}
}

// ownWriter marks what goes wrong with this side's disk.
type ownWriter struct{ w io.Writer }

// Write is of io.Writer.
func (w *ownWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	return n, own(err)
}
