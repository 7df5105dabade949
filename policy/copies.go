package policy

import (
	"fmt"
	"slices"
	"strings"
)

// MayCopy says whether a node whose domains are in subject may keep a copy of a
// product whose output port consents to copies at nodes of the domains in consent. It
// denies where nothing allows, to the product's own domain too: a copy is outside of
// what its origin can take back. That it may be read is asked before.
func MayCopy(consent, subject []string) Decision {
	if slices.Contains(consent, Everybody) ||
		slices.ContainsFunc(subject, func(d string) bool { return d != "" && slices.Contains(consent, d) }) {
		return Decision{Visibility: Readable}
	}
	if len(consent) == 0 {
		return Decision{Visibility: Discoverable, Reason: "its owner lets nobody keep a copy"}
	}
	as := "a node of no domain"
	if len(subject) > 0 {
		as = "a node of " + strings.Join(subject, ", ")
	}
	return Decision{Visibility: Discoverable, Reason: fmt.Sprintf("only nodes of %s may keep a copy, not %s", strings.Join(consent, ", "), as)}
}
