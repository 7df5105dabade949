package catalog

import (
	"cmp"
	"context"
	"math"
	"math/bits"
	"slices"
	"time"

	"weft"
)

// Search finds products by words and ranks them: those with all words first, and
// among these by how much the words tell, where they stand, and how well and fresh
// the product is. It takes no lock, and what is applied meanwhile does not wait for
// it. Errors are of KindInvalid and KindCancelled.
func (c *Catalog) Search(ctx context.Context, q Query) (*Result, error) {
	began := time.Now()
	words, err := q.check()
	if err != nil {
		return nil, err
	}
	s, err := c.find(ctx, &q, words)
	if err != nil {
		return nil, err
	}
	defer c.scratch.Put(s)
	r := &Result{Total: s.total, Corrections: corrections(q.Text, words)}
	ex := newExplainer(words)
	for _, f := range s.page() {
		if err := ctx.Err(); err != nil {
			return nil, weft.Errorf(weft.KindCancelled, "search", "", "%w", err)
		}
		e, err := c.entry(f.doc, c.kept)
		if err != nil {
			return nil, err
		}
		r.Hits = append(r.Hits, Hit{Entry: e, Score: float64(f.score), Why: ex.why(e.Card)})
	}
	r.Took = time.Since(began)
	return r, nil
}

// find ranks all products that match.
func (c *Catalog) find(ctx context.Context, q *Query, words []word) (*scratch, error) {
	s := c.begin()
	s.q = q
	s.narrow()
	for i := range words {
		if err := ctx.Err(); err != nil {
			c.scratch.Put(s)
			return nil, weft.Errorf(weft.KindCancelled, "search", "", "%w", err)
		}
		s.word(c, i, &words[i])
	}
	s.rank(c, words)
	return s, nil
}

// scratch is what one search works with; it is used again by later ones.
type scratch struct {
	q       *Query
	view    *view
	parts   []partScratch
	live    int // products in the view
	total   int
	best    []hit  // a heap, the worst first
	reached []int8 // by the origin's number: 0 not asked yet, 1 yes, -1 no
}

// partScratch holds numbers by card of one part.
type partScratch struct {
	part    *part
	cells   []cell
	touched []uint32 // the cards that have the word at hand
	allowed []uint64 // a bit for each card that the filters leave; nil: all
}

// cell is what a card has of a question.
type cell struct {
	sum  float32 // what its words count for
	mask uint32  // which words it has
	word float32 // what the word at hand counts for
}

// hit is a product that may be on the page.
type hit struct {
	doc   *doc
	full  bool // has all words
	score float32
}

// better puts f before o.
func (f hit) better(o hit) bool {
	if f.full != o.full {
		return f.full
	}
	if f.score != o.score {
		return f.score > o.score
	}
	return compareNames(f.doc.name, o.doc.name) < 0
}

// begin takes a scratch for the view of now.
func (c *Catalog) begin() *scratch {
	s, _ := c.scratch.Get().(*scratch)
	if s == nil {
		s = &scratch{}
	}
	s.view = c.view.Load()
	s.live, s.total, s.best = 0, 0, s.best[:0]
	s.reached = zeroed(s.reached, len(s.view.origins))
	s.parts = slices.Grow(s.parts[:0], len(s.view.parts))[:len(s.view.parts)]
	for i, p := range s.view.parts {
		w := &s.parts[i]
		w.part, w.cells, w.touched, w.allowed = p, zeroed(w.cells, len(p.docs)), w.touched[:0], nil
		s.live += p.alive()
	}
	return s
}

// zeroed returns n zeros, in b's memory where it suffices.
func zeroed[T any](b []T, n int) []T {
	if cap(b) < n {
		return make([]T, n)
	}
	b = b[:n]
	clear(b)
	return b
}

