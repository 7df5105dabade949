package meshtest

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"testing"
	"time"

	"weft"
	"weft/peer"
	"weft/sign"
)

// Hostile speaks with nodes as it likes, with a key of its own or one that it has got
// hold of.
type Hostile struct {
	*tls.Conn
	R *bufio.Reader
}

// Certificate is one of a key, as nodes show it.
func Certificate(key sign.Key) (tls.Certificate, error) {
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Private().Public(), key.Private())
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key.Private()}, err
}

// Connect makes a connection from the host to a node's address with a key. That the
// node lets go of it shows at the first read at the latest.
func (h *Host) Connect(key sign.Key, addr string) (*Hostile, error) {
	cert, err := Certificate(key)
	if err != nil {
		return nil, err
	}
	conn, err := h.Dial(context.Background(), addr)
	if err != nil {
		return nil, err
	}
	c := tls.Client(conn, &tls.Config{
		Certificates: []tls.Certificate{cert}, NextProtos: []string{peer.Protocol}, MinVersion: tls.VersionTLS13,
		InsecureSkipVerify: true, // whom it speaks with is nothing to it
	})
	if err := c.Handshake(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &Hostile{c, bufio.NewReader(c)}, nil
}

// Ask sends a request with a body and returns the status of the answer.
func (h *Hostile) Ask(method, path string, body string) (int, error) {
	if _, err := fmt.Fprintf(h, "%s %s HTTP/1.1\r\nHost: peer\r\nContent-Length: %d\r\n\r\n%s", method, path, len(body), body); err != nil {
		return 0, err
	}
	res, err := http.ReadResponse(h.R, nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// Link asks for a link and greets. What comes then is for Frame and Write.
func (h *Hostile) Link(mesh weft.Hash) error {
	if _, err := io.WriteString(h, "POST /peer/v1/link HTTP/1.1\r\nHost: peer\r\nConnection: Upgrade\r\nUpgrade: weft-link\r\nContent-Length: 0\r\n\r\n"); err != nil {
		return err
	}
	res, err := http.ReadResponse(h.R, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	hello, err := json.Marshal(map[string]any{"oldest": 1, "newest": 1, "mesh": mesh, "session": "hostile", "needy": true})
	if err != nil {
		return err
	}
	if err := h.Frame(1, hello); err != nil {
		return err
	}
	for range 2 { // its hello, and that the link stands
		if _, err := h.Next(); err != nil {
			return err
		}
	}
	return nil
}

// Frame sends one frame of a link.
func (h *Hostile) Frame(kind byte, body []byte) error {
	b := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), kind)
	_, err := h.Write(append(b, body...))
	return err
}

// Push sends records in one frame.
func (h *Hostile) Push(raws ...[]byte) error {
	var body []byte
	for _, raw := range raws {
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(raw))), raw...)
	}
	return h.Frame(6, body)
}

// Next reads a frame and returns its kind.
func (h *Hostile) Next() (byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(h.R, head[:]); err != nil {
		return 0, err
	}
	_, err := io.CopyN(io.Discard, h.R, int64(binary.BigEndian.Uint32(head[:4])))
	return head[4], err
}

// Drain reads until the connection ends, and returns how long that took. A node that
// does not end it within most fails the test.
func (h *Hostile) Drain(t testing.TB, most time.Duration) time.Duration {
	t.Helper()
	begin := time.Now()
	_ = h.SetReadDeadline(begin.Add(most))
	for {
		if _, err := h.Next(); err != nil {
			if time.Since(begin) >= most {
				t.Errorf("it is not cut off within %s", most)
			}
			return time.Since(begin)
		}
	}
}
