package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"weft"
)

// count writes a number with separators: 336,776.
func count(n int64) string { return humanize.Comma(n) }

// size writes bytes for people: 12 MB.
func size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// plural writes "1 row" and "2 rows".
func plural(n int64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return count(n) + " " + word + "s"
}

// ago writes how long before now t was: "3 min ago". Times of more than two
// days back are dates.
func ago(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case d < -2*time.Second:
		return "in " + span(-d)
	case d < 2*time.Second:
		return "just now"
	case d < 48*time.Hour:
		return span(d) + " ago"
	}
	return t.Local().Format("2006-01-02")
}

// span writes a duration in its two largest units at most: "3 min", "1 h 20 min".
func span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		if m := int(d.Minutes()) % 60; m > 0 && d < 10*time.Hour {
			return fmt.Sprintf("%d h %d min", int(d.Hours()), m)
		}
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}

// stamp writes a point in time for people, in the machine's zone.
func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// revision writes a git revision as people name it: "git 3fa9c2e" and a word
// where the folder had other changes.
func revision(rev string) string {
	if rev == "" {
		return ""
	}
	hash, dirty := strings.CutSuffix(rev, "+")
	if len(hash) > 7 {
		hash = hash[:7]
	}
	if dirty {
		return "git " + hash + " + changes"
	}
	return "git " + hash
}

// stateStyle colours a state: what is fine, what wants a look, what is wrong.
func stateStyle(s weft.State) style {
	switch s {
	case weft.StateFresh:
		return green
	case weft.StateLate, weft.StatePaused, weft.StateLoading, weft.StateEmpty, weft.StateUpstreamStopped:
		return yellow
	case weft.StateRefused, weft.StateSourceLost, weft.StateUnreachable, weft.StateDamaged:
		return red
	case weft.StateRetired:
		return dim
	}
	return plain
}

// changes sums up what a commit did: "+12 ~3 −1", without hidden tables. Where the
// rows of a table got other columns, none of them is what it was.
func changes(c weft.Commit) string {
	var ins, upd, del int64
	var replaced []string
	for _, t := range c.Tables {
		switch {
		case t.Hidden:
		case t.Op == weft.OpColumns:
			replaced = append(replaced, "other columns")
		case t.Op == weft.OpReplace && t.Deleted > 0 && t.Inserted > 0 && t.Inserted == t.Rows:
			replaced = append(replaced, fmt.Sprintf("%s → %s", count(t.Deleted), plural(t.Rows, "row")))
		default:
			ins, upd, del = ins+t.Inserted, upd+t.Updated, del+t.Deleted
		}
	}
	var w []string
	for _, p := range []struct {
		mark string
		n    int64
	}{{"+", ins}, {"~", upd}, {"−", del}} {
		if p.n > 0 {
			w = append(w, p.mark+count(p.n))
		}
	}
	return strings.Join(append(w, replaced...), " ")
}

// rowsAfter is the number of rows of a commit's visible tables.
func rowsAfter(c weft.Commit) int64 {
	var n int64
	for _, t := range c.Tables {
		if !t.Hidden {
			n += t.Rows
		}
	}
	return n
}
