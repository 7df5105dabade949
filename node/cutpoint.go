package node

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"weft"
	"weft/store"
)

// pointAsk says which states of a product are asked for: one commit, the one at a
// time, or those before one, newest first.
type pointAsk struct {
	ref    weft.CutRef // its Seq is 0 where no commit is named
	time   time.Time
	before weft.Seq // 0 is from the head
	limit  int
}

// pointList are states of a product, newest first, and how far it can be read.
type pointList struct {
	Points []madePoint `json:"points"`
	Oldest weft.Seq    `json:"oldest"`
	Newest weft.Seq    `json:"newest"`
	// Holds are what the node that asks holds of the history.
	Holds []string `json:"holds,omitempty"`
}

// madePoint is a state of a product, and what it was made from.
type madePoint struct {
	weft.Point
	// Rows is the newest state up to this one that changed what can be read: they read
	// the same. It is zero where that was too far back.
	Rows weft.Point `json:"rows,omitzero"`
	// From are the states of other products that the rows were made from.
	From []weft.Point `json:"from,omitempty"`
}

// What is looked at of a chain for one answer.
const (
	maxPoints   = 100   // states in a list
	maxRowsBack = 2_000 // commits between a state and the one that changed rows
)

// pointsOf finds states of a product that the subject may read: here, or by asking its
// origin.
func (n *Node) pointsOf(ctx context.Context, s weft.Subject, name weft.Name, q pointAsk) (*pointList, error) {
	far, err := n.foreign(name)
	if err != nil {
		return nil, err
	}
	if far != nil {
		return n.askPoints(ctx, s, far, q)
	}
	p, err := n.seenBy(s, name)
	if err != nil {
		if n.cat != nil {
			err = n.noSuchProduct(s, name)
		}
		return nil, err
	}
	list, err := p.points(ctx, s, q)
	if err == nil {
		list.Holds = n.holdNames(ctx, p, weft.KeyID{})
	}
	return list, err
}

// points finds states of a product that is here.
func (p *product) points(ctx context.Context, s weft.Subject, q pointAsk) (*pointList, error) {
	if err := p.deny(s, ""); err != nil {
		return nil, err
	}
	return p.pointsKnown(ctx, q, func(up weft.Name) bool { return p.node.mayFind(s, up) })
}

// pointsKnown is points for whom may read the product; of what a state was made from it
// tells those products that known allows.
func (p *product) pointsKnown(ctx context.Context, q pointAsk, known func(weft.Name) bool) (*pointList, error) {
	release, err := p.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	out := &pointList{Oldest: p.store.Oldest(), Newest: p.store.Head().Seq}
	if out.Newest == 0 {
		return nil, weft.Errorf(weft.KindConflict, "read the product", p.name().String(), "nothing is published yet").
			WithHint("`weft status` says what its first load is waiting for")
	}
	commits, err := chosen(p.store, q)
	if err != nil {
		return nil, err
	}
	rows := rowsFinder{st: p.store}
	for _, c := range commits {
		m := madePoint{Point: pointOf(c), From: p.madeFrom(c, known)}
		m.AsOf, m.Rows = q.time, rows.of(c)
		out.Points = append(out.Points, m)
	}
	return out, nil
}

// chosen are the commits that are asked for.
func chosen(st *store.Store, q pointAsk) ([]weft.Commit, error) {
	seq := q.ref.Seq
	switch {
	case seq > 0 && len(q.ref.HashPrefix) > 0:
		if err := st.Same(q.ref.Incarnation, seq, q.ref.HashPrefix); err != nil {
			return nil, err
		}
	case seq == 0 && !q.time.IsZero():
		var err error
		if seq, err = st.SeqAt(q.time); err != nil {
			return nil, err
		}
	case seq == 0:
		return st.Commits(q.before, min(max(q.limit, 1), maxPoints))
	}
	c, err := st.Commit(seq)
	return []weft.Commit{c}, err
}

func pointOf(c weft.Commit) weft.Point {
	return weft.Point{Product: c.Product, ID: c.ID, Incarnation: c.Incarnation, Seq: c.Seq, Hash: c.Hash, Time: c.Time}
}

// rowsFinder finds the commits that changed rows, going back.
type rowsFinder struct {
	st   *store.Store
	last weft.Commit // the one that was found last
	none bool        // there is none near
}

// of is the newest commit up to c that changed rows which can be read; zero where
// there is none, or none near.
func (f *rowsFinder) of(c weft.Commit) weft.Point {
	if !f.none && (f.last.Seq == 0 || f.last.Seq > c.Seq) {
		f.last = weft.Commit{}
		for looked, before := 0, c.Seq+1; looked < maxRowsBack && f.last.Seq == 0; {
			cs, err := f.st.Commits(before, 50)
			i := slices.IndexFunc(cs, changesRows)
			if i >= 0 {
				f.last = cs[i]
			}
			if err != nil || len(cs) == 0 {
				break
			}
			looked, before = looked+len(cs), cs[len(cs)-1].Seq
		}
	}
	if f.none = f.last.Seq == 0; f.none {
		return weft.Point{}
	}
	return pointOf(f.last)
}

// changesRows says whether a commit changed rows that consumers read.
func changesRows(c weft.Commit) bool {
	return slices.ContainsFunc(c.Tables, func(t weft.TableChange) bool { return !t.Hidden })
}

// madeFrom are the states of other products that a commit was made from, those that
// known allows. A rollback brings rows back, and not what they were made from.
func (p *product) madeFrom(c weft.Commit, known func(weft.Name) bool) []weft.Point {
	p.mu.Lock()
	upstream := p.brief.Upstream
	p.mu.Unlock()
	if len(upstream) == 0 || c.Cause == weft.CauseRollback {
		return nil
	}
	var out []weft.Point
	for _, raw := range c.Positions {
		var at weft.Point // or the position of a source of another kind
		if json.Unmarshal(raw, &at) != nil || at.Seq == 0 || !slices.Contains(upstream, at.Product) || !known(at.Product) {
			continue
		}
		if !slices.ContainsFunc(out, func(x weft.Point) bool { return x.Hash == at.Hash }) {
			out = append(out, at) // two ports may have read one product at different times
		}
	}
	slices.SortFunc(out, func(a, b weft.Point) int { return cmp.Or(compare(a.Product, b.Product), cmp.Compare(a.Seq, b.Seq)) })
	return out
}
