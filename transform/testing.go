package transform

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/store"
)

// TestTime is what now() means in tests that do not set another time.
var TestTime = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// Checker holds the rows of an output table against the contract's row rules,
// as verify.Rows does. It returns the rows that may be published and the rules
// that others break.
type Checker func(ctx context.Context, s engine.Session, t *contract.Table, rows store.Staged, stage string) (store.Staged, []weft.CheckResult, error)

// Options of a test run.
type Options struct {
	Check Checker   // nil: rows are not held against the contract's rules
	Now   time.Time // what now() means in the SQL; TestTime where not set
	Temp  string    // where scratch folders are made; empty is the system's place
}

// Test runs every case of the folder: the invented rows of tests/CASE stand for
// the inputs, the SQL runs over them, and what comes out is compared with
// expect.TABLE.csv.
//
//   - Input columns have the types of the input contract; others are inferred
//     from the rows, and columns without any value fit every type. A table that
//     the case does not give is empty.
//   - Rows are compared as multisets, on the columns that the expectation names,
//     by the output contract's types: 25.50 is 25.5, floats agree to 12 digits,
//     an empty field is NULL and NULL is the empty text.
//   - Rows that break a row rule, of an input contract or the output's, fail the
//     case, unless the table quarantines them: then they are missing from what is
//     made or compared, and the report says so.
//     Rules about a whole table, such as its row count, are not asked of
//     invented rows.
//
// The error is about running the tests; failures are in the report.
func Test(ctx context.Context, sessions engine.Sessions, f *contract.Folder, o Options) (*Report, error) {
	dir, err := os.MkdirTemp(o.Temp, "weft-test-")
	if err != nil {
		return nil, weft.Errorf(weft.KindUnavailable, "make a scratch folder for the tests of", f.Name.String(), "%w", err)
	}
	defer os.RemoveAll(dir)
	s, err := sessions.Session(ctx, engine.SessionConfig{
		Name: "test " + f.Name.String(), Read: []string{dir}, Write: dir, Memory: 1 << 30, Threads: 1, Ordered: true,
	})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if o.Now.IsZero() {
		o.Now = TestTime
	}
	report := &Report{Product: f.Name}
	for i, c := range f.Cases {
		began := time.Now()
		t := &testCase{Case: c, folder: f, options: o, session: s, dir: filepath.Join(dir, fmt.Sprint(i))}
		if err := os.Mkdir(t.dir, 0o700); err != nil {
			return nil, weft.Errorf(weft.KindUnavailable, "run test", c.Name, "%w", err)
		}
		if err := t.run(ctx); err != nil {
			if ctx.Err() != nil || weft.KindOf(err) == weft.KindUnavailable {
				return nil, err
			}
			t.fail("", err)
		}
		report.Cases = append(report.Cases, CaseResult{Name: c.Name, Failures: t.failures, Notes: t.notes, Took: time.Since(began)})
	}
	return report, nil
}

// testCase is one case while it runs.
type testCase struct {
	*contract.Case
	folder   *contract.Folder
	options  Options
	session  engine.Session
	dir      string
	failures []Failure
	notes    []string
}

func (t *testCase) fail(table string, err error) {
	f := Failure{Table: table, Text: err.Error(), Hint: weft.HintOf(err)}
	t.failures = append(t.failures, f)
}

func (t *testCase) run(ctx context.Context) error {
	inputs, err := t.inputs(ctx)
	if err != nil {
		return err
	}
	r := Request{Folder: t.folder, Inputs: inputs, Stage: t.dir, Session: t.session, Now: t.options.Now}
	made := map[string]store.Staged{}
	for _, table := range t.folder.Tables() {
		var s store.Staged
		var err error
		if file := filepath.Join(t.dir, "out-"+table.Name+".parquet"); table.SQL != "" {
			s, err = r.table(ctx, table, file)
		} else {
			s, err = t.pass(ctx, table, inputs, file)
		}
		if err == nil {
			s, err = t.check(ctx, table, s)
		}
		if err != nil {
			t.fail(table.Name, err)
			continue
		}
		made[table.Name] = s
	}
	for _, name := range slices.Sorted(maps.Keys(t.Expect)) {
		table := t.folder.Table(name)
		if table == nil {
			t.fail(name, weft.Errorf(weft.KindInvalid, "compare", "expect."+name+".csv", "no output table is called %s", name))
			continue
		}
		if s, ok := made[name]; ok {
			if err := t.compare(ctx, table, s); err != nil {
				t.fail(name, err)
			}
		}
	}
	return nil
}

