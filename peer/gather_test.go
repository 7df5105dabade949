package peer

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"weft/sign"
)

// TestGather holds that what is written over a gathered connection is what is read,
// whatever the sizes, both ways at once, and that large writes take few calls.
func TestGather(t *testing.T) {
	a, b := gatheredPair(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	const total = 12 << 20
	one, two := make([]byte, total), make([]byte, total)
	for i := range one {
		one[i], two[i] = byte(rnd.Uint32()), byte(rnd.Uint32())
	}
	var all sync.WaitGroup
	for _, x := range []struct {
		from, to *peerConn
		data     []byte
		seed     uint64
	}{{a, b, one, 3}, {b, a, two, 4}} {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(x.seed, 5))
			for left := x.data; len(left) > 0; {
				n := min(len(left), 1+rnd.IntN(1<<rnd.IntN(22)))
				if m, err := x.from.Write(left[:n]); err != nil || m != n {
					t.Errorf("%d of %d bytes are written: %v", m, n, err)
					return
				}
				left = left[n:]
			}
		})
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(x.seed, 6))
			got := make([]byte, 0, total)
			for len(got) < total {
				p := make([]byte, 1+rnd.IntN(1<<rnd.IntN(20)))
				n, err := x.to.Read(p)
				got = append(got, p[:n]...)
				if err != nil {
					t.Error(err)
					return
				}
			}
			if !bytes.Equal(got, x.data) {
				t.Error("what is read is not what was written")
			}
		})
	}
	all.Wait()
	calls := a.raw.Conn.(*callsConn)
	calls.writes.Store(0)
	done := make(chan error, 1)
	go func() { _, err := io.CopyN(io.Discard, b, 8<<20); done <- err }()
	if _, err := a.Write(one[:8<<20]); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := calls.writes.Load(); n > 40 {
		t.Errorf("8 MB took %d writes", n)
	}
	if b.raw.busy { // there is less than a read's worth: the memory goes back with the next
		go func() { _, _ = a.Write([]byte{1}) }()
		if _, err := io.ReadFull(b, make([]byte, 1)); err != nil {
			t.Error(err)
		}
	}
	if b.raw.room != nil {
		t.Error("an idle connection keeps the memory of its reads")
	}
}

// TestGatherFails: a write that failed halfway ends the connection's writes.
func TestGatherFails(t *testing.T) {
	a, b := gatheredPair(t)
	go func() { _, _ = io.Copy(io.Discard, b) }()
	a.raw.Conn.(*callsConn).fail.Store(true)
	if _, err := a.Write(make([]byte, 1<<20)); !errors.Is(err, errPulled) {
		t.Errorf("a failing write: %v", err)
	}
	a.raw.Conn.(*callsConn).fail.Store(false)
	for _, n := range []int{1, 1 << 20} {
		if _, err := a.Write(make([]byte, n)); err == nil {
			t.Errorf("%d bytes are written behind a hole", n)
		}
	}
}

var errPulled = errors.New("the plug was pulled")

// callsConn counts writes, and fails them.
type callsConn struct {
	net.Conn
	writes atomic.Int64
	fail   atomic.Bool
}

func (c *callsConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	if c.fail.Load() {
		return 0, errPulled
	}
	return c.Conn.Write(b)
}

// gatheredPair is a connection between two nodes over loopback.
func gatheredPair(t *testing.T) (a, b *peerConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	out, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	k := sign.NewKey()
	cert, err := certificate(k, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := newConns()
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
	ra, rb := &gathered{Conn: &callsConn{Conn: out}}, &gathered{Conn: &callsConn{Conn: in}}
	if a, err = c.take(tls.Client(ra, conf), ra, k.ID(), true, 10); err != nil {
		t.Fatal(err)
	}
	if b, err = c.take(tls.Server(rb, conf), rb, k.ID(), true, 10); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close(); _ = in.Close() })
	done := make(chan error, 1)
	go func() { done <- b.Conn.(*tls.Conn).HandshakeContext(t.Context()) }()
	if err := errors.Join(a.Conn.(*tls.Conn).HandshakeContext(t.Context()), <-done); err != nil {
		t.Fatal(err)
	}
	return a, b
}
