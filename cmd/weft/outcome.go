package main

import (
	"fmt"
	"strings"
	"time"

	"weft"
	"weft/serve"
)

// outcome is how an apply or a refresh of one product ended.
type outcome struct {
	name    weft.Name
	outcome serve.Outcome
	commit  *serve.CommitInfo
	verdict *weft.Verdict
	message string
	notes   []string
	took    time.Duration
}

// printOutcome prints it in one line, with the broken checks below where the
// data was refused.
func printOutcome(p *printer, o outcome) {
	st, words := plain, []string{}
	switch o.outcome {
	case serve.OutcomeCommitted:
		st = green
		if c := o.commit; c != nil {
			words = append(words, "committed "+c.Seq.String())
			if s := changes(c.Commit); s != "" {
				words = append(words, s)
			}
			words = append(words, plural(rowsAfter(c.Commit), "row"))
			if c.Verdict != nil {
				if w := verdictWords(c.Verdict); w != "" {
					words = append(words, w)
				}
			}
		} else {
			words = append(words, "committed")
		}
		words = append(words, span(o.took))
	case serve.OutcomeRefused:
		st = red
		why := "refused"
		if o.verdict != nil && !o.verdict.Pass {
			why += ": the data breaks its contract"
		}
		words = append(words, why, "what was published before stays visible")
	case serve.OutcomeFaults:
		st = red
		words = append(words, "not applied: the folder has faults")
	case serve.OutcomeBreaks:
		st = red
		words = append(words, "not applied: the change breaks readers")
	default:
		words = append(words, string(o.outcome))
	}
	line := p.paint(st, strings.Join(words, " · "))
	if !o.name.IsZero() {
		line = p.paint(bold, o.name.String()) + " " + line
	}
	p.println(line)
	if o.message != "" {
		p.indent("  ", clip(clean(o.message), maxErrorRunes), plain)
	}
	for _, n := range o.notes {
		p.indent("  note: ", clip(clean(n), maxErrorRunes), plain)
	}
	if o.outcome == serve.OutcomeRefused {
		if o.verdict != nil {
			printBroken(p, o.verdict.Checks)
		}
		p.indent("→ ", fmt.Sprintf("mend the source or the contract, then weft refresh %s", o.name), cyan)
	}
	if o.outcome == serve.OutcomeBreaks {
		p.indent("→ ", "keep what they rely on, raise the major version of the product, or say --breaking", cyan)
	}
}

// maxBroken is how many broken checks are printed below a refusal.
const maxBroken = 10

// printBroken prints the checks that do not hold.
func printBroken(p *printer, checks []weft.CheckResult) {
	var bad []weft.CheckResult
	for _, c := range checks {
		if !c.Pass {
			bad = append(bad, c)
		}
	}
	if len(bad) == 0 {
		return
	}
	more := len(bad) - maxBroken
	if more > 0 {
		bad = bad[:maxBroken]
	}
	checkGrid(bad).print(p)
	if more > 0 {
		p.printf("and %d more: weft checks\n", more)
	}
}
