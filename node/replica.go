package node

import (
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"time"

	"weft"
	"weft/federate"
	"weft/policy"
	"weft/replicate"
	"weft/serve"
	"weft/store"
)

// copiesFolder is where the data folder has the copies of other nodes' products.
const copiesFolder = "replicas"

// openCopies lists the copies that the node keeps.
func (n *Node) openCopies() error {
	n.copies = replicate.New(replicate.Config{
		Dir: n.cfg.path(copiesFolder), Store: n.copyStore, Look: n.lookAtOrigin, Ask: n.askOrigin,
		Fault: func(b json.RawMessage) error {
			p := &serve.Problem{Status: http.StatusInternalServerError}
			_ = json.Unmarshal(b, p) // what it does say is enough
			return problemOf(p)
		},
		Room: func(p weft.Name) error { return n.room("copy", p.String()) }, Env: n.cfg.RunEnv,
	})
	return n.copies.Open()
}

// copyStore is how the store of a copy is opened.
func (n *Node) copyStore(c store.Config) store.Config {
	c.TailRows, c.KeepFor, c.KeepBytes = n.cfg.TailRows, n.cfg.KeepFor, n.cfg.KeepBytes
	c.Sessions, c.Temp, c.Background, c.Metrics = n.pool, n.cfg.path("tmp"), n.holding, n.stored
	return c
}

// lookAtOrigin is what the mesh's records say of a product of another node, and whether
// this node may keep a copy of it.
func (n *Node) lookAtOrigin(name weft.Name) (*replicate.Origin, error) {
	if n.known(name) != nil {
		return nil, weft.Errorf(weft.KindConflict, "keep a copy of", name.String(), "the product is at this node itself")
	}
	f, err := n.foreign(name)
	if f == nil || err != nil {
		return nil, err
	}
	o := &replicate.Origin{Node: f.origin, ID: f.id, Head: f.head}
	if f.card == nil {
		o.Denied = weft.Errorf(weft.KindDenied, "copy the product", name.String(), "its card is not known")
		return o, nil
	}
	o.For, o.Denied = cardBrief(f.card).mayCopy(name, weft.Subject{Domains: n.far.own()})
	if o.Denied == nil && f.card.Life == weft.LifeRetired {
		o.Denied = weft.Errorf(weft.KindDenied, "copy the product", name.String(), "it is retired: %w", errNoCopies)
	}
	return o, nil
}

