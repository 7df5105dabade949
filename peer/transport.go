package peer

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// Transport makes connections to addresses of other nodes. Tests have one over a
// network of their own. It is used from many goroutines.
type Transport interface {
	// Dial connects to host:port within ctx.
	Dial(ctx context.Context, address string) (net.Conn, error)
}

// TCP is the Transport of the machine.
type TCP struct{}

// Dial connects over TCP.
func (TCP) Dial(ctx context.Context, address string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}}
	return d.DialContext(ctx, "tcp", address)
}

// Traffic counts the bytes of connections, handshakes and encryption included.
type Traffic struct{ in, out atomic.Int64 }

// In and Out are the bytes that came and went so far.
func (t *Traffic) In() int64  { return t.in.Load() }
func (t *Traffic) Out() int64 { return t.out.Load() }

// counted is a connection whose bytes are counted.
type counted struct {
	net.Conn
	traffic *Traffic
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.traffic.in.Add(int64(n))
	return n, err
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.traffic.out.Add(int64(n))
	return n, err
}
