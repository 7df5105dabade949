package postgres

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/ingest"
	"weft/ingest/ingesttest"
	"weft/ingest/postgres/pgtest"
	"weft/run"
)

var server struct {
	once sync.Once
	s    *pgtest.Server
	err  error
}

func TestMain(m *testing.M) {
	if engine.IsWorker() {
		os.Exit(engine.Work())
	}
	code := m.Run()
	if server.s != nil {
		server.s.Close()
	}
	os.Exit(code)
}

// real is the one server that the tests of this package share.
func real(t testing.TB) *pgtest.Server {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a PostgreSQL server")
	}
	server.once.Do(func() { server.s, server.err = pgtest.Start() })
	if server.err != nil {
		t.Fatal(server.err)
	}
	return server.s
}

// port reads tables of a new database that sql made.
func port(t testing.TB, sql string, tables ...ingest.Want) *ingesttest.Port {
	t.Helper()
	s := real(t)
	return &ingesttest.Port{T: t, Driver: New(), Server: s.Contract(s.Database(t, sql)), Tables: tables}
}

const everything = `
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN amount AS numeric(10,2) CHECK (value >= 0);
CREATE TABLE every (
  id bigint PRIMARY KEY, b bool, i2 int2, i4 int4, f4 float4, f8 float8, n numeric(12,3), nn numeric, t text, v varchar(10), c char(4), q "char", nm name,
  by bytea, d date, tm time, ts timestamp, tz timestamptz, u uuid, j json, jb jsonb, e mood, a int4[], ta text[], na numeric(6,2)[], dom amount, iv interval, ip inet, m money
);
INSERT INTO every VALUES
 (1, true, -32768, 2147483647, 1.5, -0.1, -123456789.125, 123456789012345678901234567.123456789, 'héllo', 'v', 'ab', 'x', 'nm',
  '\x00ff', '1999-12-31', '23:59:59.999999', '1969-12-31 23:59:59.5', '2024-02-29 12:00:00+02', '550e8400-e29b-41d4-a716-446655440000', '{"a": 1}', '{"b": [1, 2]}', 'ok',
  '{1,NULL,3}', '{a,"b,c"}', '{1.50,-2}', 9.99, '1 day 02:00', '10.0.0.1', 12.5),
 (2, NULL, NULL, NULL, 'NaN', 'Infinity', 0, 0, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', NULL, NULL, NULL, NULL, NULL, NULL);
`

