package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
)

// keysSource is a source of keys, in batches.
func keysSource(t *testing.T, typ arrow.DataType, keys []string) Source {
	t.Helper()
	s := Source{Name: KeysSchema + ".k1", Schema: arrow.NewSchema([]arrow.Field{{Name: "k", Type: typ, Nullable: true}}, nil)}
	for len(keys) > 0 {
		n := min(len(keys), 1000)
		b := array.NewBuilder(memory.DefaultAllocator, typ)
		for _, k := range keys[:n] {
			if k == "" {
				b.AppendNull()
			} else if err := b.AppendValueFromString(k); err != nil {
				t.Fatal(err)
			}
		}
		s.Batches = append(s.Batches, array.NewRecordBatch(s.Schema, []arrow.Array{b.NewArray()}, int64(n)))
		keys = keys[n:]
	}
	return s
}

// TestSieve holds that a sieve lets through each key and NULL, and of other whole numbers
// next to nothing; that it says nothing of what it does not know; and that weft_has is true of
// the keys and of nothing else, or is not bound, which SpanOf foresees.
func TestSieve(t *testing.T) {
	s := testSession(t, nil)
	r := rand.New(rand.NewPCG(3, 4))
	numbers := func(n int, of func() int64) (out []string) {
		for range n {
			out = append(out, fmt.Sprint(of()))
		}
		return out
	}
	signed := func(bits int) func() int64 { return func() int64 { return int64(r.Uint64()) >> (64 - bits) } }
	unsigned := func(bits int) func() int64 { return func() int64 { return int64(r.Uint64() >> (64 - bits)) } }
	for _, c := range []struct {
		name string
		typ  arrow.DataType
		keys []string
		ask  string // the type of the values that are asked for
		all  bool   // they all come through
	}{
		{"one bit for a number", arrow.PrimitiveTypes.Int64, numbers(3000, func() int64 { return 1_000_000 + r.Int64N(500_000) }), "BIGINT", false},
		{"below zero", arrow.PrimitiveTypes.Int32, numbers(3000, func() int64 { return r.Int64N(20_000) - 10_000 }), "INTEGER", false},
		{"far from each other", arrow.PrimitiveTypes.Int64, numbers(5000, signed(64)), "BIGINT", false},
		{"the whole range", arrow.PrimitiveTypes.Int64, append(numbers(100, signed(40)), fmt.Sprint(math.MinInt64), fmt.Sprint(math.MaxInt64)), "BIGINT", false},
		{"one", arrow.PrimitiveTypes.Int64, []string{"42"}, "BIGINT", false},
		{"bytes", arrow.PrimitiveTypes.Int8, numbers(20, signed(8)), "TINYINT", false},
		{"bytes without a sign", arrow.PrimitiveTypes.Uint8, numbers(20, unsigned(8)), "UTINYINT", false},
		{"words", arrow.PrimitiveTypes.Int16, numbers(200, signed(16)), "SMALLINT", false},
		{"words without a sign", arrow.PrimitiveTypes.Uint16, numbers(200, unsigned(16)), "USMALLINT", false},
		{"32 bits without a sign", arrow.PrimitiveTypes.Uint32, numbers(200, unsigned(32)), "UINTEGER", false},
		{"a narrower column", arrow.PrimitiveTypes.Int64, numbers(300, signed(16)), "SMALLINT", false},
		{"a wider column", arrow.PrimitiveTypes.Int8, numbers(20, signed(8)), "BIGINT", false},
		{"another sign", arrow.PrimitiveTypes.Int64, numbers(300, unsigned(30)), "UINTEGER", false},
		{"64 bits without a sign", arrow.PrimitiveTypes.Uint64, numbers(300, unsigned(62)), "UBIGINT", true},
		{"keys that are no whole numbers", arrow.PrimitiveTypes.Float64, numbers(300, signed(20)), "DOUBLE", true},
		{"values that are no whole numbers", arrow.PrimitiveTypes.Int64, numbers(300, signed(20)), "DOUBLE", true},
		{"large values", arrow.PrimitiveTypes.Int64, numbers(300, signed(20)), "HUGEINT", true},
		{"texts", arrow.BinaryTypes.String, numbers(300, signed(20)), "VARCHAR", true},
		{"none", arrow.PrimitiveTypes.Int64, nil, "BIGINT", true},
		{"a NULL", arrow.PrimitiveTypes.Int64, append(numbers(1500, signed(20)), ""), "BIGINT", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := keysSource(t, c.typ, c.keys)
			var near []string
			for _, k := range c.keys[:min(len(c.keys), 300)] {
				if k != "" {
					near = append(near, fmt.Sprintf("(%s::hugeint - 1), (%s::hugeint + 1)", k, k))
				}
			}
			near = append(near, "(0)", "(1)", "(127)", "(255)", "(-1)", "(9223372036854775807)", "(-9223372036854775808)")
			sql := fmt.Sprintf(`
				WITH keys AS (SELECT k FROM arrow_source('weft_keys.k1')),
				     asked AS (SELECT DISTINCT TRY_CAST(v AS %s) AS v FROM (VALUES %s) t(v) UNION SELECT TRY_CAST(k AS %s) FROM keys UNION ALL SELECT NULL),
				     said AS (SELECT v, weft_may_have('weft_keys.k1', v) AS may, coalesce(v IN (SELECT k FROM keys WHERE k IS NOT NULL), false) AS there FROM asked)
				SELECT count(*) FILTER (WHERE may IS NULL), count(*) FILTER (WHERE NOT may AND (there OR v IS NULL)),
				       count(*) FILTER (WHERE may AND NOT there AND v IS NOT NULL), count(*) FILTER (WHERE NOT may), count(*) FILTER (WHERE there) FROM said`,
				c.ask, strings.Join(near, ", "), c.ask)
			got, err := ask(t.Context(), s, Statement{SQL: sql, Sources: []Source{src}})
			if err != nil {
				t.Fatal(err)
			}
			var unknown, lost, more, dropped, there int
			if _, err := fmt.Sscan(strings.ReplaceAll(got, "|", " "), &unknown, &lost, &more, &dropped, &there); err != nil {
				t.Fatalf("%s: %v", got, err)
			}
			if unknown+lost > 0 || c.all && dropped > 0 || !c.all && (dropped == 0 || more > 5+dropped/50) {
				t.Errorf("of %d keys %d are lost; %d others come through, %d do not; %d are neither", there, lost, more, dropped, unknown)
			}
			var pieces []arrow.Array
			for _, b := range src.Batches {
				pieces = append(pieces, b.Column(0))
			}
			exact := SpanOf(pieces).Keys > 0
			sql = strings.Replace(sql[:strings.Index(sql, "SELECT count(*)")], "weft_may_have", "weft_has", 1) + "SELECT count(*) FILTER (WHERE may IS DISTINCT FROM there) FROM said"
			got, err = ask(t.Context(), s, Statement{SQL: sql, Sources: []Source{src}})
			if bound := err == nil; bound != (exact && !c.all) || bound && strings.TrimSpace(got) != "0" || !bound && !strings.Contains(err.Error(), "weft_has") {
				t.Errorf("all is known: %v, weft_has is wrong of %s: %v", exact, got, err)
			}
		})
	}
	got, err := ask(t.Context(), s, Statement{SQL: "SELECT weft_may_have('weft_keys.k2', 3), weft_may_have(NULL, 3), weft_may_have('weft_keys.k2', NULL)"})
	if err != nil || strings.Count(got, "true") != 3 {
		t.Errorf("of keys that nobody knows: %s %v", got, err)
	}
}

