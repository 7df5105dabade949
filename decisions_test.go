package weft_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDecisions holds the list of decisions against their pages, and that these
// speak of the project and not of who else used the machine.
func TestDecisions(t *testing.T) {
	list, err := os.ReadFile("docs/decisions/README.md")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("docs/decisions/[0-9]*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal("no decisions: ", err)
	}
	numbers, want := map[string]bool{}, ""
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(page)
		m := regexp.MustCompile(`^# (\d{4}) (\S.*)\n`).FindStringSubmatch(string(b))
		if m == nil || !strings.HasPrefix(base, m[1]+"-") || numbers[m[1]] {
			t.Errorf("%s does not begin with a line \"# %.4s Title\", or another page has the number", page, base)
			continue
		}
		numbers[m[1]] = true
		want += fmt.Sprintf("- [%s](%s) %s\n", m[1], base, m[2])
		if bad := regexp.MustCompile(`(?i)(busy|quiet) machine|others at work|else running`).FindString(string(b)); bad != "" {
			t.Errorf("%s says %q: give the medians and what they were taken in turns with", page, bad)
		}
		for _, ref := range regexp.MustCompile(`decisions? (\d{4})`).FindAllStringSubmatch(string(b), -1) {
			if found, _ := filepath.Glob("docs/decisions/" + ref[1] + "-*.md"); len(found) != 1 {
				t.Errorf("%s refers to decision %s, which there is not", page, ref[1])
			}
		}
	}
	if _, got, _ := strings.Cut(string(list), "\n- "); "- "+got != want {
		t.Errorf("the list in docs/decisions/README.md must be\n%s", want)
	}
}
