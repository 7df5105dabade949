package engine

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weft"
)

// queryGen makes up queries over the invented tables t and u and WITH parts
// that hide them.
type queryGen struct {
	t    *rapid.T
	rels int
}

func (g *queryGen) pick(of ...string) string { return rapid.SampledFrom(of).Draw(g.t, "pick") }

func (g *queryGen) chance(n int) bool { return rapid.IntRange(0, n).Draw(g.t, "chance") == 0 }

func (g *queryGen) expr(depth int) string {
	if depth == 0 {
		return g.pick("id", "k", "1", "2.5", "1e-2", "null", "'a'", "true", "length('it''s')")
	}
	a, b := g.expr(depth-1), g.expr(depth-1)
	switch rapid.IntRange(0, 11).Draw(g.t, "expr") {
	case 0:
		return fmt.Sprintf("(%s %s %s)", a, g.pick("=", "<", "<>", "is distinct from"), b)
	case 1:
		return fmt.Sprintf("case when %s is null then %s else %s end", a, a, a)
	case 2:
		return fmt.Sprintf("coalesce(%s, %s)", a, a)
	case 3:
		return fmt.Sprintf("(%s)::varchar", a)
	case 4:
		return fmt.Sprintf("[%s][1]", a)
	case 5:
		return fmt.Sprintf("{'a': %s}.a", a)
	case 6:
		return "(select max(k) from " + g.pick("t", "u") + " where k < 2)"
	case 7:
		return fmt.Sprintf("not (%s is null)", a)
	case 8:
		return fmt.Sprintf("list_transform([%s], x -> x)[1]", a)
	case 9:
		return "(id in (select id from u where k = 1))"
	case 10:
		return "-id - (k - id) * 2"
	}
	return a
}

func (g *queryGen) from(depth int) string {
	g.rels++
	name := fmt.Sprintf("r%d", g.rels)
	if depth == 0 {
		return g.pick("t", "u", "w", "(select id, k from t)", "(values (1, 2)) ") + " as " + name + "(id" + name + ", k" + name + ")"
	}
	left, right := g.from(depth-1), g.from(depth-1)
	if g.chance(3) {
		right = "(" + right + ")"
	}
	switch j := g.pick(",", "cross join", "join", "left join", "semi join", "positional join", "full join"); j {
	case ",", "cross join", "positional join":
		return left + " " + j + " " + right
	default:
		return left + " " + j + " " + right + " on " + g.pick("true", "1 = 1", "false")
	}
}

func (g *queryGen) query(depth int) string {
	var b strings.Builder
	if g.chance(2) {
		fmt.Fprintf(&b, "with %s as (%s) ", g.pick("t", "u", "q"), "select id, k from "+g.pick("t", "u"))
	}
	fmt.Fprintf(&b, "select %s, %s as k from %s", "id", g.expr(depth), g.pick("t", "u"))
	b.WriteString(" where true")
	if g.chance(1) {
		fmt.Fprintf(&b, " and %s is not null", g.expr(depth))
	}
	if g.chance(2) {
		fmt.Fprintf(&b, " and exists (select 1 from %s)", g.from(2))
	}
	if g.chance(2) {
		fmt.Fprintf(&b, " %s select id, k::varchar from u", g.pick("union", "union all", "except", "intersect"))
	}
	return b.String()
}

// TestGateRapid holds, for made-up queries, that what passes the gate is a
// fixpoint and gives the rows that the query gives without it.
func TestGateRapid(t *testing.T) {
	s := testSession(t, func(c *SessionConfig) { c.Threads = 1 })
	views := append(testViews(t), View{Name: "w", SQL: "select 1 as id, 2 as k"})
	passed := 0
	rapid.Check(t, func(rt *rapid.T) {
		g := &queryGen{t: rt}
		q := "select count(*) from " + g.from(rapid.IntRange(0, 3).Draw(rt, "depth"))
		if g.chance(1) {
			q = g.query(rapid.IntRange(0, 3).Draw(rt, "depth"))
		}
		plain, plainErr := ask(t.Context(), s, Statement{SQL: q, Views: views})
		b, err := Bind(t.Context(), s, q, testRules)
		if err != nil {
			if plainErr == nil && weft.KindOf(err) != weft.KindInvalid && weft.KindOf(err) != weft.KindLimit {
				rt.Fatalf("%s: %v", q, err)
			}
			return
		}
		again, err := Bind(t.Context(), s, b.SQL, testRules)
		if err != nil || again.SQL != b.SQL {
			rt.Fatalf("%s\n  becomes\n%s\n  which is no fixpoint: %v", q, b.SQL, err)
		}
		gated, err := ask(t.Context(), s, Statement{SQL: b.SQL, Views: views})
		if (err == nil) != (plainErr == nil) || sorted(plain) != sorted(gated) {
			rt.Fatalf("%s\n  becomes\n%s\n  and gives\n%s %v\n  instead of\n%s %v", q, b.SQL, gated, err, plain, plainErr)
		}
		if err == nil {
			passed++
		}
	})
	if passed < 5 {
		t.Errorf("only %d queries passed", passed)
	}
}
