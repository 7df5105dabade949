package contract

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestReplicas reads the owner's consent to copies in its spellings, and refuses the
// rest: what is not understood consents to nothing.
func TestReplicas(t *testing.T) {
	for value, want := range map[string]*Replicas{
		"{domains: [finance, places], for: 36h}": {[]string{"finance", "places"}, 36 * time.Hour},
		"{domains: '*', for: 7d}":                {[]string{"*"}, 7 * 24 * time.Hour},
		"{domains: finance}":                     {[]string{"finance"}, 24 * time.Hour},
		"{domains: [finance], for: 0}":           {[]string{"finance"}, 0},
		"finance":                                nil,
		"[finance]":                              nil,
		"{for: 24h}":                             nil,
		"{domains: []}":                          nil,
		"{domains: [finance], for: -1h}":         nil,
		"{domains: [finance], for: 91d}":         nil,
		"{domains: [finance], for: 2 days}":      nil,
		"{domains: [finance], until: 24h}":       nil,
		"{domains: [Finance!]}":                  nil,
	} {
		files := baseFiles(t)
		product := string(files["product.odps.yaml"])
		changed := strings.Replace(product, "{property: weftReaders,", "{property: weftReplicas, value: "+value+"}\n      - {property: weftReaders,", 1)
		if changed == product {
			t.Fatal("the folder has no weftReaders to stand beside")
		}
		files["product.odps.yaml"] = []byte(changed)
		f, faults := ReadFiles(files)
		if want == nil {
			if len(faults) == 0 {
				t.Errorf("%s: no fault", value)
			}
			continue
		}
		if len(faults) > 0 {
			t.Errorf("%s: %v", value, faults)
			continue
		}
		if got := f.Outputs[0].Replicas; got == nil || !slices.Equal(got.Domains, want.Domains) || got.For != want.For {
			t.Errorf("%s: %+v", value, got)
		}
	}
}
