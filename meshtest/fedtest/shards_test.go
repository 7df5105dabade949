package fedtest

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"weft"
	"weft/contract"
	"weft/engine"
)

// shardTable is a table that the tests divide over domains.
type shardTable struct {
	name, key string
	typ       contract.Type
	columns   []Column
	unique    []string
	sql       string
}

func shardTables(r *rand.Rand) []shardTable {
	n, m := 20+r.IntN(20), 60+r.IntN(100)
	return []shardTable{
		{
			"sold", "id",
			contract.Type{Kind: contract.KindInt64},
			[]Column{{Name: "id", Type: "bigint"}, {Name: "who", Type: "bigint"}, {Name: "v", Type: "bigint"}, {Name: "code", Type: "text"}},
			[]string{"id"},
			fmt.Sprintf("SELECT (i - 7)::BIGINT AS id, (i * 5 %% 11)::BIGINT AS who, nullif(i * 7 %% 10, 3)::BIGINT AS v, 'c' || (i %% 13) AS code FROM range(%d) t(i)", n),
		},
		{
			"item", "sid",
			contract.Type{Kind: contract.KindInt32},
			[]Column{{Name: "sid", Type: "integer"}, {Name: "line", Type: "bigint"}, {Name: "q", Type: "bigint"}, {Name: "part", Type: "bigint"}},
			[]string{"sid", "line"},
			fmt.Sprintf("SELECT (i * 3 %% %d - 9)::INTEGER AS sid, i::BIGINT AS line, nullif(i * 7 %% 9, 4)::BIGINT AS q, (i %% 6)::BIGINT AS part FROM range(%d) t(i)", n+4, m),
		},
		{
			"coded", "code",
			contract.Type{Kind: contract.KindString},
			[]Column{{Name: "code", Type: "text"}, {Name: "w", Type: "bigint"}},
			[]string{"code"},
			"SELECT 'c' || i AS code, (i * 3 % 7)::BIGINT AS w FROM range(16) t(i)",
		},
		{
			"noted", "code",
			contract.Type{Kind: contract.KindString},
			[]Column{{Name: "code", Type: "text"}, {Name: "x", Type: "bigint"}},
			nil,
			fmt.Sprintf("SELECT 'c' || (i %% 15) AS code, (i %% 8)::BIGINT AS x FROM range(%d) t(i)", m),
		},
	}
}

// shardWorld lays the tables out over domains, and says what stands for each in a question.
func shardWorld(t *testing.T, c *Circle, d *engine.Direct, r *rand.Rand, number int) (union map[string]string) {
	t.Helper()
	dir := t.TempDir()
	modulus := 2 + r.IntN(3)
	homes := r.Perm(len(spread()))
	union = map[string]string{}
	for _, tab := range shardTables(r) {
		var parts, files []string
		off := 0
		if r.IntN(6) == 0 {
			off = 1 // this one is laid out otherwise
		}
		for i := range modulus {
			p := Product{Domain: spread()[homes[(i+off)%len(homes)]], Name: fmt.Sprintf("%s%d_%d", tab.name, number, i), Key: tab.unique}
			for _, col := range tab.columns {
				col.Required = col.Name == tab.key
				if col.Required {
					col.Shard = &weft.Shard{Modulus: modulus, Remainder: i}
				}
				p.Columns = append(p.Columns, col)
			}
			p.File = filepath.Join(dir, p.Name+".parquet")
			sql := fmt.Sprintf("COPY (SELECT * FROM (%s) WHERE %s) TO %s (FORMAT parquet)", tab.sql, tab.typ.InShard(tab.key, weft.Shard{Modulus: modulus, Remainder: i}), engine.QuoteLiteral(p.File))
			if _, err := d.Exec(t.Context(), engine.Statement{SQL: sql}); err != nil {
				t.Fatal(err)
			}
			c.Publish(p)
			parts, files = append(parts, "SELECT * FROM "+p.Address()), append(files, p.File)
		}
		r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		union[tab.name] = "(" + strings.Join(parts, " UNION ALL ") + ")"
		if err := Define(t.Context(), d, "main", tab.name, files...); err != nil {
			t.Fatal(err)
		}
	}
	for _, tab := range wholeTables(r) {
		p := Product{Domain: "three", Name: fmt.Sprintf("%s%d", tab.name, number), Key: tab.unique, Columns: tab.columns}
		p.File = filepath.Join(dir, p.Name+".parquet")
		if _, err := d.Exec(t.Context(), engine.Statement{SQL: fmt.Sprintf("COPY (%s) TO %s (FORMAT parquet)", tab.sql, engine.QuoteLiteral(p.File))}); err != nil {
			t.Fatal(err)
		}
		c.Publish(p)
		union[tab.name] = p.Address()
		if err := Define(t.Context(), d, "main", tab.name, p.File); err != nil {
			t.Fatal(err)
		}
	}
	return union
}

