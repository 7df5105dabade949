package engine

import (
	"encoding/json"
	"fmt"
	"testing"
)

// objects visits every object of a tree with its path.
func objects(v any, path string, visit func(o object, path string)) {
	switch x := v.(type) {
	case object:
		visit(x, path)
		for k, c := range x {
			objects(c, path+"."+k, visit)
		}
	case []any:
		for i, c := range x {
			objects(c, fmt.Sprintf("%s[%d]", path, i), visit)
		}
	}
}

// TestTreeClosed holds that the walker knows every field it lets pass: any
// object of any tree with one field more, and any word it chooses by changed to
// another, is refused.
func TestTreeClosed(t *testing.T) {
	s := newParser(t)
	chosen := words(`type class id join_type ref_type setop_type subquery_type comparison_type null_order aggregate_handling
		materialized start end exclude_clause with_ordinality method`)
	walkOf := func(b []byte, change func(*syntax)) error {
		tree, err := readTree(b, "")
		if err != nil {
			return err
		}
		change(tree)
		return newWalker("", testRules).walk(tree)
	}
	for i, q := range readBlocks(t, "testdata/gate/answers/answers.txt") {
		if testing.Short() && i%4 != 0 {
			continue
		}
		b, err := s.db.parse(q)
		if err != nil {
			t.Fatal(err)
		}
		type spot struct{ path, key string }
		var spots []spot
		if err := walkOf(b, func(tree *syntax) {
			objects(tree.stmt, "", func(o object, path string) {
				spots = append(spots, spot{path, ""})
				for k, v := range o {
					if _, ok := v.(string); ok && chosen[k] {
						spots = append(spots, spot{path, k})
					}
				}
			})
		}); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		for _, at := range spots {
			err := walkOf(b, func(tree *syntax) {
				objects(tree.stmt, "", func(o object, path string) {
					if path != at.path {
						return
					}
					if at.key == "" {
						o["not_known"] = "x"
					} else {
						o[at.key] = "NOT_KNOWN"
					}
				})
			})
			if err == nil {
				t.Errorf("%s\n  passes with a change at %s %s", q, at.path, at.key)
			}
		}
	}
}

// TestEncodeTree holds that a tree is written as json.Marshal writes it, but for the
// name of a star's table, which is quoted.
func TestEncodeTree(t *testing.T) {
	number := func(s string) any { return json.Number(s) }
	for _, v := range []object{
		{},
		{"b": []any{}, "a": object{}, "c": nil, "d": true, "e": false},
		{"s": "", "q": `"quoted" \ and <tags> & more`, "l": "zwei\nLinien\x00\x1f", "u": "é ü 漢 \U0001F600 \u2028", "bad": "\xff\xfe"},
		{"n": []any{number("0"), number("-0"), number("12"), number("-7"), number("1.5e300"), number("123456789012345678901234567890"), number("")}},
		{"ключ": "x", `"`: "y"},
	} {
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		got, err := (&syntax{root: v}).encode()
		if err != nil || string(got) != string(want) {
			t.Errorf("%s, %v; wanted %s", got, err, want)
		}
	}
	for _, bad := range []object{{"n": number("01")}, {"n": number("1x")}, {"f": func() {}}} {
		if got, err := (&syntax{root: bad}).encode(); err == nil {
			t.Errorf("%v is written as %s", bad, got)
		}
	}
	star := object{"class": "STAR", "relation_name": `a "b"`}
	if got, err := (&syntax{root: star}).encode(); err != nil || string(got) != `{"class":"STAR","relation_name":"\"a \"\"b\"\"\""}` {
		t.Errorf("%s %v", got, err)
	}
}
