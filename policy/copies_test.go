package policy

import (
	"strings"
	"testing"
)

// TestMayCopy: a copy wants a consent that names the node's domain, whosever it is.
func TestMayCopy(t *testing.T) {
	for name, c := range map[string]struct {
		consent []string
		subject []string
		want    Visibility
		says    string
	}{
		"everybody":                    {[]string{"*"}, []string{"places"}, Readable, ""},
		"named":                        {[]string{"finance", "places"}, []string{"insights", "places"}, Readable, ""},
		"another one is named":         {[]string{"finance"}, []string{"places"}, Discoverable, "only nodes of finance may keep a copy, not a node of places"},
		"no consent":                   {nil, []string{"places"}, Discoverable, "lets nobody keep a copy"},
		"an empty name is no domain":   {[]string{""}, []string{""}, Discoverable, "only"},
		"of no domain":                 {[]string{"finance"}, nil, Discoverable, "not a node of no domain"},
		"the sign of all is no domain": {[]string{"finance"}, []string{"*"}, Discoverable, "only"},
	} {
		t.Run(name, func(t *testing.T) {
			d := MayCopy(c.consent, c.subject)
			if d.Visibility != c.want || (d.Reason == "") != (c.says == "") || !strings.Contains(d.Reason, c.says) {
				t.Errorf("%s: %q", d.Visibility, d.Reason)
			}
		})
	}
}
