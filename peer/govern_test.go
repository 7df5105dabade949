package peer

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weft"
	"weft/run"
	"weft/sign"
)

// TestPublishingTheSameCostsNothing holds that an unchanged card makes no record, and
// a changed one the next version.
func TestPublishingTheSameCostsNothing(t *testing.T) {
	m := founded(t, newClock(), "sales")
	publishes(t, m, "sales.orders", "o", "one")
	before, sum := m.Set().Get(KindCard, "sales.orders"), m.Set().Sums(0, 0)[0]
	publishes(t, m, "sales.orders", "o", "one")
	if m.Set().Sums(0, 0)[0] != sum {
		t.Error("an unchanged card made a record")
	}
	publishes(t, m, "sales.orders", "o", "two")
	if r := m.Set().Get(KindCard, "sales.orders"); r.Version != before.Version+1 || says(t, m, "sales.orders") != "two" {
		t.Errorf("the changed card is version %d", r.Version)
	}
	for _, kind := range []string{KindCharter, KindDomain, KindAdmission, KindRevocation, KindRotation, KindHandover} {
		if _, err := m.Publish(t.Context(), kind, "x", map[string]string{}); weft.KindOf(err) != weft.KindInvalid {
			t.Errorf("a node publishes a %s: %v", kind, err)
		}
	}
	_, err := m.Publish(t.Context(), KindCard, "stock.parts", cardOf(m, "stock.parts", "p"))
	wants(t, err, weft.KindDenied, "none of domain stock")
	_, err = m.Publish(t.Context(), KindNode, m.Self().String(), NodeInfo{Name: strings.Repeat("x", 101)})
	wants(t, err, weft.KindInvalid, "")
	if _, err := m.Publish(t.Context(), "policy", "sales", map[string]string{"a": "b"}); err != nil {
		t.Errorf("a kind that nobody knows yet: %v", err)
	}
}

// TestAWithdrawnProductMayComeBack holds that a name can be used again after its
// product was withdrawn, above all that was said of it.
func TestAWithdrawnProductMayComeBack(t *testing.T) {
	c := newClock()
	a, b := founded(t, c, "sales"), node(t, c, "b", "")
	enters(t, a, b, "stock")
	publishes(t, b, "stock.parts", "one", "one")
	old := b.Set().Get(KindCard, "stock.parts")
	_, err := b.Publish(t.Context(), KindHead, "stock.parts", weft.CardHead{Point: weft.Point{Product: nameOf("stock.parts"), ID: "one"}, Origin: b.Self()})
	ok(t, err)
	meet(t, a, b)
	ok(t, b.Withdraw(t.Context(), nameOf("stock.parts"), "one"))
	ok(t, b.Withdraw(t.Context(), nameOf("stock.parts"), "one"))
	meet(t, a, b)
	if says(t, a, "stock.parts") != "-" || a.Set().Get(KindHead, "stock.parts") != nil {
		t.Error("the other node still has it")
	}
	c.move(40 * 24 * 3600e9)
	ok(t, a.Set().Expire())
	ok(t, b.Set().Expire())
	if _, fate, _ := a.Set().Add(old.Raw()); fate != FateOlder {
		t.Errorf("after the tombstone expired the old card is %s", fate)
	}
	publishes(t, b, "stock.parts", "two", "two")
	meet(t, a, b)
	if got := says(t, a, "stock.parts"); got != "two" {
		t.Errorf("the other node says %q of the new one", got)
	}
}

