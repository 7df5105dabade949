package weft_test

import (
	"strings"
	"testing"

	"weft"
)

func TestCheckName(t *testing.T) {
	for w, ok := range map[string]bool{
		"a": true, "orders": true, "order_lines": true, "a1": true, "v2": true, "orders_v": true, "_v1": false, "x_v": true, "x_v1a": true,
		strings.Repeat("a", 63): true, strings.Repeat("a", 64): false, "": false, "1a": false, "_a": false, "Orders": false, "a-b": false,
		"a.b": false, "é": false, "a\n": false, "a ": false, "orders_v1": false, "orders_v12": false, "a_v0": false, "select": false, "weft": false, "selects": true,
	} {
		if err := weft.CheckName(w); (err == nil) != ok {
			t.Errorf("%q: %v", w, err)
		} else if err != nil && weft.KindOf(err) != weft.KindInvalid {
			t.Errorf("%q: kind of %v", w, err)
		}
		if s := weft.SuggestName(w); weft.CheckName(s) != nil {
			t.Errorf("%q: %q is suggested, which is no name", w, s)
		}
	}
}
