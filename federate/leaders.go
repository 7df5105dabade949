package federate

import (
	"cmp"
	"context"

	"weft"
)

// All parts of a question read one state of a product. The first of them that is asked
// finds out which, and leads: its node says the state before it looks for rows, and the
// others name it. To ask for the states beforehand would take a journey more.

// leaders are, by product, the part that finds out at which state it is read. One part
// never waits for one that waits for it: the leader is the first by how long parts wait
// for values, and then by number.
func (p *parting) leaders() map[weft.Name]int {
	depth := make([]int, len(p.plan))
	var deep func(i int) int
	deep = func(i int) int {
		if depth[i] == 0 {
			depth[i] = 1
			for _, w := range p.plan[i].waits {
				depth[i] = max(depth[i], deep(w)+1)
			}
		}
		return depth[i]
	}
	lead := map[weft.Name]int{}
	for i, part := range p.split.Parts {
		for _, ft := range p.tables(part) {
			n := ft.far.Name
			was, ok := lead[n]
			if ft.at == nil && (!ok || cmp.Or(cmp.Compare(deep(i), deep(was)), cmp.Compare(i, was)) < 0) {
				lead[n] = i
			}
		}
	}
	return lead
}

// follow waits until the states are known of the products that a part reads and does not
// lead.
func (p *parting) follow(ctx context.Context, i int) error {
	for _, n := range p.products(p.split.Parts[i]) {
		known, ok := p.known[n]
		if !ok || p.lead[n] == i {
			continue
		}
		select {
		case <-known:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// found notes the states that a part was read at, for those that follow it; without them,
// where it failed, they are on their own.
func (p *parting) found(i int, cut weft.Cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n, lead := range p.lead {
		if lead != i || p.told[n] {
			continue
		}
		if x, ok := cut.Find(n); ok {
			p.a.cut.fixed[n] = x
		}
		p.told[n] = true
		close(p.known[n])
	}
}
