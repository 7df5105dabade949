package http_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	nethttp "net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/run"
	"weft/serve"
	"weft/serve/client"
	"weft/serve/http"
)

// selfSigned writes a certificate for 127.0.0.1 with the given serial number.
func selfSigned(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	kb, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: kb}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	selfSigned(t, cert, key, 1)
	d := open(t, http.Config{CertFile: cert, KeyFile: key})
	if _, err := d.client(t, "read").Products(t.Context()); weft.KindOf(err) != weft.KindUnavailable {
		t.Errorf("a stranger's certificate: %v", err)
	}
	c, err := client.New(client.Config{URL: d.url, Token: "read", CAFile: cert})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Products(t.Context()); err != nil {
		t.Fatal(err)
	}
	// HTTP/2 breaks off a failed answer as visibly as HTTP/1.1 does.
	pool := x509.NewCertPool()
	pemBytes, err := os.ReadFile(cert)
	if err != nil || !pool.AppendCertsFromPEM(pemBytes) {
		t.Fatal(err)
	}
	d.node.query = func(context.Context, weft.Question) (*weft.Answer, error) {
		n := 0
		return answerThen(func() (arrow.RecordBatch, error) {
			if n++; n > 50 {
				return nil, weft.Errorf(weft.KindLimit, "answer", "", "too much")
			}
			return numbers(1, 2000)[0], nil
		}), nil
	}
	h2 := &nethttp.Client{Transport: &nethttp.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}}
	defer h2.CloseIdleConnections()
	r, err := nethttp.NewRequest("GET", d.url+"/api/v1/products/sales.orders/data?format=csv", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer read")
	res, err := h2.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadAll(res.Body); res.ProtoMajor != 2 || err == nil {
		t.Errorf("HTTP/%d, %v", res.ProtoMajor, err)
	}
	if s, err := c.QueryAs(t.Context(), serve.QueryRequest{SQL: "SELECT 1"}, serve.FormatCSV); err != nil {
		t.Error(err)
	} else if _, err := io.ReadAll(s); weft.KindOf(err) != weft.KindLimit {
		t.Errorf("%v", err)
	}
}

// movingClock lets a test pass the second between two looks at the files.
type movingClock struct{ now time.Time }

func (c *movingClock) Now() time.Time {
	c.now = c.now.Add(2 * time.Second)
	return c.now
}

func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	selfSigned(t, cert, key, 1)
	env := run.Quiet()
	env.Clock = &movingClock{now: time.Now()}
	srv, err := http.New(http.Config{Addr: "127.0.0.1:0", CertFile: cert, KeyFile: key}, (&memoryNode{}).backend(), env)
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	defer func() { cancel(); <-done }()
	serial := func() int64 {
		conn, err := tls.Dial("tcp", srv.Addr(), &tls.Config{InsecureSkipVerify: true}) // the test looks at the certificate itself
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if n := serial(); n != 1 {
		t.Errorf("serial %d", n)
	}
	selfSigned(t, cert, key, 2)
	later := time.Now().Add(time.Minute)
	for _, f := range []string{cert, key} {
		if err := os.Chtimes(f, later, later); err != nil {
			t.Fatal(err)
		}
	}
	if n := serial(); n != 2 {
		t.Errorf("after the renewal: serial %d", n)
	}
	if err := os.WriteFile(cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := serial(); n != 2 {
		t.Errorf("after a broken renewal: serial %d", n)
	}
}

func TestNoCertificate(t *testing.T) {
	srv, err := http.New(http.Config{Addr: "127.0.0.1:0", CertFile: "nothing.pem", KeyFile: "nothing.key"}, (&memoryNode{}).backend(), run.Quiet())
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Open(t.Context()); weft.KindOf(err) != weft.KindInvalid || weft.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
}

func TestAddressInUse(t *testing.T) {
	d := open(t, http.Config{})
	srv, err := http.New(http.Config{Addr: d.srv.Addr()}, (&memoryNode{}).backend(), run.Quiet())
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Open(t.Context()); weft.KindOf(err) != weft.KindUnavailable || weft.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
}

// A body that does not come does not hold a connection.
func TestSlowBody(t *testing.T) {
	d := open(t, http.Config{BodyTimeout: 50 * time.Millisecond})
	conn, err := net.Dial("tcp", d.srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /api/v1/query HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer read\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	res, err := nethttp.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != nethttp.StatusRequestTimeout {
		t.Errorf("status %d", res.StatusCode)
	}
}

// HTTP/1.0 has no way to show that a body is whole.
func TestOldHTTPGetsNoRows(t *testing.T) {
	d := open(t, http.Config{})
	conn, err := net.Dial("tcp", d.srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /api/v1/products/sales.orders/data HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer read\r\n\r\n")
	res, err := nethttp.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != nethttp.StatusHTTPVersionNotSupported || res.Header.Get("Content-Type") != serve.ProblemType {
		t.Errorf("status %d", res.StatusCode)
	}
}

// A reader that takes nothing is cut off, and its question ends.
func TestStuckReader(t *testing.T) {
	d := open(t, http.Config{WriteTimeout: 100 * time.Millisecond})
	ended := make(chan struct{})
	big := numbers(1, 50_000)[0]
	d.node.query = func(ctx context.Context, _ weft.Question) (*weft.Answer, error) {
		a := answerThen(func() (arrow.RecordBatch, error) { return big, nil })
		a.Close = func() error { close(ended); return nil }
		return a, nil
	}
	res, err := plain(d, serve.FormatArrow)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	select {
	case <-ended: // nothing was read
	case <-time.After(20 * time.Second):
		t.Fatal("the question goes on")
	}
	if _, err := io.Copy(io.Discard, res.Body); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("the answer looks whole: %v", err)
	}
}
