package catalog

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/zeebo/xxh3"

	"weft"
)

// The files of the folder. Each begins with its format and the length and digest of
// each of its sections; a file that is not as it was written counts for nothing, and
// so neither has to be on the disk when a write returns. What words are taken for one
// and how they are weighed is part of the format: whoever changes that raises it.
const (
	cardsFile = "cards" // the cards and the index of them, as one part
	headsFile = "heads"
	format    = "weft catalog 2\n"
)

// load reads the folder. Whatever is wrong with it costs time only: Sync brings what
// is missing.
func (c *Catalog) load(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return weft.Errorf(weft.KindCancelled, "open the catalogue", c.cfg.Dir, "%w", err)
	}
	if c.cfg.Dir == "" {
		return nil
	}
	if err := os.MkdirAll(c.cfg.Dir, 0o700); err != nil {
		return weft.Errorf(weft.KindUnavailable, "open the catalogue", c.cfg.Dir, "%w", err)
	}
	for _, f := range []struct {
		name     string
		sections int
		take     func([][]byte) error
	}{{headsFile, 1, c.takeHeads}, {cardsFile, 3, c.takeCards}} {
		sections, err := readFile(filepath.Join(c.cfg.Dir, f.name), f.sections)
		if err == nil {
			err = f.take(sections)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.log.Warn("a file of the catalogue is made anew from the records", "file", f.name, "error", err)
		}
	}
	c.unsaved = unsaved{}
	return nil
}

// readFile reads the sections of a file.
func readFile(path string, n int) ([][]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	bad := func(what string) error { return weft.Errorf(weft.KindCorrupt, "read the catalogue", path, "%s", what) }
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	start := make([]byte, len(format)+16*n)
	if _, err := io.ReadFull(f, start); err != nil || string(start[:len(format)]) != format {
		return nil, bad("it is of another version or cut short")
	}
	left := uint64(info.Size()) - uint64(len(start))
	var out [][]byte
	for i := range n {
		size := binary.LittleEndian.Uint64(start[len(format)+16*i:])
		if size > left {
			return nil, bad("it is cut short")
		}
		left -= size
		b := make([]byte, size)
		if _, err := io.ReadFull(f, b); err != nil {
			return nil, err
		}
		if xxh3.Hash(b) != binary.LittleEndian.Uint64(start[len(format)+16*i+8:]) {
			return nil, bad("its bytes are not what was written")
		}
		out = append(out, b)
	}
	return out, nil
}

// writeFile puts a file in the place of the one before.
func writeFile(path string, sections ...[]byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	start := []byte(format)
	for _, s := range sections {
		start = binary.LittleEndian.AppendUint64(start, uint64(len(s)))
		start = binary.LittleEndian.AppendUint64(start, xxh3.Hash(s))
	}
	w := bufio.NewWriter(f)
	_, err = w.Write(start)
	for _, s := range sections {
		if err == nil {
			_, err = w.Write(s)
		}
	}
	if err = errors.Join(err, w.Flush(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// worth says of how many changes out of all a file is written anew: at the end for
// less than while the catalogue is used, since a change that is not in it costs the
// restart a fraction of a millisecond.
func worth(changes, all int, end bool) bool {
	if end {
		return changes > 0 && changes >= min(all/50, 2000)
	}
	return changes >= max(1000, all/20)
}

// saveEvery is how often the catalogue looks whether there is enough to save.
const saveEvery = 2 * time.Minute

// saveNowAndThen writes the folder until the catalogue is closed. It is not the
// index's to do: that would have to wait for it.
func (c *Catalog) saveNowAndThen() {
	t := time.NewTicker(saveEvery)
	defer t.Stop()
	for {
		select {
		case <-c.quit:
			return
		case <-t.C:
			if err := c.save(false); err != nil {
				c.log.Error("the catalogue cannot be written: a restart will take longer", "error", err)
			}
		}
	}
}

// save writes the files of the folder for which it is worth it.
func (c *Catalog) save(end bool) error {
	if c.cfg.Dir == "" {
		return nil
	}
	c.mu.RLock()
	changed, cards := c.unsaved, c.cards
	c.mu.RUnlock()
	var errs error
	if worth(changed.cards, cards, end) {
		errs = c.saveCards()
	}
	if worth(changed.heads, cards, end) {
		errs = errors.Join(errs, c.saveHeads())
	}
	if errs != nil {
		return weft.Errorf(weft.KindUnavailable, "write the catalogue", c.cfg.Dir, "%w", errs)
	}
	return nil
}

func (c *Catalog) saveCards() error {
	c.flush()
	c.parts.Lock()
	defer c.parts.Unlock()
	c.mu.Lock()
	before := c.unsaved.cards
	c.mu.Unlock()
	p, err := c.whole()
	if err != nil {
		return err
	}
	var docs []byte
	docs = binary.AppendUvarint(docs, uint64(len(p.docs)))
	for _, d := range p.docs {
		docs = d.append(docs)
	}
	if err := writeFile(filepath.Join(c.cfg.Dir, cardsFile), docs, p.fst, p.posts); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsaved.cards -= before
	return nil
}

// whole makes one part of all. Who calls holds c.parts.
func (c *Catalog) whole() (*part, error) {
	parts := c.view.Load().parts
	switch {
	case len(parts) == 1 && parts[0].dead.Load() == 0:
		return parts[0], nil
	case len(parts) == 0:
		w, err := newWriter()
		if err != nil {
			return nil, err
		}
		return w.part(nil)
	}
	return c.merge(parts)
}

func (c *Catalog) saveHeads() error {
	c.mu.Lock()
	before := c.unsaved.heads
	type named struct {
		weft.Name
		*head
	}
	var all []named
	for n, p := range c.products {
		if p.head != nil && p.head.version > 0 {
			all = append(all, named{n, p.head})
		}
	}
	c.mu.Unlock()
	var b []byte
	b = binary.AppendUvarint(b, uint64(len(all)))
	for _, h := range all {
		b = h.append(b, h.Name)
	}
	if err := writeFile(filepath.Join(c.cfg.Dir, headsFile), b); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsaved.heads -= before
	return nil
}

// takeCards makes the only part of the index of what a file holds. Cards that nobody
// signed are left out: their node puts them again.
func (c *Catalog) takeCards(sections [][]byte) error {
	r := &reader{b: sections[0], words: map[string]string{}}
	n := r.count()
	docs := make([]*doc, 0, n)
	for range n {
		docs = append(docs, r.doc())
	}
	if r.bad || len(r.b) > 0 {
		return weft.Errorf(weft.KindCorrupt, "read the catalogue", cardsFile, "its cards are not whole")
	}
	p, err := newPart(docs, sections[1], sections[2])
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for at, d := range docs {
		pr := c.product(d.name)
		if d.version == 0 || pr.doc != nil {
			d.dead = true
		} else {
			c.link(pr, d)
		}
		c.place(d, p, at)
	}
	c.publish([]*part{p})
	return nil
}

func (c *Catalog) takeHeads(sections [][]byte) error {
	r := &reader{b: sections[0], words: map[string]string{}}
	n := r.count()
	all := make(map[weft.Name]*head, n)
	for range n {
		n, h := r.head()
		all[n] = h
	}
	if r.bad || len(r.b) > 0 {
		return weft.Errorf(weft.KindCorrupt, "read the catalogue", headsFile, "its heads are not whole")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for n, h := range all {
		c.product(n).head = h
	}
	return nil
}
