package peer

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weft"
	"weft/run"
	"weft/sign"
)

// keptWorld is a world whose set is on a disk, with a few records of each kind.
func keptWorld(t testing.TB, dir string) *world {
	t.Helper()
	w := newWorld(t)
	w.run("found F")
	w.set = w.openSet(dir)
	for _, l := range []string{
		"domain sales key=S sign=F", "domain stock key=T sign=F", "admit a sales sign=S", "admit b sales sign=S", "node a name=shop",
		"card a sales.orders id=o v=1 text=hello", "head a sales.orders id=o v=4", "card a sales.gone id=g v=1",
		"card b sales.people id=q v=1", "handover b a sales.people id=q v=2", "rotate b c", "other a policy sales v=1 format=4", "revoke c sales sign=S",
		"gone a sales.gone id=g v=2 time=-800h",
	} {
		if got := w.run(l); got != "new" {
			t.Fatalf("%s: %s", l, got)
		}
	}
	return w
}

func (w *world) openSet(dir string) *Set {
	w.t.Helper()
	k, err := openKeep(dir)
	ok(w.t, err)
	s := newSet(w.clock.Now, run.Quiet().Log, nil)
	ok(w.t, s.bind(w.mesh, k))
	_, _, _ = s.Add(w.raws[0])
	return s
}

// TestARestartChangesNothing holds that a set that is opened again gives the answers it
// gave, floors included, and that all its bytes verify.
func TestARestartChangesNothing(t *testing.T) {
	dir := t.TempDir()
	w := keptWorld(t, dir)
	want := answers(w.set)
	ok(t, w.set.unbind(w.set.keep))
	s := w.openSet(dir)
	if got := answers(s); got != want {
		t.Errorf("before it said\n%s\nand now\n%s", w.named(want), w.named(got))
	}
	w.set = s
	if got := w.run("card a sales.gone id=g v=1"); got != "older" {
		t.Errorf("what was withdrawn is %s", got)
	}
	s.tree.all(func(it *item) bool {
		if _, err := sign.Open(s.record(it).Raw()); err != nil {
			t.Errorf("%s %s: %v", it.kind, it.key, err)
		}
		return true
	})
	ok(t, s.unbind(s.keep))
}

