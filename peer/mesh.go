package peer

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"weft"
	"weft/run"
	"weft/sign"
)

// Config is what a node's part in a mesh is built from.
type Config struct {
	Dir       string    // the mesh folder; empty keeps everything in memory
	Name      string    // of the node, for people
	Version   string    // of the program
	Advertise []string  // host:port at which other nodes reach it
	Relay     bool      // it lets others be reached through it
	Links     int       // to other nodes, kept by this one: 6
	Transport Transport // how others are reached: TCP
	Env       run.Env
	Verified  *Verified // shared by the nodes of one process, in tests; may be nil
}

// Mesh is a node's part in a mesh: its keys, the records it holds, and what it says
// itself. Until it founds a mesh or joins one it is in none. It is safe for concurrent
// use.
type Mesh struct {
	cfg    Config
	folder *folder
	set    *Set
	net    *network

	change sync.Mutex // one change of keys or membership at a time

	mu       sync.RWMutex // guards what follows
	key      sign.Key     // of the node
	state    *state       // nil: in no mesh
	keep     *keep
	instance string
	closed   bool
	relays   []weft.KeyID // through which it is reached
	invited  time.Time    // until when an invitation of its can be used

	says saying
}

// New builds a Mesh; it touches nothing.
func New(c Config) (*Mesh, error) {
	if c.Env.Log == nil || c.Env.Clock == nil {
		return nil, weft.Errorf(weft.KindInvalid, "build the mesh", "", "it is handed no Env")
	}
	if len(c.Name) > 100 {
		return nil, weft.Errorf(weft.KindInvalid, "build the mesh", "", "a node's name has at most 100 bytes, this has %d", len(c.Name))
	}
	m := &Mesh{cfg: c, folder: newFolder(c.Dir), instance: run.NewID()}
	m.set = newSet(c.Env.Clock.Now, c.Env.Log, c.Verified)
	m.says.bodies = map[RecordID]said{}
	m.set.OnNew(m.heard)
	m.net = newNetwork(meshHost{m}, netConfig{
		Set: m.set, Env: c.Env, Transport: c.Transport, Program: c.Version, Advertise: c.Advertise, Relay: c.Relay, Links: c.Links,
	})
	return m, nil
}

// Open reads what the folder has. A node that is in no mesh opens as well. A database
// that is damaged is an error of KindCorrupt, with what to do as its hint.
func (m *Mesh) Open(ctx context.Context) error {
	m.change.Lock()
	defer m.change.Unlock()
	st, err := m.folder.load()
	if err != nil || st == nil {
		return err
	}
	key, err := m.folder.key(nodeKey)
	if err == nil && key.IsZero() {
		err = weft.Errorf(weft.KindCorrupt, "open the mesh", m.cfg.Dir, "the node's key is not there").WithHint("restore node.key from a backup")
	}
	if err != nil {
		return err
	}
	if err := m.enter(st, key); err != nil {
		return err
	}
	if err := m.takeCopy(); err != nil {
		return err
	}
	m.folder.forgetSpent(m.now())
	m.readInvited()
	if err := m.finishRotation(ctx); err != nil {
		return err
	}
	if err := m.set.Expire(); err != nil {
		return err
	}
	if !m.set.member(m.Self()) {
		m.cfg.Env.Log.Warn("this node belongs to its mesh no longer, or has lost the records that say so", "node", m.Self().Short())
		return nil
	}
	if err := m.publishNode(ctx); err != nil {
		return err
	}
	m.says.mu.Lock()
	defer m.says.mu.Unlock()
	m.says.confirm = true // what came before the node stopped
	m.says.ring()
	return nil
}

