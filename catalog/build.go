package catalog

import (
	"bytes"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/blevesearch/vellum"

	"weft"
)

// maxWords bounds how many words of a card are indexed: a record cannot hold more
// that mean anything.
const maxWords = 60_000

// builder makes a part of cards.
type builder struct {
	terms map[string]*term
	stems map[string]string // of words that came before
	docs  []*doc

	// of the card at hand
	counts  map[string]*[fields]float32
	lengths [fields]float32
	free    []*[fields]float32
	left    int
}

// term is a word on its way into a part.
type term struct {
	last  int // the number of the card that came last
	count int
	posts []byte
}

func newBuilder() *builder {
	return &builder{terms: map[string]*term{}, stems: map[string]string{}, counts: map[string]*[fields]float32{}}
}

// add indexes a card.
func (b *builder) add(d *doc, card *weft.Card) {
	at := len(b.docs)
	b.docs = append(b.docs, d)
	b.lengths, b.left = [fields]float32{}, maxWords
	eachText(card, func(t text) bool {
		b.text(t)
		return b.left > 0
	})
	for w, n := range b.counts {
		sum := float32(0)
		for f, k := range n {
			if k > 0 {
				sum += weigh(field(f), k, b.lengths[f])
			}
		}
		b.post(w, at, pack(sum))
		*n = [fields]float32{}
		b.free = append(b.free, n)
	}
	clear(b.counts)
	eachFacet(card, func(f string) { b.post(f, at, 1) })
}

// text counts the words of one text.
func (b *builder) text(t text) {
	eachTerm(t, func(_, _ int, w string, whole bool) bool {
		if !whole {
			b.lengths[t.field]++
			b.left--
		}
		b.count(w, t.field)
		return b.left > 0
	})
}

// count counts a folded word.
func (b *builder) count(w string, f field) {
	s, ok := b.stems[w]
	if !ok {
		s = stem(w)
		b.stems[strings.Clone(w)] = s
	}
	n := b.counts[s]
	if n == nil {
		if l := len(b.free); l > 0 {
			n, b.free = b.free[l-1], b.free[:l-1]
		} else {
			n = new([fields]float32)
		}
		b.counts[s] = n
	}
	n[f]++
}

// post says that card at has the term.
func (b *builder) post(s string, at int, value uint8) {
	t := b.terms[s]
	if t == nil {
		t = &term{last: -1}
		b.terms[strings.Clone(s)] = t
	}
	if t.last == at {
		return
	}
	t.posts = append(binary.AppendUvarint(t.posts, uint64(at-t.last)), value)
	t.last = at
	t.count++
}

// pack brings a weight into a byte, small ones more exactly.
func pack(w float32) uint8 {
	return uint8(max(1, min(255, math.Round(255*math.Sqrt(float64(w)/maxWeight)))))
}

// unpacked are the weights of the bytes.
var unpacked = func() (out [256]float32) {
	for i := range out {
		out[i] = float32(i*i) / (255 * 255) * maxWeight
	}
	return out
}()

// part finishes the part.
func (b *builder) part() (*part, error) {
	w, err := newWriter()
	if err != nil {
		return nil, err
	}
	places := make(map[string]uint64, len(b.terms))
	for _, s := range slices.Sorted(maps.Keys(b.terms)) {
		t := b.terms[s]
		if places[s], err = w.add([]byte(s), t.count, t.posts); err != nil {
			return nil, err
		}
	}
	for _, word := range slices.Sorted(maps.Keys(b.stems)) {
		if at, ok := places[b.stems[word]]; ok {
			if err := w.put([]byte(written+word), at); err != nil {
				return nil, err
			}
		}
	}
	return w.part(b.docs)
}

// writer writes the terms of a part in their order.
type writer struct {
	fst   bytes.Buffer
	words *vellum.Builder
	posts []byte
}

func newWriter() (*writer, error) {
	w := &writer{}
	var err error
	if w.words, err = vellum.New(&w.fst, nil); err != nil {
		return nil, weft.Errorf(weft.KindInternal, "write the index", "", "%w", err)
	}
	return w, nil
}

// add writes a term and its postings, and says where these are.
func (w *writer) add(s []byte, count int, posts []byte) (at uint64, err error) {
	at = uint64(len(w.posts))
	w.posts = append(binary.AppendUvarint(w.posts, uint64(count)), posts...)
	return at, w.put(s, at)
}

func (w *writer) put(s []byte, at uint64) error {
	if err := w.words.Insert(s, at); err != nil {
		return weft.Errorf(weft.KindInternal, "write the index", "", "%w", err)
	}
	return nil
}

func (w *writer) part(docs []*doc) (*part, error) {
	if err := w.words.Close(); err != nil {
		return nil, weft.Errorf(weft.KindInternal, "write the index", "", "%w", err)
	}
	return newPart(docs, bytes.Clone(w.fst.Bytes()), bytes.Clone(w.posts)) // they are kept, and no more than they
}
