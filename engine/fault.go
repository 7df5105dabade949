package engine

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"weft"
)

// kinds maps the engine's classes of errors, with which its messages begin.
// Those that are not here are faults of the statement or of the data it reads.
var kinds = map[string]weft.Kind{
	"INTERRUPT":         weft.KindCancelled,
	"Out of Memory":     weft.KindLimit,
	"Permission":        weft.KindDenied,
	"IO":                weft.KindUnavailable,
	"HTTP":              weft.KindUnavailable,
	"INTERNAL":          weft.KindInternal,
	"FATAL":             weft.KindInternal,
	"Serialization":     weft.KindInternal,
	"Missing Extension": weft.KindDenied,
}

var (
	classRE = regexp.MustCompile(`^((?:TransactionContext Error: )*)([A-Z][A-Za-z ]{1,30}) Error: `)
	valueRE = regexp.MustCompile(`'(?:[^']|'')*'`)
	csvRE   = regexp.MustCompile(`"(?:[^"]|"")*" to '`)
	sumRE   = regexp.MustCompile(` \([^()]*\)`)
	meantRE = regexp.MustCompile(`(?is)\n+(did you mean|candidate (?:bindings|functions|macros|tables)):?\s*(.*)`)
)

// classed is an error of this package in the engine's own manner: its class
// comes first, as in those of the engine.
func classed(class, format string, args ...any) error {
	return &classError{class, fmt.Sprintf(format, args...)}
}

type classError struct{ class, message string }

func (e *classError) Error() string { return e.class + " Error: " + e.message }

// unplanned is the error of a statement that the engine has no plan for.
type unplanned struct{ err *weft.Error }

func (u *unplanned) Error() string { return u.err.Error() }
func (u *unplanned) Unwrap() error { return u.err }

// Unplanned says of an error of a statement that the engine has no plan for it, or one that
// it finds to be wrong itself: another statement that means the same may have one.
func Unplanned(err error) bool { return errors.As(err, new(*unplanned)) }

// faultOf classifies an error of the engine and makes its message fit to be
// shown: without the statement's text, which may be a view that the asker does
// not know of, without paths of the data, and without values.
func faultOf(err error, c settings) *fault {
	class, msg := classOf(err.Error())
	f := &fault{Kind: weft.KindInvalid}
	if k, ok := kinds[class]; ok {
		f.Kind = k
	}
	f.Unplanned = (class == "Not implemented" || class == "INTERNAL") && !errors.As(err, new(*classError))
	msg, _, _ = strings.Cut(msg, "\n\nLINE ")
	msg, _, _ = strings.Cut(msg, "\nLINE ")
	msg, _, _ = strings.Cut(msg, "\n\nStack Trace") // of a fault of the engine's own
	switch class {
	case "Conversion", "Invalid Input", "Out of Range", "Constraint":
		msg = hideValues(msg)
	case "Out of Memory":
		msg, f.Hint = "it needs more memory or room to spill than it may use", "narrow the question, or raise the limit"
	case "IO":
		if strings.Contains(msg, "File too large") {
			f.Kind, msg, f.Hint = weft.KindLimit, "it needs more memory or room to spill than it may use", "narrow the question, or raise the limit"
		}
		if strings.Contains(msg, "No space left") {
			f.Hint = "the disk is full: free some room and try again"
		}
	case "Permission":
		f.Hint = "a statement reads products only, not files or the network"
	}
	if m := meantRE.FindStringSubmatchIndex(msg); m != nil {
		f.Hint = strings.ToLower(msg[m[2]:m[3]]) + ": " + oneLine(msg[m[4]:])
		msg = msg[:m[0]]
	}
	f.Message, f.Hint = hidePaths(oneLine(msg), c), hidePaths(f.Hint, c)
	return f
}

// classOf cuts a message into the engine's class and the rest. Some arrive as
// JSON, some of these within another message.
func classOf(msg string) (class, rest string) {
	for range 4 {
		if m := classRE.FindStringSubmatch(msg); m != nil {
			class, msg = m[2], msg[len(m[0]):]
		}
		var j struct {
			Class   string `json:"exception_type"`
			Message string `json:"exception_message"`
		}
		if !strings.HasPrefix(msg, "{") || json.Unmarshal([]byte(msg), &j) != nil || j.Message == "" {
			break
		}
		class, msg = j.Class, j.Message
	}
	return class, msg
}

// hideValues takes the values of rows out of a message.
func hideValues(msg string) string {
	if strings.HasPrefix(msg, "CSV Error") || strings.Contains(msg, "\nOriginal Line") {
		lines := strings.Split(msg, "\n")
		keep := lines[:1]
		for _, l := range lines[1:] {
			if strings.HasPrefix(l, "Error when") || strings.HasPrefix(l, "Expected Number of Columns") {
				keep = append(keep, csvRE.ReplaceAllString(l, `"…" to '`))
			}
		}
		return strings.Join(keep, ": ")
	}
	if first, _, ok := strings.Cut(msg, "\n"); ok {
		msg = first
	}
	if strings.HasPrefix(msg, "Could not convert") || strings.Contains(msg, " field value ") || strings.Contains(msg, "convert string") {
		msg = valueRE.ReplaceAllString(msg, "'…'")
	}
	if strings.HasPrefix(msg, "Overflow") {
		msg, _, _ = strings.Cut(msg, ":")
	}
	if strings.HasPrefix(msg, "Overflow") || strings.Contains(msg, "out of range") || strings.Contains(msg, "Duplicate key") {
		msg = sumRE.ReplaceAllString(valueRE.ReplaceAllString(msg, "'…'"), "")
	}
	return msg
}

var errTooWide = classed("Out of Memory", "one row of the answer is larger than 256 MB")

// oneLine puts a message on one line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// hidePaths replaces the folders of the data: where they lie is nobody's business.
func hidePaths(s string, c settings) string {
	all := append(c.folders(), c.Files...)
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, p := range all {
		if len(p) > 1 {
			s = strings.ReplaceAll(s, strings.TrimSuffix(p, "/"), "<data>")
		}
	}
	return s
}
