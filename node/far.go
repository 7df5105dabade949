package node

import (
	"net/http"

	"weft"
)

// foreign is a product of another node, as its signed card and head say.
type foreign struct {
	name   weft.Name
	origin weft.KeyID // the node that holds it
	id     string     // the product's identity, which the card gives
	head   *weft.CardHead
	card   *weft.Card
}

// stopped says that its node reads it no more, as far as is known here.
func (f *foreign) stopped() bool {
	if f.head == nil {
		return false
	}
	switch f.head.State {
	case weft.StatePaused, weft.StateRetired, weft.StateDamaged:
		return true
	}
	return false
}

// elsewhere is what the node needs of the mesh to read what others hold. Safe for
// concurrent use.
type elsewhere interface {
	// find gives the product of that name of another node, nil where no card is known.
	// An error says why a name that is known resolves to nothing.
	find(n weft.Name) (*foreign, error)
	// client speaks to a node: the URL's host is ignored.
	client(node weft.KeyID) *http.Client
	// domainsOf are the domains that a node may speak for, none for one that is
	// unknown or revoked.
	domainsOf(node weft.KeyID) []string
	// own are the domains that this node may speak for.
	own() []string
	// reached reports whether a node can be reached now, as far as is known here.
	reached(node weft.KeyID) bool
}

// foreign finds a product of another node; nil for one that is here or nowhere.
func (n *Node) foreign(name weft.Name) (*foreign, error) {
	if n.far == nil || n.known(name) != nil {
		return nil, nil
	}
	return n.far.find(name)
}
