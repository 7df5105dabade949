package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// HoldConsent is an owner's consent to holds on the history of what an output port gives.
type HoldConsent struct {
	Domains []string
	For     time.Duration // how long at most
}

// MayHold says whether subjects of the domains in subject may hold the history of a
// product in domain in place, and how long at most; 0 is without an end, which only the
// own domain has. It denies where nothing allows. That the product may be read is asked
// before.
func MayHold(consents []HoldConsent, domain string, subject []string) (time.Duration, Decision) {
	if owns(domain, subject) {
		return 0, Decision{Visibility: Readable}
	}
	var longest time.Duration
	var named []string
	for _, c := range consents {
		named = append(named, c.Domains...)
		if slices.Contains(c.Domains, Everybody) || slices.ContainsFunc(subject, func(d string) bool { return d != "" && slices.Contains(c.Domains, d) }) {
			longest = max(longest, c.For)
		}
	}
	switch {
	case longest > 0:
		return longest, Decision{Visibility: Readable}
	case len(named) == 0:
		return 0, Decision{Visibility: Discoverable, Reason: "its owner lets no other domain hold its history"}
	}
	as := "a subject of no domain"
	if len(subject) > 0 {
		as = "a subject of " + strings.Join(subject, ", ")
	}
	return 0, Decision{Visibility: Discoverable, Reason: fmt.Sprintf("only %s and %s may hold its history, not %s", domain, strings.Join(named, ", "), as)}
}
