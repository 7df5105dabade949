package node

import (
	"testing"
	"time"

	"weft"
)

// TestMayCopy: a copy is whole, so that every table has to be open to the node and
// every port has to consent; the shortest time holds.
func TestMayCopy(t *testing.T) {
	name := weft.Name{Domain: "sales", Product: "tills"}
	port := func(name, table string, readers []string, seconds int64, domains ...string) grant {
		g := grant{Port: name, Tables: []string{table}, Readers: readers}
		if domains != nil {
			g.Copies = &weft.CardReplicas{Domains: domains, Seconds: seconds}
		}
		return g
	}
	all, places := []string{"*"}, weft.Subject{Domains: []string{"places"}}
	for what, c := range map[string]struct {
		life   weft.Life
		grants []grant
		during time.Duration
		kind   weft.Kind
	}{
		"all consent":           {weft.LifeActive, []grant{port("a", "x", all, 3600, "places"), port("b", "y", all, 60, "*")}, time.Minute, ""},
		"one does not":          {weft.LifeActive, []grant{port("a", "x", all, 3600, "places"), port("b", "y", all, 0)}, 0, weft.KindDenied},
		"one is for others":     {weft.LifeActive, []grant{port("a", "x", all, 3600, "finance")}, 0, weft.KindDenied},
		"one cannot be read":    {weft.LifeActive, []grant{port("a", "x", all, 3600, "*"), port("b", "y", nil, 60, "*")}, 0, weft.KindDenied},
		"not while it is away":  {weft.LifeActive, []grant{port("a", "x", all, 0, "*")}, 0, ""},
		"nothing is offered":    {weft.LifeActive, nil, 0, weft.KindDenied},
		"a draft is not known":  {weft.LifeDraft, []grant{port("a", "x", all, 3600, "*")}, 0, weft.KindNotFound},
		"a time that cannot be": {weft.LifeActive, []grant{port("a", "x", all, -5, "*")}, 0, ""},
	} {
		b := &brief{Form: briefForm, Life: c.life, Grants: c.grants}
		d, err := b.mayCopy(name, places)
		if d != c.during || (err == nil) != (c.kind == "") || err != nil && weft.KindOf(err) != c.kind {
			t.Errorf("%s: %s, %v", what, d, err)
		}
	}
}
