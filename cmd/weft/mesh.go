package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"weft"
	"weft/serve"
)

// alone marks a command that does something by itself and holds others too.
const alone = "alone"

func (a *app) meshCommand() *cobra.Command {
	c := group("mesh", "Show the mesh that the node is in; found one, rotate the node's key, settle a domain",
		a.meshInitCommand(), a.meshRotateCommand(), a.meshDecideCommand(), a.meshKeysCommand())
	c.Long = `Show the mesh that the node is in: its domains, who speaks for them, and how many
nodes and products are known. A domain that is claimed twice is named, with the
command that settles it.`
	c.Annotations = map[string]string{alone: ""}
	format := listFormat(c.Flags(), "text", "json")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return unknownCommand(cmd, args[0])
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		info, err := cl.Mesh(cmd.Context())
		if err != nil {
			return err
		}
		if format.value == "json" {
			return a.printJSON(info)
		}
		peers, err := cl.Peers(cmd.Context())
		if err != nil {
			return err
		}
		printMesh(a.out, info, peers)
		return nil
	}
	return c
}

func (a *app) meshInitCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "init",
		Short: "Found a mesh, with this node as its only member",
		Long: `Found a mesh. The node makes the founding key and the charter, which the key
signs, and speaks for the domains that are named. Others enter by an invitation:
weft invite.

The founding key is in the node's data folder (mesh/charter.key). It decides whose
a domain is and can revoke any node: keep a copy of it in a safe place.`,
		Example: `  weft mesh init --name acme --domain sales`,
		Args:    exactly(),
	}
	format := listFormat(c.Flags(), "text", "json")
	name := c.Flags().String("name", "", "what the mesh is called (default the node's name)")
	domains := c.Flags().StringSlice("domain", nil, "a domain that this node speaks for; more than once for several")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cl, err := a.connect()
		if err != nil {
			return err
		}
		info, err := cl.FoundMesh(cmd.Context(), serve.Founding{Name: *name, Domains: *domains})
		if err != nil {
			return err
		}
		if format.value == "json" {
			return a.printJSON(info)
		}
		a.out.printf("mesh %s is founded; this node is %s (%s)%s\n", a.out.paint(bold, clean(info.Mesh)), clean(info.Name), info.Node.Short(), speaksFor(info))
		a.out.indent("→ ", "keep a copy of mesh/charter.key from the data folder in a safe place: it decides whose a domain is", yellow)
		a.out.indent("→ ", "weft invite --domain DOMAIN lets another node in", cyan)
		return nil
	}
	return c
}

func (a *app) meshRotateCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Give the node a new key; it stays in the mesh and in its domains",
		Long: `Give the node a new key. Old and new key sign the change, so that the node stays
in the mesh, in its domains and the origin of its products. The old key is spent: if
somebody else has it, it is of no use to them from then on.`,
		Args: exactly(),
	}
	format := listFormat(c.Flags(), "text", "json")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cl, err := a.connect()
		if err != nil {
			return err
		}
		info, err := cl.RotateKey(cmd.Context())
		if err != nil {
			return err
		}
		if format.value == "json" {
			return a.printJSON(info)
		}
		a.out.printf("the node's key is %s now; the one before is spent\n", info.Node)
		return nil
	}
	return c
}

func (a *app) meshDecideCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "decide DOMAIN KEY",
		Short: "Say with the founding key whose a domain is",
		Long: `Say whose a domain is, where two keys claim it. Until then the names of the domain
resolve to nothing, on every node. The node must hold the founding key. KEY is the
domain's key as weft mesh shows it; its beginning is enough where that is plain.`,
		Args: exactly("DOMAIN", "KEY"),
	}
	format := listFormat(c.Flags(), "text", "json")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := weft.CheckName(args[0]); err != nil {
			return err
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		info, err := cl.Mesh(cmd.Context())
		if err != nil {
			return err
		}
		key, err := domainKey(info, args[0], args[1])
		if err != nil {
			return err
		}
		if info, err = cl.DecideDomain(cmd.Context(), args[0], key); err != nil {
			return err
		}
		if format.value == "json" {
			return a.printJSON(info)
		}
		a.out.printf("domain %s is that of %s\n", args[0], key.Short())
		return nil
	}
	return c
}

// domainKey reads a whole key, or the beginning of one that claims the domain.
func domainKey(info *serve.MeshInfo, domain, text string) (key weft.KeyID, err error) {
	if len(text) == 64 {
		return key, key.UnmarshalText([]byte(text))
	}
	var claims []weft.KeyID
	for _, d := range info.Domains {
		if d.Domain == domain {
			if len(d.Claims) == 0 {
				claims = []weft.KeyID{d.Key}
			}
			for _, c := range d.Claims {
				claims = append(claims, c.Key)
			}
		}
	}
	if len(claims) == 0 {
		return key, weft.Errorf(weft.KindNotFound, "decide the domain", domain, "the mesh has no such domain").WithHint("`weft mesh` lists them")
	}
	return byBeginning("the key of "+domain, text, claims, weft.KeyID.String)
}

// leastBeginning is the fewest digits that name a key.
const leastBeginning = 4