// wholeTables are at one domain, and joined to each other and to what is divided by keys.
func wholeTables(r *rand.Rand) []shardTable {
	n := 5 + r.IntN(9)
	return []shardTable{
		{
			name: "kind", columns: []Column{{Name: "id", Type: "bigint"}, {Name: "grp", Type: "bigint"}, {Name: "small", Type: "integer"}}, unique: []string{"id"},
			sql: fmt.Sprintf("SELECT i AS id, nullif(i * 3 %% 5, 2)::BIGINT AS grp, (i %% 4)::INTEGER AS small FROM range(%d) t(i)", n),
		},
		{
			name: "grp", columns: []Column{{Name: "id", Type: "bigint"}, {Name: "label", Type: "text"}}, unique: []string{"id"},
			sql: "SELECT i AS id, 'g' || (i % 3) AS label FROM range(5) t(i)",
		},
		{
			name: "duo", columns: []Column{{Name: "kid", Type: "bigint"}, {Name: "gid", Type: "bigint"}, {Name: "cost", Type: "bigint"}}, unique: []string{"kid", "gid"},
			sql: fmt.Sprintf("SELECT i AS kid, g AS gid, (i * g %% 7)::BIGINT AS cost FROM range(%d) t(i), range(5) u(g) WHERE (i + g) %% 3 <> 0", n),
		},
	}
}

var shardName = regexp.MustCompile(`\{(\w+)\}`)