// narrow finds the cards that the facets of the question leave.
func (s *scratch) narrow() {
	for _, f := range []struct {
		kind   string
		values []string
	}{{facetDomain, s.q.Domains}, {facetTag, s.q.Tags}, {facetClass, s.q.Classifications}, {facetPort, s.q.PortTypes}} {
		if len(f.values) == 0 {
			continue
		}
		for i := range s.parts {
			w := &s.parts[i]
			these := make([]uint64, (len(w.part.docs)+63)/64)
			for _, v := range f.values {
				o, _ := w.part.find(facet(f.kind, v))
				for at := -1; o.count > 0; o.count-- {
					at, _ = o.next(at)
					if w.allowed == nil || w.allowed[at/64]>>(at%64)&1 == 1 {
						these[at/64] |= 1 << (at % 64)
					}
				}
			}
			w.allowed = these
		}
	}
}

// count is how many cards have a term.
func (s *scratch) count(term string) (n int) {
	for i := range s.parts {
		p := s.parts[i].part
		o, _ := p.find(term)
		if p.dead.Load() == 0 {
			n += o.count
			continue
		}
		for at := -1; o.count > 0; o.count-- {
			at, _ = o.next(at)
			if p.seen(uint32(at), p.rank(uint32(at)), s.view.number) {
				n++
			}
		}
	}
	return n
}

// each calls f for every card that has a term, with what it counts for there.
func (s *scratch) each(term string, f func(p *partScratch, at int, v uint8)) {
	for i := range s.parts {
		w := &s.parts[i]
		o, _ := w.part.find(term)
		at := -1
		var v uint8
		for ; o.count > 0; o.count-- {
			at, v = o.next(at)
			if w.part.seen(uint32(at), w.part.rank(uint32(at)), s.view.number) {
				f(w, at, v)
			}
		}
	}
}

// linkingWeight is what a word like "by" counts for.
const linkingWeight = 0.05

// tells is how much a word tells that n cards have.
func (s *scratch) tells(w *word, n int) float32 {
	idf := float32(math.Log(1 + (float64(max(s.live, n)-n)+0.5)/(float64(n)+0.5)))
	if w.linking {
		idf *= linkingWeight
	}
	return idf
}

// word adds what a word counts for to all cards.
func (s *scratch) word(c *Catalog, i int, w *word) {
	n := s.count(w.alike[0].term)
	if n < rare {
		w.alike = append(w.alike, s.similar(c, w, n)...)
	}
	if len(w.alike) > 1 {
		s.group(i, w)
	} else if n > 0 {
		w.idf = s.tells(w, n)
		s.each(w.alike[0].term, func(p *partScratch, at int, v uint8) {
			k := &p.cells[at]
			k.sum += unpacked[v] * w.idf
			k.mask |= 1 << i
		})
	}
}

// group adds what several terms count for that are taken for one word: of a card
// that has more than one of them the one that counts most.
func (s *scratch) group(i int, w *word) {
	n := 0
	for _, a := range w.alike {
		s.each(a.term, func(p *partScratch, at int, v uint8) {
			k := &p.cells[at]
			if k.word == 0 {
				p.touched = append(p.touched, uint32(at))
				n++
			}
			k.word = max(k.word, unpacked[v]*a.scale)
		})
	}
	if n == 0 {
		return
	}
	w.idf = s.tells(w, n)
	for k := range s.parts {
		p := &s.parts[k]
		for _, at := range p.touched {
			k := &p.cells[at]
			k.sum += k.word * w.idf
			k.mask |= 1 << i
			k.word = 0
		}
		p.touched = p.touched[:0]
	}
}