// TestSifted holds where the gate puts a sieve beside a condition, and that a question
// cannot ask for one.
func TestSifted(t *testing.T) {
	s := testSession(t, nil)
	rules := Rules{Resolve: func(r TableRef) (Target, error) {
		if r.Parts[0] == "plain" { // keys by their shape, but from elsewhere
			return Target{"other", r.Parts[1]}, nil
		}
		return Target{r.Parts[0], r.Parts[1]}, nil
	}}
	const keys = "SELECT k FROM weft_keys.k1"
	for sql, want := range map[string]string{
		"SELECT a FROM x.t WHERE a = ANY(" + keys + ")":                                                "weft_may_have('weft_keys.k1', a)",
		"SELECT a FROM x.t WHERE b > 1 AND t.a IN (" + keys + ") AND c < 2":                            "weft_may_have('weft_keys.k1', t.a)",
		"SELECT a FROM (SELECT a FROM x.t WHERE a = ANY(" + keys + ")) u GROUP BY a":                   "weft_may_have('weft_keys.k1', a)",
		keys + " WHERE k = ANY(SELECT a FROM x.t)":                                                     "FROM x.t WHERE weft_may_have('weft_keys.k1', a)",
		keys + " WHERE k = ANY(SELECT u.a FROM x.t u WHERE b > 1)":                                     "weft_may_have('weft_keys.k1', u.a)",
		"SELECT a FROM x.t WHERE NOT (a = ANY(" + keys + "))":                                          "",
		"SELECT a FROM x.t WHERE a = ANY(" + keys + ") OR b > 1":                                       "",
		"SELECT a FROM x.t WHERE a + 1 = ANY(" + keys + ")":                                            "",
		"SELECT a FROM x.t WHERE a <> ANY(" + keys + ")":                                               "",
		"SELECT a = ANY(" + keys + ") FROM x.t":                                                        "",
		"SELECT a FROM x.t WHERE a = ANY(" + keys + " LIMIT 3)":                                        "",
		"SELECT a FROM x.t WHERE a = ANY(SELECT k + 1 FROM weft_keys.k1)":                              "",
		"SELECT a FROM x.t WHERE a = ANY(SELECT max(k) FROM weft_keys.k1)":                             "",
		"SELECT a FROM x.t WHERE a = ANY(SELECT k FROM plain.k1)":                                      "",
		"SELECT a FROM x.t WHERE a = ANY(SELECT k FROM weft_keys.k1 WHERE k > 1)":                      "",
		keys + " WHERE k = ANY(SELECT a FROM x.t GROUP BY a HAVING count(*) > 1)":                      "",
		keys + " WHERE k = ANY(SELECT a FROM x.t ORDER BY b LIMIT 1)":                                  "",
		keys + " WHERE k = ANY(SELECT a FROM x.t QUALIFY row_number() OVER (ORDER BY b) = 1)":          "",
		"SELECT a FROM x.t WHERE a = ANY(SELECT b FROM weft_keys.k1)":                                  "", // b is of x.t
		"SELECT a FROM x.t WHERE a = ANY(SELECT t.k FROM weft_keys.k1)":                                "",
		"SELECT a FROM x.t WHERE a = ANY(SELECT k FROM weft_keys.k1 AS t(b))":                          "",
		"SELECT a FROM x.t WHERE EXISTS (SELECT k FROM weft_keys.k1 WHERE a = ANY(SELECT b FROM x.u))": "",
		"SELECT k FROM weft_keys.k1, x.t WHERE k = ANY(SELECT a FROM x.t)":                             "",
	} {
		b, err := Bind(t.Context(), s, sql, rules)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		if has := strings.Contains(b.SQL, "weft_may_have"); has != (want != "") || !strings.Contains(b.SQL, want) {
			t.Errorf("%s: %s, wanted %s", sql, b.SQL, want)
		}
	}
	if _, err := Bind(t.Context(), s, "SELECT weft_may_have('weft_keys.k1', a) FROM x.t", rules); weft.KindOf(err) != weft.KindInvalid {
		t.Errorf("a question asks a sieve: %v", err)
	}
}

