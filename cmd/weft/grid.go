package main

import (
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/mattn/go-runewidth"
)

// grid is a list for people: aligned columns without lines. On a terminal it is
// no wider than that: prose is wrapped, then spare columns are left out, then the
// prose goes below its row, and at last each row becomes a block of "name value"
// lines. Elsewhere every row is one line.
type grid struct {
	columns []gridColumn
	rows    [][]gridCell
}

// gridColumn is one column of a grid.
type gridColumn struct {
	title string
	right bool // numbers
	flex  bool // prose: wrapped to the space that the others leave
	// optional columns are left out where no row says anything in them.
	optional bool
	spare    bool // left out where there is no room, the last one first
	below    bool // prose that may stand below its row
}

// gridCell is one value with its style.
type gridCell struct {
	text string
	st   style
}

// cell makes an unstyled cell.
func cell(text string) gridCell { return gridCell{text: text} }

// styled makes a cell with a style.
func styled(st style, text string) gridCell { return gridCell{text: text, st: st} }

// minFlex is the least width that prose is wrapped to.
const minFlex = 22

// gap is the space between two columns.
const gap = 2

func (g *grid) add(cells ...gridCell) { g.rows = append(g.rows, cells) }

// print writes the grid to p.
func (g *grid) print(p *printer) {
	g.dropEmpty()
	if !p.tty {
		g.render(p, nil, -1)
		return
	}
	slim := &grid{columns: slices.Clone(g.columns), rows: slices.Clone(g.rows)}
	for !slim.fit(p) {
		if slim.dropSpare() {
			continue
		}
		if !slim.under(p) {
			g.blocks(p)
		}
		return
	}
}

// fit renders the grid where it fits, with its prose wrapped if need be.
func (g *grid) fit(p *printer) bool {
	natural := g.widths()
	fixed, prose, flexes := gap*(len(natural)-1), 0, 0
	for i, w := range natural {
		if g.columns[i].flex {
			prose += w
			flexes++
		} else {
			fixed += w
		}
	}
	room := p.width - fixed
	switch {
	case prose <= room:
		g.render(p, nil, -1)
	case flexes > 0 && room >= minFlex*flexes:
		g.render(p, g.share(natural, room), -1)
	default:
		return false
	}
	return true
}

// dropSpare leaves out the last spare column; false where there is none.
func (g *grid) dropSpare() bool {
	for i := len(g.columns) - 1; i >= 0; i-- {
		if g.columns[i].spare {
			g.drop(i)
			return true
		}
	}
	return false
}

// under renders the grid with its prose below the rows, where that fits.
func (g *grid) under(p *printer) bool {
	total, below := -gap, -1
	for i, w := range g.widths() {
		if g.columns[i].below {
			below = i
		} else {
			total += w + gap
		}
	}
	if below < 0 || total > p.width {
		return false
	}
	g.render(p, nil, below)
	return true
}

func (g *grid) drop(i int) {
	g.columns = append(g.columns[:i:i], g.columns[i+1:]...)
	for j, r := range g.rows {
		g.rows[j] = append(r[:i:i], r[i+1:]...)
	}
}

// dropEmpty removes the optional columns that no row fills.
func (g *grid) dropEmpty() {
	for i := len(g.columns) - 1; i >= 0; i-- {
		if !g.columns[i].optional {
			continue
		}
		used := false
		for _, r := range g.rows {
			used = used || r[i].text != ""
		}
		if !used {
			g.drop(i)
		}
	}
}

// widths gives the width of each column with nothing wrapped.
func (g *grid) widths() []int {
	natural := make([]int, len(g.columns))
	for i, c := range g.columns {
		natural[i] = runewidth.StringWidth(c.title)
		for _, r := range g.rows {
			for line := range strings.SplitSeq(r[i].text, "\n") {
				natural[i] = max(natural[i], runewidth.StringWidth(line))
			}
		}
	}
	return natural
}

// share divides room among the columns of prose: those that need little get it,
// the rest is split evenly.
func (g *grid) share(natural []int, room int) map[int]int {
	out := map[int]int{}
	var open []int
	for i, c := range g.columns {
		if c.flex {
			open = append(open, i)
		}
	}
	for len(open) > 0 {
		each, rest := room/len(open), open[:0:0]
		for _, i := range open {
			if natural[i] <= each {
				out[i] = natural[i]
				room -= natural[i]
			} else {
				rest = append(rest, i)
			}
		}
		if len(rest) == len(open) {
			for _, i := range rest {
				out[i] = each
			}
			break
		}
		open = rest
	}
	return out
}

// render prints aligned columns; limits wraps those it names, and the column
// below, where it is not negative, stands under its row.
func (g *grid) render(p *printer, limits map[int]int, below int) {
	t := table.NewWriter()
	t.SetStyle(table.Style{
		Box:     table.BoxStyle{PaddingRight: strings.Repeat(" ", gap)},
		Format:  table.FormatOptions{Header: text.FormatDefault},
		Options: table.Options{DoNotColorBordersAndSeparators: true},
	})
	var header table.Row
	var configs []table.ColumnConfig
	for i, c := range g.columns {
		if i == below {
			continue
		}
		header = append(header, p.paint(dim, c.title))
		cfg := table.ColumnConfig{Number: len(header), WidthMax: limits[i], WidthMaxEnforcer: text.WrapSoft}
		if c.right {
			cfg.Align, cfg.AlignHeader = text.AlignRight, text.AlignRight
		}
		configs = append(configs, cfg)
	}
	t.SetColumnConfigs(configs)
	first := 0
	if g.hasTitles() {
		t.AppendHeader(header)
		first = 1
	}
	for _, r := range g.rows {
		var row table.Row
		for i, c := range r {
			if i != below {
				row = append(row, p.paint(c.st, clean(c.text)))
			}
		}
		t.AppendRow(row)
	}
	for i, line := range strings.Split(t.Render(), "\n") {
		p.println(strings.TrimRight(line, " "))
		if n := i - first; below >= 0 && n >= 0 && n < len(g.rows) && g.rows[n][below].text != "" {
			p.indent("    → ", clean(g.rows[n][below].text), g.rows[n][below].st)
		}
	}
}

func (g *grid) hasTitles() bool {
	for _, c := range g.columns {
		if c.title != "" {
			return true
		}
	}
	return false
}

// blocks prints each row as lines of a title and a value.
func (g *grid) blocks(p *printer) {
	lead := 0
	for _, c := range g.columns[1:] {
		lead = max(lead, runewidth.StringWidth(c.title))
	}
	for i, r := range g.rows {
		if i > 0 {
			p.println("")
		}
		p.indent("", clean(r[0].text), bold)
		for j, c := range r[1:] {
			if c.text == "" {
				continue
			}
			title := runewidth.FillRight(g.columns[j+1].title, lead)
			p.indent("  "+title+"  ", clean(c.text), c.st)
		}
	}
}
