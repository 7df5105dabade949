package engine

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// notReported are names that the parser or the binder handles itself.
var notReported = words("unnest")

// TestFunctionsComplete holds the table of functions against the engine: each
// function that it reports is in exactly one group, and each name of a group is
// one that it reports.
func TestFunctionsComplete(t *testing.T) {
	db := newParser(t).db
	b, err := db.call(&db.ser, `select string_agg(function_name || ':' || function_type, chr(10)) || $1::varchar
		from (select distinct function_name, function_type from duckdb_functions())`, "")
	if err != nil {
		t.Fatal(err)
	}
	scalar, table := map[string]bool{}, map[string]bool{}
	for line := range strings.SplitSeq(string(b), "\n") {
		i := strings.LastIndex(line, ":")
		name, kind := strings.ToLower(line[:i]), line[i+1:]
		switch kind {
		case "table", "table_macro":
			table[name] = true
		case "pragma": // a PRAGMA is no SELECT
		default:
			scalar[name] = true
		}
	}
	if len(scalar) < 500 || len(table) < 50 {
		t.Fatalf("the engine reports %d functions and %d table functions", len(scalar), len(table))
	}
	check := func(what string, groups []group, list map[string]function, engine map[string]bool) {
		count := map[string]int{}
		for _, g := range groups {
			if g.class != allowed && g.class != chance && g.class != pinned && g.why == "" {
				t.Errorf("group %s gives no reason", g.title)
			}
			for _, n := range strings.Fields(g.names) {
				n = strings.ToLower(n)
				if count[n]++; count[n] > 1 {
					t.Errorf("%s %s is in two groups", what, n)
				}
				if !engine[n] && !notReported[n] && !strings.HasSuffix(n, "_*") {
					t.Errorf("the engine has no %s %s, group %s", what, n, g.title)
				}
			}
		}
		var missing []string
		for n := range engine {
			if _, ok := lookUp(list, n); !ok {
				missing = append(missing, n)
			}
		}
		slices.Sort(missing)
		if len(missing) > 0 {
			t.Errorf("no group has %s %s", what, strings.Join(missing, " "))
		}
	}
	check("function", functionGroups, functionTable, scalar)
	check("table function", tableFunctionGroups, tableFunctionTable, table)
}

// TestFunctionsPinned holds that each function of the cut's time has a type, and
// that the words of the other tables are functions that pass.
func TestFunctionsPinned(t *testing.T) {
	for n, f := range functionTable {
		if _, ok := timeFunctions[n]; ok != (f.group.class == pinned) {
			t.Errorf("%s is of class %v but has a time: %v", n, f.group.class, ok)
		}
	}
	for _, m := range []map[string]bool{sumFunctions, lambdaFunctions, aggregateFunctions} {
		for n := range m {
			if f, ok := functionTable[n]; !ok || f.group.class != allowed {
				t.Errorf("%s is not let through", n)
			}
		}
	}
	for n := range longer {
		if f, ok := functionTable[n]; !ok || f.group.class != allowed {
			t.Errorf("%s is not let through", n)
		}
	}
}

// TestFunctionsPage holds docs/functions.md, which is made from the table.
func TestFunctionsPage(t *testing.T) {
	const file = "../docs/functions.md"
	want := functionsPage()
	if *update {
		if err := os.MkdirAll("../docs", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the table gives; run go test ./engine -run TestFunctionsPage -update", file)
	}
}

// functionsPage writes the table of functions for people.
func functionsPage() string {
	var b strings.Builder
	fmt.Fprint(&b, `# Functions

What a query may call. This page is made from the table in `+"`engine/functionlist.go`"+` and held by a test; the functions
themselves are DuckDB's and described in its manual. A function that is on no list does not pass.

An expression may make a value at most `, maxGrowth, ` times as long as a stored one, whatever it is made of; a constant may
become one megabyte. In the recursive part of a WITH, and in list_reduce, a value may grow by what is added to it but not
by itself: `+"`path || '/' || name`"+` passes, `+"`path || path`"+` does not.

`)
	section := func(title, text string, groups []group, classes ...class) {
		fmt.Fprintf(&b, "## %s\n\n%s\n\n", title, text)
		for _, g := range groups {
			if !slices.Contains(classes, g.class) {
				continue
			}
			names := strings.Fields(g.names)
			slices.SortFunc(names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
			fmt.Fprintf(&b, "**%s.** ", g.title)
			if g.why != "" {
				r := []rune(g.why)
				fmt.Fprintf(&b, "%s%s. ", strings.ToUpper(string(r[0])), string(r[1:]))
			}
			fmt.Fprintf(&b, "`%s`\n\n", strings.Join(names, "` `"))
		}
	}
	section("Allowed", "Also `CASE`, `CAST`, `TRY_CAST`, `COALESCE`, `IF`, `EXTRACT`, `COLUMNS(…)` and the other words of the language.",
		functionGroups, allowed)
	section("Fixed to the time of the cut", "The same cut gives the same answer, so these and `CURRENT_TIMESTAMP`, `CURRENT_TIME`, "+
		"`LOCALTIME` and `LOCALTIMESTAMP` are the time of the cut, in UTC.", functionGroups, pinned)
	section("Chance", "Allowed; the answer says that it cannot be repeated. So are `TABLESAMPLE` and `USING SAMPLE`.", functionGroups, chance)
	section("Allowed within bounds", "Their values are not bounded by what they are given.", functionGroups, capped)
	section("In a FROM", "What may stand where a table stands.", tableFunctionGroups, allowed, capped)
	section("Not allowed", "With what to do instead.", functionGroups, barred)
	section("Not allowed in a FROM", "With what to do instead.", tableFunctionGroups, barred)
	return strings.TrimRight(b.String(), "\n") + "\n"
}
