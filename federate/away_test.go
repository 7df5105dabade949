package federate

import (
	"math"
	"testing"

	"weft/engine"
)

// TestPartRows holds the guesses by which the place of the last step is chosen.
func TestPartRows(t *testing.T) {
	from := func(part int, unique bool) []engine.KeySource {
		return []engine.KeySource{{Part: part, Column: "k", Unique: unique}}
	}
	lines := &engine.Part{Site: "sales", Rows: 1_000_000, Base: 1_000_000}
	few := &engine.Part{Site: "crm", Rows: 1_000, Base: 10_000, Narrowed: true}
	for name, x := range map[string]struct {
		key  engine.KeyUse
		but  string
		want float64
	}{
		"a key of few rows": {engine.KeyUse{From: from(1, true)}, "", 100_000},
		"its own key":       {engine.KeyUse{From: from(1, false), Unique: true}, "", 1_000},
		"no key at all":     {engine.KeyUse{From: from(1, false)}, "", 100_000},
		"a query chooses":   {engine.KeyUse{From: []engine.KeySource{{Part: -1, SQL: "SELECT 1", Needs: []int{1}}}}, "", 300_000},
		"keys that stay":    {engine.KeyUse{From: from(1, true)}, "crm", 1_000_000},
	} {
		wide := *lines
		wide.Keys = []engine.KeyUse{x.key, x.key} // the second says nothing more
		parts := []*engine.Part{&wide, few}
		got := partRows(parts, []planned{{uses: []int{0, 1}, waits: []int{1}}, {}}, x.but)
		if math.Abs(got[0]-x.want) > 1 || got[1] != 1_000 {
			t.Errorf("%s: %v, wanted %v", name, got, x.want)
		}
	}
}

// TestLeaveOut holds that parts whose tables stay where the last step runs are no part of
// the question any more, and that keys keep to the parts that they come from.
func TestLeaveOut(t *testing.T) {
	at := func(p int) []engine.KeySource { return []engine.KeySource{{Part: p, Column: "k"}} }
	s := &engine.Split{Parts: []*engine.Part{
		{Site: "", Rows: manyRows, Base: manyRows, Keys: []engine.KeyUse{{Name: "k0", From: at(2)}, {Name: "k9", From: at(4)}}},
		{Site: "crm", Keys: []engine.KeyUse{{Name: "k1", From: at(0)}, {Name: "k2", From: at(2)}, {Name: "k3", From: []engine.KeySource{{Part: -1, SQL: "q", Needs: []int{2, 4}}}}}},
		{Site: "geo", Narrowed: true},
		{Site: ""},
		{Site: hereSite, Keys: []engine.KeyUse{{Name: "k4", From: []engine.KeySource{{Part: -1, SQL: "q", Needs: []int{1, 3}}}}}},
	}}
	leaveOut(s)
	if len(s.Parts) != 3 || s.Parts[0].Site != "crm" || len(s.Parts[2].Keys) != 0 {
		t.Fatalf("%+v", s.Parts)
	}
	k := s.Parts[0].Keys
	if len(s.Own) != 1 || len(s.Own[0].Keys) != 2 || s.Own[0].Keys[0].From[0].Part != 1 || s.Own[0].Keys[1].From[0].Part != 2 {
		t.Errorf("%+v", s.Own)
	}
	if len(k) != 2 || k[0].Name != "k2" || k[0].From[0].Part != 1 || k[1].From[0].Needs[0] != 1 || k[1].From[0].Needs[1] != 2 {
		t.Errorf("%+v", k)
	}
}

// TestWeighs holds what a move has to be worth.
func TestWeighs(t *testing.T) {
	const mb = 1 << 20
	for _, x := range []struct {
		here, there int64
		want        bool
	}{{0, 0, false}, {mb / 2, 0, false}, {2 * mb, mb / 2, true}, {10 * mb, 6 * mb, false}, {100 * mb, 40 * mb, true}} {
		if weighs(x.here, x.there) != x.want {
			t.Errorf("%+v", x)
		}
	}
}
