package files

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"weft"
	"weft/contract"
	"weft/ingest"
	"weft/ingest/ingesttest"
)

func TestMain(m *testing.M) { ingesttest.Main(m) }

// port writes files into a folder and makes a port that reads path in it.
func port(t testing.TB, files map[string]string, path string, tables ...ingest.Want) *ingesttest.Port {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, dir, name, text)
	}
	if len(tables) == 0 {
		tables = []ingest.Want{ingesttest.Table("t")}
	}
	return &ingesttest.Port{T: t, Driver: New(), Dir: dir, Server: contract.Server{Name: "s", Type: "local", Path: path}, Tables: tables}
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func gz(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s))
	_ = w.Close()
	return b.String()
}

func zst(s string) string {
	e, _ := zstd.NewWriter(nil)
	return string(e.EncodeAll([]byte(s), nil))
}

func inUTF16(s string) string {
	b := []byte{0xff, 0xfe}
	for _, r := range s {
		b = append(b, byte(r), byte(r>>8))
	}
	return string(b)
}

// same compares what a read staged with what is expected, line by line.
func same(t *testing.T, got, want string) {
	t.Helper()
	clean := func(s string) string {
		var w []string
		for l := range strings.Lines(s) {
			if l = strings.TrimSpace(l); l != "" {
				w = append(w, l)
			}
		}
		return strings.Join(w, "\n")
	}
	if clean(got) != clean(want) {
		t.Errorf("got\n%s\nwant\n%s", clean(got), clean(want))
	}
}

