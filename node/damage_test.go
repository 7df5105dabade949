package node

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weft"
	"weft/serve"
)

// flip changes a bit in the middle of a file.
func flip(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 4
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) fileOf(name, pattern string) string {
	r.t.Helper()
	p, err := r.node.find(mustName(r.t, name))
	if err != nil {
		r.t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(r.node.cfg.productDir(p.record().ID), pattern))
	if err != nil || len(files) == 0 {
		r.t.Fatal("no file ", pattern, err)
	}
	return files[len(files)-1]
}

// TestHistoryNamesADamagedCommit damages the header of one commit under a running
// node: the others are listed, and that one is told with its number.
func TestHistoryNamesADamagedCommit(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	r.csv("1,pen,1.50\n2,ink,8.25")
	r.refresh("sales.shop", serve.OutcomeCommitted)
	path := r.fileOf("sales.shop", "journal/*.weftj")
	b, err := os.ReadFile(path)
	at := strings.Index(string(b), `"seq":2,`)
	if err != nil || at < 0 {
		t.Fatal("no header of #2 in the journal", err)
	}
	b[at+6] = '5'
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for before, want := range map[weft.Seq]string{0: "3 2! 1", 3: "2! 1", 2: "1"} {
		list, err := r.node.History(context.Background(), tester, mustName(t, "sales.shop"), before, 20)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range list {
			text := strings.TrimPrefix(c.Seq.String(), "#")
			if c.Damaged != "" {
				text += "!"
			}
			got = append(got, text)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("before %s: %s, want %s", before, s, want)
		}
	}
	if list, err := r.node.History(context.Background(), tester, mustName(t, "sales.shop"), 0, 2); err != nil || len(list) != 2 || list[1].Damaged == "" {
		t.Errorf("the first two: %+v, %v", list, err)
	}
}

// TestDamageIsToldAndNotServed damages a product's files under a node: what needs
// them is refused by name, the rest of the node answers, and status says so.
func TestDamageIsToldAndNotServed(t *testing.T) {
	for _, c := range []struct{ name, file string }{
		{"a data file", "files/*.parquet"},
		{"the journal", "journal/*.weftj"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.write(shop + sums)
			r.apply("shop", serve.OutcomeCommitted)
			r.apply("sums", serve.OutcomeCommitted)
			p, err := r.node.find(mustName(t, "sales.shop"))
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(c.file, "files") {
				if err := p.store.Compact(context.Background(), true); err != nil {
					t.Fatal(err)
				}
			} else {
				r.csv("1,pen,1.50\n2,ink,8.25")
				r.refresh("sales.shop", serve.OutcomeCommitted)
			}
			path := r.fileOf("sales.shop", c.file)
			r.stop()
			flip(t, path)
			r.start()
			_, _, err = r.query("SELECT * FROM sales.shop")
			if weft.KindOf(err) != weft.KindCorrupt || !strings.Contains(err.Error(), filepath.Base(path)) || weft.HintOf(err) == "" {
				t.Errorf("the damage was answered with %v", err)
			}
			r.want("SELECT count(*) FROM insights.sums", "1")
			r.eventually("status says it", func() bool { return r.state("sales.shop").State == weft.StateDamaged })
			if got := r.node.states(); got[weft.StateDamaged] != 1 {
				t.Errorf("the metrics count %v", got)
			}
			if s := r.state("sales.shop"); s.Todo == "" || s.ErrorKind != weft.KindCorrupt {
				t.Errorf("status says %+v", s)
			}
		})
	}
}