// TestAnyPrefixOfTheJournalOpens cuts the database's journal at each byte, as a lost
// power may: what opens is a set that says nothing wrong, and what is missing comes
// again.
func TestAnyPrefixOfTheJournalOpens(t *testing.T) {
	dir := t.TempDir()
	w := keptWorld(t, dir)
	want := answers(w.set)
	ok(t, w.set.unbind(w.set.keep))
	logs, err := filepath.Glob(filepath.Join(dir, recordsDir, "*.log"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("the journals are %q: %v", logs, err)
	}
	b, err := os.ReadFile(logs[0])
	ok(t, err)
	step := 1 + len(b)/50
	for n := 0; n < len(b); n += step {
		cut := filepath.Join(t.TempDir(), "cut")
		ok(t, os.CopyFS(cut, os.DirFS(dir)))
		ok(t, os.Truncate(filepath.Join(cut, recordsDir, filepath.Base(logs[0])), int64(n)))
		s := w.openSet(cut)
		for range 2 {
			for _, raw := range w.raws {
				_, _, _ = s.Add(raw)
			}
		}
		if got := answers(s); got != want {
			t.Fatalf("cut at %d of %d, and after all came again, it says\n%s\nand not\n%s", n, len(b), w.named(got), w.named(want))
		}
		ok(t, s.unbind(s.keep))
		ok(t, os.RemoveAll(cut))
	}
}

// TestDamageIsTold flips bytes of every file of the database. Nothing that is read then
// is anything else than what was written: either the database says that it is damaged,
// and what to do, or what it lost comes again.
func TestDamageIsTold(t *testing.T) {
	dir := t.TempDir()
	w := keptWorld(t, dir)
	for i := range 400 { // so that there are tables, and not a journal alone
		w.run(fmt.Sprintf("card a sales.p%d id=o v=1 text=%s", i, strings.Repeat("x", 100)))
	}
	want := answers(w.set)
	ok(t, w.set.keep.compact())
	ok(t, w.set.unbind(w.set.keep))
	files, err := os.ReadDir(filepath.Join(dir, recordsDir))
	ok(t, err)
	told := 0
	for _, f := range files {
		st, err := f.Info()
		ok(t, err)
		for i := range min(st.Size(), 6) {
			bad := filepath.Join(t.TempDir(), "bad")
			ok(t, os.CopyFS(bad, os.DirFS(dir)))
			flip(t, filepath.Join(bad, recordsDir, f.Name()), st.Size()*i/6)
			err := openAndRead(w, bad, want)
			switch {
			case err == nil:
			case weft.KindOf(err) == weft.KindCorrupt && strings.Contains(weft.HintOf(err), "move the folder"):
				told++
			default:
				t.Errorf("byte %d of %s: %v (%s)", st.Size()*i/6, f.Name(), err, weft.HintOf(err))
			}
			ok(t, os.RemoveAll(bad))
		}
	}
	if told < 4 {
		t.Errorf("damage was told %d times", told)
	}
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	b, err := os.ReadFile(path)
	ok(t, err)
	b[at] ^= 0x10
	ok(t, os.WriteFile(path, b, 0o600))
}

// openAndRead opens a database that may be damaged and reads all of it. It is an error
// that says so, or a set that says what it said before once everything came again.
func openAndRead(w *world, dir, want string) (err error) {
	k, err := openKeep(dir)
	if err != nil {
		return err
	}
	s := newSet(w.clock.Now, run.Quiet().Log, nil)
	defer func() {
		if e := s.unbind(k); err == nil {
			err = e
		}
	}()
	if err := s.bind(w.mesh, k); err != nil {
		return err
	}
	if err := k.check(nil); err != nil {
		return err
	}
	for range 2 {
		for _, raw := range w.raws {
			_, _, _ = s.Add(raw)
		}
	}
	if got := answers(s); got != want {
		w.t.Errorf("it says\n%s\nand not\n%s", w.named(got), w.named(want))
	}
	return nil
}

// TestARestartIsFast opens a database of many records. It verifies no signature again:
// the time is held against that of verifying.
func TestARestartIsFast(t *testing.T) {
	n := 10_000
	if os.Getenv("WEFT_LARGE") != "" {
		n = 200_000
	}
	dir := t.TempDir()
	w := newWorld(t)
	w.run("found F")
	w.set = w.openSet(dir)
	w.run("domain sales key=S sign=F")
	w.run("admit a sales sign=S")
	var last []byte
	for i := range n {
		r, err := sign.Recall(w.record(parseLine(fmt.Sprintf("card a sales.p%d id=o v=1 text=%s", i, strings.Repeat("x", 500)))), weft.Hash{})
		ok(t, err)
		last = r.Raw()
		it, err := read(last)
		ok(t, err)
		w.set.mu.Lock()
		_, err = w.set.take(it)
		w.set.mu.Unlock()
		ok(t, err)
	}
	ok(t, w.set.unbind(w.set.keep))
	begun := time.Now()
	s := w.openSet(dir)
	opened := time.Since(begun)
	if s.Count() < n {
		t.Errorf("there are %d records of %d", s.Count(), n)
	}
	begun = time.Now()
	for range 1000 {
		_, err := sign.Open(last)
		ok(t, err)
	}
	verified := time.Since(begun) * time.Duration(n) / 1000
	t.Logf("%d records are there after %s; to verify them takes %s", n, opened, verified)
	if opened > verified/3 {
		t.Errorf("opening takes %s, and verifying %s", opened, verified)
	}
	ok(t, s.unbind(s.keep))
}

// FuzzAdd gives a set bytes of strangers: it takes nothing that was not signed by who
// may say it.
func FuzzAdd(f *testing.F) {
	w := newWorld(f)
	b, err := os.ReadFile("testdata/authority/handover.txt")
	ok(f, err)
	w.play(string(b))
	for _, raw := range w.raws {
		f.Add(raw)
		f.Add(w.harm(slices.Clone(raw), "cut"))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		w.t = t
		s := fed(w, w.raws[:5])
		before := s.Count()
		r, fate, err := s.Add(raw)
		if (fate == FateRefused || fate == FateEarly) != (err != nil) {
			t.Fatalf("it is %s with the error %v", fate, err)
		}
		if fate == FateNew {
			if _, err := sign.Open(r.Raw()); err != nil || r.Mesh != w.mesh && r.Hash() != w.mesh {
				t.Fatalf("taken is what nobody signed: %v", err)
			}
		} else if s.Count() != before {
			t.Fatal("it is not new, and yet the set grew")
		}
	})
}

// FuzzItem reads what the database keeps of a record.
func FuzzItem(f *testing.F) {
	w := newWorld(f)
	w.run("found F")
	w.run("domain sales key=S sign=F")
	w.set.tree.all(func(it *item) bool { f.Add(encodeItem(it, false)); return true })
	f.Add(binary.BigEndian.AppendUint64(make([]byte, 41), 1<<63))
	f.Fuzz(func(t *testing.T, b []byte) {
		it, floor, ok := decodeItem(b)
		if !ok {
			return
		}
		again, f2, ok2 := decodeItem(encodeItem(it, floor))
		if !ok2 || f2 != floor || again.hash != it.hash || again.key != it.key || !slices.Equal(again.signers, it.signers) {
			t.Fatalf("%+v is written and read as %+v", it, again)
		}
	})
}
