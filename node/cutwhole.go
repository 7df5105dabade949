package node

import (
	"context"
	"net/http"
	"slices"

	"weft"
	"weft/peer"
)

// askedForCut is how many nodes are asked for a cut at a time, and asksForCut how many
// in all.
const (
	askedForCut = 8
	asksForCut  = 64
)

// keepCut keeps the whole of a cut that has no token before its hash is given out.
func (n *Node) keepCut(ctx context.Context, c weft.Cut) {
	if c.Fits() {
		return
	}
	if err := n.books.PutWhole(context.WithoutCancel(ctx), c, n.env.Clock.Now()); err != nil {
		n.env.Log.WarnContext(ctx, "keep the cut of an answer; its hash will not be found here", "cut", c.Ref().Short(), "error", err)
	}
}

// wholeCut finds a cut that has no token by its hash: here, or at any node that can be
// reached. Whoever knows the hash was given it with an answer.
func (n *Node) wholeCut(ctx context.Context, h weft.Hash) (weft.Cut, error) {
	c, err := n.books.Whole(ctx, h)
	if weft.KindOf(err) != weft.KindNotFound || n.far == nil || !n.joined() {
		return c, err
	}
	list, _ := n.members()
	list = slices.DeleteFunc(slices.Clone(list), func(m peer.Member) bool {
		return m.Self || m.Revoked || !m.Rotated.IsZero() || !reached(m)
	})
	asked := min(len(list), asksForCut)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	found := make(chan weft.Cut, asked)
	room := make(chan struct{}, askedForCut)
	for _, m := range list[:asked] {
		go func() {
			var c weft.Cut
			select {
			case room <- struct{}{}:
				c = n.askCut(ctx, m.ID, h)
				<-room
			case <-ctx.Done():
			}
			found <- c
		}()
	}
	for range asked {
		if c := <-found; c != nil {
			n.keepCut(ctx, c)
			return c, nil
		}
	}
	return nil, weft.Errorf(weft.KindNotFound, "find the cut", h.Short(), "neither this node nor the %d others that were asked have it", asked).
		WithHint("a node keeps the cuts that it answered at while there is room; ask where the answer came from, or for a cut of today")
}

// askCut asks a node for a cut, which its hash proves; nil where it has none.
func (n *Node) askCut(ctx context.Context, node weft.KeyID, h weft.Hash) weft.Cut {
	b, err := n.askPeer(ctx, node, http.MethodGet, "/cuts/"+h.String(), nil, nil)
	if err != nil {
		return nil // another one may have it
	}
	c, err := weft.ParseWhole(b, h)
	if err != nil {
		n.env.Log.WarnContext(ctx, "a node gives another cut than the one that it was asked for", "node", node.Short(), "error", err)
		return nil
	}
	return c
}

// tellCut gives another node a cut that this one keeps; nobody else is asked.
func (n *Node) tellCut(w http.ResponseWriter, r *http.Request, _ weft.KeyID) error {
	var h weft.Hash
	if err := h.UnmarshalText([]byte(r.PathValue("hash"))); err != nil {
		return err
	}
	c, err := n.books.Whole(r.Context(), h)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err = w.Write(c.Whole())
	if err != nil {
		panic(http.ErrAbortHandler) // the other side is gone; a part of it may be out
	}
	return nil
}

// fixAt puts the cut in the place of what stands for it.
func (n *Node) fixAt(ctx context.Context, s weft.Subject, at weft.At) (weft.At, error) {
	if !at.Named() {
		return at, nil
	}
	var c weft.Cut
	var err error
	if at.Saved != "" {
		saved, err := n.savedCut(ctx, s, at.Saved)
		if err != nil {
			return at, err
		}
		c = saved.Cut
	} else if c, err = n.wholeCut(ctx, at.Ref); err != nil {
		return at, err
	}
	return weft.At{Cut: c.Refs()}, nil
}
