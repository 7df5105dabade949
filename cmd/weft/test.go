package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/node"
	"weft/run"
	"weft/serve"
	"weft/transform"
	"weft/verify"
)

// rulePolicy is the fault of a folder with a policy. Tests run without it: they
// show nothing to anybody.
const rulePolicy = "policy-not-enforced"

func (a *app) testCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "test FOLDER…",
		Short: "Run the tests of product folders, without a node or a source",
		Long: `Run the tests of product folders: for each case of tests/, the invented rows go in,
the product's SQL and checks run, and what comes out is compared with what is
expected. It needs no node and no source.

With --env, the servers of that environment are read too and the real rows are held
against the contract; nothing is published.

Exit code 1 means that a test failed.`,
		Example: `  weft test orders
  weft test . --junit report.xml
  weft test orders --env dev`,
		Args: atLeast("FOLDER"),
	}
	format := listFormat(c.Flags(), "text", "json")
	junit := c.Flags().String("junit", "", "also write a JUnit report to this file")
	env := c.Flags().String("env", "", "also read the servers of this environment and check their rows")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		products, err := a.testable(args)
		if err != nil {
			return err
		}
		reports, err := a.test(cmd.Context(), products, *env, cmd.Flags().Changed("env"))
		if err != nil {
			return err
		}
		if *junit != "" {
			err := writeFile(*junit, func(w io.Writer) error { return transform.WriteJUnit(w, reports...) })
			if err != nil {
				return err
			}
		}
		if format.value == "json" {
			err = a.printJSON(reports)
		} else {
			err = a.printTests(reports)
		}
		if err != nil {
			return err
		}
		for _, r := range reports {
			if !r.Passed() {
				return no()
			}
		}
		return nil
	}
	return c
}

// tested is a folder with what was read of it.
type tested struct {
	folder
	product *contract.Folder
}

// testable reads folders; all faults but the one of a policy end it.
func (a *app) testable(paths []string) ([]tested, error) {
	folders, err := findFolders(paths)
	if err != nil {
		return nil, err
	}
	var out []tested
	bad := false
	for _, f := range folders {
		p, faults := f.read()
		var rest []contract.Fault
		for _, x := range faults {
			if x.Rule != rulePolicy {
				rest = append(rest, x)
			}
		}
		if p == nil || contract.HasErrors(rest) {
			printFaults(a.err, rest)
			bad = true
			continue
		}
		out = append(out, tested{f, p})
	}
	if bad {
		return nil, no()
	}
	return out, nil
}

// test runs the tests of all folders.
func (a *app) test(ctx context.Context, folders []tested, env string, server bool) ([]*transform.Report, error) {
	reports := []*transform.Report{}
	err := withWorkers(func(pool *engine.Pool) error {
		for _, f := range folders {
			r, err := transform.Test(ctx, pool, f.product, transform.Options{Check: verify.Rows})
			if err != nil {
				return err
			}
			reports = append(reports, r)
		}
		return nil
	})
	if err != nil || !server {
		return reports, err
	}
	for i, f := range folders {
		c, err := a.testServer(ctx, f, env)
		if err != nil {
			return reports, err
		}
		reports[i].Cases = append(reports[i].Cases, *c)
	}
	return reports, nil
}

// withWorkers runs do with workers that end with it.
func withWorkers(do func(*engine.Pool) error) error {
	pool := engine.NewPool(engine.PoolConfig{}, run.Quiet())
	defer pool.Close()
	return do(pool)
}

// testServer loads a folder from its servers into a node that is thrown away,
// and says which checks the rows break.
func (a *app) testServer(ctx context.Context, f tested, env string) (*transform.CaseResult, error) {
	tmp, err := os.MkdirTemp("", "weft-test-")
	if err != nil {
		return nil, weft.Errorf(weft.KindUnavailable, "test the servers of", f.product.Name.String(), "%w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	secrets, err := a.env.withFile(home(f.dir))
	if err != nil {
		return nil, err
	}
	cfg := node.Config{
		Name: "test", Version: programVersion(), Data: tmp, Listen: "127.0.0.1:0", Env: env, Secrets: secrets.secret, RunEnv: run.Quiet(),
	}
	c := &transform.CaseResult{Name: "server " + env}
	start := time.Now()
	err = a.quietNode(ctx, cfg, func(ctx context.Context, n *node.Node) error {
		w := applyWork{app: a, to: &upWork{app: a, node: n}, env: env, local: true, here: true}
		res, _, err := w.one(ctx, f.folder, f.product)
		if err != nil {
			return err
		}
		c.Failures = serverFailures(res)
		return nil
	})
	c.Took = time.Since(start)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, err
	default:
		c.Failures = append(c.Failures, transform.Failure{Text: err.Error(), Hint: weft.HintOf(err)})
	}
	return c, nil
}

// serverFailures says what a load broke.
func serverFailures(res *serve.ApplyResult) []transform.Failure {
	var out []transform.Failure
	for _, f := range res.Faults {
		if f.Severity == contract.FaultError {
			out = append(out, transform.Failure{Text: place(f) + ": " + f.Message, Hint: f.Hint})
		}
	}
	if res.Verdict != nil {
		for _, c := range res.Verdict.Checks {
			if !c.Pass && c.Severity == weft.SeverityError {
				out = append(out, transform.Failure{Table: c.Table, Text: fmt.Sprintf("%s: %s; measured: %s", c.ID, c.Text, measured(c))})
			}
		}
	}
	if len(out) == 0 && res.Outcome == serve.OutcomeRefused {
		out = append(out, transform.Failure{Text: res.Message})
	}
	return out
}

// printTests prints every case, and the sum.
func (a *app) printTests(reports []*transform.Report) error {
	cases, failed := 0, 0
	for _, r := range reports {
		cases, failed = cases+len(r.Cases), failed+r.Failed()
		if len(r.Cases) == 0 {
			a.out.printf("%s has no tests: add a folder tests/CASE with rows as CSV\n", r.Product)
			continue
		}
		if err := r.WriteText(a.out); err != nil {
			return weft.Errorf(weft.KindUnavailable, "print the report", "", "%w", err)
		}
	}
	sum := fmt.Sprintf("%s, %d failed", plural(int64(cases), "test"), failed)
	if failed > 0 {
		sum = a.out.paint(red, sum)
	}
	a.out.println(sum)
	return nil
}
