package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"weft"
	"weft/demo"
	"weft/node"
	"weft/run"
	"weft/serve"
)

// demoMesh runs the nodes of the demonstration, makes a mesh of them and takes the
// tour. All of them end with ctx.
func (a *app) demoMesh(ctx context.Context, dir string, set *pflag.FlagSet, check bool) error {
	m, err := a.newDemoMesh(dir, set)
	if err != nil {
		return err
	}
	outer := ctx
	g := run.NewGroup(ctx)
	for _, n := range m.nodes {
		g.Go(n.domain, func(ctx context.Context) error {
			return n.supervise(ctx, func(what string) { a.out.indent("", what, yellow) })
		})
	}
	var failed error
	g.Go("tour", func(ctx context.Context) error {
		if failed = m.begin(ctx); failed == nil {
			failed = m.tour(ctx, check)
		}
		return failed
	})
	err = g.Wait()
	m.close()
	switch {
	case failed == error(answerNo{exitDone}), outer.Err() != nil:
		return nil // it was to end
	case failed != nil && !errors.Is(failed, context.Canceled):
		return failed
	}
	return err
}

// demoMesh is the mesh of the demonstration.
type demoMesh struct {
	app   *app
	base  string
	nodes []*demoNode
}

// newDemoMesh lays out the folders of the nodes. The flags that were set are theirs
// as well, but for those that tell them apart.
func (a *app) newDemoMesh(dir string, set *pflag.FlagSet) (*demoMesh, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, weft.Errorf(weft.KindInvalid, "start the demo", dir, "%w", err)
	}
	m := &demoMesh{app: a, base: filepath.Join(dir, dataFolder)}
	if err = os.MkdirAll(m.base, 0o700); err == nil {
		err = os.WriteFile(filepath.Join(m.base, ".gitignore"), []byte("*\n"), 0o600)
	}
	if err != nil {
		return nil, weft.Errorf(weft.KindUnavailable, "write the demo", m.base, "%w", err)
	}
	var all []string
	memory := false
	set.Visit(func(f *pflag.Flag) {
		o, ok := f.Value.(*optionFlag)
		switch {
		case !ok, f.Name == "listen", f.Name == "data", f.Name == "name", f.Name == "domain":
			return
		case f.Name == "memory":
			memory = true
		}
		all = append(all, "--"+f.Name+"="+o.text)
	})
	if !memory { // they share the machine
		whole := node.Config{Data: m.base}.WithDefaults().AllMemory
		all = append(all, fmt.Sprintf("--memory=%dMiB", max(whole/int64(len(demo.Domains())), 1<<30)>>20))
	}
	for i, domain := range demo.Domains() {
		home := filepath.Join(m.base, domain)
		if err := os.MkdirAll(home, 0o700); err != nil {
			return nil, weft.Errorf(weft.KindUnavailable, "write the demo", home, "%w", err)
		}
		listen, err := demoAddress(home, set, i)
		if err != nil {
			return nil, err
		}
		m.nodes = append(m.nodes, newDemoNode(domain, home, listen, append([]string{"--data=" + dataFolder, "--name=" + domain, "--domain=" + domain}, all...)))
	}
	return m, nil
}

// demoAddress is where the node number i listens: where it did before, or behind the
// first one, or anywhere.
func demoAddress(home string, set *pflag.FlagSet, i int) (string, error) {
	listen := defaults().Listen
	f := set.Lookup("listen")
	if f.Changed {
		listen = f.Value.String()
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err // the flag was checked
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return "", err
	}
	// The others look for it where it was, so that it is there again if it may.
	if !f.Changed || n == 0 {
		if s, faults := loadSettings(home, noFlags(), environment{}); len(faults) == 0 && s.from["listen"] != "" {
			return s.Listen, nil
		}
	}
	if n > 0 {
		n += i
	}
	return net.JoinHostPort(host, strconv.Itoa(n)), nil
}

func (m *demoMesh) close() {
	for _, n := range m.nodes {
		n.disconnect()
	}
}

// at is the node of a domain.
func (m *demoMesh) at(domain string) *demoNode {
	for _, n := range m.nodes {
		if n.domain == domain {
			return n
		}
	}
	return nil
}

