package postgres

import (
	"os"
	"sync"
	"testing"

	"weft/contract"
	"weft/engine"
	"weft/ingest"
	"weft/ingest/ingesttest"
	"weft/ingest/postgres/pgtest"
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
	t.Log(g.Rows("every"), g.Keys, string(g.Position))
}

var _ = contract.ModeAppend
