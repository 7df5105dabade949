package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weft"
	"weft/serve"
)

func (a *app) cutCommand() *cobra.Command {
	c := group("cut", "Save states of products under names, to ask at them again",
		a.cutSaveCommand(), a.cutShowCommand(), a.cutListCommand(), a.cutDropCommand(), a.cutHoldsCommand(), a.cutReleaseCommand())
	c.Long = `A cut is one state of several products; every answer names the one that it was read
at. The same cut gives the same rows, whatever was committed since, until retention
ends one of its products' history. A saved cut has a name: weft query --at NAME.`
	return c
}

func (a *app) cutSaveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "save NAME [PRODUCTS...]",
		Short: "Save a cut of products: their newest states that fit, or those of --at",
		Long: `Save a cut of products under a name. Points of other nodes' products are asked of
the nodes that hold them.

Without --at it takes the newest commits that fit: where two of the products are
made from the same third one, or one from the other, each goes back to its newest
commit that was made from the same state of it, and that is said. --newest takes the
newest commit of each.

--at takes a time, which each product's node finds in its history by its own clock,
a cut's token, or the name of a saved cut; products need not be named where it is a cut.

A saved cut can be read until retention ends it. --hold asks the owners to keep the
history in place: for products of your own domain it is done, those of others want
their owner's consent (weftHolds of an output port), and hold for as long as that
says at most.`,
		Example: `  weft cut save month-end sales.orders places.stores
  weft query "SELECT …" --at month-end
  weft cut save audit-2026 --at cut2_CAEEdvQi… --hold`,
		Args: atLeast("NAME"),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return a.completeProducts(cmd, nil, word)
		},
	}
	set := c.Flags()
	format := listFormat(set)
	at := set.String("at", "", "the state to save: a time, a commit, a cut's token or the name of a saved cut")
	hold := set.Bool("hold", false, "ask the owners to keep the history in place")
	until := set.String("for", "", "how long the history is to be held: 12h, 90d (default as long as each owner allows)")
	newest := set.Bool("newest", false, "take the newest commit of each product, also where they do not fit")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		r := serve.SaveCutRequest{Name: args[0], At: *at, Hold: *hold, Newest: *newest}
		if *until != "" {
			now := time.Now()
			end, err := expiry(*until, now)
			if err != nil {
				return err
			}
			if !*hold {
				return usage("save the cut", r.Name, "--for is how long --hold holds").WithHint("give --hold too")
			}
			r.For = max(int64(end.Sub(now).Round(time.Second)/time.Second), 1)
		}
		for _, w := range args[1:] {
			name, _, err := productArg(w)
			if err != nil {
				return err
			}
			r.Products = append(r.Products, name)
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		d, err := cl.SaveCut(cmd.Context(), r)
		if err != nil {
			return err
		}
		if format.value == "json" {
			return a.printJSON(d)
		}
		a.out.printf("saved as %s: %s\n", a.out.paint(bold, d.Name), d.Text)
		a.cutFoot(d)
		return nil
	}
	return c
}

func (a *app) cutShowCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "show NAME|TOKEN",
		Short: "Show a cut's products, and whether each can still be read at its owner",
		Long: `Show a cut: a saved one by its name, or any by its token, or by the hash of one that
was too long for a token. Each product's node is asked whether the point can still be
read, and what the oldest one is. "other" means that the chain is not the one that the
cut was taken from: the product was restored from a backup since, or there is a fork.

Exit code 1 means that a point cannot be read.`,
		Args:              exactly("NAME|TOKEN"),
		ValidArgsFunction: a.completeCuts,
	}
	format := listFormat(c.Flags())
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.connect()
		if err != nil {
			return err
		}
		d, err := cl.Cut(cmd.Context(), args[0], true)
		if err != nil {
			return err
		}
		if format.value == "json" {
			err = a.printJSON(d)
		} else {
			a.printCut(d)
		}
		for _, p := range d.Points {
			if err == nil && p.State != serve.PointReadable {
				return no()
			}
		}
		return err
	}
	return c
}

// printCut prints a cut, a line for each product.
func (a *app) printCut(d *serve.CutDetail) {
	if d.Name != "" {
		a.out.printf("%s, saved %s by %s\n", a.out.paint(bold, oneLine(d.Name, 63)), savedAt(d), oneLine(d.By, 80))
	}
	g := &grid{columns: []gridColumn{
		{title: "product"},
		{title: "commit", right: true},
		{title: "time"},
		{title: "can be read"},
		{title: "oldest kept", right: true},
		{title: "newest", right: true},
		{title: "held", optional: true},
		{title: "node", optional: true, spare: true},
		{title: "incarnation", right: true, spare: true},
		{title: "hash", spare: true},
	}}
	for _, p := range d.Points {
		when, held := "", ""
		if !p.Time.IsZero() {
			when = stamp(p.Time)
		}
		switch {
		case p.Held && p.Until != nil:
			held = "until " + stamp(*p.Until)
		case p.Held:
			held = "until it is dropped"
		}
		word, st := "yes", green
		if p.State != serve.PointReadable {
			word, st = string(p.State), red
		}
		oldest := "all"
		if p.Oldest > 0 {
			oldest = p.Oldest.String()
		}
		if p.Newest == 0 {
			oldest = "?"
		}
		g.add(styled(bold, p.Product.String()), cell(p.Seq.String()), cell(when), styled(st, word), cell(oldest),
			cell(p.Newest.String()), cell(held), styled(dim, oneLine(p.Node, 63)), cell(count(int64(p.Incarnation))), styled(dim, p.Hash.Short()))
	}
	g.print(a.out)
	for _, p := range d.Points {
		if p.Problem != "" {
			a.out.printf("%s: %s\n", p.Product, oneLine(p.Problem, 600))
			if p.Hint != "" {
				a.out.indent("→ ", oneLine(p.Hint, 600), cyan)
			}
		}
	}
	a.cutFoot(d)
}

