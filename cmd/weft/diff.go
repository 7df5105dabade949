package main

import (
	"context"

	"github.com/spf13/cobra"

	"weft/contract"
	"weft/serve"
)

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
		switch {
		case d.Breaking && d.Rewrites:
			breaks = "breaks readers, rewrites the table"
		case d.Breaking:
			breaks = "breaks readers"
		case d.Rewrites:
			breaks = "rewrites the table"
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
			Where: d.Where, What: d.What, Before: d.Before, After: d.After, Breaking: d.Breaking, Rewrites: d.Rewrites, Text: d.Text,
		})
	}
	return out
}
