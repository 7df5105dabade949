package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weft"
	"weft/serve"
)

func (a *app) usageCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "usage",
		Short: "Show what consumers have used of the node's products",
		Long: `Show what consumers have used of the node's products: questions, rows and bytes
that were read, rows that were answered, and seconds. With a token of scope admin it is
what everybody used of the products of the token's domains; with another, what the
token itself used. Refused is what budgets refused (docs/budgets.md).`,
		Args: exactly(),
	}
	format := listFormat(c.Flags())
	by := &choice{value: "consumer", words: []string{"consumer", "product", "day"}}
	c.Flags().Var(by, "by", "what it is summed by")
	since := c.Flags().String("since", "30d", "the first day: 2026-03-01, or a time back like 7d")
	limit := c.Flags().Int("limit", 100, "how many lines to list, up to 10000")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		day, err := parseSince(*since, time.Now())
		if err != nil {
			return usage("show the usage", *since, "%s", err.Error())
		}
		if *limit < 1 || *limit > 10_000 {
			return usage("show the usage", "", "--limit is a number from 1 to 10000")
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		r, err := cl.Usage(cmd.Context(), serve.UsageRequest{By: serve.UsageBy(by.value), Since: &day, Limit: *limit})
		if err != nil {
			return err
		}
		if format.value == "json" {
			return a.printJSON(r)
		}
		if len(r.Usage) == 0 {
			a.out.printf("nothing was used since %s\n", r.Since)
			return nil
		}
		usageGrid(r).print(a.out)
		return nil
	}
	return c
}

// parseSince reads a day, or how far it is back.
func parseSince(v string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, v); err == nil {
		return t, nil
	}
	d, err := parseSpan(v)
	return now.Add(-d).UTC(), err
}

// usageGrid is the table of a report.
func usageGrid(r *serve.UsageReport) *grid {
	g := &grid{}
	switch r.By {
	case serve.UsageByDay:
		g.columns = []gridColumn{{title: "day"}}
	case serve.UsageByProduct:
		g.columns = []gridColumn{{title: "product", flex: true}}
	default:
		g.columns = []gridColumn{{title: "consumer", flex: true}, {title: "node"}, {title: "domains", flex: true}, {title: "purpose", flex: true}}
	}
	for _, t := range []string{"questions", "refused", "rows read", "bytes read", "rows given", "seconds"} {
		g.columns = append(g.columns, gridColumn{title: t, right: true})
	}
	for _, l := range r.Usage {
		var cells []gridCell
		switch r.By {
		case serve.UsageByDay:
			cells = []gridCell{styled(bold, l.Day)}
		case serve.UsageByProduct:
			name := l.Product
			if name == "" {
				name = "(none)"
			}
			cells = []gridCell{styled(bold, oneLine(name, 200))}
		default:
			domains := slices.DeleteFunc(slices.Clone(l.Domains), func(d string) bool { return d == weft.AllDomains })
			cells = []gridCell{
				styled(bold, oneLine(strings.TrimSpace(string(l.Kind)+" "+l.Subject), 200)), cell(nodeWords(l)),
				cell(oneLine(strings.Join(domains, ", "), 200)), cell(oneLine(l.Purpose, 200)),
			}
		}
		g.add(append(cells, cell(count(l.Questions)), cell(count(l.Refused)), cell(count(l.Rows)), cell(size(l.Bytes)), cell(count(l.GivenRows)), cell(seconds(l.Seconds)))...)
	}
	return g
}

// nodeWords name the node that asked.
func nodeWords(l serve.UsageLine) string {
	switch {
	case l.Node == nil:
		return "here"
	case l.NodeName == "":
		return l.Node.Short()
	}
	return oneLine(l.NodeName, 63) + " " + l.Node.Short()
}