func TestCSV(t *testing.T) {
	no, yes := false, true
	orders := ingesttest.Table("t", "id bigint", "qty integer", "day date")
	for name, c := range map[string]struct {
		text   string
		file   string
		server contract.Server
		table  ingest.Want
		want   string
	}{
		"plain":                 {text: "id,qty,day\n1,2,2024-01-02\n", table: orders, want: "id BIGINT, qty INTEGER, day DATE\n1|2|2024-01-02"},
		"other order and extra": {text: "x,day,id,qty\na,2024-01-02,1,2\n", table: orders, want: "id BIGINT, qty INTEGER, day DATE\n1|2|2024-01-02"},
		"case of names":         {text: "ID,Qty,DAY\n1,2,2024-01-02\n", table: orders, want: "id BIGINT, qty INTEGER, day DATE\n1|2|2024-01-02"},
		"byte order mark, CRLF": {text: "\xef\xbb\xbfid,qty,day\r\n1,2,2024-01-02\r\n3,,\r\n", table: orders, want: "id BIGINT, qty INTEGER, day DATE\n1|2|2024-01-02\n3|NULL|NULL"},
		"semicolons":            {text: "id;qty;day\n1;2;2024-01-02\n", table: orders, want: "id BIGINT, qty INTEGER, day DATE\n1|2|2024-01-02"},
		"tabs":                  {file: "a.tsv", text: "id\tqty\tday\n1\t2\t2024-01-02\n", table: orders, want: "id BIGINT, qty INTEGER, day DATE\n1|2|2024-01-02"},
		"delimiter of two":      {text: "id||qty||day\n1||2||2024-01-02\n", server: contract.Server{Delimiter: "||"}, table: orders, want: "id BIGINT, qty INTEGER, day DATE\n1|2|2024-01-02"},
		"quote and escape":      {text: `id,name` + "\n" + `1,'it\'s'` + "\n", server: contract.Server{Quote: "'", Escape: `\`}, want: "id BIGINT, name VARCHAR\n1|it's"},
		"no quotes":             {text: "id,name\n1,5\" pipe\n", server: contract.Server{Quote: "none"}, want: "id BIGINT, name VARCHAR\n1|5\" pipe"},
		"quoted newline":        {text: "id,name\n1,\"a\nb\"\n2,\"say \"\"hi\"\"\"\n", want: "id BIGINT, name VARCHAR\n1|a\nb\n2|say \"hi\""},
		"no header":             {text: "1,2,2024-01-02\n", server: contract.Server{Header: &no}, table: orders, want: "id BIGINT, qty INTEGER, day DATE\n1|2|2024-01-02"},
		"no header, no names":   {text: "1,a\n2,b\n", server: contract.Server{Header: &no}, want: "column0 BIGINT, column1 VARCHAR\n1|a\n2|b"},
		"header of text only":   {text: "carrier,name\nAA,American\nUA,United\n", want: "carrier VARCHAR, name VARCHAR\nAA|American\nUA|United"},
		"header declared":       {text: "a,b\nc,d\n", server: contract.Server{Header: &yes}, want: "a VARCHAR, b VARCHAR\nc|d"},
		"header only":           {text: "id,qty,day\n", table: orders, want: "id BIGINT, qty INTEGER, day DATE"},
		"null text":             {text: "id,qty,day\n1,NA,NA\n", server: contract.Server{NullText: "NA"}, table: orders, want: "id BIGINT, qty INTEGER, day DATE\n1|NULL|NULL"},
		"latin-1":               {text: "id,name\n1,Zo\xeb\n", server: contract.Server{Encoding: "latin-1"}, want: "id BIGINT, name VARCHAR\n1|Zoë"},
		"utf-16":                {text: inUTF16("id,name\n1,Zoë\n"), want: "id BIGINT, name VARCHAR\n1|Zoë"},
		"date format":           {text: "id,qty,day\n1,2,31.12.2024\n", server: contract.Server{DateFormat: "%d.%m.%Y"}, table: orders, want: "id BIGINT, qty INTEGER, day DATE\n1|2|2024-12-31"},
		"date format by look":   {text: "id,qty,day\n1,2,31/12/2024\n", table: orders, want: "id BIGINT, qty INTEGER, day DATE\n1|2|2024-12-31"},
		"gzip":                  {file: "a.csv.gz", text: gz("id,qty,day\n1,2,2024-01-02\n"), table: orders, want: "id BIGINT, qty INTEGER, day DATE\n1|2|2024-01-02"},
		"gzip by another name":  {text: gz("id,qty,day\n1,2,2024-01-02\n"), table: orders, want: "id BIGINT, qty INTEGER, day DATE\n1|2|2024-01-02"},
		"zstd":                  {file: "a.csv.zst", text: zst("id,qty,day\n1,2,2024-01-02\n"), table: orders, want: "id BIGINT, qty INTEGER, day DATE\n1|2|2024-01-02"},
		"whole number as float": {text: "id,qty,day\n1.0,2,2024-01-02\n", table: orders, want: "id BIGINT, qty INTEGER, day DATE\n1|2|2024-01-02"},
		"large whole numbers":   {text: "id,qty,day\n9007199254740993,2,\n-9223372036854775808,1,\n", table: orders, want: "id BIGINT, qty INTEGER, day DATE\n-9223372036854775808|1|NULL\n9007199254740993|2|NULL"},
		"a fraction":            {text: "id,qty,day\n1.5,2,\n2,3,\n", table: orders, want: "id BIGINT, qty INTEGER, day DATE\n2|3|NULL\nrejected line 2: type bigint: column id @ a.csv:2 {\"id\":\"1.5\",\"qty\":\"2\",\"day\":null}"},
		"too large":             {text: "id,qty,day\n1,3000000000,\n2,3,\n", table: orders, want: "id BIGINT, qty INTEGER, day DATE\n2|3|NULL\nrejected line 2: type integer: column qty @ a.csv:2 {\"id\":\"1\",\"qty\":\"3000000000\",\"day\":null}"},
		"fractions among broken lines": {
			text: "id,qty,day\n1,1,\n\n\"2\",1.5,2024-01-02\n3,1.5,no date\n4,\"1\r\n\",2024-01-02\n5\n6,1.5,\n7.5,7,\n", table: orders,
			want: `id BIGINT, qty INTEGER, day DATE
1|1|NULL
4|1|2024-01-02
rejected line 10: type bigint: column id @ a.csv:10 {"id":"7.5","qty":"7","day":null}
rejected line 4: type integer: column qty @ a.csv:4 {"id":"2","qty":"1.5","day":"2024-01-02"}
rejected line 5: type integer: column qty, type date: column day @ a.csv:5 {"id":"3","qty":"1.5","day":"no date"}
rejected line 8: expected 3 columns, found 1 @ a.csv:8 {"line":"5"}
rejected line 9: type integer: column qty @ a.csv:9 {"id":"6","qty":"1.5","day":null}`,
		},
		"a fraction in latin-1": {
			text: "id,name\n1,Zo\xeb\n2.5,Zo\xeb\n", server: contract.Server{Encoding: "latin-1"}, table: ingesttest.Table("t", "id bigint", "name text"),
			want: "id BIGINT, name VARCHAR\n1|Zoë\nrejected line 3: type bigint: column id @ a.csv:3 {\"id\":\"2.5\",\"name\":\"Zoë\"}",
		},
		"broken lines": {
			text: "id,qty,day\n1,x,2024-01-02\n2\n3,4,5,6\n4,\"5\"x,\n5,6,yesterday\n7,8,2024-01-02\n", table: orders,
			want: `id BIGINT, qty INTEGER, day DATE
7|8|2024-01-02
rejected line 2: type integer: column qty @ a.csv:2 {"id":"1","qty":"x","day":"2024-01-02"}
rejected line 3: expected 3 columns, found 1 @ a.csv:3 {"line":"2"}
rejected line 4: expected 3 columns, found 4 @ a.csv:4 {"line":"3,4,5,6"}
rejected line 5: a quote is not closed where its value ends @ a.csv:5 {"line":"4,\"5\"x,"}
rejected line 6: type date: column day @ a.csv:6 {"id":"5","qty":"6","day":"yesterday"}`,
		},
		"not utf-8":             {text: "id,name\n1,Zo\xeb\n2,b\n", table: ingesttest.Table("t", "id bigint", "name text"), want: "id BIGINT, name VARCHAR\n2|b\nrejected line 2: the text is not utf-8 @ a.csv:2 {\"line\":\"1,Zo?\"}"},
		"leading zeros stay":    {text: "zip,n\n01234,1\n99999,2\n", want: "zip VARCHAR, n BIGINT\n01234|1\n99999|2"},
		"names twice and empty": {text: "a,a,,b c\n1,2,3,4\n", want: "a BIGINT, a_1 BIGINT, column2 BIGINT, b c BIGINT\n1|2|3|4"},
		"lines behind quoted newlines": {
			text: "id,x\n1,\"a\n\n\"\n2,\"b\nb\"\ny,c\nz\n", table: ingesttest.Table("t", "id bigint", "x text"),
			want: "id BIGINT, x VARCHAR\n1|a\n2|b\nb\nrejected line 7: type bigint: column id @ a.csv:7 {\"id\":\"y\",\"x\":\"c\"}\nrejected line 8: expected 2 columns, found 1 @ a.csv:8 {\"line\":\"z\"}",
		},
		"mixed line ends": {
			text: "id,x\r\n1,a\n2,\"b\nb\"\r\nx,c\n4,d\r\n", table: ingesttest.Table("t", "id bigint", "x text"),
			want: "id BIGINT, x VARCHAR\n1|a\n2|b\nb\n4|d\nrejected line 5: type bigint: column id @ a.csv:5 {\"id\":\"x\",\"x\":\"c\"}",
		},
		"old Mac line ends":       {text: "id,x\r1,a\r2,b\r", table: ingesttest.Table("t", "id bigint", "x text"), want: "id BIGINT, x VARCHAR\n1|a\n2|b"},
		"blank lines":             {text: "id,x\n1,a\n\n2,b\n\n\n", table: ingesttest.Table("t", "id bigint", "x text"), want: "id BIGINT, x VARCHAR\n1|a\n2|b"},
		"one column":              {text: "id\n1\n2\n", want: "id BIGINT\n1\n2"},
		"lists and structs":       {text: "id,l\n1,\"[1, 2]\"\n", table: ingesttest.Table("t", "id bigint", "l bigint[]"), want: "id BIGINT, l BIGINT[]\n1|[1, 2]"},
		"no newline at the end":   {text: "id,qty,day\n1,2,2024-01-02", table: orders, want: "id BIGINT, qty INTEGER, day DATE\n1|2|2024-01-02"},
		"names to be quoted":      {text: "Order ID,a'b\n1,x\n", table: ingesttest.Table("t"), want: "Order ID BIGINT, a'b VARCHAR\n1|x"},
		"declared among others":   {text: "id,name\n1,x\n", table: ingest.Want{Table: &contract.Table{Name: "t"}, Columns: []ingest.Column{{Name: "key", Source: "id", Type: contract.Type{Kind: contract.KindInt32}}}}, want: "key INTEGER, name VARCHAR\n1|x"},
		"known types do not flip": {text: "id,name\n1,5\n", table: ingest.Want{Table: &contract.Table{Name: "t"}, Known: []ingest.Column{{Name: "name", Type: contract.Type{Kind: contract.KindString}}}}, want: "id BIGINT, name VARCHAR\n1|5"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.file == "" {
				c.file = "a.csv"
			}
			if c.table.Table == nil {
				c.table = ingesttest.Table("t")
			}
			p := port(t, map[string]string{c.file: c.text}, c.file, c.table)
			c.server.Name, c.server.Type, c.server.Path = "s", "local", c.file
			p.Server = c.server
			same(t, p.Must(nil).Rows("t"), c.want)
		})
	}
}

func TestJSONAndNDJSON(t *testing.T) {
	typed := ingesttest.Table("t", "id bigint", "qty integer", "day date", "name text")
	for name, c := range map[string]struct{ file, text, want string }{
		"ndjson": {"a.ndjson", `{"id":1,"qty":2,"day":"2024-01-02","name":"x","extra":1}` + "\n" + `{"id":9007199254740993,"name":5}` + "\n", `id BIGINT, qty INTEGER, day DATE, name VARCHAR
1|2|2024-01-02|x
9007199254740993|NULL|NULL|5`},
		"an array": {"a.json", `[{"id":1,"qty":2,"day":"2024-01-02","name":"x"},
{"id":2}]`, "id BIGINT, qty INTEGER, day DATE, name VARCHAR\n1|2|2024-01-02|x\n2|NULL|NULL|NULL"},
		"objects one after another": {"a.json", "{\n\"id\":1,\"qty\":2,\"day\":null,\n\"name\":\"x\"}\n{\"id\":2}", "id BIGINT, qty INTEGER, day DATE, name VARCHAR\n1|2|NULL|x\n2|NULL|NULL|NULL"},
		"gzip":                      {"a.jsonl.gz", gz(`{"id":1,"qty":2,"day":"2024-01-02","name":"x"}`), "id BIGINT, qty INTEGER, day DATE, name VARCHAR\n1|2|2024-01-02|x"},
		"broken lines": {"a.ndjson", `{"id":1,"qty":2,"day":"2024-01-02","name":"x"}
{"id":2,
{"id":3.5,"name":"y"}

[1]
{"id":4,"qty":"x","day":"2024-13-01"}
{"id":5.0}`, `id BIGINT, qty INTEGER, day DATE, name VARCHAR
1|2|2024-01-02|x
5|NULL|NULL|NULL
rejected line 2: no JSON @ a.ndjson:2 {"line":"{\"id\":2,"}
rejected line 3: type bigint: column id @ a.ndjson:3 {"id":3.5,"name":"y"}
rejected line 5: no JSON object @ a.ndjson:5 {"line":"[1]"}
rejected line 6: type integer: column qty, type date: column day @ a.ndjson:6 {"id":4,"qty":"x","day":"2024-13-01"}`},
	} {
		t.Run(name, func(t *testing.T) {
			same(t, port(t, map[string]string{c.file: c.text}, c.file, typed).Must(nil).Rows("t"), c.want)
		})
	}
	t.Run("nested", func(t *testing.T) {
		p := port(t, map[string]string{"a.ndjson": `{"id":1,"n":{"a":1,"b":[1,2]},"at":"2024-01-02T10:00:00Z"}` + "\n"}, "a.ndjson")
		same(t, p.Must(nil).Rows("t"), "id BIGINT, n STRUCT(a BIGINT, b BIGINT[]), at TIMESTAMP\n1|{'a': 1, 'b': [1, 2]}|2024-01-02 10:00:00")
	})
}

// TestInferenceBeyondTheSample puts the value that changes a type far behind
// what a first look sees.
func TestInferenceBeyondTheSample(t *testing.T) {
	for name, c := range map[string]struct{ head, line, last, file, want string }{
		"a fraction": {"id,x\n", "1,2\n", "1,2.5\n", "a.csv", "id BIGINT, x DOUBLE"},
		"text":       {"id,x\n", "1,2\n", "1,none\n", "a.csv", "id BIGINT, x VARCHAR"},
		"no date":    {"id,x\n", "1,2024-01-02\n", "1,soon\n", "a.csv", "id BIGINT, x VARCHAR"},
		"json":       {"", `{"id":1,"x":2}` + "\n", `{"id":1,"x":2.5}` + "\n", "a.ndjson", "id BIGINT, x DOUBLE"},
		"a new key":  {"", `{"id":1}` + "\n", `{"id":1,"x":true}` + "\n", "a.ndjson", "id BIGINT"},
	} {
		t.Run(name, func(t *testing.T) {
			p := port(t, map[string]string{c.file: c.head + strings.Repeat(c.line, 30_000) + c.last}, c.file)
			g := p.Must(nil)
			if got, _, _ := strings.Cut(g.Rows("t"), "\n"); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if g.Tables[0].Rows != 30_001 || g.Tables[0].RejectRows != 0 {
				t.Errorf("%d rows, %d rejected", g.Tables[0].Rows, g.Tables[0].RejectRows)
			}
		})
	}
}

func TestManyFiles(t *testing.T) {
	p := port(t, map[string]string{
		"in/a.csv": "id,x\n1,2\n", "in/b.csv": "x,id\n2.5,2\n", "in/c.csv": "id,x,more\n3,,z\n", "in/d.csv.gz": gz("id,x\n4,1\n"),
		"in/e.ndjson": `{"id":5,"x":7}`, "in/.hidden.csv": "no\n", "in/_temporary.csv": "no\n", "in/empty.csv": "", "in/deep/f.csv": "id,x\n6,1\n",
	}, "in/*")
	same(t, p.Must(nil).Rows("t"), "id BIGINT, x DOUBLE, more VARCHAR\n1|2.0|NULL\n2|2.5|NULL\n3|NULL|z\n4|1.0|NULL\n5|7.0|NULL")
	p.Server.Path = "in/**/*.csv"
	same(t, p.Must(nil).Rows("t"), "id BIGINT, x DOUBLE, more VARCHAR\n1|2.0|NULL\n2|2.5|NULL\n3|NULL|z\n6|1.0|NULL")
	p.Server.Path = "in"
	if g := p.Must(nil); g.Tables[0].Rows != 5 {
		t.Errorf("a folder gave %d rows", g.Tables[0].Rows)
	}
	p.Server.Path, p.Tables = "in/{table}.csv", []ingest.Want{ingesttest.Table("a", "id bigint"), ingesttest.Table("b", "x double")}
	g := p.Must(nil)
	same(t, g.Rows("a")+g.Rows("b"), "id BIGINT\n1\nx DOUBLE\n2.5")
	p.Tables[0].Table.PhysicalName = "../secret"
	if _, err := p.Read(context.Background(), nil); weft.KindOf(err) != weft.KindInvalid {
		t.Errorf("a table led out of the path: %v", err)
	}
}

// TestDrift names what is missing or changed and what was found instead.
func TestDrift(t *testing.T) {
	table := ingesttest.Table("t", "id bigint", "qty integer", "name text")
	for name, c := range map[string]struct{ text, want string }{
		"renamed":   {"id,quantity,name\n1,2,x\n", "column `qty` (integer) is missing; a.csv has `quantity`: did it get renamed?"},
		"missing":   {"id,name\n1,x\n", "column `qty` (integer) is missing in a.csv"},
		"two":       {"key,colour,weight\n1,2,x\n", "column `id` (bigint) is missing"},
		"no header": {"1,2,x\n2,3,y\n", "a.csv has no header that names one of the expected columns: id, qty, name"},
		"empty":     {"", "a.csv has not even a header"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := port(t, map[string]string{"a.csv": c.text}, "a.csv", table).Read(context.Background(), nil)
			if weft.KindOf(err) != weft.KindDrift || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", weft.KindOf(err), err)
			}
		})
	}
	t.Run("json", func(t *testing.T) {
		_, err := port(t, map[string]string{"a.ndjson": `{"id":1,"quantity":2,"name":"x"}`}, "a.ndjson", table).Read(context.Background(), nil)
		if weft.KindOf(err) != weft.KindDrift || !strings.Contains(err.Error(), "`quantity`") {
			t.Error(err)
		}
	})
}

// TestPositions: what is new is read, what is not is not, by mode.
func TestPositions(t *testing.T) {
	ctx := context.Background()
	past := time.Now().Add(-time.Hour)
	start := func(t *testing.T, mode contract.Mode) *ingesttest.Port {
		p := port(t, map[string]string{"a.csv": "id,x\n1,2\n", "b.csv": "id,x\n2,3\n"}, "*.csv")
		p.Server.Mode = mode
		for _, f := range []string{"a.csv", "b.csv"} {
			_ = os.Chtimes(filepath.Join(p.Dir, f), past, past)
		}
		return p
	}
	rewrite := func(t *testing.T, p *ingesttest.Port, name, text string, at time.Time) {
		write(t, p.Dir, name, text)
		_ = os.Chtimes(filepath.Join(p.Dir, name), at, at)
	}
	for _, mode := range []contract.Mode{contract.ModeSnapshot, contract.ModeAppend, contract.ModeUpsert} {
		t.Run(string(mode), func(t *testing.T) {
			p := start(t, mode)
			first := p.Must(nil)
			if first.Tables[0].Rows != 2 || first.Tables[0].Full != (mode == contract.ModeSnapshot) {
				t.Errorf("first read: %+v", first.Tables[0])
			}
			if !p.Must(first.Position).Unchanged {
				t.Error("an unchanged source was read")
			}
			rewrite(t, p, "a.csv", "id,x\n1,2\n", past.Add(time.Minute)) // touched
			if !p.Must(first.Position).Unchanged {
				t.Error("a touched file was read")
			}
			rewrite(t, p, "c.csv", "id,x\n3,4\n", past)
			next := p.Must(first.Position)
			want := map[contract.Mode]int64{contract.ModeSnapshot: 3, contract.ModeAppend: 1, contract.ModeUpsert: 1}[mode]
			if next.Tables[0].Rows != want {
				t.Errorf("a new file gave %d rows, want %d", next.Tables[0].Rows, want)
			}
			rewrite(t, p, "b.csv", "id,x\n2,9\n", past.Add(time.Minute)) // same size
			got, err := p.Read(ctx, next.Position)
			switch {
			case mode == contract.ModeAppend:
				if weft.KindOf(err) != weft.KindDrift || !strings.Contains(err.Error(), "b.csv") {
					t.Errorf("a changed file of an append source: %v", err)
				}
				rewrite(t, p, "b.csv", "id,x\n2,3\n", past)
			case err != nil:
				t.Error(err)
			case got.Tables[0].Rows != map[contract.Mode]int64{contract.ModeSnapshot: 3, contract.ModeUpsert: 1}[mode]:
				t.Errorf("a changed file gave %d rows", got.Tables[0].Rows)
			}
			_ = os.Remove(filepath.Join(p.Dir, "a.csv"))
			last := p.Must(next.Position)
			if last.Unchanged != (mode == contract.ModeAppend) && mode != contract.ModeUpsert {
				t.Errorf("a vanished file: unchanged is %v", last.Unchanged)
			}
			_ = os.Remove(filepath.Join(p.Dir, "b.csv"))
			_ = os.Remove(filepath.Join(p.Dir, "c.csv"))
			_, err = p.Read(ctx, next.Position)
			if lost := weft.KindOf(err) == weft.KindUnavailable; lost != (mode != contract.ModeAppend) {
				t.Errorf("no file at all: %v", err)
			}
		})
	}
	t.Run("window", func(t *testing.T) {
		p := start(t, contract.ModeUpsert)
		first := p.Must(nil)
		p.Window = &ingest.Window{From: past.Add(-time.Minute), To: past.Add(time.Minute)}
		if g := p.Must(first.Position); g.Unchanged || g.Tables[0].Rows != 2 {
			t.Error("a window did not read again")
		}
		p.Window = &ingest.Window{From: past.Add(time.Minute)}
		if g := p.Must(first.Position); !g.Unchanged {
			t.Error("a window read what lies outside it")
		}
		p.Server.Mode = contract.ModeSnapshot
		if _, err := p.Read(ctx, first.Position); weft.KindOf(err) != weft.KindInvalid {
			t.Errorf("a window of a snapshot: %v", err)
		}
	})
	t.Run("changed dialect", func(t *testing.T) {
		p := start(t, contract.ModeSnapshot)
		first := p.Must(nil)
		p.Server.NullText = "2"
		if p.Must(first.Position).Unchanged {
			t.Error("another dialect was not read")
		}
	})
	t.Run("modes", func(t *testing.T) {
		p := start(t, contract.ModeCDC)
		if _, err := p.Read(ctx, nil); weft.KindOf(err) != weft.KindInvalid || !strings.Contains(weft.HintOf(err), "snapshot") {
			t.Error(err)
		}
	})
}