// pass makes an output table that has no SQL of its input's rows.
func (t *testCase) pass(ctx context.Context, table *contract.Table, inputs []InputTable, file string) (store.Staged, error) {
	from, name, err := t.folder.Source(table)
	if err != nil {
		return store.Staged{}, err
	}
	port := from.Name
	i := slices.IndexFunc(inputs, func(in InputTable) bool {
		return in.Port == port && (in.Table == name || name == "" && (in.Table == table.Name || in.Table == port))
	})
	if i < 0 {
		return store.Staged{}, weft.Errorf(weft.KindInvalid, "make table", table.Name, "it has no SQL and no input of its name")
	}
	q := engine.Statement{SQL: inputs[i].Relation.SQL}
	found, err := describe(ctx, t.session, q)
	if err != nil {
		return store.Staged{}, err
	}
	// The source may call a column otherwise; the input contract says so, or the
	// output's.
	in := t.inputContract(port, inputs[i].Table)
	var renames string
	for _, c := range table.Columns {
		from := c.PhysicalName
		if in != nil && in.Column(c.Name) != nil && in.Column(c.Name).PhysicalName != "" {
			from = in.Column(c.Name).PhysicalName
		}
		has := func(name string) bool {
			return slices.ContainsFunc(found, func(f column) bool { return f.name == name })
		}
		if from == "" || has(c.Name) || !has(from) {
			from = c.Name
		}
		if has(from) {
			if renames != "" {
				renames += ", "
			}
			renames += contract.QuoteIdent(from) + " AS " + contract.QuoteIdent(c.Name)
		}
	}
	if renames == "" {
		renames = "1 AS nothing"
	}
	return cast(ctx, t.session, t.folder.Name, table, engine.Statement{SQL: "SELECT " + renames + " FROM (" + q.SQL + ")"}, file)
}

// check holds the made rows against the row rules and notes what is held back.
func (t *testCase) check(ctx context.Context, table *contract.Table, s store.Staged) (store.Staged, error) {
	if t.options.Check == nil {
		return s, nil
	}
	label := table.Name
	if s.Port != "" {
		label = s.Port + "." + table.Name
	}
	stage := filepath.Join(t.dir, "check-"+label) // the files of two tables are called alike
	if err := os.Mkdir(stage, 0o700); err != nil {
		return s, weft.Errorf(weft.KindUnavailable, "run test", t.Name, "%w", err)
	}
	good, broken, err := t.options.Check(ctx, t.session, table, s, stage)
	if err != nil {
		return s, err
	}
	for _, b := range broken {
		switch {
		case b.Error != "":
			t.fail(label, weft.Errorf(weft.KindContract, "check", b.ID, "the rule %q cannot be evaluated: %s", b.Text, b.Error))
		case b.Severity != weft.SeverityError:
			t.notes = append(t.notes, fmt.Sprintf("%s: %q does not hold in %s (%s)", label, b.Text, rowCount(fmt.Sprint(b.Failed)), b.Severity))
		case table.OnViolation == contract.Quarantine:
			t.notes = append(t.notes, fmt.Sprintf("%s: %s would be held back: %q does not hold", label, rowCount(fmt.Sprint(b.Failed)), b.Text))
		default:
			t.fail(label, weft.Errorf(weft.KindContract, "check", b.ID, "%q does not hold in %s of %d, so the commit would be refused", b.Text, rowCount(fmt.Sprint(b.Failed)), b.Total))
		}
	}
	return good, nil
}
