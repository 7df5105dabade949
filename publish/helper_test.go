package publish

import (
	"os"
	"strings"
	"testing"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/store"
	"weft/store/storetest"
)

func TestMain(m *testing.M) {
	if engine.IsWorker() {
		os.Exit(engine.Work())
	}
	os.Exit(m.Run())
}

// workbench is a session with a stage to write to, and what applies changes.
type workbench struct{ *storetest.Bench }

func newBench(t testing.TB) *workbench { return &workbench{storetest.New(t)} }

// rowsOf is a SELECT of a change's rows, from blocks or from its file.
func rowsOf(d *store.TableData) (string, []engine.Source) {
	if d.File != "" {
		return "SELECT * FROM " + engine.ScanParquet(d.File), nil
	}
	return "SELECT * FROM arrow_source('change')", []engine.Source{{Name: "change", Schema: d.Batches[0].Schema(), Batches: d.Batches}}
}

// apply gives the lines of the state after d.
func (b *workbench) apply(prior *store.Relation, d *store.TableData) []string {
	b.T.Helper()
	if d == nil {
		return b.Lines(prior.SQL)
	}
	rows, src := rowsOf(d)
	switch d.Op {
	case weft.OpReplace:
		return b.Lines(rows, src...)
	case weft.OpAppend:
		return b.Lines("("+prior.SQL+") UNION ALL ("+rows+")", src...)
	}
	cols := []string{}
	for _, f := range d.Schema.Fields() {
		cols = append(cols, contract.QuoteIdent(f.Name))
	}
	list := strings.Join(cols, ", ")
	// Old rows must be there word for word: EXCEPT ALL would pass over one that is not.
	old := "SELECT " + list + " FROM (" + rows + ") WHERE _op IN ('b', 'd')"
	if missing := b.Lines("("+old+") EXCEPT ALL ("+prior.SQL+")", src...); len(missing) > 0 {
		b.T.Fatalf("old rows that were never there: %v", missing)
	}
	return b.Lines("(("+prior.SQL+") EXCEPT ALL ("+old+")) UNION ALL (SELECT "+list+" FROM ("+rows+") WHERE _op IN ('i', 'u'))", src...)
}

func mustMkdir(t testing.TB, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}
