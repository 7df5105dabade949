package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"weft"
	"weft/meshtest/fedtest"
	"weft/serve"
)

// benchPull measures how fast a whole product comes from another node: as a copy, whose
// files are held against their digests and synced, and as the rows of a view, which pass
// the origin's gate and are checked value by value. Both are given in bytes of the rows
// as uncompressed Arrow.
func benchPull(ctx context.Context, o options, r *report) (err error) {
	data, err := fedtest.TPCHData(ctx, o.dir, o.scale)
	if err != nil {
		return err
	}
	m := &tpchMesh{o: o, split: fedtest.TPCHSplits()[0], data: data, nodes: map[string]*tpchNode{}}
	defer func() { err = errors.Join(err, m.stop()) }()
	var lineitem fedtest.Product
	for _, d := range m.split.Domains {
		for _, p := range m.split.Products(d, data) {
			if p.Name == "lineitem" {
				lineitem = p
			}
		}
	}
	dir := filepath.Join(o.dir, "pull")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	domains := []string{fedtest.Asker, lineitem.Domain}
	for _, d := range domains {
		n := &tpchNode{files: map[string]string{}}
		if n.wire, err = newWire(); err != nil {
			return err
		}
		if n.process, err = startNode(ctx, o, filepath.Join(dir, d), "--name", d, "--domain", d); err != nil {
			n.wire.close()
			return err
		}
		m.nodes[d] = n
	}
	if err := m.found(ctx, domains); err != nil {
		return err
	}
	origin := m.nodes[lineitem.Domain]
	folder, err := lineitem.Write(filepath.Join(origin.dir, "folders"))
	if err != nil {
		return err
	}
	if err := lend(filepath.Join(folder, "product.odps.yaml")); err != nil {
		return err
	}
	if _, err := origin.weft(ctx, o, "apply", folder); err != nil {
		return err
	}
	name := weft.Name{Domain: lineitem.Domain, Product: lineitem.Name}
	if err := m.heard(ctx, name); err != nil {
		return err
	}
	return m.pulls(ctx, r, name)
}

// lend has a product's folder consent to copies.
func lend(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	s := strings.Replace(string(b), "customProperties: [{property: weftReaders", "customProperties: [{property: weftReplicas, value: {domains: '*', for: 1h}}, {property: weftReaders", 1)
	return os.WriteFile(path, []byte(s), 0o644)
}

// pulls takes both in turns.
func (m *tpchMesh) pulls(ctx context.Context, r *report, name weft.Name) error {
	var copies, views sample
	for range m.o.rounds {
		size, took, err := m.view(ctx, name)
		if err != nil {
			return err
		}
		views = append(views, float64(size)/1e9/took.Seconds())
		if took, err = m.copy(ctx, name); err != nil {
			return err
		}
		copies = append(copies, float64(size)/1e9/took.Seconds())
	}
	for _, x := range []struct {
		what  string
		s     sample
		least float64
	}{
		{"copy of lineitem, verified and synced", copies, 1},
		{"lineitem as a view, through the gate and into a client", views, 0.3},
	} {
		r.add(line{
			what: x.what, weft: fmt.Sprintf("%.2f GB/s of Arrow", x.s.median()), figure: fmt.Sprintf("%.2f GB/s", x.s.median()),
			asked: fmt.Sprintf("at least %.1f GB/s", x.least), kept: x.s.median() >= x.least, measured: m.o.scale == 1,
		})
	}
	return nil
}

// view reads all rows, less none, as an answer of the origin, and gives their size.
func (m *tpchMesh) view(ctx context.Context, name weft.Name) (size int64, took time.Duration, err error) {
	began := time.Now()
	ans, err := m.nodes[fedtest.Asker].client.Query(ctx, serve.QueryRequest{SQL: "SELECT * FROM " + name.String() + " WHERE l_quantity > 0"})
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = ans.Close() }()
	for ans.Rows.Next() {
		for _, c := range ans.Rows.RecordBatch().Columns() {
			size += int64(c.Data().SizeInBytes())
		}
	}
	return size, time.Since(began), ans.Rows.Err()
}

// copy makes a copy, and removes it again.
func (m *tpchMesh) copy(ctx context.Context, name weft.Name) (time.Duration, error) {
	client := m.nodes[fedtest.Asker].client
	began := time.Now()
	if _, err := client.AddReplica(ctx, name); err != nil {
		return 0, err
	}
	for {
		all, err := client.Replicas(ctx)
		if err != nil {
			return 0, err
		}
		if len(all) == 1 && all[0].State == "current" {
			break
		}
		if len(all) == 1 && all[0].State != "copying" && all[0].State != "behind" {
			return 0, fmt.Errorf("the copy is %s: %s", all[0].State, all[0].Reason)
		}
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(began)
	return took, client.RemoveReplica(ctx, name)
}
