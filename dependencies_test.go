package weft_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDependenciesAreNamed holds docs/dependencies.md against go.mod: every module
// that is asked for by ourselves stands there with its reason, and nothing else.
func TestDependenciesAreNamed(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(line, -1) {
			name := strings.TrimPrefix(m[1], "golang.org/")
			if _, twice := named[name]; twice && strings.HasPrefix(line, "|") && strings.Contains(name, "/") {
				t.Errorf("docs/dependencies.md names %s twice", name)
			}
			named[name] = false
		}
	}
	for line := range strings.Lines(string(mod)) {
		m := regexp.MustCompile(`^\s+(\S+\.\S+/\S*|\S+\.\S+) (v\S+)?(.*)`).FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil || strings.Contains(m[3], "indirect") {
			continue
		}
		name := strings.TrimPrefix(strings.TrimPrefix(m[1], "github.com/"), "golang.org/")
		if _, ok := named[name]; !ok {
			t.Errorf("docs/dependencies.md does not say why there is %s", m[1])
		}
		named[name] = true
	}
	for name, asked := range named {
		if !asked && strings.Contains(name, "/") && !strings.HasPrefix(name, "scripts/") && !strings.Contains(string(mod), "\t"+name) { // a tool stands there by its command
			t.Errorf("docs/dependencies.md names %s, which go.mod does not ask for", name)
		}
	}
}
