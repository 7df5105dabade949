package node

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"weft"
	"weft/records"
	"weft/serve"
)

// cutDoor saves cuts and tells of them.
type cutDoor struct{ n *Node }

// asksAtOnce is how many origins are asked at a time for one cut.
const asksAtOnce = 16

// maxCutProducts is how many products a saved cut may have.
const maxCutProducts = 1_000

// each does something for 0 to count-1, some at a time.
func (n *Node) each(ctx context.Context, count int, do func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(asksAtOnce)
	for i := range count {
		g.Go(func() error { return do(ctx, i) })
	}
	return g.Wait()
}

// SaveCut fixes a state of products and keeps it under a name.
func (d cutDoor) SaveCut(ctx context.Context, s weft.Subject, r serve.SaveCutRequest) (*serve.CutDetail, error) {
	n := d.n
	if err := weft.CheckCutName(r.Name); err != nil {
		return nil, err
	}
	if _, err := n.books.SavedCut(ctx, r.Name); weft.KindOf(err) != weft.KindNotFound {
		if err == nil {
			err = weft.Errorf(weft.KindConflict, "save the cut", r.Name, "there is a cut of that name").
				WithHint("take another name, or drop that one first: weft cut drop %s", r.Name)
		}
		return nil, err
	}
	if _, busy := n.saving.LoadOrStore(r.Name, true); busy {
		return nil, weft.Errorf(weft.KindConflict, "save the cut", r.Name, "a cut of that name is being saved").WithHint("take another name")
	}
	defer n.saving.Delete(r.Name)
	cut, notes, err := n.fix(ctx, s, r)
	if err != nil {
		return nil, err
	}
	rec := records.SavedCut{Name: r.Name, Cut: cut.Sorted(), By: s.Key(), Saved: n.env.Clock.Now().UTC().Truncate(time.Second), Notes: notes}
	if r.Hold {
		if rec.Holds, err = n.holdCut(ctx, s, rec.Name, rec.Cut, time.Duration(r.For)*time.Second); err != nil {
			return nil, err
		}
	}
	if err := n.books.SaveCut(ctx, rec); err != nil {
		n.letGoCut(ctx, &rec)
		return nil, err
	}
	n.keepCut(ctx, rec.Cut)
	n.env.Log.InfoContext(ctx, "a cut is saved", "name", rec.Name, "cut", rec.Cut.String(), "subject", s.ID)
	return n.detailOf(ctx, s, rec, false), nil
}

// fix chooses the state of each product that is to be saved.
func (n *Node) fix(ctx context.Context, s weft.Subject, r serve.SaveCutRequest) (weft.Cut, []string, error) {
	at, err := serve.ParseAt(r.At)
	if err == nil {
		at, err = n.fixAt(ctx, s, at)
	}
	if err != nil {
		return nil, nil, err
	}
	names := slices.Clone(r.Products)
	if len(names) == 0 {
		for _, ref := range at.Cut {
			names = append(names, ref.Product)
		}
	}
	slices.SortFunc(names, compare)
	names = slices.Compact(names)
	switch {
	case len(names) == 0:
		return nil, nil, weft.Errorf(weft.KindInvalid, "save the cut", r.Name, "it names no product").WithHint("weft cut save %s PRODUCT…", r.Name)
	case len(names) > maxCutProducts:
		return nil, nil, weft.Errorf(weft.KindLimit, "save the cut", r.Name, "it has %d products, and %d are the most", len(names), maxCutProducts)
	}
	if at.IsZero() && !r.Newest {
		return n.fit(ctx, s, names)
	}
	cut := make(weft.Cut, len(names))
	err = n.each(ctx, len(names), func(ctx context.Context, i int) error {
		q := pointAsk{time: at.Time, limit: 1}
		if len(at.Cut) > 0 {
			j := slices.IndexFunc(at.Cut, func(ref weft.CutRef) bool { return ref.Product == names[i] })
			if j < 0 {
				return weft.Errorf(weft.KindInvalid, "save the cut", names[i].String(), "the cut does not name this product")
			}
			q.ref = at.Cut[j]
		}
		l, err := n.pointsOf(ctx, s, names[i], q)
		if err == nil && len(l.Points) == 0 {
			err = noState(names[i])
		}
		if err == nil {
			cut[i] = l.Points[0].Point
		}
		return err
	})
	return cut, nil, err
}

// Cuts lists the saved cuts that the subject may know of.
func (d cutDoor) Cuts(ctx context.Context, s weft.Subject) ([]serve.CutDetail, error) {
	list, err := d.n.books.SavedCuts(ctx)
	out := []serve.CutDetail{}
	for _, c := range list {
		if d.n.mayFindAll(s, c.Cut.Refs()) {
			out = append(out, *d.n.plainDetail(c))
		}
	}
	return out, err
}

// Cut tells of one cut, by its name, its token or its hash.
func (d cutDoor) Cut(ctx context.Context, s weft.Subject, what string, look bool) (*serve.CutDetail, error) {
	n := d.n
	var h weft.Hash
	whole := h.UnmarshalText([]byte(what)) == nil
	if !whole {
		h, whole = weft.ParseRef(what)
	}
	switch {
	case whole:
		c, err := n.wholeCut(ctx, h)
		if err != nil {
			return nil, err
		}
		return n.detailOf(ctx, s, records.SavedCut{Cut: c}, look), nil
	case weft.CheckCutName(what) == nil:
		c, err := n.savedCut(ctx, s, what)
		if err != nil {
			return nil, err
		}
		return n.detailOf(ctx, s, *c, look), nil
	}
	refs, err := weft.ParseCut(what)
	if err != nil {
		return nil, err
	}
	if !n.mayFindAll(s, refs) {
		return nil, weft.Errorf(weft.KindNotFound, "find the cut", "", "it names a product that there is not, or that you may not know of")
	}
	return n.tokenDetail(ctx, s, what, refs, look), nil
}

// savedCut finds a saved cut for a subject; one of products that it may not know of is
// not there.
func (n *Node) savedCut(ctx context.Context, s weft.Subject, name string) (*records.SavedCut, error) {
	c, err := n.books.SavedCut(ctx, name)
	if err == nil && !n.mayFindAll(s, c.Cut.Refs()) {
		err = weft.Errorf(weft.KindNotFound, "find the cut", name, "there is no saved cut of that name").WithHint("weft cut list shows those that there are")
	}
	return c, err
}

func (n *Node) mayFindAll(s weft.Subject, refs []weft.CutRef) bool {
	return !slices.ContainsFunc(refs, func(r weft.CutRef) bool { return !n.mayFind(s, r.Product) })
}

// DropCut forgets a saved cut, for whoever saved it or runs the node.
func (d cutDoor) DropCut(ctx context.Context, s weft.Subject, name string) error {
	n := d.n
	c, err := n.savedCut(ctx, s, name)
	if err != nil {
		return err
	}
	if c.By != s.Key() && !slices.Equal(s.Domains, n.speaksFor()) {
		return weft.Errorf(weft.KindDenied, "drop the cut", name, "only %s, who saved it, may, and whoever runs the node", c.By)
	}
	if err := n.books.DropCut(ctx, name); err != nil {
		return err
	}
	n.letGoCut(ctx, c)
	n.env.Log.InfoContext(ctx, "a saved cut is dropped", "name", name, "subject", s.ID)
	return nil
}
