package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"weft"
	"weft/contract"
	"weft/serve/client"
)

// demoPatience is how long anything of the mesh may take to come about.
const demoPatience = 30 * time.Second

// ready waits until the node answers, and connects to it.
func (n *demoNode) ready(ctx context.Context) error {
	return until(ctx, "the node of "+n.domain+" answers", func() error { return n.connect(ctx) })
}

// until asks again and again until there is no error.
func until(ctx context.Context, what string, ask func() error) error {
	end := time.NewTimer(demoPatience)
	defer end.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-end.C:
			return weft.Errorf(weft.KindUnavailable, "start the demo", "", "%s: not within %s: %w", what, demoPatience, err)
		case <-tick.C:
		}
	}
}

func (n *demoNode) connect(ctx context.Context) error {
	data := filepath.Join(n.home, dataFolder)
	b, err := readBounded(filepath.Join(data, "node.json"), 64<<10)
	if err != nil {
		return err
	}
	var at struct{ URL string }
	if err := json.Unmarshal(b, &at); err != nil {
		return err
	}
	token, err := client.ReadToken(filepath.Join(data, "token"))
	if err != nil {
		return err
	}
	cl, err := client.New(client.Config{URL: at.URL, Token: token, UserAgent: "weft/" + programVersion()})
	if err != nil {
		return err
	}
	if err := cl.Ready(ctx); err != nil {
		cl.Close()
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.client != nil {
		n.client.Close()
	}
	n.client, n.url = cl, at.URL
	return nil
}

// settle writes where the node is into its settings: it is there at the next start, and
// weft up starts it there by itself.
func (n *demoNode) settle() error {
	n.mu.Lock()
	u, err := url.Parse(n.url)
	if err == nil {
		n.listen = u.Host
	}
	text := fmt.Sprintf("# Written by weft demo.\nname: %s\ndomain: %s\nlisten: %s\n", n.domain, n.domain, n.listen)
	n.mu.Unlock()
	if err == nil {
		err = os.WriteFile(filepath.Join(n.home, configFile), []byte(text), 0o600)
	}
	if err != nil {
		return weft.Errorf(weft.KindUnavailable, "write the settings", n.home, "%w", err)
	}
	return nil
}

// at is the node's URL.
func (n *demoNode) at() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.url
}

// knowsInputs waits until the node has heard of the products that a new one is made
// from.
func (n *demoNode) knowsInputs(ctx context.Context, f *contract.Folder) error {
	if n.knows(ctx, f.Name) == nil {
		return nil // it runs: what it is made from may be away
	}
	for _, in := range f.Inputs {
		if in.Product.IsZero() || in.Product.Domain == n.domain {
			continue
		}
		err := until(ctx, fmt.Sprintf("%s knows %s", n.domain, in.Product), func() error { return n.knows(ctx, in.Product) })
		if err != nil {
			return err
		}
	}
	return nil
}

// knows is nil once the node has heard of the rows of a product.
func (n *demoNode) knows(ctx context.Context, name weft.Name) error {
	d, err := n.client.Product(ctx, name)
	if err == nil && d.Rows == 0 {
		err = errNotYet
	}
	return err
}

func (n *demoNode) disconnect() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.client != nil {
		n.client.Close()
		n.client = nil
	}
}

// command gives a command to the node, as if it were typed in its folder, and
// returns what it prints and its exit code.
func (n *demoNode) command(ctx context.Context, a *app, in io.Reader, args ...string) (out, errs string, code int) {
	var o, e bytes.Buffer
	sub := &app{
		env: environment{process: map[string]string{}}, in: in,
		out: &printer{Writer: &o, colour: a.out.colour, width: a.out.width},
		err: &printer{Writer: &e, colour: a.out.colour, width: a.out.width},
	}
	sub.env.process["WEFT_NODE"] = n.at()
	if token, err := client.ReadToken(filepath.Join(n.home, dataFolder, "token")); err == nil {
		sub.env.process["WEFT_TOKEN"] = token
	}
	defer sub.hangUp()
	root := sub.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if _, quiet := err.(answerNo); err != nil && !quiet {
		printError(sub.err, err)
	}
	return o.String(), e.String(), exitCode(ctx, err)
}
