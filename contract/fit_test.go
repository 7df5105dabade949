package contract

import (
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestFit runs testdata/fit.txt: what a type takes from text, JSON and other
// types, and what it refuses.
func TestFit(t *testing.T) {
	e := openEngine(t)
	if _, err := e.one("SET TimeZone = 'UTC'"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/fit.txt")
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		p := strings.SplitN(line, " | ", 4)
		if len(p) != 4 {
			t.Fatalf("line %d: %q", n+1, line)
		}
		form, to, value, want := p[0], mustType(t, p[1]), p[2], p[3]
		x, try, strict := QuoteLiteral(value), "", ""
		switch form {
		case "text":
			x = "(" + x + " || '')"
			try, strict = to.FromText(x), to.StrictFromText(x)
		case "json":
			x = "CAST(" + x + " AS JSON)"
			try, strict = to.FromJSON(x), to.StrictFromJSON(x)
		default:
			from := mustType(t, form)
			x = "CAST(" + x + " AS " + from.SQL() + ")"
			try, strict = to.From(from, x), to.StrictFrom(from, x)
		}
		if got := e.value(t, "coalesce(CAST(("+try+") AS VARCHAR), '"+map[bool]string{true: "null", false: "no"}[want == "null"]+"')", ""); got != want {
			t.Errorf("line %d: %s %q as %s gives %q, want %q", n+1, form, value, p[1], got, want)
		}
		got, err := e.one("SELECT coalesce(CAST((" + strict + ") AS VARCHAR), 'null') AS v")
		if (err != nil) != (want == "no") || err == nil && got != want {
			t.Errorf("line %d, strictly: %s %q as %s gives %q %v, want %q", n+1, form, value, p[1], got, err, want)
		}
	}
}

func mustType(t *testing.T, s string) Type {
	t.Helper()
	typ, err := ParseType("", s)
	if err != nil {
		t.Fatal(err)
	}
	return typ
}

// TestHolds: where a type holds another, the limits of the other come back from
// it as they were.
func TestHolds(t *testing.T) {
	e := openEngine(t)
	limits := func(u Type) []string {
		switch u.Kind {
		case KindInt8:
			return []string{"-128", "127"}
		case KindInt16:
			return []string{"-32768", "32767"}
		case KindInt32:
			return []string{"-2147483648", "2147483647"}
		case KindInt64:
			return []string{"-9223372036854775808", "9223372036854775807"}
		case KindDecimal:
			d := strings.Repeat("9", u.Precision)
			d = d[:u.Precision-u.Scale] + "." + d[u.Precision-u.Scale:]
			return []string{"-" + strings.TrimSuffix(d, "."), strings.TrimSuffix(d, ".")}
		case KindFloat32:
			return []string{"3.4028235e38", "1e-45", "0.1", "nan", "-inf"}
		}
		return nil
	}
	rapid.Check(t, func(rt *rapid.T) {
		number := rapid.Custom(func(rt *rapid.T) Type {
			k := rapid.SampledFrom([]Kind{KindInt8, KindInt16, KindInt32, KindInt64, KindFloat32, KindFloat64, KindDecimal}).Draw(rt, "kind")
			if k != KindDecimal {
				return Type{Kind: k}
			}
			p := rapid.IntRange(1, MaxPrecision).Draw(rt, "p")
			return Decimal(p, rapid.IntRange(0, p).Draw(rt, "s"))
		})
		u, w := number.Draw(rt, "from"), number.Draw(rt, "to")
		if u.Equal(w) {
			return
		}
		for _, v := range limits(u) {
			x := "CAST('" + v + "' AS " + u.SQL() + ")"
			got, err := e.one("SELECT CAST(TRY_CAST(TRY_CAST(" + x + " AS " + w.SQL() + ") AS " + u.SQL() + ") IS NOT DISTINCT FROM " + x + " AS VARCHAR) AS v")
			if err != nil {
				rt.Fatal(err)
			}
			if w.Holds(u) && got != "true" {
				rt.Fatalf("%s does not hold %s of %s", w, v, u)
			}
		}
	})
}
