package peer

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"weft"
	"weft/sign"
)

// Invitation is what one is invited to.
type Invitation struct {
	Domain  string        // the domain to serve; empty for a node without one
	Expires time.Duration // until when the token can be used; 0 means 24 h
}

// Bounds of invitations.
const (
	maxExpires   = 30 * 24 * time.Hour
	maxToken     = 4 << 10
	maxAddresses = 16
	tokenStart   = "weft-invite-"
	tokenContext = "invitation 1"
	nonceSize    = 20
	seriesSize   = 4 // of the nonce: the series that the invitation is of
)

// Token is what an invitation says. It is a word that whoever has it can enter with,
// once; it must not be logged.
type Token struct {
	Mesh      weft.Hash
	Issuer    weft.KeyID
	Addresses []string // of the issuer
	Domain    string
	New       bool // the domain is new: the one who comes brings its key
	Until     time.Time
	nonce     []byte
}

// Invite makes a token with which one node may enter, once.
func (m *Mesh) Invite(_ context.Context, in Invitation) (string, error) {
	const op = "invite"
	if !m.Joined() {
		return "", notInAMesh(op)
	}
	if in.Expires == 0 {
		in.Expires = 24 * time.Hour
	}
	if in.Expires < time.Second || in.Expires > maxExpires {
		return "", weft.Errorf(weft.KindInvalid, op, "", "an invitation is for a second to %d days", maxExpires/(24*time.Hour))
	}
	if len(m.cfg.Advertise) == 0 {
		return "", weft.Errorf(weft.KindConflict, op, "", "this node says no address at which others reach it").WithHint("set the address to advertise, or invite from a node that has one")
	}
	t := Token{Mesh: m.ID(), Issuer: m.Self(), Addresses: m.cfg.Advertise, Domain: in.Domain, Until: m.now().Add(in.Expires), nonce: make([]byte, nonceSize)}
	isNew, err := m.mayAdmit(op, in.Domain)
	if err != nil {
		return "", err
	}
	t.New = isNew
	sign.Nonce(t.nonce)
	copy(t.nonce, m.series())
	m.folder.forgetSpent(m.now())
	if err := m.invites(t.Until); err != nil {
		return "", err
	}
	return t.seal(m.nodeKey())
}

// mayAdmit says whether this node can admit to the domain, and whether that is new.
func (m *Mesh) mayAdmit(op, domain string) (isNew bool, err error) {
	if domain == "" {
		_, err := m.foundingKeys(op)
		return false, err
	}
	if err := weft.CheckName(domain); err != nil {
		return false, err
	}
	k, err := m.domainKey(domain)
	if err != nil || !k.IsZero() {
		return false, err
	}
	if m.set.topEpoch(domain) > 0 {
		return false, weft.Errorf(weft.KindDenied, op, domain, "the key of domain %s is at another node, which alone can admit to it", domain).
			WithHint("invite from the node that brought the domain into the mesh")
	}
	_, err = m.foundingKeys(op)
	return true, err
}

// series is that of the invitations that count. It is another after a restore: which of
// the older ones were used in the meantime nobody knows.
func (m *Mesh) series() []byte {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.state == nil || len(m.state.Series) != seriesSize {
		return make([]byte, seriesSize)
	}
	return m.state.Series
}

func newSeries() []byte {
	b := make([]byte, seriesSize)
	sign.Nonce(b)
	return b
}

// seal writes the token as one word.
func (t *Token) seal(k sign.Key) (string, error) {
	if len(t.Addresses) > maxAddresses {
		return "", weft.Errorf(weft.KindInvalid, "invite", "", "a node says at most %d addresses, this says %d", maxAddresses, len(t.Addresses))
	}
	b := []byte{1}
	b = append(b, t.Mesh[:]...)
	b = append(b, t.Issuer[:]...)
	b = append(b, t.nonce...)
	b = binary.BigEndian.AppendUint64(b, uint64(t.Until.Unix()))
	var flags byte
	if t.New {
		flags = 1
	}
	b = append(b, flags)
	for _, text := range append([]string{t.Domain}, t.Addresses...) {
		if len(text) > 255 {
			return "", weft.Errorf(weft.KindInvalid, "invite", "", "an address has at most 255 bytes")
		}
		b = append(append(b, byte(len(text))), text...)
	}
	b = append(b, k.Sign(tokenContext, b)...)
	return tokenStart + base64.RawURLEncoding.EncodeToString(b), nil
}

// ReadToken reads an invitation and verifies that its issuer signed it. Errors are of
// KindInvalid and do not hold the token.
func ReadToken(word string) (*Token, error) {
	bad := weft.Errorf(weft.KindInvalid, "read the invitation", "", "it is not a word that weft invite printed, or was altered").
		WithHint("copy it whole, from %s on", tokenStart)
	text, ok := strings.CutPrefix(strings.TrimSpace(word), tokenStart)
	if !ok || len(text) > maxToken {
		return nil, bad
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	const fixed = 1 + 32 + 32 + nonceSize + 8 + 1
	if err != nil || len(b) < fixed+64 {
		return nil, bad
	}
	if b[0] != 1 {
		return nil, weft.Errorf(weft.KindInvalid, "read the invitation", "", "it was made by a newer version of weft").WithHint("use that version")
	}
	t := &Token{Mesh: weft.Hash(b[1:33]), Issuer: weft.KeyID(b[33:65]), nonce: slices.Clone(b[65 : 65+nonceSize])}
	said := b[:len(b)-64]
	if !sign.Verify(t.Issuer, b[len(b)-64:], tokenContext, said) {
		return nil, bad
	}
	t.Until = time.Unix(int64(binary.BigEndian.Uint64(b[65+nonceSize:])), 0).UTC()
	t.New = said[fixed-1]&1 != 0
	texts, ok := readTexts(said[fixed:])
	if !ok || len(texts) == 0 || len(texts) > 1+maxAddresses {
		return nil, bad
	}
	t.Domain, t.Addresses = texts[0], texts[1:]
	if t.Domain != "" && weft.CheckName(t.Domain) != nil {
		return nil, bad
	}
	return t, nil
}

func readTexts(b []byte) (texts []string, ok bool) {
	for len(b) > 0 {
		n := int(b[0])
		if len(b) < 1+n {
			return nil, false
		}
		texts = append(texts, string(b[1:1+n]))
		b = b[1+n:]
	}
	return texts, true
}
