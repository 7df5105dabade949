package main

import (
	"context"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"weft/serve"
)

// quote asks for the price and prints it.
func (a *app) quote(ctx context.Context, sql string, f *queryFlags) error {
	format := f.format.value
	switch {
	case f.output != "" || f.receipt != "":
		return usage("quote the query", "", "nothing runs for a quote that could be written to a file").WithHint("leave out --output and --receipt")
	case format != "" && format != "table" && format != "json":
		return usage("quote the query", "", "a quote is no %s", format).WithHint("use --format table or --format json")
	}
	cl, err := a.connect()
	if err != nil {
		return err
	}
	q, err := cl.Quote(ctx, f.request(sql))
	if err != nil {
		return err
	}
	if format == "json" {
		if err := a.printJSON(q); err != nil {
			return err
		}
	} else {
		a.printQuote(q)
	}
	a.printWarnings(q.Warnings)
	if !q.Fits {
		return answerNo{exitRefused}
	}
	return nil
}

func (a *app) printQuote(q *serve.Quote) {
	p := a.out
	p.printf("reads about %s, %s; takes about %s\n", plural(q.Rows, "row"), size(q.Bytes), seconds(q.Seconds))
	if len(q.Products) > 1 {
		g := &grid{columns: []gridColumn{{title: "product"}, {title: "node", optional: true}, {title: "rows", right: true}, {title: "bytes", right: true}}}
		for _, r := range q.Products {
			g.add(styled(bold, r.Product.String()), cell(oneLine(r.NodeName, 63)), cell(count(r.Rows)), cell(size(r.Bytes)))
		}
		g.print(p)
	}
	if len(q.Products) > 0 {
		p.printf("cut %s, as --at %s\n", q.CutText, q.Cut)
	}
	if len(q.Budgets) == 0 {
		p.println("no budget is for it")
	} else {
		budgetGrid(q.Budgets, time.Now()).print(p)
	}
	if q.Fits {
		p.println(p.paint(green, "it would be let in"))
		return
	}
	p.println(p.paint(red, "it would be refused: "+clean(q.Refusal.Subject)+", "+clean(q.Refusal.Message)))
	if q.Refusal.Hint != "" {
		p.indent("→ ", clean(q.Refusal.Hint), cyan)
	}
}

// budgetGrid has a line for each limit.
func budgetGrid(list []serve.QuoteBudget, now time.Time) *grid {
	g := &grid{columns: []gridColumn{
		{title: "budget", flex: true},
		{title: "node", optional: true},
		{title: "limit"},
		{title: "takes", right: true},
		{title: "used", right: true},
		{title: "left", right: true},
		{title: "room"},
	}}
	for _, b := range list {
		for i, l := range b.Limits {
			name, node, room := "", "", ""
			if i == 0 {
				name, node, room = b.Name, b.NodeName, roomWords(b, now)
			}
			per := ""
			if l.Of != "concurrent" {
				per = " per " + b.Per
			}
			g.add(styled(bold, oneLine(name, 80)), cell(oneLine(node, 63)), cell(amount(l.Of, l.Limit)+per), cell(amount(l.Of, l.Takes)), cell(amount(l.Of, l.Used)), cell(amount(l.Of, l.Left)), cell(room))
		}
	}
	return g
}

// roomWords say when a budget has room.
func roomWords(b serve.QuoteBudget, now time.Time) string {
	switch {
	case b.Fits:
		return "now"
	case b.Free == nil:
		return "never"
	}
	return "in " + span(max(b.Free.Sub(now), time.Second).Truncate(time.Second))
}

// amount writes what a limit counts.
func amount(of string, v float64) string {
	switch of {
	case "rows":
		return plural(int64(v), "row")
	case "bytes":
		return size(int64(v))
	case "seconds":
		return seconds(v)
	}
	return strings.TrimSpace(count(int64(v)) + " at once")
}

// seconds writes a time as budgets count it.
func seconds(v float64) string { return humanize.FtoaWithDigits(v, 3) + " s" }