// byBeginning finds the one key that starts so.
func byBeginning(what, text string, keys []weft.KeyID, show func(weft.KeyID) string) (weft.KeyID, error) {
	var fit []weft.KeyID
	for _, k := range keys {
		if len(text) >= leastBeginning && strings.HasPrefix(k.String(), strings.ToLower(text)) {
			fit = append(fit, k)
		}
	}
	if len(fit) == 1 {
		return fit[0], nil
	}
	e := usage("find "+what, oneLine(text, 70), "no key starts so")
	if len(fit) > 1 {
		e = usage("find "+what, oneLine(text, 70), "%d keys start so", len(fit))
		keys = fit
	}
	var list []string
	for _, k := range keys {
		list = append(list, show(k))
	}
	if len(list) == 0 {
		return weft.KeyID{}, e.WithHint("give the whole key: 64 hexadecimal digits")
	}
	return weft.KeyID{}, e.WithHint("it is one of %s", strings.Join(list, ", "))
}

// speaksFor says for which domains the node may speak.
func speaksFor(info *serve.MeshInfo) string {
	var mine []string
	for _, d := range info.Domains {
		if d.Mine {
			mine = append(mine, d.Domain)
		}
	}
	if len(mine) == 0 {
		return " and speaks for no domain"
	}
	return " and speaks for " + strings.Join(mine, ", ")
}

// printMesh prints what the node is part of.
func printMesh(p *printer, info *serve.MeshInfo, peers []serve.Peer) {
	if !info.Joined {
		p.printf("%s is in no mesh\n", p.paint(bold, clean(info.Name)))
		p.indent("→ ", "weft mesh init --domain DOMAIN founds one; weft join TOKEN enters one by an invitation", cyan)
		return
	}
	printFacts(p, []string{
		p.paint(bold, clean(info.Mesh)), plural(int64(info.Peers)+1, "node"), fmt.Sprintf("%d reachable", info.Reachable+1),
		plural(int64(info.Cards), "product"), plural(int64(info.Records), "record"),
	})
	founders := fmt.Sprintf("%d of %s decide", info.Threshold, plural(int64(len(info.Founders)), "founding key"))
	if info.Founder {
		founders += "; this node holds one"
	}
	printPairs(p, []pair{
		{"mesh", info.ID, plain},
		{"this node", clean(info.Name) + " " + info.Node.String() + speaksFor(info), plain},
		{"founders", founders, plain},
	})
	if len(info.Domains) == 0 {
		return
	}
	names := map[weft.KeyID]string{}
	for _, n := range peers {
		names[n.Node] = n.Name
	}
	p.println("")
	domainGrid(info, names).print(p)
	for _, d := range info.Domains {
		if len(d.Claims) == 0 {
			continue
		}
		p.indent("✗ ", fmt.Sprintf("domain %s is claimed by %d keys: its names resolve to nothing until a founder decides", d.Domain, len(d.Claims)), red)
		for _, c := range d.Claims {
			p.indent("→ ", fmt.Sprintf("weft mesh decide %s %s · admits %s", d.Domain, c.Key.String()[:16], namesOf(c.Nodes, names)), cyan)
		}
	}
}

// namesOf are what nodes are called, or the beginnings of their keys.
func namesOf(nodes []weft.KeyID, names map[weft.KeyID]string) string {
	if len(nodes) == 0 {
		return "none"
	}
	var all []string
	for _, n := range nodes {
		name := clean(names[n])
		if name == "" {
			name = n.Short()
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}

func domainGrid(info *serve.MeshInfo, names map[weft.KeyID]string) *grid {
	g := &grid{columns: []gridColumn{
		{title: "domain"},
		{title: "nodes", flex: true},
		{title: "key"},
		{title: "", optional: true},
	}}
	for _, d := range info.Domains {
		note, st := "", plain
		switch {
		case len(d.Claims) > 0:
			note, st = "claimed twice", red
		case d.Admits:
			note = "this node admits"
		}
		g.add(styled(bold, d.Domain), cell(namesOf(d.Nodes, names)), styled(dim, d.Key.Short()), styled(st, note))
	}
	return g
}

// findPeer finds a node of the mesh by its name or the beginning of its key.
func (a *app) findPeer(ctx context.Context, list func(context.Context) ([]serve.Peer, error), text string) (serve.Peer, error) {
	peers, err := list(ctx)
	if err != nil {
		return serve.Peer{}, err
	}
	byKey := map[weft.KeyID]serve.Peer{}
	var named, all []weft.KeyID
	for _, p := range peers {
		byKey[p.Node] = p
		if p.Gone() {
			continue
		}
		all = append(all, p.Node)
		if p.Name == text {
			named = append(named, p.Node)
		}
	}
	show := func(k weft.KeyID) string {
		if n := byKey[k].Name; n != "" {
			return oneLine(n, 63) + " (" + k.Short() + ")"
		}
		return k.Short()
	}
	var key weft.KeyID
	switch {
	case len(text) == 64 && key.UnmarshalText([]byte(strings.ToLower(text))) == nil:
		if p, ok := byKey[key]; ok {
			return p, nil
		}
		return serve.Peer{Node: key}, nil
	case len(named) == 1:
		return byKey[named[0]], nil
	case len(named) > 1:
		_, err := byBeginning("the node", text, named, show)
		return serve.Peer{}, err
	}
	key, err = byBeginning("the node", text, all, show)
	return byKey[key], err
}
