package transform

import (
	"bytes"
	"context"
	"encoding/xml"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/store"
)

var took = regexp.MustCompile(`\(\d+ ms\)`)

// TestFolders runs the tests of the folders in testdata/folder and compares the
// reports.
func TestFolders(t *testing.T) {
	pool := newPool(t)
	scripts(t, "folder", func(s *script) {
		r, err := Test(context.Background(), pool, s.folder("policy-not-enforced"), Options{Temp: s.t.TempDir()})
		if err != nil {
			s.t.Fatal(err)
		}
		var b strings.Builder
		if err := r.WriteText(&b); err != nil {
			s.t.Fatal(err)
		}
		s.want(took.ReplaceAllString(b.String(), "(0 ms)"))
	})
}

// TestExampleFolder runs the tests of the documentation's example, where it is
// at hand.
func TestExampleFolder(t *testing.T) {
	dir := filepath.Join("..", "..", "shared", "example", "sales", "orders")
	if _, err := os.Stat(dir); err != nil {
		t.Log("the example is not beside the repository; testdata/folder/orders.txt has it too")
		return
	}
	f, faults := contract.Read(os.DirFS(dir), ".")
	checkFaults(t, f, faults, "policy-not-enforced")
	r, err := Test(context.Background(), newPool(t), f, Options{Temp: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Cases) != 1 || !r.Passed() {
		var b strings.Builder
		_ = r.WriteText(&b)
		t.Fatal(b.String())
	}
}

// TestRowRules: rows that break a row rule fail a case, or are missing from it
// where the table quarantines them.
func TestRowRules(t *testing.T) {
	id := &contract.Column{Name: "id", Type: bigint}
	for _, on := range []contract.OnViolation{contract.Refuse, contract.Quarantine} {
		f := folder("SELECT id FROM shop.orders", id)
		f.Tables()[0].OnViolation = on
		f.Cases = []*contract.Case{{
			Name:   "case",
			Inputs: map[string][]byte{"shop.orders": []byte("id\n1\n-1\n")}, Expect: map[string][]byte{"orders": []byte("id\n1\n")},
		}}
		check := func(ctx context.Context, s engine.Session, _ *contract.Table, rows store.Staged, stage string) (store.Staged, []weft.CheckResult, error) {
			good := filepath.Join(stage, "good.parquet")
			n, err := s.Exec(ctx, engine.Statement{SQL: engine.CopyParquet("SELECT * FROM "+engine.ScanParquet(rows.Files...)+" WHERE id > 0", good)})
			rows.Files, rows.Rows = []string{good}, n
			return rows, []weft.CheckResult{{ID: "orders.id.range", Text: "id is above 0", Severity: weft.SeverityError, Failed: 1, Total: 2}}, err
		}
		r, err := Test(context.Background(), newPool(t), f, Options{Check: check, Temp: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		c := r.Cases[0]
		if on == contract.Refuse && (len(c.Failures) != 1 || !strings.Contains(c.Failures[0].Text, `"id is above 0" does not hold in 1 row of 2`)) {
			t.Errorf("%+v", c)
		}
		if on == contract.Quarantine && (len(c.Failures) != 0 || len(c.Notes) != 1) {
			t.Errorf("%+v", c)
		}
	}
}

// TestInputRules: invented rows are held against the input contract too, as far
// as they have its columns, and each table keeps the rows that it was left.
func TestInputRules(t *testing.T) {
	check := func(ctx context.Context, s engine.Session, table *contract.Table, rows store.Staged, stage string) (store.Staged, []weft.CheckResult, error) {
		if len(table.Checks) == 0 {
			return rows, nil, nil
		}
		good := filepath.Join(stage, "good.parquet")
		n, err := s.Exec(ctx, engine.Statement{SQL: engine.CopyParquet("SELECT * FROM "+engine.ScanParquet(rows.Files...)+" WHERE "+table.Checks[0].Predicate, good)})
		failed := rows.Rows - n
		rows.Files, rows.Rows = []string{good}, n
		return rows, []weft.CheckResult{{ID: table.Checks[0].ID, Text: table.Checks[0].Text, Severity: weft.SeverityError, Failed: failed, Total: 2}}, err
	}
	for _, on := range []contract.OnViolation{contract.Refuse, contract.Quarantine} {
		f := folder("SELECT id, coalesce(note, 'none') AS note FROM shop.orders", &contract.Column{Name: "id", Type: bigint}, &contract.Column{Name: "note", Type: contract.Type{Kind: contract.KindString}})
		in := f.Inputs[0].Contract.Tables[0]
		in.OnViolation = on
		in.Checks = []contract.Check{
			{ID: "orders.far.range", Column: "far", Predicate: "far > 0"}, // the case has no such column
			{ID: "orders.id.range", Column: "id", Predicate: "id > 0", Text: "id is above 0"},
		}
		f.Cases = []*contract.Case{{
			Name: "case", Inputs: map[string][]byte{"shop.orders": []byte("id,note\n1,\n-1,\n")},
			Expect: map[string][]byte{"orders": []byte("id,note\n1,none\n")},
		}}
		r, err := Test(context.Background(), newPool(t), f, Options{Check: check, Temp: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		c := r.Cases[0]
		if on == contract.Refuse && (len(c.Failures) != 1 || c.Failures[0].Table != "shop.orders" || !strings.Contains(c.Failures[0].Text, `"id is above 0" does not hold in 1 row of 2`)) {
			t.Errorf("%+v", c)
		}
		if on == contract.Quarantine && (len(c.Failures) != 0 || len(c.Notes) != 1 || !strings.HasPrefix(c.Notes[0], "shop.orders: 1 row would be held back")) {
			t.Errorf("%+v", c)
		}
	}
}

// FuzzReadCSV: whatever a test's file holds, reading it gives rows of one width
// or an error.
func FuzzReadCSV(f *testing.F) {
	for _, s := range []string{"", "a,b\n1,2\n", "a,a\n", "a\n\"x\ny\"\n", "\xef\xbb\xbfa\r\n1\r\n", "a,b\n1\n", "\"a", "a,\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := readCSV("fuzz.csv", data)
		if err != nil {
			return
		}
		if len(c.header) == 0 || len(c.lines) != len(c.rows) {
			t.Fatalf("%+v", c)
		}
		for _, r := range c.rows {
			if len(r) != len(c.header) {
				t.Fatalf("%q under %q", r, c.header)
			}
		}
	})
}

func TestJUnit(t *testing.T) {
	r := &Report{Cases: []CaseResult{
		{Name: "good", Notes: []string{"a <note>"}},
		{Name: "bad", Failures: []Failure{{Table: "orders", Text: "1 row expected\n  - x & \"y\""}}},
	}}
	r.Product.Domain, r.Product.Product = "sales", "orders"
	var b bytes.Buffer
	if err := WriteJUnit(&b, r); err != nil {
		t.Fatal(err)
	}
	var back junitSuites
	if err := xml.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err, b.String())
	}
	s := back.Suites[0]
	if s.Name != "sales.orders" || s.Tests != 2 || s.Failures != 1 || s.Cases[1].Failures[0].Message != "orders: 1 row expected" {
		t.Errorf("%+v\n%s", s, b.String())
	}
	if !strings.Contains(s.Cases[1].Failures[0].Text, `x & "y"`) {
		t.Error(s.Cases[1].Failures[0].Text)
	}
}