// savedAt is when a cut was saved.
func savedAt(d *serve.CutDetail) string {
	if d.Saved == nil {
		return ""
	}
	return stamp(*d.Saved)
}

// cutFoot says how a cut is asked at, and what is to be known of it.
func (a *app) cutFoot(d *serve.CutDetail) {
	if d.AsOf != nil {
		a.out.printf("as of %s, as each product's node found it by its own clock\n", stamp(*d.AsOf))
	}
	for _, n := range d.Notes {
		a.out.println(oneLine(n, 600))
	}
	a.printWarnings(d.Warnings)
	a.out.println(a.out.paint(dim, d.Token))
}

func (a *app) cutListCommand() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the saved cuts", Args: exactly()}
	format := listFormat(c.Flags())
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cl, err := a.connect()
		if err != nil {
			return err
		}
		cuts, err := cl.Cuts(cmd.Context())
		if err != nil {
			return err
		}
		return printList(a, format, cuts, "no cut is saved", "weft cut save NAME PRODUCTS… saves one", a.printCuts)
	}
	return c
}

func (a *app) printCuts(cuts []serve.CutDetail) {
	g := &grid{columns: []gridColumn{{title: "cut"}, {title: "saved"}, {title: "by", optional: true}, {title: "held", optional: true}, {title: "products", flex: true}}}
	for _, d := range cuts {
		held := 0
		for _, p := range d.Points {
			if p.Held {
				held++
			}
		}
		word := ""
		if held > 0 {
			word = plural(int64(held), "product")
		}
		g.add(styled(bold, d.Name), cell(savedAt(&d)), cell(oneLine(d.By, 60)), cell(word), cell(d.Text))
	}
	g.print(a.out)
}

func (a *app) cutDropCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "drop NAME",
		Short:             "Forget a saved cut and let go of what it holds",
		Args:              exactly("NAME"),
		ValidArgsFunction: a.completeCuts,
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.connect()
			if err != nil {
				return err
			}
			if err := cl.DropCut(cmd.Context(), args[0]); err != nil {
				return err
			}
			a.out.printf("the cut %s is dropped\n", args[0])
			return nil
		},
	}
}

func (a *app) cutHoldsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "holds",
		Short: "For owners: list what saved cuts hold of this node's products",
		Long: `List the holds on the products of this node that you own: a hold keeps a product's
history in place from a commit on, for a saved cut. Who of other domains may is said
by weftHolds of an output port. weft cut release ends a hold.`,
		Args: exactly(),
	}
	format := listFormat(c.Flags())
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cl, err := a.connect()
		if err != nil {
			return err
		}
		holds, err := cl.Holds(cmd.Context())
		if err != nil {
			return err
		}
		return printList(a, format, holds, "nothing is held", "", a.printHolds)
	}
	return c
}

func (a *app) printHolds(holds []serve.HoldInfo) {
	g := &grid{columns: []gridColumn{
		{title: "product"},
		{title: "from", right: true},
		{title: "by"},
		{title: "node", optional: true},
		{title: "for the cut", optional: true},
		{title: "until"},
		{title: "hold", flex: true, below: true},
	}}
	for _, h := range holds {
		until := "it is dropped"
		if h.Expires != nil {
			until = stamp(*h.Expires)
		}
		by := oneLine(h.By, 60)
		if len(h.Domains) > 0 && h.Domains[0] != weft.AllDomains {
			by += " of " + strings.Join(h.Domains, ", ")
		}
		g.add(styled(bold, h.Product.String()), cell(h.Seq.String()), cell(by), cell(oneLine(h.Node, 63)), cell(h.For), cell(until), styled(dim, h.Hold))
	}
	g.print(a.out)
}

func (a *app) cutReleaseCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "release PRODUCT HOLD",
		Short: "For owners: end a hold, as weft cut holds lists it",
		Args:  exactly("PRODUCT", "HOLD"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, _, err := productArg(args[0])
			if err != nil {
				return err
			}
			cl, err := a.connect()
			if err != nil {
				return err
			}
			if err := cl.DropHold(cmd.Context(), name, args[1]); err != nil {
				return err
			}
			a.out.printf("%s is not held by %s any more\n", name, oneLine(args[1], 200))
			return nil
		},
	}
}