// TestALateJoinerIsToldOfOldTombstones holds that one who hears an old card from a
// liar is told by the others that it is gone, long after its tombstone expired.
func TestALateJoinerIsToldOfOldTombstones(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	a := node(t, c, "a", filepath.Join(dir, "a"))
	ok(t, a.Found(t.Context(), Founding{Name: "acme", Domains: []string{"sales"}}))
	publishes(t, a, "sales.orders", "o", "old")
	old := a.Set().Get(KindCard, "sales.orders").Raw()
	ok(t, a.Withdraw(t.Context(), nameOf("sales.orders"), "o"))
	c.move(40 * 24 * 3600e9)
	ok(t, a.Set().Expire())
	ok(t, a.Close())
	a = node(t, c, "a", filepath.Join(dir, "a"))
	b := node(t, c, "b", "")
	enters(t, a, b, "sales")
	if _, fate, err := b.Set().Add(old); fate != FateNew {
		t.Fatalf("the replayed card is %s: %v", fate, err)
	}
	meet(t, a, b)
	if got := says(t, b, "sales.orders"); got != "-" {
		t.Errorf("the late joiner says %q of it", got)
	}
	if a.Set().Sums(0, 0)[0] != b.Set().Sums(0, 0)[0] {
		t.Error("the sets differ")
	}
	publishes(t, a, "sales.orders", "o", "new")
	if v := a.Set().Get(KindCard, "sales.orders").Version; v != 3 {
		t.Errorf("the product comes back as version %d", v)
	}
}

// TestANodeTakesANewKey holds that a rotation changes who the node is and nothing of
// what it says, through a restart, and that the old key is of no use.
func TestANodeTakesANewKey(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	a := founded(t, c, "sales")
	b := node(t, c, "b", filepath.Join(dir, "b"))
	enters(t, a, b, "stock")
	publishes(t, b, "stock.parts", "p", "parts")
	meet(t, a, b)
	old := b.nodeKey()
	ok(t, b.Rotate(t.Context()))
	if b.Self() == old.ID() {
		t.Fatal("the key is the old one")
	}
	meet(t, a, b)
	if got := says(t, a, "stock.parts"); got != "parts" {
		t.Errorf("the other node says %q of its product", got)
	}
	if got := a.DomainsOf(b.Self()); !slices.Equal(got, []string{"stock"}) {
		t.Errorf("the new key is of %q", got)
	}
	if a.DomainsOf(old.ID()) != nil {
		t.Error("the old key still belongs")
	}
	list := a.Members()
	if i := slices.IndexFunc(list, func(m Member) bool { return m.ID == old.ID() }); i < 0 || list[i].Name != "b" || list[i].Rotated != b.Self() {
		t.Errorf("of the old key it is said: %+v", list)
	}
	ok(t, b.Close())
	again := node(t, c, "b", filepath.Join(dir, "b"))
	if again.Self() != b.Self() || !slices.Equal(again.Domains(), []string{"stock"}) {
		t.Errorf("after a restart it is of %q", again.Domains())
	}
	publishes(t, again, "stock.parts", "p", "parts")
	if v := again.Set().Get(KindCard, "stock.parts").Version; v != 2 {
		t.Errorf("publishing the same again makes version %d", v)
	}

	// Who has the old key gives it up once more. The domain's key, which is here, has
	// admitted the new one in the meantime.
	again.sayAgain(t.Context())
	thief := sign.NewKey()
	r, err := sign.Seal(sign.Head{Mesh: a.ID(), Kind: KindRotation, Key: old.ID().String(), Version: 9, Time: c.Now()}, Rotation{Old: old.ID(), New: thief.ID()}, old, thief)
	ok(t, err)
	_, _, err = again.Set().Add(r.Raw())
	ok(t, err)
	meet(t, a, again)
	for _, m := range []*Mesh{a, again} {
		if got := m.DomainsOf(again.Self()); !slices.Equal(got, []string{"stock"}) || m.DomainsOf(thief.ID()) != nil {
			t.Errorf("after the thief's rotation the node is of %q, and the thief of %q", got, m.DomainsOf(thief.ID()))
		}
		if len(m.Conflicts()) != 1 {
			t.Errorf("the conflicts are %v", m.Conflicts())
		}
	}
}

