package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"weft"
	"weft/serve"
)

func (a *app) checksCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "checks PRODUCT",
		Short: "Show what the contract promises of the data and what was measured",
		Long: `Show every check of the contract with what the last commit measured. Exit code 1
means that an error check does not hold, or that the last attempt was refused.`,
		Args:              exactly("PRODUCT"),
		ValidArgsFunction: a.completeProducts,
	}
	format := listFormat(c.Flags())
	failed := c.Flags().Bool("failed", false, "only those that do not hold")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		name, _, err := productArg(args[0])
		if err != nil {
			return err
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		d, err := cl.Product(cmd.Context(), name)
		if err != nil {
			return err
		}
		checks := checksOf(d, *failed)
		if format.value == "json" {
			if checks == nil {
				checks = []weft.CheckResult{}
			}
			if err := a.printJSON(checks); err != nil {
				return err
			}
		} else {
			printChecks(a.out, d, checks)
		}
		if d.State == weft.StateRefused || broken(checks) {
			return no()
		}
		return nil
	}
	return c
}

// checksOf gives the checks of the last verdict.
func checksOf(d *serve.ProductDetail, onlyFailed bool) []weft.CheckResult {
	if d.Head == nil || d.Head.Verdict == nil {
		return nil
	}
	var out []weft.CheckResult
	for _, c := range d.Head.Verdict.Checks {
		if !onlyFailed || !c.Pass {
			out = append(out, c)
		}
	}
	return out
}

// broken reports whether a check that acts does not hold.
func broken(checks []weft.CheckResult) bool {
	for _, c := range checks {
		if !c.Pass && (c.Severity == weft.SeverityError || c.Severity == "") {
			return true
		}
	}
	return false
}

// printChecks prints one line a check, those that do not hold in colour.
func printChecks(p *printer, d *serve.ProductDetail, checks []weft.CheckResult) {
	facts := []string{p.paint(bold, d.Name.String())}
	if d.Head != nil {
		facts = append(facts, d.Head.Seq.String(), stamp(d.Head.Time))
		if d.Head.Verdict != nil {
			if w := verdictWords(d.Head.Verdict); w != "" {
				facts = append(facts, w)
			}
		}
	} else {
		facts = append(facts, "no commit yet")
	}
	printFacts(p, facts)
	if d.LastError != "" {
		p.indent("last attempt: ", clean(d.LastError), red)
	}
	if len(checks) == 0 {
		return
	}
	p.println("")
	checkGrid(checks).print(p)
}

func checkGrid(checks []weft.CheckResult) *grid {
	g := &grid{columns: []gridColumn{
		{title: ""},
		{title: "check"},
		{title: "expected", flex: true},
		{title: "measured", flex: true, below: true},
	}}
	for _, c := range checks {
		g.add(checkMark(c), cell(c.ID), cell(strings.Join(strings.Fields(c.Text), " ")), cell(measured(c)))
	}
	return g
}

// checkMark says in a word how a check stands.
func checkMark(c weft.CheckResult) gridCell {
	switch {
	case c.Pass:
		return styled(green, "ok")
	case c.Severity == weft.SeverityWarning:
		return styled(yellow, "warning")
	case c.Severity == weft.SeverityInfo:
		return styled(cyan, "info")
	}
	return styled(red, "broken")
}

func measured(c weft.CheckResult) string {
	switch {
	case c.Error != "":
		return "could not run: " + c.Error
	case c.Value != "":
		return c.Value
	case c.Failed > 0:
		return fmt.Sprintf("%s of %s", count(c.Failed), plural(c.Total, "row"))
	case c.Total > 0:
		return plural(c.Total, "row")
	}
	return ""
}
