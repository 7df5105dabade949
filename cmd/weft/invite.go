package main

import (
	"time"

	"github.com/spf13/cobra"

	"weft/serve"
)

func (a *app) inviteCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "invite",
		Short: "Make an invitation for one node and print it, once",
		Long: `Make an invitation and print it: weft join takes it at the other node. It can be
used once, until it expires. Whoever holds it may enter, so send it as you would
send a password. With --domain the other node speaks for that domain from then on:
it publishes its products.

Standard output has the invitation alone, so that it can be passed on.`,
		Example: `  weft invite --domain places
  weft join "$(WEFT_NODE=https://weft.example.com:7070 weft invite --expires 10m)"`,
		Args: exactly(),
	}
	format := listFormat(c.Flags(), "text", "json")
	domain := c.Flags().String("domain", "", "the domain that the other node will speak for (default none: it reads only)")
	expires := c.Flags().String("expires", "1h", "how long it can be used, at most 30 days: 10m, 2h, 7d")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		now := time.Now()
		until, err := expiry(*expires, now)
		switch {
		case err != nil:
			return err
		case until == nil || until.Sub(now) > 30*24*time.Hour+time.Second:
			return usage("make the invitation", "", "--expires %s is more than 30 days", oneLine(*expires, 40)).WithHint("an invitation is used soon, or not at all")
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		inv, err := cl.Invite(cmd.Context(), serve.InviteRequest{Domain: *domain, For: max(int64(until.Sub(now).Round(time.Second)/time.Second), 1)})
		if err != nil {
			return err
		}
		if format.value == "json" {
			return a.printJSON(inv)
		}
		as := "reads only"
		if inv.Domain != "" {
			as = "speaks for " + inv.Domain
		}
		a.err.printf("an invitation to the mesh %s for one node, which %s; until %s, shown only now:\n", clean(inv.Mesh), as, stamp(inv.Expires))
		a.out.println(inv.Token)
		return nil
	}
	return c
}