// TestARotationThatBrokeOff stops a rotation at each of its steps: the node is the old
// one before it is said, and the new one from then on.
func TestARotationThatBrokeOff(t *testing.T) {
	for _, saidIt := range []bool{false, true} {
		c, dir := newClock(), t.TempDir()
		a := node(t, c, "a", dir)
		ok(t, a.Found(t.Context(), Founding{Name: "acme", Domains: []string{"sales"}}))
		old, next := a.nodeKey(), sign.NewKey()
		ok(t, a.folder.saveKey(nextKey, next))
		if saidIt {
			_, err := a.sealAndAdd(a.head(KindRotation, old.ID().String(), next.ID().String()), Rotation{Old: old.ID(), New: next.ID()}, old, next)
			ok(t, err)
		}
		ok(t, a.Close())
		a = node(t, c, "a", dir)
		want := old.ID()
		if saidIt {
			want = next.ID()
		}
		if a.Self() != want || !slices.Equal(a.Domains(), []string{"sales"}) {
			t.Errorf("with the rotation said: %v, the node is of %q", saidIt, a.Domains())
		}
		if _, err := os.Stat(filepath.Join(dir, nextKey)); err == nil {
			t.Error("the next key is left over")
		}
		ok(t, a.Close())
	}
}

// TestAProductMovesByHandover moves a product and back, with its address.
func TestAProductMovesByHandover(t *testing.T) {
	c := newClock()
	a, b, x := founded(t, c, "sales"), node(t, c, "b", ""), node(t, c, "x", "")
	enters(t, a, b, "sales")
	enters(t, a, x, "stock")
	name := nameOf("sales.orders")
	publishes(t, a, "sales.orders", "o", "at a")
	meet(t, a, b, x)
	_, err := a.OfferHandover(t.Context(), name, x.Self())
	wants(t, err, weft.KindDenied, "none of domain sales")
	_, err = b.OfferHandover(t.Context(), name, b.Self())
	wants(t, err, weft.KindNotFound, "no card of it")

	word, err := a.OfferHandover(t.Context(), name, b.Self())
	ok(t, err)
	_, err = x.TakeHandover(t.Context(), word)
	wants(t, err, weft.KindDenied, "it is offered to node")
	for i := range word {
		if _, err := b.TakeHandover(t.Context(), word[:i]); err == nil {
			t.Fatalf("the first %d bytes of the word are taken", i)
		}
	}
	h, err := b.TakeHandover(t.Context(), word)
	ok(t, err)
	if h.Product != name || h.ID != "o" || h.From != a.Self() {
		t.Errorf("taken is %+v", h)
	}
	if got := says(t, b, "sales.orders"); got != "at a" {
		t.Errorf("before the new origin speaks the name says %q", got)
	}
	publishes(t, b, "sales.orders", "o", "at b")
	meet(t, a, b, x)
	ok(t, a.Resolve(name))
	if got := says(t, x, "sales.orders"); got != "at b" {
		t.Errorf("the name says %q", got)
	}
	versions := x.Set().Get(KindCard, "sales.orders").Version

	word, err = b.OfferHandover(t.Context(), name, a.Self())
	ok(t, err)
	_, err = a.TakeHandover(t.Context(), word)
	ok(t, err)
	publishes(t, a, "sales.orders", "o", "at a again")
	meet(t, a, b, x)
	ok(t, x.Resolve(name))
	if got := says(t, x, "sales.orders"); got != "at a again" || x.Set().Get(KindCard, "sales.orders").Version <= versions {
		t.Errorf("the name says %q", got)
	}

	word, err = a.OfferHandover(t.Context(), name, b.Self())
	ok(t, err)
	publishes(t, a, "sales.orders", "o", "changed since")
	meet(t, a, b)
	_, err = b.TakeHandover(t.Context(), word)
	wants(t, err, weft.KindConflict, "published it anew")
}

