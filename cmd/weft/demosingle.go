package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weft"
	"weft/contract"
	"weft/demo"
	"weft/node"
	"weft/serve"
	"weft/serve/client"
)

// demoSingle runs one node that holds all domains, applies the folders and takes the
// tour of its questions.
func (a *app) demoSingle(cmd *cobra.Command, dir string, check bool) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return weft.Errorf(weft.KindInvalid, "start the demo", dir, "%w", err)
	}
	cfg, err := a.nodeConfig(dir, cmd.Flags())
	if err != nil {
		return err
	}
	cfg.Name, cfg.Domains = "demo", nil
	folders := filepath.Join(cfg.Data, "demo")
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return weft.Errorf(weft.KindUnavailable, "write the demo", cfg.Data, "%w", err)
	}
	if err := demo.Write(folders); err != nil {
		return weft.Errorf(weft.KindUnavailable, "write the demo", folders, "%w", err)
	}
	return a.runNode(cmd.Context(), cfg, func(ctx context.Context, n *node.Node) error {
		if err := a.applyDemo(ctx, n, folders); err != nil {
			return err
		}
		cl, err := client.New(client.Config{URL: n.URL(), Token: n.Token()})
		if err != nil {
			return err
		}
		defer cl.Close()
		wrong, err := a.tour(ctx, cl, check)
		switch {
		case err != nil:
			return err
		case check && wrong > 0:
			a.err.printf("%d of %d answers are wrong\n", wrong, len(demo.Tour()))
			return no()
		case check:
			a.out.printf("all %d answers are right\n", len(demo.Tour()))
			return answerNo{exitDone} // ends the node
		}
		a.demoGoodbye(folders)
		return nil
	})
}

// applyDemo applies the folders, those that others are made from first.
func (a *app) applyDemo(ctx context.Context, n *node.Node, dir string) error {
	start := time.Now()
	u := &upWork{app: a, node: n, dir: dir, applied: map[string]weft.Hash{}}
	work := applyWork{app: a, to: u, local: true, here: true}
	var folders []folder
	products := map[string]*contract.Folder{}
	for _, rel := range contract.Find(os.DirFS(dir), ".") {
		f := folder{dir: filepath.Join(dir, filepath.FromSlash(rel)), shown: rel}
		p, faults := f.read()
		if p == nil || contract.HasErrors(faults) {
			printFaults(a.err, faults)
			return weft.Errorf(weft.KindInternal, "apply the demo", rel, "its folder has faults")
		}
		folders, products[f.dir] = append(folders, f), p
	}
	for _, f := range byInputs(folders, products) {
		res, took, err := work.one(ctx, f, products[f.dir])
		if err != nil {
			return err
		}
		printApply(a.out, res, took)
		if res.Outcome == serve.OutcomeRefused || res.Outcome == serve.OutcomeFaults {
			return weft.Errorf(weft.KindInternal, "apply the demo", f.shown, "it was not taken")
		}
	}
	a.out.printf("%d products in %s\n", len(folders), span(time.Since(start)))
	return nil
}

// tour asks each question and prints it with its answer; with check, wrong
// answers are counted and shown beside the right ones.
func (a *app) tour(ctx context.Context, cl *client.Client, check bool) (wrong int, err error) {
	for i, step := range demo.Tour() {
		a.out.printf("\n%s\n", a.out.paint(bold, fmt.Sprintf("%d. %s", i+1, step.Title)))
		for line := range strings.SplitSeq(strings.TrimSpace(step.SQL), "\n") {
			a.out.println(a.out.paint(dim, "   "+line))
		}
		if err := a.ask(ctx, cl, step.SQL); err != nil {
			return wrong, err
		}
		if !check {
			continue
		}
		got, err := csvLines(ctx, cl, step.SQL)
		if err != nil {
			return wrong, err
		}
		if !slices.Equal(got, step.Want) {
			wrong++
			a.err.printf("%s the answer should be\n  %s\nand is\n  %s\n", a.err.paint(red, "wrong:"),
				strings.Join(step.Want, "\n  "), strings.Join(got, "\n  "))
		}
	}
	a.out.println("")
	return wrong, nil
}

// ask prints the answer to one question as a table.
func (a *app) ask(ctx context.Context, cl *client.Client, sql string) error {
	start := time.Now()
	ans, err := cl.Query(ctx, serve.QueryRequest{SQL: sql, Purpose: "demo"})
	if err != nil {
		return err
	}
	defer func() { _ = ans.Close() }()
	_, err = a.encode(a.out, serve.FormatTable, ans, start)
	return err
}

// csvLines gives the rows of an answer as CSV without the header.
func csvLines(ctx context.Context, cl *client.Client, sql string) ([]string, error) {
	ans, err := cl.Query(ctx, serve.QueryRequest{SQL: sql, Purpose: "demo"})
	if err != nil {
		return nil, err
	}
	defer func() { _ = ans.Close() }()
	var b bytes.Buffer
	if _, err := serve.Encode(&b, serve.FormatCSV, ans); err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(b.String(), "\r\n", "\n")), "\n")
	return lines[1:], nil
}

// demoGoodbye says how to go on.
func (a *app) demoGoodbye(folders string) {
	p := a.out
	p.println("the node stays up; in another terminal, in this folder:")
	for _, l := range []string{
		"weft status",
		"weft show operations.flights",
		"weft checks insights.delays",
		`weft query "SELECT * FROM insights.delays LIMIT 10"`,
	} {
		p.println("  " + p.paint(cyan, l))
	}
	p.indent("", "the product folders are in "+folders+"; Ctrl-C stops the node", plain)
}
