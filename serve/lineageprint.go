package serve

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"weft"
)

// LineagePrint says how a lineage is written as text.
type LineagePrint struct {
	// Facts writes what is known of a product's state; nil writes the state alone.
	Facts func(weft.LineageNode) []string
	// Faint writes what matters less; nil changes nothing.
	Faint func(string) string
}

// WriteLineage writes a lineage as trees: what it is made from, what decides its
// rows, and what is made from it. A place that stands above is not followed again.
func WriteLineage(w io.Writer, l *weft.Lineage, p LineagePrint) error {
	if p.Facts == nil {
		p.Facts = func(n weft.LineageNode) []string { return []string{string(n.State)} }
	}
	if p.Faint == nil {
		p.Faint = func(s string) string { return s }
	}
	t := newLineageTree(l, p)
	root, ok := t.nodes[l.Of]
	if !ok {
		return weft.Errorf(weft.KindInvalid, "write the lineage", l.Of, "it has no such node")
	}
	t.line("", root, nil, nil)
	up, down := t.up[l.Of], t.down[l.Of]
	rows := t.rowsOf(root)
	if len(up) == 0 && len(down) == 0 && rows == "" {
		t.text.WriteString("nothing is known of what it is made from, or of what is made from it\n")
	}
	if len(up) > 0 {
		t.text.WriteString("made from\n")
	}
	t.seen = map[string]bool{l.Of: true, rows: true}
	t.branches("", l.Of, root, true)
	if rows != "" {
		t.text.WriteString("its rows are decided by\n")
		t.branches("", rows, root, true)
	}
	if len(down) > 0 {
		t.text.WriteString("goes into\n")
	}
	t.seen = map[string]bool{l.Of: true}
	t.branches("", l.Of, root, false)
	if l.Cut {
		t.text.WriteString("there is more than fits into one answer: ask for one direction, or a smaller depth\n")
	}
	_, err := io.WriteString(w, t.text.String())
	return err
}

type lineageTree struct {
	p     LineagePrint
	nodes map[string]*weft.LineageNode
	up    map[string][]lineageBranch
	down  map[string][]lineageBranch
	seen  map[string]bool
	told  map[weft.Name]bool // products of which the state was said
	text  strings.Builder
}

type lineageBranch struct {
	id  string
	how []weft.Derivation
}

func newLineageTree(l *weft.Lineage, p LineagePrint) *lineageTree {
	t := &lineageTree{p: p, nodes: map[string]*weft.LineageNode{}, up: map[string][]lineageBranch{}, down: map[string][]lineageBranch{}, told: map[weft.Name]bool{}}
	for i := range l.Nodes {
		t.nodes[l.Nodes[i].ID] = &l.Nodes[i]
	}
	for _, e := range l.Edges {
		if t.nodes[e.From] == nil || t.nodes[e.To] == nil {
			continue
		}
		t.up[e.To] = append(t.up[e.To], lineageBranch{e.From, e.How})
		t.down[e.From] = append(t.down[e.From], lineageBranch{e.To, e.How})
	}
	return t
}

// rowsOf is the id of the table that a column is in, where it is known what decides
// its rows; empty else.
func (t *lineageTree) rowsOf(n *weft.LineageNode) string {
	if n.Kind != weft.LineageColumn || n.Product == nil {
		return ""
	}
	if id := n.Product.String() + "." + n.Table; len(t.up[id]) > 0 {
		return id
	}
	return ""
}

// branches writes what is next to a node, and what is next to that.
func (t *lineageTree) branches(lead, id string, parent *weft.LineageNode, upward bool) {
	next := t.down
	if upward {
		next = t.up
	}
	list := next[id]
	for i, b := range list {
		mark, pad := "├─ ", "│  "
		if i == len(list)-1 {
			mark, pad = "└─ ", "   "
		}
		n := t.nodes[b.id]
		words := hows(b.how)
		if t.seen[b.id] && len(next[b.id]) > 0 {
			t.line(lead+mark, n, n, append(words, "see above"))
			continue
		}
		t.line(lead+mark, n, parent, words)
		t.seen[b.id] = true
		t.branches(lead+pad, b.id, n, upward)
		if rows := t.rowsOf(n); upward && rows != "" && !t.seen[rows] {
			t.seen[rows] = true
			t.text.WriteString(lead + pad + t.p.Faint("rows decided by") + "\n")
			t.branches(lead+pad, rows, n, upward)
		}
	}
}

