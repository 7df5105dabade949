package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"weft"
)

// How far is looked for what a product was made from.
const (
	maxMadeDepth = 8
	maxMadeLooks = 200 // points for one cut
)

// skewOf says which products of a cut were made from different states of another one:
// each of them is as it was at another time. A product that is in the cut itself and was
// read earlier for another one is such a case. upstreams gives the states that a state was
// made from, as far as they are known; states are told apart by their hashes. rows gives
// the state that is read at a point, which is an earlier one where commits since changed
// no rows.
func skewOf(cut weft.Cut, upstreams func(weft.Point) []weft.Point, rows func(weft.Point) weft.Point) []weft.Warning {
	var out []weft.Warning
	states := map[weft.Name][]usedState{}
	products := ""
	for _, p := range cut.Sorted() {
		products += " " + p.Product.String()
		for name, at := range statesIn(p, upstreams, rows) {
			for _, x := range at {
				states[name] = append(states[name], usedState{by: p.Product, at: x})
			}
		}
	}
	names := make([]weft.Name, 0, len(states))
	for name := range states {
		names = append(names, name)
	}
	slices.SortFunc(names, compare)
	for _, name := range names {
		uses := states[name]
		if !slices.ContainsFunc(uses, func(u usedState) bool { return u.at.Hash != uses[0].at.Hash }) {
			continue
		}
		slices.SortStableFunc(uses, func(a, b usedState) int { return later(b.at, a.at) })
		w := skewWarning(name, uses)
		w.Hint = "fix states that fit, and ask at them: weft cut save NAME" + products + ", then --at NAME"
		out = append(out, w)
	}
	return out
}

// usedState is a state of a product that one of a cut was made from, or is.
type usedState struct {
	by weft.Name
	at weft.Point
}

// skewWarning says who uses which state of a product, the newest first.
func skewWarning(name weft.Name, uses []usedState) weft.Warning {
	var words []string
	for _, u := range uses {
		w := fmt.Sprintf("%s was made from it at %s", u.by, u.at.Seq)
		if u.by == name {
			w = fmt.Sprintf("it is read at %s", u.at.Seq)
		}
		if !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return weft.Warning{
		Kind: weft.WarnSkew, Product: name,
		Message: fmt.Sprintf("the answer mixes states of %s: %s", name, strings.Join(words, ", ")),
	}
}

// later orders states of one product by age.
func later(a, b weft.Point) int {
	return cmp.Or(cmp.Compare(a.Incarnation, b.Incarnation), cmp.Compare(a.Seq, b.Seq))
}

// statesIn are the states of all products that a point was made from, through others
// too, and its own.
func statesIn(p weft.Point, upstreams func(weft.Point) []weft.Point, rows func(weft.Point) weft.Point) map[weft.Name][]weft.Point {
	own := p
	if r := rows(p); r.Seq > 0 {
		own = r
	}
	states := map[weft.Name][]weft.Point{p.Product: {own}}
	seen := map[weft.Hash]bool{p.Hash: true}
	next := upstreams(p)
	for depth := 0; depth < maxMadeDepth && len(next) > 0; depth++ {
		var further []weft.Point
		for _, u := range next {
			if seen[u.Hash] || u.Product == p.Product || len(seen) > maxMadeLooks {
				continue
			}
			seen[u.Hash] = true
			states[u.Product] = append(states[u.Product], u)
			further = append(further, upstreams(u)...)
		}
		next = further
	}
	return states
}

// madeBook looks up what states were made from, once each; what cannot be found out in
// time is taken to be made from nothing that is known. Safe for concurrent use.
type madeBook struct {
	mu    sync.Mutex
	known map[weft.Hash]madePoint
}

// maxMadeKnown is how many states a madeBook remembers.
const maxMadeKnown = 10_000

func (b *madeBook) get(h weft.Hash) (madePoint, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m, ok := b.known[h]
	return m, ok
}

func (b *madeBook) put(m madePoint) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known == nil || len(b.known) >= maxMadeKnown {
		b.known = map[weft.Hash]madePoint{}
	}
	b.known[m.Hash] = m
}