// enter opens the records of a mesh and makes it this node's.
func (m *Mesh) enter(st *state, key sign.Key) error {
	var k *keep
	if m.cfg.Dir != "" {
		var err error
		if k, err = openKeep(m.cfg.Dir); err != nil {
			return err
		}
	}
	err := m.set.bind(st.Mesh, k)
	if err == nil {
		if _, fate, e := m.set.Add(st.Charter); fate != FateNew && fate != FateKnown {
			err = e
		}
	}
	if err != nil {
		if k != nil {
			err = errors.Join(err, k.close())
		}
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state, m.key, m.keep = st, key, k
	return nil
}

// Close cuts all links and closes the records. It may be called more than once.
func (m *Mesh) Close() error {
	m.net.close()
	m.mu.RLock()
	open := m.keep != nil
	m.mu.RUnlock()
	var err error
	if open {
		err = m.keepSeeds()
	}
	m.mu.Lock()
	k := m.keep
	m.keep, m.closed = nil, true
	m.mu.Unlock()
	if k == nil {
		return err
	}
	return errors.Join(err, m.set.unbind(k))
}

// Set is the records that the node holds.
func (m *Mesh) Set() *Set { return m.set }

// Joined reports whether the node is in a mesh.
func (m *Mesh) Joined() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.state != nil
}

// ID is the mesh's identity, zero where the node is in none.
func (m *Mesh) ID() weft.Hash {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.state == nil {
		return weft.Hash{}
	}
	return m.state.Mesh
}

// Self is the node's identity, zero where it is in no mesh.
func (m *Mesh) Self() weft.KeyID {
	k := m.nodeKey()
	if k.IsZero() {
		return weft.KeyID{}
	}
	return k.ID()
}

// nodeKey is the node's key as it is now: it changes when the node rotates.
func (m *Mesh) nodeKey() sign.Key {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.key
}

// Charter is what the mesh is, nil where the node is in none.
func (m *Mesh) Charter() *Charter { return m.set.Charter() }

// Charter is the newest charter, nil where there is none.
func (s *Set) Charter() *Charter {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.auth.charter == nil {
		return nil
	}
	c := *s.auth.charter.fact.(*Charter)
	return &c
}

// Seeds are nodes that were of the mesh when this one came in, and where.
func (m *Mesh) Seeds() []Seed {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.state == nil {
		return nil
	}
	return slices.Clone(m.state.Seeds)
}

func (m *Mesh) now() time.Time { return m.cfg.Env.Clock.Now() }

// Founding is what a mesh is founded with.
type Founding struct {
	Name            string
	Domains         []string // that this node speaks for
	Classifications []string
	Purposes        []string
	Grace           Grace
	// Keys founding keys are made, of which Threshold must sign what founders say; 0
	// means 1. All of them are written into the mesh folder, to be carried elsewhere.
	Keys, Threshold int
}

// Found makes a new mesh of which this node is the first.
func (m *Mesh) Found(ctx context.Context, f Founding) error {
	m.change.Lock()
	defer m.change.Unlock()
	if m.Joined() {
		return inAMesh("found a mesh")
	}
	for _, d := range f.Domains {
		if err := weft.CheckName(d); err != nil {
			return err
		}
	}
	founders, err := m.newFounders(max(f.Keys, 1))
	if err != nil {
		return err
	}
	c := Charter{
		Name: f.Name, Threshold: max(f.Threshold, 1), Classifications: f.Classifications, Purposes: f.Purposes, Grace: f.Grace,
	}
	for _, k := range founders {
		c.Founders = append(c.Founders, k.ID())
	}
	if err := c.check(); err != nil {
		return err
	}
	charter, err := sign.Seal(sign.Head{Kind: KindCharter, Version: 1, Time: m.now()}, c, founders[:c.Threshold]...)
	if err != nil {
		return err
	}
	return m.settle(ctx, f, charter, founders)
}

func inAMesh(op string) error {
	return weft.Errorf(weft.KindConflict, op, "", "this node is in a mesh already").WithHint("weft peers shows it; a node is in one mesh")
}

