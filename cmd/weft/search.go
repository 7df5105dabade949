package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"weft"
	"weft/serve"
)

func (a *app) searchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "search [WORDS]...",
		Short: "Search the products of the whole mesh",
		Long: `Search the products of the whole mesh: names, descriptions, columns, tags, terms,
owners and domains. Typing errors are forgiven. What fits best comes first, and
healthy and fresh products go before others. Each hit says why it fits and how fresh
what is known of it is: the answer comes from the node's own memory, also while
other nodes are away. Without words all products are listed by name.

Of one filter any value may hold; all filters must. Nothing found is no error.`,
		Example: `  weft search late flights by carrier
  weft search email --classification personal --domain sales
  weft search --state late --state refused`,
		Args: cobra.ArbitraryArgs,
	}
	set := c.Flags()
	format := listFormat(set)
	r := &serve.SearchRequest{}
	set.StringSliceVar(&r.Domains, "domain", nil, "only products of this domain")
	set.StringSliceVar(&r.Tags, "tag", nil, "only products with this tag")
	set.StringSliceVar(&r.Classifications, "classification", nil, "only products with a column that is classified so")
	set.StringSliceVar(&r.Ports, "port", nil, "only products with a port of this type: local, postgres, http, product")
	set.StringSliceVar(&r.States, "state", nil, "only products that were last seen so: fresh, late, refused, …")
	set.StringSliceVar(&r.Lives, "life", nil, "only products of this stage: draft, active, deprecated, …")
	set.IntVar(&r.Limit, "limit", 20, "how many at most, up to 100")
	set.IntVar(&r.Offset, "offset", 0, "how many to leave out, for the next page")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		r.Text = strings.Join(args, " ")
		if err := checkSearch(r); err != nil {
			return err
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		res, err := cl.Search(cmd.Context(), *r)
		if err != nil {
			return err
		}
		if format.value == "json" {
			return a.printJSON(res)
		}
		printSearch(a.out, r, res, time.Now())
		return nil
	}
	return c
}

// mostWords is how many characters may be searched for, as the API has it.
const mostWords = 500

func checkSearch(r *serve.SearchRequest) error {
	const op = "search"
	if n := utf8.RuneCountInString(r.Text); n > mostWords {
		return usage(op, "", "the words have %d characters, and %d is the most", n, mostWords).WithHint("a few words that describe the product are enough")
	}
	if r.Limit < 1 || r.Limit > 100 {
		return usage(op, "", "--limit is a number from 1 to 100, not %d", r.Limit)
	}
	if r.Offset < 0 || r.Offset > 10000 {
		return usage(op, "", "--offset is a number from 0 to 10000, not %d", r.Offset)
	}
	for _, s := range r.States {
		var words []string
		for _, w := range weft.States() {
			words = append(words, string(w))
		}
		if err := oneOf(s, words...); err != nil {
			return usage(op, "", "--state %s", err)
		}
	}
	for _, l := range r.Lives {
		if err := oneOf(l, string(weft.LifeProposed), string(weft.LifeDraft), string(weft.LifeActive), string(weft.LifeDeprecated), string(weft.LifeRetired)); err != nil {
			return usage(op, "", "--life %s", err)
		}
	}
	return nil
}

// printSearch prints what was found.
func printSearch(p *printer, r *serve.SearchRequest, res *serve.SearchResult, now time.Time) {
	for i, h := range res.Hits {
		if i > 0 {
			p.println("")
		}
		printHit(p, h, now)
	}
	if len(res.Hits) == 0 {
		printNothing(p, r, res)
		return
	}
	p.println("")
	p.printf("%s of %s\n", count(int64(res.Total)), plural(int64(res.Searched), "product"))
	printCorrections(p, res.Corrections)
	if next := r.Offset + len(res.Hits); next < res.Total {
		p.indent("→ ", fmt.Sprintf("--offset %d shows more", next), cyan)
	}
}

// printNothing says plainly that nothing was found, and what may have been meant.
func printNothing(p *printer, r *serve.SearchRequest, res *serve.SearchResult) {
	what := "no product"
	if r.Text != "" {
		what = fmt.Sprintf("nothing fits %q", oneLine(r.Text, 200))
	} else if r.Offset > 0 {
		what = "no more products"
	}
	p.printf("%s, of %s\n", what, plural(int64(res.Searched), "product"))
	printCorrections(p, res.Corrections)
	if len(res.Corrections) == 0 && r.Text != "" {
		p.indent("→ ", "weft search without words lists all products", cyan)
	}
}

