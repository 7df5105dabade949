package peer

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"

	"weft"
	"weft/sign"
)

// Protocol is the ALPN name of what nodes speak with each other.
const Protocol = "weft/1"

// certificate is the one that a node shows: it holds the node's public key, is
// signed by that key itself, and says how the node came to it, where it had another
// before. Its dates are as wide as they can
// be, since nobody looks at them: clocks may be wrong, and who may speak is in the
// records and not in certificates.
func certificate(key sign.Key, changes [][]byte) (tls.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, weft.Errorf(weft.KindInternal, "make the certificate", "", "%w", err)
	}
	extensions, err := withChanges(changes)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{
		ExtraExtensions: extensions,
		SerialNumber:    serial, Subject: pkix.Name{CommonName: "weft"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Private().Public(), key.Private())
	if err != nil {
		return tls.Certificate{}, weft.Errorf(weft.KindInternal, "make the certificate", "", "%w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key.Private()}, nil
}

// peerOf is the key that the other side of a connection has proved to hold. That it
// holds the key is proved by the handshake; the certificate only carries it.
func peerOf(cs tls.ConnectionState) (weft.KeyID, error) {
	bad := func(why string) error {
		return weft.Errorf(weft.KindDenied, "know the other node", "", "%s", why)
	}
	switch {
	case cs.Version != tls.VersionTLS13:
		return weft.KeyID{}, bad("it does not speak TLS 1.3")
	case cs.NegotiatedProtocol != Protocol:
		return weft.KeyID{}, bad("it does not speak " + Protocol)
	case len(cs.PeerCertificates) != 1:
		return weft.KeyID{}, bad("it shows no certificate of its own, or more than one")
	}
	c := cs.PeerCertificates[0]
	pub, ok := c.PublicKey.(ed25519.PublicKey)
	if !ok || len(pub) != ed25519.PublicKeySize {
		return weft.KeyID{}, bad("its certificate is of no Ed25519 key")
	}
	if err := c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature); err != nil {
		return weft.KeyID{}, bad("its certificate is not signed by its own key")
	}
	return weft.KeyID(pub), nil
}

// serverTLS is the configuration for connections that come in. Whom admits turns
// away gets nothing but the end of the handshake.
func serverTLS(cert tls.Certificate, admits func(weft.KeyID) error, learn func(weft.KeyID, [][]byte)) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{Protocol},
		Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert,
		SessionTicketsDisabled: true, // a resumed session would be believed longer than its node
		VerifyConnection: func(cs tls.ConnectionState) error {
			id, err := peerOf(cs)
			if err != nil {
				return err
			}
			learn(id, changesOf(cs.PeerCertificates[0]))
			return admits(id)
		},
	}
}

// clientTLS is the configuration for a connection to one node and no other. Where that
// has a new key it is learned, and the connection is to be made again, to the new one.
func clientTLS(cert tls.Certificate, want weft.KeyID, learn func(weft.KeyID, [][]byte)) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{Protocol},
		Certificates:           []tls.Certificate{cert},
		SessionTicketsDisabled: true,
		InsecureSkipVerify:     true, // no authority is asked: the key itself is what is verified, below
		VerifyConnection: func(cs tls.ConnectionState) error {
			id, err := peerOf(cs)
			if err != nil {
				return err
			}
			if id != want {
				learn(id, changesOf(cs.PeerCertificates[0]))
				return weft.Errorf(weft.KindDenied, "know the other node", want.Short(), "node %s answers in its place", id.Short()).
					WithHint("the address belongs to another node now, or somebody is in between")
			}
			return nil
		},
	}
}
