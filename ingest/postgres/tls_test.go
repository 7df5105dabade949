package postgres

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weft"
	"weft/contract"
	"weft/ingest"
	"weft/ingest/ingesttest"
	"weft/ingest/postgres/pgtest"
)

// authority makes an authority and a certificate of it for a host.
func authority(t *testing.T, host string) (root, cert, key []byte) {
	t.Helper()
	sign := func(c, parent *x509.Certificate, k, by *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &k.PublicKey, by)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	newKey := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	rootKey, hostKey := newKey(), newKey()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.MarshalECPrivateKey(hostKey)
	if err != nil {
		t.Fatal(err)
	}
	return sign(ca, ca, rootKey, rootKey), sign(leaf, ca, hostKey, rootKey), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

// TestTLS reads a server that lets only TLS in, by every setting.
func TestTLS(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a PostgreSQL server")
	}
	root, cert, key := authority(t, "localhost")
	other, _, _ := authority(t, "localhost")
	s, err := pgtest.StartTLS(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	db := s.Database(t, "CREATE TABLE a AS SELECT 1 AS id")
	dir := t.TempDir()
	for name, text := range map[string][]byte{"root.pem": root, "other.pem": other} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		host, mode, root string
		vars             map[string]string
		kind             weft.Kind // empty: it is read
		hint             string
	}{
		"proved":                   {"localhost", "verify-full", "root.pem", nil, "", ""},
		"proved, by a variable":    {"localhost", "${TLS}", "${ROOT}", map[string]string{"TLS": "verify-full", "ROOT": filepath.Join(dir, "root.pem")}, "", ""},
		"as PostgreSQL's tools":    {"localhost", "", "", map[string]string{"PGSSLMODE": "verify-full", "PGSSLROOTCERT": filepath.Join(dir, "root.pem")}, "", ""},
		"another authority":        {"localhost", "verify-full", "other.pem", nil, weft.KindUnavailable, "weftTLSRoot"},
		"the system's authorities": {"localhost", "verify-full", "", nil, weft.KindUnavailable, "weftTLSRoot"},
		"another name":             {"127.0.0.1", "verify-full", "root.pem", nil, weft.KindUnavailable, "correct the host"},
		"any name":                 {"127.0.0.1", "verify-ca", "root.pem", nil, "", ""},
		"whoever answers":          {"127.0.0.1", "require", "", nil, "", ""},
		"on this machine":          {"127.0.0.1", "", "", nil, "", ""},
		"in the clear":             {"127.0.0.1", "disable", "", nil, weft.KindDenied, "weftUser"},
		"no such file":             {"localhost", "verify-full", "gone.pem", nil, weft.KindInvalid, "no such file"},
		"no certificate":           {"localhost", "verify-full", "../" + filepath.Base(dir) + "/empty.pem", nil, weft.KindInvalid, "weftTLSRoot"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, "empty.pem"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			server := contract.Server{Name: "pg", Type: "postgres", Host: c.host, Port: s.Port, Database: db, User: pgtest.User, TLS: c.mode, TLSRoot: c.root}
			p := &ingesttest.Port{T: t, Driver: New(), Server: server, Dir: dir, Vars: c.vars, Tables: []ingest.Want{ingesttest.Table("a")}}
			g, err := p.Read(context.Background(), nil)
			switch {
			case c.kind == "" && (err != nil || g.Tables[0].Rows != 1):
				t.Errorf("%v (%s)", err, weft.HintOf(err))
			case c.kind != "" && (weft.KindOf(err) != c.kind || !strings.Contains(weft.HintOf(err), c.hint)):
				t.Errorf("%s: %v (%s)", weft.KindOf(err), err, weft.HintOf(err))
			}
			if err != nil && strings.Contains(err.Error()+weft.HintOf(err), dir) {
				t.Errorf("a folder of the machine is in %v", err)
			}
		})
	}
}

// TestTLSDefault: nothing leaves the machine unprotected unless somebody says so.
func TestTLSDefault(t *testing.T) {
	for host, want := range map[string]string{
		"db.example.com": "verify-full", "10.0.0.1": "verify-full", "localhost.example.com": "verify-full", "2001:db8::1": "verify-full",
		"localhost": "prefer", "127.0.0.1": "prefer", "::1": "prefer", "/run/postgresql": "prefer",
	} {
		if mode, _, err := tlsWords(ingest.Request{Server: &contract.Server{}}, host); err != nil || mode != want {
			t.Errorf("%s: %s %v", host, mode, err)
		}
	}
}
