package backup

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"weft"
	"weft/run"
	"weft/store"
)

// A state that cannot be read, for whatever reason, is named. The others are
// listed, found, checked and restored, the next backup is made, and nothing goes
// that the bad one may need.
func TestOneBadState(t *testing.T) {
	h := newHouse(t)
	kept := filepath.Join(t.TempDir(), "kept")
	var states []*State
	for i := range int64(3) {
		h.commit(weft.OpReplace, i*1000, 300)
		states = append(states, h.save(kept, Options{}))
	}
	bad := states[2] // the one that has most of the journal
	for name, spoil := range map[string]func(path string, b []byte) error{
		"a bit": func(path string, b []byte) error {
			b[len(b)/2] ^= 1
			return os.WriteFile(path, b, 0o600)
		},
		"cut off": func(path string, b []byte) error { return os.Truncate(path, int64(len(b)/3)) },
		"empty":   func(path string, _ []byte) error { return os.Truncate(path, 0) },
		"another version": func(path string, b []byte) error {
			return os.WriteFile(path, bytes.Replace(b, []byte(`"version":1`), []byte(`"version":9`), 1), 0o600)
		},
		"another's name": func(path string, b []byte) error {
			return os.WriteFile(path, bytes.ReplaceAll(b, []byte("T"), []byte("t")), 0o600)
		},
		"a folder": func(path string, _ []byte) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"a pipe":   func(path string, _ []byte) error { return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)) },
		"a link out": func(path string, _ []byte) error {
			return errors.Join(os.Remove(path), os.Symlink("/etc/passwd", path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "backup")
			h.must(os.CopyFS(dir, os.DirFS(kept)))
			path := filepath.Join(dir, stateFile(bad.ID))
			whole, err := os.ReadFile(path)
			h.must(err)
			h.must(spoil(path, bytes.Clone(whole)))

			read, unread, err := States(dir)
			if err != nil || len(read) != 2 || len(unread) != 1 || unread[0].ID != bad.ID || unread[0].Err == nil {
				t.Fatalf("%d states are read, %v are not, %v", len(read), unread, err)
			}
			if _, err := Find(dir, bad.ID); err == nil {
				t.Error("the bad state was found")
			}
			if _, err := Find(dir, ""); err == nil {
				t.Error("an older state was taken for the newest")
			}
			if st, err := Find(dir, states[0].ID); err != nil || st.ID != states[0].ID {
				t.Errorf("a good state: %v", err)
			}
			f, err := verify(t, dir)
			if err != nil || len(f) != 1 || f[0].File != stateFile(bad.ID) {
				t.Errorf("the check says %v %v", f, err)
			}
			_, r := h.restore(dir, states[1].ID, false)
			if from := r.State.Products[0].Point; from.Hash != states[1].Products[0].Point.Hash || r.Products[0].Seq != from.Seq+1 {
				t.Errorf("restored is %v, from %v", r.Products[0], from)
			}

			was := sizes(t, dir)
			var warned []error
			h.commit(weft.OpAppend, 9000, 10)
			next := h.save(dir, Options{Keep: 1, Warn: func(err error) { warned = append(warned, err) }})
			if len(warned) != 1 || !strings.Contains(warned[0].Error(), bad.ID) || weft.HintOf(warned[0]) == "" {
				t.Errorf("the backup warns of %v", warned)
			}
			if next.ID <= bad.ID {
				t.Errorf("state %s comes after %s", next.ID, bad.ID)
			}
			is := sizes(t, dir)
			for path, n := range was {
				if is[path] < n {
					t.Errorf("%s had %d bytes and has %d", path, n, is[path])
				}
			}
			// Whoever mends the file has the state back; whoever removes it, the space.
			h.must(os.Remove(path))
			h.must(os.WriteFile(path, whole, 0o600))
			if f, err := verify(t, dir); err != nil || len(f) > 0 {
				t.Errorf("mended: %v %v", f, err)
			}
			o, _ := h.restore(dir, bad.ID, false)
			if got, want := o.sum(0), h.sum(bad.Products[0].Point.Seq); got != want {
				t.Errorf("it is %s, was %s", got, want)
			}
			h.must(os.Remove(path))
			h.save(dir, Options{Keep: 1})
			if all, unread, err := States(dir); err != nil || len(all) != 1 || len(unread) > 0 {
				t.Errorf("%d states, %v, %v", len(all), unread, err)
			}
		})
	}
}

