package sign

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"weft"
)

const pemType = "PRIVATE KEY"

// Identity is a node's Ed25519 key pair. Safe for concurrent use.
type Identity struct {
	key ed25519.PrivateKey
}

// NewIdentity makes a random identity that is kept nowhere.
func NewIdentity() *Identity {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // documented never to fail
	return &Identity{key: ed25519.NewKeyFromSeed(seed)}
}

// ID is the node's identity as text: the public key in hexadecimal.
func (i *Identity) ID() string { return hex.EncodeToString(i.Public()) }

// Public is the public key.
func (i *Identity) Public() ed25519.PublicKey { return i.key.Public().(ed25519.PublicKey) }

// Sign returns the signature over message.
func (i *Identity) Sign(message []byte) []byte { return ed25519.Sign(i.key, message) }

// Verify reports whether signature is public's over message.
func Verify(public ed25519.PublicKey, message, signature []byte) bool {
	return len(public) == ed25519.PublicKeySize && ed25519.Verify(public, message, signature)
}

// LoadIdentity reads the key file at path, a PKCS #8 block in PEM, and makes it
// with mode 0600 where there is none. A file that others may read is refused
// (KindDenied), one that is no such key is KindCorrupt.
func LoadIdentity(path string) (*Identity, error) {
	const op = "read the node's key"
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return createIdentity(path)
	case err != nil:
		return nil, weft.Errorf(weft.KindUnavailable, op, path, "%w", err)
	case st.Mode().Perm()&0o077 != 0:
		return nil, weft.Errorf(weft.KindDenied, op, path, "the file has mode %04o, others may read it", st.Mode().Perm()).
			WithHint("chmod 600 %s, and make a new key if somebody may have read it", path)
	case st.Size() > 1<<16:
		return nil, corruptKey(path, "it is far too long for a key")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, weft.Errorf(weft.KindUnavailable, op, path, "%w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != pemType {
		return nil, corruptKey(path, "it holds no PEM block of a private key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, corruptKey(path, "the key in it is not whole")
	}
	ed, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, corruptKey(path, "the key in it is no Ed25519 key")
	}
	return &Identity{key: ed}, nil
}

func corruptKey(path, why string) error {
	return weft.Errorf(weft.KindCorrupt, "read the node's key", path, "%s", why).
		WithHint("restore the file from a backup; a new key makes this a different node")
}

// createIdentity writes a new key beside its final name and links it in, so
// that a crash leaves either no key or a whole one and a second process never
// replaces the first one's.
func createIdentity(path string) (*Identity, error) {
	const op = "make the node's key"
	fail := func(err error) (*Identity, error) {
		return nil, weft.Errorf(weft.KindUnavailable, op, path, "%w", err)
	}
	id := NewIdentity()
	der, err := x509.MarshalPKCS8PrivateKey(id.key)
	if err != nil {
		return fail(err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // made with mode 0600
	if err != nil {
		return fail(err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}))
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fail(err)
	}
	if err := os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		return LoadIdentity(path)
	} else if err != nil {
		return fail(err)
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fail(err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fail(err)
	}
	return id, nil
}
