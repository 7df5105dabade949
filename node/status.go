package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"weft"
	"weft/records"
	"weft/serve"
	"weft/store"
)

func (n *Node) backend() serve.Backend {
	return serve.Backend{
		Querier: doorQuestions{questions{n}}, Products: n, Owner: n, Lifecycle: n, Node: n, Tokens: n, Upkeep: n, Metrics: n.registry,
		Mesh: meshDoor{n}, Members: memberDoor{n}, Handovers: handoverDoor{n}, Catalog: catalogDoor{n}, Lineage: lineageDoor{n}, Cuts: cutDoor{n}, Receipts: receiptDoor{n}, Plans: doorQuestions{questions{n}}, Meter: meterDoor{n}, Replicas: replicaDoor{n},
	}
}

// List gives every product, by address.
func (n *Node) List(ctx context.Context, s weft.Subject) ([]serve.ProductSummary, error) {
	out := []serve.ProductSummary{}
	for _, p := range n.all() {
		if !p.knownTo(s) {
			continue
		}
		sum, err := p.summary(ctx, s)
		if err != nil {
			return nil, err
		}
		out = append(out, *sum)
	}
	return out, nil
}

// Status gives the node and every product in one table.
func (n *Node) Status(ctx context.Context, s weft.Subject) (*serve.NodeStatus, error) {
	list, err := n.List(ctx, s)
	if err != nil {
		return nil, err
	}
	live, idle := n.pool.Workers()
	st := &serve.NodeStatus{
		Name: n.conf().Name, Domains: n.domains(), Version: n.cfg.Version, Env: n.conf().Env, Started: n.started,
		Address: n.URL(), Products: list,
		Workers: serve.WorkerStatus{
			Running: live - idle, Idle: idle, Waiting: n.reader.Waiting(), Memory: n.cfg.AllMemory,
		},
		Disk: serve.DiskStatus{Path: n.cfg.Data, Used: diskUse(n.cfg.Data), Free: n.cfg.free(n.cfg.Data)},
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	st.Memory = int64(m.Sys - m.HeapReleased)
	st.Mesh, st.Todo = n.meshStatus()
	var full *weft.Error
	if errors.As(n.room("take in data", n.conf().Name), &full) {
		st.Todo = "nothing new is taken in: " + full.Message + ": " + full.Hint
	}
	return st, nil
}

func (n *Node) domains() []string {
	ds := slices.Clone(n.conf().Domains)
	if n.joined() {
		for _, d := range n.mesh.Domains() {
			if !slices.Contains(ds, d) {
				ds = append(ds, d)
			}
		}
	}
	for _, p := range n.all() {
		if !slices.Contains(ds, p.name().Domain) {
			ds = append(ds, p.name().Domain)
		}
	}
	slices.Sort(ds)
	return ds
}

// diskUse adds up the files of a folder, in bytes; what vanishes meanwhile does
// not count.
func diskUse(dir string) int64 {
	var sum int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if i, err := d.Info(); err == nil {
				sum += i.Size()
			}
		}
		return nil
	})
	return sum
}

// summary is one line about the product. It needs neither its folder nor, once it
// was looked at, its store. What went wrong, and what to do about it, is for those
// of its domain, and for whoever runs the node.
func (p *product) summary(ctx context.Context, s weft.Subject) (*serve.ProductSummary, error) {
	sum, err := p.line(ctx)
	if err == nil && p.node.mayOwn(s, "see the errors of", p.name()) != nil {
		sum.Todo, sum.LastError, sum.ErrorKind = "", "", ""
	}
	return sum, err
}

// line is summary for the node itself.
func (p *product) line(ctx context.Context) (*serve.ProductSummary, error) {
	g, err := p.glance(ctx)
	if weft.KindOf(err) == weft.KindCancelled && err != nil {
		return nil, err
	}
	return p.lineOf(g, err), nil
}

// lineOf is line for who has glanced at the store, or why that could not be.
func (p *product) lineOf(g store.Glance, failed error) *serve.ProductSummary {
	p.mu.Lock()
	b, rec, last, next, broken := p.brief, p.rec, p.last, p.next, p.broken
	p.mu.Unlock()
	if broken == nil {
		broken = failed
	}
	s := &serve.ProductSummary{Name: rec.Name, Tables: []string{}}
	if broken != nil {
		s.State, s.LastError, s.ErrorKind, s.Todo = weft.StateUnreachable, broken.Error(), weft.KindOf(broken), weft.HintOf(broken)
		if s.ErrorKind == weft.KindCorrupt {
			s.State = weft.StateDamaged
		}
		return s
	}
	s.Purpose, s.Owner, s.Life, s.Tags = b.Purpose, b.Owner, b.Life, b.Tags
	if rec.Retired {
		s.Life = weft.LifeRetired
	}
	count(s, g)
	if !next.IsZero() && !rec.Paused && !rec.Retired && b.Sources {
		s.NextRefresh = &next
	}
	if last != nil && last.Error != "" {
		s.LastError, s.ErrorKind = last.Error, last.Kind
	}
	s.State, s.Todo = p.state(s)
	if todo := p.node.movedTodo(rec.Name); todo != "" {
		s.Todo = todo
	}
	if g.Damage != "" {
		s.State, s.ErrorKind, s.LastError = weft.StateDamaged, weft.KindCorrupt, g.Damage
		s.Todo = "restore the product from a backup; stop the node and weft verify lists all faults"
	}
	return s
}

