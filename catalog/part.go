package catalog

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/blevesearch/vellum"

	"weft"
)

// part is an immutable piece of the index: some cards and the words in them. Only
// the ranks of its products change.
//
// Its data are a list of words, each with a place among the postings. There stand
// the number of cards with the word, the word as it is written, and for each card
// the distance of its number to the one before and how much the word counts there.
type part struct {
	docs  []*doc
	ranks []atomic.Uint64 // of the products by number; see rank
	words *vellum.FST
	fst   []byte
	posts []byte
	dead  atomic.Int64
}

func newPart(docs []*doc, fst, posts []byte) (*part, error) {
	words, err := vellum.Load(fst)
	if err != nil {
		return nil, weft.Errorf(weft.KindCorrupt, "read the index", "", "%w", err)
	}
	return &part{docs: docs, ranks: make([]atomic.Uint64, len(docs)), words: words, fst: fst, posts: posts}, nil
}

// bury takes a card out of what is found.
func (p *part) bury(at int) {
	p.ranks[at].Store(0)
	p.dead.Add(1)
}

func (p *part) rank(at uint32) rank { return rank(p.ranks[at].Load()) }

// posting is one word's place among the postings.
type posting struct {
	count int
	form  []byte // the word as it is written: the shortest form, the first of these
	rest  []byte
}

// find returns the postings of a term.
func (p *part) find(term string) (posting, bool) {
	at, ok, err := p.words.Get([]byte(term))
	if err != nil || !ok {
		return posting{}, false
	}
	return p.at(at), true
}

func (p *part) at(place uint64) posting {
	b := p.posts[place:]
	n, k := binary.Uvarint(b)
	b = b[k:]
	l, k := binary.Uvarint(b)
	b = b[k:]
	return posting{count: int(n), form: b[:l], rest: b[l:]}
}

// next takes the first card from the rest; before is the number of the last one,
// -1 at the start.
func (o *posting) next(before int) (at int, value uint8) {
	b := o.rest
	gap, n := uint64(b[0]), 1
	if gap >= 0x80 {
		gap, n = binary.Uvarint(b)
	}
	value = b[n]
	o.rest = b[n+1:]
	return before + int(gap), value
}