// What lies behind the journal that is known is not written over while it may be
// a bad state's, unless it is the same.
func TestBytesOfABadStateStay(t *testing.T) {
	h := newHouse(t)
	dir := filepath.Join(t.TempDir(), "backup")
	h.commit(weft.OpAppend, 0, 10)
	h.save(dir, Options{})
	h.commit(weft.OpAppend, 10, 10)
	bad := h.save(dir, Options{})
	h.must(os.Truncate(filepath.Join(dir, stateFile(bad.ID)), 10))
	seg := bad.Products[0].Segments[0]
	path := filepath.Join(dir, seg.path())
	whole, err := os.ReadFile(path)
	h.must(err)
	other := bytes.Clone(whole)
	other[len(other)-3] ^= 1
	h.must(os.WriteFile(path, other, 0o600))
	h.commit(weft.OpAppend, 20, 10)
	if _, err := Save(t.Context(), dir, h.source(), Options{}); weft.KindOf(err) != weft.KindConflict || !strings.Contains(err.Error(), bad.ID) {
		t.Errorf("over other bytes: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, other) {
		t.Errorf("they are not as they were, %v", err)
	}
	h.must(os.WriteFile(path, whole, 0o600))
	h.save(dir, Options{})
	o, _ := h.restore(dir, "", false)
	if got, want := o.sum(0), h.sum(0); got != want {
		t.Errorf("it is %s, was %s", got, want)
	}
}

// The folder's own mark says nothing that a state does not.
func TestDamagedHead(t *testing.T) {
	h := newHouse(t)
	dir := filepath.Join(t.TempDir(), "backup")
	h.commit(weft.OpAppend, 0, 10)
	h.save(dir, Options{})
	head := filepath.Join(dir, "backup.json")
	h.must(os.WriteFile(head, []byte(`{"magic":"wefz`), 0o600))
	if f, err := verify(t, dir); err != nil || len(f) != 1 || f[0].File != "backup.json" {
		t.Errorf("the check says %v %v", f, err)
	}
	h.restore(dir, "", false)
	h.save(dir, Options{})
	if f, err := verify(t, dir); err != nil || len(f) > 0 {
		t.Errorf("after the next backup: %v %v", f, err)
	}
	h.must(os.WriteFile(head, []byte(`{"magic":"weft backup","version":2}`), 0o600))
	if _, err := Save(t.Context(), dir, h.source(), Options{}); weft.KindOf(err) != weft.KindInvalid {
		t.Errorf("a folder of a newer version: %v", err)
	}
	h.must(os.WriteFile(head, []byte(`{}`), 0o600))
	h.must(os.RemoveAll(filepath.Join(dir, "states")))
	if _, err := Save(t.Context(), dir, h.source(), Options{}); weft.KindOf(err) != weft.KindCorrupt {
		t.Errorf("a backup.json of nobody's: %v", err)
	}
}

// Each restore begins an incarnation that nothing in the folder is of, so that
// states before and after it can be kept side by side.
func TestIncarnationsAreNotUsedTwice(t *testing.T) {
	h := newHouse(t)
	dir := filepath.Join(t.TempDir(), "backup")
	h.commit(weft.OpAppend, 0, 10)
	first := h.save(dir, Options{})
	for want := uint32(2); want < 5; want++ {
		o, r := h.restore(dir, first.ID, false)
		if got := r.Products[0].Incarnation; got != want {
			t.Fatalf("restored as incarnation %d, want %d", got, want)
		}
		o.commit(weft.OpAppend, int64(want)*100, 5)
		st := o.save(dir, Options{})
		if want == 3 { // the folder of its journal says so, too
			h.must(os.Truncate(filepath.Join(dir, stateFile(st.ID)), 3))
		}
	}
	all, unread, err := States(dir)
	h.must(err)
	for _, u := range unread {
		h.must(os.Remove(filepath.Join(dir, stateFile(u.ID))))
	}
	if len(all) != 3 || len(unread) != 1 {
		t.Errorf("%d states are read, %v are not", len(all), unread)
	}
	if f, err := verify(t, dir); err != nil || len(f) > 0 {
		t.Errorf("%v %v", f, err)
	}
}

// What is kept is counted among the states of the same node and products.
func TestKeepCountsItsOwn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backup")
	a, b := newHouseOf(t, "aaaaaaaaaaaaaaaa"), newHouseOf(t, "bbbbbbbbbbbbbbbb")
	a.commit(weft.OpAppend, 0, 5)
	b.commit(weft.OpAppend, 0, 5)
	both := a.source()
	both.Products = append(both.Products, b.s.Image)
	none := a.source()
	none.Products = nil
	part, other, clone := a.source(), a.source(), b.source()
	part.Whole = false
	other.Node = "other"
	ids := map[string]string{}
	for _, step := range []struct {
		what string
		src  Source
		keep int
		left string
	}{
		{"whole1", a.source(), 2, "whole1"},
		{"part1", part, 1, "whole1 part1"},
		{"other1", other, 1, "whole1 part1 other1"},
		{"clone1", clone, 1, "whole1 part1 other1 clone1"},
		{"part2", part, 1, "whole1 other1 clone1 part2"},
		{"whole2", a.source(), 2, "whole1 other1 clone1 part2 whole2"},
		{"whole3", none, 3, "whole1 other1 clone1 part2 whole2 whole3"}, // its products are deleted for a while
		{"other2", other, 1, "whole1 clone1 part2 whole2 whole3 other2"},
		{"whole4", a.source(), 2, "clone1 part2 whole3 other2 whole4"},
		{"whole5", both, 1, "part2 other2 whole5"}, // a product came that the clone was of
	} {
		st, err := Save(t.Context(), dir, step.src, Options{Keep: step.keep})
		a.must(err)
		ids[st.ID] = step.what
		all, _, err := States(dir)
		a.must(err)
		var left []string
		for _, s := range all {
			left = append(left, ids[s.ID])
		}
		if got := strings.Join(left, " "); got != step.left {
			t.Errorf("after %s there are %s, want %s", step.what, got, step.left)
		}
		if f, err := verify(t, dir); err != nil || len(f) > 0 {
			t.Errorf("after %s: %v %v", step.what, f, err)
		}
	}
}

