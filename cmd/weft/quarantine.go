package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"weft/serve"
)

func (a *app) quarantineCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "quarantine PRODUCT",
		Short: "Show the rows that are held back, and why",
		Long: `Show the rows that broke the contract and are held back from readers, each with
the checks it broke. They are shown to owners only.`,
		Args:              exactly("PRODUCT"),
		ValidArgsFunction: a.completeProducts,
	}
	format := listFormat(c.Flags())
	limit := c.Flags().Int("limit", 20, "how many rows of each table to show, up to 1000")
	at := c.Flags().String("at", "", "as of a time or a commit, like 2025-01-31 or #12")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		name, _, err := productArg(args[0])
		if err != nil {
			return err
		}
		if *limit < 1 || *limit > 1000 {
			return usage("show the quarantine of", name.String(), "--limit is a number from 1 to 1000")
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		q, err := cl.Quarantine(cmd.Context(), name, *limit, *at)
		if err != nil {
			return err
		}
		if format.value == "json" {
			return a.printJSON(q)
		}
		printQuarantine(a.out, q)
		return nil
	}
	return c
}

func printQuarantine(p *printer, q *serve.Quarantine) {
	if q.Held == 0 {
		p.printf("%s%s holds nothing back\n", q.Product, q.Seq)
		return
	}
	p.printf("%s%s holds back %s\n", p.paint(bold, q.Product.String()), q.Seq, plural(q.Held, "row"))
	for _, t := range q.Tables {
		if t.Held == 0 {
			continue
		}
		p.println("")
		printFacts(p, []string{p.paint(bold, t.Table), plural(t.Held, "row"), fmt.Sprintf("%d shown", len(t.Rows))})
		g := &grid{columns: []gridColumn{
			{title: "commit", right: true, optional: true},
			{title: "broken", flex: true},
			{title: "row", flex: true},
		}}
		for _, r := range t.Rows {
			seq := ""
			if r.Seq > 0 {
				seq = r.Seq.String()
			}
			g.add(cell(seq), styled(red, strings.Join(r.Reasons, ", ")), cell(heldRow(t.Columns, r)))
		}
		g.print(p)
	}
}

// heldRow writes a row as "name=value" words, empty values left out.
func heldRow(columns []serve.Column, r serve.HeldRow) string {
	var w []string
	for i, v := range r.Values {
		text := jsonText(v)
		if text == "" || i >= len(columns) {
			continue
		}
		w = append(w, columns[i].Name+"="+oneLine(text, 60))
	}
	return strings.Join(w, "  ")
}
