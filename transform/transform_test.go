package transform

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/store"
)

// lab is a session, a stage and a way to stage rows.
type lab struct {
	t     testing.TB
	s     engine.Session
	stage string
	n     int
}

func newLab(t testing.TB) *lab {
	s, stage := newSession(t)
	return &lab{t: t, s: s, stage: stage}
}

func (l *lab) staged(full bool, port, table string, sqls ...string) store.Staged {
	l.t.Helper()
	out := store.Staged{Port: port, Table: table, Full: full}
	for _, q := range sqls {
		l.n++
		f := filepath.Join(l.stage, fmt.Sprintf("given-%d.parquet", l.n))
		n, err := l.s.Exec(context.Background(), engine.Statement{SQL: engine.CopyParquet(q, f)})
		if err != nil {
			l.t.Fatal(q, err)
		}
		out.Files, out.Rows = append(out.Files, f), out.Rows+n
	}
	return out
}

func (l *lab) relation(sql string) store.Relation {
	s := l.staged(true, "", "", sql)
	return store.Relation{SQL: "SELECT * FROM " + engine.ScanParquet(s.Files...), Files: s.Files, Rows: s.Rows}
}

// lines reads a SELECT as sorted lines.
func (l *lab) lines(sql string) []string {
	l.t.Helper()
	rows, err := engine.Fields(context.Background(), l.s, engine.Statement{SQL: "SELECT CAST(COLUMNS(*) AS VARCHAR) FROM (" + sql + ")"})
	if err != nil {
		l.t.Fatal(sql, err)
	}
	out := []string{}
	for _, r := range rows {
		var w []string
		for _, v := range r {
			if v.Null {
				v.Text = "∅"
			}
			w = append(w, v.Text)
		}
		out = append(out, strings.Join(w, "|"))
	}
	slices.Sort(out)
	return out
}

var (
	bigint = contract.Type{Kind: contract.KindInt64}
	text   = contract.Type{Kind: contract.KindString}
)

// folder is a product with one output table and two ports.
func folder(sql string, columns ...*contract.Column) *contract.Folder {
	return &contract.Folder{
		Name: weft.Name{Domain: "sales", Product: "orders"},
		Inputs: []*contract.Input{
			{Name: "shop", Contract: &contract.Contract{Tables: []*contract.Table{{Name: "orders"}, {Name: "lines"}}}},
			{Name: "stores", Product: weft.Name{Domain: "places", Product: "stores"}},
		},
		Outputs: []*contract.Output{{Name: "orders", Contract: &contract.Contract{Tables: []*contract.Table{{Name: "orders", SQL: sql, Columns: columns}}}}},
	}
}

func TestRun(t *testing.T) {
	l := newLab(t)
	inputs := []InputTable{
		{"shop", "orders", l.relation("SELECT range AS id, 'S' || range % 2 AS store FROM range(4)")},
		{"shop", "lines", l.relation("SELECT range % 4 AS order_id, range AS amount FROM range(10)")},
		{"stores", "places", l.relation("SELECT 'S1' AS store, 'North' AS region")},
	}
	f := folder(`SELECT o.id, max(stores.region) AS region, sum(l.amount) AS amount, EXTRACT(year FROM now()) AS y
		FROM shop.orders o JOIN shop.lines l ON l.order_id = o.id LEFT JOIN stores ON stores.store = o.store GROUP BY o.id`,
		&contract.Column{Name: "amount", Type: bigint}, &contract.Column{Name: "id", Type: bigint},
		&contract.Column{Name: "region", Type: text}, &contract.Column{Name: "y", Type: bigint})
	r := Request{Folder: f, Inputs: inputs, Stage: l.stage, Session: l.s, Now: time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)}
	out, err := Run(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"12|0|∅|2031", "15|1|North|2031", "8|2|∅|2031", "10|3|North|2031"}
	slices.Sort(want)
	if got := l.lines("FROM " + engine.ScanParquet(out[0].Files...)); !slices.Equal(got, want) || out[0].Rows != 4 || !out[0].Full || out[0].Table != "orders" {
		t.Errorf("%+v\n%v", out[0], got)
	}
	types, err := describe(context.Background(), l.s, engine.Statement{SQL: "FROM " + engine.ScanParquet(out[0].Files...)})
	if err != nil || fmt.Sprint(types) != "[{amount BIGINT} {id BIGINT} {region VARCHAR} {y BIGINT}]" {
		t.Error(types, err)
	}
}

