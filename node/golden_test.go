package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weft"
	"weft/access"
	"weft/serve"
	"weft/store"
	"weft/store/goldentest"
)

// writeGolden: see package store's test of the same name. The folder is made in
// one place, since the books hold it.
var writeGolden = flag.String("golden", "", "write a golden data folder of this name (v2) instead of reading them")

const (
	goldenDir   = "../store/testdata/golden"
	goldenPlace = "/tmp/weft-golden"
)

// TestGolden starts a node on the data folder of every format version, and asks
// for what it held. The token in it is of a node that was made for this test.
func TestGolden(t *testing.T) {
	if *writeGolden != "" {
		makeGolden(t, *writeGolden)
		return
	}
	archives, err := filepath.Glob(filepath.Join(goldenDir, "*", "node.tar.zst"))
	if err != nil || len(archives) == 0 {
		t.Fatal("no golden node", err)
	}
	for _, archive := range archives {
		version := filepath.Base(filepath.Dir(archive))
		t.Run(version, func(t *testing.T) {
			want, err := os.ReadFile(strings.TrimSuffix(archive, ".tar.zst") + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			r := &rig{t: t, dir: t.TempDir()}
			data := filepath.Join(r.dir, ".weft")
			goldentest.Unpack(t, archive, data)
			r.start()
			if text := r.node.Upgraded(); (version == "v1") != (text != "") {
				t.Errorf("starting on %s the node says %q", version, text)
			}
			sameGolden(t, r.goldenText(), string(want))
			r.restart()
			if text := r.node.Upgraded(); text != "" {
				t.Errorf("starting again the node says %q", text)
			}
			sameGolden(t, r.goldenText(), string(want))
			// The node goes on where the older one stopped.
			r.write(shop)
			r.csv("1,pen,1.50\n7,new,7.00")
			r.apply("shop", serve.OutcomeCommitted)
			r.want("SELECT item FROM sales.shop ORDER BY id", "pen\nnew")
			r.stop()
			for _, dir := range productDirs(t, data) {
				if f := store.Verify(dir); len(f) != 0 {
					t.Error(f)
				}
			}
			r.start()
			got := r.goldenText()
			for _, section := range strings.Split(string(want), "\nproduct ") {
				if !strings.Contains(got, section) {
					t.Errorf("after more commits this is no longer there:\n%s\nbut\n%s", section, got)
				}
			}
		})
	}
}

func sameGolden(t *testing.T, got, want string) {
	t.Helper()
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range w {
		if i >= len(g) || g[i] != w[i] {
			t.Fatalf("line %d is %q, want %q in\n%s", i+1, g[min(i, len(g)-1)], w[i], got)
		}
	}
}

func productDirs(t *testing.T, data string) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(data, "products", "*", "manifest"))
	if err != nil || len(dirs) == 0 {
		t.Fatal("no products", err)
	}
	for i := range dirs {
		dirs[i] = filepath.Dir(dirs[i])
	}
	return dirs
}

// goldenText is what a golden node holds: the books first, then every commit.
func (r *rig) goldenText() string {
	r.t.Helper()
	ctx := context.Background()
	var b strings.Builder
	fmt.Fprintln(&b, "What the golden data folder holds: the books, and every cut of every product.")
	if tok, err := os.ReadFile(filepath.Join(r.dir, ".weft", "token")); err != nil || r.node.Token() != strings.TrimSpace(string(tok)) {
		r.t.Fatal("the token of the folder is not the node's", err)
	}
	tokens, err := r.node.ListTokens(ctx, tester)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, tok := range tokens {
		fmt.Fprintf(&b, "token %s %v, expires %v\n", tok.Name, tok.Scopes, tok.Expires != nil)
	}
	for _, p := range r.node.all() {
		release, err := p.hold(ctx)
		if err != nil {
			r.t.Fatal(p.name(), err)
		}
		defer release()
		rec := p.record()
		fmt.Fprintf(&b, "\nproduct %s id %s, paused %v, retired %v\n", rec.Name, rec.ID, rec.Paused, rec.Retired)
		head := p.store.Head().Seq
		for seq := max(p.store.Oldest(), 1); seq <= head; seq++ {
			c, err := p.store.Commit(seq)
			if err != nil {
				r.t.Fatal(err)
			}
			fmt.Fprintf(&b, "#%d %s %s\n", uint64(seq), c.Hash, c.Cause)
			if c.Verdict != nil {
				for _, check := range c.Verdict.Checks {
					fmt.Fprintf(&b, "  check %s %v\n", check.ID, check.Pass)
				}
			}
			if len(c.Tables) == 0 && seq == 1 {
				continue // the folder was applied, there are no tables yet
			}
			rows := r.ask("SELECT * FROM "+rec.Name.String()+" ORDER BY 1", fmt.Sprintf("%s#%d", rec.Name, uint64(seq)))
			fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(rows, "\n", "\n  "))
			at, err := serve.ParseAt(fmt.Sprintf("%s#%d", rec.Name, uint64(seq)))
			if err != nil {
				r.t.Fatal(err)
			}
			q, err := r.node.Quarantine(ctx, tester, rec.Name, 10, at)
			if err != nil {
				r.t.Fatal(err)
			}
			for _, table := range q.Tables {
				for _, row := range table.Rows {
					fmt.Fprintf(&b, "  held back: %s\n", strings.Join(row.Reasons, "; "))
				}
			}
		}
	}
	return b.String()
}

