package peer

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"slices"
	"testing"

	"weft"
	"weft/sign"
)

// shown are the changes of keys that a certificate of the key carries.
func shown(t testing.TB, key sign.Key, raws [][]byte) [][]byte {
	t.Helper()
	c, err := certificate(key, raws)
	ok(t, err)
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	ok(t, err)
	return changesOf(leaf)
}

func TestACertificateSaysHowTheKeyCame(t *testing.T) {
	c := newClock()
	a, b := founded(t, c, "sales"), node(t, c, "b", "")
	enters(t, a, b, "stock")
	meet(t, a, b)
	where := a.Set().nodeInfo(b.Self())
	for i := range maxChanges + 2 {
		if got := shown(t, b.nodeKey(), b.Set().changes(b.Self())); len(got) != min(i, maxChanges) {
			t.Fatalf("after %d changes the certificate carries %d", i, len(got))
		}
		ok(t, b.Rotate(t.Context()))
	}
	chain := b.Set().changes(b.Self())
	if a.Set().learn(b.Self(), chain); a.DomainsOf(b.Self()) != nil {
		t.Error("it is believed though the first change of its chain is missing")
	}
	// The rest comes by way of others.
	first := b.Set().changes(firstOf(t, chain))
	a.Set().learn(firstOf(t, chain), first)
	a.Set().learn(b.Self(), chain)
	if got := a.DomainsOf(b.Self()); !slices.Equal(got, []string{"stock"}) {
		t.Errorf("the new key is of %q", got)
	}
	if got := a.Set().nodeInfo(b.Self()); got != where || got == nil {
		t.Errorf("where it is reached is %+v, and was %+v", got, where)
	}
	meet(t, a, b)
	if got := a.Set().nodeInfo(b.Self()); got == where || len(a.Set().former) != 0 {
		t.Errorf("what it said by an old key goes before what it says now: %+v", got)
	}
}

// firstOf is the key that the first of the changes gives up.
func firstOf(t testing.TB, chain [][]byte) weft.KeyID {
	t.Helper()
	r, err := sign.Open(chain[0])
	ok(t, err)
	var f Rotation
	ok(t, r.Decode(&f))
	return f.Old
}

// TestWhatStrangersShowIsNotBelieved holds that changes of keys which come with a
// handshake, before anybody is known, change nothing but what they are for.
func TestWhatStrangersShowIsNotBelieved(t *testing.T) {
	c := newClock()
	a, b := founded(t, c, "sales"), node(t, c, "b", "")
	enters(t, a, b, "stock")
	meet(t, a, b)
	change := func(mesh weft.Hash, old, next sign.Key) []byte {
		r, err := sign.Seal(sign.Head{Mesh: mesh, Kind: KindRotation, Key: old.ID().String(), Version: 1, Time: c.Now()}, Rotation{Old: old.ID(), New: next.ID()}, old, next)
		ok(t, err)
		return r.Raw()
	}
	stranger, thief, other := sign.NewKey(), sign.NewKey(), sign.NewKey()
	spent := b.nodeKey()
	ok(t, b.Rotate(t.Context()))
	meet(t, a, b)
	now := b.nodeKey()
	good := change(a.ID(), now, thief)
	bad := slices.Clone(good)
	bad[len(bad)-1] ^= 1
	before := a.Set().Count()
	for what, try := range map[string]struct {
		node sign.Key
		raws [][]byte
	}{
		"from a key that nobody knows":    {thief, [][]byte{change(a.ID(), stranger, thief)}},
		"from a spent key":                {thief, [][]byte{change(a.ID(), spent, thief)}},
		"to another key than is shown":    {other, [][]byte{good}},
		"with a step missing":             {other, [][]byte{good, change(a.ID(), stranger, other)}},
		"of another mesh":                 {thief, [][]byte{change(weft.Hash{1}, now, thief)}},
		"with a signature that is none":   {thief, [][]byte{bad}},
		"with a record of another kind":   {thief, [][]byte{a.Set().Get(KindNode, a.Self().String()).Raw()}},
		"with something else behind them": {thief, [][]byte{good, []byte("x")}},
		"of a member":                     {now, [][]byte{good}},
	} {
		a.Set().learn(try.node.ID(), try.raws)
		if a.Set().Count() != before || len(a.Set().waiting.items) != 0 || a.DomainsOf(now.ID()) == nil {
			t.Fatalf("a change %s is taken", what)
		}
	}
	ok(t, a.Revoke(t.Context(), now.ID(), "", "stolen"))
	before = a.Set().Count()
	if a.Set().learn(thief.ID(), [][]byte{good}); a.Set().Count() != before {
		t.Error("a change from a revoked key is taken")
	}
}

// FuzzChanges reads what strangers put into certificates.
func FuzzChanges(f *testing.F) {
	c := newClock()
	a := founded(f, c, "sales")
	next := sign.NewKey()
	r, err := sign.Seal(sign.Head{Mesh: a.ID(), Kind: KindRotation, Key: a.Self().String(), Version: 1, Time: c.Now()}, Rotation{Old: a.Self(), New: next.ID()}, a.nodeKey(), next)
	ok(f, err)
	e, err := withChanges([][]byte{r.Raw()})
	ok(f, err)
	good := slices.Clone(e[0].Value)
	f.Add(good)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		leaf := &x509.Certificate{Extensions: []pkix.Extension{{Id: changesExtension, Value: b}}}
		raws := changesOf(leaf)
		if len(raws) > maxChanges {
			t.Fatalf("%d changes are read", len(raws))
		}
		a.Set().learn(weft.KeyID(sign.Digest(b)), raws)
		if a.Set().belongs(a.Self()) != belongsYes {
			t.Fatal("a stranger has taken the node's place")
		}
	})
}
