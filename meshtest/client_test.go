package meshtest_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weft"
	"weft/meshtest"
	"weft/peer"
	"weft/sign"
)

// serveName has a node answer with who asks and what it was sent.
func serveName(x *meshtest.Node) {
	x.Handle("POST /peer/v1/name", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprintf(w, "%s %s", peer.FromPeer(r.Context()), b)
	}))
}

// ask asks a node for its answer to text.
func ask(ctx context.Context, x *meshtest.Node, to weft.KeyID, text string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://peer/peer/v1/name", strings.NewReader(text))
	if err != nil {
		return "", err
	}
	res, err := x.Client(to).Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != 200 {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	return string(b), err
}

// Any member asks any other, also while it has no link to it, and is known by its key.
func TestClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := mesh(t, meshtest.NewNetwork(), 4, plain)
		for _, x := range nodes {
			serveName(x)
		}
		for _, a := range nodes {
			for _, b := range nodes {
				if a == b {
					continue
				}
				if got, err := ask(t.Context(), a, b.Self(), "hello"); err != nil || got != a.Self().String()+" hello" {
					t.Errorf("%q, %v", got, err)
				}
			}
		}
		if _, err := ask(t.Context(), nodes[0], sign.NewKey().ID(), ""); weft.KindOf(unwrapped(err)) != weft.KindNotFound {
			t.Errorf("a node that is no member: %v", err)
		}
		if err := nodes[3].Kill(); err != nil {
			t.Fatal(err)
		}
		if _, err := ask(t.Context(), nodes[0], nodes[3].Self(), ""); err == nil {
			t.Error("a dead node answers")
		}
	})
}

func unwrapped(err error) error {
	for err != nil {
		if _, ok := err.(*weft.Error); ok {
			return err
		}
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
	return nil
}

// A revocation cuts what runs: a request that is being answered ends at once, and
// another one is not begun, from either side.
func TestRevocationCutsRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := meshtest.NewNetwork()
		nodes := mesh(t, n, 3, plain)
		bad := nodes[2]
		begun := make(chan struct{})
		nodes[1].Handle("GET /peer/v1/slow", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			close(begun)
			<-r.Context().Done()
		}))
		ended := make(chan error, 1)
		go func() {
			res, err := bad.Client(nodes[1].Self()).Get("http://peer/peer/v1/slow")
			if err == nil {
				_, err = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
			ended <- err
		}()
		<-begun
		if err := nodes[0].Revoke(t.Context(), bad.Self(), "", "test"); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := <-ended; err == nil || time.Since(begin) > time.Second {
			t.Errorf("it ends after %s: %v", time.Since(begin), err)
		}
		serveName(nodes[1])
		serveName(bad)
		if _, err := ask(t.Context(), bad, nodes[1].Self(), ""); err == nil {
			t.Error("a revoked node is answered")
		}
		if _, err := ask(t.Context(), nodes[1], bad.Self(), ""); weft.KindOf(unwrapped(err)) != weft.KindNotFound {
			t.Errorf("a revoked node is asked: %v", err)
		}
	})
}

