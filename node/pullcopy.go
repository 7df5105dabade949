package node

import (
	"context"
	"fmt"
	"time"

	"weft"
	"weft/replicate"
	"weft/store"
)

// A product of another node that is an input here is kept as a copy where its owner
// consents: then only what is new comes with each of its commits, and the rows of a load
// are read here. Without consent, and where the copy does not go on, each load has all
// rows come.

// awaitCopy holds the copy of an input's product when it has the state that is to be
// read; nil where the rows are to be asked for.
func (l *load) awaitCopy(ctx context.Context, x *input) *replicate.Held {
	n := l.p.node
	if n.copies == nil || x.state.Withheld != nil {
		return nil
	}
	err := n.copies.Need(x.far.name)
	var held *replicate.Held
	if err == nil {
		held, err = n.copies.Await(ctx, x.point)
	}
	if err != nil && weft.KindOf(err) != weft.KindDenied && ctx.Err() == nil {
		n.env.Log.Info("an input is read from its origin, not from the copy here", "product", l.folder.Name.String(), "input", x.far.name.String(), "why", err)
	}
	return held
}

// readCopy stages all tables of a product of another node from the copy here, through
// the gate as any other question of this product.
func (l *load) readCopy(ctx context.Context, x *input, st *store.Store) error {
	snap, err := st.Snapshot(ctx, x.point.Seq)
	if err != nil {
		return err
	}
	rows := map[string]int64{}
	for _, t := range snap.Tables() {
		rows[t.Table] = t.Rows
	}
	if err := snap.Close(); err != nil {
		return err
	}
	for _, t := range x.state.Tables {
		if n, ok := rows[t.Name]; !ok || n != t.Rows {
			return l.farFault(ctx, x, fmt.Errorf("the copy here has %d rows of table %s, and it says that there are %d", n, t.Name, t.Rows))
		}
		s, err := l.copyProduct(ctx, x, t.Name)
		if err != nil {
			return err
		}
		l.took(x, s)
	}
	return l.setPosition(x.port.Name, x.point)
}

// keptState is what the copy here has of a product whose node is away, and a note that
// says so; nil where there is none that may be used.
func (l *load) keptState(ctx context.Context, x *input) (*farState, string) {
	n := l.p.node
	p, current, ok := (visibleProducts{n}).Copy(weft.ProductSubject(l.folder.Name), x.far.name)
	if !ok {
		return nil, ""
	}
	defer p.Release()
	if p.Deny("") != nil {
		return nil, ""
	}
	at, err := publishedPoint(p.Store, x.far.name)
	if err != nil || at.Incarnation < x.point.Incarnation || at.Incarnation == x.point.Incarnation && at.Seq < x.point.Seq {
		return nil, "" // what was read before is newer
	}
	snap, err := p.Store.Snapshot(ctx, at.Seq)
	if err != nil {
		return nil, ""
	}
	defer func() { _ = snap.Close() }()
	st := &farState{Point: at}
	if st.list(snap, p.Deny) != nil || st.check(x.far) != nil {
		return nil, ""
	}
	age := max(n.env.Clock.Now().Sub(current), 0).Round(time.Second)
	return st, fmt.Sprintf("node %s, which holds %s, cannot be reached: the copy here was read, which was last known to be current %s ago", x.far.origin.Short(), x.far.name, age)
}

// spareCopies removes the copies that were kept for inputs that are no more.
func (n *Node) spareCopies() {
	if n.copies == nil {
		return
	}
	n.copies.Spare(func(name weft.Name) bool {
		for _, d := range n.dependents(name) {
			if !d.record().Retired {
				return true
			}
		}
		return false
	})
}
