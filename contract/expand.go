package contract

import (
	"regexp"
	"strings"

	"weft"
)

var variableRE = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

// Expand replaces every ${VAR} of text by what lookup gives for VAR; $${ stands
// for ${ itself. A name that lookup does not know, a brace that is not closed
// and a name that is no name are errors of KindInvalid, which never hold a
// value. Values are not expanded again.
func Expand(text string, lookup func(string) (string, bool)) (string, error) {
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			return b.String(), nil
		}
		if i > 0 && text[i-1] == '$' {
			b.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		b.WriteString(text[:i])
		name, rest, ok := strings.Cut(text[i+2:], "}")
		if !ok || !variableRE.MatchString(name) {
			return "", weft.Errorf(weft.KindInvalid, "expand the variable", "", "a variable is written ${NAME}, with letters, digits and _")
		}
		v, ok := lookup(name)
		if !ok {
			return "", weft.Errorf(weft.KindInvalid, "expand the variable", name, "it is not set").
				WithHint("set %s in the environment or in .env beside weft.yaml (mode 0600)", name)
		}
		b.WriteString(v)
		text = rest
	}
}

// isVariable reports whether s is nothing but references to variables.
func isVariable(s string) bool {
	lit, n, err := literalPart(s)
	return err == nil && n > 0 && lit == ""
}

// literalPart returns what s holds besides ${VAR}, and the number of variables.
func literalPart(s string) (string, int, error) {
	n := 0
	lit, err := Expand(s, func(string) (string, bool) { n++; return "", true })
	return lit, n, err
}
