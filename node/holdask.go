package node

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"weft"
	"weft/records"
)

// holdCut has the owners of all products of a cut keep their history in place; where one
// does not, nobody has to, and its error says why.
func (n *Node) holdCut(ctx context.Context, s weft.Subject, name string, cut weft.Cut, wanted time.Duration) (map[weft.Name]records.Claim, error) {
	var mu sync.Mutex
	claims := map[weft.Name]records.Claim{}
	err := n.each(ctx, len(cut), func(ctx context.Context, i int) error {
		p := cut[i]
		c, err := n.holdOne(ctx, s, holdAsk{
			Product: p.Product, Incarnation: p.Incarnation, Seq: p.Seq, Hash: p.Hash, Cut: name, By: s.ID, Seconds: int64(wanted / time.Second),
		})
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		claims[p.Product] = c
		return nil
	})
	if err != nil {
		n.letGoCut(context.WithoutCancel(ctx), &records.SavedCut{Name: name, Holds: claims})
		return nil, err
	}
	return claims, nil
}

// holdOne has the owner of one product keep its history in place.
func (n *Node) holdOne(ctx context.Context, s weft.Subject, q holdAsk) (records.Claim, error) {
	far, err := n.foreign(q.Product)
	if err != nil {
		return records.Claim{}, err
	}
	if far == nil {
		given, err := n.giveHold(ctx, s, weft.KeyID{}, q)
		if err != nil {
			return records.Claim{}, err
		}
		return records.Claim{Hold: given.Hold, Until: given.Until}, nil
	}
	b, err := n.askPeer(ctx, far.origin, http.MethodPost, "/holds", url.Values{"as": {strings.Join(n.abroad(s), ",")}}, q)
	if err != nil {
		return records.Claim{}, n.peerFault(far, err)
	}
	var given holdGiven
	if json.Unmarshal(b, &given) != nil || given.Hold == "" || len(given.Hold) > 200 {
		return records.Claim{}, n.peerFault(far, errors.New("its answer cannot be read"))
	}
	return records.Claim{Hold: given.Hold, Node: far.origin, Until: given.Until}, nil
}

// letGoCut ends what a cut holds. An owner that is away ends it when its time is over.
func (n *Node) letGoCut(ctx context.Context, c *records.SavedCut) {
	for name, claim := range c.Holds {
		var err error
		if claim.Node.IsZero() {
			err = n.dropHold(ctx, name, claim.Hold, func(h records.Hold) bool { return h.Node.IsZero() })
		} else {
			_, err = n.askPeer(ctx, claim.Node, http.MethodDelete, "/holds", url.Values{"product": {name.String()}, "hold": {claim.Hold}}, nil)
		}
		if err != nil && weft.KindOf(err) != weft.KindNotFound {
			n.env.Log.WarnContext(ctx, "let go of what a cut held; its owner ends it when its time is over", "cut", c.Name, "product", name.String(), "error", err)
		}
	}
}
