package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"weft"
	"weft/serve"
)

func (a *app) replicaCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "replica",
		Short: "Keep copies of other nodes' products",
		Long: `Keep copies of other nodes' products on this node, current and held against what
their origin signs. A product's owner has to consent (weftReplicas), and says for how
long a copy may be used while the origin cannot be reached. Who may read a copy is
decided as at the origin.`,
		Args: exactly(),
	}
	c.AddCommand(a.replicaAddCommand(), a.replicaListCommand(), a.replicaRemoveCommand())
	return c
}

func (a *app) replicaAddCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "add PRODUCT",
		Short: "Copy a product of another node and keep the copy current",
		Long: `Copy a product of another node and keep the copy current. The command waits until
the copy has come (--no-wait does not); the copy goes on without it.`,
		Args: exactly("PRODUCT"), ValidArgsFunction: a.completeProducts,
	}
	format := listFormat(c.Flags())
	noWait := c.Flags().Bool("no-wait", false, "return as soon as the copy is begun")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := weft.ParseName(args[0])
		if err != nil {
			return err
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		r, err := cl.AddReplica(cmd.Context(), name)
		if err != nil {
			return err
		}
		line := a.progress()
		defer line.clear()
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for !*noWait && r.State != "current" {
			if r.State != "copying" && r.State != "behind" {
				break
			}
			line.event(serve.Event{Phase: "copy", Product: name.String(), Bytes: r.Done, Total: r.Total})
			select {
			case <-cmd.Context().Done():
				return cmd.Context().Err()
			case <-tick.C:
			}
			all, err := cl.Replicas(cmd.Context())
			if err != nil {
				return err
			}
			for i := range all {
				if all[i].Product == name {
					r = &all[i]
				}
			}
		}
		line.clear()
		if format.value == "json" {
			return a.printJSON(r)
		}
		a.printReplica(r, time.Now())
		if s := r.State; !*noWait && s != "current" {
			return no()
		}
		return nil
	}
	return c
}

// printReplica says in one line how a copy stands, and in another what to do.
func (a *app) printReplica(r *serve.Replica, now time.Time) {
	at := "—"
	if r.Point != nil {
		at = r.Point.Seq.String()
	}
	a.out.printf("%s %s · %s · %s\n", r.Product, at, a.out.paint(replicaStyle(r.State), r.State), humanize.IBytes(uint64(max(r.Bytes, 0))))
	if r.Reason != "" {
		a.out.indent("  ", clean(r.Reason), plain)
	}
	if r.Todo != "" {
		a.out.indent("→ ", clean(r.Todo), cyan)
	}
	if r.Removed != nil {
		a.out.indent("→ ", "what it holds is removed "+fromNow(now, *r.Removed), cyan)
	}
}

func replicaStyle(state string) style {
	switch state {
	case "current":
		return green
	case "copying", "behind", "away", "no room":
		return yellow
	}
	return red
}

// fromNow is a time ahead for people.
func fromNow(now, t time.Time) string {
	if d := t.Sub(now); d > 0 {
		return "in " + shortTime(d)
	}
	return "now"
}

// shortTime is a length of time in its largest whole unit.
func shortTime(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return fmt.Sprintf("%d s", int(d.Seconds()))
}

func (a *app) replicaListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the copies: origin, commit, how far behind, size, until when each may be used",
		Long: `List the copies of other nodes' products. "current" is how long ago the copy was last
known to be what its origin has, and "usable" for how long it may be used if the origin
cannot be reached from now on. "kept for" is questions where somebody added it, and the
products here whose input it is.`,
		Args: exactly(),
	}
	format := listFormat(c.Flags())
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cl, err := a.connect()
		if err != nil {
			return err
		}
		all, err := cl.Replicas(cmd.Context())
		if err != nil {
			return err
		}
		return printList(a, format, all, "the node keeps no copies", "weft replica add PRODUCT copies a product whose owner consents to it", a.printReplicas)
	}
	return c
}

func (a *app) printReplicas(all []serve.Replica) {
	now := time.Now()
	replicaGrid(all, now).print(a.out)
	for _, r := range all {
		if r.Reason != "" {
			a.out.println("")
			a.printReplica(&r, now)
		}
	}
}

// replicaGrid is the table of copies.
func replicaGrid(all []serve.Replica, now time.Time) *grid {
	g := &grid{columns: []gridColumn{
		{title: "product"},
		{title: "origin"},
		{title: "commit", right: true},
		{title: "state"},
		{title: "current"},
		{title: "behind", right: true},
		{title: "size", right: true},
		{title: "usable"},
		{title: "kept for"},
	}}
	for _, r := range all {
		at, current, usable := "—", "never", "—"
		if r.Point != nil {
			at = r.Point.Seq.String()
		}
		if r.Current != nil {
			current = ago(now, *r.Current)
		}
		if r.Until != nil {
			usable = fromNow(now, *r.Until)
		}
		size := humanize.IBytes(uint64(max(r.Bytes, 0)))
		if r.Total > 0 {
			size = fmt.Sprintf("%s of %s", humanize.IBytes(uint64(max(r.Done, 0))), humanize.IBytes(uint64(r.Total)))
		}
		g.add(styled(bold, r.Product.String()), cell(oneLine(r.Node, 63)), cell(at), styled(replicaStyle(r.State), r.State), cell(current),
			cell(count(int64(r.Behind))), cell(size), cell(usable), cell(oneLine(keptFor(&r), 200)))
	}
	return g
}

// keptFor says why a copy is there: somebody added it, or products here read it.
func keptFor(r *serve.Replica) string {
	var of []string
	if !r.Needed {
		of = append(of, "questions")
	}
	for _, n := range r.Inputs {
		of = append(of, n.String())
	}
	return strings.Join(of, ", ")
}

func (a *app) replicaRemoveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "remove PRODUCT",
		Short: "Remove a copy from this node",
		Long:  "Remove a copy from this node, with all that it holds. The product itself stays at its origin.",
		Args:  exactly("PRODUCT"),
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := weft.ParseName(args[0])
		if err != nil {
			return err
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		all, err := cl.Replicas(cmd.Context())
		if err != nil {
			return err
		}
		var inputs []weft.Name
		for _, r := range all {
			if r.Product == name && r.State != "refused" {
				inputs = r.Inputs
			}
		}
		if err := cl.RemoveReplica(cmd.Context(), name); err != nil {
			return err
		}
		a.out.printf("the copy of %s is removed\n", name)
		for _, n := range inputs {
			a.out.indent("→ ", fmt.Sprintf("it comes again with the next load of %s, which reads it", n), cyan)
		}
		return nil
	}
	return c
}