// A node that cannot be reached takes part by links that it makes itself, and is asked
// through members that relay, also by another one that cannot be reached.
func TestHidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := meshtest.NewNetwork()
		n.Delay(time.Millisecond, 0)
		nodes := mesh(t, n, 7, func(i int) meshtest.Options {
			return meshtest.Options{Hidden: i >= 5, Relay: i == 1 || i == 2 || i == 3}
		})
		for _, x := range nodes {
			serveName(x)
		}
		hidden := nodes[5:]
		meshtest.Within(t, 3*period, 100*time.Millisecond, "all know through whom the hidden ones are reached", func() bool {
			for _, h := range hidden {
				for _, x := range nodes {
					for _, m := range x.Members() {
						if m.ID == h.Self() && len(m.Relays) < 2 {
							return false
						}
					}
				}
			}
			return true
		})
		hidden[0].Card(t, "sales.hidden", "seen")
		meshtest.Within(t, time.Second, time.Millisecond, "a hidden node's card is everywhere", func() bool { return meshtest.Same(nodes...) })
		all := func() {
			t.Helper()
			for i, x := range nodes {
				for j, h := range hidden {
					if x == h || x.Self() == (weft.KeyID{}) {
						continue
					}
					if got, err := ask(t.Context(), x, h.Self(), "hello"); err != nil || got != x.Self().String()+" hello" {
						t.Errorf("node %d asks hidden node %d: %q, %v", i, j, got, err)
					}
					for _, m := range x.Members() {
						if m.ID == h.Self() && m.Link != peer.LinkRelay && m.Link != peer.LinkDirect {
							t.Errorf("node %d reaches hidden node %d by %s", i, j, m.Link)
						}
					}
				}
			}
		}
		all()
		// A relay dies: the others carry on, and another takes its place.
		var relay *meshtest.Node
		for _, x := range nodes {
			for _, m := range nodes[0].Members() {
				if m.ID == hidden[0].Self() && x.Self() == m.Relays[0] {
					relay = x
				}
			}
		}
		if err := relay.Kill(); err != nil {
			t.Fatal(err)
		}
		for i, x := range nodes {
			if x == relay {
				nodes = append(nodes[:i:i], nodes[i+1:]...)
			}
		}
		time.Sleep(2 * period)
		all()
		for _, m := range nodes[0].Members() {
			if m.ID == hidden[0].Self() {
				for _, r := range m.Relays {
					if r == relay.Self() {
						t.Error("the dead relay is still named")
					}
				}
			}
		}
	})
}

// A hidden node that could not be reached once is looked for: it is there again for
// another hidden one, though nobody asks it anything.
func TestHiddenIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := meshtest.NewNetwork()
		nodes := mesh(t, n, 3, func(i int) meshtest.Options { return meshtest.Options{Hidden: i > 0, Relay: i == 0} })
		for _, x := range nodes {
			serveName(x)
		}
		link := func() peer.LinkState {
			for _, m := range nodes[2].Members() {
				if m.ID == nodes[1].Self() {
					return m.Link
				}
			}
			return ""
		}
		meshtest.Within(t, time.Minute, 100*time.Millisecond, "it is reached", func() bool {
			_, err := ask(t.Context(), nodes[2], nodes[1].Self(), "hello")
			return err == nil
		})
		n.Cut(nodes[0].Host.Name, nodes[1].Host.Name)
		time.Sleep(time.Minute)
		nodes[2].Client(weft.KeyID{}).CloseIdleConnections()
		if _, err := ask(t.Context(), nodes[2], nodes[1].Self(), "hello"); err == nil || link() != peer.LinkAway {
			t.Fatalf("it was asked in vain (%v) and is reached by %q", err, link())
		}
		n.Heal()
		meshtest.Within(t, time.Minute, 100*time.Millisecond, "it is there again", func() bool { return link() == peer.LinkRelay })
	})
}

// A relay that listens to what passes it, and answers in place of the node that is
// asked for, learns nothing and is found out.
func TestRelayThatLies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := meshtest.NewNetwork()
		t.Cleanup(func() { time.Sleep(2 * time.Second) }) // until the database has ended
		dir := filepath.Join(t.TempDir(), "relay")
		nodes := mesh(t, n, 3, func(i int) meshtest.Options {
			o := meshtest.Options{Hidden: i == 2, Relay: i == 1}
			if i == 1 {
				o.Dir = dir
			}
			return o
		})
		serveName(nodes[2])
		time.Sleep(2 * period)
		if _, err := ask(t.Context(), nodes[0], nodes[2].Self(), "through an honest relay"); err != nil {
			t.Fatal(err)
		}
		key, err := sign.LoadKey(filepath.Join(dir, "node.key"))
		if err != nil {
			t.Fatal(err)
		}
		relay := nodes[1]
		if err := relay.Kill(); err != nil {
			t.Fatal(err)
		}
		nodes[0].Client(weft.KeyID{}).CloseIdleConnections()
		heard := make(chan string, 10)
		relay.Host.Listen(func(c net.Conn) { heard <- lie(c, key) })
		_, err = ask(t.Context(), nodes[0], nodes[2].Self(), "for your eyes only")
		if err == nil || !strings.Contains(err.Error(), "answers in its place") {
			t.Errorf("it is not found out: %v", err)
		}
		for {
			text := <-heard
			if strings.Contains(text, "for your eyes") || strings.Contains(text, "/peer/v1/name") {
				t.Errorf("it reads %q", text)
			}
			if strings.Contains(text, "101") {
				return // the call itself was among what it heard
			}
		}
	})
}

