package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"
	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
)

// A style is an SGR sequence of a terminal. Nothing is told by colour alone:
// whatever is styled also says so in words.
type style string

// The styles in use.
const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

// printer writes to one stream and knows what reads it.
type printer struct {
	io.Writer
	tty    bool // a person reads it on a terminal
	colour bool
	width  int // columns; 100 where it is no terminal
}

// pipeWidth is the width that text is laid out for where no terminal says one.
const pipeWidth = 100

// newPrinter looks at w: terminal or not, how wide, and whether colours are
// wanted (NO_COLOR and TERM=dumb say no).
func newPrinter(w io.Writer, env func(string) (string, bool)) *printer {
	p := &printer{Writer: w, width: pipeWidth}
	f, ok := w.(*os.File)
	if ok && isatty.IsTerminal(f.Fd()) {
		p.tty = true
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			p.width = n
		}
	}
	noColour, set := env("NO_COLOR")
	kind, _ := env("TERM")
	p.colour = p.tty && !(set && noColour != "") && kind != "dumb"
	return p
}

// isTerminal reports whether r is a terminal that a person types at.
func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// paint styles s where the stream shows colours.
func (p *printer) paint(st style, s string) string {
	if !p.colour || st == plain || s == "" {
		return s
	}
	return "\x1b[" + string(st) + "m" + s + "\x1b[0m"
}

func (p *printer) printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }

func (p *printer) println(s string) { fmt.Fprintln(p, s) }

// indent prints text wrapped to the width, the first line after lead and the
// others below it.
func (p *printer) indent(lead, text string, st style) {
	pad := strings.Repeat(" ", visibleWidth(lead))
	for i, l := range wrap(text, max(p.width-len(pad), 20)) {
		if i > 0 {
			lead = pad
		}
		p.println(lead + p.paint(st, l))
	}
}

// wrap breaks text into lines of at most width columns, between words where
// there are any; line breaks in text stay.
func wrap(text string, width int) []string {
	var lines []string
	for para := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		if runewidth.StringWidth(para) <= width {
			lines = append(lines, para) // as it is: it may be laid out, like SQL
			continue
		}
		line := ""
		for word := range strings.FieldsSeq(para) {
			for runewidth.StringWidth(word) > width {
				if line != "" {
					lines, line = append(lines, line), ""
				}
				head := runewidth.Truncate(word, width, "")
				if head == "" {
					break
				}
				lines, word = append(lines, head), word[len(head):]
			}
			switch {
			case line == "":
				line = word
			case runewidth.StringWidth(line)+1+runewidth.StringWidth(word) <= width:
				line += " " + word
			default:
				lines, line = append(lines, line), word
			}
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// clean makes text from elsewhere safe for a terminal: control characters other
// than the line break and the tab are shown, not obeyed.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
			return '\uFFFD'
		}
		return r
	}, s)
}