// begin waits for the nodes, makes one mesh of them, and publishes their products.
func (m *demoMesh) begin(ctx context.Context) error {
	began, out := time.Now(), m.app.out
	g, all := errgroup.WithContext(ctx)
	for _, n := range m.nodes {
		g.Go(func() error { return n.ready(all) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, n := range m.nodes {
		if err := n.settle(); err != nil {
			return err
		}
		out.printf("%s at %s  %s\n", out.paint(bold, fmt.Sprintf("%-10s", n.domain)), n.at(), out.paint(dim, n.home))
	}
	if err := m.join(ctx); err != nil {
		return err
	}
	if err := m.publish(ctx); err != nil {
		return err
	}
	out.printf("%d nodes, one mesh, all products published in %s\n", len(m.nodes), span(time.Since(began)))
	return nil
}

// join founds the mesh at the first node, and invites the others; what is in it from
// an earlier start stays.
func (m *demoMesh) join(ctx context.Context) error {
	first := m.nodes[0]
	for i, n := range m.nodes {
		info, err := n.client.Mesh(ctx)
		if err != nil {
			return err
		}
		if info.Joined {
			continue
		}
		if i == 0 {
			if _, err := m.show(ctx, n, nil, "mesh", "init", "--name", "flights", "--domain", n.domain); err != nil {
				return err
			}
			continue
		}
		invite := []string{"invite", "--domain", n.domain}
		token, errs, code := first.command(ctx, m.app, nil, invite...)
		if code != exitDone {
			return weft.Errorf(weft.KindUnavailable, "start the demo", n.domain, "it could not be invited: %s", oneLine(errs, 400))
		}
		m.line(first, invite)
		if _, err := m.show(ctx, n, strings.NewReader(token), "join", "-"); err != nil {
			return err
		}
	}
	return nil
}

// show gives a command to a node and prints both; a code other than 0 is an error.
func (m *demoMesh) show(ctx context.Context, n *demoNode, in io.Reader, args ...string) (string, error) {
	m.line(n, args)
	out, errs, code := n.command(ctx, m.app, in, args...)
	m.app.out.printf("%s%s", out, errs)
	if code != exitDone {
		return out, weft.Errorf(weft.KindInternal, "run", "weft "+args[0], "at %s it ends with code %d", n.domain, code)
	}
	return out, nil
}

// line prints a command as it would be typed.
func (m *demoMesh) line(n *demoNode, args []string) {
	var words []string
	for _, w := range args {
		if strings.ContainsAny(w, " \n\"*()") {
			w = `"` + w + `"`
		}
		words = append(words, w)
	}
	m.app.out.println(m.app.out.paint(dim, n.domain+"$ weft "+strings.Join(words, " ")))
}

// publish applies the folders of all nodes; those whose products are made from others'
// come last.
func (m *demoMesh) publish(ctx context.Context) error {
	var g errgroup.Group
	printed := make([]strings.Builder, len(m.nodes))
	for i, n := range m.nodes {
		g.Go(func() error {
			p := *m.app.out
			p.Writer = &printed[i]
			return m.apply(ctx, n, &p)
		})
	}
	err := g.Wait()
	for i := range printed {
		m.app.out.printf("%s", printed[i].String())
	}
	return err
}

// apply applies the folders of a node, once it knows the products that these are made
// from.
func (m *demoMesh) apply(ctx context.Context, n *demoNode, out *printer) error {
	// Not before: weft up would apply them, of which some wait for others.
	if err := demo.WriteDomain(n.home, n.domain); err != nil {
		return weft.Errorf(weft.KindUnavailable, "write the demo", n.home, "%w", err)
	}
	quiet := &app{env: m.app.env, out: out, err: &printer{Writer: m.app.err.Writer, width: m.app.err.width}}
	folders, products, err := quiet.readFolders([]string{n.home})
	if err != nil {
		return err
	}
	work := applyWork{app: quiet, to: n.client, local: true, here: true}
	for _, f := range byInputs(folders, products) {
		if err := n.knowsInputs(ctx, products[f.dir]); err != nil {
			return err
		}
		f.shown = filepath.Join(n.domain, filepath.Base(f.dir))
		res, took, err := work.one(ctx, f, products[f.dir])
		if err != nil {
			return err
		}
		if res.Outcome != serve.OutcomeUnchanged {
			printApply(out, res, took)
		}
		if res.Outcome == serve.OutcomeRefused || res.Outcome == serve.OutcomeFaults {
			return weft.Errorf(weft.KindInternal, "apply the demo", f.shown, "it was not taken")
		}
	}
	return nil
}
