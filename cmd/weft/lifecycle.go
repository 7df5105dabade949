package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"weft"
	"weft/serve"
	"weft/serve/client"
)

// move makes a command that takes a product and prints it as it is afterwards.
func (a *app) move(use, short, long, done string, do func(context.Context, *client.Client, weft.Name) (*serve.ProductSummary, error)) *cobra.Command {
	c := &cobra.Command{
		Use: use + " PRODUCT", Short: short, Long: long,
		Args: exactly("PRODUCT"), ValidArgsFunction: a.completeProducts,
	}
	format := listFormat(c.Flags())
	c.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := weft.ParseName(args[0])
		if err != nil {
			return err
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		s, err := do(cmd.Context(), cl, name)
		if err != nil {
			return err
		}
		if format.value == "json" {
			return a.printJSON(s)
		}
		a.out.printf("%s %s: %s · %s\n", s.Name, done, s.Life, a.out.paint(stateStyle(s.State), string(s.State)))
		if s.Todo != "" {
			a.out.indent("→ ", clean(s.Todo), cyan)
		}
		return nil
	}
	return c
}

func (a *app) pauseCommand() *cobra.Command {
	return a.move("pause", "Stop reading a product's sources",
		"Stop reading a product's sources. What is published stays readable; weft resume goes on.", "is paused",
		func(ctx context.Context, cl *client.Client, n weft.Name) (*serve.ProductSummary, error) {
			return cl.Pause(ctx, n)
		})
}

func (a *app) resumeCommand() *cobra.Command {
	return a.move("resume", "Read a paused product's sources again", "", "is resumed",
		func(ctx context.Context, cl *client.Client, n weft.Name) (*serve.ProductSummary, error) {
			return cl.Resume(ctx, n)
		})
}

func (a *app) retireCommand() *cobra.Command {
	return a.move("retire", "End a product; its history stays readable",
		`End a product: its sources are not read again and its last state and history stay
readable. To remove it with its data, use weft delete.`, "is retired",
		func(ctx context.Context, cl *client.Client, n weft.Name) (*serve.ProductSummary, error) {
			return cl.Retire(ctx, n)
		})
}

func (a *app) rollbackCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "rollback PRODUCT --to #SEQ",
		Short: "Restore the rows and the folder of an earlier commit, as a new commit",
		Long: `Append a commit that restores the rows and the folder of an earlier one. Nothing
is lost: the commits in between stay in the history. weft history lists them.`,
		Args: exactly("PRODUCT"), ValidArgsFunction: a.completeProducts,
	}
	format := listFormat(c.Flags())
	to := c.Flags().String("to", "", "the commit to restore, like #12 or 12")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := weft.ParseName(args[0])
		if err != nil {
			return err
		}
		if *to == "" {
			return usage("roll back", name.String(), "--to is missing").WithHint("weft history %s lists the commits", name)
		}
		seq, err := weft.ParseSeq(*to)
		if err != nil {
			return err
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		commit, err := cl.Rollback(cmd.Context(), name, seq)
		if err != nil {
			return err
		}
		if format.value == "json" {
			return a.printJSON(commit)
		}
		a.out.printf("%s is as it was at %s, by commit %s: %s\n", name, seq, commit.Seq, plural(rowsAfter(commit.Commit), "row"))
		return nil
	}
	return c
}

func (a *app) deleteCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "delete PRODUCT --yes",
		Short: "Remove a product with its data and its history",
		Long: `Remove a product with all of its data and history from the node. This cannot be
undone. On a terminal the address must be typed; elsewhere --yes is needed. The
folder in git is not touched.`,
		Args: exactly("PRODUCT"), ValidArgsFunction: a.completeProducts,
	}
	yes := c.Flags().Bool("yes", false, "do not ask")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := weft.ParseName(args[0])
		if err != nil {
			return err
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		if !*yes {
			ok, err := a.confirm("All data and the history of "+name.String()+" are removed. This cannot be undone.", name.String())
			if err != nil {
				return err
			}
			if !ok {
				return usage("delete", name.String(), "it was not confirmed").WithHint("say so with --yes")
			}
		}
		if err := cl.Delete(cmd.Context(), name, name.String()); err != nil {
			return err
		}
		a.out.printf("%s is deleted\n", name)
		return nil
	}
	return c
}

func (a *app) refreshCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "refresh PRODUCT",
		Short: "Read a product's sources now",
		Long: `Read a product's sources now and wait for the outcome. --from and --to read a
window of an append or upsert source again. Exit code 1 means that the data was
refused; what was published before stays visible.`,
		Args: exactly("PRODUCT"), ValidArgsFunction: a.completeProducts,
	}
	format := listFormat(c.Flags())
	from := c.Flags().String("from", "", "start of the window: a date or a time")
	to := c.Flags().String("to", "", "end of the window, not included")
	background := c.Flags().Bool("no-wait", false, "start it and do not wait for the outcome")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := weft.ParseName(args[0])
		if err != nil {
			return err
		}
		r := serve.RefreshRequest{Wait: !*background}
		if r.From, err = timeArg("--from", *from); err != nil {
			return err
		}
		if r.To, err = timeArg("--to", *to); err != nil {
			return err
		}
		if r.From != nil && r.To != nil && !r.From.Before(*r.To) {
			return usage("refresh", name.String(), "--from is not before --to")
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		return a.refresh(cmd.Context(), cl, name, r, format.value)
	}
	return c
}

// refresh asks for the read and prints how it ended.
func (a *app) refresh(ctx context.Context, cl *client.Client, name weft.Name, r serve.RefreshRequest, format string) error {
	a.goesOn = true
	line, start := a.progress(), time.Now()
	res, err := cl.Refresh(ctx, name, r, line.event)
	line.clear()
	if err != nil {
		return err
	}
	if format == "json" {
		if err := a.printJSON(res); err != nil {
			return err
		}
	} else {
		printOutcome(a.out, outcome{
			name: name, outcome: res.Outcome, commit: res.Commit, verdict: res.Verdict, message: res.Message, notes: res.Notes, took: time.Since(start),
		})
	}
	if res.Outcome == serve.OutcomeRefused {
		return no()
	}
	return nil
}

// timeArg reads a flag that is a date or a time; "" is none.
func timeArg(flag, s string) (*time.Time, error) {
	if s == "" {
		return nil, nil
	}
	at, err := serve.ParseAt(s)
	if err != nil || at.Time.IsZero() {
		return nil, usage("read the time", flag, "%q is no date and no time", oneLine(s, 40)).
			WithHint("write it like 2025-01-31 or 2025-01-31T08:00:00Z")
	}
	return &at.Time, nil
}
