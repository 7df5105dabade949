package peer

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weft"
)

// laidOut writes the files of a backup into a new mesh folder.
func laidOut(t testing.TB, files []File) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mesh")
	ok(t, os.Mkdir(dir, 0o700))
	for _, f := range files {
		if !IsBackupName(f.Name) {
			t.Errorf("the backup has %s", f.Name)
		}
		ok(t, os.WriteFile(filepath.Join(dir, f.Name), f.Bytes, 0o600))
	}
	return dir
}

// TestARestoredFolderIsTheSameNode makes a mesh folder of a backup: the node is who it
// was, may do what it could, and says what it said; what it lacks comes from others.
func TestARestoredFolderIsTheSameNode(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	a, b := node(t, c, "a", filepath.Join(dir, "a")), node(t, c, "b", "")
	none, err := a.Backup()
	if err != nil || none != nil {
		t.Errorf("a node in no mesh has %d files: %v", len(none), err)
	}
	ok(t, a.Found(t.Context(), Founding{Name: "acme", Domains: []string{"sales"}, Keys: 3, Threshold: 2}))
	enters(t, a, b, "stock")
	publishes(t, a, "sales.orders", "o", "orders")
	publishes(t, a, "sales.gone", "g", "gone")
	old := a.Set().Get(KindCard, "sales.gone").Raw()
	ok(t, a.Withdraw(t.Context(), nameOf("sales.gone"), "g"))
	c.move(40 * 24 * 3600e9)
	ok(t, a.Set().Expire())
	publishes(t, b, "stock.parts", "p", "parts")
	meet(t, a, b)
	used, err := a.Invite(t.Context(), Invitation{Domain: "sales"})
	ok(t, err)
	files, err := a.Backup()
	ok(t, err)
	ok(t, join(t.Context(), a, node(t, c, "d", ""), used)) // after the backup
	self, id := a.Self(), a.ID()
	ok(t, a.Close())

	dir = laidOut(t, files)
	if found := VerifyFolder(t.Context(), dir); len(found) > 0 {
		t.Errorf("the restored folder has faults: %v", found)
	}
	r := node(t, c, "a", dir)
	if r.Self() != self || r.ID() != id || !slices.Equal(r.Domains(), []string{"sales"}) || says(t, r, "sales.orders") != "orders" {
		t.Fatalf("it is of %q and says %q", r.Domains(), says(t, r, "sales.orders"))
	}
	if _, fate, _ := r.Set().Add(old); fate != FateOlder {
		t.Errorf("what was withdrawn is %s", fate)
	}
	wants(t, join(t.Context(), r, node(t, c, "thief", ""), used), weft.KindDenied, "before this node was restored")
	enters(t, r, node(t, c, "e", ""), "sales")
	enters(t, r, node(t, c, "f", ""), "parts")
	meet(t, r, b)
	if got := says(t, r, "stock.parts"); got != "parts" {
		t.Errorf("of another's product it says %q", got)
	}
	ok(t, r.Close())
	r = node(t, c, "a", dir)
	if says(t, r, "sales.orders") != "orders" {
		t.Error("after one more start it forgot")
	}
	if _, err := os.Stat(filepath.Join(dir, copyFile)); err == nil {
		t.Error("the copy is still there")
	}
}

// TestACopyOfRecordsThatIsDamaged holds that a node does not start half restored.
func TestACopyOfRecordsThatIsDamaged(t *testing.T) {
	c := newClock()
	a := node(t, c, "a", filepath.Join(t.TempDir(), "a"))
	ok(t, a.Found(t.Context(), Founding{Name: "acme", Domains: []string{"sales"}}))
	files, err := a.Backup()
	ok(t, err)
	i := slices.IndexFunc(files, func(f File) bool { return f.Name == copyFile })
	files[i].Bytes = files[i].Bytes[:len(files[i].Bytes)-9]
	env := a.cfg
	env.Dir = laidOut(t, files)
	m, err := New(env)
	ok(t, err)
	wants(t, m.Open(t.Context()), weft.KindCorrupt, "not what was written")
	ok(t, m.Close())
}

