package peer

import (
	"context"
	"net"

	"weft"
)

// What follows is all that a node does while this package makes no links: it holds
// records and founds a mesh, and reaches no other node.

// Accept closes the connection.
func (m *Mesh) Accept(c net.Conn) { _ = c.Close() }

// Run does what must be done from time to time, until ctx ends.
func (m *Mesh) Run(ctx context.Context) error { return m.Tend(ctx) }

// Join is refused.
func (m *Mesh) Join(context.Context, string) error {
	return weft.Errorf(weft.KindUnavailable, "join the mesh", "", "this program makes no links to other nodes")
}
