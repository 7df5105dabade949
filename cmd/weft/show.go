package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"weft"
	"weft/serve"
)

// visibleWidth is the number of columns that s takes on a terminal.
func visibleWidth(s string) int { return text.StringWidthWithoutEscSequences(s) }

func (a *app) showCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "show [PRODUCT]",
		Short: "Show a product: purpose, owner, tables, promises, how to query it",
		Long: `Show one product with everything a reader wants to know, or the list of all
products. PRODUCT is domain.product, or domain.product.table for one table only.`,
		Args:              atMostOne,
		ValidArgsFunction: a.completeProducts,
	}
	format := listFormat(c.Flags())
	sample := c.Flags().Bool("sample", false, "also print a few rows of each table")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		cl, err := a.connect()
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return a.showAll(cmd.Context(), cl, format.value)
		}
		name, table, err := productArg(args[0])
		if err != nil {
			return err
		}
		d, err := cl.Product(cmd.Context(), name)
		if err != nil {
			return err
		}
		if table != "" {
			if err := onlyTable(d, table); err != nil {
				return err
			}
		}
		if format.value == "json" {
			return a.printJSON(d)
		}
		printProduct(a.out, d, *sample, time.Now())
		return nil
	}
	return c
}

// printProduct prints the page of a product.
func printProduct(p *printer, d *serve.ProductDetail, sample bool, now time.Time) {
	p.printf("%s  %s · %s\n", p.paint(bold, d.Name.String()), d.Life, p.paint(stateStyle(d.State), string(d.State)))
	if s := cmp.Or(d.Description.Purpose, d.Purpose); s != "" {
		p.indent("", clean(s), plain)
	}
	p.println("")
	printPairs(p, productFacts(d, now))
	for _, t := range d.Schema {
		p.println("")
		printTable(p, t, sample)
	}
	if len(d.Promises) > 0 {
		p.println("\n" + p.paint(bold, "promises"))
		printPromises(p, d.Promises)
	}
	for i, s := range d.Joins {
		if i == 0 {
			p.println("\n" + p.paint(bold, "joins"))
		}
		p.println("  " + oneLine(s.Text, 400))
	}
	for i, s := range d.Query {
		if i == 0 {
			p.println("\n" + p.paint(bold, "try"))
		}
		p.println("  " + p.paint(dim, "# "+clean(s.Tool)))
		for line := range strings.SplitSeq(strings.TrimRight(clean(s.Text), "\n"), "\n") {
			p.println("  " + line)
		}
	}
}

// pair is a name and its value on a page.
type pair struct {
	name, value string
	st          style
}

// productFacts are the lines below a product's title.
func productFacts(d *serve.ProductDetail, now time.Time) []pair {
	var out []pair
	add := func(name, value string, st style) {
		if value != "" {
			out = append(out, pair{name, value, st})
		}
	}
	if d.Origin != nil {
		text, st := originWords(*d.Origin, now)
		add("origin", text, st)
		add("fault", d.Origin.Fault, red)
		add("signed", signedWords(d, now), plain)
	}
	add("to do", d.Todo, yellow)
	add("last error", d.LastError, red)
	add("owner", owner(d), plain)
	add("version", d.Version, plain)
	rows := count(d.Rows)
	if d.Held > 0 && d.Origin != nil {
		rows += fmt.Sprintf(", and %s held back", count(d.Held))
	} else if d.Held > 0 {
		rows += fmt.Sprintf(", and %s held back (weft quarantine %s)", count(d.Held), d.Name)
	}
	add("rows", rows, plain)
	if h := d.Head; h != nil {
		w := []string{h.Seq.String(), ago(now, h.Time)}
		if h.Cause != "" {
			w = append(w, string(h.Cause))
		}
		if h.Verdict != nil {
			w = append(w, verdictWords(h.Verdict))
		} else if k := d.Checks; k != nil {
			w = append(w, checkWords(k.Passed, k.Passed+k.Failed))
		}
		add("commit", strings.Join(w, " · "), plain)
	}
	add("code", revision(d.Revision), plain)
	for _, port := range d.Ports {
		if port.Kind == serve.PortInput {
			add("made from", inputWords(port, now), plain)
		}
	}
	var down []string
	for _, n := range d.Downstream {
		down = append(down, n.String())
	}
	add("used by", strings.Join(down, ", "), plain)
	switch {
	case slices.Contains(d.Readers, "*"):
		add("read by", "every domain", plain)
	case len(d.Readers) > 0:
		add("read by", d.Name.Domain+", "+strings.Join(d.Readers, ", "), plain)
	case d.Origin != nil:
		add("read by", d.Name.Domain+" only", plain)
	}
	add("limitations", d.Description.Limitations, plain)
	add("usage", d.Description.Usage, plain)
	for _, c := range d.Support {
		add("ask", strings.TrimSpace(c.Channel+" "+c.URL), plain)
	}
	add("tags", strings.Join(d.Tags, ", "), plain)
	add("size", size(d.Bytes), plain)
	return out
}

// signedWords say whose word the page of a product of another node is.
func signedWords(d *serve.ProductDetail, now time.Time) string {
	o := d.Origin
	if o.Here || o.Node.IsZero() || o.Signed.IsZero() {
		return ""
	}
	text := "by " + o.Node.Short() + " for domain " + d.Name.Domain + " · " + ago(now, o.Signed)
	if d.Shortened {
		text += " · shortened: its node has the whole of it"
	}
	return text
}

func owner(d *serve.ProductDetail) string {
	s := cmp.Or(d.Team.Name, d.Owner)
	for _, m := range d.Team.Members {
		if m.Role == "owner" && m.Username != s {
			return strings.TrimSpace(s + " (" + m.Username + ")")
		}
	}
	return s
}

func inputWords(port serve.Port, now time.Time) string {
	var w []string
	if port.Product != nil {
		w = append(w, port.Name+": product "+port.Product.String())
	} else {
		w = append(w, strings.TrimSuffix(port.Name+": "+port.Source, ": "))
		if port.Mode != "" {
			w = append(w, string(port.Mode))
		}
	}
	if port.Position != nil {
		w = append(w, "read "+ago(now, port.Position.Read))
		if port.Position.Text != "" {
			w = append(w, port.Position.Text)
		}
	}
	if len(port.Checks) > 0 {
		w = append(w, verdictWords(&weft.Verdict{Checks: port.Checks}))
	}
	return strings.Join(w, " · ")
}

// printPairs prints names in one column and wrapped values beside them.
func printPairs(p *printer, pairs []pair) {
	lead := 0
	for _, f := range pairs {
		lead = max(lead, len(f.name))
	}
	before := ""
	for _, f := range pairs {
		name := f.name
		if name == before {
			name = "" // several values of one name
		}
		before = f.name
		p.indent(p.paint(dim, fmt.Sprintf("%-*s", lead, name))+"  ", clean(f.value), f.st)
	}
}
