package fedtest

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"weft"
	"weft/node"
	"weft/run"
	"weft/serve"
)

// Mesh is some nodes in the test's process that are one mesh over real links, one node
// of each domain. The test's TestMain must let its program be a worker.
type Mesh struct {
	t     testing.TB
	nodes map[string]*Node
	one   *Node // that has all there is; nil in a mesh
}

// Node is one of them.
type Node struct {
	*node.Node
	domain string
	owner  weft.Subject
	config node.Config
	end    func()
}

// meshMost is how long a mesh is waited for that has something to tell.
const meshMost = 30 * time.Second

// NewMesh starts a node for each domain until the test ends. tune, which may be nil,
// changes what a node is told.
func NewMesh(t testing.TB, tune func(domain string, c *node.Config), domains ...string) *Mesh {
	t.Helper()
	m := &Mesh{t: t, nodes: map[string]*Node{}}
	for _, d := range domains {
		n := newNode(t, d)
		n.owner.Domains, n.config.Domains = []string{d}, []string{d}
		if tune != nil {
			tune(d, &n.config)
		}
		m.nodes[d] = n
		t.Cleanup(n.start(t))
	}
	first := m.nodes[domains[0]]
	ctx, cancel := context.WithTimeout(t.Context(), meshMost)
	defer cancel()
	if _, err := first.Backend().Mesh.Found(ctx, first.owner, serve.Founding{Name: "test", Domains: domains[:1]}); err != nil {
		t.Fatal(err)
	}
	for _, d := range domains[1:] {
		word, err := first.Backend().Members.Invite(ctx, first.owner, serve.InviteRequest{Domain: d})
		if err != nil {
			t.Fatal(err)
		}
		n := m.nodes[d]
		if _, err := n.Backend().Mesh.Join(ctx, n.owner, serve.JoinRequest{Token: word.Token}); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// NewAlone starts one node that is in no mesh and holds the products of all domains.
func NewAlone(t testing.TB) *Mesh {
	t.Helper()
	m := &Mesh{t: t, one: newNode(t, "alone")}
	t.Cleanup(m.one.start(t))
	return m
}

func newNode(t testing.TB, name string) *Node {
	return &Node{
		domain: name,
		owner:  weft.Subject{Kind: weft.SubjectPerson, ID: "tester", Domains: []string{weft.AllDomains}},
		config: node.Config{
			Name: name, Version: "test", Data: filepath.Join(t.TempDir(), ".weft"), Listen: "127.0.0.1:0",
			Memory: 512 << 20, LoadMemory: 512 << 20, Threads: 2, RunEnv: run.Quiet(),
		},
	}
}

// start runs the node; what it returns ends it, once.
func (n *Node) start(t testing.TB) func() {
	t.Helper()
	x, err := node.New(n.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	n.Node = x
	ended := false
	n.end = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("node %s: %v", n.domain, err)
		}
		if err := x.Close(); err != nil {
			t.Errorf("node %s: %v", n.domain, err)
		}
	}
	eventually(t, "the node runs", x.Running)
	return func() { n.end() }
}

// eventually waits until yes says so.
func eventually(t testing.TB, what string, yes func() bool) {
	t.Helper()
	for began := time.Now(); !yes(); time.Sleep(2 * time.Millisecond) {
		if time.Since(began) > meshMost {
			t.Fatalf("%s: not within %s", what, meshMost)
		}
	}
}

// At is the node of a domain.
func (m *Mesh) At(domain string) *Node {
	if m.one != nil {
		return m.one
	}
	return m.nodes[domain]
}

// Publish applies a product at the node of its domain and returns when that node holds
// its rows.
func (m *Mesh) Publish(p Product) {
	m.t.Helper()
	n := m.At(p.Domain)
	b, err := p.Archive()
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	res, err := n.Apply(ctx, n.owner, serve.ApplyRequest{Archive: b}, nil)
	if err != nil {
		m.t.Fatalf("apply %s: %v (%s)", p.Address(), err, weft.HintOf(err))
	}
	if res.Outcome != serve.OutcomeCommitted {
		m.t.Fatalf("apply %s: %s: %s %+v", p.Address(), res.Outcome, res.Message, res.Faults)
	}
}

// Heard waits until the node of a domain knows the products and how many rows they have.
func (m *Mesh) Heard(domain string, products ...Product) {
	m.t.Helper()
	at := m.At(domain)
	for _, p := range products {
		name := weft.Name{Domain: p.Domain, Product: p.Name}
		there, err := m.At(p.Domain).Show(m.t.Context(), m.At(p.Domain).owner, name)
		if err != nil {
			m.t.Fatal(err)
		}
		eventually(m.t, fmt.Sprintf("%s hears of %s", domain, name), func() bool {
			here, err := at.Show(m.t.Context(), at.owner, name)
			return err == nil && here.Head != nil && there.Head != nil && here.Head.Hash == there.Head.Hash
		})
	}
}

// Ask asks the node of a domain and reads the answer.
func (n *Node) Ask(ctx context.Context, sql string) (*Answer, error) {
	ans, err := n.Backend().Querier.Query(ctx, weft.Question{SQL: sql, Subject: n.owner})
	if err != nil {
		return nil, err
	}
	defer func() { _ = ans.Close() }()
	return Read(ans.Rows)
}