// TestRecordsThatWereLostComeBack moves the database away, as its error says: the node
// still trusts those whom it knew, and is whole again once it has heard them.
func TestRecordsThatWereLostComeBack(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	a, b := node(t, c, "a", ""), node(t, c, "b", dir)
	ok(t, a.Found(t.Context(), Founding{Name: "acme", Domains: []string{"sales"}}))
	enters(t, a, b, "stock")
	publishes(t, b, "stock.parts", "p", "parts")
	meet(t, a, b)
	ok(t, b.Close())
	ok(t, os.RemoveAll(filepath.Join(dir, recordsDir)))
	b = node(t, c, "b", dir)
	h := meshHost{b}
	if !b.lost() || h.belongs(a.Self()) != belongsYes || !slices.Contains(h.members(), a.Self()) || h.info(a.Self()) == nil {
		t.Fatal("a node without records does not know where to go")
	}
	if h.belongs(weft.KeyID{7}) != belongsNot {
		t.Error("it trusts anybody")
	}
	meet(t, a, b)
	b.sayAgain(t.Context())
	meet(t, a, b)
	if b.lost() || says(t, b, "stock.parts") != "parts" || !slices.Equal(b.Domains(), []string{"stock"}) {
		t.Errorf("it is of %q and says %q", b.Domains(), says(t, b, "stock.parts"))
	}
	info := a.Set().nodeInfo(b.Self())
	if info == nil || info.Instance != b.instance {
		t.Error("it has not said that it is here")
	}
	publishes(t, b, "stock.parts", "p", "more")
	if v := b.Set().Get(KindCard, "stock.parts").Version; v != 2 {
		t.Errorf("its next card is version %d", v)
	}
}

// TestVerifyFolderFindsDamage damages each file of a mesh folder.
func TestVerifyFolderFindsDamage(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	a := node(t, c, "a", dir)
	ok(t, a.Found(t.Context(), Founding{Name: "acme", Domains: []string{"sales"}}))
	publishes(t, a, "sales.orders", "o", "orders")
	ok(t, a.set.keep.compact())
	ok(t, a.Close())
	if found := VerifyFolder(t.Context(), dir); len(found) > 0 {
		t.Fatalf("a good folder has faults: %v", found)
	}
	if found := VerifyFolder(t.Context(), filepath.Join(dir, "none")); len(found) > 0 {
		t.Fatalf("no folder has faults: %v", found)
	}
	table, err := filepath.Glob(filepath.Join(dir, recordsDir, "*.ldb"))
	if err != nil || len(table) == 0 {
		t.Fatalf("the tables are %q: %v", table, err)
	}
	for file, harm := range map[string]func(path string) error{
		stateFile:            func(p string) error { return os.WriteFile(p, []byte("{}"), 0o600) },
		nodeKey:              os.Remove,
		domainKey("sales"):   func(p string) error { return os.WriteFile(p, []byte("x"), 0o600) },
		founderName(0):       func(p string) error { return os.Chmod(p, 0o644) },
		filepath.Base("odd"): func(p string) error { return os.WriteFile(p, nil, 0o600) },
		// A table that the compaction replaced may outlive the close: all are harmed.
		recordsDir: func(p string) error {
			for _, name := range table {
				p := filepath.Join(p, filepath.Base(name))
				b, err := os.ReadFile(p)
				if err == nil {
					b[40] ^= 1
					err = os.WriteFile(p, b, 0o600)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	} {
		bad := filepath.Join(t.TempDir(), "mesh")
		copyMesh(t, dir, bad)
		ok(t, harm(filepath.Join(bad, file)))
		found := VerifyFolder(t.Context(), bad)
		if len(found) != 1 || !strings.HasPrefix(file, found[0].File) || found[0].Note != (file == "odd") || found[0].Consequence == "" {
			t.Errorf("with %s damaged it finds %+v", file, found)
		}
	}
}