// line writes one node; of a product's state something is said where it comes first.
func (t *lineageTree) line(lead string, n, parent *weft.LineageNode, words []string) {
	t.text.WriteString(lead + LineageLabel(*n))
	if n.Kind == weft.LineageSource {
		words = append(words, strings.TrimSpace(n.Type+" source"))
	}
	if n.Kind == weft.LineageJob {
		words = append(words, "job")
	}
	if parent == nil && n.Type != "" {
		words = append(words, n.Type)
	}
	if n.Kind == weft.LineageUnknown && n.Product != nil {
		words = append(words, "not known here")
	}
	tail := plainText(strings.Join(words, ", "))
	if parent != nil && parent != n && n.More {
		tail = strings.TrimSpace(tail + " …")
	}
	if tail != "" {
		t.text.WriteString("  " + t.p.Faint(tail))
	}
	if n.Product != nil && !t.told[*n.Product] {
		t.told[*n.Product] = true
		for _, f := range t.p.Facts(*n) {
			if f != "" {
				t.text.WriteString(" · " + f)
			}
		}
	}
	t.text.WriteString("\n")
}

func hows(how []weft.Derivation) (out []string) {
	for _, h := range how {
		out = append(out, string(h))
	}
	return out
}

// LineageLabel names a node for people.
func LineageLabel(n weft.LineageNode) string {
	var w string
	switch n.Kind {
	case weft.LineageOutside, weft.LineageJob:
		w = n.Namespace + " " + n.Name
	case weft.LineageSource:
		w = strings.Trim(n.Port+"."+n.Table, ".")
		if n.Port == n.Table {
			w = n.Port
		}
	case weft.LineageUnknown:
		if n.Product == nil {
			return "a product that is hidden"
		}
		return plainText(n.ID)
	default:
		if n.Product == nil {
			return plainText(n.ID)
		}
		w = n.Product.String()
		if n.Table != "" {
			w = weft.TableName{Name: *n.Product, Table: n.Table}.String()
		}
	}
	if n.Column != "" {
		w += "." + n.Column
	}
	return plainText(w)
}

// plainText takes control characters out of what others wrote, and bounds it.
func plainText(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsPrint(r) && r != ' ' {
			return unicode.ReplacementChar
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "…"
	}
	return s
}

// WriteMermaid writes a lineage as a Mermaid flowchart, a box around each product.
func WriteMermaid(w io.Writer, l *weft.Lineage) error {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	place := map[string]int{}
	boxes := map[string][]int{}
	var order []string
	for i, n := range l.Nodes {
		place[n.ID] = i
		box := ""
		if n.Product != nil && n.Table != "" { // products stand by themselves
			box = n.Product.String()
		}
		if boxes[box] == nil {
			order = append(order, box)
		}
		boxes[box] = append(boxes[box], i)
	}
	for i, box := range order {
		lead := "  "
		if box != "" {
			fmt.Fprintf(&b, "  subgraph b%d[\"%s\"]\n", i, mermaidText(box))
			lead = "    "
		}
		for _, at := range boxes[box] {
			b.WriteString(lead + mermaidNode(at, l.Nodes[at]) + "\n")
		}
		if box != "" {
			b.WriteString("  end\n")
		}
	}
	for _, e := range l.Edges {
		from, ok := place[e.From]
		to, found := place[e.To]
		if !ok || !found {
			continue
		}
		arrow := "-->"
		if len(e.How) > 0 && !slices.ContainsFunc(e.How, isValue) {
			arrow = "-.->"
		}
		if len(e.How) > 0 {
			arrow += "|" + strings.Join(hows(e.How), ", ") + "|"
		}
		fmt.Fprintf(&b, "  n%d %s n%d\n", from, arrow, to)
	}
	fmt.Fprintf(&b, "  style n%d stroke-width:3px\n", place[l.Of])
	_, err := io.WriteString(w, b.String())
	return err
}

// isValue says that the value itself goes in; what only decides is drawn dotted.
func isValue(d weft.Derivation) bool {
	return d == weft.DeriveIdentity || d == weft.DeriveTransform || d == weft.DeriveAggregate
}

func mermaidNode(at int, n weft.LineageNode) string {
	label := mermaidText(LineageLabel(n))
	if n.State != "" && n.State != weft.StateFresh {
		label += "<br/>" + mermaidText(string(n.State))
	}
	switch n.Kind {
	case weft.LineageSource, weft.LineageOutside:
		return fmt.Sprintf("n%d[(\"%s\")]", at, label)
	case weft.LineageJob:
		return fmt.Sprintf("n%d([\"%s\"])", at, label)
	case weft.LineageUnknown:
		return fmt.Sprintf("n%d{{\"%s\"}}", at, label)
	}
	return fmt.Sprintf("n%d[\"%s\"]", at, label)
}

// mermaidText writes what could end a label, or mean something in it, by its number.
func mermaidText(s string) string {
	var b strings.Builder
	for _, r := range plainText(s) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(" ._-/:…", r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "#%d;", r)
		}
	}
	return b.String()
}
