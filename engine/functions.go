package engine

import (
	"cmp"
	"slices"
	"strings"
)

// class says what the gate does with a function.
type class int

const (
	allowed class = iota
	capped        // allowed with constant arguments within bounds
	pinned        // a time: it becomes the time of the cut
	chance        // allowed, and the query is marked unrepeatable
	barred
)

// group is a row of the reviewed table of functions: every function that the
// engine has is in exactly one. docs/functions.md is made from it.
type group struct {
	title string
	class class
	why   string // capped: the bound; refused: the reason, and what to do instead
	names string
}

// function is what the table says of one name.
type function struct {
	name  string
	group *group
}

// functionTable looks functions up by their names in small letters.
var functionTable = tableOf(functionGroups)

// tableFunctionTable is the same for functions that stand in a FROM.
var tableFunctionTable = tableOf(tableFunctionGroups)

func tableOf(groups []group) map[string]function {
	m := map[string]function{}
	for i := range groups {
		for _, n := range strings.Fields(groups[i].names) {
			n = strings.ToLower(n)
			m[n] = function{n, &groups[i]}
		}
	}
	return m
}

// lookUp finds a function; names that start with a refused family's prefix are
// of the family even where an engine has more of them than the table.
func lookUp(table map[string]function, name string) (function, bool) {
	f, ok := table[name]
	if !ok {
		for _, prefix := range []string{"icu_collate_", "__internal_"} {
			if strings.HasPrefix(name, prefix) {
				f, ok = table[prefix+"*"]
			}
		}
	}
	return f, ok
}

// similar returns up to three names of usable functions that look like name.
func similar(table map[string]function, name string) []string {
	type candidate struct {
		name string
		far  int
	}
	var near []candidate
	for n, f := range table {
		if f.group.class == barred {
			continue
		}
		d := distance(name, n)
		if strings.HasPrefix(n, name) && len(name) > 2 {
			d = 1
		}
		if d <= 1+len(name)/4 {
			near = append(near, candidate{n, d})
		}
	}
	slices.SortFunc(near, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.far, b.far), strings.Compare(a.name, b.name))
	})
	var out []string
	for _, c := range near[:min(3, len(near))] {
		out = append(out, c.name)
	}
	return out
}

// distance is the number of letters to change, add or take away.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := last
			if a[i] != b[j] {
				d++
			}
			last = row[j+1]
			row[j+1] = min(d, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
