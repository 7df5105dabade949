package catalog

import (
	"strings"
	"time"
	"unicode/utf8"

	"weft"
)

// Bounds of a question.
const (
	MaxText   = 500 // characters
	MaxWords  = 20
	MaxLimit  = 100
	maxOffset = 10_000
)

// Query is what is looked for. Where several filters of a kind are given, any of
// them will do; of different kinds all must hold.
type Query struct {
	Text            string // words; empty finds everything
	Domains         []string
	Tags            []string
	Classifications []string // of any column
	PortTypes       []string // of any port: local, postgres, http, product, tables
	States          []string
	Lives           []string
	Limit           int // of hits; 0: 20, at most MaxLimit
	Offset          int // hits to leave out, at most 10,000
	// Known says which products may be found, nil: all. It is asked during the
	// search of every product that matches, and must be quick.
	Known func(weft.Name) bool
}

// Result is what was found.
type Result struct {
	Total int   // products that match
	Hits  []Hit // those of the page, the best first
	// Corrections are ways to write the text that find something where words of it
	// are unknown.
	Corrections []string
	Took        time.Duration
}

// Hit is a product that was found.
type Hit struct {
	Entry *Entry
	Score float64
	Why   []Match // the most telling first
}

// Match says where words of the question stand in a card.
type Match struct {
	Field string   // name, domain, table, column, business name, tag, owner, purpose, description, notes, input
	Where string   // the table, or table.column; empty: the product
	Text  string   // the text around; "…" where it goes on
	Words []string // the words of the question that are in it
	Marks [][2]int // where they stand in Text: from, to, in bytes
}

// word is a word of a question.
type word struct {
	text    string // as it is written, folded
	at, to  int    // where it stands in the question
	linking bool
	alike   []alike // what is searched for it
	idf     float32 // how much it tells; 0: no card has it
	right   string  // how it is written where it is misspelt
}

// alike is a term that is taken for a word.
type alike struct {
	term  string
	scale float32 // what it counts for, of 1
}

// check makes a query's limits explicit and finds its words.
func (q *Query) check() ([]word, error) {
	bad := func(format string, args ...any) error {
		return weft.Errorf(weft.KindInvalid, "search", "", format, args...)
	}
	if n := utf8.RuneCountInString(q.Text); n > MaxText {
		return nil, bad("the text has %d characters, and %d are the most", n, MaxText)
	}
	if q.Limit == 0 {
		q.Limit = 20
	}
	if q.Limit < 0 || q.Limit > MaxLimit || q.Offset < 0 || q.Offset > maxOffset {
		return nil, bad("a page has at most %d hits and begins at most at %d", MaxLimit, maxOffset)
	}
	var ws []word
	have := map[string]bool{}
	all := true
	count := 0
	eachTerm(text{field: fields, text: q.Text}, func(from, to int, w string, _ bool) bool {
		count++
		if s := stem(w); !have[s] {
			have[s] = true
			ws = append(ws, word{text: strings.Clone(w), at: from, to: to, linking: linking[w], alike: []alike{{s, 1}}})
			all = all && linking[w]
		}
		return count <= MaxWords
	})
	if count > MaxWords {
		return nil, bad("the text has more than %d words", MaxWords)
	}
	if all { // a question of nothing else means them
		for i := range ws {
			ws[i].linking = false
		}
	}
	return ws, nil
}