// TestUnjoined holds where bits take the place of a join with keys that lie close to each
// other, and what is run where the engine cannot do that.
func TestUnjoined(t *testing.T) {
	s := testSession(t, nil)
	spans := map[string]Span{"k1": {3, 5, 900}, "k2": {10, 0, 20}, "k3": {10, -7, 20}}
	rules := Rules{
		Resolve: func(r TableRef) (Target, error) { return Target{r.Parts[0], r.Parts[1]}, nil },
		Keys:    func(name string) Span { return spans[name] },
	}
	in := func(x, keys string) string { return x + " = ANY(SELECT k FROM weft_keys." + keys + ")" }
	const k1 = "weft_has('weft_keys.k1', a) AND (a >= 5) AND (a <= 900)"
	for sql, want := range map[string]string{
		"SELECT sum(b) FROM x.t WHERE " + in("a", "k1"):                                                k1,
		"SELECT b, a FROM x.t WHERE c > 1 AND " + in("a", "k1") + " ORDER BY b":                        "(c > 1) AND " + k1,
		"SELECT count(*) FROM (SELECT a, b FROM x.t WHERE " + in("a", "k1") + ") t":                    k1,
		"SELECT b FROM (SELECT a, b FROM x.t WHERE " + in("a", "k1") + ") t JOIN x.u USING (a)":        k1,
		"SELECT sum(b) FROM x.t WHERE " + in("a", "k3"):                                                "WHERE weft_has('weft_keys.k3', a)",
		"SELECT sum(b) FROM x.t WHERE " + in("a", "k9"):                                                "", // far from each other
		"SELECT sum(b) FROM x.t WHERE " + in("a", "k1") + " OR c":                                      "",
		"SELECT a FROM x.t WHERE " + in("a", "k1"):                                                     "", // its rows are sent as they come
		"SELECT a FROM (SELECT * FROM x.t WHERE " + in("a", "k1") + ") t WHERE b > 1":                  "",
		"SELECT a FROM x.t WHERE b UNION ALL SELECT a FROM x.t WHERE " + in("a", "k1"):                 "",
		"SELECT a FROM x.t WHERE " + in("a", "k1") + " AND " + in("b", "k2"):                           "(a = ANY(SELECT k FROM weft_keys.k1)) AND weft_may_have('weft_keys.k1', a) AND weft_has('weft_keys.k2', b)",
		"SELECT a FROM x.t WHERE " + in("b", "k2") + " AND " + in("a", "k1") + " AND " + in("c", "k9"): "weft_has('weft_keys.k2', b)",
	} {
		b, err := Bind(t.Context(), s, sql, rules)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			continue
		}
		if has := strings.Contains(b.SQL, "weft_has"); has != (want != "") || has != (b.Else != "") || !strings.Contains(b.SQL, want) {
			t.Errorf("%s: %s, wanted %s", sql, b.SQL, want)
		}
		if strings.Contains(b.Else, "weft_has") || b.Else != "" && !strings.Contains(b.Else, "ANY") {
			t.Errorf("%s: else %s", sql, b.Else)
		}
	}
}

// TestElse holds that a statement that cannot be bound gives way to the other one, also where
// it comes again, and that other faults are its own.
func TestElse(t *testing.T) {
	s := testSession(t, nil)
	src := keysSource(t, arrow.PrimitiveTypes.Int64, []string{"3", "4", "9"})
	const has = "SELECT sum(v) FROM (VALUES (1), (3), (9)) t(v) WHERE weft_has('weft_keys.k1', v)"
	for range 2 {
		for sql, want := range map[string]string{
			has: "12",
			strings.Replace(has, ", v)", ", v::DOUBLE)", 1): "7",
			"SELECT nothing":    "7",
			"SELECT error('x')": "",
		} {
			got, err := ask(t.Context(), s, Statement{SQL: sql, Else: "SELECT 7", Sources: []Source{src}})
			if strings.TrimSpace(got) != want || (err == nil) != (want != "") {
				t.Errorf("%s: %s %v, wanted %s", sql, got, err, want)
			}
		}
	}
}
