package contract

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"weft"
)

// TestReadModel looks at what the folder without faults becomes.
func TestReadModel(t *testing.T) {
	f, faults := ReadFiles(baseFiles(t))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	if f.Name.String() != "sales.orders" || f.Version != "1.2.0" || f.Life != weft.LifeActive || f.Team.Members[0].Role != "owner" || len(f.Support) != 1 {
		t.Errorf("the product: %+v", f)
	}
	shop, stores := f.Inputs[0], f.Inputs[1]
	if shop.Contract == nil || len(shop.Contract.Tables) != 2 || stores.Product.String() != "places.stores" || stores.Contract != nil {
		t.Errorf("the inputs: %+v %+v", shop, stores)
	}
	db := shop.Contract.Servers[0]
	if db.Mode != ModeCDC || db.Port != "5432" || db.User != "${SHOP_DB_USER}" || db.Password != "${SHOP_DB_PASSWORD}" {
		t.Errorf("the server: %+v", db)
	}
	out := f.Outputs[0]
	if !slices.Equal(out.Readers, []string{"finance", "marketing"}) {
		t.Errorf("the readers: %v", out.Readers)
	}
	if s := out.Contract.SLA; s.Latency != 15*time.Minute || s.Element != "orders.placed_at" || s.Retention != 7*365*24*time.Hour {
		t.Errorf("the SLA: %+v", s)
	}
	orders := f.Table("")
	if orders.Name != "orders" || orders.SQL == "" || orders.OnViolation != Quarantine || orders.QuarantineLimit != 0.02 || !slices.Equal(orders.Key, []string{"order_id"}) {
		t.Errorf("the table: %+v", orders)
	}
	if c := orders.Column("customer_email"); c.Classification != "restricted" || c.SubjectKey != "customer" {
		t.Errorf("the column: %+v", c)
	}
	if !orders.Column("amount").Type.Equal(Decimal(14, 2)) || orders.Column("nobody") != nil {
		t.Error("the columns")
	}
	if len(f.Cases) != 1 || len(f.Cases[0].Inputs) != 2 || len(f.Cases[0].Expect) != 1 {
		t.Errorf("the tests: %+v", f.Cases)
	}
}

func TestHashIsOfNamesAndBytes(t *testing.T) {
	files := baseFiles(t)
	a, _ := ReadFiles(files)
	b, _ := Read(mapFS(files), ".")
	if a.Hash != b.Hash {
		t.Error("the same files give two hashes")
	}
	files["sample/orders.csv"] = append(files["sample/orders.csv"], '\n')
	if c, _ := ReadFiles(files); c.Hash == a.Hash {
		t.Error("other bytes give the same hash")
	}
}

// TestReadElsewhere reads the folder at a path of a file system and of the disk.
func TestReadElsewhere(t *testing.T) {
	dir := t.TempDir()
	files := baseFiles(t)
	files[".git/config"], files["data/orders.csv"] = []byte("x"), []byte("x")
	for name, data := range files {
		p := filepath.Join(dir, "sales", "orders", name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	fsys := os.DirFS(dir)
	if got := Find(fsys, "."); !slices.Equal(got, []string{"sales/orders"}) {
		t.Errorf("found %v", got)
	}
	f, faults := Read(fsys, "sales/orders")
	if len(faults) > 0 || f.Name.Product != "orders" || f.Files[".git/config"] != nil || f.Files["data/orders.csv"] != nil {
		t.Errorf("%v %v", f, faults)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "sales", "orders", "sample", "people.csv")); err != nil {
		t.Fatal(err)
	}
	if _, faults = Read(fsys, "sales/orders"); len(faults) != 1 || faults[0].Rule != "file-kind" || faults[0].File != "sales/orders/sample/people.csv" {
		t.Errorf("a link: %v", faults)
	}
	for _, missing := range []string{"nowhere", "sales/orders/product.odps.yaml"} {
		if f, faults := Read(fsys, missing); f != nil || !HasErrors(faults) || faults[0].Rule != "read" || strings.Contains(faults[0].Message, dir) {
			t.Errorf("%s: %v", missing, faults)
		}
	}
}

// TestReadIsBounded gives Read more than it should take.
func TestReadIsBounded(t *testing.T) {
	rule := func(change func(fstest.MapFS)) string {
		m := mapFS(baseFiles(t))
		change(m)
		_, faults := Read(m, ".")
		if len(faults) == 0 {
			return ""
		}
		for _, f := range faults {
			if f.Severity == FaultError {
				return f.Rule
			}
		}
		return ""
	}
	big := func(n int) *fstest.MapFile { return &fstest.MapFile{Data: bytes.Repeat([]byte("# \n"), n/3+1)} }
	for want, change := range map[string]func(fstest.MapFS){
		"file-size": func(m fstest.MapFS) { m["sample/big.csv"] = big(maxFileBytes) },
		"folder-size": func(m fstest.MapFS) {
			for i := range maxFiles {
				m[fmt.Sprintf("sample/%d.csv", i)] = &fstest.MapFile{}
			}
		},
		"yaml-size": func(m fstest.MapFS) {
			m["orders.odcs.yaml"] = &fstest.MapFile{Data: []byte("tags: [" + strings.Repeat("x,", maxYAMLNodes) + "x]")}
		},
	} {
		if got := rule(change); got != want {
			t.Errorf("want %s, got %q", want, got)
		}
	}
	if got := rule(func(m fstest.MapFS) { m["orders.odcs.yaml"] = big(maxYAMLBytes) }); got != "file-size" {
		t.Errorf("a large document gives %q", got)
	}
	if got := rule(func(m fstest.MapFS) {
		for i := range 20 {
			m[fmt.Sprintf("sample/%d.csv", i)] = big(maxFileBytes - 3)
		}
	}); got != "folder-size" {
		t.Errorf("a large folder gives %q", got)
	}
	if got := rule(func(m fstest.MapFS) { m["orders.sql"] = &fstest.MapFile{Mode: fs.ModeNamedPipe} }); got != "file-kind" {
		t.Errorf("a pipe gives %q", got)
	}
}

// TestStandardsExamples reads the standards' own examples where they lie beside
// the repository; the scripts of testdata are the base.
func TestStandardsExamples(t *testing.T) {
	for _, dir := range []string{"../../shared/standards/odcs/examples", "../../shared/standards/odps/examples"} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			data, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			s := &sink{}
			if d := readDocument(s, e.Name(), e.Name(), data, nil); d == nil || HasErrors(s.faults) {
				t.Errorf("%s: %v", e.Name(), s.faults)
			}
		}
	}
	if _, err := os.Stat("../../shared/example"); err == nil {
		faults := readAll(os.DirFS("../../shared/example"), ".")
		if len(faults) != 1 || faults[0].Rule != "policy-not-enforced" {
			t.Errorf("the example folders: %v", faults)
		}
	}
}

