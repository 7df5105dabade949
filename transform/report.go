package transform

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"weft"
)

// Report is the outcome of a folder's tests.
type Report struct {
	Product weft.Name    `json:"product"`
	Cases   []CaseResult `json:"cases"`
}

// CaseResult is the outcome of one case.
type CaseResult struct {
	Name     string        `json:"name"`
	Failures []Failure     `json:"failures,omitempty"`
	Notes    []string      `json:"notes,omitempty"` // rows that would be held back, warnings
	Took     time.Duration `json:"took"`
}

// Failure is one thing that is not as expected; Table is empty where the case
// could not run at all.
type Failure struct {
	Table string `json:"table,omitempty"`
	Text  string `json:"text"`
	Hint  string `json:"hint,omitempty"`
}

// Passed reports whether no case failed.
func (r *Report) Passed() bool { return r.Failed() == 0 }

// Failed is the number of cases that failed.
func (r *Report) Failed() int {
	n := 0
	for _, c := range r.Cases {
		if len(c.Failures) > 0 {
			n++
		}
	}
	return n
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, c := range r.Cases {
		word := "ok  "
		if len(c.Failures) > 0 {
			word = "FAIL"
		}
		fmt.Fprintf(&b, "%s  %s  %s  (%d ms)\n", word, r.Product, c.Name, c.Took.Milliseconds())
		for _, f := range c.Failures {
			text := f.Text
			if f.Table != "" {
				text = f.Table + ": " + text
			}
			b.WriteString(indent(text))
			if f.Hint != "" {
				b.WriteString(indent("→ " + f.Hint))
			}
		}
		for _, n := range c.Notes {
			b.WriteString(indent("note: " + n))
		}
	}
	switch {
	case len(r.Cases) == 0:
		fmt.Fprintf(&b, "%s has no tests\n", r.Product)
	default:
		fmt.Fprintf(&b, "%s: %d of %d tests passed\n", r.Product, len(r.Cases)-r.Failed(), len(r.Cases))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func indent(s string) string {
	return "      " + strings.ReplaceAll(s, "\n", "\n      ") + "\n"
}

// The elements of a JUnit report, as build servers read it.
type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class    string         `xml:"classname,attr"`
	Name     string         `xml:"name,attr"`
	Time     string         `xml:"time,attr"`
	Failures []junitFailure `xml:"failure"`
	Out      string         `xml:"system-out,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes reports as one JUnit document, a suite for each product.
func WriteJUnit(w io.Writer, reports ...*Report) error {
	doc := junitSuites{}
	for _, r := range reports {
		s := junitSuite{Name: r.Product.String(), Tests: len(r.Cases), Failures: r.Failed()}
		var all time.Duration
		for _, c := range r.Cases {
			all += c.Took
			j := junitCase{Class: r.Product.String(), Name: c.Name, Time: seconds(c.Took), Out: strings.Join(c.Notes, "\n")}
			for _, f := range c.Failures {
				first, _, _ := strings.Cut(f.Text, "\n")
				j.Failures = append(j.Failures, junitFailure{Message: strings.TrimPrefix(f.Table+": "+first, ": "), Type: "difference", Text: f.Text})
			}
			s.Cases = append(s.Cases, j)
		}
		s.Time = seconds(all)
		doc.Suites = append(doc.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(doc); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
