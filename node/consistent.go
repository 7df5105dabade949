package node

import (
	"context"
	"fmt"

	"weft"
)

// maxBack is how many states are looked through for ones that fit.
const maxBack = 5_000

// trail goes through the states of a product that is in a cut, from the newest back.
type trail struct {
	n    *Node
	s    weft.Subject
	name weft.Name
	list []madePoint
	head weft.Point
	done bool
}

// next moves to the state before; false at the end of what is kept.
func (t *trail) next(ctx context.Context) (bool, error) {
	if len(t.list) > 1 {
		t.list = t.list[1:]
		return true, nil
	}
	q := pointAsk{limit: 1}
	if len(t.list) == 1 {
		if q = (pointAsk{before: t.list[0].Seq, limit: maxPoints}); q.before <= 1 {
			return false, nil
		}
	}
	l, err := t.n.pointsOf(ctx, t.s, t.name, q)
	if err != nil {
		return false, err
	}
	if len(l.Points) == 0 {
		return false, nil
	}
	if t.head.Seq == 0 {
		t.head = l.Points[0].Point
	}
	t.list = l.Points
	for _, m := range l.Points {
		t.n.made.put(m)
	}
	return true, nil
}

func (t *trail) at() madePoint { return t.list[0] }

// fit finds the newest states of products that were made from the same states of
// whatever they share: whoever used a later one goes back until it does not. Notes say
// which products are not at their newest.
func (n *Node) fit(ctx context.Context, s weft.Subject, names []weft.Name) (cut weft.Cut, notes []string, err error) {
	trails := make([]*trail, len(names))
	err = n.each(ctx, len(names), func(ctx context.Context, i int) error {
		trails[i] = &trail{n: n, s: s, name: names[i]}
		ok, err := trails[i].next(ctx)
		if err == nil && !ok {
			err = noState(names[i])
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	points := func() (c weft.Cut) {
		for _, t := range trails {
			c = append(c, t.at().Point)
		}
		return c
	}
	related := n.mayDiffer(points())
	for back := 0; related; back++ {
		moved, err := n.goBack(ctx, trails)
		if err != nil {
			return nil, nil, err
		}
		if !moved {
			break
		}
		if back > maxBack {
			return nil, nil, weft.Errorf(weft.KindLimit, "fix the state", "", "no states that fit were found among the last %d", maxBack).WithHint(newestHint)
		}
	}
	for _, t := range trails {
		if p := t.at(); p.Seq != t.head.Seq {
			notes = append(notes, fmt.Sprintf("%s is at %s and not at its newest, %s: only there it was made from the same states as the others (--newest takes the newest)", t.name, p.Seq, t.head.Seq))
		}
	}
	return points(), notes, nil
}

const newestHint = "--newest takes the newest state of each product, with a warning"

// goBack moves those products back that use a later state of something than another one
// does; false where there is none.
func (n *Node) goBack(ctx context.Context, trails []*trail) (moved bool, err error) {
	oldest := map[weft.Name]weft.Point{}
	uses := make([]map[weft.Name][]weft.Point, len(trails))
	for i, t := range trails {
		uses[i] = statesIn(t.at().Point, func(p weft.Point) []weft.Point { return n.lookMade(ctx, p).From }, func(p weft.Point) weft.Point { return n.lookMade(ctx, p).Rows })
		for name, states := range uses[i] {
			for _, x := range states {
				if o, ok := oldest[name]; !ok || later(x, o) < 0 {
					oldest[name] = x
				}
			}
		}
	}
	for i, t := range trails {
		late := false
		for name, states := range uses[i] {
			for _, x := range states {
				late = late || later(x, oldest[name]) > 0
			}
		}
		if !late {
			continue
		}
		ok, err := t.next(ctx)
		if err != nil {
			return false, err
		}
		if !ok {
			return false, weft.Errorf(weft.KindGone, "fix the state", t.name.String(), "no state of it that is kept was made from the same states as the others").
				WithHint(newestHint)
		}
		moved = true
	}
	return moved, ctx.Err()
}

func noState(name weft.Name) error {
	return weft.Errorf(weft.KindUnavailable, "read the product", name.String(), "it has published nothing yet").WithHint("weft show %s", name)
}
