package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"weft"
	"weft/contract"
	"weft/node"
	"weft/serve"
)

// upPurpose is why the node of this process asks itself.
const upPurpose = "operate"

func (a *app) upCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "up [DIR]",
		Short: "Start a node in a folder of product folders",
		Long: `Start a node in DIR, or here. Settings come from flags, WEFT_* variables and
DIR/weft.yaml, in this order; secrets for ${VAR} from the environment and DIR/.env.
Data is kept in DIR/.weft, which ignores itself in git.

Product folders that the node does not have yet are applied. For the others it is
shown how they differ from what runs: weft apply brings the change. With --watch
every edit is applied; that is for a laptop.

The node stops on Ctrl-C or SIGTERM. It takes nothing new then, and what is running
has 25 seconds to end; the whole stop takes 30 at most. A second signal ends it at
once.`,
		Args: atMostOne,
	}
	watch := c.Flags().Bool("watch", false, "apply folders whenever they change")
	addFlags(c.Flags())
	c.RunE = func(cmd *cobra.Command, args []string) error {
		dir := "."
		if len(args) == 1 {
			dir = args[0]
		}
		return a.up(cmd.Context(), dir, cmd.Flags(), *watch)
	}
	return c
}

// up runs a node in dir until ctx ends.
func (a *app) up(ctx context.Context, dir string, flags *pflag.FlagSet, watch bool) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return weft.Errorf(weft.KindInvalid, "start the node", dir, "%w", err)
	}
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return weft.Errorf(weft.KindNotFound, "start the node", dir, "there is no such folder")
	}
	cfg, err := a.nodeConfig(dir, flags)
	if err != nil {
		return err
	}
	return a.runNode(ctx, cfg, func(ctx context.Context, n *node.Node) error {
		u := upWork{app: a, node: n, dir: dir, applied: map[string]weft.Hash{}}
		if err := u.first(ctx); err != nil {
			return err
		}
		if watch {
			return u.watch(ctx)
		}
		return nil
	})
}

// upWork applies the folders of weft up.
type upWork struct {
	app     *app
	node    *node.Node
	dir     string
	applied map[string]weft.Hash // what was applied last, by folder
}

// Apply hands a folder to the node of this process.
func (u *upWork) Apply(ctx context.Context, r serve.ApplyRequest, progress serve.Progress) (*serve.ApplyResult, error) {
	return u.node.Apply(ctx, operator(), r, progress)
}

// operator is who acts through the process itself.
func operator() weft.Subject {
	return weft.Subject{Kind: weft.SubjectService, ID: "weft up", Purpose: upPurpose, Domains: []string{weft.AllDomains}}
}

// first applies what the node does not have, and shows how the rest differs. A
// folder that cannot be applied is shown and stops nothing.
func (u *upWork) first(ctx context.Context) error {
	a := u.app
	folders, products := u.read()
	runs := map[weft.Name]node.Applied{}
	for _, r := range u.node.Applied() {
		runs[r.Name] = r
	}
	vanished := u.vanished(runs)
	work := applyWork{app: a, to: u, local: true, here: true}
	for _, f := range byInputs(folders, products) {
		p := products[f.dir]
		if r, ok := runs[p.Name]; ok && r.Folder == p.Hash && !r.Retired {
			u.applied[f.dir] = p.Hash
			continue // it is what runs
		}
		plan := work
		plan.dry = true
		res, took, err := plan.one(ctx, f, p)
		if err == nil && res.New && res.Outcome == serve.OutcomePlanned {
			res, took, err = work.one(ctx, f, p)
		}
		if ctx.Err() != nil {
			return nil
		}
		u.applied[f.dir] = p.Hash
		switch {
		case err != nil:
			printError(a.err, err)
		case res.Outcome == serve.OutcomePlanned, res.Outcome == serve.OutcomeBreaks:
			u.differs(f, res)
		default:
			printApply(a.out, res, took)
		}
	}
	for _, v := range vanished {
		a.out.indent("", v, yellow)
	}
	a.out.println("ready; weft status shows the products, Ctrl-C stops the node")
	return nil
}

// differs prints how a folder differs from what runs.
func (u *upWork) differs(f folder, res *serve.ApplyResult) {
	p := u.app.out
	if len(res.Differences) == 0 {
		return
	}
	p.printf("%s differs from what runs:\n", p.paint(bold, res.Product.String()))
	printDifferences(p, res.Differences)
	p.indent("→ ", "weft apply "+f.shown, cyan)
}

// read reads the product folders below the node's; those with errors are printed
// and left out.
func (u *upWork) read() ([]folder, map[string]*contract.Folder) {
	var folders []folder
	products := map[string]*contract.Folder{}
	for _, rel := range contract.Find(os.DirFS(u.dir), ".") {
		f := folder{dir: filepath.Join(u.dir, filepath.FromSlash(rel)), shown: filepath.FromSlash(rel)}
		if wd := mustGetwd(); wd != u.dir {
			if shown, err := filepath.Rel(wd, f.dir); err == nil {
				f.shown = shown
			}
		}
		p, faults := f.read()
		if p == nil || contract.HasErrors(faults) {
			printFaults(u.app.err, faults)
			continue
		}
		folders = append(folders, f)
		products[f.dir] = p
	}
	return folders, products
}

// vanished says which products run whose folder below the node's is gone.
func (u *upWork) vanished(runs map[weft.Name]node.Applied) []string {
	var out []string
	for _, r := range runs {
		if r.Retired || !strings.HasPrefix(r.Dir, u.dir+string(filepath.Separator)) {
			continue
		}
		if _, err := os.Stat(filepath.Join(r.Dir, productFile)); os.IsNotExist(err) {
			out = append(out, r.Name.String()+": its folder has vanished; it runs on as it was applied (weft retire or weft delete end it)")
		}
	}
	slices.Sort(out)
	return out
}
