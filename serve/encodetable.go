package serve

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/mattn/go-runewidth"

	"weft"
)

// TableOptions say how a table looks on a terminal.
type TableOptions struct {
	Width   int  // columns of the terminal: wide cells are shortened to fit; 0 shortens nothing
	MaxRows int  // rows shown; the others are counted and said; 0 shows all
	NoTypes bool // leave out the row with the types
	NoFoot  bool // leave out the line below: rows, cut, time
}

const (
	nullText = "NULL"
	minCell  = 6   // no column is shortened below
	probe    = 200 // rows that widths are taken from where all rows are shown
)

// tableEncoder draws an aligned table. It holds MaxRows rows, or the first few
// hundred, from which it takes the widths.
type tableEncoder struct {
	o       *out
	opt     Options
	names   []string
	types   []string
	right   []bool
	cut     string
	held    int64
	pending [][]string
	widths  []int
	shown   int
	drawn   bool // the head is out
}

func newTableEncoder(o *out, a *weft.Answer, opt Options) *tableEncoder {
	e := &tableEncoder{o: o, opt: opt, cut: a.Cut.String(), held: a.Held}
	for _, f := range a.Schema.Fields() {
		e.names = append(e.names, printable(f.Name))
		e.types = append(e.types, TypeName(f))
		e.right = append(e.right, rightAligned(f.Type))
	}
	return e
}

func (e *tableEncoder) batch(rec arrow.RecordBatch) error {
	cols := bindAll(rec)
	var text []byte
	for i := range int(rec.NumRows()) {
		if e.opt.Table.MaxRows > 0 && e.shown >= e.opt.Table.MaxRows {
			return nil
		}
		row := make([]string, len(cols))
		for c, col := range cols {
			row[c] = nullText
			if !col.null(i) {
				text = col.text(text[:0], i)
				row[c] = printable(string(text))
			}
		}
		e.shown++
		if e.drawn {
			e.row(row)
			if err := e.o.full(); err != nil {
				return err
			}
			continue
		}
		if e.pending = append(e.pending, row); len(e.pending) >= probe && e.opt.Table.MaxRows == 0 {
			e.draw()
		}
	}
	return e.o.full()
}

func (e *tableEncoder) end(rows int64) error {
	if !e.drawn {
		e.draw()
	}
	if more := rows - int64(e.shown); more > 0 {
		e.o.buf = fmt.Appendf(e.o.buf, " … %s not shown\n", plural(more, "more row"))
	}
	if !e.opt.Table.NoFoot {
		e.foot(rows)
	}
	return e.o.spill()
}

func (e *tableEncoder) release() {}

func (e *tableEncoder) foot(rows int64) {
	parts := []string{plural(rows, "row")}
	if e.held > 0 {
		parts = append(parts, plural(e.held, "row")+" held back in quarantine")
	}
	if e.cut != "" {
		parts = append(parts, "cut "+e.cut)
	}
	if e.opt.Elapsed != nil {
		parts = append(parts, shortDuration(e.opt.Elapsed()))
	}
	e.o.buf = append(e.o.buf, strings.Join(parts, " · ")+"\n"...)
}

// draw fixes the widths and writes the head and the pending rows.
func (e *tableEncoder) draw() {
	e.drawn = true
	e.widths = e.fit()
	e.row(e.names)
	if !e.opt.Table.NoTypes {
		e.row(e.types)
	}
	for i, w := range e.widths {
		if i > 0 {
			e.o.buf = append(e.o.buf, "┼"...)
		}
		e.o.buf = append(e.o.buf, strings.Repeat("─", w+2)...)
	}
	e.o.buf = append(e.o.buf, '\n')
	for _, r := range e.pending {
		e.row(r)
	}
	e.pending = nil
}

// fit gives each column the width of its widest cell, and takes from the widest
// ones until the table fits the terminal.
func (e *tableEncoder) fit() []int {
	ws := make([]int, len(e.names))
	total := 0
	for i := range ws {
		ws[i] = runewidth.StringWidth(e.names[i])
		if !e.opt.Table.NoTypes {
			ws[i] = max(ws[i], min(runewidth.StringWidth(e.types[i]), 24))
		}
		for _, r := range e.pending {
			ws[i] = max(ws[i], runewidth.StringWidth(r[i]))
		}
		total += ws[i] + 3
	}
	for total--; e.opt.Table.Width > 0 && total > e.opt.Table.Width; total-- {
		widest := 0
		for i := range ws {
			if ws[i] > ws[widest] {
				widest = i
			}
		}
		if len(ws) == 0 || ws[widest] <= minCell {
			break // more columns than the terminal has room for: lines wrap
		}
		ws[widest]--
	}
	return ws
}

// row writes one line of cells.
func (e *tableEncoder) row(cells []string) {
	dst := e.o.buf
	for i, cell := range cells {
		if i > 0 {
			dst = append(dst, "│"...)
		}
		width := runewidth.StringWidth(cell)
		if width > e.widths[i] && (e.opt.Table.Width > 0 || i < len(e.types) && cell == e.types[i]) {
			cell = runewidth.Truncate(cell, e.widths[i], "…")
			width = runewidth.StringWidth(cell)
		}
		pad := max(0, e.widths[i]-width)
		dst = append(dst, ' ')
		if e.right[i] {
			dst = append(append(dst, strings.Repeat(" ", pad)...), cell...)
		} else if dst = append(dst, cell...); i < len(cells)-1 {
			dst = append(dst, strings.Repeat(" ", pad)...)
		}
		if i < len(cells)-1 {
			dst = append(dst, ' ')
		}
	}
	e.o.buf = append(dst, '\n')
}
