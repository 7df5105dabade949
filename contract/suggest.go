package contract

import (
	"fmt"
	"slices"
	"strings"
)

// nearest returns the word of known that a person most likely meant by w, and
// empty where none is near.
func nearest(w string, known []string) string {
	best, least := "", 3
	if len(w) < 5 {
		least = 2
	}
	if len(w) > 80 {
		return ""
	}
	for _, k := range slices.Sorted(slices.Values(known)) {
		if strings.EqualFold(w, k) {
			return k
		}
		if d := distance(strings.ToLower(w), strings.ToLower(k)); d <= least && (best == "" || d < least) && d < len(w) {
			best, least = k, d
		}
	}
	return best
}

// didYouMean is nearest as a hint; otherwise it names what is known.
func didYouMean(w string, known []string) string {
	if n := nearest(w, known); n != "" {
		return fmt.Sprintf("did you mean '%s'?", n)
	}
	if len(known) == 0 {
		return ""
	}
	if len(known) > 12 {
		known = append(slices.Clone(known[:12]), "…")
	}
	return "known: " + strings.Join(known, ", ")
}

// a puts the article before a noun.
func a(noun string) string {
	if noun != "" && strings.ContainsRune("aeio", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that turn s into t.
func distance(s, t string) int {
	var last, prev, row []int
	for j := range len(t) + 1 {
		prev = append(prev, j)
	}
	for i := 1; i <= len(s); i++ {
		row = []int{i}
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			d := min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				d = min(d, last[j-2]+1)
			}
			row = append(row, d)
		}
		last, prev = prev, row
	}
	return prev[len(t)]
}
