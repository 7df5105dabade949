package files

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/zeebo/xxh3"

	"weft"
	"weft/contract"
	"weft/ingest"
)

// prove hashes all bytes of the file and, where it is compressed, reads it to
// its end: the engine takes a stream that was cut off for a short file.
func (f *file) prove(ctx context.Context) error {
	h, err := f.openRaw()
	if weft.KindOf(err) == weft.KindDenied {
		return err
	}
	if err != nil {
		return errors.New(plain(err))
	}
	defer h.Close()
	sum := xxh3.New()
	raw := io.TeeReader(&ctxReader{ctx, h}, sum)
	if f.compression != "none" && f.size > 0 {
		r, err := decompress(raw, f.compression)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if c, ok := r.(io.Closer); ok {
			c.Close()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("the %s file is cut off or damaged (%w)", f.compression, err)
		}
	}
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, raw, make([]byte, 1<<20)); err != nil {
		return err
	}
	f.hash = sumText(sum)
	return nil
}

func sumText(h *xxh3.Hasher) string {
	b := h.Sum128().Bytes()
	return fmt.Sprintf("%x", b)
}

func hashText(s string) string {
	b := xxh3.HashString128(s).Bytes()
	return fmt.Sprintf("%x", b)
}

// ctxReader ends a long read when its context ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// same reports whether f is the file of an earlier print; where size and time
// leave it open, by its hash.
func (f *file) same(ctx context.Context, old ingest.FilePrint) (bool, error) {
	if old.Same(f.size, f.time) {
		f.hash = old.Hash
		return true, nil
	}
	if old.Size != f.size {
		return false, nil
	}
	if err := f.prove(ctx); err != nil {
		return false, err
	}
	return f.hash == old.Hash, nil
}

func (t *table) prints() []ingest.FilePrint {
	var ps []ingest.FilePrint
	for _, f := range t.all {
		if f.hash == "" {
			continue // not in the window: still to be read
		}
		ps = append(ps, ingest.FilePrint{Table: f.table, Path: f.path, Size: f.size, Time: f.time.UTC(), Read: f.begun, Hash: f.hash})
	}
	return ps
}

// choose decides what to read: everything when anything changed (snapshot), new
// files (append), new and changed files (upsert).
func (p *plan) choose(ctx context.Context, r ingest.Request, old ingest.FilePosition, how string) error {
	fresh := len(r.Position) == 0
	rest := map[[2]string]bool{}
	for _, f := range old.Files {
		rest[[2]string{f.Table, f.Path}] = true
	}
	changed := fresh || old.How != how && r.Mode() != contract.ModeAppend
	for i := range p.tables {
		t := &p.tables[i]
		for _, f := range t.all {
			print, seen := old.Find(f.table, f.path)
			delete(rest, [2]string{f.table, f.path})
			same := false
			if seen {
				var err error
				if same, err = f.same(ctx, print); err != nil {
					return fault(r, f, err)
				}
			}
			if seen && !same && r.Mode() == contract.ModeAppend {
				return weft.Errorf(weft.KindDrift, "read the source", r.Where(), "%s was read before and has changed since: the files of an append source never change", f.label).
					WithHint("put new rows into new files, or set weftMode to upsert (rows by key) or snapshot (the files are the whole table)")
			}
			again := r.Window != nil && r.Mode() == contract.ModeUpsert
			if (!same || again || old.How != how && r.Mode() == contract.ModeUpsert) && r.Window.Holds(f.time) {
				t.read = append(t.read, f)
				changed = true
			} else if !same {
				f.hash = "" // outside the window
			}
		}
	}
	if r.Mode() == contract.ModeSnapshot {
		changed = changed || len(rest) > 0
		for i := range p.tables {
			p.tables[i].read = p.tables[i].all
		}
	}
	p.unchanged = !changed
	return nil
}