func TestServer(t *testing.T) {
	two := &Contract{File: "x", Servers: []*Server{{Name: "a", Environment: "prod"}, {Name: "b", Environment: "dev"}}}
	bare := &Contract{File: "x", Servers: []*Server{{Name: "a", Environment: "prod"}, {Name: "c"}}}
	one := &Contract{File: "x", Servers: []*Server{{Name: "a", Environment: "prod"}}}
	for _, c := range []struct {
		c         *Contract
		env, want string
	}{
		{two, "dev", "b"},
		{two, "prod", "a"},
		{two, "test", ""},
		{two, "", ""},
		{bare, "prod", "a"},
		{bare, "test", "c"},
		{bare, "", "c"},
		{one, "", "a"},
		{one, "dev", ""},
		{&Contract{}, "", ""},
	} {
		s, err := c.c.Server(c.env)
		if c.want == "" && err == nil || c.want != "" && (err != nil || s.Name != c.want) {
			t.Errorf("environment %q gives %v %v, want %q", c.env, s, err, c.want)
		}
	}
}

func TestSource(t *testing.T) {
	source := func(name string, tables ...string) *Input {
		c := &Contract{}
		for _, n := range tables {
			c.Tables = append(c.Tables, &Table{Name: n})
		}
		return &Input{Name: name, Contract: c}
	}
	product := &Input{Name: "stores", Product: weft.Name{Domain: "places", Product: "stores"}}
	for _, c := range []struct {
		inputs      []*Input
		table, want string
	}{
		{[]*Input{source("shop", "orders", "lines")}, "orders", "shop.orders"},
		{[]*Input{source("shop", "orders", "lines")}, "totals", "error"},
		{[]*Input{source("files", "x")}, "orders", "files.x"},
		{[]*Input{source("orders", "x"), source("other", "y")}, "orders", "orders.x"},
		{[]*Input{source("a", "orders"), source("b", "orders")}, "orders", "error"},
		{[]*Input{product}, "stores", "stores."},
		{[]*Input{product, source("a", "b")}, "stores", "stores."},
		{nil, "orders", "error"},
	} {
		in, table, err := (&Folder{Inputs: c.inputs}).Source(&Table{Name: c.table})
		got := "error"
		if err == nil {
			got = in.Name + "." + table
		}
		if got != c.want {
			t.Errorf("table %s of %v is made from %s, want %s", c.table, c.inputs, got, c.want)
		}
	}
}

// FuzzRead reads folders whose documents are anything at all: Read never
// panics, gives every fault a place and a rule, and never says a secret.
func FuzzRead(f *testing.F) {
	files := baseFiles(f)
	f.Add(files[productFile], files["orders.odcs.yaml"], files["shop.odcs.yaml"])
	f.Add([]byte("a: &a [*a]"), []byte("<<: {<<: {}}"), []byte("servers: [{server: x, type: local, path: 1, format: []}]"))
	for _, dir := range []string{"lint", "checks"} {
		scripts, _ := filepath.Glob("testdata/" + dir + "/*.txtar")
		for _, s := range scripts {
			a := archive(f, filepath.Join(dir, filepath.Base(s)))
			m := map[string][]byte{}
			if dir == "lint" {
				scripted(f, a, m)
			}
			for _, file := range a.Files {
				m[file.Name] = file.Data
			}
			f.Add(m[productFile], m["orders.odcs.yaml"], m["shop.odcs.yaml"])
		}
	}
	rules := map[string]bool{}
	for _, r := range Rules() {
		rules[r.Name] = true
	}
	f.Fuzz(func(t *testing.T, product, orders, shop []byte) {
		m := map[string][]byte{productFile: product, "orders.odcs.yaml": orders, "shop.odcs.yaml": shop, "orders.sql": []byte("SELECT 1")}
		folder, faults := ReadFiles(m)
		for _, x := range faults {
			if !rules[x.Rule] || x.File == "" || x.Message == "" || strings.ContainsAny(x.Message, "\n\r") {
				t.Errorf("a fault is not whole: %+v", x)
			}
		}
		if folder == nil {
			return
		}
		for _, table := range folder.Tables() {
			for _, k := range table.Checks {
				if strings.IndexByte(k.Predicate+k.Metric+k.Query, 0) >= 0 {
					t.Errorf("check %s holds a zero byte", k.ID)
				}
			}
		}
		_ = Diff(folder, folder)
		if _, _, err := Fix(mapFS(m), "."); err != nil {
			t.Error(err)
		}
	})
}
