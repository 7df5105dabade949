package contract

import (
	"strings"
	"testing"

	"weft"
)

func TestExpand(t *testing.T) {
	env := map[string]string{"HOST": "db", "NESTED": "${HOST}", "EMPTY": ""}
	lookup := func(n string) (string, bool) { v, ok := env[n]; return v, ok }
	for text, want := range map[string]string{
		"": "", "plain": "plain", "${HOST}": "db", "a${HOST}b${EMPTY}c": "adbbc", "${NESTED}": "${HOST}", "$HOST": "$HOST",
		"$${HOST}": "${HOST}", "cost: 5$": "cost: 5$",
	} {
		if got, err := Expand(text, lookup); err != nil || got != want {
			t.Errorf("Expand(%q) = %q %v, want %q", text, got, err, want)
		}
	}
	for _, bad := range []string{"${MISSING}", "${HOST", "${}", "${A B}", "${1}", "${HOST}${"} {
		got, err := Expand(bad, lookup)
		if weft.KindOf(err) != weft.KindInvalid || got != "" {
			t.Errorf("Expand(%q) = %q %v, want an error", bad, got, err)
		}
	}
	if _, err := Expand("${MISSING}", lookup); !strings.Contains(weft.HintOf(err), "MISSING") {
		t.Errorf("the hint does not name the variable: %v", err)
	}
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"", "${A}", "$${A}", "${A", "a${A}b${B}", "${${A}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		got, err := Expand(text, func(string) (string, bool) { n++; return "v", true })
		if err == nil && n == 0 && !strings.Contains(text, "${") && got != text {
			t.Errorf("text without variables became %q", got)
		}
		if err == nil && isVariable(text) && n == 0 {
			t.Error("a variable that was not looked up")
		}
	})
}
