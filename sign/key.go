package sign

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"weft"
)

// Key is an Ed25519 private key. It prints as its public half.
type Key struct{ private ed25519.PrivateKey }

// NewKey makes a random key.
func NewKey() Key {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return Key{k}
}

// ID is the public half.
func (k Key) ID() (id weft.KeyID) {
	copy(id[:], k.private.Public().(ed25519.PublicKey))
	return id
}

// IsZero reports whether k is no key.
func (k Key) IsZero() bool { return k.private == nil }

// String is the public half: a key that lands in a log by mistake tells nothing.
func (k Key) String() string {
	if k.IsZero() {
		return "no key"
	}
	return "private half of " + k.ID().Short()
}

// GoString is String, for %#v.
func (k Key) GoString() string { return k.String() }

// Private is the key for crypto/tls; it must not be kept or shown.
func (k Key) Private() ed25519.PrivateKey { return k.private }

// Sign signs what context and the parts say. The context keeps a signature for one
// purpose from being taken for one of another.
func (k Key) Sign(context string, parts ...[]byte) []byte {
	return ed25519.Sign(k.private, signed(context, parts))
}

// Verify says whether sig is id's signature of what context and the parts say.
func Verify(id weft.KeyID, sig []byte, context string, parts ...[]byte) bool {
	return len(sig) == ed25519.SignatureSize && ed25519.Verify(id[:], signed(context, parts), sig)
}

// signed is what is signed: a digest, so that parts of any size are held once.
func signed(context string, parts [][]byte) []byte {
	d := Digest(parts...)
	return append([]byte("weft "+context+"\x00"), d[:]...)
}

// keyBlock is the PEM type of a PKCS #8 key.
const keyBlock = "PRIVATE KEY"

// LoadKey reads a key's file; fs.ErrNotExist is among the errors where there is none.
// A file that others may read is refused.
func LoadKey(path string) (Key, error) {
	const op = "read the key"
	st, err := os.Stat(path)
	if err != nil {
		return Key{}, weft.Errorf(weft.KindUnavailable, op, path, "%w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return Key{}, weft.Errorf(weft.KindDenied, op, path, "others on this machine may read it (mode %04o)", st.Mode().Perm()).WithHint("chmod 600 %s", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return Key{}, weft.Errorf(weft.KindUnavailable, op, path, "%w", err)
	}
	bad := weft.Errorf(weft.KindCorrupt, op, path, "it is no Ed25519 key in PEM").WithHint("restore the file from a backup")
	block, _ := pem.Decode(b)
	if block == nil || block.Type != keyBlock {
		return Key{}, bad
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return Key{}, bad // the cause could quote the key
	}
	private, ok := k.(ed25519.PrivateKey)
	if !ok {
		return Key{}, bad
	}
	return Key{private}, nil
}

// SaveKey writes a key's file, durably and readable by its owner alone. A file that
// is there is replaced whole or not at all.
func SaveKey(path string, k Key) error {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return weft.Errorf(weft.KindInternal, "write the key", path, "%w", err)
	}
	tmp := path + ".tmp"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return weft.Errorf(weft.KindUnavailable, "write the key", path, "%w", err)
	}
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return weft.Errorf(weft.KindUnavailable, "write the key", path, "%w", err)
	}
	err = pem.Encode(f, &pem.Block{Type: keyBlock, Bytes: der})
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return weft.Errorf(weft.KindUnavailable, "write the key", path, "%w", err)
	}
	return nil
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
