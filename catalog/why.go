package catalog

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"weft"
)

const (
	mostWhy = 5   // places that a hit names
	around  = 160 // bytes of text around the words
)

// explainer finds where the words of a question stand in cards.
type explainer struct {
	words  []word
	means  map[string]int    // term → number of the word
	begin  map[[2]byte]bool  // how terms begin: a word that begins otherwise need not be looked at
	stems  map[string]string // of words that came before
	places []place
	left   int // words of the card to look at
}

func newExplainer(words []word) *explainer {
	e := &explainer{words: words, means: map[string]int{}, begin: map[[2]byte]bool{}, stems: map[string]string{}}
	for i := range words {
		if words[i].linking {
			continue
		}
		for _, a := range words[i].alike {
			if _, ok := e.means[a.term]; !ok {
				e.means[a.term] = i
				e.begin[beginning(a.term)] = true
			}
		}
	}
	return e
}

// beginning is what a word and its stem have in common: two letters, and one of
// those like dying and die.
func beginning(w string) (b [2]byte) {
	copy(b[:], w)
	if b[1] == 'y' {
		b[1] = 'i'
	}
	return b
}

// why lists the places with words that no place before has, and then those that
// tell most.
func (e *explainer) why(card *weft.Card) []Match {
	if len(e.means) == 0 {
		return nil
	}
	e.places, e.left = e.places[:0], maxWords
	eachText(card, func(t text) bool {
		e.look(t)
		return e.left > 0
	})
	return telling(e.places, e.words)
}

// place is a text of a card with words of the question.
type place struct {
	text
	mask  uint32
	marks [][2]int
}

// look finds words in a text.
func (e *explainer) look(t text) {
	p := place{text: t}
	eachTerm(t, func(from, to int, w string, _ bool) bool {
		e.left--
		if !e.begin[beginning(w)] {
			return e.left > 0
		}
		s, have := e.stems[w]
		if !have {
			s = stem(w)
			e.stems[strings.Clone(w)] = s
		}
		if i, hit := e.means[s]; hit {
			p.mask |= 1 << i
			p.marks = append(p.marks, [2]int{from, to})
		}
		return e.left > 0
	})
	if p.mask != 0 {
		e.places = append(e.places, p)
	}
}

// telling chooses places.
func telling(places []place, words []word) []Match {
	slices.SortStableFunc(places, func(a, b place) int {
		return cmp.Compare(weights[b.field].weight, weights[a.field].weight)
	})
	var out []Match
	var seen uint32
	used := make([]bool, len(places))
	for _, fresh := range []bool{true, false} {
		for i, p := range places {
			if len(out) == mostWhy {
				return out
			}
			if used[i] || fresh && p.mask&^seen == 0 {
				continue
			}
			used[i] = true
			seen |= p.mask
			out = append(out, p.match(words))
		}
	}
	return out
}

// match cuts the text around the words.
func (p *place) match(words []word) Match {
	m := Match{Field: fieldNames[p.field], Where: p.where}
	for i := range words {
		if p.mask>>i&1 == 1 {
			m.Words = append(m.Words, words[i].text)
		}
	}
	slices.SortFunc(p.marks, func(a, b [2]int) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(b[1], a[1])) })
	from, to := 0, len(p.text.text)
	if to > around {
		from = p.border(max(0, p.marks[0][0]-around/4))
		to = p.border(min(to, max(from+around, p.marks[0][1])))
	}
	m.Text = p.text.text[from:to]
	shift := -from
	if from > 0 {
		m.Text = "…" + m.Text
		shift += len("…")
	}
	if to < len(p.text.text) {
		m.Text += "…"
	}
	end := 0
	for _, k := range p.marks {
		if k[0] >= max(from, end) && k[1] <= to {
			m.Marks = append(m.Marks, [2]int{k[0] + shift, k[1] + shift})
			end = k[1]
		}
	}
	return m
}

// border moves a place in the text to the beginning of a letter.
func (p *place) border(at int) int {
	for at > 0 && at < len(p.text.text) && !utf8.RuneStart(p.text.text[at]) {
		at--
	}
	return at
}
