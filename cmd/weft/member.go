package main

import (
	"github.com/spf13/cobra"

	"weft/serve"
)

func (a *app) memberCommand() *cobra.Command {
	return group("member", "Revoke a node of the mesh", a.memberRevokeCommand())
}

func (a *app) memberRevokeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "revoke NODE",
		Short: "End a node's membership, or its part in one domain, for good",
		Long: `End a node's membership in the mesh, or with --domain its part in that domain. It
is final: the node learns nothing more, and what it signs counts for nothing. To
come back it needs a new key and a new invitation.

A founder can revoke any node; whoever holds a domain's key can revoke nodes from
that domain. NODE is its name, or the beginning of its key. Every node of the mesh
sees the reason.`,
		Example: `  weft member revoke shop2 --reason "the machine was stolen"
  weft member revoke 3fa9c2d1 --domain sales --reason "moved to another team"`,
		Args: exactly("NODE"),
	}
	domain := c.Flags().String("domain", "", "only its part in this domain")
	reason := c.Flags().String("reason", "", "why, for the other members (required)")
	yes := c.Flags().Bool("yes", false, "do not ask")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if *reason == "" {
			return usage("revoke", oneLine(args[0], 70), "--reason is missing").WithHint("say why in a few words: every node of the mesh sees it")
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		p, err := a.findPeer(cmd.Context(), cl.Peers, args[0])
		if err != nil {
			return err
		}
		what := "the membership of " + peerName(p)
		if *domain != "" {
			what = "the part of " + peerName(p) + " in " + *domain
		}
		if !*yes && isTerminal(a.in) && a.err.tty {
			ok, err := a.confirm("This ends "+what+" for good.", "revoke")
			if err != nil {
				return err
			}
			if !ok {
				a.err.println("nothing was changed")
				return no()
			}
		}
		if err := cl.RevokeMember(cmd.Context(), p.Node, serve.RevokeRequest{Domain: *domain, Reason: *reason}); err != nil {
			return err
		}
		a.out.printf("%s is ended\n", what)
		return nil
	}
	return c
}

// peerName is how a node is called for people.
func peerName(p serve.Peer) string {
	if p.Name == "" {
		return p.Node.Short()
	}
	return oneLine(p.Name, 63) + " (" + p.Node.Short() + ")"
}