// printCorrections asks what was meant.
func printCorrections(p *printer, words []string) {
	if len(words) > 0 {
		p.indent("→ ", "did you mean “"+oneLine(strings.Join(words, "” or “"), 200)+"”?", cyan)
	}
}

// printHit prints one product: what it is, how fresh that is, and why it fits.
func printHit(p *printer, h serve.SearchHit, now time.Time) {
	facts := []string{string(h.Life)}
	if h.State != "" {
		facts = append(facts, p.paint(stateStyle(h.State), string(h.State)))
	}
	if h.Changed != nil {
		facts = append(facts, plural(h.Rows, "row")+", changed "+ago(now, *h.Changed))
	}
	var words []string
	for _, m := range h.Why {
		words = append(words, m.Words...)
	}
	p.printf("%s  %s\n", p.highlight(bold, h.Product.String(), words), strings.Join(facts, " · "))
	if h.Purpose != "" {
		p.marked("  ", oneLine(h.Purpose, 400), words)
	}
	by := []string{}
	if h.Owner != "" {
		by = append(by, "owner "+oneLine(h.Owner, 100))
	}
	text, st := originWords(h.Origin, now)
	p.printf("  %s\n", strings.Join(append(by, p.paint(st, text)), " · "))
	if h.Origin.Fault != "" {
		p.indent("  ✗ ", oneLine(h.Origin.Fault, 300), red)
	}
	shown := 0
	for _, m := range h.Why {
		if slices.Contains([]string{"name", "domain", "owner"}, m.Field) || m.Field == "purpose" && m.Text == h.Purpose || m.Text == m.Where {
			continue // it is marked above, or says what it is called
		}
		if shown++; shown > maxWhy {
			p.println("  " + p.paint(dim, fmt.Sprintf("and in %d places more", len(h.Why)-maxWhy)))
			break
		}
		field := oneLine(strings.TrimSpace(m.Field+" "+m.Where), 130)
		p.marked("  "+p.paint(dim, field)+"  ", oneLine(m.Text, 300), m.Words)
	}
}

// maxWhy is how many places of a hit are shown.
const maxWhy = 4

// originWords say where a product is and how fresh what is known of it is.
func originWords(o serve.Origin, now time.Time) (string, style) {
	name := cmp.Or(oneLine(o.Name, 63), o.Node.Short())
	switch {
	case o.Here:
		return "here", plain
	case o.Live:
		return "at " + name + ", known as of now", plain
	}
	if o.Link != serve.LinkAway {
		return "at " + name + ", known as of " + ago(now, o.AsOf), plain
	}
	return "at " + name + ", which is away: known as of " + ago(now, o.AsOf), yellow
}

// marked prints text wrapped to the width, with words marked.
func (p *printer) marked(lead, text string, words []string) {
	pad := strings.Repeat(" ", visibleWidth(lead))
	for _, l := range wrap(text, max(p.width-len(pad), 20)) {
		p.println(lead + p.highlight(plain, l, words))
		lead = pad
	}
}

// mark is the style of words that fit.
const mark style = "1;33"

// highlight paints s, and the words in it that fit in another style.
func (p *printer) highlight(st style, s string, words []string) string {
	if !p.colour {
		return s
	}
	var b strings.Builder
	rest := s
	for rest != "" {
		at, n := firstWord(rest, words)
		if n == 0 {
			break
		}
		b.WriteString(p.paint(st, rest[:at]))
		b.WriteString(p.paint(mark, rest[at:at+n]))
		rest = rest[at+n:]
	}
	b.WriteString(p.paint(st, rest))
	return b.String()
}

// firstWord finds the first place in s where one of words stands as a word by
// itself, whatever its case; n is 0 where there is none.
func firstWord(s string, words []string) (at, n int) {
	letter := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if !letter(r) {
			i += size
			continue
		}
		end := i + strings.IndexFunc(s[i:], func(r rune) bool { return !letter(r) })
		if end < i {
			end = len(s)
		}
		if slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, s[i:end]) }) {
			return i, end - i
		}
		i = end
	}
	return 0, 0
}
