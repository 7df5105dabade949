package engine

import (
	"fmt"
	"os"
	"strings"
	"testing"

	duck "github.com/duckdb/duckdb-go-bindings"
)

// TestClosed holds that the gate has an answer to everything that the engine has
// by name: each type, collation, setting and PRAGMA stands in closed.txt with what
// becomes of it in a query. A name that a newer engine brings fails the test until
// somebody has looked at it.
func TestClosed(t *testing.T) {
	const file = "testdata/closed.txt"
	s := newParser(t)
	var out strings.Builder
	out.WriteString("# What the engine has by name besides functions (docs/functions.md), and what the gate makes of it.\n")
	for _, c := range []struct{ title, names, query string }{
		{"types", "select distinct type_name from duckdb_types()", `select cast(null as "%s")`},
		{"collations", "select collname from pragma_collations()", "select 'a' collate %s"},
		{"settings as a value", "select name from duckdb_settings()", "select current_setting('%s')"},
		{"settings as a statement", "select name from duckdb_settings()", "set %s = 1"},
		{"pragmas", "select distinct function_name from duckdb_functions() where function_type = 'pragma'", "pragma %s"},
		{"pragmas as tables", "select distinct function_name from duckdb_functions() where function_type = 'pragma'", "select * from pragma_%s()"},
		{"views of the engine", "select distinct schema_name || '.' || view_name from duckdb_views() where internal", "select * from %s"},
		{"schemas of the engine", "select distinct schema_name from duckdb_schemas() where internal", "select * from %s.t"},
	} {
		var st duck.PreparedStatement
		names, err := s.db.call(&st, "select string_agg(n, chr(10) order by n) || $1::varchar from ("+c.names+") x(n)", "")
		duck.DestroyPrepare(&st)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "\n# %s\n", c.title)
		for n := range strings.SplitSeq(string(names), "\n") {
			b, err := Bind(t.Context(), s, fmt.Sprintf(c.query, n), testRules)
			verdict := "allowed"
			if err != nil {
				verdict, _, _ = strings.Cut(describe(b, err), "\n")
				verdict = "refused: " + strings.TrimPrefix(verdict, "invalid: ")
			}
			if len(verdict) > 100 {
				verdict = verdict[:100] + "…"
			}
			fmt.Fprintf(&out, "%s: %s\n", n, verdict)
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := readAll(t, file); want != out.String() {
		got, have := strings.Split(out.String(), "\n"), map[string]bool{}
		for l := range strings.SplitSeq(want, "\n") {
			have[l] = true
		}
		for _, l := range got {
			if !have[l] {
				t.Errorf("not in %s: %s", file, l)
			}
		}
		t.Errorf("look at it and run go test ./engine -run TestClosed -update")
	}
	// Whatever the file says: of the engine's own things none may be let through.
	section := ""
	for l := range strings.SplitSeq(out.String(), "\n") {
		if name, ok := strings.CutPrefix(l, "# "); ok {
			section = name
		}
		if strings.HasSuffix(l, ": allowed") && section != "types" && section != "collations" {
			t.Errorf("%s: %s", section, l)
		}
	}
}