// askOrigin asks a node for something of a product that is copied.
func (n *Node) askOrigin(ctx context.Context, node weft.KeyID, name weft.Name, path string, q url.Values) (io.ReadCloser, error) {
	u := url.URL{Scheme: "http", Host: "peer", Path: peerPrefix + "/products/" + name.String() + path, RawQuery: q.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	res, err := n.far.client(node).Do(req)
	if err != nil {
		return nil, weft.Errorf(weft.KindUnavailable, "ask the origin", name.String(), "node %s, which holds it, cannot be reached: %w", node.Short(), err).
			WithHint("weft peers shows when it was seen; it is tried again by itself")
	}
	if res.StatusCode == http.StatusOK {
		return res.Body, nil
	}
	defer func() { _ = res.Body.Close() }()
	p := &serve.Problem{Status: res.StatusCode, Title: http.StatusText(res.StatusCode)}
	if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err == nil && kind == serve.ProblemType {
		_ = json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(p) // without it, the status says what it can
	}
	return nil, problemOf(p)
}

// replica is the copy that this node keeps of another node's product, where it may be
// used now, and when it was last known to be what its origin has. Its store may be
// closed at any time where nobody holds it: Hold is for who reads rows.
func (n *Node) replica(name weft.Name) (st *store.Store, current time.Time, ok bool) {
	if n.copies == nil {
		return nil, time.Time{}, false
	}
	h, err := n.copies.Hold(name)
	if err != nil {
		return nil, time.Time{}, false
	}
	defer h.Release()
	return h.Store, h.Current, true
}

// Copy holds the copy of a product for a subject, which passes what the product's card
// says of its readers, as it would pass them at the origin.
func (v visibleProducts) Copy(s weft.Subject, name weft.Name) (p federate.Product, current time.Time, ok bool) {
	n := v.n
	if n.copies == nil || n.far == nil {
		return p, current, false
	}
	f, err := n.foreign(name)
	if err != nil || f == nil || f.card == nil {
		return p, current, false
	}
	as := n.elsewhereAs(s)
	if policy.MayKnow(f.card.Life, name.Domain, as.Domains).Visibility == policy.Hidden {
		return p, current, false
	}
	h, err := n.copies.Hold(name)
	if err != nil {
		return p, current, false
	}
	b := cardBrief(f.card)
	return federate.Product{
		Name: name, ID: f.id, Store: h.Store, Release: h.Release, Deny: func(table string) error { return b.deny(name, as, table) },
	}, h.Current, true
}

// elsewhereAs is a subject as an origin would see it that this node asks for it: of
// no more domains than the node may speak for.
func (n *Node) elsewhereAs(s weft.Subject) weft.Subject {
	own := n.far.own()
	if slices.Contains(s.Domains, weft.AllDomains) {
		s.Domains = own
		return s
	}
	s.Domains = slices.DeleteFunc(slices.Clone(s.Domains), func(d string) bool { return !slices.Contains(own, d) })
	return s
}

// replicaDoor is the copies as doors see them.
type replicaDoor struct{ n *Node }

// Replicas tells how the copies stand of the products that the subject may know of.
func (d replicaDoor) Replicas(_ context.Context, s weft.Subject) ([]serve.Replica, error) {
	out := []serve.Replica{}
	for _, i := range d.n.copies.List() {
		if c := d.n.knownCard(i.Product); c != nil && policy.MayKnow(c.Life, i.Product.Domain, d.n.elsewhereAs(s).Domains).Visibility == policy.Hidden {
			continue
		}
		out = append(out, d.n.replicaOf(i))
	}
	return out, nil
}

func (n *Node) replicaOf(i replicate.Info) serve.Replica {
	r := serve.Replica{
		Product: i.Product, State: string(i.State), Reason: i.Reason, Todo: i.Todo, Added: i.Added, Behind: i.Behind,
		Bytes: i.Bytes, Done: i.Done, Total: i.Total, Tables: i.Tables, Needed: i.Needed,
	}
	for _, d := range n.dependents(i.Product) {
		r.Inputs = append(r.Inputs, d.name())
	}
	slices.SortFunc(r.Inputs, compare)
	if !i.Origin.IsZero() {
		r.Origin, r.Node = i.Origin, partner{n}.Called(i.Origin)
	}
	if i.Point.Seq > 0 {
		p := i.Point
		r.Point = &p
	}
	for _, t := range []struct {
		to **time.Time
		at time.Time
	}{{&r.Current, i.Current}, {&r.Until, i.Until}, {&r.Removed, i.Removed}} {
		if !t.at.IsZero() {
			at := t.at
			*t.to = &at
		}
	}
	return r
}

// AddReplica begins to keep a copy.
func (d replicaDoor) AddReplica(_ context.Context, _ weft.Subject, name weft.Name) (*serve.Replica, error) {
	if err := d.n.copies.Add(name); err != nil {
		return nil, err
	}
	return d.one(name)
}

func (d replicaDoor) one(name weft.Name) (*serve.Replica, error) {
	for _, i := range d.n.copies.List() {
		if i.Product == name {
			r := d.n.replicaOf(i)
			return &r, nil
		}
	}
	return nil, weft.Errorf(weft.KindNotFound, "find the copy of", name.String(), "there is none here").WithHint("weft replica list shows those there are")
}

// RemoveReplica ends a copy and removes it.
func (d replicaDoor) RemoveReplica(_ context.Context, _ weft.Subject, name weft.Name) error {
	return d.n.copies.Remove(name)
}
