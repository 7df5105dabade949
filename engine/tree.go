package engine

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"weft"
)

// maxTree bounds the JSON of a tree; 5,000 nodes have about a quarter of it.
const maxTree = 16 << 20

// object is one node of the engine's syntax tree, as its JSON writes it.
type object = map[string]any

// syntax is the tree of one SELECT.
type syntax struct {
	root object // what the engine reads and writes
	stmt object // the one statement in it
}

// readTree reads what Parse gives for text: exactly one SELECT, or an error
// that says what is wrong with the text.
func readTree(b []byte, text string) (*syntax, error) {
	if len(b) > maxTree {
		return nil, tooMany()
	}
	root, err := decodeObject(b)
	if err != nil {
		return nil, weft.Errorf(weft.KindInvalid, gateOp, "", "a number is out of range, or the nesting is too deep").
			WithHint("a DOUBLE ends at 1.8e308; split what is deep into WITH parts")
	}
	if root["error"] != false {
		kind, _ := root["error_type"].(string)
		message, _ := root["error_message"].(string)
		offset := -1
		if p, ok := root["position"].(string); ok {
			if n, err := strconv.Atoi(p); err == nil {
				offset = n
			}
		}
		return nil, parserRefused(text, kind, message, offset)
	}
	list, _ := root["statements"].([]any)
	if len(list) != 1 {
		if len(list) == 0 {
			return nil, parserRefused("", "", "", -1)
		}
		return nil, weft.Errorf(weft.KindInvalid, gateOp, "", "there are %d statements, a query is one SELECT", len(list)).
			WithHint("send one at a time")
	}
	stmt, ok := list[0].(object)
	if !ok {
		return nil, weft.Errorf(weft.KindInvalid, gateOp, "", "the syntax tree cannot be read")
	}
	t := &syntax{root: root, stmt: stmt}
	canonical(stmt)
	return t, nil
}

func tooMany() error {
	return weft.Errorf(weft.KindLimit, gateOp, "", "the query has more than %d parts", MaxNodes).
		WithHint("put long lists into a product and join it")
}

// decodeObject reads one JSON object with numbers as written.
func decodeObject(b []byte) (object, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var o object
	if err := d.Decode(&o); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, weft.Errorf(weft.KindInvalid, "", "", "there is more than one tree")
	}
	return o, nil
}

// encode writes the tree for Deparse, and for a Memo: as json.Marshal would, fields in
// order, with what the engine's writer does not quote itself quoted (the table name of a star).
// It is written by hand as each question needs it several times, and reflection took five
// times as long.
func (t *syntax) encode() ([]byte, error) { return appendTree(make([]byte, 0, 16<<10), t.root) }

func appendTree(b []byte, v any) (_ []byte, err error) {
	switch x := v.(type) {
	case object:
		var room [32]string
		keys := room[:0]
		for k := range x {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		b = append(b, '{')
		for i, k := range keys {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendText(b, k); err != nil {
				return b, err
			}
			b = append(b, ':')
			v := x[k]
			if name, ok := v.(string); ok && k == "relation_name" && name != "" && x["class"] == "STAR" {
				v = QuoteIdent(name)
			}
			if b, err = appendTree(b, v); err != nil {
				return b, err
			}
		}
		return append(b, '}'), nil
	case []any:
		b = append(b, '[')
		for i, v := range x {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendTree(b, v); err != nil {
				return b, err
			}
		}
		return append(b, ']'), nil
	case string:
		return appendText(b, x)
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, x), nil
	case json.Number:
		if n := len(x); n > 0 && n < 19 && strings.Trim(string(x), "0123456789") == "" && (n == 1 || x[0] != '0') {
			return append(b, x...), nil
		}
	}
	more, err := json.Marshal(v) // other numbers, which are checked
	return append(b, more...), err
}

// appendText writes a string as JSON.
func appendText(b []byte, s string) ([]byte, error) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			more, err := json.Marshal(s)
			return append(b, more...), err
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"'), nil
}

// same reports whether two trees mean the same: equal but for where things stand
// in the text.
func (t *syntax) same(u *syntax) bool { return sameTree(t.stmt, u.stmt) }

func sameTree(a, b any) bool {
	switch x := a.(type) {
	case object:
		y, ok := b.(object)
		if !ok || sizeOf(x) != sizeOf(y) {
			return false
		}
		for k, v := range x {
			if w, ok := y[k]; k != "query_location" && (!ok || !sameTree(v, w)) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i, v := range x {
			if !sameTree(v, y[i]) {
				return false
			}
		}
		return true
	}
	switch b.(type) {
	case object, []any:
		return false
	}
	return a == b
}

// sizeOf counts the fields that matter to sameTree.
func sizeOf(o object) int {
	n := len(o)
	if _, ok := o["query_location"]; ok {
		n--
	}
	return n
}

// isEmpty reports whether a field says nothing.
func isEmpty(v any) bool {
	switch x := v.(type) {
	case nil:
		return true
	case string:
		return x == ""
	case bool:
		return !x
	case []any:
		return len(x) == 0
	case object:
		for k, v := range x {
			if !isEmpty(v) && !(k == "type" && v == "ORDER_MODIFIER") {
				return false
			}
		}
		return true
	}
	return false
}

// onlyKeys reports whether all other fields than the named ones say nothing.
func onlyKeys(o object, keys ...string) bool {
	for k, v := range o {
		if !slices.Contains(keys, k) && !isEmpty(v) {
			return false
		}
	}
	return true
}