func TestTypes(t *testing.T) {
	g := port(t, everything, ingesttest.Table("every")).Must(nil)
	want := `id BIGINT, b BOOLEAN, i2 SMALLINT, i4 INTEGER, f4 FLOAT, f8 DOUBLE, n DECIMAL(12,3), nn DECIMAL(38,9), t VARCHAR, v VARCHAR, c VARCHAR, q VARCHAR, nm VARCHAR, by BLOB, d DATE, tm TIME, ts TIMESTAMP, tz TIMESTAMP WITH TIME ZONE, u UUID, j VARCHAR, jb VARCHAR, e VARCHAR, a INTEGER[], ta VARCHAR[], na DECIMAL(6,2)[], dom DECIMAL(10,2), iv VARCHAR, ip VARCHAR, m VARCHAR
1|true|-32768|2147483647|1.5|-0.1|-123456789.125|123456789012345678901234567.123456789|héllo|v|ab  |x|nm|\x00\xFF|1999-12-31|23:59:59.999999|1969-12-31 23:59:59.5|2024-02-29 10:00:00+00|550e8400-e29b-41d4-a716-446655440000|{"a": 1}|{"b": [1, 2]}|ok|[1, NULL, 3]|[a, 'b,c']|[1.50, -2.00]|9.99|1 day 02:00:00|10.0.0.1/32|$12.50
2|NULL|NULL|NULL|nan|inf|0.000|0.000000000||NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|NULL|[]|NULL|NULL|NULL|NULL|NULL|NULL
`
	if got := g.Rows("every"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if k := g.Keys["every"]; len(k) != 1 || k[0] != "id" {
		t.Errorf("key %v", k)
	}
}

// TestRejects: a value that no type has rejects its row, with the column's name.
func TestRejects(t *testing.T) {
	p := port(t, `CREATE TABLE r (id int8, until date, at timestamptz, n numeric, l int4[]);
INSERT INTO r VALUES (1, 'infinity', NULL, 1, '{1}'), (2, '2024-01-01', '-infinity', 1, NULL), (3, NULL, NULL, 'NaN', NULL), (4, NULL, NULL, 0.0000000001, NULL),
 (5, NULL, NULL, NULL, '{{1,2},{3,4}}'), (6, '2024-01-01', '2024-01-01 00:00+00', 1.5, '{2}'), (3000000000, NULL, NULL, NULL, NULL)`,
		ingesttest.Table("r", "id integer", "until", "at", "n", "l"))
	want := `id INTEGER, until DATE, at TIMESTAMP WITH TIME ZONE, n DECIMAL(38,9), l INTEGER[]
1|infinity|NULL|1.000000000|[1]
2|2024-01-01|-infinity|1.000000000|NULL
6|2024-01-01|2024-01-01 00:00:00+00|1.500000000|[2]
rejected column l: the array has more than one dimension @ table "public"."r" {"id":"5","until":null,"at":null,"n":null,"l":null}
rejected column n: NaN and infinity have no place in a decimal @ table "public"."r" {"id":"3","until":null,"at":null,"n":null,"l":null}
rejected column n: the number has more than 9 decimals @ table "public"."r" {"id":"4","until":null,"at":null,"n":null,"l":null}
rejected type integer: column id @ table "public"."r" {"id":"3000000000","until":null,"at":null,"n":null,"l":null}
`
	if got := p.Must(nil).Rows("r"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestSnapshot: unchanged is unchanged, both tables are of one moment, views and
// partitions are tables too, chunks make parts.
func TestSnapshot(t *testing.T) {
	p := port(t, `CREATE TABLE a (id int primary key, x text); INSERT INTO a SELECT g, 'x' || g FROM generate_series(1, 2500) g;
CREATE VIEW b AS SELECT id AS key, x FROM a WHERE id < 10;
CREATE TABLE "Odd Name" (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE odd1 PARTITION OF "Odd Name" FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO "Odd Name" VALUES (1, '2024-05-05'); CREATE TABLE nothing (id int)`,
		ingesttest.Table("a"), ingesttest.Table("b", "key bigint"), ingesttest.Table("odd"), ingesttest.Table("nothing"))
	p.Tables[2].Table.PhysicalName = "Odd Name"
	p.Driver = Driver{ChunkRows: 1000}
	g := p.Must(nil)
	if s := g.Tables[0]; s.Rows != 2500 || len(s.Files) != 3 || !s.Full {
		t.Errorf("%+v", s)
	}
	if got := g.Rows("odd"); got != "id INTEGER, day DATE\n1|2024-05-05\n" {
		t.Error(got)
	}
	if g.Tables[1].Rows != 9 || g.Tables[3].Rows != 0 || len(g.Notes) != 1 {
		t.Errorf("%+v %v", g.Tables, g.Notes)
	}
	if !p.Must(g.Position).Unchanged {
		t.Error("an unchanged database was staged again")
	}
	server.s.Exec(t, p.Server.Database, "UPDATE a SET x = 'new' WHERE id = 7")
	if h := p.Must(g.Position); h.Unchanged || h.Tables[0].Rows != 2500 {
		t.Error("a change was not seen")
	}
}

// TestCursor: append and upsert read on from the largest value of the cursor.
func TestCursor(t *testing.T) {
	for _, mode := range []contract.Mode{contract.ModeAppend, contract.ModeUpsert} {
		t.Run(string(mode), func(t *testing.T) {
			p := port(t, `CREATE TABLE a (id int, at timestamptz); INSERT INTO a VALUES (1, '2024-01-01'), (2, '2024-01-02')`, ingesttest.Table("a", "id", "at"))
			p.Server.Mode = mode
			ctx := context.Background()
			if _, err := p.Read(ctx, nil); weft.KindOf(err) != weft.KindInvalid || !strings.Contains(weft.HintOf(err), "weftCursor") {
				t.Errorf("without a cursor: %v", err)
			}
			p.Server.Cursor = "at"
			g := p.Must(nil)
			if g.Tables[0].Rows != 2 || g.Tables[0].Full {
				t.Errorf("%+v", g.Tables[0])
			}
			if !p.Must(g.Position).Unchanged {
				t.Error("old rows were read again")
			}
			server.s.Exec(t, p.Server.Database, "INSERT INTO a VALUES (3, '2024-01-03'), (4, NULL)")
			h := p.Must(g.Position)
			if got := h.Rows("a"); got != "id INTEGER, at TIMESTAMP WITH TIME ZONE\n3|2024-01-03 00:00:00+00\n" {
				t.Error(got)
			}
			day := func(d int) time.Time { return time.Date(2024, 1, d, 0, 0, 0, 0, time.UTC) }
			p.Window = &ingest.Window{From: day(2), To: day(3)}
			w := p.Must(h.Position)
			if mode == contract.ModeUpsert && (w.Unchanged || w.Tables[0].Rows != 1 || string(w.Position) != string(h.Position)) {
				t.Errorf("an upsert window: %+v %s", w.Tables, w.Position)
			}
			if mode == contract.ModeAppend && !w.Unchanged {
				t.Error("an append window read old rows again")
			}
			p.Window = &ingest.Window{From: day(3)}
			if _, err := p.Read(ctx, nil); (weft.KindOf(err) == weft.KindInvalid) != (mode == contract.ModeAppend) {
				t.Errorf("a window that leaves a gap: %v", err)
			}
			p.Window, p.Server.Cursor = nil, "nope"
			if _, err := p.Read(ctx, nil); weft.KindOf(err) != weft.KindDrift {
				t.Errorf("a missing cursor: %v", err)
			}
		})
	}
}

// TestLateRows: rows that come later with the cursor's last value are read, once
// each, and rows that were read are not read again by an append.
func TestLateRows(t *testing.T) {
	const head = "id INTEGER, day DATE\n"
	for _, mode := range []contract.Mode{contract.ModeAppend, contract.ModeUpsert} {
		t.Run(string(mode), func(t *testing.T) {
			p := port(t, `CREATE TABLE a (id int, day date, hidden int); INSERT INTO a VALUES (1, '2024-01-01'), (2, '2024-01-02'), (2, '2024-01-02')`, ingesttest.Table("a", "id", "day"))
			p.Server.Mode, p.Server.Cursor = mode, "day"
			g := p.Must(nil)
			for _, step := range []struct{ sql, want string }{
				{"INSERT INTO a VALUES (3, '2024-01-02')", "3|2024-01-02\n"},
				{"INSERT INTO a VALUES (2, '2024-01-02'), (3, '2024-01-02')", "2|2024-01-02\n3|2024-01-02\n"},
				{"INSERT INTO a VALUES (4, '2024-01-02'), (5, '2024-01-05')", "4|2024-01-02\n5|2024-01-05\n"},
				{"INSERT INTO a VALUES (0, '2024-01-02')", ""}, // below the cursor: only a snapshot would see it
				{"DELETE FROM a WHERE id = 5", ""},
				{"INSERT INTO a VALUES (6, '2024-01-05')", "6|2024-01-05\n"},
				{"UPDATE a SET hidden = 1", ""}, // a column that is not read
			} {
				server.s.Exec(t, p.Server.Database, step.sql)
				h := p.Must(g.Position)
				if h.Unchanged != (step.want == "") || !h.Unchanged && h.Rows("a") != head+step.want {
					t.Fatalf("%s: unchanged %v", step.sql, h.Unchanged)
				}
				if !h.Unchanged {
					g = h
				}
				if !p.Must(g.Position).Unchanged {
					t.Fatalf("%s: read again", step.sql)
				}
			}
			// A contract with more columns cannot know what was read: an upsert reads
			// the last value again, an append goes on behind it.
			p.Tables[0] = ingesttest.Table("a", "id", "day", "hidden")
			if h := p.Must(g.Position); h.Unchanged != (mode == contract.ModeAppend) {
				t.Errorf("other columns: unchanged %v", h.Unchanged)
			}
		})
	}
}

// TestLateRowsBeforeTheWindow: an append with a window reads late rows of the
// cursor's last value also where the window begins behind it; nothing would come
// back to them.
func TestLateRowsBeforeTheWindow(t *testing.T) {
	p := port(t, `CREATE TABLE a (id int, day date); INSERT INTO a VALUES (1, '2024-01-01'), (2, '2024-01-02')`, ingesttest.Table("a", "id", "day"))
	p.Server.Mode, p.Server.Cursor = contract.ModeAppend, "day"
	g := p.Must(nil)
	server.s.Exec(t, p.Server.Database, "INSERT INTO a VALUES (3, '2024-01-02'), (4, '2024-01-03'), (5, '2024-01-05')")
	p.Window = &ingest.Window{From: time.Date(2024, 1, 3, 0, 0, 0, 0, time.UTC), To: time.Date(2024, 1, 4, 0, 0, 0, 0, time.UTC)}
	g = p.Must(g.Position)
	if got, want := g.Rows("a"), "id INTEGER, day DATE\n3|2024-01-02\n4|2024-01-03\n"; got != want {
		t.Errorf("with the window: %s", got)
	}
	p.Window = nil
	if got, want := p.Must(g.Position).Rows("a"), "id INTEGER, day DATE\n5|2024-01-05\n"; got != want {
		t.Errorf("after it: %s", got)
	}
}

// TestLateRowsOfOtherColumns: an append that cannot tell late rows, since other
// columns are read now, says how many it leaves out.
func TestLateRowsOfOtherColumns(t *testing.T) {
	p := port(t, `CREATE TABLE a (id int, day date, more int); INSERT INTO a VALUES (1, '2024-01-02')`, ingesttest.Table("a", "id", "day"))
	p.Server.Mode, p.Server.Cursor = contract.ModeAppend, "day"
	first := p.Must(nil)
	p.Tables[0] = ingesttest.Table("a", "id", "day", "more")
	server.s.Exec(t, p.Server.Database, "INSERT INTO a VALUES (2, '2024-01-03', 7)")
	if g := p.Must(first.Position); len(g.Notes) != 0 || g.Tables[0].Rows != 1 {
		t.Errorf("nothing was late: %d rows, %v", g.Tables[0].Rows, g.Notes)
	}
	server.s.Exec(t, p.Server.Database, "INSERT INTO a VALUES (3, '2024-01-02', 7), (4, '2024-01-02', 8)")
	if g := p.Must(first.Position); len(g.Notes) != 1 || !strings.Contains(g.Notes[0], "2 rows came later") || g.Tables[0].Rows != 1 {
		t.Errorf("two were late: %d rows, %v", g.Tables[0].Rows, g.Notes)
	}
}

// TestManyAtTheCursor: more rows with one value than are remembered.
func TestManyAtTheCursor(t *testing.T) {
	for _, mode := range []contract.Mode{contract.ModeAppend, contract.ModeUpsert} {
		p := port(t, fmt.Sprintf("CREATE TABLE a AS SELECT g AS id, date '2024-01-02' AS day FROM generate_series(1, %d) g", maxEdge+1), ingesttest.Table("a", "id", "day"))
		p.Server.Mode, p.Server.Cursor = mode, "day"
		g := p.Must(nil)
		if len(g.Position) > 500 {
			t.Errorf("a position of %d bytes", len(g.Position))
		}
		if !p.Must(g.Position).Unchanged {
			t.Error("read again")
		}
		server.s.Exec(t, p.Server.Database, "INSERT INTO a VALUES (-1, '2024-01-02'), (-2, '2024-01-03')")
		h := p.Must(g.Position)
		if mode == contract.ModeUpsert && h.Tables[0].Rows != maxEdge+3 {
			t.Errorf("an upsert read %d rows", h.Tables[0].Rows)
		}
		if mode == contract.ModeAppend && (h.Tables[0].Rows != 1 || len(h.Notes) != 1 || !strings.Contains(h.Notes[0], "finer weftCursor")) {
			t.Errorf("an append read %d rows: %v", h.Tables[0].Rows, h.Notes)
		}
	}
}

// TestUnchangedIsNotRead: where the server proves that nothing was written, no
// row is read; whatever could change rows without its counters is.
func TestUnchangedIsNotRead(t *testing.T) {
	own, err := startOwn(t)
	if err != nil {
		t.Fatal(err)
	}
	db := own.Database(t, `CREATE TABLE a AS SELECT g AS id FROM generate_series(1, 1000) g; CREATE VIEW v AS SELECT * FROM a; CREATE UNLOGGED TABLE u AS SELECT 1 AS id;
CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE s (id int); ALTER TABLE s ENABLE ROW LEVEL SECURITY; CREATE TABLE other (id int)`)
	read := func(at []byte, tables ...string) (*ingesttest.Got, int64) {
		t.Helper()
		var seen int64
		p := &ingesttest.Port{T: t, Driver: New(), Server: own.Contract(db), Progress: func(p ingest.Progress) { seen += p.Bytes }}
		for _, name := range tables {
			p.Tables = append(p.Tables, ingesttest.Table(name))
		}
		return p.Must(at), seen
	}
	stamped := func(g *ingesttest.Got) bool { return strings.Contains(string(g.Position), "stamp") }
	for name, proved := range map[string]bool{"a": true, "p": true, "v": false, "u": false, "s": false} {
		if g, _ := read(nil, name); stamped(g) != proved {
			t.Errorf("table %s: %s", name, g.Position)
		}
	}
	g, _ := read(nil, "a", "p")
	if h, seen := read(g.Position, "a", "p"); !h.Unchanged || seen != 0 {
		t.Errorf("unchanged %v, after %d bytes", h.Unchanged, seen)
	}
	if _, seen := read(g.Position, "a"); seen == 0 {
		t.Error("a position of other tables was believed")
	}
	// Something else is written: the rows are read, and the next look knows.
	own.Exec(t, db, "INSERT INTO other VALUES (1)")
	h, seen := read(g.Position, "a", "p")
	if !h.Unchanged || seen == 0 || string(h.Position) == string(g.Position) {
		t.Errorf("unchanged %v, after %d bytes: %s", h.Unchanged, seen, h.Position)
	}
	if h, seen := read(h.Position, "a", "p"); !h.Unchanged || seen != 0 {
		t.Errorf("unchanged %v, after %d bytes", h.Unchanged, seen)
	}
	// A transaction that is running may commit what the counters do not tell.
	writer := own.Connect(t, db)
	if _, err := writer.Exec(context.Background(), "BEGIN; UPDATE a SET id = -id"); err != nil {
		t.Fatal(err)
	}
	busy, _ := read(nil, "a", "p")
	if _, err := writer.Exec(context.Background(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if h, _ := read(busy.Position, "a", "p"); h.Unchanged {
		t.Errorf("the commit was not seen from %s", busy.Position)
	}
	if h, _ := read(g.Position, "a", "p"); h.Unchanged {
		t.Error("the commit was not seen")
	}
	// A crash of one process of the server takes back what was not yet on disk.
	g, _ = read(nil, "a", "p")
	own.CrashBackend(t, db)
	if h, seen := read(g.Position, "a", "p"); !h.Unchanged || seen == 0 {
		t.Errorf("after a crash: unchanged %v, after %d bytes", h.Unchanged, seen)
	}
}

func startOwn(t *testing.T) (*pgtest.Server, error) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a PostgreSQL server")
	}
	own, err := pgtest.Start()
	if err == nil {
		t.Cleanup(own.Close)
	}
	return own, err
}

// TestDriftAndFaults: each names what is wrong, and never the password.
func TestDriftAndFaults(t *testing.T) {
	p := port(t, `CREATE TABLE a (id int, quantity int, name text); CREATE TABLE locked (id int); DROP ROLE IF EXISTS poor; CREATE ROLE poor LOGIN`, ingesttest.Table("a", "id int", "qty int"))
	for name, c := range map[string]struct {
		change func(*contract.Server)
		table  ingest.Want
		kind   weft.Kind
		want   string
	}{
		"renamed":      {nil, ingesttest.Table("a", "id int", "qty int"), weft.KindDrift, "`quantity`: did it get renamed?"},
		"type":         {nil, ingesttest.Table("a", "name date"), weft.KindDrift, "column `name` changed its type: date is expected"},
		"no table":     {nil, ingesttest.Table("b"), weft.KindDrift, `table "public"."b" is missing`},
		"no grant":     {func(s *contract.Server) { s.User = "poor" }, ingesttest.Table("locked"), weft.KindDenied, "permission denied"},
		"no database":  {func(s *contract.Server) { s.Database = "nope" }, ingesttest.Table("a"), weft.KindInvalid, "does not exist"},
		"no user":      {func(s *contract.Server) { s.User, s.Password = "nobody_here", "${SECRET}" }, ingesttest.Table("a"), weft.KindDenied, "does not exist"},
		"nobody there": {func(s *contract.Server) { s.Host, s.Port, s.Password = "127.0.0.1", "1", "${SECRET}" }, ingesttest.Table("a"), weft.KindUnavailable, "refused"},
		"no variable":  {func(s *contract.Server) { s.Password = "${NOT_SET}" }, ingesttest.Table("a"), weft.KindInvalid, "NOT_SET"},
		"injection":    {nil, ingesttest.Table(`a"; DROP TABLE a; --`), weft.KindDrift, "is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			q := *p
			q.T, q.Tables, q.Vars = t, []ingest.Want{c.table}, map[string]string{"SECRET": "hunter2"}
			if c.change != nil {
				c.change(&q.Server)
			}
			_, err := q.Read(context.Background(), nil)
			if weft.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", weft.KindOf(err), err)
			}
			if err != nil && strings.Contains(err.Error()+weft.HintOf(err), "hunter2") {
				t.Errorf("the password is in %v", err)
			}
		})
	}
}

// killing ends the server at the first chunk that is staged.
type killing struct {
	engine.Session
	once sync.Once
	kill func()
}

func (k *killing) Exec(ctx context.Context, st engine.Statement) (int64, error) {
	k.once.Do(k.kill)
	return k.Session.Exec(ctx, st)
}

// TestServerGoesAway kills the server in the middle of a COPY.
func TestServerGoesAway(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a PostgreSQL server")
	}
	own, err := pgtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(own.Close)
	db := own.Database(t, "CREATE TABLE a AS SELECT g AS id, repeat('x', 200) AS x FROM generate_series(1, 300000) g")
	p := &ingesttest.Port{T: t, Driver: Driver{ChunkRows: 1000}, Server: own.Contract(db), Tables: []ingest.Want{ingesttest.Table("a")}}
	s, stage := p.Session()
	_, err = p.Driver.Read(context.Background(), ingest.Request{Server: &p.Server, Tables: p.Tables, Stage: stage, Session: &killing{Session: s, kill: own.Kill}, Env: run.Quiet()})
	if weft.KindOf(err) != weft.KindUnavailable || !strings.Contains(err.Error(), "went away") {
		t.Errorf("%s: %v", weft.KindOf(err), err)
	}
	if err := own.Restart(); err != nil {
		t.Fatal(err)
	}
	if g := p.Must(nil); g.Tables[0].Rows != 300_000 {
		t.Errorf("%d rows after the restart", g.Tables[0].Rows)
	}
}

// TestShape: what a draft contract needs, the declared key first.
func TestShape(t *testing.T) {
	p := port(t, `CREATE TABLE orders (no text, id int PRIMARY KEY, email text, state text, amount numeric(8,2));
INSERT INTO orders SELECT 'n' || g, g, 'person' || g || '@example.com', CASE WHEN g % 3 = 0 THEN 'paid' ELSE 'open' END, g / 4.0 FROM generate_series(1, 200) g`, ingesttest.Table("orders"))
	s, stage := p.Session()
	shape, err := ingest.Drivers{p.Driver}.Shape(context.Background(), ingest.Request{Server: &p.Server, Tables: p.Tables, Stage: stage, Session: s, Env: run.Quiet()})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%+v", shape.Tables); strings.Contains(got, "person") || !strings.Contains(got, "Key:[id]") || !strings.Contains(got, "Enum:[open paid]") || !strings.Contains(got, "Min:0.25 Max:50.00") {
		t.Error(got)
	}
}
