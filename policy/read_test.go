package policy

import (
	"slices"
	"strings"
	"testing"

	"weft"
)

// TestMayRead holds every way to be let in, and that everything else is denied
// with a reason.
func TestMayRead(t *testing.T) {
	for name, c := range map[string]struct {
		readers []string
		subject []string
		want    Visibility
		says    string
	}{
		"the own domain":             {nil, []string{"sales"}, Readable, ""},
		"one of several":             {nil, []string{"places", "sales"}, Readable, ""},
		"the node for all it holds":  {nil, []string{weft.AllDomains}, Readable, ""},
		"everybody":                  {[]string{"*"}, []string{"places"}, Readable, ""},
		"everybody, of no domain":    {[]string{"*"}, nil, Readable, ""},
		"named":                      {[]string{"finance", "places"}, []string{"places"}, Readable, ""},
		"another one is named":       {[]string{"finance"}, []string{"places"}, Discoverable, "only sales, finance may read it, not a subject of places"},
		"nobody is named":            {nil, []string{"places"}, Discoverable, "only its own domain sales may read it, not a subject of places"},
		"of no domain":               {[]string{"finance"}, nil, Discoverable, "not a subject of no domain"},
		"an empty name is no domain": {[]string{""}, []string{""}, Discoverable, "only"},
		"a part of a name":           {[]string{"finance"}, []string{"fin"}, Discoverable, "only"},
	} {
		t.Run(name, func(t *testing.T) {
			d := MayRead(c.readers, "sales", c.subject)
			if d.Visibility != c.want || (d.Reason == "") != (c.says == "") || !strings.Contains(d.Reason, c.says) {
				t.Errorf("%s: %q", d.Visibility, d.Reason)
			}
		})
	}
	if d := MayRead(nil, "", []string{""}); d.Visibility == Readable {
		t.Error("a product of no domain is everybody's")
	}
}

func TestMayKnow(t *testing.T) {
	own, other := []string{"sales"}, []string{"places"}
	for _, life := range []weft.Life{weft.LifeProposed, weft.LifeDraft, weft.LifeActive, weft.LifeDeprecated, weft.LifeRetired} {
		if d := MayKnow(life, "sales", own); d.Visibility == Hidden {
			t.Errorf("%s is hidden from its own domain", life)
		}
		hidden := life == weft.LifeProposed || life == weft.LifeDraft
		if d := MayKnow(life, "sales", other); (d.Visibility == Hidden) != hidden || (d.Reason != "") != hidden {
			t.Errorf("%s is %s to another domain: %q", life, d.Visibility, d.Reason)
		}
	}
}

// TestOfPeer: what another node asks as is what the mesh says of it, and nothing
// that it says itself.
func TestOfPeer(t *testing.T) {
	node, mart := weft.KeyID{1}, weft.Name{Domain: "insights", Product: "mart"}
	s, err := OfPeer(node, []string{"insights", "*", "", "Places"}, weft.Name{})
	if err != nil || !slices.Equal(s.Domains, []string{"insights"}) || s.ID != node.String() {
		t.Errorf("the node asks as %+v, %v", s, err)
	}
	s, err = OfPeer(node, []string{"insights", "places"}, mart)
	if err != nil || !slices.Equal(s.Domains, []string{"insights"}) || s.Kind != weft.SubjectProduct {
		t.Errorf("the product asks as %+v, %v", s, err)
	}
	for name, domains := range map[string][]string{"another domain": {"places"}, "unknown or revoked": nil, "the sign of all": {"*"}} {
		if _, err := OfPeer(node, domains, mart); weft.KindOf(err) != weft.KindDenied || weft.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := OfPeer(weft.KeyID{}, []string{"insights"}, mart); weft.KindOf(err) != weft.KindDenied {
		t.Errorf("a node without a key: %v", err)
	}
}