// makeGolden makes a small data folder with all that a node keeps: applied
// folders, attempts, tokens, a refusal, quarantined rows, products made from
// products, one that is paused and one that is retired.
func makeGolden(t *testing.T, name string) {
	if err := os.RemoveAll(goldenPlace); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(goldenPlace, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(goldenPlace) })
	r := &rig{t: t, dir: goldenPlace}
	r.start()
	held := strings.Replace(shop, "    logicalType: object\n",
		"    logicalType: object\n    customProperties: [{property: weftOnViolation, value: quarantine}, {property: weftQuarantineLimit, value: 0.5}]\n", 1)
	r.write(held + sums)
	r.apply("shop", serve.OutcomeCommitted)
	r.apply("sums", serve.OutcomeCommitted)
	r.csv("1,pen,1.50\n2,ink,8.25\n4,cup,5.00\n5,bad,-1.00")
	r.refresh("sales.shop", serve.OutcomeCommitted)
	r.eventually("the product made from it follows", func() bool { return r.ask("SELECT value FROM insights.sums") == "14.75" })
	p, err := r.node.find(mustName(t, "sales.shop"))
	if err != nil {
		t.Fatal(err)
	}
	release, err := p.hold(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if err := p.store.Compact(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	r.csv("1,pen,1.50\n2,ink,8.25\n4,cup,6.00")
	r.refresh("sales.shop", serve.OutcomeCommitted)
	r.csv("1,pen,-1.50")
	r.refresh("sales.shop", serve.OutcomeRefused)
	r.write(strings.NewReplacer("shop", "past", "insights", "past").Replace(shop))
	r.apply("past", serve.OutcomeCommitted)
	ctx := context.Background()
	if _, err := r.node.Retire(ctx, tester, mustName(t, "sales.past")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.node.Pause(ctx, tester, mustName(t, "insights.sums")); err != nil {
		t.Fatal(err)
	}
	expires := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tok := range []serve.TokenRequest{
		{Name: "notebook", Scopes: []serve.Scope{serve.Scope(access.ScopeRead)}, Expires: &expires},
		{Name: "ci", Scopes: []serve.Scope{serve.Scope(access.ScopeApply)}},
	} {
		if _, err := r.node.CreateToken(ctx, tester, tok); err != nil {
			t.Fatal(err)
		}
	}
	text := r.goldenText()
	r.stop()
	to := filepath.Join(goldenDir, name)
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	goldentest.Pack(t, filepath.Join(goldenPlace, ".weft"), filepath.Join(to, "node.tar.zst"))
	if err := os.WriteFile(filepath.Join(to, "node.txt"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestGoingBack puts back what an upgrade replaced, as docs/format/versions.md
// says, and finds the older folder whole.
func TestGoingBack(t *testing.T) {
	r := &rig{t: t, dir: t.TempDir()}
	data := filepath.Join(r.dir, ".weft")
	goldentest.Unpack(t, filepath.Join(goldenDir, "v1", "node.tar.zst"), data)
	r.start()
	r.write(shop)
	r.csv("7,new,7.00")
	r.apply("shop", serve.OutcomeCommitted)
	r.stop()
	for _, left := range []string{"-wal", "-shm"} { // as after a kill
		if err := os.WriteFile(filepath.Join(data, "books.db"+left), []byte("of the newer books"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := shellBlock(t, "../docs/format/versions.md")
	cmd := exec.Command("bash", "-euc", script)
	cmd.Dir = r.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	books, err := os.ReadFile(filepath.Join(data, "books.db"))
	if err != nil {
		t.Fatal(err)
	}
	if v := binary.BigEndian.Uint32(books[60:]); v != 1 {
		t.Errorf("the books have version %d", v)
	}
	for _, part := range []string{"-wal", "-shm", ".seal"} {
		if _, err := os.Stat(filepath.Join(data, "books.db"+part)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("books.db%s of the newer books is still beside the older ones: %v", part, err)
		}
		if _, err := os.Stat(filepath.Join(data, "books.new", "books.db"+part)); err != nil {
			t.Error(err)
		}
	}
	for _, dir := range productDirs(t, data) {
		if strings.HasSuffix(dir, ".new") {
			continue
		}
		m, err := os.ReadFile(filepath.Join(dir, "manifest"))
		if err != nil || !strings.Contains(string(m), `"version":1,`) {
			t.Errorf("%s is not of version 1: %v", dir, err)
		}
		if f := store.Verify(dir); len(f) != 0 {
			t.Error(f)
		}
	}
	r.start() // the older books are whole: they are upgraded once more
	if got := r.ask("SELECT count(*) FROM sales.shop"); got == "1" {
		t.Error("the rows are those of after the upgrade")
	}
	r.stop()
}

// shellBlock is the first shell block of a page.
func shellBlock(t *testing.T, page string) string {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "```sh\n")
	script, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("no shell block in ", page)
	}
	return script
}

// TestNewerDataFolderIsRefused starts a node on a folder that a newer one wrote:
// it says so, and changes nothing.
func TestNewerDataFolderIsRefused(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	manifest := r.fileOf("sales.shop", "manifest")
	r.stop()
	path := filepath.Join(r.dir, ".weft", "books.db")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Clone(good)
	binary.BigEndian.PutUint32(newer[60:], 99)
	if err := os.WriteFile(path, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	// The newer program has sealed the books itself, or knows no seals.
	if err := os.Remove(path + ".seal"); err != nil {
		t.Fatal(err)
	}
	n, err := New(r.config())
	if err != nil {
		t.Fatal(err)
	}
	err = n.Open(context.Background())
	if weft.KindOf(err) != weft.KindConflict || !strings.Contains(err.Error(), "99") || weft.HintOf(err) == "" {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	// One product that a newer program wrote takes nothing else down.
	m, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	m = bytes.Replace(m, []byte(`"version":2`), []byte(`"version":9`), 1)
	if err := os.WriteFile(manifest, m, 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	if s := r.state("sales.shop"); s.State != weft.StateUnreachable || !strings.Contains(s.LastError, "format version 9") {
		t.Errorf("status says %+v", s)
	}
}
