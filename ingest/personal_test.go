package ingest

import (
	"strings"
	"testing"
)

// TestLooksPersonal holds invented values against the detectors.
func TestLooksPersonal(t *testing.T) {
	for text, want := range map[string]bool{
		"a@example.com|b.c+d@mail.example.org":                       true,
		"call a@example.com|ask b@example.com now|nothing":           true,
		"+44 20 7946 0000|+49 (30) 901820":                           true,
		"020 7946 0958|030 901820-1":                                 true,
		"555-123-4567|(555) 123 4567":                                true,
		"GB82 WEST 1234 5698 7654 32|DE89370400440532013000":         true,
		"4111111111111111|5500-0000-0000-0004":                       true,
		"192.0.2.1|2001:db8::1":                                      true,
		"550e8400-e29b-41d4-a716-446655440000|550e8400-e29b-41d4-a7": false,
		"2024-01-02|2024-01-03":                                      false,
		"2024-01-02 03:04:05|01.02.2024 10:00":                       false,
		"1234567890123|9876543210987|1111111111117|4000000000001":    false,
		"00012345|00099999":                                          false,
		"N14228|N24211":                                              false,
		"1.5|2.25":                                                   false,
		"open|paid":                                                  false,
		"":                                                           false,
	} {
		var vs [][]string
		for v := range strings.SplitSeq(text, "|") {
			vs = append(vs, []string{v})
		}
		if got := looksPersonal(vs); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
