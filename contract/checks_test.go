package contract

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// contractFolder makes a folder around one output contract of sales.orders.
func contractFolder(t testing.TB, odcs []byte) (*Folder, []Fault) {
	t.Helper()
	return ReadFiles(map[string][]byte{
		productFile: []byte("apiVersion: v1.0.0\nkind: DataProduct\nid: sales.orders\nname: orders\ndomain: sales\nstatus: draft\n" +
			"description: {purpose: An invented shop.}\nteam: {members: [{username: a@example.com}]}\n" +
			"outputPorts: [{name: orders, version: 1.0.0, contractId: sales.orders/orders}]\n"),
		"orders.odcs.yaml": odcs,
		"orders.sql":       []byte("SELECT 1"),
	})
}

// checkText is a check as the scripts show it.
func checkText(k Check) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s [%s, %s, line %d] %s\n", k.ID, k.Kind, k.Severity, k.Line, k.Text)
	switch {
	case k.Kind == "unique":
		fmt.Fprintf(&b, "\tunique %s\n", strings.Join(k.Columns, ", "))
	case k.Predicate != "":
		fmt.Fprintf(&b, "\t%s\n", k.Predicate)
	default:
		fmt.Fprintf(&b, "\t%s%s → %s\n", k.Metric, k.Query, k.Compare)
	}
	return b.String()
}

// TestChecks runs every script of testdata/checks: a contract and what it
// compiles to.
func TestChecks(t *testing.T) {
	scripts, _ := filepath.Glob("testdata/checks/*.txtar")
	if len(scripts) == 0 {
		t.Fatal("no scripts")
	}
	for _, file := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a := archive(t, filepath.Join("checks", filepath.Base(file)))
			want := ""
			if len(a.Files) > 1 {
				want = string(a.Files[1].Data)
			}
			f, faults := contractFolder(t, a.Files[0].Data)
			var b strings.Builder
			for _, fault := range faults {
				if fault.Severity == FaultError {
					t.Errorf("fault: %s", fault)
				}
			}
			for _, k := range f.Table("").Checks {
				b.WriteString(checkText(k))
			}
			compare(t, a, file, "checks", want, b.String())
		})
	}
}

// TestChecksAreOne holds every check to having exactly one thing to measure, and
// an id of its own.
func TestChecksAreOne(t *testing.T) {
	scripts, _ := filepath.Glob("testdata/checks/*.txtar")
	for _, file := range scripts {
		f, _ := contractFolder(t, archive(t, filepath.Join("checks", filepath.Base(file))).Files[0].Data)
		seen := map[string]bool{}
		for _, k := range f.Table("").Checks {
			n := 0
			for _, set := range []bool{k.Predicate != "", k.Metric != "", k.Query != "", k.Kind == "unique" && len(k.Columns) > 0} {
				if set {
					n++
				}
			}
			if n != 1 || seen[k.ID] || k.Table != "orders" || k.Text == "" || k.Line == 0 || (k.Metric != "" || k.Query != "") != (k.Compare != nil) {
				t.Errorf("%s: check is not whole: %+v", file, k)
			}
			seen[k.ID] = true
			for _, secret := range []string{"xyzzy", "plugh", "18"} {
				if strings.Contains(k.Text, secret) {
					t.Errorf("check %s shows a value of a classified column: %s", k.ID, k.Text)
				}
			}
		}
	}
}
