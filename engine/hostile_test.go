package engine

import (
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"weft"
)

var times = regexp.MustCompile(`\{\{(\d+)\*(.*?)\}\}`)

// expand writes out {{5000*x}}, and the escapes of a line in double quotes.
func expand(t *testing.T, line string) string {
	t.Helper()
	if strings.HasPrefix(line, `"`) {
		s, err := strconv.Unquote(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		line = s
	}
	line = times.ReplaceAllStringFunc(line, func(m string) string {
		p := times.FindStringSubmatch(m)
		n, err := strconv.Atoi(p[1])
		if err != nil {
			t.Fatal(err)
		}
		return strings.Repeat(p[2], n)
	})
	return strings.ReplaceAll(line, `\n`, "\n")
}

// TestHostile holds that every statement in hostile.txt is refused, by a
// weft.Error of a kind that blames the query, and with the words that stand
// under it.
func TestHostile(t *testing.T) {
	const file = "testdata/gate/hostile.txt"
	s := newParser(t)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	count := 0
	for i, line := range lines {
		if strings.HasPrefix(line, "    ") {
			continue
		}
		out.WriteString(line + "\n")
		if line == "" && i < 3 || strings.HasPrefix(line, "# ") {
			continue
		}
		count++
		_, err := Bind(t.Context(), s, expand(t, line), testRules)
		var e *weft.Error
		if !errors.As(err, &e) {
			t.Errorf("%s\n  is not refused: %v", line, err)
			continue
		}
		if e.Kind != weft.KindInvalid && e.Kind != weft.KindLimit && e.Kind != weft.KindNotFound {
			t.Errorf("%s\n  is refused as %s", line, e.Kind)
		}
		if e.Hint == "" {
			t.Errorf("%s\n  %v: there is no hint", line, err)
		}
		got := "    " + string(e.Kind) + ": " + strings.Join(strings.Fields(e.Message), " ")
		if len(got) > 160 {
			got = strings.ToValidUTF8(got[:160], "") + "…"
		}
		out.WriteString(got + "\n")
		want := ""
		if i+1 < len(lines) && strings.HasPrefix(lines[i+1], "    ") {
			want = lines[i+1]
		}
		if !*update && got != want {
			t.Errorf("%s\n  gives %s\n  want  %s", line, got, want)
		}
	}
	if count < 300 {
		t.Errorf("there are %d statements", count)
	}
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