// TestFoundersDecide ends a conflict of two keys over a domain, and revokes.
func TestFoundersDecide(t *testing.T) {
	c := newClock()
	a, b := founded(t, c, "sales"), node(t, c, "b", "")
	enters(t, a, b, "stock")
	rival := sign.NewKey()
	keys, err := a.foundingKeys("test")
	ok(t, err)
	_, err = a.sealAndAdd(sign.Head{Mesh: a.ID(), Kind: KindDomain, Key: "stock", Version: 1, Time: c.Now()}, Certificate{Domain: "stock", Key: rival.ID(), Epoch: 1}, keys...)
	ok(t, err)
	meet(t, a, b)
	wants(t, b.Resolve(nameOf("stock.parts")), weft.KindConflict, "two keys have domain stock")
	mine, err := b.folder.key(domainKey("stock"))
	ok(t, err)
	wants(t, b.Decide(t.Context(), "stock", mine.ID()), weft.KindDenied, "founding keys must sign")
	ok(t, a.Decide(t.Context(), "stock", mine.ID()))
	meet(t, a, b)
	ok(t, b.Resolve(nameOf("stock.parts")))
	if len(b.Conflicts()) > 0 || !slices.Equal(b.Domains(), []string{"stock"}) {
		t.Errorf("it is of %q, with conflicts %v", b.Domains(), b.Conflicts())
	}
	wants(t, a.Revoke(t.Context(), rival.ID(), "", ""), weft.KindNotFound, "no such node")
	wants(t, b.Revoke(t.Context(), a.Self(), "", ""), weft.KindDenied, "founding keys must sign")
	wants(t, b.Revoke(t.Context(), a.Self(), "sales", ""), weft.KindDenied, "founding keys must sign")
	ok(t, a.Revoke(t.Context(), b.Self(), "", "gone"))
	meet(t, a, b)
	if a.DomainsOf(b.Self()) != nil || b.Domains() != nil {
		t.Error("the revoked node still belongs")
	}
	list := a.Members()
	if i := slices.IndexFunc(list, func(m Member) bool { return m.Revoked }); i < 0 || list[i].Name != "b" || list[i].Reason != "gone" {
		t.Errorf("of the revoked node it is said: %+v", list)
	}
}

// TestTwoOfThreeFounders founds a mesh whose founding keys are then carried apart.
func TestTwoOfThreeFounders(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	a := node(t, c, "a", dir)
	wants(t, a.Found(t.Context(), Founding{Name: "acme", Keys: 2, Threshold: 3}), weft.KindInvalid, "cannot sign")
	wants(t, a.Found(t.Context(), Founding{Name: "acme", Domains: []string{"SALES"}}), weft.KindInvalid, "a name starts")
	ok(t, a.Found(t.Context(), Founding{Name: "acme", Domains: []string{"sales"}, Keys: 3, Threshold: 2}))
	ok(t, os.Rename(filepath.Join(dir, "charter-2.key"), filepath.Join(dir, "away")))
	_, err := a.Invite(t.Context(), Invitation{Domain: "stock"})
	ok(t, err)
	ok(t, os.Remove(filepath.Join(dir, "charter-3.key")))
	_, err = a.Invite(t.Context(), Invitation{Domain: "stock"})
	wants(t, err, weft.KindDenied, "2 of the mesh's 3 founding keys must sign, and 1 are here")
	ok(t, os.Rename(filepath.Join(dir, "away"), filepath.Join(dir, "charter-2.key")))
	_, err = a.Invite(t.Context(), Invitation{Domain: "stock"})
	ok(t, err)
}

// copyMesh copies a mesh folder; keys keep their mode.
func copyMesh(t testing.TB, from, to string) {
	t.Helper()
	ok(t, os.CopyFS(to, os.DirFS(from)))
	names, err := newFolder(to).keyNames()
	ok(t, err)
	for _, n := range names {
		ok(t, os.Chmod(filepath.Join(to, n), 0o600))
	}
}