// A product that is deleted while it is copied, or after, is left out; a file
// that is gone of one that is there is a fault.
func TestDeletedMeanwhile(t *testing.T) {
	h, gone := newHouse(t), newHouseOf(t, "feedfeedfeedfeed")
	for _, x := range []*house{h, gone} {
		x.commit(weft.OpAppend, 0, 500)
		x.must(x.s.Compact(t.Context(), true))
	}
	before := filepath.Join(t.TempDir(), "before")
	alone := h.save(before, Options{})
	src := h.source()
	known := map[string]bool{h.id: true, gone.id: true}
	src.Known = func(context.Context) (map[string]bool, error) { return maps.Clone(known), nil }
	src.Products = append(src.Products, func(ctx context.Context) (*store.Image, error) { return gone.s.Image(ctx) })

	// After it was copied, before the books were.
	books := src.Books
	src.Books = func(ctx context.Context, path string) error {
		delete(known, gone.id)
		return books(ctx, path)
	}
	after := filepath.Join(t.TempDir(), "after")
	st, err := Save(t.Context(), after, src, Options{})
	h.must(err)
	if len(st.Products) != 1 || st.Products[0].Point.ID != h.id || st.Bytes != alone.Bytes {
		t.Errorf("the state has %v and %d bytes, want %d", st.Products, st.Bytes, alone.Bytes)
	}

	// While it is copied.
	known[gone.id], src.Books = true, books
	files := filepath.Join(gone.data, "products", gone.id, "files")
	src.Products[1] = func(ctx context.Context) (*store.Image, error) {
		m, err := gone.s.Image(ctx)
		return m, errors.Join(err, os.RemoveAll(files))
	}
	broken := filepath.Join(t.TempDir(), "broken")
	if _, err := Save(t.Context(), broken, src, Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	delete(known, gone.id)
	for _, dir := range []string{broken, filepath.Join(t.TempDir(), "while")} {
		st, err := Save(t.Context(), dir, src, Options{})
		h.must(err)
		if len(st.Products) != 1 || st.Bytes != alone.Bytes {
			t.Errorf("the state has %v and %d bytes, want %d", st.Products, st.Bytes, alone.Bytes)
		}
		if f, err := verify(t, dir); err != nil || len(f) > 0 {
			t.Errorf("%v %v", f, err)
		}
		h.restore(dir, "", false)
	}
}

// Links in a backup folder lead nowhere: nothing outside is read or written.
func TestLinksLeadNowhere(t *testing.T) {
	h := newHouse(t)
	h.commit(weft.OpAppend, 0, 500)
	h.must(h.s.Compact(t.Context(), true))
	whole := filepath.Join(t.TempDir(), "whole")
	st := h.save(whole, Options{})
	file := filePath(h.id, st.Products[0].Files[0].Name)
	for _, rel := range []string{file, st.Products[0].Segments[0].path(), st.Books.path(), "states", "products", "blobs", filepath.Dir(file), "backup.json"} {
		dir, outside := filepath.Join(t.TempDir(), "backup"), filepath.Join(t.TempDir(), "outside")
		h.must(os.CopyFS(dir, os.DirFS(whole)))
		h.must(os.Rename(filepath.Join(dir, rel), outside))
		h.must(os.Symlink(outside, filepath.Join(dir, rel)))
		was := digests(t, outside)
		to := filepath.Join(t.TempDir(), "data")
		if _, err := Restore(t.Context(), dir, to, RestoreOptions{Env: run.Quiet()}); err == nil && rel != "backup.json" {
			t.Errorf("%s is a link and a restore reads it", rel)
		}
		if f, err := Verify(t.Context(), dir); err == nil && len(f.Findings) == 0 {
			t.Errorf("%s is a link and no fault", rel)
		}
		h.commit(weft.OpAppend, 1000, 5)
		_, err := Save(t.Context(), dir, h.source(), Options{Keep: 1}) // it may fail, or make the file anew
		if is := digests(t, outside); !maps.Equal(is, was) {
			t.Errorf("%s is a link, and what it leads to was %v, is %v (%v)", rel, was, is, err)
		}
	}

	// Names that are written for a while.
	victim := filepath.Join(t.TempDir(), "victim")
	for _, rel := range []string{file + ".tmp", ".backup.json.tmp", ".books.tmp", "lock"} {
		h.must(os.WriteFile(victim, []byte("somebody's"), 0o600))
		dir := filepath.Join(t.TempDir(), "backup")
		h.must(os.MkdirAll(filepath.Join(dir, filepath.Dir(rel)), 0o700))
		if rel == file+".tmp" || rel == ".books.tmp" {
			h.must(os.WriteFile(filepath.Join(dir, "backup.json"), []byte(`{"magic":"weft backup","version":1}`+"\n"), 0o600))
		}
		h.must(os.Symlink(victim, filepath.Join(dir, rel)))
		_, err := Save(t.Context(), dir, h.source(), Options{})
		if b, _ := os.ReadFile(victim); string(b) != "somebody's" {
			t.Errorf("through %s somebody's file was written: %q, %v", rel, b, err)
		}
	}
}

// digests gives all files of a folder, or of one that is none, by content.
func digests(t testing.TB, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A check beside a backup that lets go of a state says nothing of what went with
// it, and all of what others miss.
func TestCheckBesideABackup(t *testing.T) {
	h := newHouse(t)
	dir := filepath.Join(t.TempDir(), "backup")
	h.commit(weft.OpAppend, 0, 500)
	h.must(h.s.Compact(t.Context(), true))
	old := h.save(dir, Options{})
	h.commit(weft.OpReplace, 1000, 500)
	h.must(h.s.Compact(t.Context(), true))
	f, err := openBackup(dir)
	h.must(err)
	defer func() { _ = f.Close() }()
	v := &verifier{ctx: t.Context(), folder: f, seen: map[string]bool{}, chains: map[chainAt]chainSeen{}}
	last := h.save(dir, Options{Keep: 1})
	v.state(old) // it was read before
	if len(v.report.Findings) > 0 || v.report.States > 0 {
		t.Errorf("of a state that is gone: %+v", v.report)
	}
	// The token is both's.
	token := old.Keys[0].path()
	h.must(os.Remove(filepath.Join(dir, token)))
	v.state(old)
	v.state(last)
	if !slices.ContainsFunc(v.report.Findings, func(x store.Finding) bool { return x.File == token }) {
		t.Errorf("the check finds %v", v.report.Findings)
	}
}
