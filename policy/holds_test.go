package policy_test

import (
	"testing"
	"time"

	"weft"
	"weft/policy"
)

// TestMayHold: only the own domain holds without asking, and nobody longer than the
// owner says.
func TestMayHold(t *testing.T) {
	day := 24 * time.Hour
	finance := policy.HoldConsent{Domains: []string{"finance"}, For: 90 * day}
	all := policy.HoldConsent{Domains: []string{"*"}, For: 7 * day}
	for name, x := range map[string]struct {
		consents []policy.HoldConsent
		subject  []string
		want     time.Duration
		ok       bool
	}{
		"own":             {subject: []string{"sales"}, ok: true},
		"the node's own":  {subject: []string{weft.AllDomains}, ok: true},
		"nothing said":    {subject: []string{"finance"}},
		"named":           {[]policy.HoldConsent{finance}, []string{"finance"}, 90 * day, true},
		"the longest":     {[]policy.HoldConsent{all, finance}, []string{"finance"}, 90 * day, true},
		"all":             {[]policy.HoldConsent{all, finance}, []string{"places"}, 7 * day, true},
		"all, no domain":  {[]policy.HoldConsent{all}, nil, 7 * day, true},
		"another":         {[]policy.HoldConsent{finance}, []string{"places"}, 0, false},
		"no domain":       {[]policy.HoldConsent{finance}, nil, 0, false},
		"the empty word":  {[]policy.HoldConsent{{Domains: []string{""}, For: day}}, []string{""}, 0, false},
		"for no time":     {[]policy.HoldConsent{{Domains: []string{"finance"}}}, []string{"finance"}, 0, false},
		"own, and others": {[]policy.HoldConsent{finance}, []string{"places", "sales"}, 0, true},
	} {
		got, why := policy.MayHold(x.consents, "sales", x.subject)
		if got != x.want || (why.Visibility == policy.Readable) != x.ok || (why.Reason == "") != x.ok {
			t.Errorf("%s: %s, %+v", name, got, why)
		}
	}
}