// count fills in what is in the store.
func count(s *serve.ProductSummary, g store.Glance) {
	for _, t := range g.Tables {
		switch {
		case t.Table == store.QuarantineTable:
			s.Held = t.Rows
		case !t.Hidden:
			s.Tables = append(s.Tables, weft.TableName{Name: s.Name, Table: t.Table}.String())
			s.Rows += t.Rows
		}
	}
	if g.Seq > 0 {
		s.Seq, s.LastCommit = g.Seq, &g.Time
	}
	s.Bytes = g.Bytes
}

// glance is what the store holds: what it says itself where it is open, else its
// manifest. A product whose manifest lags behind its journal is opened for it.
func (p *product) glance(ctx context.Context) (store.Glance, error) {
	p.mu.Lock()
	broken := p.broken
	p.mu.Unlock()
	if broken != nil {
		return store.Glance{}, broken
	}
	if release, ok := p.holdOpen(); ok {
		defer release()
		return glance(p.store)
	}
	p.mu.Lock()
	seen := p.seen
	p.mu.Unlock()
	if seen != nil {
		return *seen, nil
	}
	g, err := store.Peek(p.node.cfg.productDir(p.record().ID))
	if err != nil {
		return g, err
	}
	if !g.Whole {
		release, err := p.hold(ctx)
		if err != nil {
			return g, err
		}
		defer release()
		return glance(p.store)
	}
	p.mu.Lock()
	if p.store == nil {
		p.seen = &g
	}
	p.mu.Unlock()
	return g, nil
}

// glance looks at an open store.
func glance(s *store.Store) (store.Glance, error) {
	snap, err := s.Snapshot(context.Background(), 0)
	if err != nil {
		return store.Glance{}, err
	}
	defer func() { _ = snap.Close() }()
	pt := snap.Point()
	g := store.Glance{Seq: pt.Seq, Time: pt.Time, Tables: snap.Tables(), Bytes: s.Bytes(), Whole: true}
	g.Damage = damage(s)
	return g, nil
}

// damage is the first fault that an open store knows of its bytes, empty for none.
func damage(s *store.Store) string {
	for _, f := range s.Damage() {
		if !f.Note {
			return f.String()
		}
	}
	return ""
}

// state says what is seen of the product, and the one thing to do about it.
func (p *product) state(s *serve.ProductSummary) (weft.State, string) {
	return p.stateOf(len(s.Tables) > 0)
}

// stateOf is state for who knows whether anything is published.
func (p *product) stateOf(published bool) (weft.State, string) {
	name := p.name()
	up, upTodo := p.stoppedUpstream()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.rec.Retired:
		return weft.StateRetired, ""
	case p.rec.Paused:
		return weft.StatePaused, "weft resume " + name.String()
	}
	if p.last == nil || p.busy && !published {
		if p.busy {
			return weft.StateLoading, ""
		}
		return weft.StateEmpty, ""
	}
	switch p.last.Outcome {
	case records.Refused:
		if p.last.Kind == weft.KindDenied {
			return weft.StateRefused, p.last.Hint
		}
		if p.last.Kind == weft.KindDrift {
			return weft.StateRefused, "the source changed: compare it with the contract, then weft refresh " + name.String()
		}
		return weft.StateRefused, "weft checks " + name.String()
	case records.Failed:
		if up != "" {
			return weft.StateUpstreamStopped, or(p.last.Hint, upTodo)
		}
		return weft.StateSourceLost, or(p.last.Hint, "weft refresh "+name.String())
	}
	if up != "" {
		return weft.StateUpstreamStopped, upTodo
	}
	if late := p.late(); late > 0 {
		return weft.StateLate, fmt.Sprintf("late by %s: weft refresh %s", late.Round(time.Second), name)
	}
	return weft.StateFresh, ""
}

// stoppedUpstream names a product that this one is made from and that is paused,
// retired, gone, or at a node that is away or could not be read, and says what to do.
func (p *product) stoppedUpstream() (name, todo string) {
	p.mu.Lock()
	b, lost := p.brief, p.lost
	p.mu.Unlock()
	for _, name := range b.Upstream {
		look := "weft show " + name.String()
		far, err := p.node.foreign(name)
		switch {
		case err != nil || far != nil && far.stopped():
			return name.String(), look
		case far != nil && !p.node.far.reached(far.origin):
			return name.String(), "weft peers: the node that holds " + name.String() + " is away"
		case far != nil && lost == name:
			return name.String(), look
		case far != nil:
			continue
		}
		up, err := p.node.find(name)
		if err != nil {
			return name.String(), look
		}
		if rec := up.record(); rec.Paused || rec.Retired {
			return name.String(), look
		}
	}
	return "", ""
}

// late is by how much the promised latency has passed since everything was last
// read, 0 where it has not. The caller holds mu.
func (p *product) late() time.Duration {
	if p.lastOK.IsZero() {
		return 0
	}
	for _, l := range p.brief.Latency {
		// Between two reads nothing is late: the next one is due first.
		due := p.lastOK.Add(max(l, p.interval0()))
		if d := p.node.env.Clock.Now().Sub(due); d > 0 {
			return d
		}
	}
	return 0
}

// interval0 is the interval for a caller that holds mu: that of the schedule.
func (p *product) interval0() time.Duration {
	if p.next.IsZero() || p.last == nil {
		return 0
	}
	return p.next.Sub(p.last.Ended)
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
