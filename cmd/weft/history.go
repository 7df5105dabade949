package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weft"
	"weft/serve"
)

func (a *app) historyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:               "history PRODUCT",
		Short:             "List a product's commits, newest first",
		Args:              exactly("PRODUCT"),
		ValidArgsFunction: a.completeProducts,
	}
	format := listFormat(c.Flags())
	limit := c.Flags().Int("limit", 20, "how many commits to list, up to 1000")
	before := c.Flags().String("before", "", "list those before this commit, like #12")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		name, _, err := productArg(args[0])
		if err != nil {
			return err
		}
		if *limit < 1 || *limit > 1000 {
			return usage("list the commits of", name.String(), "--limit is a number from 1 to 1000")
		}
		var from weft.Seq
		if *before != "" {
			if from, err = weft.ParseSeq(*before); err != nil {
				return err
			}
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		list, err := cl.History(cmd.Context(), name, from, *limit)
		if err != nil {
			return err
		}
		if format.value == "json" {
			return a.printJSON(list)
		}
		printHistory(a.out, name, list, time.Now())
		return nil
	}
	return c
}

// printHistory prints one line a commit.
func printHistory(p *printer, name weft.Name, list *serve.CommitList, now time.Time) {
	commits := list.Commits
	if len(commits) == 0 {
		p.printf("%s has no commits yet\n", name)
		return
	}
	g := &grid{columns: []gridColumn{
		{title: "commit", right: true},
		{title: "time"},
		{title: "", optional: true, spare: true},
		{title: "cause"},
		{title: "changes", optional: true},
		{title: "rows", right: true},
		{title: "checks", optional: true, flex: true, below: true},
		{title: "code", optional: true, spare: true},
		{title: "hash", spare: true},
	}}
	for _, c := range commits {
		checks := ""
		if c.Verdict != nil {
			checks = verdictWords(c.Verdict)
		}
		g.add(styled(bold, c.Seq.String()), cell(stamp(c.Time)), styled(dim, ago(now, c.Time)), cell(string(c.Cause)),
			cell(changes(c.Commit)), cell(count(rowsAfter(c.Commit))), cell(checks), cell(revision(c.Revision)),
			styled(dim, c.Hash.Short()))
	}
	g.print(p)
	if last := commits[len(commits)-1]; last.Oldest && last.Seq > 1 {
		p.println(p.paint(dim, fmt.Sprintf("%s is the oldest that can still be read", last.Seq)))
	} else if list.Next > 0 {
		p.println(p.paint(dim, fmt.Sprintf("more: weft history %s --before %d", name, list.Next)))
	}
}

// verdictWords sums up a verdict: "22 checks hold", "21 of 22 checks hold, 3
// rows held back".
func verdictWords(v *weft.Verdict) string {
	good := 0
	for _, c := range v.Checks {
		if c.Pass {
			good++
		}
	}
	var w []string
	switch n := len(v.Checks); {
	case n == 0:
	case good == n:
		w = append(w, plural(int64(n), "check")+holds(n))
	default:
		w = append(w, fmt.Sprintf("%d of %s hold", good, plural(int64(n), "check")))
	}
	if v.Quarantined > 0 {
		w = append(w, plural(v.Quarantined, "row")+" held back")
	}
	return strings.Join(w, ", ")
}

func holds(n int) string {
	if n == 1 {
		return " holds"
	}
	return " hold"
}
