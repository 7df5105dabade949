package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weft/serve"
)

func (a *app) tokenCommand() *cobra.Command {
	return group("token", "Make, list and revoke tokens for the node's API",
		a.tokenCreateCommand(), a.tokenListCommand(), a.tokenRevokeCommand())
}

func (a *app) tokenCreateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "create NAME",
		Short: "Make a token and print it, once",
		Long: `Make a token and print it. It is shown this one time and kept nowhere in the
clear. The scopes are:

  read     ask queries and look at products
  apply    apply folders and see the status, nothing else: for CI
  metrics  read /metrics, nothing else: for Prometheus
  lineage  tell of the lineage of other tools (OpenLineage), nothing else
  admin    everything

A token reads what the node's own domains may read. With --domain it is for that
domain instead: it reads what weftReaders lets that domain read, and applies its
folders only. Scope admin is for the node as a whole and goes with no domain.

Standard output has the token alone, so that it can be sent on to a vault.`,
		Example: `  weft token create notebook --expires 90d
  weft token create bi --domain finance
  weft token create ci --scope apply | vault kv put ci/weft token=-`,
		Args: exactly("NAME"),
	}
	format := listFormat(c.Flags(), "text", "json")
	scopes := c.Flags().StringSlice("scope", []string{"read"}, "what it may be used for: read, apply, metrics, lineage, admin")
	domains := c.Flags().StringSlice("domain", nil, "the domain that it is for (default those of the node)")
	expires := c.Flags().String("expires", "", "when it ends: a date, or a time from now like 12h or 90d (default never)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		r := serve.TokenRequest{Name: args[0], Domains: *domains}
		for _, s := range *scopes {
			if err := oneOf(s, "read", "apply", "metrics", "lineage", "admin"); err != nil {
				return usage("make the token", args[0], "--scope %s", err)
			}
			r.Scopes = append(r.Scopes, serve.Scope(s))
		}
		var err error
		if r.Expires, err = expiry(*expires, time.Now()); err != nil {
			return err
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		t, err := cl.CreateToken(cmd.Context(), r)
		if err != nil {
			return err
		}
		if format.value == "json" {
			return a.printJSON(t)
		}
		a.err.printf("token %s, scope %s, %s; it is shown only now:\n", t.Name, scopeWords(&t.TokenInfo), expiryWords(t.Expires))
		a.out.println(t.Token)
		return nil
	}
	return c
}

func (a *app) tokenListCommand() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the tokens, without their texts", Args: exactly()}
	format := listFormat(c.Flags())
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cl, err := a.connect()
		if err != nil {
			return err
		}
		tokens, err := cl.Tokens(cmd.Context())
		if err != nil {
			return err
		}
		if format.value == "json" {
			if tokens == nil {
				tokens = []serve.TokenInfo{}
			}
			return a.printJSON(tokens)
		}
		g := &grid{columns: []gridColumn{{title: "token"}, {title: "scope"}, {title: "made"}, {title: "expires"}, {title: "last used"}}}
		for _, t := range tokens {
			used := "never"
			if t.LastUsed != nil {
				used = ago(time.Now(), *t.LastUsed)
			}
			g.add(styled(bold, t.Name), cell(scopeWords(&t)), cell(stamp(t.Created)), cell(expiryWords(t.Expires)), cell(used))
		}
		g.print(a.out)
		return nil
	}
	return c
}

func (a *app) tokenRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "revoke NAME", Short: "End a token at once", Args: exactly("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cl, err := a.connect()
			if err != nil {
				return err
			}
			if err := cl.RevokeToken(cmd.Context(), args[0]); err != nil {
				return err
			}
			a.out.printf("token %s is revoked\n", args[0])
			return nil
		},
	}
}

// expiry reads when a token ends: a duration from now (days as 90d) or a time.
func expiry(s string, now time.Time) (*time.Time, error) {
	if s == "" {
		return nil, nil
	}
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		d = time.Duration(min(n, 100*365)) * 24 * time.Hour
	}
	if err == nil {
		t := now.Add(d).UTC().Truncate(time.Second)
		if d <= 0 {
			return nil, usage("make the token", "", "--expires %s is in the past", s)
		}
		return &t, nil
	}
	t, err := timeArg("--expires", s)
	if err != nil {
		return nil, err
	}
	if t.Before(now) {
		return nil, usage("make the token", "", "--expires %s is in the past", s)
	}
	return t, nil
}

func scopeWords(t *serve.TokenInfo) string {
	var w []string
	for _, s := range t.Scopes {
		w = append(w, string(s))
	}
	words := strings.Join(w, ", ")
	if len(t.Domains) > 0 {
		words += " for " + strings.Join(t.Domains, ", ")
	}
	return words
}

func expiryWords(t *time.Time) string {
	if t == nil {
		return "never expires"
	}
	return "until " + stamp(*t)
}
