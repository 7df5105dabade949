package ingest

import (
	"fmt"
	"slices"
	"strings"

	"weft"
	"weft/contract"
)

// Found is one column that a source has.
type Found struct {
	Name string
	Type contract.Type // KindUnknown where the source has no types (CSV)
	// Raw is the engine's spelling of a type outside the closed table.
	Raw string
}

// Binding says how one staged column comes from the source.
type Binding struct {
	Name     string        // staged name
	Source   string        // exact name at the source
	Index    int           // position at the source; -1 where this file does not have it
	Type     contract.Type // of the staged column; KindUnknown is still to be inferred
	Found    Found
	Declared bool // the type is declared or known from earlier loads, not inferred
}

// Match binds the wanted columns to what a source has. Ignored are columns of
// the source that a strict Want leaves out. Missing columns and types of another
// family are KindDrift, all of them in one error that says what is expected and
// what was found.
func Match(w Want, place string, found []Found) (bound []Binding, ignored []string, err error) {
	used := make([]bool, len(found))
	var missing []Column
	var drift []string
	for _, c := range w.Columns {
		i := indexOf(found, used, c.SourceName())
		if i < 0 {
			missing = append(missing, c)
			continue
		}
		used[i] = true
		b := Binding{Name: c.Name, Source: found[i].Name, Index: i, Type: c.Type, Found: found[i], Declared: c.Type.Kind != contract.KindUnknown}
		if t, ok := known(w, c.Name); !b.Declared && ok && Fits(found[i], t) {
			b.Type, b.Declared = t, true
		}
		if b.Declared && !Fits(found[i], b.Type) {
			drift = append(drift, fmt.Sprintf("column `%s` changed its type: %s is expected, %s has %s", c.SourceName(), b.Type, place, found[i].label()))
		}
		bound = append(bound, b)
	}
	var free []string
	for i, f := range found {
		if !used[i] {
			free = append(free, f.Name)
		}
	}
	for _, c := range missing {
		drift = append(drift, missingText(c, place, free))
	}
	if len(drift) > 0 {
		return nil, nil, weft.Errorf(weft.KindDrift, "read the source", tableName(w), "%s", strings.Join(drift, "; ")).
			WithHint("correct the source, or change the contract (weft diff shows who depends on it)")
	}
	if w.Strict && len(w.Columns) > 0 {
		return bound, free, nil
	}
	for i, f := range found {
		if used[i] {
			continue
		}
		b := Binding{Name: freeName(f.Name, bound), Source: f.Name, Index: i, Found: f}
		if t, ok := known(w, b.Name); ok && Fits(f, t) {
			b.Type, b.Declared = t, true
		}
		bound = append(bound, b)
	}
	return bound, nil, nil
}

func tableName(w Want) string {
	if w.Table == nil {
		return ""
	}
	return w.Table.Name
}

// indexOf finds a source column: by its exact name, then without case.
func indexOf(found []Found, used []bool, name string) int {
	i := slices.IndexFunc(found, func(f Found) bool { return f.Name == name })
	if i < 0 || used[i] {
		i = slices.IndexFunc(found, func(f Found) bool { return strings.EqualFold(f.Name, name) })
	}
	if i >= 0 && used[i] {
		return -1
	}
	return i
}

func known(w Want, name string) (contract.Type, bool) {
	for _, k := range w.Known {
		if strings.EqualFold(k.Name, name) && k.Type.Kind != contract.KindUnknown {
			return k.Type, true
		}
	}
	return contract.Type{}, false
}

// freeName makes name unlike the names already bound, which SQL compares
// without case.
func freeName(name string, bound []Binding) string {
	n := name
	for i := 1; slices.ContainsFunc(bound, func(b Binding) bool { return strings.EqualFold(b.Name, n) }); i++ {
		n = fmt.Sprintf("%s_%d", name, i)
	}
	return n
}

func (f Found) label() string {
	if f.Raw != "" {
		return strings.ToLower(f.Raw)
	}
	return f.Type.String()
}

// missingText says that a column is gone and which free column it may be now.
func missingText(c Column, place string, free []string) string {
	s := fmt.Sprintf("column `%s`", c.SourceName())
	if c.Type.Kind != contract.KindUnknown {
		s += fmt.Sprintf(" (%s)", c.Type)
	}
	s += " is missing"
	if n := likely(c.SourceName(), free); n != "" {
		return s + fmt.Sprintf("; %s has `%s`: did it get renamed?", place, n)
	}
	if len(free) == 0 {
		return s + " in " + place
	}
	if len(free) > 8 {
		free = append(slices.Clone(free[:8]), fmt.Sprintf("and %d more", len(free)-8))
	}
	return s + fmt.Sprintf("; %s also has %s", place, strings.Join(free, ", "))
}

// likely returns the free column that name most likely became: the only one, one
// that shares a beginning or a word with it, or one within few edits.
func likely(name string, free []string) string {
	best, score := "", 0
	for _, f := range free {
		if s := likeness(strings.ToLower(name), strings.ToLower(f)); s > score {
			best, score = f, s
		}
	}
	if best == "" && len(free) == 1 {
		return free[0]
	}
	return best
}

// likeness is 0 for words that have nothing in common.
func likeness(a, b string) int {
	strip := func(s string) string { return strings.NewReplacer("_", "", " ", "", "-", "", ".", "").Replace(s) }
	x, y := strip(a), strip(b)
	switch {
	case x == y:
		return 100
	case len(x) > 2 && strings.Contains(y, x), len(y) > 2 && strings.Contains(x, y):
		return 80
	}
	n := 0
	for n < len(x) && n < len(y) && x[n] == y[n] {
		n++
	}
	if 2*n >= min(len(x), len(y)) && n >= 2 {
		return 40 + n
	}
	if subsequence(x, y) || subsequence(y, x) {
		return 30
	}
	return 0
}

// subsequence reports whether a abbreviates b: qty, quantity.
func subsequence(a, b string) bool {
	if len(a) < 2 || len(b) == 0 || a[0] != b[0] {
		return false
	}
	i := 0
	for j := 0; j < len(b) && i < len(a); j++ {
		if a[i] == b[j] {
			i++
		}
	}
	return i == len(a)
}

// FoundSQL is a source column whose type the engine names.
func FoundSQL(name, sqlType string) Found {
	t, err := contract.FromDuckDB(sqlType)
	if err != nil || t.Kind == contract.KindUnknown || sqlType == "JSON" {
		return Found{Name: name, Type: contract.Type{Kind: contract.KindString}, Raw: sqlType}
	}
	return Found{Name: name, Type: t}
}
