package main

import (
	"context"
	"net"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"weft/contract"
	"weft/serve"
)

// applier takes folders: a client of a node, or the node in this process.
type applier interface {
	Apply(ctx context.Context, r serve.ApplyRequest, progress serve.Progress) (*serve.ApplyResult, error)
}

func (a *app) applyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "apply FOLDER…",
		Short: "Bring product folders to the node and load them",
		Long: `Check product folders, bring them to the node with their git revision, and load
them. A folder above product folders applies all of them, a product after those it
is made from. Hidden files (.git, .env) stay here.

Exit code 1 means that a folder has faults or its data breaks the contract; what
was published before stays visible. Exit code 3 means that the change breaks
somebody.`,
		Example: `  weft apply orders
  weft apply . --dry-run`,
		Args: atLeast("FOLDER"),
	}
	format := listFormat(c.Flags(), "text", "json")
	dry := c.Flags().Bool("dry-run", false, "say what would change and change nothing")
	env := c.Flags().String("env", "", "which servers of the input contracts are read (default the node's)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		folders, products, err := a.readFolders(args)
		if err != nil {
			return err
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		w := applyWork{app: a, to: cl, env: *env, dry: *dry, local: loopbackURL(cl.URL()), json: format.value == "json"}
		return w.all(cmd.Context(), byInputs(folders, products), products)
	}
	return c
}

// readFolders reads the product folders in paths. Where one has errors, all
// faults are printed and the answer is no.
func (a *app) readFolders(paths []string) ([]folder, map[string]*contract.Folder, error) {
	folders, err := findFolders(paths)
	if err != nil {
		return nil, nil, err
	}
	products, bad := map[string]*contract.Folder{}, false
	for _, f := range folders {
		p, faults := f.read()
		if p == nil || contract.HasErrors(faults) {
			printFaults(a.err, faults)
			bad = true
			continue
		}
		products[f.dir] = p
	}
	if bad {
		a.err.println("nothing was changed: the folder has faults")
		return nil, nil, no()
	}
	return folders, products, nil
}

// applyWork applies folders one after the other.
type applyWork struct {
	app   *app
	to    applier
	env   string
	dry   bool
	local bool // the node is on this machine and can see the folder
	json  bool
}

// all applies every folder; one that is refused does not stop the others, but
// the worst outcome is the exit code.
func (w applyWork) all(ctx context.Context, folders []folder, products map[string]*contract.Folder) error {
	var results []*serve.ApplyResult
	var failed error
	for _, f := range folders {
		res, took, err := w.one(ctx, f, products[f.dir])
		if err != nil {
			if len(folders) > 1 && ctx.Err() == nil {
				printError(w.app.err, err)
				failed = answerNo{exitCode(ctx, err)}
				continue
			}
			return err
		}
		results = append(results, res)
		if !w.json {
			printApply(w.app.out, res, took)
		}
		if failed == nil {
			failed = applyExit(res)
		}
	}
	if w.json {
		if err := w.app.printJSON(results); err != nil {
			return err
		}
	}
	return failed
}

// one applies one folder.
func (w applyWork) one(ctx context.Context, f folder, p *contract.Folder) (*serve.ApplyResult, time.Duration, error) {
	r, err := w.request(ctx, f, p)
	if err != nil {
		return nil, 0, err
	}
	line, start := w.app.progress(), time.Now()
	res, err := w.to.Apply(ctx, r, line.event)
	line.clear()
	return res, time.Since(start), err
}

// request packs a folder with where it is and which revision it has.
func (w applyWork) request(ctx context.Context, f folder, p *contract.Folder) (serve.ApplyRequest, error) {
	r := serve.ApplyRequest{Env: w.env, DryRun: w.dry}
	if w.local {
		r.Dir = f.dir
	}
	r.Revision, r.Dirty = gitRevision(ctx, f.dir)
	var err error
	r.Archive, err = pack(p)
	return r, err
}

// applyExit is the error that a result ends the command with, nil where it is
// fine.
func applyExit(res *serve.ApplyResult) error {
	switch res.Outcome {
	case serve.OutcomeFaults, serve.OutcomeRefused:
		return no()
	}
	return nil
}

