package serve

import (
	"fmt"
	"io"
	"strings"
	"time"

	"weft"
)

// PlanPrint says how a plan is written as text.
type PlanPrint struct {
	Width int                 // columns, 100 where it is 0
	Faint func(string) string // writes what matters less; nil changes nothing
	Loud  func(string) string // writes names; nil changes nothing
	Alarm func(string) string // writes what is missing; nil changes nothing
}

// WritePlan writes a plan as a tree: what runs here, and below it what other nodes are
// asked for it; or, where another node makes the last step, what it is asked at the end.
func WritePlan(w io.Writer, p *weft.Plan, how PlanPrint) error {
	same := func(s string) string { return s }
	for _, f := range []*func(string) string{&how.Faint, &how.Loud, &how.Alarm} {
		if *f == nil {
			*f = same
		}
	}
	if how.Width <= 0 {
		how.Width = 100
	}
	t := &planText{PlanPrint: how, plan: p, names: map[int]string{}}
	for _, part := range p.Parts {
		t.names[part.Number] = partName(part)
	}
	if p.Whole && len(p.Parts) > 0 {
		t.whole(p.Parts[0])
	} else {
		t.tree()
	}
	if p.Measured != nil && len(p.Cut) > 0 {
		t.fill("", "", "cut "+p.Cut.String(), t.Faint)
	}
	for _, x := range p.Warnings {
		t.fill("", "", "warning ("+string(x.Kind)+"): "+x.Message, t.Alarm)
	}
	_, err := io.WriteString(w, t.out.String())
	return err
}

type planText struct {
	PlanPrint
	plan  *weft.Plan
	names map[int]string // of the parts' nodes
	out   strings.Builder
}

func partName(p weft.PlanPart) string {
	if p.Here() {
		return "here"
	}
	return plainText(p.Name)
}

// whole is a question that one other node answers.
func (t *planText) whole(p weft.PlanPart) {
	t.out.WriteString("answered whole at " + t.Loud(partName(p)) + t.Faint(", which has all tables: "+plainText(names(p.Products))) + "\n")
	if p.Read > 0 {
		t.line("  ", "largest table  ", group(p.Read)+" rows")
	}
	if m := p.Measured; m != nil {
		t.line("  ", "measured       ", plural(m.Rows, "row")+", "+planBytes(m.Bytes)+" on the wire; first after "+planTime(m.First)+", last after "+planTime(m.Last))
	}
	t.sql("  ", p.SQL)
}

// tree is a question that is put together of parts.
func (t *planText) tree() {
	far := 0
	seen := map[string]bool{}
	for _, p := range t.plan.Parts {
		if !p.Here() && !seen[p.Node.String()] {
			far++
			seen[p.Node.String()] = true
		}
	}
	head := "answered " + t.Loud("here")
	last := t.last()
	switch {
	case last != nil:
		head = "answered at " + t.Loud(partName(*last)) + t.Faint(", to which the rows of the others go")
	case far == 1:
		head += ", with rows of another node"
	case far > 1:
		head += fmt.Sprintf(", with rows of %d other nodes", far)
	default:
		head += ": no other node is asked"
	}
	t.out.WriteString(head + "\n")
	lead := "  "
	if len(t.plan.Parts) > 0 {
		lead = "│ "
	}
	if last == nil {
		t.here(lead, t.plan.Here)
	}
	for i, p := range t.plan.Parts {
		mark, pad := "├─ ", "│  "
		if i == len(t.plan.Parts)-1 {
			mark, pad = "└─ ", "   "
		}
		t.part(mark, pad, p)
	}
}

// last is the part that puts the others together, nil where that is done here.
func (t *planText) last() *weft.PlanPart {
	if n := len(t.plan.Parts); n > 0 && t.plan.Parts[n-1].Last {
		return &t.plan.Parts[n-1]
	}
	return nil
}

// here is what runs here at the end.
func (t *planText) here(lead string, h *weft.PlanHere) {
	for _, r := range h.Reads {
		t.line(lead, "reads     ", fmt.Sprintf("%s: %s, %s in files", plainText(r.Product.String()), plural(r.Rows, "row"), planBytes(r.Bytes)))
	}
	if h.Counted {
		t.line(lead, "reads     ", "nothing: the number of rows is known")
	}
	if m := h.Measured; m != nil {
		t.line(lead, "measured  ", fmt.Sprintf("%s, %s; began after %s, last row after %s", plural(m.Rows, "row"), planBytes(m.Bytes), planTime(m.Began), planTime(m.Last)))
	}
	t.sql(lead, h.SQL)
}

