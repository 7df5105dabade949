package node

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weft"
	"weft/backup"
	"weft/peer"
	"weft/run"
	"weft/serve"
)

// A backup and the data folder are never in one another, whatever links say.
func TestBackupFolderIsOutside(t *testing.T) {
	r := newRig(t)
	link := func(name, to string) string {
		path := filepath.Join(r.dir, name)
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	data := filepath.Join(r.dir, ".weft")
	out := t.TempDir()
	for _, dir := range []string{
		"kept", data, filepath.Join(data, "kept"), r.dir, "/", filepath.Join(link("in", data), "kept"), link("at", data), link("above", filepath.Dir(r.dir)),
		filepath.Join(link("products", filepath.Join(data, "products")), "a", "b"), filepath.Join(data, "..", ".weft", "kept"), link("nowhere", filepath.Join(out, "none")),
	} {
		_, err := r.node.Backup(t.Context(), tester, serve.BackupRequest{Dir: dir}, nil)
		if err == nil || weft.KindOf(err) != weft.KindInvalid && filepath.Base(dir) != "nowhere" {
			t.Errorf("a backup to %s: %v", dir, err)
		}
	}
	if _, err := os.Stat(filepath.Join(data, "kept")); err == nil {
		t.Error("a folder was made among the data")
	}
	if _, err := r.node.Backup(t.Context(), tester, serve.BackupRequest{Dir: filepath.Join(link("out", out), "kept")}, nil); err != nil {
		t.Errorf("a link to a folder outside: %v", err)
	}
}

// A product that is deleted while the backup runs is left out of it.
func TestDeletedWhileBackedUp(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"a", "b", "c"} {
		r.write(strings.ReplaceAll(shop, "shop", name))
		r.apply(name, serve.OutcomeCommitted)
	}
	dir := filepath.Join(t.TempDir(), "kept")
	deleted := false
	progress := func(e serve.Event) {
		if deleted {
			return
		}
		deleted = true // the first of three is being copied
		for _, name := range []weft.Name{mustName(t, e.Product), mustName(t, "sales.c")} {
			if err := r.node.Delete(context.Background(), tester, name, name.String()); err != nil {
				t.Error(err)
			}
		}
	}
	res, err := r.node.Backup(t.Context(), tester, serve.BackupRequest{Dir: dir}, progress)
	if err != nil || res.Products != 1 {
		t.Fatalf("%+v, %v (%s)", res, err, weft.HintOf(err))
	}
	if f, err := backup.Verify(t.Context(), dir); err != nil || len(f.Findings) > 0 {
		t.Errorf("%+v, %v", f, err)
	}
	to := filepath.Join(t.TempDir(), "data")
	back, err := backup.Restore(t.Context(), dir, to, backup.RestoreOptions{Env: run.Quiet()})
	if err != nil || len(back.Products) != 1 || back.Products[0].Product.String() != "sales.b" {
		t.Fatalf("%+v, %v", back, err)
	}
	if v, err := VerifyFolder(t.Context(), to, nil); err != nil || len(v.Faults) > 0 || len(v.Notes) > 0 {
		t.Errorf("%+v, %v", v, err)
	}
}

// A backup has what makes the node the same one in its mesh, and a clone and a backup
// without keys do not.
func TestBackupHasTheMesh(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(r.node.mesh.Found(t.Context(), peer.Founding{Name: "acme", Domains: []string{"sales"}}))
	self := r.node.mesh.Self()
	dir, bare := filepath.Join(t.TempDir(), "kept"), filepath.Join(t.TempDir(), "bare")
	_, err := r.node.Backup(t.Context(), tester, serve.BackupRequest{Dir: dir}, nil)
	must(err)
	_, err = r.node.Backup(t.Context(), tester, serve.BackupRequest{Dir: bare, NoKeys: true}, nil)
	must(err)
	for _, c := range []struct {
		name, from string
		clone      bool
		want       weft.KeyID
	}{
		{"the node", dir, false, self}, {"a clone", dir, true, weft.KeyID{}}, {"without keys", bare, false, weft.KeyID{}},
	} {
		to := filepath.Join(t.TempDir(), "data")
		_, err := backup.Restore(t.Context(), c.from, to, backup.RestoreOptions{Clone: c.clone, Env: run.Quiet()})
		must(err)
		if v := verified(t, to); len(v.Faults) > 0 {
			t.Errorf("%s: %+v", c.name, v.Faults)
		}
		m, err := peer.New(peer.Config{Dir: filepath.Join(to, "mesh"), Name: "again", Env: run.Quiet()})
		must(err)
		must(m.Open(t.Context()))
		if m.Self() != c.want || m.Joined() == c.want.IsZero() {
			t.Errorf("%s is node %s", c.name, m.Self())
		}
		must(m.Close())
	}
}