// TestRunIsRepeatable: the same inputs give the same rows.
func TestRunIsRepeatable(t *testing.T) {
	l := newLab(t)
	f := folder("SELECT id, count(*) AS n FROM shop.orders GROUP BY id", &contract.Column{Name: "id", Type: bigint}, &contract.Column{Name: "n", Type: bigint})
	in := []InputTable{{"shop", "orders", l.relation("SELECT range % 7 AS id FROM range(1000)")}}
	var first []string
	for range 3 {
		out, err := Run(context.Background(), Request{Folder: f, Inputs: in, Stage: l.stage, Session: l.s})
		if err != nil {
			t.Fatal(err)
		}
		got := l.lines("FROM " + engine.ScanParquet(out[0].Files...))
		if first == nil {
			first = got
		}
		if !slices.Equal(got, first) {
			t.Fatal(got)
		}
	}
}

// TestSessionDies: an engine that is gone is an error about the engine, and says
// nothing of the contract.
func TestSessionDies(t *testing.T) {
	l := newLab(t)
	in := []InputTable{{"shop", "orders", l.relation("SELECT 1 AS id")}}
	l.s.Close()
	f := folder("SELECT id FROM shop.orders", &contract.Column{Name: "id", Type: bigint})
	_, err := Run(context.Background(), Request{Folder: f, Inputs: in, Stage: l.stage, Session: l.s})
	if err == nil || weft.KindOf(err) == weft.KindContract || weft.KindOf(err) == weft.KindInvalid {
		t.Error(err)
	}
}

