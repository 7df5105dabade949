package node

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weft"
	"weft/peer"
	"weft/run"
	"weft/serve"
	"weft/store/goldentest"
)

var flipCount = flag.Int("flips", 0, "how many flips TestFlipsOfADataFolder makes; 0 is its own number")

// folderFiles are the files below a folder that are not empty.
func folderFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		if len(b) > 0 && rel != ".gitignore" { // that one is git's, and written at every start
			out[rel] = b
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestFlipsOfADataFolder damages every file of a node that was stopped: each flip
// and each cut is named by verify, and a node that starts on it answers what was
// there or says that it is damaged.
func TestFlipsOfADataFolder(t *testing.T) {
	n := 60
	if testing.Short() {
		n = 24
	}
	if *flipCount > 0 {
		n = *flipCount
	}
	archives, err := filepath.Glob(filepath.Join(goldenDir, "*", "node.tar.zst"))
	if err != nil || len(archives) == 0 {
		t.Fatal(err)
	}
	newest := archives[len(archives)-1]
	data := filepath.Join(t.TempDir(), ".weft")
	goldentest.Unpack(t, newest, data)
	good := folderFiles(t, data)
	names := slices.Sorted(maps.Keys(good))
	if r := verified(t, data); len(r.Faults) > 0 || r.Products != 3 {
		t.Fatal(r)
	}
	want := answers(t, data)
	for seed := range n {
		rnd := rand.New(rand.NewPCG(uint64(seed), 8))
		name := names[seed%len(names)]
		b := good[name]
		at := rnd.IntN(len(b))
		bad, what := bytes.Clone(b), fmt.Sprintf("seed %d: %s, bit of byte %d of %d", seed, name, at, len(b))
		if rnd.IntN(4) == 0 {
			bad, what = bad[:at], fmt.Sprintf("seed %d: %s, cut at byte %d of %d", seed, name, at, len(b))
		} else {
			bad[at] ^= 1 << rnd.IntN(8)
		}
		data := filepath.Join(t.TempDir(), ".weft")
		goldentest.Unpack(t, newest, data)
		if err := os.WriteFile(filepath.Join(data, name), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		found := verified(t, data)
		if !slices.ContainsFunc(found.Faults, func(f Finding) bool {
			rel, _ := filepath.Rel(data, filepath.Join(f.Folder, f.File))
			return strings.TrimSuffix(rel, ".seal") == strings.TrimSuffix(name, ".seal")
		}) {
			t.Errorf("%s: verify found %+v", what, found.Faults)
		}
		for product, text := range answers(t, data) {
			if text != want[product] && !strings.HasPrefix(text, "error") {
				t.Errorf("%s: %s answers\n%s\nwant\n%s", what, product, text, want[product])
			}
		}
		if t.Failed() {
			return
		}
	}
}

func verified(t *testing.T, data string) *Verification {
	t.Helper()
	r, err := VerifyFolder(context.Background(), data, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(r.Faults, r.Notes...) {
		if f.File == "" || f.Message == "" || f.Consequence == "" {
			t.Errorf("%+v", f)
		}
	}
	return r
}

// answers opens a node on a data folder and asks it for everything; a node that
// does not open says so for all.
func answers(t *testing.T, data string) map[string]string {
	t.Helper()
	out := map[string]string{}
	r := &rig{t: t, dir: filepath.Dir(data)}
	cfg := r.config()
	cfg.RunEnv = run.Quiet()
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Open(context.Background()); err != nil {
		if k := weft.KindOf(err); k != weft.KindCorrupt && k != weft.KindConflict && k != weft.KindInvalid && k != weft.KindUnavailable {
			t.Errorf("open: %v", err)
		}
		return map[string]string{"all": "error: " + err.Error()}
	}
	defer func() { _ = n.Close() }()
	r.node = n
	for product, cuts := range map[string]int{"sales.shop": 4, "insights.sums": 4} {
		for seq := 2; seq <= cuts; seq++ {
			for _, at := range []string{fmt.Sprintf("%s#%d", product, seq)} {
				text, _, err := r.query("SELECT * FROM "+product+" ORDER BY 1", at)
				if err != nil {
					text = "error: " + err.Error()
				}
				out[at] = text
			}
		}
		text, _, err := r.query("SELECT * FROM " + product + " ORDER BY 1")
		if err != nil {
			text = "error: " + err.Error()
		}
		out[product] = text
	}
	return out
}

// TestVerifySaysWhatIsMissingAndWhatIsTooMuch changes what belongs together.
func TestVerifySaysWhatIsMissingAndWhatIsTooMuch(t *testing.T) {
	r := newRig(t)
	r.write(shop + sums)
	r.apply("shop", serve.OutcomeCommitted)
	r.apply("sums", serve.OutcomeCommitted)
	shopDir := filepath.Dir(r.fileOf("sales.shop", "manifest"))
	data := filepath.Join(r.dir, ".weft")
	if err := r.node.mesh.Found(t.Context(), peer.Founding{Name: "acme", Domains: []string{"sales"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyFolder(context.Background(), data, nil); weft.KindOf(err) != weft.KindConflict {
		t.Error("a running node is verified:", err)
	}
	r.stop()
	if v := verified(t, data); len(v.Faults) > 0 || v.Bytes == 0 || v.Files < 10 {
		t.Fatal(v)
	}
	id := filepath.Base(shopDir)
	for _, c := range []struct {
		do, undo, file, says string
		note                 bool
	}{
		{"mv products/ID ../away", "mv ../away products/ID", id, "is missing", false},
		{"cp -r products/ID products/copy", "rm -r products/copy", "copy", "name no product", true},
		{"touch what", "rm what", "what", "no kind", true},
		{"touch products/ID/what", "rm products/ID/what", "what", "no kind", true},
		{"cp products/ID/manifest products/ID/files/x.parquet", "rm products/ID/files/x.parquet", "files/x.parquet", "no commit names", true},
		{"chmod 644 token", "chmod 600 token", "token", "others can read", false},
		{"mv token ../away", "mv ../away token", "token", "missing", true},
		{"chmod 755 . && chmod 644 books.db", "chmod 600 books.db && chmod 700 .", "books.db", "others can read", false},
		{"mv books.db ../away", "mv ../away books.db", "books.db", "missing", false},
		{"mv mesh/node.key ../away", "mv ../away mesh/node.key", "node.key", "missing", false},
		{"chmod 644 mesh/charter.key", "chmod 600 mesh/charter.key", "charter.key", "others on this machine", false},
		{"cp mesh/mesh.json ../away; echo x > mesh/mesh.json", "mv ../away mesh/mesh.json", "mesh.json", "not what was written", false},
		{"mkdir stage/left", "rmdir stage/left", "stage", "left over", true},
	} {
		shell(t, data, strings.ReplaceAll(c.do, "ID", id))
		wantFinding(t, data, c.file, c.says, c.note)
		shell(t, data, strings.ReplaceAll(c.undo, "ID", id))
	}
	if v := verified(t, data); len(v.Faults) > 0 {
		t.Error(v.Faults)
	}
}

func wantFinding(t *testing.T, data, file, says string, note bool) {
	t.Helper()
	v := verified(t, data)
	in := v.Faults
	if note {
		in = v.Notes
		if len(v.Faults) > 0 {
			t.Errorf("%s: a note is a fault: %+v", file, v.Faults)
		}
	}
	if !slices.ContainsFunc(in, func(f Finding) bool { return f.File == file && strings.Contains(f.Message, says) }) {
		t.Errorf("%s: want %q, verify says %+v %+v", file, says, v.Faults, v.Notes)
	}
}

func shell(t *testing.T, dir, script string) {
	t.Helper()
	cmd := exec.Command("sh", "-euc", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// TestVerifyTellsHowFarItIs holds that whoever waits for a large folder hears of
// each product, with what is done of all there is.
func TestVerifyTellsHowFarItIs(t *testing.T) {
	r := newRig(t)
	r.write(shop + sums)
	r.apply("shop", serve.OutcomeCommitted)
	r.apply("sums", serve.OutcomeCommitted)
	r.stop()
	var heard []serve.Event
	v, err := VerifyFolder(t.Context(), r.node.cfg.Data, func(e serve.Event) { heard = append(heard, e) })
	if err != nil || len(heard) != v.Products || v.Products != 2 {
		t.Fatalf("%+v, %v; heard %+v", v, err, heard)
	}
	for i, e := range heard {
		if e.Total < v.Bytes || e.Bytes > v.Bytes || i > 0 && e.Bytes <= heard[i-1].Bytes {
			t.Errorf("of %d bytes it was told %+v", v.Bytes, heard)
		}
	}
}
