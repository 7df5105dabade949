package contract

import (
	"cmp"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// HasErrors reports whether any of the faults makes a folder unusable.
func HasErrors(faults []Fault) bool {
	return slices.ContainsFunc(faults, func(f Fault) bool { return f.Severity == FaultError })
}

// String gives the fault on one line: file:line:column: severity rule: message.
func (f Fault) String() string {
	at := f.File
	if f.Line > 0 {
		at = fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
	}
	s := fmt.Sprintf("%s: %s %s: %s", at, f.Severity, f.Rule, f.Message)
	if f.Hint != "" {
		s += " (" + f.Hint + ")"
	}
	return s
}

// sink collects faults of one folder, each once.
type sink struct {
	faults []Fault
	seen   map[Fault]bool
}

// at says where a fault is: a file, and a node of it or none.
type at struct {
	file string
	node *yaml.Node
}

func (s *sink) add(sev FaultSeverity, where at, rule, message, hint string) {
	f := Fault{File: where.file, Rule: rule, Severity: sev, Message: message, Hint: hint}
	if where.node != nil {
		f.Line, f.Column = where.node.Line, where.node.Column
	}
	if s.seen[f] {
		return
	}
	if s.seen == nil {
		s.seen = map[Fault]bool{}
	}
	s.seen[f] = true
	s.faults = append(s.faults, f)
}

func (s *sink) errorf(where at, rule, hint, format string, args ...any) {
	s.add(FaultError, where, rule, fmt.Sprintf(format, args...), hint)
}

func (s *sink) warnf(where at, rule, hint, format string, args ...any) {
	s.add(FaultWarning, where, rule, fmt.Sprintf(format, args...), hint)
}

// sorted returns the faults by file and place.
func (s *sink) sorted() []Fault {
	slices.SortStableFunc(s.faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return s.faults
}
