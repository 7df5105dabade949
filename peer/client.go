package peer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"weft"
	"weft/sign"
)

// Paths that are the network's own.
const (
	linkPath   = "/peer/v1/link"
	joinPath   = "/peer/v1/join"
	callPath   = "/peer/v1/relay/call"
	answerPath = "/peer/v1/relay/answer"
)

const (
	maxJoinRequest = 256 << 10
	maxJoinAnswer  = maxReply
)

type (
	connKey struct{}
	peerKey struct{}
)

// FromPeer is the node that a request of another node comes from, zero in any other
// context.
func FromPeer(ctx context.Context) weft.KeyID {
	id, _ := ctx.Value(peerKey{}).(weft.KeyID)
	return id
}

// Accept takes a connection of another node from a port that is shared with others:
// it begins with a TLS hello for Protocol that nobody has read. It may be called at
// any time; a node in no mesh closes the connection.
func (m *Mesh) Accept(conn net.Conn) { m.net.accept(conn) }

// Handle has h answer what members ask under a pattern of http.ServeMux, whose path
// is below /peer/v1/. FromPeer gives h the node that asks. Who is no member, or no
// longer one, never gets to h.
func (m *Mesh) Handle(pattern string, h http.Handler) { m.net.mux.Handle(pattern, h) }

// Client speaks HTTP/1.1 with another node, over connections on which both sides have
// proved their keys: directly, or through a relay that reads nothing. Of a URL only
// path and query count: "http://peer/peer/v1/…". It may be used by many goroutines,
// and costs nothing to make.
func (m *Mesh) Client(node weft.KeyID) *http.Client {
	return &http.Client{
		Transport:     nodeTransport{m.net, node},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// nodeTransport sends requests to one node.
type nodeTransport struct {
	n    *network
	node weft.KeyID
}

// RoundTrip is of http.RoundTripper.
func (t nodeTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.n.host.belongs(t.node) != belongsYes {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, weft.Errorf(weft.KindNotFound, "ask the node", t.node.Short(), "it is no member of this mesh")
	}
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.Host = "http", t.node.String(), "peer"
	return t.n.client.RoundTrip(r)
}

// CloseIdleConnections is what http.Client calls: it ends connections that are kept,
// to whatever node.
func (t nodeTransport) CloseIdleConnections() { t.n.client.CloseIdleConnections() }

// newTransport makes the transport of all clients: a request's host is the key of the
// node, and a connection to it is one that has proved that key.
func (n *network) newTransport() *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			host, _, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			var id weft.KeyID
			if err := id.UnmarshalText([]byte(host)); err != nil {
				return nil, err
			}
			c, err := n.dial.connect(ctx, id)
			switch {
			case err == nil:
				n.dial.saw(id)
				return c, nil
			case ctx.Err() == nil:
				n.dial.lost(id, err)
			}
			return nil, err
		},
		MaxIdleConnsPerHost: 4, MaxIdleConns: 64, IdleConnTimeout: 90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10, DisableCompression: true,
	}
}

// serve answers a request that came over a connection of another node.
func (n *network) serve(w http.ResponseWriter, r *http.Request) {
	p, _ := r.Context().Value(connKey{}).(*peerConn)
	if p == nil {
		panic(http.ErrAbortHandler)
	}
	switch n.host.belongs(p.id) {
	case belongsYes:
	case belongsNot:
		w.Header().Set("Connection", "close")
		if r.Method != http.MethodPost || r.URL.Path != joinPath || !n.host.admitting() {
			panic(http.ErrAbortHandler) // it learns nothing
		}
	default:
		panic(http.ErrAbortHandler)
	}
	n.dial.saw(p.id)
	n.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), peerKey{}, p.id)))
}

// serveJoin takes a node into the mesh that shows an invitation.
func (n *network) serveJoin(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxJoinRequest))
	if err != nil {
		writeError(w, weft.Errorf(weft.KindInvalid, "join the mesh", "", "the request cannot be read"))
		return
	}
	answer, err := n.host.admit(r.Context(), FromPeer(r.Context()), b)
	if err != nil {
		writeError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(answer) // who is gone asks again
}

// join asks the node that has invited to be taken in. The addresses are tried as
// those of a member are.
func (n *network) join(ctx context.Context, key sign.Key, inviter weft.KeyID, addresses []string, request []byte) ([]byte, error) {
	cert, err := certificate(key, nil)
	if err != nil {
		return nil, err
	}
	conn, err := n.dial.direct(ctx, inviter, addresses, func(ctx context.Context, c net.Conn, id weft.KeyID) (*peerConn, error) {
		return n.secureAs(ctx, c, id, cert)
	})
	const op = "join the mesh"
	if err != nil {
		return nil, weft.Errorf(weft.KindUnavailable, op, "", "the node that invited cannot be reached: %w", err).
			WithHint("is it up, and can it be reached from here? its mesh.advertise is what the invitation says of where it is")
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, conn.cut)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://peer"+joinPath, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	away := func(err error) error {
		return weft.Errorf(weft.KindUnavailable, op, "", "the node that invited does not answer: %w", err).
			WithHint("is the invitation still open? ask for a new one if not")
	}
	if err := r.Write(conn); err != nil {
		return nil, away(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		return nil, away(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxJoinAnswer+1))
	switch {
	case err != nil:
		return nil, away(err)
	case len(b) > maxJoinAnswer:
		return nil, weft.Errorf(weft.KindInvalid, op, "", "the answer is too long")
	case res.StatusCode != http.StatusOK:
		return nil, readError(op, b)
	}
	return b, nil
}

// wireError is an error as it travels between nodes.
type wireError struct {
	Kind    weft.Kind `json:"kind"`
	Message string    `json:"message"`
	Hint    string    `json:"hint,omitempty"`
}

func writeError(w http.ResponseWriter, err error) {
	we := wireError{Kind: weft.KindOf(err), Message: err.Error(), Hint: weft.HintOf(err)}
	if e := (*weft.Error)(nil); errors.As(err, &e) && e.Message != "" {
		we.Message = e.Message
	}
	if we.Kind == weft.KindInternal {
		we.Message = "a fault of the node"
	}
	b, err := json.Marshal(we)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnprocessableEntity)
	_, _ = w.Write(b)
}

func readError(op string, b []byte) error {
	var we wireError
	if err := json.Unmarshal(b, &we); err != nil || we.Kind == "" || len(we.Kind) > 30 {
		return weft.Errorf(weft.KindUnavailable, op, "", "the other node refuses without saying why")
	}
	e := weft.Errorf(we.Kind, op, "", "%s", clean(we.Message, 1000))
	if we.Hint != "" {
		e = e.WithHint("%s", clean(we.Hint, 1000))
	}
	return e
}

// clean makes foreign text fit for a terminal.
func clean(s string, most int) string {
	out := make([]rune, 0, len(s))
	for _, r := range s {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			r = ' '
		}
		if out = append(out, r); len(out) == most {
			break
		}
	}
	return string(out)
}