func TestUses(t *testing.T) {
	l := newLab(t)
	f := folder("SELECT o.id, region, l.* FROM shop.orders o JOIN shop.lines l ON l.order_id = o.id JOIN stores s ON s.store_id = o.store")
	got, err := Uses(context.Background(), l.s, f, f.Tables()[0], time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprint(got); s != "map[{shop orders}:[id store] {stores stores}:[store_id]]" {
		t.Error(s)
	}
}

func TestPassthrough(t *testing.T) {
	l := newLab(t)
	columns := []*contract.Column{{Name: "id", Type: bigint}, {Name: "v", Type: text}}
	key := []string{"id"}
	for _, c := range []struct {
		name   string
		staged store.Staged
		same   bool // no file is written anew
		want   string
		err    string
	}{
		{"as contracted", l.staged(true, "shop", "orders", "SELECT 1::BIGINT AS id, 'a' AS v"), true, "1|a", ""},
		{"other types and order", l.staged(true, "shop", "orders", "SELECT 5 AS V, 1::INTEGER AS id, 9 AS more"), false, "1|5", ""},
		{"a column is gone", l.staged(true, "shop", "orders", "SELECT 1::BIGINT AS id"), false, "", "column v (text) is missing"},
		{"a value does not fit", l.staged(true, "shop", "orders", "SELECT 'x' AS id, 'a' AS v"), false, "", `expected bigint, found text that does not fit in 1 row, such as "x"`},
		{"new rows only", l.staged(false, "shop", "orders", "SELECT 1::BIGINT AS id, 'a' AS v", "SELECT 1::BIGINT AS id, 'b' AS v"), true, "1|a,1|b", ""},
	} {
		f := folder("", columns...)
		f.Tables()[0].Key = key
		out, err := Passthrough(context.Background(), l.s, f, []store.Staged{{Port: "shop", Table: "lines"}, c.staged}, l.stage)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := strings.Join(l.lines("FROM "+engine.ScanParquet(out[0].Files...)), ","); got != c.want || len(out) != 1 || out[0].Port != "" || out[0].Full != c.staged.Full {
			t.Errorf("%s: %v %+v", c.name, got, out)
		}
		if slices.Equal(out[0].Files, c.staged.Files) != c.same {
			t.Errorf("%s: files %v", c.name, out[0].Files)
		}
	}
}

func TestLatest(t *testing.T) {
	l := newLab(t)
	table := &contract.Table{Name: "t", Key: []string{"id"}}
	twice := l.staged(false, "shop", "t", "SELECT 1 AS id, 'a' AS v UNION ALL SELECT 2, 'b'", "SELECT 1 AS id, 'c' AS v")
	once := l.staged(false, "shop", "t", "SELECT 1 AS id, 'a' AS v UNION ALL SELECT 2, 'b'")
	for _, c := range []struct {
		in   store.Staged
		mode contract.Mode
		same bool
		want string
	}{
		{twice, contract.ModeUpsert, false, "1|c,2|b"},
		{twice, contract.ModeAppend, true, "1|a,1|c,2|b"},
		{once, contract.ModeUpsert, true, "1|a,2|b"},
	} {
		out, err := Latest(context.Background(), l.s, c.in, table, c.mode, l.stage)
		if err != nil {
			t.Fatal(err)
		}
		got := l.lines("FROM " + engine.ScanParquet(out.Files...))
		if strings.Join(got, ",") != c.want || out.Rows != int64(len(got)) || slices.Equal(out.Files, c.in.Files) != c.same {
			t.Errorf("%s: %v, %+v", c.mode, got, out)
		}
	}
}

// TestInputState holds the state of an input against the obvious one.
func TestInputState(t *testing.T) {
	l := newLab(t)
	rows := func(rt *rapid.T, label string) string {
		n := rapid.IntRange(0, 6).Draw(rt, label)
		var w []string
		for range n {
			w = append(w, fmt.Sprintf("(%d, %s)", rapid.IntRange(0, 4).Draw(rt, "k"), rapid.SampledFrom([]string{"NULL", "'a'", "'b'"}).Draw(rt, "v")))
		}
		if n == 0 {
			return "SELECT 1 AS k, 'a' AS v WHERE false"
		}
		return "SELECT k, v::VARCHAR AS v FROM (VALUES " + strings.Join(w, ", ") + ") AS x(k, v)"
	}
	table := &contract.Table{Name: "t", Key: []string{"k"}}
	rapid.Check(t, func(rt *rapid.T) {
		mode := rapid.SampledFrom([]contract.Mode{contract.ModeSnapshot, contract.ModeAppend, contract.ModeUpsert}).Draw(rt, "mode")
		one, two := rows(rt, "first"), rows(rt, "second")
		staged := l.staged(mode == contract.ModeSnapshot, "p", "t", one, two)
		var prior *store.Relation
		old := "SELECT 1 AS k, 'a' AS v WHERE false"
		if rapid.Bool().Draw(rt, "prior") {
			old = "SELECT DISTINCT ON (k) * FROM (" + rows(rt, "old") + ") ORDER BY ALL"
			r := l.relation(old)
			prior, old = &r, r.SQL
		}
		var want []string
		switch mode {
		case contract.ModeSnapshot:
			want = l.lines("(" + one + ") UNION ALL (" + two + ")")
		case contract.ModeAppend:
			want = l.lines("(" + old + ") UNION ALL (" + one + ") UNION ALL (" + two + ")")
		default:
			last := map[string]string{}
			for _, sql := range []string{old, "FROM " + engine.ScanParquet(staged.Files[:1]...), "FROM " + engine.ScanParquet(staged.Files[1:]...)} {
				read, err := engine.Fields(context.Background(), l.s, engine.Statement{SQL: "SELECT k::VARCHAR, coalesce(v, '∅') FROM (" + sql + ")"})
				if err != nil {
					rt.Fatal(err)
				}
				for _, r := range read {
					last[r[0].Text] = r[0].Text + "|" + r[1].Text
				}
			}
			for _, v := range last {
				want = append(want, v)
			}
			slices.Sort(want)
		}
		rel := InputState(prior, staged, table, mode)
		if got := l.lines(rel.SQL); !slices.Equal(got, want) {
			rt.Fatalf("%s: %v, not %v", mode, got, want)
		}
	})
	if got := l.lines(InputState(nil, store.Staged{Full: true}, &contract.Table{Columns: []*contract.Column{{Name: "a", Type: bigint}}}, "").SQL); len(got) != 0 {
		t.Error(got)
	}
}
