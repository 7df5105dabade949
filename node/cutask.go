package node

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"weft"
	"weft/policy"
	"weft/serve"
)

// What one question to another node about cuts may take.
const (
	cutWait     = 5 * time.Second
	maxCutReply = 2 << 20 // bytes
	maxMadeFrom = 200     // products that a point says it was made from
)

// cutRoutes hands the routes by which nodes ask each other about cuts to handle.
func (n *Node) cutRoutes(handle func(pattern string, h http.Handler), from func(context.Context) weft.KeyID) {
	route := func(pattern string, f func(http.ResponseWriter, *http.Request, weft.KeyID) error) {
		method, path, _ := strings.Cut(pattern, " ")
		handle(method+" "+peerPrefix+path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := f(w, r, from(r.Context())); err != nil {
				refusePeer(w, err)
			}
		}))
	}
	route("GET /products/{p}/points", n.tellStates)
	route("GET /cuts/{hash}", n.tellCut)
	route("POST /holds", n.takeHold)
	route("DELETE /holds", n.dropHoldOf)
}

// askerOf is the subject that another node asks as for somebody of it: of those of the
// node's domains that it names.
func (n *Node) askerOf(node weft.KeyID, r *http.Request) (weft.Subject, error) {
	var domains []string
	if n.far != nil {
		domains = n.far.domainsOf(node)
	}
	as := strings.Split(r.URL.Query().Get("as"), ",")
	return policy.OfPeer(node, slices.DeleteFunc(slices.Clone(domains), func(d string) bool { return !slices.Contains(as, d) }), weft.Name{})
}

// tellStates tells another node of states of a product here.
func (n *Node) tellStates(w http.ResponseWriter, r *http.Request, node weft.KeyID) error {
	name, err := weft.ParseName(r.PathValue("p"))
	if err != nil {
		return err
	}
	s, err := n.askerOf(node, r)
	if err != nil {
		return err
	}
	q, err := readPointAsk(r.URL.Query(), name)
	if err != nil {
		return err
	}
	p, err := n.seenBy(s, name)
	if err != nil {
		return err
	}
	list, err := p.points(r.Context(), s, q)
	if err != nil {
		return err
	}
	list.Holds = n.holdNames(r.Context(), p, node)
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(list)
}

// values writes the ask for another node, which readPointAsk reads there.
func (q pointAsk) values() url.Values {
	v := url.Values{}
	number := func(key string, n uint64) {
		if n > 0 {
			v.Set(key, strconv.FormatUint(n, 10))
		}
	}
	number("seq", uint64(q.ref.Seq))
	number("before", uint64(q.before))
	number("limit", uint64(max(q.limit, 0)))
	if len(q.ref.HashPrefix) > 0 {
		v.Set("incarnation", strconv.FormatUint(uint64(q.ref.Incarnation), 10))
		v.Set("hash", hex.EncodeToString(q.ref.HashPrefix))
	}
	if !q.time.IsZero() {
		v.Set("time", q.time.UTC().Format(time.RFC3339Nano))
	}
	return v
}

func readPointAsk(v url.Values, name weft.Name) (q pointAsk, err error) {
	bad := func() (pointAsk, error) {
		return q, weft.Errorf(weft.KindInvalid, "answer another node", name.String(), "it does not say which state it means")
	}
	number := func(key string, bits int) (n uint64) {
		if s := v.Get(key); s != "" && err == nil {
			n, err = strconv.ParseUint(s, 10, bits)
		}
		return n
	}
	q.ref = weft.CutRef{Product: name, Seq: weft.Seq(number("seq", 63)), Incarnation: uint32(number("incarnation", 32))}
	q.before, q.limit = weft.Seq(number("before", 63)), int(number("limit", 31))
	if err != nil {
		return bad()
	}
	if q.ref.HashPrefix, err = hex.DecodeString(v.Get("hash")); err != nil || len(q.ref.HashPrefix) > len(weft.Hash{}) {
		return bad()
	}
	if s := v.Get("time"); s != "" {
		if q.time, err = time.Parse(time.RFC3339Nano, s); err != nil {
			return bad()
		}
	}
	return q, nil
}

