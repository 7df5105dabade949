package node

import (
	"context"
	"slices"

	"weft"
	"weft/records"
	"weft/serve"
)

// plainDetail is a cut without a look at the origins.
func (n *Node) plainDetail(c records.SavedCut) *serve.CutDetail {
	d := &serve.CutDetail{
		Name: c.Name, Token: c.Cut.Token(), Text: c.Cut.String(), Hash: c.Cut.Ref(), By: c.By, Points: []serve.CutPoint{}, Notes: c.Notes,
	}
	if !c.Saved.IsZero() {
		d.Saved = &c.Saved
	}
	if t := c.Cut.AsOf(); !t.IsZero() {
		d.AsOf = &t
	}
	for _, p := range c.Cut {
		x := serve.CutPoint{Point: p, State: serve.PointUnknown, Node: n.holderOf(p.Product)}
		if h, ok := c.Holds[p.Product]; ok {
			x.Held, x.Problem = h.Refused == "", h.Refused
			if !h.Until.IsZero() {
				x.Until = &h.Until
			}
			if x.Held && !h.Until.IsZero() && n.env.Clock.Now().After(h.Until) {
				x.Held = false
			}
		}
		d.Points = append(d.Points, x)
	}
	return d
}

// holderOf is the name of the node that holds a product; empty where it is this one, or
// none that is known.
func (n *Node) holderOf(name weft.Name) string {
	far, err := n.foreign(name)
	if far == nil || err != nil {
		return ""
	}
	return or(n.nameOf(far.origin), far.origin.Short())
}

// detailOf is a cut, and where look is set what the origins say of it.
func (n *Node) detailOf(ctx context.Context, s weft.Subject, c records.SavedCut, look bool) *serve.CutDetail {
	d := n.plainDetail(c)
	if look {
		n.lookAt(ctx, s, c.Cut.Refs(), d, c.Holds)
	}
	ctx, stop := context.WithTimeout(ctx, skewWait)
	defer stop()
	d.Warnings = n.skew(ctx, s, c.Cut)
	return d
}

// tokenDetail is a cut of which only the token is known: of hashes it has no more than
// the token says, until an origin tells the whole.
func (n *Node) tokenDetail(ctx context.Context, s weft.Subject, token string, refs []weft.CutRef, look bool) *serve.CutDetail {
	var cut weft.Cut
	for _, r := range refs {
		p := weft.Point{Product: r.Product, Incarnation: r.Incarnation, Seq: r.Seq}
		copy(p.Hash[:], r.HashPrefix)
		cut = append(cut, p)
	}
	d := n.plainDetail(records.SavedCut{Cut: cut})
	d.Token, d.Hash = token, weft.Hash{}
	if !look {
		return d
	}
	n.lookAt(ctx, s, refs, d, nil)
	cut = nil
	for _, p := range d.Points {
		if p.ID == "" {
			return d
		}
		cut = append(cut, p.Point)
	}
	d.Token, d.Hash = cut.Token(), cut.Ref()
	ctx, stop := context.WithTimeout(ctx, skewWait)
	defer stop()
	d.Warnings = n.skew(ctx, s, cut)
	return d
}

// lookAt asks each origin whether its point can still be read, and is held.
func (n *Node) lookAt(ctx context.Context, s weft.Subject, refs []weft.CutRef, d *serve.CutDetail, claims map[weft.Name]records.Claim) {
	_ = n.each(ctx, len(refs), func(ctx context.Context, i int) error {
		x := &d.Points[i]
		l, err := n.pointsOf(ctx, s, refs[i].Product, pointAsk{ref: refs[i]})
		if err == nil {
			asOf := x.AsOf
			x.Point, x.State, x.Oldest, x.Newest = l.Points[0].Point, serve.PointReadable, l.Oldest, l.Newest
			x.AsOf = asOf
			if c, ok := claims[refs[i].Product]; ok && x.Held && !slices.Contains(l.Holds, c.Hold) {
				x.Held, x.Until, x.Problem = false, nil, "it is not held any more: its owner has ended the hold"
			}
			return nil
		}
		x.State = stateOf(err)
		x.Problem, x.Hint = or(serve.AsError(err).Message, err.Error()), weft.HintOf(err)
		// Where the point is not there any more, its origin still says what is.
		if l, err := n.pointsOf(ctx, s, refs[i].Product, pointAsk{limit: 1}); err == nil {
			x.Oldest, x.Newest = l.Oldest, l.Newest
		}
		return nil
	})
}

// stateOf is what an error of an origin means for a point.
func stateOf(err error) serve.PointState {
	switch weft.KindOf(err) {
	case weft.KindGone:
		return serve.PointGone
	case weft.KindConflict, weft.KindCorrupt:
		return serve.PointOther
	case weft.KindUnavailable, weft.KindCancelled:
		return serve.PointAway
	case weft.KindDenied:
		return serve.PointDenied
	}
	return serve.PointUnknown
}