// rank goes through all cards that have a word and keeps the best; without words
// through all.
func (s *scratch) rank(c *Catalog, words []word) {
	var need uint32 // the words that any card has, but for linking ones
	var all float32
	for i := range words {
		if words[i].idf > 0 {
			all += words[i].idf
			if !words[i].linking {
				need |= 1 << i
			}
		}
	}
	f := s.filter()
	now := hours(c.cfg.Env.Clock.Now())
	for k := range s.parts {
		p := &s.parts[k]
		for at := range p.cells {
			m := p.cells[at].mask
			if len(words) > 0 && (m == 0 || need != 0 && m&need == 0) {
				continue
			}
			r := p.part.rank(uint32(at))
			if !p.part.seen(uint32(at), r, s.view.number) || !f.admits(r) || p.allowed != nil && p.allowed[at/64]>>(at%64)&1 == 0 {
				continue
			}
			if s.q.Known != nil && !s.q.Known(p.part.docs[at].name) {
				continue
			}
			s.total++
			score := float32(1) // without words the list is by name
			if len(words) > 0 {
				if score = p.cells[at].sum; !s.mayKeep(m&need == need, score) {
					continue // what follows makes it no more
				}
				if score *= s.fitness(c, r, now); m&need != need {
					score *= share(m, words, all)
				}
			}
			if s.mayKeep(m&need == need, score) {
				s.keep(hit{p.part.docs[at], m&need == need, score})
			}
		}
	}
}

// fitness is what its health, the age of what is known of that, and whether its
// origin is there leave of a product's place.
func (s *scratch) fitness(c *Catalog, r rank, now int64) float32 {
	f := healthy[r.health()] * byAge(r.checked(), now)
	if !s.reaches(c, r.origin()) {
		f *= unreached
	}
	return f
}

// share is how much of what the words tell a card has.
func share(mask uint32, words []word, all float32) float32 {
	sum := float32(0)
	for m := mask; m != 0; m &= m - 1 {
		sum += words[bits.TrailingZeros32(m)].idf
	}
	return sum / all
}

// reaches says whether a node can be reached; it asks once a search.
func (s *scratch) reaches(c *Catalog, origin uint16) bool {
	if c.cfg.Reach == nil || int(origin) >= len(s.view.origins) || origin == 0 {
		return true
	}
	if s.reached[origin] == 0 {
		s.reached[origin] = -1
		if ok, _ := c.cfg.Reach.Reached(s.view.origins[origin]); ok {
			s.reached[origin] = 1
		}
	}
	return s.reached[origin] > 0
}

// admitted are the states and lives that a question asks for, as bits; 0: all.
type admitted struct{ states, lives uint32 }

func (s *scratch) filter() (f admitted) {
	for _, v := range s.q.States {
		f.states |= 1 << stateCode(weft.State(v)) // an unknown one is that of products whose state is unknown
	}
	for _, v := range s.q.Lives {
		f.lives |= 1 << lifeCode(weft.Life(v))
	}
	return f
}

func (f admitted) admits(r rank) bool {
	return (f.states == 0 || f.states>>r.state()&1 == 1) && (f.lives == 0 || f.lives>>r.life()&1 == 1)
}

// mayKeep says quickly of most that they are not on the page.
func (s *scratch) mayKeep(full bool, score float32) bool {
	if len(s.best) < s.q.Offset+s.q.Limit {
		return true
	}
	worst := s.best[0]
	return full && !worst.full || full == worst.full && score >= worst.score
}

// keep takes a product onto the page if it is better than the worst there.
func (s *scratch) keep(f hit) {
	room := s.q.Offset + s.q.Limit
	if len(s.best) == room {
		if !f.better(s.best[0]) {
			return
		}
		s.best[0] = f
		s.sink(0)
		return
	}
	s.best = append(s.best, f)
	for i := len(s.best) - 1; i > 0; {
		up := (i - 1) / 2
		if !s.best[up].better(s.best[i]) {
			break
		}
		s.best[up], s.best[i] = s.best[i], s.best[up]
		i = up
	}
}

func (s *scratch) sink(i int) {
	for {
		worst := i
		for _, k := range [2]int{2*i + 1, 2*i + 2} {
			if k < len(s.best) && s.best[worst].better(s.best[k]) {
				worst = k
			}
		}
		if worst == i {
			return
		}
		s.best[i], s.best[worst] = s.best[worst], s.best[i]
		i = worst
	}
}

// page is what stands on the page asked for.
func (s *scratch) page() []hit {
	slices.SortFunc(s.best, func(a, b hit) int {
		if a.better(b) {
			return -1
		}
		return cmp.Compare(1, 0)
	})
	return s.best[min(s.q.Offset, len(s.best)):]
}
