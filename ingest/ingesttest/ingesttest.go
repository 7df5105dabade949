// Package ingesttest helps the tests of drivers: a real engine session, and what
// a read staged as text.
package ingesttest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/ingest"
	"weft/run"
)

// Main runs the tests of a package, or the engine's worker where this process
// was started to be one.
func Main(m *testing.M) {
	if engine.IsWorker() {
		os.Exit(engine.Work())
	}
	os.Exit(m.Run())
}

// Port is an input port to read in tests.
type Port struct {
	T       testing.TB
	Driver  ingest.Driver
	Server  contract.Server
	Dir     string
	Tables  []ingest.Want
	Vars    map[string]string
	Window  *ingest.Window
	Careful bool
	Memory  int64

	Progress func(ingest.Progress)
	pool     *engine.Pool
}

// Table is a Want for a table with columns written like "id bigint"; a column
// without a type is inferred. Without columns everything is read.
func Table(name string, columns ...string) ingest.Want {
	w := ingest.Want{Table: &contract.Table{Name: name}, Strict: len(columns) > 0}
	for _, c := range columns {
		n, t, _ := strings.Cut(c, " ")
		col := ingest.Column{Name: n}
		if t != "" {
			var err error
			if col.Type, err = contract.ParseType("", t); err != nil {
				panic(err)
			}
		}
		w.Columns = append(w.Columns, col)
	}
	return w
}

// Lookup gives the port's variables.
func (p *Port) Lookup(name string) (string, bool) {
	v, ok := p.Vars[name]
	return v, ok
}

// Session opens a session for the port and a staging folder.
func (p *Port) Session() (s engine.Session, stage string) {
	p.T.Helper()
	stage = p.T.TempDir()
	at, err := p.Driver.Locations(&p.Server, p.Dir, p.Lookup)
	if err != nil {
		p.T.Fatal(err)
	}
	if p.pool == nil {
		p.pool = engine.NewPool(engine.PoolConfig{}, run.Quiet())
		p.T.Cleanup(p.pool.Close)
	}
	mem := p.Memory
	if mem == 0 {
		mem = 1 << 30
	}
	s, err = p.pool.Session(context.Background(), engine.SessionConfig{Name: "test", Read: at, Write: stage, Memory: mem})
	if err != nil {
		p.T.Fatal(err)
	}
	p.T.Cleanup(func() { s.Close() })
	return s, stage
}

// Read reads the port from a position.
func (p *Port) Read(ctx context.Context, position []byte) (*Got, error) {
	p.T.Helper()
	s, stage := p.Session()
	res, err := ingest.Drivers{p.Driver}.Read(ctx, ingest.Request{
		Product: weft.Name{Domain: "test", Product: "product"}, Port: &contract.Input{Name: "port"}, Server: &p.Server,
		Tables: p.Tables, Position: position, Window: p.Window, Dir: p.Dir, Stage: stage, Session: s, Lookup: p.Lookup,
		Progress: p.Progress, Careful: p.Careful, Env: run.Quiet(),
		// As in a node: the staging folder lies among its own files.
		Private: func(path string) bool { return strings.HasPrefix(path, stage+"/") },
	})
	if err != nil {
		s.Close()
		return nil, err
	}
	return &Got{Result: res, t: p.T, session: s}, nil
}

// Must is Read without an error.
func (p *Port) Must(position []byte) *Got {
	p.T.Helper()
	g, err := p.Read(context.Background(), position)
	if err != nil {
		p.T.Fatalf("%v (hint: %s)", err, weft.HintOf(err))
	}
	return g
}

// Got is a result whose tables can be looked at.
type Got struct {
	*ingest.Result
	t       testing.TB
	session engine.Session
}

// Rows gives the rows of a table, sorted, one line each, after a line with names
// and types; then its rejected rows.
func (g *Got) Rows(table string) string {
	g.t.Helper()
	for _, s := range g.Tables {
		if s.Table == table {
			return g.text(s)
		}
	}
	return "no table " + table
}

func (g *Got) text(s ingest.Staged) string {
	g.t.Helper()
	var out string
	if len(s.Files) > 0 {
		from := fmt.Sprintf("read_parquet(['%s'])", strings.Join(s.Files, "','"))
		out += g.SQL("SELECT string_agg(column_name || ' ' || column_type, ', ') FROM (DESCRIBE FROM " + from + ")")
		var cols []string
		for n := range strings.Lines(g.SQL("SELECT column_name FROM (DESCRIBE FROM " + from + ")")) {
			cols = append(cols, fmt.Sprintf("coalesce(CAST(%s AS VARCHAR), 'NULL')", contract.QuoteIdent(strings.TrimSpace(n))))
		}
		out += g.SQL("SELECT concat_ws('|', " + strings.Join(cols, ", ") + ") AS r FROM " + from + " ORDER BY r")
	}
	if s.Rejects != "" {
		out += g.SQL("SELECT 'rejected ' || reason || ' @ ' || regexp_replace(place, '.*/', '') || ' ' || row AS r FROM read_parquet('" + s.Rejects + "') ORDER BY place, r")
	}
	return out
}

// SQL runs a SELECT of one text column over what was staged.
func (g *Got) SQL(sql string) string {
	g.t.Helper()
	r, err := g.session.Query(context.Background(), engine.Statement{SQL: sql})
	if err != nil {
		g.t.Fatalf("%v in %s", err, sql)
	}
	defer r.Release()
	var b strings.Builder
	for r.Next() {
		c := r.RecordBatch().Column(0).(*array.String)
		for i := range c.Len() {
			b.WriteString(c.Value(i) + "\n")
		}
	}
	if r.Err() != nil {
		g.t.Fatal(r.Err())
	}
	return b.String()
}
