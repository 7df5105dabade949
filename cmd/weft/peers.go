package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weft"
	"weft/serve"
)

func (a *app) peersCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "peers",
		Short: "List the nodes of the mesh: domains, whether they can be reached, products",
		Long: `List the nodes of the mesh: the domains that each speaks for, how it is reached,
when it was heard last, and how many of its products are known here. Nodes that were
revoked, and keys that were rotated, are listed too.

The link is "direct" or "relay" where there is a live one; "mesh" where none was
needed yet, and what the node says comes by way of others; "away" where it could not
be reached when that was tried last.`,
		Args: exactly(),
	}
	format := listFormat(c.Flags())
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cl, err := a.connect()
		if err != nil {
			return err
		}
		peers, err := cl.Peers(cmd.Context())
		if err != nil {
			return err
		}
		return printList(a, format, peers, "the node is in no mesh", "weft mesh init founds one; weft join TOKEN enters one by an invitation", func(peers []serve.Peer) {
			peerGrid(peers, time.Now()).print(a.out)
		})
	}
	return c
}

// peerGrid is the table of nodes.
func peerGrid(peers []serve.Peer, now time.Time) *grid {
	g := &grid{columns: []gridColumn{
		{title: "node"},
		{title: "key"},
		{title: "domains", flex: true},
		{title: "link"},
		{title: "seen"},
		{title: "products", right: true},
		{title: "address", optional: true, spare: true},
		{title: "version", optional: true, spare: true},
	}}
	names := map[weft.KeyID]string{}
	for _, p := range peers {
		names[p.Node] = p.Name
	}
	for _, p := range peers {
		domains := strings.Join(p.Domains, ", ")
		if domains == "" {
			domains = "—"
		}
		seen := "never"
		switch {
		case p.Link == serve.LinkSelf:
			seen = "now"
		case p.LastSeen != nil:
			seen = ago(now, *p.LastSeen)
		}
		word, st := linkWords(p, names)
		g.add(styled(bold, oneLine(p.Name, 63)), styled(dim, p.Node.Short()), cell(domains), styled(st, word), cell(seen),
			cell(count(int64(p.Cards))), styled(dim, strings.Join(p.Addresses, ", ")), styled(dim, oneLine(p.Version, 30)))
	}
	return g
}

// linkWords say how a node is reached, or why it is none any more.
func linkWords(p serve.Peer, names map[weft.KeyID]string) (string, style) {
	for _, r := range p.Revoked {
		if r.Domain == "" {
			return strings.TrimSuffix("revoked: "+oneLine(r.Reason, 60), ": "), red
		}
	}
	if p.Rotated != nil {
		return "now " + p.Rotated.Short(), dim
	}
	word, st := string(p.Link), plain
	switch p.Link {
	case serve.LinkSelf:
		word = "this node"
	case serve.LinkDirect, serve.LinkMesh:
		st = green
	case serve.LinkRelay:
		st = green
		if p.Via != nil {
			word = "relay " + oneLine(names[*p.Via], 63)
		}
	case serve.LinkAway:
		st = yellow
	}
	for _, r := range p.Revoked {
		word += ", not for " + r.Domain + " any more"
	}
	return word, st
}