// part is what one node is asked.
func (t *planText) part(mark, pad string, p weft.PlanPart) {
	t.out.WriteString(fmt.Sprintf("%s%d  %s  %s\n", mark, p.Number, t.Loud(partName(p)), t.Faint(plainText(names(p.Products)))))
	pad += "   "
	if p.Here() && p.SQL == "" {
		t.line(pad, "read for  ", "values that others are asked with")
		return
	}
	if p.Last {
		t.lastPart(pad, p)
		return
	}
	est := fmt.Sprintf("about %s of %s, %s", group(p.Rows), plural(max(p.Read, p.Rows), "row"), planBytes(p.Bytes))
	if p.Read == 0 {
		est = "nothing is known of how much it is"
	} else if len(p.Keys) > 0 {
		est += ", before keys"
	}
	t.line(pad, "estimate  ", est)
	if p.Shard != nil {
		t.line(pad, "shard     ", p.Shard.String()+": no row of it is joined with one of another")
	}
	for _, k := range p.Keys {
		t.line(pad, "keys      ", t.keys(k))
	}
	t.measured(pad, p)
	if p.Fault != "" {
		t.fill(pad, "missing   ", p.Fault, t.Alarm)
	}
	t.line(pad, "seen as   ", p.As)
	t.sql(pad, p.SQL)
}

// lastPart is the last step where another node does it.
func (t *planText) lastPart(pad string, p weft.PlanPart) {
	var of []string
	for _, n := range p.Guests {
		of = append(of, fmt.Sprintf("%d (%s)", n, t.names[n]))
	}
	if len(of) > 0 {
		t.line(pad, "with      ", "the rows of "+strings.Join(of, " and "))
	}
	t.line(pad, "estimate  ", fmt.Sprintf("%s travel, and %s would if this ran here", planBytes(p.Bytes), planBytes(p.Home)))
	if p.Read > 0 {
		t.line(pad, "reads     ", "a table of "+plural(p.Read, "row"))
	}
	t.measured(pad, p)
	t.sql(pad, p.SQL)
}

func (t *planText) measured(pad string, p weft.PlanPart) {
	m := p.Measured
	switch {
	case m == nil:
		return
	case p.Here():
		t.line(pad, "measured  ", fmt.Sprintf("%s; begun at %s, last row at %s", plural(m.Rows, "row"), planTime(m.Began), planTime(m.Last)))
		return
	}
	t.line(pad, "measured  ", fmt.Sprintf("%s, %s on the wire; asked at %s, first row at %s, last %s",
		plural(m.Rows, "row"), planBytes(m.Bytes), planTime(m.Began), planTime(m.First), planTime(m.Last)))
}

// keys says what a part waits for.
func (t *planText) keys(k weft.PlanKeys) string {
	var from []string
	for _, c := range k.From {
		from = append(from, fmt.Sprintf("%s of %d (%s)", c.Column, c.Part, t.names[c.Part]))
	}
	s := k.Column + " in " + strings.Join(from, " and ")
	switch {
	case k.Sent == nil:
	case *k.Sent == 0:
		s += ": none sent, there are too many"
	default:
		s += ": " + group(*k.Sent) + " sent"
	}
	return s
}

// line is a fact with its name.
func (t *planText) line(pad, name, text string) {
	t.fill(pad, name, text, func(s string) string { return s })
}

// fill wraps text behind its name.
func (t *planText) fill(pad, name, text string, paint func(string) string) {
	t.wrapped(pad, name, foldText(printable(text), t.Width-len([]rune(pad+name)), 0), paint)
}

// sql writes a statement, a clause on a line where it is long.
func (t *planText) sql(pad, text string) {
	pad += "  "
	width := t.Width - len([]rune(pad))
	var lines []string
	all := strings.Split(strings.TrimSpace(text), "\n")
	if len(all) == 1 {
		all = clauses(printable(text), width)
	}
	for _, l := range all { // lines that somebody wrote stay theirs
		lines = append(lines, foldText(printable(strings.ReplaceAll(l, "\t", "  ")), width, 4)...)
	}
	t.wrapped(pad, "", lines, t.Faint)
}

func (t *planText) wrapped(pad, name string, lines []string, paint func(string) string) {
	for i, l := range lines {
		if i == 1 {
			name = strings.Repeat(" ", len([]rune(name)))
		}
		t.out.WriteString(pad + t.Faint(name) + paint(l) + "\n")
	}
}

func names(ns []weft.Name) string {
	var s []string
	for _, n := range ns {
		s = append(s, n.String())
	}
	return strings.Join(s, ", ")
}

func planBytes(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d bytes", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.3g KB", float64(n)/1e3)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.3g MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.3g GB", float64(n)/1e9)
}

func planTime(ms float64) string {
	if ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return shortDuration(time.Duration(ms * float64(time.Millisecond)))
}