// askPoints asks the origin of a product for states of it.
func (n *Node) askPoints(ctx context.Context, s weft.Subject, far *foreign, q pointAsk) (*pointList, error) {
	v := q.values()
	v.Set("as", strings.Join(n.abroad(s), ","))
	body, err := n.askPeer(ctx, far.origin, http.MethodGet, "/products/"+far.name.String()+"/points", v, nil)
	if err != nil {
		return nil, n.peerFault(far, err)
	}
	var list pointList
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, n.peerFault(far, errors.New("its answer cannot be read"))
	}
	if err := list.check(far, q); err != nil {
		return nil, n.peerFault(far, err)
	}
	for i := range list.Points {
		list.Points[i].AsOf = q.time // this node asked for it
	}
	return &list, nil
}

// check holds what another node says against what was asked and what is known.
func (l *pointList) check(far *foreign, q pointAsk) error {
	one := q.ref.Seq > 0 || !q.time.IsZero()
	if len(l.Points) > maxPoints || one && len(l.Points) != 1 {
		return fmt.Errorf("it tells %d states", len(l.Points))
	}
	before := q.before
	for _, m := range l.Points {
		p := m.Point
		switch {
		case p.Product != far.name || p.ID != far.id || p.Seq == 0 || p.Hash == (weft.Hash{}):
			return errors.New("it says something of another product")
		case q.ref.Seq > 0 && (p.Seq != q.ref.Seq || !bytes.HasPrefix(p.Hash[:], q.ref.HashPrefix)):
			return errors.New("it tells another state than the one that it was asked for")
		case one && q.ref.Seq == 0 && p.Time.After(q.time):
			return errors.New("it tells a state of after the time")
		case before > 0 && p.Seq >= before:
			return errors.New("its states are out of order")
		case m.Rows.Seq > p.Seq || m.Rows.Seq > 0 && m.Rows.Product != far.name || len(m.From) > maxMadeFrom:
			return errors.New("what it says of a state cannot be")
		}
		if h := far.head; h != nil && h.ID == p.ID && h.Incarnation == p.Incarnation && h.Seq == p.Seq && h.Hash != p.Hash {
			return fmt.Errorf("its commit %s is not the one that its signed head names", p.Seq)
		}
		if slices.ContainsFunc(m.From, func(f weft.Point) bool { return f.Product.IsZero() || f.Product == far.name || f.Seq == 0 }) {
			return errors.New("what it says of a state cannot be")
		}
		if !one {
			before = p.Seq
		}
	}
	return nil
}

// askPeer sends one small question to another node and reads its answer.
func (n *Node) askPeer(ctx context.Context, node weft.KeyID, method, path string, q url.Values, send any) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, cutWait)
	defer stop()
	var body io.Reader
	if send != nil {
		b, err := json.Marshal(send)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	u := url.URL{Scheme: "http", Host: "peer", Path: peerPrefix + path, RawQuery: q.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	res, err := n.far.client(node).Do(req)
	if err != nil {
		return nil, &farAway{err}
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode/100 != 2 {
		p := &serve.Problem{Status: res.StatusCode, Title: http.StatusText(res.StatusCode)}
		if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err == nil && kind == serve.ProblemType {
			_ = json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(p) // without it, the status says what it can
		}
		return nil, problemOf(p)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxCutReply+1))
	switch {
	case err != nil:
		return nil, &farAway{err}
	case len(b) > maxCutReply:
		return nil, errors.New("its answer is too long")
	}
	return b, nil
}

// peerFault says what went wrong with a question to the origin of a product.
func (n *Node) peerFault(far *foreign, err error) error {
	const op = "ask the origin"
	var known *weft.Error
	var away *farAway
	node := or(n.nameOf(far.origin), far.origin.Short())
	switch {
	case errors.As(err, &away):
		return weft.Errorf(weft.KindUnavailable, op, far.name.String(), "node %s, which holds it, cannot be reached: %w", node, away.error).
			WithHint("weft peers shows when it was seen; ask again when it is back")
	case errors.As(err, &known):
		return err
	}
	return weft.Errorf(weft.KindCorrupt, op, far.name.String(), "node %s says what cannot be: %w", node, err).
		WithHint("tell its owner: weft show %s", far.name)
}