// lookMade finds out what a state was made from, at the product's origin where it is not
// known here. What a state was made from never changes. Nobody is told of it but by a
// warning, and of no product that they may not know of.
func (n *Node) lookMade(ctx context.Context, p weft.Point) (m madePoint, ok bool) {
	if m, ok := n.made.get(p.Hash); ok {
		return m, true
	}
	q := pointAsk{ref: weft.CutRef{Product: p.Product, Incarnation: p.Incarnation, Seq: p.Seq, HashPrefix: p.Hash[:]}}
	var list *pointList
	far, err := n.foreign(p.Product)
	switch {
	case err != nil || far != nil && !n.far.reached(far.origin):
		return madePoint{Point: p}, false
	case far != nil:
		list, err = n.askPoints(ctx, weft.Subject{Domains: []string{weft.AllDomains}}, far, q)
	default:
		var here *product
		if here, err = n.find(p.Product); err == nil {
			list, err = here.pointsKnown(ctx, q, func(weft.Name) bool { return true })
		}
	}
	if err != nil || len(list.Points) != 1 {
		return madePoint{Point: p}, false
	}
	n.made.put(list.Points[0])
	return list.Points[0], true
}

// skew says which products of a cut were made from different states of another one, as
// far as this node can find out until ctx ends.
func (n *Node) skew(ctx context.Context, s weft.Subject, cut weft.Cut) []weft.Warning {
	if !n.mayDiffer(cut) {
		return nil
	}
	m := &madeLooks{n: n, seen: map[weft.Hash]madePoint{}}
	out := skewOf(cut, func(p weft.Point) []weft.Point { return m.look(ctx, p).From }, func(p weft.Point) weft.Point { return m.look(ctx, p).Rows })
	return slices.DeleteFunc(out, func(w weft.Warning) bool { return !n.mayFind(s, w.Product) })
}

// mayDiffer reports whether two products of a cut are made from a third one, or one from
// another, as the cards say: of most questions nothing has to be looked up.
func (n *Node) mayDiffer(cut weft.Cut) bool {
	if len(cut) < 2 || n.cat == nil {
		return false
	}
	users := map[weft.Name]int{}
	for _, p := range cut {
		seen := map[weft.Name]bool{p.Product: true}
		next := []weft.Name{p.Product}
		for len(next) > 0 && len(seen) < maxMadeLooks {
			for _, up := range n.inputsOf(next[0]) {
				if !seen[up] {
					seen[up] = true
					next = append(next, up)
				}
			}
			next = next[1:]
		}
		for name := range seen {
			users[name]++
		}
	}
	for _, c := range users {
		if c > 1 {
			return true
		}
	}
	return false
}

// inputsOf are the products that one is made from.
func (n *Node) inputsOf(name weft.Name) []weft.Name {
	p := n.known(name)
	if p == nil {
		return n.cat.Inputs(name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.brief.Upstream
}

// skewWait is how long is looked for what the products of a cut were made from.
const skewWait = 3 * time.Second

// warnOfSkew adds to the warnings of an answer those of skew, which are looked for while
// the rows are read.
func (n *Node) warnOfSkew(ctx context.Context, s weft.Subject, ans *weft.Answer) *weft.Answer {
	if !n.mayDiffer(ans.Cut) {
		return ans
	}
	ctx, stop := context.WithTimeout(ctx, skewWait)
	done := make(chan struct{})
	var found []weft.Warning
	go func() {
		defer close(done)
		found = n.skew(ctx, s, ans.Cut)
	}()
	warned := *ans
	warned.Warnings = func() (all []weft.Warning) {
		<-done
		if ans.Warnings != nil {
			all = append(all, ans.Warnings()...)
		}
		return append(all, found...)
	}
	warned.Close = func() error {
		stop()
		<-done
		return ans.Close()
	}
	return &warned
}
