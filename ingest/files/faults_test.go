package files

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/ingest"
	"weft/ingest/ingesttest"
	"weft/run"
)

func manyLines(n int) string {
	var b strings.Builder
	b.WriteString("id,qty,name\n")
	for i := range n {
		fmt.Fprintf(&b, "%d,%d,name %d\n", i, i%100, i)
	}
	return b.String()
}

// TestTruncated: a file that is cut off is named, and nothing is staged for it.
func TestTruncated(t *testing.T) {
	text := manyLines(20_000)
	half := func(s string) string { return s[:len(s)/2] }
	for name, c := range map[string]struct{ file, text string }{
		"gzip":           {"a.csv.gz", half(gz(text))},
		"zstd":           {"a.csv.zst", half(zst(text))},
		"gzip of ndjson": {"a.ndjson.gz", half(gz(strings.Repeat(`{"id":1,"qty":2,"name":"x"}`+"\n", 100_000)))},
		"json":           {"a.json", `[{"id":1,"qty":2,"name":"x"},{"id":2,"qt`},
		"parquet":        {"a.parquet", "PAR1" + strings.Repeat("x", 1000)},
		"empty parquet":  {"a.parquet", ""},
		"damaged gzip":   {"a.csv.gz", strings.Replace(gz(text), gz(text)[5000:5010], "0123456789", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			p := port(t, map[string]string{c.file: c.text}, c.file, ingesttest.Table("t", "id bigint", "qty", "name"))
			_, err := p.Read(context.Background(), nil)
			if k := weft.KindOf(err); k != weft.KindUnavailable && k != weft.KindInvalid || !strings.Contains(err.Error(), c.file) {
				t.Errorf("%s: %v", k, err)
			}
		})
	}
}

// meddling changes the source in the middle of the first COPY.
type meddling struct {
	engine.Session
	meddle func()
}

func (m *meddling) Exec(ctx context.Context, st engine.Statement) (int64, error) {
	n, err := m.Session.Exec(ctx, st)
	if strings.HasPrefix(st.SQL, "COPY") && m.meddle != nil {
		m.meddle()
		m.meddle = nil
	}
	return n, err
}

// TestMovedWhileRead: a file that changes or goes away during the read is
// unavailable, whatever the engine made of it.
func TestMovedWhileRead(t *testing.T) {
	for name, meddle := range map[string]func(path string){
		"grew":      func(p string) { _ = os.WriteFile(p, []byte("id\n1\n2\n3\n"), 0o600) },
		"went away": func(p string) { _ = os.Remove(p) },
	} {
		t.Run(name, func(t *testing.T) {
			p := port(t, map[string]string{"a.csv": "id\n1\n"}, "a.csv", ingesttest.Table("t", "id bigint"))
			s, stage := p.Session()
			_, err := New().Read(context.Background(), ingest.Request{
				Server: &p.Server, Tables: p.Tables, Dir: p.Dir, Stage: stage, Env: run.Quiet(),
				Session: &meddling{s, func() { meddle(filepath.Join(p.Dir, "a.csv")) }},
			})
			if weft.KindOf(err) != weft.KindUnavailable || !strings.Contains(err.Error(), "while it was read") {
				t.Errorf("%s: %v", weft.KindOf(err), err)
			}
		})
	}
}

// TestBrokenLineInAMillion finds one broken line among many and keeps the rest.
func TestBrokenLineInAMillion(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	text := []byte(manyLines(n))
	at := bytes.Index(text, []byte(fmt.Sprintf("\n%d,", n/2)))
	end := bytes.IndexByte(text[at+1:], '\n') + at + 1
	text = append(text[:at:at], append([]byte("\n7,only two"), text[end:]...)...)
	p := port(t, map[string]string{"a.csv": string(text)}, "a.csv", ingesttest.Table("t", "id bigint", "qty integer", "name text"))
	told := 0
	p.Progress = func(g ingest.Progress) {
		if told++; g.Bytes > g.TotalBytes {
			t.Errorf("%d of %d bytes", g.Bytes, g.TotalBytes)
		}
	}
	g := p.Must(nil)
	s := g.Tables[0]
	if s.Rows != int64(n-1) || s.RejectRows != 1 || told == 0 {
		t.Fatalf("%d rows, %d rejected, progress told %d times", s.Rows, s.RejectRows, told)
	}
	want := fmt.Sprintf("line %d: expected 3 columns, found 2|a.csv:%d|{\"line\":\"7,only two\"}\n", n/2+2, n/2+2)
	got := g.SQL("SELECT reason || '|' || regexp_replace(place, '.*/', '') || '|' || row FROM read_parquet('" + s.Rejects + "')")
	if got != want {
		t.Errorf("got %s want %s", got, want)
	}
	if sum := g.SQL(fmt.Sprintf("SELECT CAST(sum(id) AS VARCHAR) FROM read_parquet('%s')", s.Files[0])); sum != fmt.Sprintf("%d\n", n*(n-1)/2-n/2) {
		t.Errorf("the sum is %s", sum)
	}
}

