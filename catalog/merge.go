package catalog

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/blevesearch/vellum"

	"weft"
)

// keyID keeps the lines short.
type keyID = weft.KeyID

// mostParts is how many parts of one size there may be.
const mostParts = 4

// size is how large a part is, in steps of eight times, by its living cards.
func (p *part) size() int { return bits.Len(uint(p.alive()>>6)) / 3 }

func (p *part) alive() int { return len(p.docs) - int(p.dead.Load()) }

// untidy lists parts that had better be one: several of one size, or one with many
// dead cards.
func untidy(parts []*part) []*part {
	bySize := map[int][]*part{}
	for _, p := range parts {
		bySize[p.size()] = append(bySize[p.size()], p)
	}
	for size := range 24 {
		if ps := bySize[size]; len(ps) > mostParts {
			return ps
		}
	}
	for _, p := range parts {
		if dead := int(p.dead.Load()); dead > 64 && dead*3 > len(p.docs) || dead > 0 && dead == len(p.docs) {
			return []*part{p}
		}
	}
	return nil
}

// tidy starts to merge parts where there are many, if nobody does yet.
func (c *Catalog) tidy() {
	if len(untidy(c.view.Load().parts)) == 0 || !c.parts.TryLock() {
		return
	}
	c.done.Go(func() {
		defer c.parts.Unlock()
		for {
			these := untidy(c.view.Load().parts)
			if len(these) == 0 {
				return
			}
			select {
			case <-c.quit:
				return
			default:
			}
			if _, err := c.merge(these); err != nil {
				c.log.Error("parts of the index cannot be merged", "error", err)
				return
			}
		}
	})
}

// merge makes one part of some. Who calls holds c.parts.
func (c *Catalog) merge(parts []*part) (*part, error) {
	p, err := merged(parts)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for at, d := range p.docs {
		if d.part == nil { // buried meanwhile
			p.bury(at)
			continue
		}
		p.ranks[at].Store(d.part.ranks[d.at].Load())
		d.part, d.at = p, at
	}
	rest := slices.DeleteFunc(slices.Clone(c.view.Load().parts), func(o *part) bool { return slices.Contains(parts, o) })
	if len(p.docs) > 0 {
		rest = append([]*part{p}, rest...)
	}
	c.publish(rest)
	return p, nil
}

// cursor goes through the terms of a part.
type cursor struct {
	part *part
	at   *vellum.FSTIterator
	term []byte
	post uint64
	to   []int // the new number of each card, -1: dead
	done bool

	// The places of terms here, in order, and where they are in the new part.
	places, moved []uint64
}

// place is where the postings at the cursor are in the new part.
func (k *cursor) place() (at uint64, ok bool) {
	i, ok := slices.BinarySearch(k.places, k.post)
	if !ok {
		return 0, false
	}
	return k.moved[i], true
}

func (k *cursor) read(err error) {
	if err != nil { // the end, or what the checksum of the folder would have told
		k.done = true
		return
	}
	k.term, k.post = k.at.Current()
}

// merged makes one part of what lives in some.
func merged(parts []*part) (*part, error) {
	var docs []*doc
	var ks []*cursor
	for _, p := range parts {
		k := &cursor{part: p, to: make([]int, len(p.docs))}
		for i, d := range p.docs {
			k.to[i] = -1
			if p.stays(i) {
				k.to[i] = len(docs)
				docs = append(docs, d)
			}
		}
		var err error
		k.at, err = p.words.Iterator(nil, nil)
		k.read(err)
		ks = append(ks, k)
	}
	w, err := newWriter()
	if err != nil {
		return nil, err
	}
	var t term
	for s := least(ks); s != nil; s = least(ks) {
		if bytes.HasPrefix(s, []byte(written)) {
			err = moveWord(w, s, ks)
		} else {
			t, err = moveTerm(w, t, s, ks)
		}
		if err != nil {
			return nil, err
		}
	}
	return w.part(docs)
}

// least is the first term of all that are left.
func least(ks []*cursor) []byte {
	var first []byte
	for _, k := range ks {
		if !k.done && (first == nil || bytes.Compare(k.term, first) < 0) {
			first = k.term
		}
	}
	return bytes.Clone(first)
}

// moveTerm writes what the parts have of a term and goes on behind it. It uses the
// memory of the one before.
func moveTerm(w *writer, t term, s []byte, ks []*cursor) (term, error) {
	t = term{last: -1, posts: t.posts[:0]}
	for _, k := range ks {
		if k.done || !bytes.Equal(k.term, s) {
			continue
		}
		o := k.part.at(k.post)
		at := -1
		var v uint8
		for ; o.count > 0; o.count-- {
			at, v = o.next(at)
			if to := k.to[at]; to >= 0 {
				t.posts = append(binary.AppendUvarint(t.posts, uint64(to-t.last)), v)
				t.last = to
				t.count++
			}
		}
	}
	var place uint64
	var err error
	if t.count > 0 {
		if place, err = w.add(s, t.count, t.posts); err != nil {
			return t, err
		}
	}
	for _, k := range ks {
		if k.done || !bytes.Equal(k.term, s) {
			continue
		}
		if t.count > 0 {
			k.places, k.moved = append(k.places, k.post), append(k.moved, place)
		}
		k.read(k.at.Next())
	}
	return t, nil
}

// moveWord writes a word as it is written, if there still is a card with its stem.
func moveWord(w *writer, s []byte, ks []*cursor) error {
	place, ok := uint64(0), false
	for _, k := range ks {
		if k.done || !bytes.Equal(k.term, s) {
			continue
		}
		if at, has := k.place(); has {
			place, ok = at, true
		}
		k.read(k.at.Next())
	}
	if !ok {
		return nil
	}
	return w.put(s, place)
}
