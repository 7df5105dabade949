package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"weft"
	"weft/demo"
)

// tour takes the steps of the tour; with check, those that do not show what they must
// are counted, and the command ends.
func (m *demoMesh) tour(ctx context.Context, check bool) error {
	defer m.undo()
	out, wrong := m.app.out, 0
	acts := demo.MeshTour()
	for i, act := range acts {
		out.printf("\n%s\n", out.paint(bold, fmt.Sprintf("%d. %s", i+1, act.Title)))
		why, err := m.act(ctx, act)
		if err != nil {
			return err
		}
		if why != "" {
			wrong++
			m.app.err.printf("%s %s\n", m.app.err.paint(red, "wrong:"), why)
		}
	}
	out.println("")
	if err := m.putBack(ctx); err != nil {
		return err
	}
	switch {
	case check && wrong > 0:
		m.app.err.printf("%d of %d answers are wrong\n", wrong, len(acts))
		return no()
	case check:
		out.printf("all %d answers are right\n", len(acts))
		return answerNo{exitDone} // ends the nodes
	}
	m.goodbye()
	return nil
}

// act does one step; why says what it does not show that it must.
func (m *demoMesh) act(ctx context.Context, act demo.Act) (why string, err error) {
	if act.Kill != "" {
		m.at(act.Kill).kill()
		m.happens("the process of " + act.Kill + " is killed")
	}
	if act.Start != "" {
		if err := m.at(act.Start).resume(ctx); err != nil {
			return "", err
		}
		m.happens("the process of " + act.Start + " is started again")
	}
	n := m.at(act.At)
	if act.File != "" {
		path := filepath.Join(n.home, filepath.FromSlash(act.File))
		if err := addLine(path, act.Add); err != nil {
			return "", weft.Errorf(weft.KindUnavailable, "change the file", path, "%w", err)
		}
		m.happens(fmt.Sprintf("%q is added to %s", act.Add, act.File))
	}
	if err := m.write(n, act.Write, act.Text); err != nil {
		return "", err
	}
	shown, args := n.words(act.Do)
	if act.Keep != "" {
		shown = append(shown, ">", act.Keep)
	}
	m.line(n, shown)
	var text string
	ask := func() error {
		out, errs, code := n.command(ctx, m.app, nil, args...)
		text = out + errs
		if act.Keep != "" && code == exitDone {
			if err := os.WriteFile(filepath.Join(n.home, act.Keep), []byte(out), 0o600); err != nil {
				return err
			}
		}
		if why = missing(act.Want, text); why == "" && code != exitDone {
			why = fmt.Sprintf("the command ends with code %d", code)
		}
		if why != "" {
			return errNotYet
		}
		return nil
	}
	if act.Until {
		_ = until(ctx, act.Title, ask) // why says what is missing in the end
	} else {
		_ = ask()
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	m.app.out.printf("%s", shortened(text, act.Lines, m.app.out))
	return why, nil
}

// write puts a file into the folder of a node, and shows it.
func (m *demoMesh) write(n *demoNode, file, text string) error {
	if file == "" {
		return nil
	}
	if err := os.WriteFile(filepath.Join(n.home, file), []byte(text), 0o644); err != nil {
		return weft.Errorf(weft.KindUnavailable, "write the demo", file, "%w", err)
	}
	m.happens(file + ":")
	m.app.out.indent("  ", strings.TrimSpace(text), plain)
	return nil
}

// words are the words of a command as they are typed in the folder of the node, and as
// they are given from elsewhere.
func (n *demoNode) words(do []string) (typed, given []string) {
	for _, w := range do {
		path, ok := strings.CutPrefix(w, demo.Home)
		typed = append(typed, path)
		if ok {
			path = filepath.Join(n.home, filepath.FromSlash(path))
		}
		given = append(given, path)
	}
	return typed, given
}

// shortened is the beginning of a long answer; the reader is told that there is more.
func shortened(text string, lines int, p *printer) string {
	all := strings.SplitAfter(text, "\n")
	if lines == 0 || len(all) <= lines+1 {
		return text
	}
	return strings.Join(all[:lines], "") + p.paint(dim, fmt.Sprintf("… and %s more", plural(int64(len(all)-1-lines), "line"))) + "\n"
}

// happens prints what is done to a node from outside.
func (m *demoMesh) happens(what string) {
	m.app.out.println(m.app.out.paint(yellow, what))
}

// errNotYet is that of an answer that is not yet what it will be.
var errNotYet = errors.New("not yet")

// styles are what a printer paints with.
var styles = regexp.MustCompile("\x1b\\[[0-9;]*m")

// missing names the first expression that text does not fit.
func missing(want []string, text string) string {
	text = styles.ReplaceAllString(text, "")
	for _, w := range want {
		if !regexp.MustCompile(w).MatchString(text) {
			return "nothing shows /" + w + "/"
		}
	}
	return ""
}

// addLine adds a line to a file, where it is not the last one.
func addLine(path, line string) error {
	b, err := os.ReadFile(path)
	if err != nil || strings.HasSuffix(string(b), line+"\n") {
		return err
	}
	return os.WriteFile(path, append(b, line+"\n"...), 0o644)
}

// undo takes out what the tour has put into files.
func (m *demoMesh) undo() {
	for _, n := range m.nodes {
		if err := demo.WriteDomain(n.home, n.domain); err != nil {
			m.app.err.printf("%s\n", oneLine(err.Error(), 300)) // the next start writes them anew
		}
	}
}

// putBack is undo, and the products follow.
func (m *demoMesh) putBack(ctx context.Context) error {
	m.undo()
	for _, act := range demo.MeshTour() {
		if act.File == "" {
			continue
		}
		if _, errs, code := m.at(act.At).command(ctx, m.app, nil, act.Do...); code != exitDone {
			return weft.Errorf(weft.KindInternal, "end the tour", act.At, "what was added could not be taken out: %s", oneLine(errs, 300))
		}
	}
	return ctx.Err()
}

// goodbye says how to go on.
func (m *demoMesh) goodbye() {
	p := m.app.out
	last := m.nodes[len(m.nodes)-1]
	p.println("the nodes stay up; in another terminal:")
	for _, l := range []string{
		"cd " + last.home,
		"weft peers",
		`weft search "hourly weather"`,
		"weft show operations.flights",
		`weft query "SELECT * FROM insights.delays LIMIT 10"`,
	} {
		p.println("  " + p.paint(cyan, l))
	}
	p.indent("", "each node has a folder in "+m.base+"; Ctrl-C stops all of them", plain)
}
