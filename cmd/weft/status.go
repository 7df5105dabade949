package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weft"
	"weft/serve"
)

func (a *app) statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Show the node and its products: life, state, and the one thing to do",
		Long: `Show the node and every product on it: its life (declared), its state (observed),
and the one thing to do where there is something.

With --check, exit code 1 means that a product wants attention: it is damaged,
unreachable, refused or late, its source is lost, or an upstream has stopped.`,
		Args: exactly(),
	}
	format := listFormat(c.Flags())
	check := c.Flags().Bool("check", false, "end with 1 where a product wants attention")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cl, err := a.connect()
		if err != nil {
			return err
		}
		st, err := cl.Status(cmd.Context())
		if err != nil {
			return err
		}
		if format.value == "json" {
			if err := a.printJSON(st); err != nil {
				return err
			}
		} else {
			printStatus(a.out, st, time.Now())
		}
		if *check && slices.ContainsFunc(st.Products, func(s serve.ProductSummary) bool { return attention(s.State) }) {
			return no()
		}
		return nil
	}
	return c
}

// printStatus prints the node's lines and one line a product.
func printStatus(p *printer, st *serve.NodeStatus, now time.Time) {
	head := []string{p.paint(bold, clean(st.Name))}
	if len(st.Domains) > 0 {
		head = append(head, strings.Join(st.Domains, ", "))
	}
	if st.Env != "" {
		head = append(head, "env "+clean(st.Env))
	}
	head = append(head, "up "+span(now.Sub(st.Started)), clean(st.Address), "weft "+clean(st.Version))
	printFacts(p, head)
	var rows, held int64
	for _, s := range st.Products {
		rows, held = rows+s.Rows, held+s.Held
	}
	facts := []string{plural(int64(len(st.Products)), "product"), plural(rows, "row")}
	if held > 0 {
		facts = append(facts, plural(held, "row")+" held back")
	}
	facts = append(facts,
		fmt.Sprintf("disk %s used, %s free", size(st.Disk.Used), size(st.Disk.Free)),
		"memory "+size(st.Memory),
		fmt.Sprintf("workers %d running, %d idle", st.Workers.Running, st.Workers.Idle))
	if st.Workers.Waiting > 0 {
		facts = append(facts, plural(int64(st.Workers.Waiting), "query")+" waiting")
	}
	printFacts(p, facts)
	if m := st.Mesh; m != nil {
		printFacts(p, []string{"mesh " + clean(m.Name), plural(int64(m.Peers), "other node"), fmt.Sprintf("%d reachable", m.Reachable)})
		for _, d := range m.Conflicts {
			p.indent("✗ ", "domain "+clean(d)+" is claimed twice: weft mesh says how that is decided", red)
		}
	}
	if st.Todo != "" {
		p.indent("→ ", clean(st.Todo), yellow)
	}
	p.println("")
	if len(st.Products) == 0 {
		p.println("no products yet")
		p.indent("→ ", "weft product new DOMAIN.PRODUCT --from FILE, then weft apply FOLDER", cyan)
		return
	}
	productGrid(st.Products, now).print(p)
}

// productGrid is the table of products with what to do about each.
func productGrid(products []serve.ProductSummary, now time.Time) *grid {
	g := &grid{columns: []gridColumn{
		{title: "product"},
		{title: "life"},
		{title: "state"},
		{title: "rows", right: true},
		{title: "held", right: true, optional: true},
		{title: "commit", right: true},
		{title: "changed"},
		{title: "next", optional: true, spare: true},
		{title: "what to do", flex: true, optional: true, below: true},
	}}
	for _, s := range products {
		changed, next, held, seq := "never", "", "", "—"
		if s.LastCommit != nil {
			changed = ago(now, *s.LastCommit)
		}
		if s.Seq > 0 {
			seq = s.Seq.String()
		}
		if s.NextRefresh != nil {
			next = ago(now, *s.NextRefresh)
		}
		if s.Held > 0 {
			held = count(s.Held)
		}
		todo := s.Todo
		if todo == "" {
			todo = oneLine(s.LastError, 200)
		}
		g.add(styled(bold, s.Name.String()), cell(string(s.Life)), styled(stateStyle(s.State), string(s.State)),
			cell(count(s.Rows)), styled(yellow, held), cell(seq), cell(changed), styled(dim, next), cell(todo))
	}
	return g
}

// printFacts prints short facts with dots between them, wrapped between facts.
func printFacts(p *printer, facts []string) {
	const sep = " · "
	line, width := "", 0
	for _, f := range facts {
		w := visibleWidth(f)
		switch {
		case line == "":
			line, width = f, w
		case p.tty && width+3+w > p.width:
			p.println(line)
			line, width = f, w
		default:
			line += sep + f
			width += 3 + w
		}
	}
	if line != "" {
		p.println(line)
	}
}

// attention reports whether a product's state wants somebody to act.
func attention(s weft.State) bool {
	switch s {
	case weft.StateRefused, weft.StateSourceLost, weft.StateUpstreamStopped, weft.StateUnreachable, weft.StateDamaged, weft.StateLate:
		return true
	}
	return false
}
