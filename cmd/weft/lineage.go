package main

import (
	"time"

	"github.com/spf13/cobra"

	"weft"
	"weft/serve"
)

func (a *app) lineageCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "lineage PRODUCT[.TABLE][.COLUMN]",
		Short: "Show what a product, a table or a column is made from, and what is made from it",
		Long: `Show what a product, a table or a column is made from, and what is made from it, over
the whole mesh. It is read from the SQL of the products, so it is what they do and
not what somebody wrote down. A third word is a table where there is one, else a
column of the main table.

identity, transform and aggregate say that the value itself goes in. conditional, join,
filter, group and sort say that it decides which value is taken, or which rows there are.
What the node does not know of, or may not show, is there and has no more behind it;
… says that there is more, which is not shown: ask for that column.`,
		Example: `  weft lineage sales.orders.amount
  weft lineage sales.orders.lines.price --downstream
  weft lineage sales.orders --format mermaid`,
		Args: cobra.ExactArgs(1),
	}
	set := c.Flags()
	up := set.Bool("upstream", false, "only what it is made from")
	down := set.Bool("downstream", false, "only what is made from it")
	depth := set.Int("depth", 0, "how many steps, up to 100; all where it is 0")
	format := listFormat(set, "text", "json", "mermaid")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		r := serve.LineageRequest{Of: args[0], Direction: weft.BothWays, Depth: *depth}
		if *depth < 0 || *depth > 100 {
			return usage("find the lineage", "", "--depth is a number from 0 to 100, not %d", *depth)
		}
		switch {
		case *up && !*down:
			r.Direction = weft.Upstream
		case *down && !*up:
			r.Direction = weft.Downstream
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		l, err := cl.Lineage(cmd.Context(), r)
		if err != nil {
			return err
		}
		switch format.value {
		case "json":
			return a.printJSON(l)
		case "mermaid":
			return serve.WriteMermaid(a.out, l)
		}
		return printLineage(a.out, l, time.Now())
	}
	return c
}

// printLineage prints the trees, with how well each product is.
func printLineage(p *printer, l *weft.Lineage, now time.Time) error {
	return serve.WriteLineage(p, l, serve.LineagePrint{
		Faint: func(s string) string { return p.paint(dim, s) },
		Facts: func(n weft.LineageNode) []string {
			var out []string
			if n.State != "" {
				out = append(out, p.paint(stateStyle(n.State), string(n.State)))
			}
			if n.Life != "" && n.Life != weft.LifeActive {
				out = append(out, string(n.Life))
			}
			if n.Changed != nil {
				out = append(out, "changed "+ago(now, *n.Changed))
			}
			if n.Away && n.AsOf != nil {
				out = append(out, p.paint(yellow, "its node is away: known as of "+ago(now, *n.AsOf)))
			}
			return out
		},
	})
}
