package contract

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	duckdb "github.com/duckdb/duckdb-go-bindings"
	"pgregory.net/rapid"
)

// testEngine is the real engine in this process: what is compiled here has to
// mean in it what the contract says.
type testEngine struct{ con duckdb.Connection }

func openEngine(t *testing.T) *testEngine {
	t.Helper()
	var db duckdb.Database
	if duckdb.Open(":memory:", &db) != duckdb.StateSuccess {
		t.Fatal("the engine does not start")
	}
	e := &testEngine{}
	if duckdb.Connect(db, &e.con) != duckdb.StateSuccess {
		t.Fatal("the engine takes no connection")
	}
	t.Cleanup(func() { duckdb.Disconnect(&e.con); duckdb.Close(&db) })
	return e
}

// one runs a statement and returns its first value as text, "NULL" for NULL and
// empty where there is no row.
func (e *testEngine) one(sql string) (string, error) {
	var res duckdb.Result
	defer duckdb.DestroyResult(&res)
	if duckdb.Query(e.con, sql, &res) != duckdb.StateSuccess {
		return "", fmt.Errorf("%s\nin %s", duckdb.ResultError(&res), sql)
	}
	chunk := duckdb.FetchChunk(res)
	if chunk.Ptr == nil {
		return "", nil
	}
	defer duckdb.DestroyDataChunk(&chunk)
	if duckdb.DataChunkGetSize(chunk) == 0 || duckdb.ColumnName(&res, 0) != "v" {
		return "", nil
	}
	vec := duckdb.DataChunkGetVector(chunk, 0)
	if mask := duckdb.VectorGetValidity(vec); mask != nil && !duckdb.ValidityRowIsValid(mask, 0) {
		return "NULL", nil
	}
	s := *(*duckdb.StringT)(unsafe.Pointer(duckdb.VectorGetData(vec)))
	return strings.Clone(duckdb.StringTData(&s)), nil
}

// value evaluates an expression to text.
func (e *testEngine) value(t *testing.T, expr, from string) string {
	t.Helper()
	v, err := e.one("SELECT CAST((" + expr + ") AS VARCHAR) AS v " + from)
	if err != nil {
		t.Error(err)
	}
	return v
}