// shardQuestion makes up a question that joins tables by what they are divided by, mostly.
func shardQuestion(r *rand.Rand) string {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	from := pick(
		"{sold} a", "{sold} a", "{sold} a, {item} b", "{sold} a, {item} b", "{sold} a JOIN {item} b ON b.sid = a.id", "{item} b JOIN {sold} a ON a.id = b.sid",
		"{sold} a, {item} b, {coded} e", "{sold} a JOIN {item} b ON a.id = b.sid JOIN {coded} e ON e.code = a.code JOIN {noted} f ON f.code = e.code",
		"{sold} a LEFT JOIN {item} b ON a.id = b.sid", "{sold} a, {sold} g", "{coded} e, {noted} f, {sold} a",
		"{sold} a, {kind} k, {grp} h", "{sold} a, {kind} k, {grp} h, {duo} o", "{item} b, {sold} a, {kind} k, {duo} o", "{kind} k, {duo} o, {sold} a", "{kind} k JOIN {grp} h ON k.grp = h.id JOIN {sold} a ON a.who = k.id",
		"(SELECT id, v, who, code FROM {sold} y WHERE y.v > 2) a, {item} b", "{sold} a, (SELECT sid, max(q) AS q, max(part) AS part, max(line) AS line FROM {item} z GROUP BY sid) b",
	)
	var where []string
	has := func(alias string) bool { return regexp.MustCompile(`\b` + alias + `\b`).MatchString(from) }
	if has("b") && !strings.Contains(from, "JOIN") {
		where = append(where, pick("a.id = b.sid", "a.id = b.sid", "a.id = b.sid", "b.sid = a.id", "a.id = b.line", "a.id = b.sid AND a.who = b.part"))
	}
	if has("e") && !strings.Contains(from, "JOIN") {
		where = append(where, pick("e.code = a.code", "a.code = e.code AND e.w > 1"))
	}
	if has("f") && !strings.Contains(from, "JOIN") {
		where = append(where, pick("e.code = f.code", "f.code = e.code AND f.x > 2"))
	}
	if has("g") {
		where = append(where, pick("a.id = g.id", "a.id = g.who", "a.id = g.id AND a.v < g.who"))
	}
	if has("k") && !strings.Contains(from, "JOIN") {
		where = append(where, pick("k.id = a.who", "a.who = k.id AND k.small > 0", "k.small = a.who", "k.small = a.who AND k.id = a.who"))
	}
	if has("h") && !strings.Contains(from, "JOIN") {
		where = append(where, pick("k.grp = h.id", "h.id = a.who", "h.id = k.id AND h.id = a.who", "h.id = k.small"))
	}
	if has("o") {
		where = append(where, pick("o.kid = a.who AND o.gid = k.grp", "o.kid = k.id", "o.kid = a.who AND o.gid = a.v", "o.gid = a.v AND o.kid = k.small", "a.who = o.kid"))
	}
	k := r.IntN(9)
	for range r.IntN(4) {
		where = append(where, pick(
			fmt.Sprintf("a.v > %d", k), "a.who <> a.v", fmt.Sprintf("a.id %% 4 <> %d", k),
			"EXISTS (SELECT * FROM {item} x WHERE x.sid = a.id AND x.q > a.v)",
			"NOT EXISTS (SELECT * FROM {item} x WHERE x.sid = a.id AND x.q > a.v)",
			fmt.Sprintf("a.id IN (SELECT sid FROM {item} GROUP BY sid HAVING sum(q) > %d)", 2*k),
			fmt.Sprintf("a.id NOT IN (SELECT x.sid FROM {item} x WHERE x.q = %d)", k),
			"a.v < (SELECT avg(x.q) FROM {item} x WHERE x.sid = a.id)",
			"a.v <> (SELECT count(*) FROM {item} x WHERE a.id = x.sid AND x.q < 5)",
			"EXISTS (SELECT 1 FROM {item} x, {sold} y WHERE x.sid = a.id AND y.id = x.sid AND y.v > x.q)",
			"EXISTS (SELECT 1 FROM {item} x WHERE x.sid = a.id AND NOT EXISTS (SELECT 1 FROM {item} z WHERE z.sid = x.sid AND z.line <> x.line))",
			"EXISTS (SELECT 1 FROM {item} x WHERE x.sid = a.id AND x.q > (SELECT min(z.q) FROM {item} z WHERE z.part = x.part))",
			"EXISTS (SELECT 1 FROM {item} x WHERE x.line = a.id)", "EXISTS (SELECT 1 FROM {item} x WHERE x.line = a.id AND x.sid <> 5)",
			"a.who IN (SELECT id FROM {sold} y WHERE y.v > 1)", "EXISTS (SELECT 1 FROM {item} x WHERE x.sid = a.who AND a.id <> 3)", "a.id IN (SELECT line FROM {item} x WHERE x.sid > 2)", "a.id IN (SELECT line FROM {item})", "a.id > (SELECT max(sid) - 9 FROM {item})",
			"a.id IN (SELECT sid FROM {item} ORDER BY q, sid, line LIMIT 7)", "a.id IN (SELECT DISTINCT sid FROM {item} WHERE q > 2)",
			"a.who IN (SELECT id FROM {sold})", "a.code IN (SELECT code FROM {coded} WHERE w > 3)",
			"a.id = ANY (SELECT y.sid FROM {item} y WHERE y.q > a.v)", "a.v > ALL (SELECT y.q FROM {item} y WHERE y.sid = a.id)",
			fmt.Sprintf("(EXISTS (SELECT 1 FROM {item} x WHERE x.sid = a.id AND x.q = %d) OR a.v > 6)", k),
			"EXISTS (SELECT 1 FROM {item} x LEFT JOIN {sold} y ON y.id = x.sid WHERE x.sid = a.id)",
			"a.id IN (SELECT sid FROM (SELECT sid, row_number() OVER (ORDER BY line) AS n FROM {item}) WHERE n < 30)",
			"EXISTS (SELECT 1 FROM {sold} y WHERE y.id = a.id AND y.who IN (SELECT part FROM {item} z WHERE z.sid = y.id))",
		))
	}
	if has("b") {
		where = append(where, pick("true", "b.q > 2", "b.part <> a.who", fmt.Sprintf("b.line > %d", 5*k), "b.q > (SELECT avg(x.q) FROM {item} x WHERE x.sid = b.sid)"))
	}
	items := pick("a.*", "a.id, a.v", "count(*) AS n", "a.who AS w, count(*) AS n, sum(a.v) AS s", "a.id AS i, count(*) AS n", "DISTINCT a.who")
	if has("k") && r.IntN(2) == 0 {
		items = pick("a.*, k.*", "k.id, count(*) AS n", "k.id, k.grp, a.id AS i")
		if has("o") {
			items = pick(items, "o.*, k.grp", "sum(o.cost) AS s, max(k.grp) AS g", "k.id, sum(o.cost * a.v) AS n")
		}
	} else if has("b") {
		items = pick(items, "a.id, b.line, b.q", "sum(b.q) AS s, min(b.line) AS l", "b.sid, max(a.v) AS m", "a.who AS w, sum(b.q * a.v) AS s", "b.part AS w, avg(b.q) AS s, count(DISTINCT a.id) AS d")
	}
	sql := "SELECT " + items + " FROM " + from
	if len(where) > 0 {
		sql += " WHERE " + strings.Join(where, " AND ")
	}
	switch {
	case strings.HasPrefix(items, "a.who AS w"):
		sql += " GROUP BY a.who" + pick("", " HAVING count(*) > 2")
	case strings.HasPrefix(items, "k.id, count") || strings.HasPrefix(items, "k.id, sum"):
		sql += " GROUP BY k.id"
	case strings.HasPrefix(items, "b.part AS w"):
		sql += " GROUP BY 1"
	case strings.HasPrefix(items, "a.id AS i"):
		sql += " GROUP BY a.id"
	case strings.HasPrefix(items, "b.sid, max"):
		sql += " GROUP BY b.sid"
	}
	return sql
}

