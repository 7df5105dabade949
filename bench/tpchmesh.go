package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"weft"
	"weft/meshtest/fedtest"
	"weft/serve"
)

// tpchMesh is five nodes of one mesh, as processes: four that hold the tables of TPC-H,
// and one that asks. Between them are wires.
type tpchMesh struct {
	o     options
	split fedtest.TPCHSplit
	data  string // folder of the tables
	nodes map[string]*tpchNode
}

type tpchNode struct {
	*process
	wire  *wire
	files map[string]string // of its products: table → the file that the store keeps
}

// startTPCH founds the mesh and publishes the tables.
func startTPCH(ctx context.Context, o options, split fedtest.TPCHSplit, data string) (_ *tpchMesh, err error) {
	m := &tpchMesh{o: o, split: split, data: data, nodes: map[string]*tpchNode{}}
	defer func() {
		if err != nil {
			_ = m.stop()
		}
	}()
	dir := filepath.Join(o.dir, "tpch-"+strings.ReplaceAll(split.Name, " ", "-"))
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	domains := append([]string{fedtest.Asker}, split.Domains...)
	for _, d := range domains {
		n := &tpchNode{files: map[string]string{}}
		if n.wire, err = newWire(); err != nil {
			return nil, err
		}
		if n.process, err = startNode(ctx, o, filepath.Join(dir, d), "--name", d, "--domain", d, "--mesh-advertise", n.wire.addr()); err != nil {
			n.wire.close()
			return nil, err
		}
		m.nodes[d] = n
		at, err := url.Parse(n.client.URL())
		if err != nil {
			return nil, err
		}
		n.wire.to.Store(&at.Host)
	}
	if err := m.found(ctx, domains); err != nil {
		return nil, err
	}
	return m, m.publish(ctx)
}

// found makes one mesh of the nodes.
func (m *tpchMesh) found(ctx context.Context, domains []string) error {
	first := m.nodes[domains[0]].client
	if _, err := first.FoundMesh(ctx, serve.Founding{Name: "bench", Domains: domains[:1]}); err != nil {
		return err
	}
	for _, d := range domains[1:] {
		word, err := first.Invite(ctx, serve.InviteRequest{Domain: d})
		if err != nil {
			return err
		}
		if _, err := m.nodes[d].client.JoinMesh(ctx, word.Token); err != nil {
			return err
		}
	}
	return nil
}

// publish applies the folders, one node after the other so that each has the machine,
// and waits until the asker knows all products.
func (m *tpchMesh) publish(ctx context.Context) error {
	for _, d := range m.split.Domains {
		n := m.nodes[d]
		for _, p := range m.split.Products(d, m.data) {
			folder, err := p.Write(filepath.Join(n.dir, "folders"))
			if err != nil {
				return err
			}
			if _, err := n.weft(ctx, m.o, "apply", folder); err != nil {
				return err
			}
			if err := n.keeps(p.Name); err != nil {
				return err
			}
		}
	}
	var all errgroup.Group
	for _, d := range m.split.Domains {
		for _, p := range m.split.Products(d, m.data) {
			all.Go(func() error { return m.heard(ctx, weft.Name{Domain: p.Domain, Product: p.Name}) })
		}
	}
	return all.Wait()
}

// keeps notes the one file of a product that was loaded just now.
func (n *tpchNode) keeps(table string) error {
	known := map[string]bool{}
	for _, f := range n.files {
		known[f] = true
	}
	found, err := filepath.Glob(filepath.Join(n.dir, ".weft", "products", "*", "*", "*.parquet"))
	if err != nil {
		return err
	}
	for _, f := range found {
		if !known[f] {
			if n.files[table] != "" {
				return fmt.Errorf("%s is kept in more than one file", table)
			}
			n.files[table] = f
		}
	}
	if n.files[table] == "" {
		return fmt.Errorf("%s is kept in no file", table)
	}
	return nil
}

// heard waits until the asker knows as many rows of a product as its node has.
func (m *tpchMesh) heard(ctx context.Context, p weft.Name) error {
	there, err := m.nodes[p.Domain].client.Product(ctx, p)
	if err != nil {
		return err
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		here, err := m.nodes[fedtest.Asker].client.Product(ctx, p)
		if err == nil && here.Rows == there.Rows && here.Head != nil {
			return nil
		}
		if time.Since(began) > meshMost {
			return fmt.Errorf("the asker does not know %s after %s: %w", p, meshMost, err)
		}
	}
}

// delay has everything between nodes come so much later.
func (m *tpchMesh) delay(d time.Duration) {
	for _, n := range m.nodes {
		n.wire.delay.Store(int64(d))
	}
}

// bytes is what went between the nodes so far.
func (m *tpchMesh) bytes() (all int64) {
	for _, n := range m.nodes {
		all += n.wire.bytes.Load()
	}
	return all
}

// whole is the product that is the whole of a table.
func (m *tpchMesh) whole(table string) (fedtest.Product, error) {
	for _, d := range m.split.Domains {
		for _, p := range m.split.Products(d, m.data) {
			if p.Name == table && len(m.parts(table)) == 1 {
				return p, nil
			}
		}
	}
	return fedtest.Product{}, fmt.Errorf("no product is the whole of %s", table)
}

// parts are the files of a table, wherever they are.
func (m *tpchMesh) parts(table string) (out []string) {
	for _, d := range m.split.Domains {
		if f := m.nodes[d].files[table]; f != "" {
			out = append(out, f)
		}
	}
	return out
}

func (m *tpchMesh) stop() error {
	var errs []error
	for _, n := range m.nodes {
		errs = append(errs, n.process.stop())
		n.wire.close()
	}
	return errors.Join(errs...)
}
