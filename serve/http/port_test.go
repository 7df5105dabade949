package http_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weft/serve/http"
)

// nodeDoor is a door that takes nodes as well: what they say is answered in capitals.
func nodeDoor(t *testing.T, cfg http.Config) *door {
	t.Helper()
	cert, key := filepath.Join(t.TempDir(), "node.pem"), filepath.Join(t.TempDir(), "node.key")
	selfSigned(t, cert, key, 77)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Peers = func(c net.Conn) {
		defer c.Close()
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{http.PeerProtocol}, MinVersion: tls.VersionTLS13})
		b := make([]byte, 5)
		if _, err := io.ReadFull(s, b); err == nil {
			_, _ = s.Write(bytes.ToUpper(b))
		}
	}
	return open(t, cfg)
}

// asNode speaks as a node does and returns the serial number of who answers.
func asNode(t *testing.T, addr string, protos ...string) (int64, error) {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: protos}) // the test looks at the certificate itself
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := c.Write([]byte("hello")); err != nil {
		return 0, err
	}
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil {
		return 0, err
	}
	if string(b) != "HELLO" {
		t.Errorf("the node is answered %q", b)
	}
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
}

// One port serves the API and other nodes, whether the API speaks TLS or not.
func TestOnePort(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	selfSigned(t, cert, key, 1)
	for name, cfg := range map[string]http.Config{"plain": {}, "tls": {CertFile: cert, KeyFile: key}} {
		t.Run(name, func(t *testing.T) {
			d := nodeDoor(t, cfg)
			hc := &nethttp.Client{Transport: &nethttp.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
			defer hc.CloseIdleConnections()
			for range 3 {
				if n, err := asNode(t, d.srv.Addr(), "weft/1"); err != nil || n != 77 {
					t.Errorf("a node is answered by %d: %v", n, err)
				}
				res, err := hc.Get(d.url + "/healthz")
				if err != nil {
					t.Fatal(err)
				}
				res.Body.Close()
				if want := map[string]int{"plain": 1, "tls": 2}[name]; res.StatusCode != 200 || res.ProtoMajor != want {
					t.Errorf("status %d over HTTP/%d", res.StatusCode, res.ProtoMajor)
				}
			}
			conn, err := tls.Dial("tcp", d.srv.Addr(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
			if name == "plain" {
				if err == nil {
					t.Error("a client that speaks TLS gets through where the API speaks none")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if n := conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); n != 1 {
				t.Errorf("a client is answered by %d", n)
			}
		})
	}
}

// A client that speaks plain HTTP where TLS is spoken is told so, as without nodes.
func TestPlainOnTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	selfSigned(t, cert, key, 1)
	d := nodeDoor(t, http.Config{CertFile: cert, KeyFile: key})
	c, err := net.Dial("tcp", d.srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if b, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(b), "HTTP/1.0 400") {
		t.Errorf("%q, %v", b, err)
	}
}

// Who says nothing, half a hello, or no hello after its first byte is cut off and
// keeps nobody else waiting.
func TestHellosThatDoNotCome(t *testing.T) {
	d := nodeDoor(t, http.Config{HeaderTimeout: 2 * time.Second})
	var slow []net.Conn
	for _, first := range []string{"", "\x16", "\x16\x03\x01\x02\x00\x01\x00\x01", "\x16 this is no hello at all, but long enough to be one", "\x16\x03\x01\xff\xff" + strings.Repeat("x", 70_000)} {
		c, err := net.Dial("tcp", d.srv.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, first) // it may be cut off while it writes
		slow = append(slow, c)
	}
	if n, err := asNode(t, d.srv.Addr(), "weft/1"); err != nil || n != 77 {
		t.Errorf("a node beside them is answered by %d: %v", n, err)
	}
	for i, c := range slow {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if n, err := c.Read(make([]byte, 100)); n > 0 || err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("connection %d: %d bytes, %v", i, n, err)
		}
	}
}

// A door that closes lets connections go that it has not sorted yet.
func TestPortCloses(t *testing.T) {
	d := nodeDoor(t, http.Config{})
	c, err := net.Dial("tcp", d.srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := asNode(t, d.srv.Addr(), "weft/1"); err != nil || n != 77 {
		t.Errorf("a node is answered by %d: %v", n, err)
	}
	if err := d.srv.Close(); err != nil {
		t.Error(err)
	}
	if _, err := asNode(t, d.srv.Addr(), "weft/1"); err == nil {
		t.Error("a closed door takes a node")
	}
}
