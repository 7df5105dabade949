package node

import (
	"context"
	"fmt"
	"slices"
	"time"

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
	m := &madeLooks{n: n, seen: map[weft.Hash]madePoint{}}
	if n.mayDiffer(points()) {
		if err := m.goBackAll(ctx, trails); err != nil {
			return nil, nil, err
		}
	}
	notes = m.notes()
	for _, t := range trails {
		if p := t.at(); p.Seq != t.head.Seq {
			notes = append(notes, fmt.Sprintf("%s is at %s and not at its newest, %s: only there it was made from the same states as the others (--newest takes the newest)", t.name, p.Seq, t.head.Seq))
		}
	}
	return points(), notes, nil
}

const newestHint = "--newest takes the newest state of each product, with a warning"

// fitFor is how long is looked for states that fit.
const fitFor = 30 * time.Second

// madeLooks are lookups for one cut: each state is looked at once.
type madeLooks struct {
	n       *Node
	seen    map[weft.Hash]madePoint
	unknown []weft.Name // products of which nothing could be found out
}

// look finds out what a state was made from, as far as that can be until ctx ends.
func (m *madeLooks) look(ctx context.Context, p weft.Point) madePoint {
	x, ok := m.seen[p.Hash]
	if !ok && ctx.Err() == nil {
		if x, ok = m.n.lookMade(ctx, p); !ok && !slices.Contains(m.unknown, p.Product) {
			m.unknown = append(m.unknown, p.Product)
		}
		m.seen[p.Hash] = x
	}
	return x
}

// states are the states of all products that a point was made from, and its own.
func (m *madeLooks) states(ctx context.Context, p weft.Point) map[weft.Name][]weft.Point {
	return statesIn(p, func(p weft.Point) []weft.Point { return m.look(ctx, p).From }, func(p weft.Point) weft.Point { return m.look(ctx, p).Rows })
}

// notes say of which products nothing could be found out.
func (m *madeLooks) notes() (out []string) {
	for _, name := range m.unknown {
		out = append(out, fmt.Sprintf("what %s was made from is not known here: its node is away, or does not tell", name))
	}
	return out
}

// goBackAll moves the products back until their states fit.
func (m *madeLooks) goBackAll(ctx context.Context, trails []*trail) error {
	ctx, stop := context.WithTimeout(ctx, fitFor)
	defer stop()
	for range maxBack {
		moved, err := m.goBack(ctx, trails)
		if err != nil || !moved {
			return err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return weft.Errorf(weft.KindLimit, "fix the state", "", "no states that fit were found in %s, or among the last %d", fitFor, maxBack).WithHint(newestHint)
}

// goBack moves those products back that use a later state of something than another one
// does; false where there is none.
func (m *madeLooks) goBack(ctx context.Context, trails []*trail) (moved bool, err error) {
	oldest := map[weft.Name]weft.Point{}
	uses := make([]map[weft.Name][]weft.Point, len(trails))
	for i, t := range trails {
		uses[i] = m.states(ctx, t.at().Point)
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
	return moved, nil
}

func noState(name weft.Name) error {
	return weft.Errorf(weft.KindUnavailable, "read the product", name.String(), "it has published nothing yet").WithHint("weft show %s", name)
}