// TestChecksInTheEngine runs all compiled checks on an empty table and on a row
// without values: only what has to be there is then missing.
func TestChecksInTheEngine(t *testing.T) {
	scripts, _ := filepath.Glob("testdata/checks/*.txtar")
	e := openEngine(t)
	for i, file := range scripts {
		f, _ := contractFolder(t, archive(t, filepath.Join("checks", filepath.Base(file))).Files[0].Data)
		table := f.Table("")
		name := fmt.Sprintf("t%d", i)
		var cols []string
		for _, c := range table.Columns {
			cols = append(cols, QuoteIdent(c.Name)+" "+c.Type.SQL())
		}
		if _, err := e.one("CREATE TABLE " + name + " (" + strings.Join(cols, ", ") + ")"); err != nil {
			t.Fatal(err)
		}
		for _, rows := range []string{"an empty table", "a row of NULLs"} {
			for _, k := range table.Checks {
				switch {
				case k.Predicate != "":
					bad := e.value(t, "count(*) FILTER (WHERE NOT ("+k.Predicate+"))", "FROM "+name)
					want := "0"
					top := !strings.Contains(k.Predicate, " IS NULL OR ")
					if rows == "a row of NULLs" && top && strings.Contains(k.Predicate, " IS NOT NULL") && k.Kind != "properties" {
						want = "1"
					}
					if bad != want {
						t.Errorf("%s: %s counts %s bad rows of %s: %s", file, k.ID, bad, rows, k.Predicate)
					}
				case k.Metric != "":
					e.value(t, k.Metric, "FROM "+name)
				case k.Query != "":
					e.value(t, "CAST(("+strings.ReplaceAll(k.Query, "{object}", name)+") AS DOUBLE)", "")
				}
			}
			if _, err := e.one("INSERT INTO " + name + " (" + QuoteIdent(table.Columns[0].Name) + ") VALUES (NULL)"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestPredicatesMeanWhatTheySay gives the rules of testdata/checks/columns.txtar
// good and bad values.
func TestPredicatesMeanWhatTheySay(t *testing.T) {
	f, _ := contractFolder(t, archive(t, "checks/columns.txtar").Files[0].Data)
	table := f.Table("")
	e := openEngine(t)
	for id, values := range map[string][2]string{
		"order_id.required":        {"1", "NULL"},
		"receipt.length":           {"'äöü'", "'äö'"},
		"receipt.pattern":          {`'R-12'''`, "'xR-12'"},
		"receipt.format":           {"'a@example.com'", "'a at example.com'"},
		`odd "name".length`:        {"'12345678901234567890'", "'123456789012345678901'"},
		`odd "name".enum`:          {"'a''b'", "'a'"},
		"secret_age.range":         {"18", "17"},
		"state.enum":               {"16", "2"},
		"flag.enum":                {"true", "false"},
		"amount.range":             {"999999.99", "1000000"},
		"amount.multipleOf":        {"0.15", "0.16"},
		"ratio.range":              {"-1.49", "-1.5"},
		"ratio.multipleOf":         {"0.3", "0.35"},
		"small.format":             {"65535", "65536"},
		"big.format":               {"18446744073709551615", "-1"},
		"day.range":                {"'2030-12-31'", "'2031-01-01'"},
		"at.range":                 {"'2019-12-31 22:00:01'", "'2019-12-31 22:00:00'"},
		"moment.range":             {"'2020-01-01 01:00:00+01'", "'2020-01-01 00:59:59+01'"},
		"clock.range":              {"'23:30'", "'23:30:01'"},
		"tags.items":               {"['a']", "[]"},
		"tags.uniqueItems":         {"['a', 'b']", "['a', 'a']"},
		"place.properties":         {"{'city': 'x', 'point': NULL}", "{'city': NULL, 'point': NULL}"},
		"place.city.length":        {"{'city': 'x', 'point': NULL}", "{'city': repeat('x', 41), 'point': NULL}"},
		"place.point.lat.required": {"{'city': 'x', 'point': NULL}", "{'city': 'x', 'point': {'lat': NULL}}"},
		"place.point.lat.range":    {"{'city': 'x', 'point': {'lat': -90}}", "{'city': 'x', 'point': {'lat': 91}}"},
	} {
		var found *Check
		for i := range table.Checks {
			if table.Checks[i].ID == "orders."+id {
				found = &table.Checks[i]
			}
		}
		if found == nil {
			t.Errorf("no check is called %s", id)
			continue
		}
		col := table.Column(found.Column)
		for i, want := range []string{"true", "false"} {
			from := "FROM (SELECT CAST(" + values[i] + " AS " + col.Type.SQL() + ") AS " + QuoteIdent(col.Name) + ")"
			if got := e.value(t, found.Predicate, from); got != want {
				t.Errorf("%s of %s is %s, want %s: %s", id, values[i], got, want, found.Predicate)
			}
		}
	}
}

// TestTypesInTheEngine: the engine takes every type and names it so that it is
// read back as the same.
func TestTypesInTheEngine(t *testing.T) {
	e := openEngine(t)
	rapid.Check(t, func(rt *rapid.T) {
		typ := genType(2).Draw(rt, "type")
		name, err := e.one("SELECT typeof(CAST(NULL AS " + typ.SQL() + ")) AS v")
		if err != nil {
			rt.Fatal(err)
		}
		if got, err := FromDuckDB(name); err != nil || !got.Equal(typ) {
			rt.Fatalf("the engine calls %s %q, which is read as %s %v", typ, name, got, err)
		}
	})
}

// TestQuoting sends any text through the engine as a literal and as a name.
func TestQuoting(t *testing.T) {
	e := openEngine(t)
	rapid.Check(t, func(rt *rapid.T) {
		text := strings.ReplaceAll(strings.ToValidUTF8(rapid.String().Draw(rt, "text"), ""), "\x00", "") + "x"
		got, err := e.one("SELECT c." + QuoteIdent(text) + " AS v FROM (SELECT " + QuoteLiteral(text) + " AS " + QuoteIdent(text) + ") c")
		if err != nil || got != text {
			rt.Fatalf("%q comes back as %q %v", text, got, err)
		}
	})
}
