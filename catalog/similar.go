package catalog

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/blevesearch/vellum"
	"github.com/blevesearch/vellum/levenshtein"

	"weft"
)

// A word that fewer than rare cards have may be misspelt in these; it is if a
// similar word is more frequent by the factor misspelt.
const (
	rare     = 3
	misspelt = 30
)

// mostAlike is how many terms are taken for one word at most.
const mostAlike = 6

// speller finds words that are written alike.
type speller [3]*levenshtein.LevenshteinAutomatonBuilder // by the number of mistakes

func newSpeller() (s speller, err error) {
	for k := 1; k < len(s) && err == nil; k++ {
		s[k], err = levenshtein.NewLevenshteinAutomatonBuilder(uint8(k), true)
	}
	if err != nil {
		return s, weft.Errorf(weft.KindInternal, "open the catalogue", "", "%w", err)
	}
	return s, nil
}

// mistakes is how many of them are forgiven in a word: none in short ones, where
// everything is like everything, two in long ones.
func mistakes(w string) int {
	switch n := utf8.RuneCountInString(w); {
	case n < 4:
		return 0
	case n < 8:
		return 1
	case n < 40:
		return 2
	}
	return 0 // whoever writes that has copied it
}

// candidate is a word that is like another.
type candidate struct {
	word   string
	count  int // cards with its stem
	errors int // mistakes; 0: the other word is its beginning
	first  bool
}

// scale is what it counts for.
func (k *candidate) scale() float32 {
	v := [...]float32{0.75, 0.7, 0.45}[k.errors]
	if !k.first {
		v *= 0.8
	}
	return v
}

// similar finds what may be meant by a word that n cards have.
func (s *scratch) similar(c *Catalog, w *word, n int) []alike {
	found := map[string]*candidate{}
	if utf8.RuneCountInString(w.text) >= 3 {
		s.beginning(w.text, found)
	}
	for k := 1; k <= mistakes(w.text); k++ {
		before := len(found)
		s.near(c.speller[k], w.text, k, found)
		if len(found) > before {
			break // more mistakes are less likely
		}
	}
	list := make([]*candidate, 0, len(found))
	for _, k := range found {
		if k.count > 0 && k.count >= n*misspelt {
			list = append(list, k)
		}
	}
	slices.SortFunc(list, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(b.scale(), a.scale()), cmp.Compare(bits.Len(uint(b.count)), bits.Len(uint(a.count))),
			cmp.Compare(len(a.word), len(b.word)), strings.Compare(a.word, b.word))
	})
	w.right = right(list, n)
	return terms(list, w.alike[0].term)
}

// terms lists the stems of the first candidates, but for one.
func terms(list []*candidate, but string) (out []alike) {
	for _, k := range list {
		if len(out) == mostAlike {
			break
		}
		s := stem(k.word)
		if s != but && !slices.ContainsFunc(out, func(a alike) bool { return a.term == s }) {
			out = append(out, alike{s, k.scale()})
		}
	}
	return out
}

// right is how the word is written that is most likely meant, empty where the
// word itself may be.
func right(list []*candidate, n int) string {
	if n > 0 || len(list) == 0 || list[0].errors == 0 {
		return ""
	}
	return list[0].word
}

// mostListed bounds the words that are looked at for one word in one part.
const mostListed = 2000

// beginning adds the words that begin with a word.
func (s *scratch) beginning(w string, found map[string]*candidate) {
	from := []byte(written + w)
	to := append(slices.Clone(from), 0xff)
	for i := range s.parts {
		p := s.parts[i].part
		it, err := p.words.Iterator(from, to)
		list(p, it, err, 0, w, found)
	}
}

// near adds the words that differ from a word by up to k mistakes.
func (s *scratch) near(b *levenshtein.LevenshteinAutomatonBuilder, w string, k int, found map[string]*candidate) {
	dfa, err := b.BuildDfa(written+w, uint8(k))
	if err != nil {
		return // too long a word for it
	}
	for i := range s.parts {
		p := s.parts[i].part
		it, err := p.words.Search(dfa, []byte(written), nil)
		list(p, it, err, k, w, found)
	}
}

// list adds words of a part, which are like w.
func list(p *part, it *vellum.FSTIterator, err error, errors int, w string, found map[string]*candidate) {
	for n := 0; err == nil && n < mostListed; n++ {
		key, at := it.Current()
		key = key[len(written):]
		k := found[string(key)]
		if k == nil && len(key) > 0 {
			k = &candidate{word: string(key), errors: errors, first: key[0] == w[0]}
			found[k.word] = k
		}
		if k != nil && k.errors == errors {
			k.count += p.live(p.at(at))
		}
		err = it.Next()
	}
}

// exactly bounds for how long a list its living cards are counted.
const exactly = 2000

// live is how many cards of a list are found; of a long one, how many were.
func (p *part) live(o posting) int {
	if p.dead.Load() == 0 || o.count > exactly {
		return o.count
	}
	n := 0
	for at := -1; o.count > 0; o.count-- {
		at, _ = o.next(at)
		if p.stays(at) {
			n++
		}
	}
	return n
}

// corrections writes a text with the right words in place of unknown ones.
func corrections(text string, words []word) []string {
	var b strings.Builder
	end := 0
	for i := range words {
		if w := &words[i]; w.right != "" {
			b.WriteString(text[end:w.at])
			b.WriteString(w.right)
			end = w.to
		}
	}
	if end == 0 {
		return nil
	}
	b.WriteString(text[end:])
	return []string{b.String()}
}