// lie takes a call as a relay does and answers it itself. It returns what it reads.
func lie(c net.Conn, key sign.Key) (heard string) {
	defer c.Close()
	cert, err := meshtest.Certificate(key)
	if err != nil {
		return err.Error()
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{peer.Protocol}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13}
	s := tls.Server(c, cfg)
	br := bufio.NewReader(s)
	r, err := http.ReadRequest(br)
	if err != nil || r.URL.Path != "/peer/v1/relay/call" {
		return ""
	}
	fmt.Fprintf(s, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: weft-relay\r\n\r\n")
	inner := tls.Server(&tapped{Conn: s, r: br, to: &heard}, cfg)
	b := make([]byte, 1000)
	k, _ := inner.Read(b) // it must not get here with anything
	return heard + " 101 " + string(b[:k])
}

// tapped is a connection of which all that is read is kept.
type tapped struct {
	net.Conn
	r  *bufio.Reader
	to *string
}

func (c *tapped) Read(b []byte) (int, error) {
	k, err := c.r.Read(b)
	*c.to += string(b[:k])
	return k, err
}

// Connections that do not prove an Ed25519 key over TLS 1.3 are turned away.
func TestOnlyNodeKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := meshtest.NewNetwork()
		nodes := mesh(t, n, 2, plain)
		host, key := turned(t, n, nodes[0], "member")
		good, err := meshtest.Certificate(key)
		if err != nil {
			t.Fatal(err)
		}
		other, err := meshtest.Certificate(sign.NewKey())
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]*tls.Config{
			"TLS 1.2":          {Certificates: []tls.Certificate{good}, NextProtos: []string{peer.Protocol}, MaxVersion: tls.VersionTLS12},
			"no certificate":   {NextProtos: []string{peer.Protocol}},
			"another protocol": {Certificates: []tls.Certificate{good}, NextProtos: []string{"h2"}},
			"no protocol":      {Certificates: []tls.Certificate{good}},
			"two certificates": {Certificates: []tls.Certificate{{Certificate: append(good.Certificate[:1:1], other.Certificate...), PrivateKey: good.PrivateKey}}, NextProtos: []string{peer.Protocol}},
			"another's certificate": {
				Certificates: []tls.Certificate{{Certificate: good.Certificate, PrivateKey: other.PrivateKey}}, NextProtos: []string{peer.Protocol},
			},
			"a member": {Certificates: []tls.Certificate{good}, NextProtos: []string{peer.Protocol}},
		} {
			conn, err := host.Dial(t.Context(), nodes[1].Host.Addr())
			if err != nil {
				t.Fatal(err)
			}
			c.InsecureSkipVerify = true // the other side is nothing to this test
			s := tls.Client(conn, c)
			if err = s.Handshake(); err == nil {
				fmt.Fprintf(s, "GET /peer/v1/none HTTP/1.1\r\nHost: peer\r\n\r\n")
				_, err = s.Read(make([]byte, 1))
			}
			if (err == nil) != (name == "a member") {
				t.Errorf("%s: %v", name, err)
			}
			_ = conn.Close()
		}
	})
}

// A node that answers at another one's address is found out before it is told anything.
func TestImpostor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := meshtest.NewNetwork()
		nodes := mesh(t, n, 3, plain)
		if err := nodes[2].Kill(); err != nil {
			t.Fatal(err)
		}
		asked := false
		nodes[1].Handle("POST /peer/v1/name", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
		nodes[2].Host.Listen(nodes[1].Accept) // the address belongs to another node now
		_, err := ask(t.Context(), nodes[0], nodes[2].Self(), "for your eyes only")
		if err == nil || asked || !strings.Contains(err.Error(), "answers in its place") {
			t.Errorf("asked %v, %v", asked, err)
		}
	})
}
