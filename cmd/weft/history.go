package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weft"
	"weft/serve"
)

func (a *app) historyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "history PRODUCT",
		Short: "List a product's commits, newest first",
		Long: `List a product's commits, newest first.

Exit code 1 means that a commit is damaged: it is named, and the others are listed.`,
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
			if err := a.printJSON(list); err != nil {
				return err
			}
		} else {
			printHistory(a.out, name, list, time.Now())
		}
		if slices.ContainsFunc(list.Commits, func(c serve.CommitInfo) bool { return c.Damaged != "" }) {
			return no()
		}
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
	var damaged []serve.CommitInfo
	for i, c := range commits {
		if c.Damaged != "" {
			damaged = append(damaged, c)
			g.add(styled(bold, c.Seq.String()), cell(""), cell(""), styled(red, "damaged"), cell(""), cell("?"), cell(""), cell(""), cell(""))
			continue
		}
		checks := ""
		if c.Verdict != nil {
			checks = verdictWords(c.Verdict)
		}
		g.add(styled(bold, c.Seq.String()), cell(stamp(c.Time)), styled(dim, ago(now, c.Time)), cell(string(c.Cause)),
			cell(changesSince(c.Commit, commits[i+1:])), cell(count(rowsAfter(c.Commit))), cell(checks), cell(revision(c.Revision)),
			styled(dim, c.Hash.Short()))
	}
	g.print(p)
	for _, c := range damaged {
		p.indent("✗ ", c.Seq.String()+" cannot be read: "+clip(clean(c.Damaged), maxErrorRunes), red)
	}
	if len(damaged) > 0 {
		p.indent("→ ", "restore the product from a backup; stop the node and weft verify lists all faults", cyan)
	}
	if last := commits[len(commits)-1]; last.Oldest && last.Seq > 1 {
		p.println(p.paint(dim, fmt.Sprintf("%s is the oldest that can still be read", last.Seq)))
	} else if list.Next > 0 {
		p.println(p.paint(dim, fmt.Sprintf("more: weft history %s --before %d", name, list.Next)))
	}
}

// changesSince is changes, and says where a table has other columns than in the
// last of the commits before that changed it, which are newest first.
func changesSince(c weft.Commit, before []serve.CommitInfo) string {
	w := changes(c)
	other := func(t weft.TableChange) bool {
		if t.Hidden || t.Op == weft.OpColumns || t.Schema == (weft.Hash{}) {
			return false // changes says it already
		}
		for _, b := range before {
			if b.Damaged != "" {
				return false
			}
			if i := slices.IndexFunc(b.Tables, func(o weft.TableChange) bool { return o.Table == t.Table }); i >= 0 {
				return b.Tables[i].Schema != (weft.Hash{}) && b.Tables[i].Schema != t.Schema
			}
		}
		return false
	}
	if slices.ContainsFunc(c.Tables, other) {
		return strings.TrimSpace(w + " other columns")
	}
	return w
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
	if words := checkWords(good, len(v.Checks)); words != "" {
		w = append(w, words)
	}
	if v.Quarantined > 0 {
		w = append(w, plural(v.Quarantined, "row")+" held back")
	}
	return strings.Join(w, ", ")
}

// checkWords say how many of some checks hold, nothing of none.
func checkWords(good, all int) string {
	switch {
	case all == 0:
		return ""
	case good == all:
		return plural(int64(all), "check") + holds(all)
	}
	return fmt.Sprintf("%d of %s hold", good, plural(int64(all), "check"))
}

func holds(n int) string {
	if n == 1 {
		return " holds"
	}
	return " hold"
}
