package peer

import (
	"path/filepath"
	"slices"
	"testing"

	"weft"
)

// TestAWitnessJudgesByRecordsAlone holds that what one node vouches for convinces
// somebody who knows no more than the mesh's identity, and no less than all of it.
func TestAWitnessJudgesByRecordsAlone(t *testing.T) {
	c := newClock()
	a, b := founded(t, c, "sales"), node(t, c, "b", "")
	enters(t, a, b, "stock")
	meet(t, a, b)
	first := b.Self()
	ok(t, b.Rotate(t.Context()))
	ok(t, b.Rotate(t.Context()))
	meet(t, a, b)
	raws := a.Set().Vouch(map[weft.KeyID][]string{b.Self(): {"stock"}})
	slices.Reverse(raws) // in whatever order they come
	w := NewWitness(a.ID())
	if n := w.Hear(raws); n != len(raws) || n != 5 { // charter, domain, admission, two changes of keys
		t.Fatalf("it takes %d of %d records", n, len(raws))
	}
	for _, k := range []weft.KeyID{first, b.Self()} {
		if st := w.Of(k, "stock"); !st.Holds || !w.Of(k, "").Holds {
			t.Errorf("key %s stands as %+v", k.Short(), st)
		}
		if st := w.Of(k, "sales"); st.Was || st.Holds {
			t.Errorf("in a domain that it never had key %s stands as %+v", k.Short(), st)
		}
	}
	if got := w.Of(first, "").Next; got != b.Self() {
		t.Errorf("its newest key is %s", got.Short())
	}
	for i := range raws {
		part := NewWitness(a.ID())
		part.Hear(slices.Delete(slices.Clone(raws), i, i+1))
		if part.Of(b.Self(), "stock").Holds {
			t.Errorf("without record %d it is convinced", i)
		}
	}
	if got := NewWitness(weft.Hash{1}); got.Hear(raws) != 0 || got.Of(b.Self(), "stock").Was {
		t.Error("a witness of another mesh is convinced")
	}
	if got := w.NameOf(b.Self()); got != "" {
		t.Errorf("it knows the name %q", got)
	}

	ok(t, a.Revoke(t.Context(), b.Self(), "", "stolen"))
	w = NewWitness(a.ID())
	w.Hear(a.Set().Testimony())
	if st := w.Of(b.Self(), "stock"); st.Holds || !st.Was || st.Ended != "it was revoked: stolen" || st.Since.IsZero() {
		t.Errorf("after it was revoked it stands as %+v", st)
	}
	if got := w.NameOf(a.Self()); got != "first" {
		t.Errorf("it knows the other node as %q", got)
	}
}

// TestADomainsKeyThatWasReplacedVouchesForNobody holds that nodes which only the key
// before had admitted are not of the domain.
func TestADomainsKeyThatWasReplacedVouchesForNobody(t *testing.T) {
	c := newClock()
	a, b := founded(t, c, "sales"), node(t, c, "b", "")
	enters(t, a, b, "stock")
	meet(t, a, b)
	ok(t, a.Decide(t.Context(), "stock", weft.KeyID{7}))
	w := NewWitness(a.ID())
	w.Hear(a.Set().Vouch(map[weft.KeyID][]string{b.Self(): {"stock"}}))
	if st := w.Of(b.Self(), "stock"); st.Holds || !st.Was || st.Ended != "the domain was given to another key" {
		t.Errorf("it stands as %+v", st)
	}
}

// TestANodeSignsBeforeItIsInAMesh holds that its key outlives a restart, and that it
// enters a mesh with it.
func TestANodeSignsBeforeItIsInAMesh(t *testing.T) {
	c, dir := newClock(), filepath.Join(t.TempDir(), "mesh")
	m := node(t, c, "a", dir)
	k, err := m.SigningKey()
	ok(t, err)
	if m.Joined() || !m.Self().IsZero() {
		t.Error("the key makes it a member")
	}
	if found := VerifyFolder(t.Context(), dir); len(found) != 0 {
		t.Errorf("its folder has faults: %v", found)
	}
	if files, err := m.Backup(); err != nil || len(files) != 1 || files[0].Name != nodeKey {
		t.Errorf("a backup has %d files of it, %v", len(files), err)
	}
	ok(t, m.Close())
	m = node(t, c, "a", dir)
	again, err := m.SigningKey()
	ok(t, err)
	ok(t, m.Found(t.Context(), Founding{Name: "acme", Domains: []string{"sales"}}))
	if again.ID() != k.ID() || m.Self() != k.ID() {
		t.Errorf("it signed as %s, then as %s, and is %s in its mesh", k, again, m.Self().Short())
	}
}
