package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weft"
	"weft/engine"
	"weft/serve"
)

// TestSourceLeadsOut holds that a load reads what its contract declares and nothing
// that a link, a path or a pattern leads to from there.
func TestSourceLeadsOut(t *testing.T) {
	r := newRig(t)
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
	secret := filepath.Join(t.TempDir(), "secret.csv")
	const leaked = "id,item,price\n666,SECRET,6.66\n"
	if err := os.WriteFile(secret, []byte(leaked), 0o644); err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(r.dir, ".weft", "inside.csv")
	if err := os.WriteFile(inside, []byte(leaked), 0o644); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(r.dir, "shop", "data")
	source := func(path string) {
		contract := strings.Replace(shop, "path: data/shop.csv", "path: "+path, 1)
		r.write(contract)
	}
	link := func(to, name string) {
		t.Helper()
		path := filepath.Join(data, name)
		_ = os.Remove(path)
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, path string
		prepare    func()
		want       string // of the refusal; empty where the rest is loaded
	}{
		{"a link in the place of the file", "data/shop.csv", func() { link(secret, "shop.csv") }, "a link that leads out"},
		{"a link to a compressed file", "data/shop.csv.gz", func() { link(secret, "shop.csv.gz") }, "a link that leads out"},
		{"a link that a pattern matches", "data/*.csv", func() { link(secret, "b.csv") }, "a link that leads out"},
		{"a link to a folder on the way", "data/more/secret.csv", func() { link(filepath.Dir(secret), "more") }, "a link that leads out"},
		{"the node's own file", inside, func() {}, "among the node's own files"},
		{"the node's token", filepath.Join(r.dir, ".weft", "token"), func() {}, "among the node's own files"},
		{"the node's folder by a way around", filepath.Join(r.dir, "shop", "..", ".weft", "*.csv"), func() {}, "among the node's own files"},
		{"a link to the node's own file", "data/shop.csv", func() { link(inside, "shop.csv") }, "among the node's own files"},
		{"a pattern across the node's folder", filepath.Join(r.dir, "**", "inside*.csv"), func() {}, "no file is at"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.RemoveAll(data); err != nil {
				t.Fatal(err)
			}
			r.write("-- shop/data/a.csv --\nid,item,price\n1,pen,1.50\n")
			source(c.path)
			if c.path != "data/shop.csv" { // the archive brings it back
				_ = os.Remove(filepath.Join(data, "shop.csv"))
			}
			c.prepare()
			res, err := r.node.Apply(t.Context(), tester, serve.ApplyRequest{Archive: r.pack("shop"), Dir: filepath.Join(r.dir, "shop")}, nil)
			text := ""
			if err != nil {
				text = err.Error()
			} else {
				text = res.Message
			}
			if again, err := r.node.Refresh(t.Context(), tester, mustName(t, "sales.shop"), serve.RefreshRequest{Wait: true}, nil); err != nil {
				text += " " + err.Error()
			} else {
				text += " " + again.Message
			}
			if c.want != "" && !strings.Contains(text, c.want) {
				t.Errorf("want %q, have %q (%+v)", c.want, text, res)
			}
			if got := r.ask("SELECT count(*) FROM sales.shop WHERE id = 666 OR item = 'SECRET'"); got != "0" {
				t.Errorf("%s rows came through", got)
			}
		})
	}
}

func TestDeclared(t *testing.T) {
	root := t.TempDir()
	for _, f := range []string{"weft/.weft/token", "weft/.env", "weft/a.csv", "weft/sub/b.csv", "weft/sub/tls/key.pem", "weft/.weft/demo/x.csv"} {
		p := filepath.Join(root, f)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(root, "weft/.weft"), filepath.Join(root, "weft/back")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, "weft/.weft/token"), filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	c := Config{Data: filepath.Join(root, "weft/.weft"), TLSKey: filepath.Join(root, "weft/sub/tls/key.pem"), Private: []string{filepath.Join(root, "weft/.env")}}
	for at, want := range map[string]string{
		"weft/a.csv":       "weft/a.csv",
		"weft":             "weft/a.csv weft/sub/b.csv",
		"weft/sub":         "weft/sub/b.csv",
		"weft/none.csv":    "weft/none.csv",
		"weft/.weft":       "denied",
		"weft/.weft/token": "denied",
		"weft/.env":        "denied",
		"weft/back/token":  "denied",
		"link":             "denied",
		"weft/sub/tls":     "",
		"weft/.weft/demo":  "weft/.weft/demo",
	} {
		got, err := c.declared(filepath.Join(root, at))
		var names []string
		for _, p := range got {
			if p.real != engine.Resolved(p.at) {
				t.Errorf("%s: %+v is not where it lies", at, p)
			}
			name, _ := filepath.Rel(root, p.at)
			names = append(names, name)
		}
		text := strings.Join(names, " ")
		if err != nil {
			text = string(weft.KindOf(err))
		}
		if text != want {
			t.Errorf("%s: %q, want %q", at, text, want)
		}
	}
}
