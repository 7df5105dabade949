package fedtest

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/federate"
	"weft/run"
	"weft/store"
)

// Asked is what is asked: a mesh of nodes, or a circle of readers.
type Asked interface {
	// Publish makes a product of its table and returns when its domain has the rows.
	Publish(p Product)
	// Heard waits until a domain knows of products of others.
	Heard(domain string, products ...Product)
	// Ask asks at a domain and reads the answer.
	Ask(ctx context.Context, domain, sql string) (*Answer, error)
}

// Circle is some readers, one of each domain, that ask each other by calling: what a mesh
// does with questions, without nodes, links and loads.
type Circle struct {
	t       testing.TB
	pool    *engine.Pool
	d       *engine.Direct
	dir     string
	readers map[string]*circleReader
	honest  bool                 // a table has the rows that it has; else many are said to be large
	counted atomic.Int64         // parts that counted on shards
	away    atomic.Int64         // last steps that other readers made
	moved   func(weft.Name) bool // whether a product is no shard any more, whatever is known of it elsewhere; nil for never
	// before is called before the reader of a domain is asked for a part, or for the
	// states of its products; an error is what comes of it. nil lets all be asked.
	before func(ctx context.Context, domain string) error
}

// circleReader is the reader of a domain with its products.
type circleReader struct {
	*federate.Federation
	c        *Circle
	config   federate.Config
	domain   string
	key      weft.KeyID
	products map[weft.Name]circleProduct
}

type circleProduct struct {
	Product
	id    string
	store *store.Store
	rows  int64
}

// NewCircle makes a reader for each domain until the test ends.
func NewCircle(t testing.TB, domains ...string) *Circle {
	t.Helper()
	c := &Circle{t: t, dir: t.TempDir(), pool: engine.NewPool(engine.PoolConfig{Warm: 2}, run.Quiet()), readers: map[string]*circleReader{}}
	d, err := OpenEngine(0)
	if err != nil {
		t.Fatal(err)
	}
	c.d = d
	g := run.NewGroup(context.Background())
	g.Go("pool", c.pool.Run)
	t.Cleanup(func() {
		g.Stop()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		for _, r := range c.readers {
			for _, p := range r.products {
				_ = p.store.Close()
			}
		}
		c.pool.Close()
		_ = d.Close()
	})
	for i, domain := range domains {
		r := &circleReader{c: c, domain: domain, products: map[weft.Name]circleProduct{}}
		r.key[0], r.key[1] = 1, byte(i)
		r.config = federate.Config{
			Data: filepath.Join(c.dir, domain), Temp: c.dir, Memory: 512 << 20, TempBytes: 1 << 30, Threads: 2, Deadline: time.Minute, Elsewhere: r,
		}
		r.Federation = federate.New(r.config, c.pool, r, run.Quiet())
		c.readers[domain] = r
	}
	return c
}

// SendAway has the last step of every question run at another domain where it can.
func (c *Circle) SendAway() {
	for _, r := range c.readers {
		r.config.Away = func(here, there int64) bool { return true }
		r.Limit(r.config)
	}
}

// Publish gives the table to its domain's reader.
func (c *Circle) Publish(p Product) {
	c.t.Helper()
	if err := c.publish(p); err != nil {
		c.t.Fatalf("%s: %v", p.Address(), err)
	}
}

func (c *Circle) publish(p Product) error {
	ctx := c.t.Context()
	r := c.readers[p.Domain]
	name := weft.Name{Domain: p.Domain, Product: p.Name}
	dir := filepath.Join(c.dir, p.Domain)
	st, err := store.Open(ctx, store.Config{Dir: filepath.Join(dir, p.Name), ID: p.Address(), Product: name, Env: run.Quiet(), Sessions: c.pool, Temp: c.dir})
	if err != nil {
		return err
	}
	read := "FROM read_parquet(" + engine.QuoteLiteral(p.File) + ")"
	staged := filepath.Join(dir, p.Name+".parquet")
	n, err := c.d.Exec(ctx, engine.Statement{SQL: engine.CopyParquet(read, staged)})
	if err != nil {
		return err
	}
	rows, err := c.d.Query(ctx, engine.Statement{SQL: read + " LIMIT 0"})
	if err != nil {
		return err
	}
	schema := rows.Schema()
	rows.Release()
	_, err = st.Append(ctx, store.Candidate{Cause: weft.CauseLoad, Tables: []store.TableData{{
		Table: p.Name, Op: weft.OpReplace, Schema: schema, Key: p.Key, File: staged, FileRows: n,
	}}})
	r.products[name] = circleProduct{p, p.Address(), st, n}
	return err
}

