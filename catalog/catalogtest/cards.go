// Package catalogtest invents cards and questions of a mesh of any size, the same
// ones for the same seed: for tests and measurements.
package catalogtest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"weft"
)

// Words is how many words there are to invent texts from.
const Words = 20_000

// Start is when the first card was signed.
var Start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// Mesh invents the cards of a mesh. Words come as often as in a language: the
// second half as often as the first, the third a third as often, and so on.
type Mesh struct {
	words []string
	sums  []float64 // of the frequencies
	seed  uint64
}

// NewMesh returns a mesh for a seed.
func NewMesh(seed uint64) *Mesh {
	m := &Mesh{seed: seed}
	r := rand.New(rand.NewPCG(seed, 0))
	have := map[string]bool{}
	for len(m.words) < Words {
		w := invent(r)
		if !have[w] && weft.CheckName(w) == nil {
			have[w] = true
			m.words = append(m.words, w)
		}
	}
	sum := 0.0
	for i := range m.words {
		sum += 1 / (float64(i) + 2.7)
		m.sums = append(m.sums, sum)
	}
	return m
}

// invent makes a word that can be spoken.
func invent(r *rand.Rand) string {
	const first, vowels, last = "bcdfghjklmnprstvwz", "aeiou", "lmnrst"
	var b strings.Builder
	for range 2 + r.IntN(3) {
		b.WriteByte(first[r.IntN(len(first))])
		b.WriteByte(vowels[r.IntN(len(vowels))])
		if r.IntN(3) == 0 {
			b.WriteByte(last[r.IntN(len(last))])
		}
	}
	return b.String()
}

// word draws a word by its frequency.
func (m *Mesh) word(r *rand.Rand) string {
	x := r.Float64() * m.sums[len(m.sums)-1]
	lo, hi := 0, len(m.sums)-1
	for lo < hi {
		mid := (lo + hi) / 2
		if m.sums[mid] < x {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return m.words[lo]
}

func (m *Mesh) text(r *rand.Rand, n int, between string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(between)
		}
		b.WriteString(m.word(r))
	}
	return b.String()
}

// sentence is a text of n words, less or more by half.
func (m *Mesh) sentence(r *rand.Rand, n int) string {
	s := m.text(r, n/2+r.IntN(n+1), " ")
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:] + "."
}

// Domain is the name of a card's domain: there are 200.
func (m *Mesh) Domain(i int) string { return m.words[100+i%200] }

// Name is the address of card i.
func (m *Mesh) Name(i int) weft.Name {
	r := rand.New(rand.NewPCG(m.seed, uint64(i)<<8|1))
	return weft.Name{Domain: m.Domain(i), Product: fmt.Sprintf("%s_%d", m.text(r, 1+r.IntN(2), "_"), i)}
}

// Origin is the node of card i: there is one for every 100 cards.
func Origin(i int) weft.KeyID {
	var k weft.KeyID
	binary.BigEndian.PutUint64(k[:], uint64(i/100)+1)
	return k
}

var types = []string{"VARCHAR", "BIGINT", "DOUBLE", "TIMESTAMPTZ", "DATE", "BOOLEAN", "DECIMAL(18,2)"}

// Card is card i in its edition, from 1: another edition has other texts.
func (m *Mesh) Card(i, edition int) *weft.Card {
	r := rand.New(rand.NewPCG(m.seed, uint64(i)<<8|uint64(edition)<<40|2))
	n := m.Name(i)
	c := &weft.Card{
		ID: fmt.Sprintf("%016x", i), Product: n, Origin: Origin(i), Document: n.String(), Version: fmt.Sprintf("1.%d.0", edition),
		Life: weft.LifeActive, Purpose: m.sentence(r, 16), Usage: m.sentence(r, 10), Owner: m.text(r, 2, " "),
		Support: []weft.Contact{{Channel: "#" + m.word(r)}}, Tags: []string{m.words[300+r.IntN(300)], m.words[300+r.IntN(300)]},
		Readers: []string{m.Domain(r.IntN(200))},
	}
	if r.IntN(20) == 0 {
		c.Life = weft.LifeDeprecated
	}
	in := weft.CardPort{Kind: "input", Name: "source", Type: []string{"local", "postgres", "http"}[r.IntN(3)]}
	if i > 0 && r.IntN(3) == 0 {
		up := m.Name(r.IntN(i))
		in.Type, in.Product = "product", &up
	}
	c.Ports = []weft.CardPort{in, {Kind: "output", Name: "out", Version: "1.0.0", Type: "tables"}}
	t := weft.CardTable{Name: n.Product, Port: "out", Description: m.sentence(r, 10), Granularity: "one " + m.word(r)}
	for j := range 4 + r.IntN(17) { // 12 on average
		col := weft.CardColumn{Name: m.text(r, 1+r.IntN(3), "_"), Type: types[r.IntN(len(types))], Required: r.IntN(2) == 0}
		if r.IntN(3) == 0 {
			col.BusinessName = m.text(r, 2, " ")
		}
		if r.IntN(3) > 0 {
			col.Description = m.sentence(r, 8)
		}
		if r.IntN(8) == 0 {
			col.Classification = []string{"public", "internal", "confidential"}[r.IntN(3)]
		}
		if in.Product != nil {
			col.From = []weft.Source{{Product: in.Product, Table: in.Product.Product, Column: m.word(r), How: weft.DeriveIdentity}}
		}
		if j == 0 {
			t.Key = []string{col.Name}
		}
		t.Columns = append(t.Columns, col)
	}
	c.Tables = []weft.CardTable{t}
	return c
}

// Head is the head of card i in its edition: four of five are fresh.
func (m *Mesh) Head(i, edition int) *weft.CardHead {
	r := rand.New(rand.NewPCG(m.seed, uint64(i)<<8|uint64(edition)<<40|3))
	at := Start.Add(time.Duration(edition)*time.Hour + time.Duration(r.IntN(3600))*time.Second)
	h := &weft.CardHead{Origin: Origin(i), State: weft.StateFresh, Checked: at, Passed: 5 + r.IntN(10), Bytes: int64(r.IntN(1 << 30))}
	switch r.IntN(10) {
	case 0:
		h.State = weft.StateLate
	case 1:
		h.Failed = 1 + r.IntN(3)
	}
	h.Product, h.ID, h.Seq, h.Time = m.Name(i), fmt.Sprintf("%016x", i), weft.Seq(edition), at
	h.Tables = []weft.TableHead{{Name: m.Name(i).Product, Rows: int64(r.IntN(1 << 24)), Nulls: map[string]float64{m.word(r): 0.01, m.word(r): 0.5}}}
	return h
}

// Query is a question of n words, each of some card, with typos where they are
// asked for.
func (m *Mesh) Query(i, n int, typos bool) string {
	r := rand.New(rand.NewPCG(m.seed, uint64(i)<<8|uint64(n)<<40|4))
	var ws []string
	for range n {
		w := m.word(r)
		if typos {
			w = misspell(r, w)
		}
		ws = append(ws, w)
	}
	return strings.Join(ws, " ")
}

// misspell makes one mistake in a word of at least four letters.
func misspell(r *rand.Rand, w string) string {
	if len(w) < 4 {
		return w
	}
	at := 1 + r.IntN(len(w)-2)
	letter := string(rune('a' + r.IntN(26)))
	switch r.IntN(4) {
	case 0:
		return w[:at] + w[at+1:]
	case 1:
		return w[:at] + letter + w[at:]
	case 2:
		return w[:at] + letter + w[at+1:]
	}
	return w[:at] + w[at+1:at+2] + w[at:at+1] + w[at+2:]
}
