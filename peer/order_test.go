package peer

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weft"
	"weft/sign"
)

// answers are all that a set says: equal texts are equal sets with equal meaning.
func answers(s *Set) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%d records, sum %x\n", s.Count(), s.Sums(0, 0)[0])
	seen := map[string]bool{}
	var keys [][2]string
	s.tree.all(func(it *item) bool {
		if k := it.kind + " " + it.key; !seen[k] {
			seen[k] = true
			keys = append(keys, [2]string{it.kind, it.key})
		}
		return true
	})
	slices.SortFunc(keys, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	for _, k := range keys {
		if r := s.Get(k[0], k[1]); r != nil {
			fmt.Fprintf(&out, "%s %s: %s\n", k[0], k[1], r.Hash())
		}
		if n := nameOf(k[1]); k[0] == KindCard {
			fmt.Fprintf(&out, "%s: %v\n", n, s.Resolve(n))
		}
	}
	for _, m := range s.members() {
		fmt.Fprintf(&out, "%+v\n", m)
	}
	for _, c := range s.conflicts() {
		fmt.Fprintln(&out, c)
	}
	return out.String()
}

// fed is a set that was given the records in this order.
func fed(w *world, raws [][]byte) *Set {
	s := w.emptySet()
	for _, raw := range raws {
		_, _, _ = s.Add(raw) // many are not taken: that is part of it
	}
	ok(w.t, s.Expire())
	return s
}

// TestOrderDoesNotMatter plays each script of testdata/authority and gives what came up
// in it to sets in other orders: all of them hold the same and say the same.
func TestOrderDoesNotMatter(t *testing.T) {
	for _, name := range scripts(t) {
		w := newWorld(t)
		b, err := os.ReadFile(name)
		ok(t, err)
		w.play(string(b))
		want := answers(fed(w, w.raws))
		rapid.Check(t, func(r *rapid.T) {
			if got := answers(fed(w, rapid.Permutation(w.raws).Draw(r, "order"))); got != want {
				r.Fatalf("%s: one order gives\n%s\nand another\n%s", name, w.named(want), w.named(got))
			}
		})
	}
}

// draw makes a record that means something in a small world, or nearly so.
func (w *world) draw(r *rapid.T) []byte {
	pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(r, label) }
	node := func() string { return pick("node", "a", "b", "c", "d") }
	domain := func() string { return pick("domain", "sales", "stock") }
	holder := func() string { return pick("holder", "S", "T", "U") }
	number := func(n int) int { return rapid.IntRange(1, n).Draw(r, "number") }
	product := func() string { return domain() + "." + pick("product", "one", "two") }
	text := ""
	switch rapid.IntRange(0, 11).Draw(r, "what") {
	case 0:
		text = fmt.Sprintf("domain %s key=%s epoch=%d sign=F", domain(), holder(), number(2))
	case 1, 2, 3:
		text = fmt.Sprintf("admit %s %s sign=%s v=%d", node(), domain(), holder(), number(2))
	case 4:
		text = fmt.Sprintf("admit %s - sign=F", node())
	case 5:
		text = fmt.Sprintf("revoke %s %s sign=%s", node(), pick("of", "sales", "stock", "-"), pick("by", "S", "T", "F"))
	case 6:
		to := node()
		text = fmt.Sprintf("rotate %s %s", pick("old", slices.DeleteFunc([]string{"a", "b", "c", "d"}, func(n string) bool { return n == to })...), to)
	case 7:
		to := node()
		from := pick("from", slices.DeleteFunc([]string{"a", "b", "c", "d"}, func(n string) bool { return n == to })...)
		text = fmt.Sprintf("handover %s %s %s id=%s v=%d", from, to, product(), pick("id", "x", "y"), number(6))
	case 8:
		text = fmt.Sprintf("gone %s %s id=x v=%d time=-%dh", node(), product(), number(6), pickAge(r))
	case 9:
		text = fmt.Sprintf("head %s %s id=%s v=%d", node(), product(), pick("id", "x", "y"), number(6))
	case 10:
		text = fmt.Sprintf("other %s %s k v=%d format=%d", node(), pick("kind", "policy", "card", "node"), number(3), 1+number(2))
	default:
		text = fmt.Sprintf("card %s %s id=%s v=%d", node(), product(), pick("id", "x", "y"), number(6))
	}
	return w.record(parseLine(text))
}

// pickAge is how many hours old a tombstone is: most travel, some no more.
func pickAge(r *rapid.T) int { return rapid.SampledFrom([]int{1, 100, 800}).Draw(r, "age") }