// TestParquet: columns by name, numbers of other widths, another family is
// drift, values that do not fit are rejected with their row.
func TestParquet(t *testing.T) {
	p := port(t, map[string]string{"a.csv": "id\n1\n"}, "a.csv", ingesttest.Table("t"))
	s, stage := p.Session()
	file := filepath.Join(stage, "src.parquet")
	make := func(sql string) {
		t.Helper()
		if _, err := s.Exec(context.Background(), engine.Statement{SQL: "COPY (" + sql + ") TO '" + file + "' (FORMAT parquet)"}); err != nil {
			t.Fatal(err)
		}
	}
	q := &ingesttest.Port{T: t, Driver: New(), Server: contract.Server{Name: "s", Type: "local", Path: file}}
	typed := ingesttest.Table("t", "id integer", "amount numeric(10,2)", "at timestamp")
	make(`SELECT * FROM (VALUES (1::BIGINT, 1.5::DOUBLE, TIMESTAMP_NS '2024-01-02 03:04:05', 'x'), (2, 99999999999, NULL, 'y'), (3000000000, 1, NULL, 'z'), (4, NULL, NULL, NULL)) v(id, amount, "at", extra)`)
	q.Tables = []ingest.Want{typed}
	same(t, q.Must(nil).Rows("t"), `id INTEGER, amount DECIMAL(10,2), at TIMESTAMP
1|1.50|2024-01-02 03:04:05
4|NULL|NULL
rejected type numeric(10,2): column amount @ src.parquet:row 2 {"id":"2","amount":"99999999999.0","at":null,"extra":"y"}
rejected type integer: column id @ src.parquet:row 3 {"id":"3000000000","amount":"1.0","at":null,"extra":"z"}`)
	q.Tables = []ingest.Want{ingesttest.Table("t")}
	make(`SELECT 1::UTINYINT AS u, 2::UBIGINT AS ub, 3::HUGEINT AS h, [1, 2] AS l, {'a': 1, 'b': 'x'} AS st, 'x'::BLOB AS b, TIMESTAMPTZ '2024-01-02 03:04:05+00' AS tz, INTERVAL 1 DAY AS i, MAP {'k': 1} AS m, uuid '550e8400-e29b-41d4-a716-446655440000' AS id, time '10:00' AS tm, 'a'::ENUM ('a', 'b') AS e`)
	same(t, q.Must(nil).Rows("t"), `u SMALLINT, ub DECIMAL(20,0), h DOUBLE, l INTEGER[], st STRUCT(a INTEGER, b VARCHAR), b BLOB, tz TIMESTAMP WITH TIME ZONE, i VARCHAR, m VARCHAR, id UUID, tm TIME, e VARCHAR
1|2|3.0|[1, 2]|{'a': 1, 'b': x}|x|2024-01-02 03:04:05+00|1 day|{k=1}|550e8400-e29b-41d4-a716-446655440000|10:00:00|a`)
	q.Tables = []ingest.Want{typed}
	make("SELECT 'one' AS id, 1 AS amount, TIMESTAMP '2024-01-02' AS \"at\"")
	if _, err := q.Read(context.Background(), nil); weft.KindOf(err) != weft.KindDrift || !strings.Contains(err.Error(), "column `id` changed its type: integer is expected, src.parquet has text") {
		t.Error(err)
	}
}

// TestNoValuesInErrors: what cannot be read at all is named without its text.
func TestNoValuesInErrors(t *testing.T) {
	for _, c := range []map[string]string{
		{"a.csv": "id,email\n\"1,person@example.com\n"},
		{"a.csv": "id,email\n1,\x00person@example.com\n\xff\xfe"},
		{"a.json": `[{"id":1,"email":"person@example.com",}]`},
	} {
		for name := range c {
			_, err := port(t, c, name, ingesttest.Table("t", "id bigint", "email text")).Read(context.Background(), nil)
			if err != nil && strings.Contains(err.Error()+weft.HintOf(err), "person") {
				t.Errorf("%v", err)
			}
		}
	}
}