// Heard has nothing to wait for.
func (c *Circle) Heard(string, ...Product) {}

// Ask asks at a domain. A reader that panics fails the question and not the test, which
// then says what was asked.
func (c *Circle) Ask(ctx context.Context, domain, sql string) (_ *Answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	ans, err := c.readers[domain].Query(ctx, weft.Question{SQL: sql, Subject: weft.Subject{Kind: weft.SubjectPerson, ID: "tester", Domains: []string{domain}}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = ans.Close() }()
	return Read(ans.Rows)
}

func (c *Circle) reach(ctx context.Context, node weft.KeyID) error {
	if c.before == nil {
		return nil
	}
	return c.before(ctx, c.reader(node).domain)
}

// reader is that of a node.
func (c *Circle) reader(node weft.KeyID) *circleReader {
	for _, r := range c.readers {
		if r.key == node {
			return r
		}
	}
	return nil
}

// Product finds a product of the domain.
func (r *circleReader) Product(_ weft.Subject, n weft.Name) (federate.Product, bool) {
	p, ok := r.products[n]
	return federate.Product{Name: n, ID: p.id, Store: p.store, Shard: func(string, weft.Seq) (string, weft.Shard, bool) {
		if r.c.moved != nil && r.c.moved(n) {
			return "", weft.Shard{}, false
		}
		for _, c := range p.Columns {
			if c.Shard != nil {
				return c.Name, *c.Shard, true
			}
		}
		return "", weft.Shard{}, false
	}}, ok
}

// Names lists the products of the domain.
func (r *circleReader) Names(weft.Subject) (out []weft.Name) {
	for n := range r.products {
		out = append(out, n)
	}
	return out
}

// Far gives a product of another domain.
func (r *circleReader) Far(_ weft.Subject, n weft.Name) (*federate.Far, error) {
	other := r.c.readers[n.Domain]
	if other == nil || other == r {
		return nil, nil
	}
	p, ok := other.products[n]
	if !ok {
		return nil, nil
	}
	t := federate.FarTable{Name: p.Name, Key: p.Key, Rows: p.rows}
	if !r.c.honest && len(p.Columns)%4 > 0 { // as if it were large: keys travel to it, whatever they are worth
		t.Rows *= 1000
	}
	for _, c := range p.Columns {
		typ, err := contract.ParseType("", c.Type)
		if err != nil {
			return nil, err
		}
		t.Columns = append(t.Columns, federate.FarColumn{Name: c.Name, Type: typ, Shard: c.Shard})
	}
	return &federate.Far{Name: n, Node: other.key, Tables: []federate.FarTable{t}}, nil
}

// Ask has another reader answer.
func (r *circleReader) Ask(ctx context.Context, node weft.KeyID, q federate.FarQuestion) (*weft.Answer, error) {
	if err := r.c.reach(ctx, node); err != nil {
		return nil, err
	}
	if len(q.Shards) > 0 {
		r.c.counted.Add(1)
	}
	if len(q.Guests) > 0 {
		r.c.away.Add(1)
	}
	ans, err := r.c.reader(node).Answer(ctx, q)
	if err != nil {
		return nil, err
	}
	whole := *ans
	whole.Parts = func() []weft.PartUse { return []weft.PartUse{{Node: node, Name: r.Called(node), Cut: ans.Cut}} }
	return &whole, nil
}

// Points asks another reader where its products are.
func (r *circleReader) Points(ctx context.Context, node weft.KeyID, s weft.Subject, products []weft.Name, at weft.At) (weft.Cut, error) {
	if err := r.c.reach(ctx, node); err != nil {
		return nil, err
	}
	return r.c.reader(node).Federation.Points(ctx, s, products, at)
}

// Near finds nothing: the tests' questions name what there is.
func (r *circleReader) Near(weft.Subject, string) (weft.Name, bool) { return weft.Name{}, false }

// MayRead lets all values go everywhere.
func (r *circleReader) MayRead(weft.KeyID, *federate.Far, string) bool { return true }

// Called is the domain.
func (r *circleReader) Called(node weft.KeyID) string { return r.c.reader(node).domain }

// Ask asks at the node of a domain.
func (m *Mesh) Ask(ctx context.Context, domain, sql string) (*Answer, error) {
	return m.At(domain).Ask(ctx, sql)
}

var (
	_ Asked = (*Mesh)(nil)
	_ Asked = (*Circle)(nil)
)