// printApply prints what an apply did: the differences, then how it ended.
func printApply(p *printer, res *serve.ApplyResult, took time.Duration) {
	printFaults(p, res.Faults)
	if !res.New {
		printDifferences(p, res.Differences)
	}
	o := outcome{name: res.Product, outcome: res.Outcome, commit: res.Commit, verdict: res.Verdict, message: res.Message, took: took}
	if res.Outcome == serve.OutcomePlanned && res.New {
		o.message = "it would be new here; nothing was changed: this was a dry run"
	}
	printOutcome(p, o)
}

// loopbackURL reports whether the URL's host is this machine.
func loopbackURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

func (a *app) diffCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "diff FOLDER [WITH]",
		Short: "Show how a folder differs from what runs, or from another folder",
		Long: `Show how a product folder differs from what the node runs, or, with a second
folder, from that one: weft diff OLD NEW. The second form needs no node.

Exit code 3 means that a difference breaks readers of the version before.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return exactly("FOLDER")(cmd, args)
		},
	}
	format := listFormat(c.Flags(), "text", "json")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		diffs, isNew, err := a.differences(cmd.Context(), args)
		if err != nil {
			return err
		}
		switch {
		case format.value == "json":
			if diffs == nil {
				diffs = []serve.Difference{}
			}
			if err := a.printJSON(diffs); err != nil {
				return err
			}
		case isNew:
			a.out.println("the node does not have this product yet")
		case len(diffs) == 0:
			a.out.println("no difference")
		default:
			printDifferences(a.out, diffs)
		}
		for _, d := range diffs {
			if d.Breaking {
				return answerNo{exitBreaks}
			}
		}
		return nil
	}
	return c
}

// differences compares two folders, or one with what runs.
func (a *app) differences(ctx context.Context, args []string) ([]serve.Difference, bool, error) {
	var folders []folder
	var products []*contract.Folder
	for _, path := range args {
		found, read, err := a.readFolders([]string{path})
		if err != nil {
			return nil, false, err
		}
		if len(found) != 1 {
			return nil, false, usage("compare", path, "it holds %d product folders, one is compared at a time", len(found))
		}
		folders, products = append(folders, found[0]), append(products, read[found[0].dir])
	}
	if len(args) == 2 {
		return localDifferences(products[0], products[1]), false, nil
	}
	cl, err := a.connect()
	if err != nil {
		return nil, false, err
	}
	w := applyWork{app: a, to: cl, dry: true, local: loopbackURL(cl.URL())}
	res, _, err := w.one(ctx, folders[0], products[0])
	if err != nil {
		return nil, false, err
	}
	if res.Outcome == serve.OutcomeFaults {
		printFaults(a.err, res.Faults)
		return nil, false, no()
	}
	return res.Differences, res.New, nil
}

// printDifferences prints one line a difference, those that break readers
// marked.
func printDifferences(p *printer, diffs []serve.Difference) {
	if len(diffs) == 0 {
		return
	}
	g := &grid{columns: []gridColumn{{title: ""}, {title: "where"}, {title: "difference", flex: true}, {title: "", optional: true}}}
	for _, d := range diffs {
		mark, st := "~", yellow
		switch d.What {
		case "added":
			mark, st = "+", green
		case "removed":
			mark, st = "−", red
		}
		breaks := ""
		if d.Breaking {
			breaks = "breaks readers"
		}
		g.add(styled(st, mark), cell(d.Where), cell(differenceText(d)), styled(red, breaks))
	}
	g.print(p)
}

func differenceText(d serve.Difference) string {
	switch {
	case d.Text != "":
		return d.Text
	case d.Before != "" && d.After != "":
		return d.Before + " → " + d.After
	case d.Before != "":
		return d.What + ": " + d.Before
	case d.After != "":
		return d.What + ": " + d.After
	}
	return d.What
}

// localDifferences compares two folders on this machine.
func localDifferences(before, after *contract.Folder) []serve.Difference {
	var out []serve.Difference
	for _, d := range contract.Diff(before, after) {
		out = append(out, serve.Difference{
			Where: d.Where, What: d.What, Before: d.Before, After: d.After, Breaking: d.Breaking, Text: d.Text,
		})
	}
	return out
}
