package main

import (
	"github.com/spf13/cobra"

	"weft"
	"weft/serve"
)

func (a *app) explainCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "explain SQL",
		Short: "Show how a query is answered: who is asked for what",
		Long: `Show how a query is answered: whether it runs whole at one node, or else what each
node is asked, in SQL, for which products, how much is expected from what the cards
say, which values a node is asked with and whose they are, and what runs at the end,
here or where most of the bytes are. Nothing is run, and no other node is asked
anything, so it does not matter who can be reached.

With --analyze the query is run, its rows are dropped, and beside what was expected
stands what was measured: rows, bytes on the wire, and when they came.`,
		Example: `  weft explain "SELECT o.id, c.name FROM sales.orders o JOIN crm.customers c ON c.id = o.customer"
  weft explain -f report.sql --analyze
  weft explain "SELECT count(*) FROM sales.orders" --format json`,
		Args: cobra.ArbitraryArgs,
	}
	f := &queryFlags{}
	set := c.Flags()
	analyze := set.Bool("analyze", false, "run the query as well, and show what was measured")
	format := listFormat(set, "text", "json")
	f.ask(set)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		sql, err := a.sqlText(args, f.file)
		if err != nil {
			return err
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		p, err := cl.Explain(cmd.Context(), serve.ExplainRequest{QueryRequest: f.request(sql), Analyze: *analyze})
		if err != nil {
			return err
		}
		if format.value == "json" {
			return a.printJSON(p)
		}
		return printPlan(a.out, p)
	}
	return c
}

// printPlan prints a plan as a tree.
func printPlan(p *printer, plan *weft.Plan) error {
	painter := func(st style) func(string) string { return func(s string) string { return p.paint(st, s) } }
	return serve.WritePlan(p, plan, serve.PlanPrint{Width: p.width, Faint: painter(dim), Loud: painter(bold), Alarm: painter(yellow)})
}