// newFounders makes the founding keys, or takes those that a founding that broke off
// has left.
func (m *Mesh) newFounders(n int) ([]sign.Key, error) {
	if n > maxFounders {
		return nil, weft.Errorf(weft.KindInvalid, "found a mesh", "", "%d founding keys are too many, %d is the most", n, maxFounders)
	}
	if err := m.folder.make(); err != nil {
		return nil, err
	}
	var keys []sign.Key
	for i := range n {
		k, err := m.folder.someKey(founderName(i))
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// settle writes the first records of a mesh and makes it this node's.
func (m *Mesh) settle(ctx context.Context, f Founding, charter *sign.Record, founders []sign.Key) error {
	self, err := m.folder.someKey(nodeKey)
	if err != nil {
		return err
	}
	records := []*sign.Record{charter}
	put := func(kind, key string, body any, keys ...sign.Key) {
		var r *sign.Record
		if err == nil {
			r, err = sign.Seal(sign.Head{Mesh: charter.Hash(), Kind: kind, Key: key, Version: 1, Time: m.now()}, body, keys...)
			records = append(records, r)
		}
	}
	signers := founders[:max(f.Threshold, 1)]
	for _, d := range f.Domains {
		k, e := m.folder.someKey(domainKey(d))
		if e != nil {
			return e
		}
		put(KindDomain, d, Certificate{Domain: d, Key: k.ID(), Epoch: 1}, signers...)
		put(KindAdmission, NodeKey(self.ID(), d), Admission{Node: self.ID(), Domain: d, By: self.ID()}, k)
	}
	if len(f.Domains) == 0 {
		put(KindAdmission, NodeKey(self.ID(), ""), Admission{Node: self.ID(), By: self.ID()}, signers...)
	}
	if err != nil {
		return err
	}
	return m.begin(ctx, &state{Mesh: charter.Hash(), Charter: charter.Raw(), Series: newSeries()}, self, records)
}

// begin makes the mesh of st this node's, with its first records. What a try that
// broke off has left of records is removed first.
func (m *Mesh) begin(ctx context.Context, st *state, self sign.Key, records []*sign.Record) error {
	if m.cfg.Dir != "" {
		if err := os.RemoveAll(m.folder.path(recordsDir)); err != nil {
			return weft.Errorf(weft.KindUnavailable, "remove old records", m.folder.path(recordsDir), "%w", err)
		}
	}
	if err := m.enter(st, self); err != nil {
		return err
	}
	err := func() error {
		var why error
		for _, r := range records {
			if _, _, err := m.set.Add(r.Raw()); err != nil {
				why = err
			}
		}
		switch {
		case m.set.member(self.ID()):
			return m.folder.save(st)
		case why != nil:
			return weft.Errorf(weft.KindDenied, "enter the mesh", "", "the records do not admit this node: %w", why)
		}
		return weft.Errorf(weft.KindDenied, "enter the mesh", "", "the records do not admit this node")
	}()
	if err != nil {
		m.mu.Lock()
		k := m.keep
		m.state, m.key, m.keep = nil, sign.Key{}, nil
		m.mu.Unlock()
		return errors.Join(err, m.set.unbind(k))
	}
	return m.publishNode(ctx)
}

func (s *Set) member(node weft.KeyID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.auth.member(node)
}

// Tend does what must be done from time to time, until ctx ends: it lets go of old
// tombstones, and says again what somebody else said with this node's key.
func (m *Mesh) Tend(ctx context.Context) error {
	hour := time.NewTicker(time.Hour)
	defer hour.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-hour.C:
			m.folder.forgetSpent(m.now())
			if err := m.set.Expire(); err != nil {
				m.cfg.Env.Log.Error("old tombstones cannot be let go", "error", err)
			}
			if err := m.keepSeeds(); err != nil {
				m.cfg.Env.Log.Error("it cannot be noted where other nodes are", "error", err)
			}
		case <-m.says.wake():
			m.sayAgain(ctx)
		}
	}
}
