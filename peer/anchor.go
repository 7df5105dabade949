package peer

import (
	"weft"
)

// Anchor is what a node's folder says of whom it trusts, read while the node runs or
// not: the mesh that it is in with its charter, zero and nil where it is in none, and
// the node's own key, zero where it has none yet.
func Anchor(dir string) (mesh weft.Hash, charter []byte, node weft.KeyID, err error) {
	f := newFolder(dir)
	st, err := f.load()
	if err != nil {
		return mesh, nil, node, err
	}
	if st != nil {
		mesh, charter = st.Mesh, st.Charter
	}
	k, err := f.key(nodeKey)
	if err == nil && !k.IsZero() {
		node = k.ID()
	}
	return mesh, charter, node, err
}
