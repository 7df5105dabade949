package sign

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"io"

	"weft"
)

// NonceSize is the length of a block's random nonce in bytes.
const NonceSize = 32

// Canonical returns v as JSON in the one form that is hashed and signed: keys
// sorted, no white space, numbers as they were encoded, nothing escaped that
// JSON does not require.
func Canonical(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, weft.Errorf(weft.KindInternal, "write canonical bytes", "", "%w", err)
	}
	written := bytes.TrimRight(b.Bytes(), "\n")
	// What is written is compact; but for the order of the keys it is the one form,
	// unless there is text in it that can be written in more than one way.
	if plain(written) {
		if out, ok := sortKeys(written); ok {
			return out, nil
		}
	}
	return canonicalTree(written)
}

// canonicalTree goes by way of a tree, which any JSON can.
func canonicalTree(b []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber() // a float would round what the writer said exactly
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, weft.Errorf(weft.KindInternal, "write canonical bytes", "", "%w", err)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(tree); err != nil {
		return nil, weft.Errorf(weft.KindInternal, "write canonical bytes", "", "%w", err)
	}
	return bytes.TrimRight(out.Bytes(), "\n"), nil
}

// Digest returns the SHA-256 of the parts written one after the other.
func Digest(parts ...[]byte) weft.Hash {
	if len(parts) == 1 {
		return sha256.Sum256(parts[0])
	}
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	var d weft.Hash
	h.Sum(d[:0])
	return d
}

// DigestReader returns the SHA-256 of all that r gives, and how many bytes that was.
func DigestReader(r io.Reader) (weft.Hash, int64, error) {
	h := sha256.New()
	n, err := io.CopyBuffer(h, struct{ io.Reader }{r}, make([]byte, 1<<20))
	var d weft.Hash
	h.Sum(d[:0])
	return d, n, err
}

// Nonce fills b with random bytes. A digest over a nonce and data says nothing
// about the data to somebody who has neither.
func Nonce(b []byte) {
	_, _ = rand.Read(b) // documented never to fail
}
