package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"weft"
	"weft/contract"
	"weft/node"
	"weft/run"
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

The node stops on Ctrl-C or SIGTERM, after what is running has ended or 30 seconds
have passed.`,
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

// nodeConfig reads the settings of a node in dir.
func (a *app) nodeConfig(dir string, flags *pflag.FlagSet) (node.Config, error) {
	s, faults := loadSettings(dir, flags, a.env)
	if len(faults) > 0 {
		for i, f := range faults {
			if rel, err := filepath.Rel(mustGetwd(), f.File); err == nil && !strings.HasPrefix(rel, "..") {
				faults[i].File = rel
			}
		}
		printFaults(a.err, faults)
		return node.Config{}, answerNo{exitFailed}
	}
	env, err := a.env.withFile(dir)
	if err != nil {
		return node.Config{}, err
	}
	if s.Name == "" {
		s.Name, _ = os.Hostname()
	}
	return node.Config{
		Name: s.Name, Version: programVersion(), Domains: s.Domains,
		Data: resolve(dir, s.Data), Listen: s.Listen, Hosts: s.Hosts, Env: s.Env,
		TLSCert: resolveFile(dir, s.TLSCert), TLSKey: resolveFile(dir, s.TLSKey),
		Memory: s.QueryMemory, Threads: s.QueryThreads, Deadline: s.QueryDeadline, Concurrency: s.QueryConcurrency,
		LoadMemory: s.LoadMemory, Loads: s.LoadConcurrency, TempBytes: s.Spill,
		KeepFor: s.KeepTime, KeepBytes: s.KeepBytes,
		Secrets: env.secret,
		RunEnv:  run.Env{Log: newLogger(a.logWriter(), s.LogLevel, s.LogFormat), Clock: run.Wall{}},
	}, nil
}

func mustGetwd() string {
	wd, err := os.Getwd()
	if err != nil {
		return "/"
	}
	return wd
}

// resolveFile is resolve for a setting that may be empty.
func resolveFile(dir, path string) string {
	if path == "" {
		return ""
	}
	return resolve(dir, path)
}

// newLogger makes the node's logger.
func newLogger(w io.Writer, level, format string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	opt := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, opt))
	}
	return slog.New(slog.NewTextHandler(w, opt))
}

// runNode runs a node until ctx ends, and says where it is. Once it answers, then
// runs beside it; an error of then stops the node.
func (a *app) runNode(ctx context.Context, cfg node.Config, then func(context.Context, *node.Node) error) error {
	return serveNode(ctx, cfg, func(ctx context.Context, n *node.Node) error {
		a.out.printf("%s at %s\n", a.out.paint(bold, cfg.Name), n.URL())
		return then(ctx, n)
	})
}

// quietNode runs a node as long as do runs.
func (a *app) quietNode(ctx context.Context, cfg node.Config, do func(context.Context, *node.Node) error) error {
	err := serveNode(ctx, cfg, func(ctx context.Context, n *node.Node) error {
		if err := do(ctx, n); err != nil {
			return err
		}
		return answerNo{exitDone}
	})
	if err == error(answerNo{exitDone}) {
		return nil
	}
	return err
}

// serveNode runs a node until ctx ends or then, which runs beside it once it
// answers, fails.
func serveNode(ctx context.Context, cfg node.Config, then func(context.Context, *node.Node) error) error {
	n, err := node.New(cfg)
	if err != nil {
		return err
	}
	if err := n.Open(ctx); err != nil {
		return err
	}
	g := run.NewGroup(ctx)
	var failed error
	g.Go("node", n.Run)
	g.Go("apply", func(ctx context.Context) error {
		if err := untilReady(ctx, n); err != nil {
			return err
		}
		failed = then(ctx, n)
		return failed
	})
	err = g.Wait()
	if cerr := n.Close(); err == nil {
		err = cerr
	}
	switch {
	case failed != nil && ctx.Err() == nil:
		return failed
	case err != nil && ctx.Err() != nil && weft.KindOf(err) == weft.KindCancelled:
		return nil
	}
	return err
}

// untilReady waits until the node answers.
func untilReady(ctx context.Context, n *node.Node) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for n.Ready(ctx) != nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
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
	return weft.Subject{Kind: weft.SubjectService, ID: "weft up", Purpose: upPurpose}
}

// first applies what the node does not have, and shows how the rest differs. A
// folder that cannot be applied is shown and stops nothing.
func (u *upWork) first(ctx context.Context) error {
	a := u.app
	folders, products := u.read()
	vanished, err := u.vanished(ctx)
	if err != nil {
		return err
	}
	work := applyWork{app: a, to: u, local: true}
	for _, f := range byInputs(folders, products) {
		p := products[f.dir]
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
		case res.Outcome == serve.OutcomePlanned:
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
func (u *upWork) vanished(ctx context.Context) ([]string, error) {
	list, err := u.node.List(ctx, operator())
	if err != nil {
		return nil, err
	}
	var out []string
	for _, s := range list {
		if s.Life == weft.LifeRetired {
			continue
		}
		d, err := u.node.Show(ctx, operator(), s.Name)
		if err != nil || d.Folder == "" || !strings.HasPrefix(d.Folder, u.dir+string(filepath.Separator)) {
			continue
		}
		if _, err := os.Stat(filepath.Join(d.Folder, productFile)); os.IsNotExist(err) {
			out = append(out, s.Name.String()+": its folder has vanished; it runs on as it was applied (weft retire or weft delete end it)")
		}
	}
	return out, nil
}
