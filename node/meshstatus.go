package node

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"weft/serve"
)

// meshStatus is the mesh in one line, and the one thing to do about it; nil where the
// node is in none.
func (n *Node) meshStatus() (st *serve.MeshStatus, todo string) {
	if !n.joined() {
		return nil, ""
	}
	st = &serve.MeshStatus{Name: n.mesh.Charter().Name}
	st.Peers, st.Reachable = n.countPeers()
	for _, c := range n.mesh.Conflicts() {
		if c.Domain != "" {
			st.Conflicts = append(st.Conflicts, c.Domain)
		}
	}
	return st, n.meshTodo()
}

// meshTodo is what is wrong with the node's own part in the mesh.
func (n *Node) meshTodo() string {
	if n.mesh.Twin() {
		return "another process runs with this node's key: stop one of them, or weft mesh rotate"
	}
	mine := n.mesh.Domains()
	var foreign []string
	for _, p := range n.all() {
		if d := p.name().Domain; !slices.Contains(mine, d) && !slices.Contains(foreign, d) {
			foreign = append(foreign, d)
		}
	}
	if len(foreign) > 0 {
		return fmt.Sprintf("nobody else sees the products of %s: this node is not admitted to it in its mesh (weft mesh says who can invite)", strings.Join(foreign, ", "))
	}
	return ""
}

// meshGauges describe what is counted of the mesh.
type meshGauges struct {
	peers, records, products, conflicts *prometheus.Desc
}

func newMeshGauges() meshGauges {
	return meshGauges{
		peers:     gaugeDesc("weft_mesh_peers", "Other nodes of the mesh, by how they are reached: direct, relay, mesh (no link was needed yet), away.", "link"),
		records:   gaugeDesc("weft_mesh_records", "Signed records of the mesh that this node holds."),
		conflicts: gaugeDesc("weft_mesh_conflicts", "Names and keys of the mesh that are claimed twice and resolve to nothing."),
		products:  gaugeDesc("weft_catalog_products", "Products that can be searched, those of this node too."),
	}
}

// collectMesh sends the figures of the mesh; a node in none has no peers.
func (n *Node) collectMesh(send func(*prometheus.Desc, float64, ...string)) {
	d := newMeshGauges()
	send(d.products, float64(n.cat.Len()))
	if !n.joined() {
		return
	}
	links := map[serve.Link]int{serve.LinkDirect: 0, serve.LinkRelay: 0, serve.LinkMesh: 0, serve.LinkAway: 0}
	list, _ := n.members()
	for _, m := range list {
		if !m.Self && !m.Revoked && m.Rotated.IsZero() {
			links[linkOf(m)]++
		}
	}
	for link, count := range links {
		send(d.peers, float64(count), string(link))
	}
	send(d.records, float64(n.mesh.Set().Count()))
	send(d.conflicts, float64(len(n.mesh.Conflicts())))
}
