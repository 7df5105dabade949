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
// Its data are a list of terms, each with a place among the postings. There stand
// the number of cards with the term, and for each card the distance of its number to
// the one before and how much the term counts there. Terms are stems and facets;
// behind the mark written stand the words as they are written, with the place of
// their stem.
type part struct {
	docs  []*doc
	ranks []atomic.Uint64 // of the products by number; see rank
	left  []atomic.Uint32 // of those that are leaving: in which view they are not any more
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
	return &part{docs: docs, ranks: make([]atomic.Uint64, len(docs)), left: make([]atomic.Uint32, len(docs)), words: words, fst: fst, posts: posts}, nil
}

// leave takes a card out of views from a number on, which has its next edition.
func (p *part) leave(at int, view uint32) {
	p.left[at].Store(view)
	p.ranks[at].Store(p.ranks[at].Load() | uint64(leaving))
	p.dead.Add(1)
}

// stays reports whether a card is in all views.
func (p *part) stays(at int) bool { return p.rank(uint32(at))&(found|leaving) == found }

// seen reports whether a card of this rank is in a view.
func (p *part) seen(at uint32, r rank, view uint32) bool {
	return r&(found|leaving) == found || r&found != 0 && p.left[at].Load() > view
}

// bury takes a card out of what is found.
func (p *part) bury(at int) {
	p.ranks[at].Store(0)
	p.dead.Add(1)
}

func (p *part) rank(at uint32) rank { return rank(p.ranks[at].Load()) }

// written marks the words as they are written; no stem and no facet begins with it,
// and it comes behind all of them.
const written = "\U0010FFFF"

// posting is one term's place among the postings.
type posting struct {
	count int
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
	n, k := binary.Uvarint(p.posts[place:])
	return posting{count: int(n), rest: p.posts[int(place)+k:]}
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
