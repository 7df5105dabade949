package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"weft"
)

// The exit codes; docs/cli.md explains them.
const (
	exitDone        = 0
	exitNo          = 1 // the answer is no
	exitFailed      = 2 // wrong usage, or it could not be done
	exitBreaks      = 3 // the change breaks somebody
	exitRefused     = 4 // a policy, a limit or a budget
	exitInterrupted = 130
)

// answerNo ends a command whose output has already said what is wrong: the
// answer is no, and nothing is left to print.
type answerNo struct{ code int }

func (a answerNo) Error() string { return fmt.Sprintf("the answer is no (exit code %d)", a.code) }

// no is the error of a command that has printed its no.
func no() error { return answerNo{exitNo} }

// exitCode maps an error to the process's exit code.
func exitCode(ctx context.Context, err error) int {
	var a answerNo
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &a):
		return a.code
	case ctx.Err() != nil:
		return exitInterrupted
	}
	switch weft.KindOf(err) {
	case weft.KindContract, weft.KindDrift:
		return exitNo
	case weft.KindBreaks:
		return exitBreaks
	case weft.KindDenied, weft.KindLimit:
		return exitRefused
	case weft.KindCancelled:
		return exitInterrupted
	default:
		return exitFailed
	}
}

// usage makes the error of a command that was called wrongly.
func usage(op, subject, format string, args ...any) *weft.Error {
	return weft.Errorf(weft.KindInvalid, op, subject, format, args...)
}

// The most that an error may take of the screen.
const (
	maxErrorRunes = 1200
	maxErrorLines = 16
)

// printError prints what could not be done to what, why, and what to do, on one
// screen.
func printError(p *printer, err error) {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		printErrors(p, many.Unwrap())
		return
	}
	var e *weft.Error
	if !errors.As(err, &e) {
		e = &weft.Error{Op: "do this", Kind: weft.KindInternal, Message: err.Error()}
	}
	what := strings.TrimSpace(clean(e.Op))
	if what == "" {
		what = "do this"
	}
	line := "could not " + what
	if s := oneLine(e.Subject, 120); s != "" {
		line += " " + s
	}
	p.indent(p.paint(red, "✗")+" ", line, bold)
	if why := reason(e); why != "" {
		p.indent("  ", clipLines(why, maxErrorLines), plain)
	}
	hint := weft.HintOf(err)
	if hint == "" && e.Kind == weft.KindInternal {
		hint = "this is a fault of Weft; the node's log says more: please report it with the command that you typed"
	}
	if hint != "" {
		p.indent("→ ", clipLines(clip(clean(hint), maxErrorRunes), maxErrorLines), cyan)
	}
}

// maxErrors is how many errors that belong together are printed.
const maxErrors = 4

// printErrors prints errors that belong together, such as all faults of a
// configuration.
func printErrors(p *printer, errs []error) {
	for i, err := range errs {
		if i == maxErrors {
			p.printf("  and %d more\n", len(errs)-i)
			return
		}
		printError(p, err)
	}
}

// reason gives the message of e and of what caused it, without saying anything
// twice.
func reason(e *weft.Error) string {
	var parts []string
	if e.Message != "" {
		parts = append(parts, e.Message)
	}
	if e.Cause != nil {
		if c := e.Cause.Error(); !strings.Contains(e.Message, c) {
			parts = append(parts, c)
		}
	}
	return clip(clean(strings.Join(parts, ": ")), maxErrorRunes)
}

// clip shortens s to at most n characters, with a mark.
func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n]) + " …"
}

// clipLines keeps the first n lines of s, with a mark.
func clipLines(s string, n int) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	if len(lines) <= n {
		return s
	}
	return strings.Join(lines[:n], "\n") + "\n…"
}

// oneLine makes s one clipped line.
func oneLine(s string, n int) string {
	return clip(strings.Join(strings.Fields(clean(s)), " "), n)
}

// flagFault explains a flag that could not be read, naming the one that was
// meant where it is easy to guess.
func flagFault(set *pflag.FlagSet, command string, err error) error {
	e := usage("run", command, "%s", err.Error()).WithHint("%s --help lists the flags", command)
	var missing *pflag.NotExistError
	if !errors.As(err, &missing) {
		return e
	}
	var names []string
	set.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	if near := nearest(missing.GetSpecifiedName(), names); near != "" {
		return e.WithHint("did you mean --%s?", near)
	}
	return e
}

// nearest returns the candidate that w was probably meant to be, or "".
func nearest(w string, candidates []string) string {
	best, at := "", max(1, min(len(w)/3, 3))+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(w), strings.ToLower(c)); d < at {
			best, at = c, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with the
// neighbour to get from a to b.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
