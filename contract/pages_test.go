package contract

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// page holds the part of a docs page below its marker against what the code
// says, or rewrites it.
func page(t *testing.T, file, want string) {
	t.Helper()
	const marker = "<!-- from the code: go test ./contract -update -->\n"
	path := filepath.Join("..", "docs", file)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(data), marker)
	if !ok {
		t.Fatalf("%s has no marker %s", file, marker)
	}
	if strings.TrimSpace(rest) == strings.TrimSpace(want) {
		return
	}
	if !*update {
		t.Errorf("%s is not what the code says (go test -update rewrites it)", file)
		return
	}
	if err := os.WriteFile(path, []byte(head+marker+want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCustomPropertiesPage(t *testing.T) {
	var b strings.Builder
	b.WriteString("\n| property | on | value | where absent | meaning |\n|---|---|---|---|---|\n")
	cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
	for _, p := range customProperties {
		form := p.form
		if len(p.choices()) > 0 {
			form = "`" + strings.Join(p.choices(), "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", p.name, p.on, cell(form), cell(p.initial), cell(p.doc))
	}
	page(t, "custom-properties.md", b.String())
}

func TestRulesPage(t *testing.T) {
	var b strings.Builder
	b.WriteString("\n| rule | what is wrong |\n|---|---|\n")
	for _, r := range Rules() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", r.Name, r.Text)
	}
	page(t, "lint-rules.md", b.String())
}

// TestRulesAreAll holds the list of rules against the code that names them and
// the scripts that show them: each rule is documented, used and tried.
func TestRulesAreAll(t *testing.T) {
	named := regexp.MustCompile(`(?s)(?:errorf|warnf|x\.fail)\((?:[^"]|"[a-zA-Z]+")*?, "([a-z][a-z-]+)",\s`)
	used := map[string]bool{}
	sources, _ := filepath.Glob("*.go")
	for _, file := range sources {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			for _, m := range named.FindAllStringSubmatch(line+" ", -1) {
				used[m[1]] = true
			}
		}
	}
	var shown strings.Builder
	scripts, _ := filepath.Glob("testdata/lint/*.txtar")
	for _, file := range scripts {
		data, _ := os.ReadFile(file)
		shown.Write(data)
	}
	// Tried by tests of their own: they need files that no script can hold.
	elsewhere := map[string]bool{"read": true, "file-kind": true, "file-size": true, "folder-size": true, "yaml-size": true}
	known := map[string]bool{}
	for _, r := range Rules() {
		known[r.Name] = true
		if !strings.Contains(shown.String(), " "+r.Name+"\n") && !elsewhere[r.Name] {
			t.Errorf("no script of testdata/lint shows the rule %s", r.Name)
		}
	}
	for name := range used {
		if !known[name] {
			t.Errorf("the rule %s is not documented", name)
		}
	}
	if len(used) < len(known)*3/4 {
		t.Errorf("found only %d of %d rules in the code: the pattern of this test is out of date", len(used), len(known))
	}
}