// TestAnyHistoryInAnyOrder makes histories up, of nodes that are admitted, lie, are
// revoked, rotate and hand over, and holds that the order in which they are heard does
// not matter, that hearing everything again changes nothing, and that what a set holds
// is enough for another one to hold the same.
func TestAnyHistoryInAnyOrder(t *testing.T) {
	w := newWorld(t)
	w.run("found F")
	charter := w.raws[0]
	rapid.Check(t, func(r *rapid.T) {
		raws := [][]byte{charter}
		for range rapid.IntRange(5, 60).Draw(r, "records") {
			raws = append(raws, w.draw(r))
		}
		one := fed(w, raws)
		want := answers(one)
		other := fed(w, rapid.Permutation(raws).Draw(r, "order"))
		if got := answers(other); got != want {
			r.Fatalf("one order gives\n%s\nand another\n%s", w.named(want), w.named(got))
		}
		for _, raw := range raws {
			if _, fate, _ := one.Add(raw); fate == FateNew {
				r.Fatalf("a record that was there is new: %s", w.named(string(raw)))
			}
		}
		if got := answers(one); got != want {
			r.Fatal("hearing all again changes the answers")
		}
		if got := answers(copied(w, one)); got != want {
			r.Fatalf("the set says\n%s\nand what it passes on\n%s", w.named(want), w.named(got))
		}
	})
}

// copied is a set that was given what another one holds, leaf by leaf.
func copied(w *world, s *Set) *Set {
	to := w.emptySet()
	for range 3 { // what comes too early comes again
		for leaf := range uint16(leaves) {
			want, _ := to.Compare(leaf, s.Entries(leaf))
			for _, id := range want {
				_, _, _ = to.Add(s.ByID(id))
			}
		}
	}
	return to
}

// TestStandingIsTold holds that whoever listens to OnStand knows at any time what Get
// gives of each name, whatever happens and in whatever order.
func TestStandingIsTold(t *testing.T) {
	w := newWorld(t)
	w.run("found F")
	charter := w.raws[0]
	rapid.Check(t, func(r *rapid.T) {
		s := w.emptySet()
		heard := map[string]weft.Hash{}
		s.OnStand(func(kind, key string, rec *sign.Record) {
			if delete(heard, kind+" "+key); rec != nil {
				heard[kind+" "+key] = rec.Hash()
			}
		})
		_, _, err := s.Add(charter)
		ok(t, err)
		for range rapid.IntRange(5, 60).Draw(r, "records") {
			raw := w.draw(r)
			_, _, _ = s.Add(raw)
			stands := map[string]weft.Hash{}
			for _, kind := range []string{KindCard, KindHead} {
				s.All(kind, func(rec *sign.Record) bool { stands[kind+" "+rec.Key] = rec.Hash(); return true })
			}
			if fmt.Sprint(stands) != fmt.Sprint(heard) {
				r.Fatalf("after %s\nthere stand %v\nand told were %v", w.named(string(raw)), stands, heard)
			}
		}
	})
}

// TestSumsAreOfTheEntries holds the incremental sums against sums from the start.
func TestSumsAreOfTheEntries(t *testing.T) {
	w := newWorld(t)
	for _, l := range []string{"found F", "domain sales key=S sign=F", "admit a sales sign=S"} {
		w.run(l)
	}
	for i := range 300 {
		w.run(fmt.Sprintf("card a sales.p%d id=o v=1", i%200))
		w.run(fmt.Sprintf("card a sales.p%d id=o v=%d", i%200, 2+i/200))
	}
	w.clock.move(-31 * 24 * time.Hour)
	w.run("gone a sales.p7 id=o v=9")
	w.clock.move(31 * 24 * time.Hour)
	ok(t, w.set.Expire())
	var again tree
	w.set.tree.all(func(it *item) bool { again.put(it); return true })
	if again.root != w.set.tree.root || again.sums != w.set.tree.sums || again.mid != w.set.tree.mid || again.count != w.set.Count() {
		t.Error("the sums are not those of the entries")
	}
	if len(w.set.Sums(0, 0)) != 1 || len(w.set.Sums(1, 0)) != 64 || len(w.set.Sums(2, 63)) != 64 || w.set.Sums(2, 64) != nil || w.set.Sums(3, 0) != nil || w.set.Entries(leaves) != nil {
		t.Error("the tree has not the levels that it should have")
	}
}
