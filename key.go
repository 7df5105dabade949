package weft

import "encoding/hex"

// KeyID is an Ed25519 public key. It is the identity of a node, of a domain and of
// whoever founded a mesh.
type KeyID [32]byte

// String returns the key in hexadecimal.
func (k KeyID) String() string { return hex.EncodeToString(k[:]) }

// Short returns the first eight hexadecimal digits, for people.
func (k KeyID) Short() string { return hex.EncodeToString(k[:4]) }

// IsZero reports whether k is no key.
func (k KeyID) IsZero() bool { return k == KeyID{} }

// MarshalText writes the key in hexadecimal.
func (k KeyID) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads a key in hexadecimal.
func (k *KeyID) UnmarshalText(b []byte) error {
	if len(b) != 64 {
		return Errorf(KindInvalid, "read the key", "", "a public key has 64 hexadecimal digits, this has %d", len(b))
	}
	if _, err := hex.Decode(k[:], b); err != nil {
		return Errorf(KindInvalid, "read the key", "", "a public key is written in hexadecimal")
	}
	return nil
}

// ParseKeyID reads what String writes.
func ParseKeyID(s string) (k KeyID, err error) {
	return k, k.UnmarshalText([]byte(s))
}