// TestARestoredNodeGoesOnAbove holds that a node whose folder is from yesterday finds
// out what it said since, and says what it says now above that.
func TestARestoredNodeGoesOnAbove(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	a := founded(t, c, "sales")
	b := node(t, c, "b", filepath.Join(dir, "b"))
	enters(t, a, b, "stock")
	publishes(t, b, "stock.parts", "p", "yesterday")
	ok(t, b.Close())
	copyMesh(t, filepath.Join(dir, "b"), filepath.Join(dir, "backup"))
	b = node(t, c, "b", filepath.Join(dir, "b"))
	for _, text := range []string{"two", "three", "four"} {
		publishes(t, b, "stock.parts", "p", text)
	}
	meet(t, a, b)
	ok(t, b.Close())

	r := node(t, c, "b", filepath.Join(dir, "backup"))
	publishes(t, r, "stock.parts", "p", "today")
	meet(t, a, r)
	r.sayAgain(t.Context())
	meet(t, a, r)
	for _, m := range []*Mesh{a, r} {
		if got := says(t, m, "stock.parts"); got != "today" {
			t.Errorf("node %s says %q", m.cfg.Name, got)
		}
	}
	if r.Twin() {
		t.Error("its own past is taken for another process")
	}
}

// TestTwoWithOneKeyAreNoticed runs a copy of a node beside the original: both notice,
// and they do not outbid each other for ever.
func TestTwoWithOneKeyAreNoticed(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	a := founded(t, c, "sales")
	b := node(t, c, "b", filepath.Join(dir, "b"))
	enters(t, a, b, "stock")
	ok(t, b.Close())
	copyMesh(t, filepath.Join(dir, "b"), filepath.Join(dir, "copy"))
	b = node(t, c, "b", filepath.Join(dir, "b"))
	twin := node(t, c, "b", filepath.Join(dir, "copy"))
	publishes(t, b, "stock.parts", "p", "mine")
	publishes(t, twin, "stock.parts", "p", "no, mine")
	for range 10 {
		meet(t, a, b, twin)
		b.sayAgain(t.Context())
		twin.sayAgain(t.Context())
	}
	if !b.Twin() || !twin.Twin() {
		t.Errorf("noticed by the original: %v, by the copy: %v", b.Twin(), twin.Twin())
	}
	if v := a.Set().Get(KindNode, b.Self().String()).Version; v > 12 {
		t.Errorf("they outbid each other to version %d", v)
	}
}

// TestNoKeyIsShown does much with a mesh and looks for private keys and invitations in
// what is logged, said and written outside the key files.
func TestNoKeyIsShown(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	var log bytes.Buffer
	env := run.Env{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), Clock: c}
	a, err := New(Config{Dir: dir, Name: "a", Advertise: []string{"a:1"}, Env: env})
	ok(t, err)
	ok(t, a.Open(t.Context()))
	ok(t, a.Found(t.Context(), Founding{Name: "acme", Domains: []string{"sales"}}))
	token, err := a.Invite(t.Context(), Invitation{Domain: "sales"})
	ok(t, err)
	ok(t, join(t.Context(), a, node(t, c, "b", ""), token))
	said := join(t.Context(), a, node(t, c, "d", ""), token).Error()
	publishes(t, a, "sales.orders", "o", "text")
	names, err := a.folder.keyNames()
	ok(t, err)
	var secrets [][]byte
	for _, n := range names {
		k, err := a.folder.key(n)
		ok(t, err)
		secrets = append(secrets, k.Private().Seed())
		st, err := os.Stat(filepath.Join(dir, n))
		ok(t, err)
		if st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", n, st.Mode().Perm())
		}
	}
	ok(t, a.Rotate(t.Context()))
	ok(t, a.Close())
	all := []byte(log.String() + said)
	ok(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, keySuffix) {
			return err
		}
		b, err := os.ReadFile(path)
		all = append(all, b...)
		return err
	}))
	for i, s := range secrets {
		if bytes.Contains(all, s) {
			t.Errorf("key %s is shown", names[i])
		}
	}
	if bytes.Contains(all, []byte(token[len(token)-40:])) {
		t.Error("the invitation is shown")
	}
}
