package engine

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weft"
)

var update = flag.Bool("update", false, "rewrite the golden files of this package")

// parserSession is a Session that only parses, in this process.
type parserSession struct {
	Session
	db *database
}

func (s parserSession) Parse(_ context.Context, text string) ([]byte, error) { return s.db.parse(text) }

func (s parserSession) Deparse(_ context.Context, tree []byte) (string, error) {
	return s.db.deparse(tree)
}

func newParser(t testing.TB) parserSession {
	t.Helper()
	db, err := openDatabase(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.close)
	return parserSession{db: db}
}

var testNow = time.Date(2026, 3, 31, 12, 30, 15, 123456789, time.UTC)

// testResolver knows a few invented products and ports.
func testResolver(ref TableRef) (Target, error) {
	known := words(`sales.orders sales.orders.lines sales.orders_v2 crm.customer crm.orders.lines places.stores
		t u v w t1 t2 t3 t4 t5 shop cities monthly trades prices
		lineitem orders customer part partsupp supplier nation region shop.lines`)
	full := strings.ToLower(strings.Join(ref.Parts, "."))
	base, state, _ := strings.Cut(full, "@")
	if !known[base] {
		return Target{}, weft.Errorf(weft.KindNotFound, gateOp, "", "there is no table %s", strings.Join(ref.Parts, ".")).
			WithHint("weft search finds products")
	}
	words := strings.Split(base, ".")
	t := Target{Table: words[0]}
	if len(words) > 1 {
		t = Target{Schema: words[0], Table: strings.Join(words[1:], ".")}
	}
	switch {
	case state != "":
		t.Table += "@" + state
	case ref.At != nil && ref.At.Seq != nil:
		t.Table += fmt.Sprintf("@%d", *ref.At.Seq)
	case ref.At != nil:
		t.Table += "@" + ref.At.Time.Format("20060102t150405")
	}
	return t, nil
}

var testRules = Rules{Resolve: testResolver, Now: func() time.Time { return testNow }}

// describe prints what Bind gives, for the golden files.
func describe(b *Bound, err error) string {
	if err != nil {
		var e *weft.Error
		if !errors.As(err, &e) {
			return "error: " + err.Error() + "\n"
		}
		return fmt.Sprintf("%s: %s\nhint: %s\n", e.Kind, strings.TrimPrefix(e.Error(), gateOp+" "), e.Hint)
	}
	var out strings.Builder
	fmt.Fprintln(&out, b.SQL)
	for _, t := range b.Tables {
		fmt.Fprintf(&out, "table %s at %d", strings.Join(t.Parts, "."), t.Offset)
		if t.At != nil && t.At.Seq != nil {
			fmt.Fprintf(&out, " as of %s", *t.At.Seq)
		} else if t.At != nil {
			fmt.Fprintf(&out, " as of %s", t.At.Time.Format(time.RFC3339Nano))
		}
		fmt.Fprintln(&out)
	}
	var lines []string
	for t, cols := range b.Columns {
		l := "reads " + strings.TrimPrefix(t.Schema+"/"+t.Table, "/") + ":"
		if cols == nil {
			l += " *"
		}
		for _, c := range cols {
			l += " " + c
			if slices.Contains(b.Maybe[t], c) {
				l += "?"
			}
		}
		lines = append(lines, l)
	}
	slices.Sort(lines)
	for _, l := range lines {
		fmt.Fprintln(&out, l)
	}
	if b.Unrepeatable {
		fmt.Fprintln(&out, "unrepeatable")
	}
	if b.Ordered {
		fmt.Fprintln(&out, "ordered")
	}
	return out.String()
}

// TestGate runs the scripts in testdata/gate: a query, ----, what Bind gives,
// and an empty line. Everything that is let through must also be a fixpoint.
func TestGate(t *testing.T) {
	s := newParser(t)
	files, err := filepath.Glob("testdata/gate/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if filepath.Base(file) == "hostile.txt" {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			runScript(t, file, func(query string) string {
				b, err := Bind(t.Context(), s, query, testRules)
				if err == nil {
					checkFixpoint(t, s, b)
				}
				return describe(b, err)
			})
		})
	}
}

// runScript holds the answers of a script against f, or rewrites them.
func runScript(t *testing.T, file string, f func(query string) string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		head, body := "", block
		for strings.HasPrefix(body, "#") {
			line, rest, _ := strings.Cut(body, "\n")
			head, body = head+line+"\n", rest
		}
		query, want, _ := strings.Cut(body, "\n----\n")
		query = strings.TrimSuffix(query, "\n----")
		out.WriteString(head)
		if query == "" {
			out.WriteString("\n")
			continue
		}
		got := f(query)
		fmt.Fprintf(&out, "%s\n----\n%s\n", query, got)
		if !*update && strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%s: %s\n  gives\n%s  want\n%s", file, query, got, want)
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.TrimRight(out.String(), "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// checkFixpoint holds that what the gate let through passes it unchanged.
func checkFixpoint(t testing.TB, s Session, b *Bound) {
	t.Helper()
	again, err := Bind(context.Background(), s, b.SQL, testRules)
	if err != nil {
		t.Errorf("%s\n  is refused when asked again: %v", b.SQL, err)
	} else if again.SQL != b.SQL {
		t.Errorf("%s\n  becomes, asked again,\n%s", b.SQL, again.SQL)
	}
}
