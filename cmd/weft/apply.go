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
readers of the version before: of an active product it is taken only with a new
major version, or with --breaking.`,
		Example: `  weft apply orders
  weft apply . --dry-run`,
		Args: atLeast("FOLDER"),
	}
	format := listFormat(c.Flags(), "text", "json")
	dry := c.Flags().Bool("dry-run", false, "say what would change and change nothing")
	breaking := c.Flags().Bool("breaking", false, "also take a change that breaks readers of the version before")
	env := c.Flags().String("env", "", "which servers of the input contracts are read (default the node's)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		folders, products, err := a.readFolders(args)
		if err != nil {
			return err
		}
		if err := a.together(folders, products); err != nil {
			return err
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		w := applyWork{app: a, to: cl, env: *env, dry: *dry, breaking: *breaking, local: loopbackURL(cl.URL()), json: format.value == "json"}
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

// together holds the folders of one apply against each other: two may be one
// product.
func (a *app) together(folders []folder, products map[string]*contract.Folder) error {
	var all []contract.Found
	for _, f := range folders {
		all = append(all, contract.Found{Dir: f.shown, Folder: products[f.dir]})
	}
	faults := contract.CheckTogether(all)
	if !contract.HasErrors(faults) {
		return nil
	}
	printFaults(a.err, faults)
	a.err.println("nothing was changed: the folders have faults")
	return no()
}

// applyWork applies folders one after the other.
type applyWork struct {
	app   *app
	to    applier
	env   string
	dry   bool
	local bool // the node is on this machine and can see the folder
	json  bool

	breaking bool // also what breaks readers
	here     bool // the node is this process
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
	w.app.goesOn = !w.dry && !w.here
	line, start := w.app.progress(), time.Now()
	res, err := w.to.Apply(ctx, r, line.event)
	line.clear()
	return res, time.Since(start), err
}

// request packs a folder with where it is and which revision it has.
func (w applyWork) request(ctx context.Context, f folder, p *contract.Folder) (serve.ApplyRequest, error) {
	r := serve.ApplyRequest{Env: w.env, DryRun: w.dry, Breaking: w.breaking}
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
	case serve.OutcomeBreaks:
		return answerNo{exitBreaks}
	}
	return nil
}

// printApply prints what an apply did: the differences, then how it ended.
func printApply(p *printer, res *serve.ApplyResult, took time.Duration) {
	printFaults(p, res.Faults)
	if !res.New {
		printDifferences(p, res.Differences)
	}
	o := outcome{name: res.Product, outcome: res.Outcome, commit: res.Commit, verdict: res.Verdict, message: res.Message, notes: res.Notes, took: took}
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
