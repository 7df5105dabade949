// Package peer is who is here and how to reach them: the identity of a node, the
// records that the nodes of a mesh sign and pass on, who may sign what, invitations,
// gossip, and authenticated streams between nodes.
//
// A Set holds the records and judges them; a Mesh is this node's part in the mesh.
package peer
