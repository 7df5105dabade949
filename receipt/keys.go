package receipt

import (
	"bytes"
	"encoding/json"
	"time"

	"weft"
	"weft/peer"
)

// MaxKeys is the most bytes of a file of keys.
const MaxKeys = 256 << 20

// Keys are whom a receipt is held against: a mesh, with what its nodes have signed of
// who may sign what, or one node that is in none. Of a mesh its identity is what is
// trusted; each record is proved from there.
type Keys struct {
	Format  int        `json:"format"` // 1
	Mesh    weft.Hash  `json:"mesh,omitzero"`
	Name    string     `json:"name,omitempty"` // of the mesh
	Node    weft.KeyID `json:"node,omitzero"`  // of a node without a mesh
	Time    time.Time  `json:"time,omitzero"`  // when they were written down
	Records [][]byte   `json:"records"`        // in base64, as nodes hold them
}

// ReadKeys reads a file of keys as `weft mesh keys` writes it, or a node's public key in
// hexadecimal. Errors are of KindInvalid.
func ReadKeys(b []byte) (Keys, error) {
	bad := func(format string, args ...any) (Keys, error) {
		return Keys{}, weft.Errorf(weft.KindInvalid, "read the keys", "", format, args...).
			WithHint("a file of keys is what `weft mesh keys` prints")
	}
	if len(b) > MaxKeys {
		return bad("there are more than %d MB of them", MaxKeys>>20)
	}
	if text := bytes.TrimSpace(b); len(text) == 64 {
		k := Keys{Format: 1}
		if err := k.Node.UnmarshalText(text); err != nil {
			return bad("it is no public key")
		}
		return k, nil
	}
	var k Keys
	if err := json.Unmarshal(b, &k); err != nil {
		return bad("the file holds no keys")
	}
	switch {
	case k.Format > 1:
		return bad("they are of format %d, which a newer version of weft writes", k.Format)
	case k.Format < 1 || k.Mesh == (weft.Hash{}) && k.Node.IsZero():
		return bad("they are neither of a mesh nor of a node")
	case k.Mesh != (weft.Hash{}) && peer.NewWitness(k.Mesh).Hear(k.Records) == 0:
		return bad("no record in it is of the mesh that it names")
	}
	return k, nil
}

// IsZero reports whether they are no keys.
func (k Keys) IsZero() bool { return k.Mesh == (weft.Hash{}) && k.Node.IsZero() }