// TestShards holds questions over tables that are divided over nodes against one engine
// that has them whole.
func TestShards(t *testing.T) {
	count := *questions / 4
	if testing.Short() {
		count = 60
	}
	const each = 60
	d := direct(t)
	c := NewCircle(t, spread()...)
	r := rand.New(rand.NewPCG(*firstSeed, 11))
	asked, rows := 0, 0
	for number := 0; asked < count; number++ {
		union := shardWorld(t, c, d, r, number)
		for range min(each, count-asked) {
			asked++
			q := shardQuestion(r)
			want, bad := AskEngine(t.Context(), d, shardName.ReplaceAllString(q, "$1"))
			sql := shardName.ReplaceAllStringFunc(q, func(m string) string { return union[strings.Trim(m, "{}")] })
			got, err := c.Ask(t.Context(), Asker, sql)
			if bad != nil || err != nil {
				t.Fatalf("%s: one engine: %v, many: %v\n%s", q, bad, err, sql)
			}
			if diff := Diff(got, want); diff != "" {
				t.Fatalf("%s\n%s\n%s", q, sql, diff)
			}
			rows += len(want.rows)
		}
	}
	if n := c.counted.Load(); n < int64(asked)/2 || rows < asked {
		t.Errorf("%d questions had %d parts that count on shards, and %d rows", asked, n, rows)
	}
}

// TestShardsThatMoved: what a card says may be out of date. The node that knows better says
// so, and the question is answered without it.
func TestShardsThatMoved(t *testing.T) {
	d := direct(t)
	c := NewCircle(t, spread()...)
	r := rand.New(rand.NewPCG(5, 11))
	c.moved = func(n weft.Name) bool { return strings.HasSuffix(n.Product, "_1") }
	const q = "SELECT a.id, count(*) AS n FROM {sold} a, {item} b WHERE a.id = b.sid GROUP BY a.id"
	for number := range 6 {
		union := shardWorld(t, c, d, r, number)
		want := answer(t, d, shardName.ReplaceAllString(q, "$1"))
		got, err := c.Ask(t.Context(), Asker, shardName.ReplaceAllStringFunc(q, func(m string) string { return union[strings.Trim(m, "{}")] }))
		if err != nil {
			t.Fatal(err)
		}
		if diff := Diff(got, want); diff != "" {
			t.Error(diff)
		}
	}
	if c.counted.Load() == 0 {
		t.Error("no part counted on shards")
	}
}
