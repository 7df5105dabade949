package engine

import (
	"encoding/json"
	"fmt"
	"math"

	"weft"
)

// refusal carries an error out of a walk over a tree; endsWalk recovers it.
type refusal struct{ err error }

// endsWalk, deferred, makes a refusal the error that a walk ends with.
func endsWalk(err *error) {
	switch r := recover().(type) {
	case nil:
	case refusal:
		*err = r.err
	default:
		panic(r)
	}
}

// treeNode is one object of the tree being read. Every field must be asked for:
// done refuses the object when it has another one that says something, so that
// nothing which the walker does not know can pass.
type treeNode struct {
	w    *walker
	o    object
	what string // for refusals: "function", "join"
	seen map[string]bool
}

// open starts reading a value that must be an object.
func (w *walker) open(v any, what string) *treeNode {
	o, ok := v.(object)
	if !ok {
		w.refuse("the syntax tree has no %s where one is expected", what)
	}
	return &treeNode{w: w, o: o, what: what, seen: make(map[string]bool, len(o))}
}

// done refuses the object when a field was not read and says something.
func (n *treeNode) done() {
	for k, v := range n.o {
		if !n.seen[k] && !isEmpty(v) {
			n.w.refuse("not supported: %s of a %s", k, n.what)
		}
	}
}

func (n *treeNode) get(key string) any {
	n.seen[key] = true
	return n.o[key]
}

// skip marks fields that mean nothing for the walk.
func (n *treeNode) skip(keys ...string) {
	for _, k := range keys {
		n.seen[k] = true
	}
}

func (n *treeNode) str(key string) string {
	v := n.get(key)
	if v == nil {
		return ""
	}
	s, ok := v.(string)
	if !ok {
		n.w.refuse("not supported: the %s of a %s", key, n.what)
	}
	return s
}

// word reads a field that must have one of the given values.
func (n *treeNode) word(key string, allowed map[string]bool) string {
	s := n.str(key)
	if !allowed[s] {
		n.w.refuse("not supported: %s %s", n.what, s)
	}
	return s
}

func (n *treeNode) flag(key string) bool {
	v := n.get(key)
	if v == nil {
		return false
	}
	b, ok := v.(bool)
	if !ok {
		n.w.refuse("not supported: the %s of a %s", key, n.what)
	}
	return b
}

func (n *treeNode) list(key string) []any {
	v := n.get(key)
	if v == nil {
		return nil
	}
	l, ok := v.([]any)
	if !ok {
		n.w.refuse("not supported: the %s of a %s", key, n.what)
	}
	return l
}

func (n *treeNode) strs(key string) []string {
	var out []string
	for _, v := range n.list(key) {
		s, ok := v.(string)
		if !ok {
			n.w.refuse("not supported: the %s of a %s", key, n.what)
		}
		out = append(out, s)
	}
	return out
}

// sub starts reading the object in a field.
func (n *treeNode) sub(key, what string) *treeNode { return n.w.open(n.get(key), what) }

// offset is where the node stands in the text, -1 where the engine does not say.
func (n *treeNode) offset() int {
	num, ok := n.get("query_location").(json.Number)
	if !ok {
		return -1
	}
	v, err := num.Int64()
	if err != nil || v < 0 || v > math.MaxInt32 {
		return -1
	}
	return int(v)
}

// refuse ends the walk with an error of KindInvalid at the place last entered.
func (w *walker) refuse(format string, args ...any) {
	w.fail(weft.KindInvalid, "write it another way", format, args...)
}

// fail ends the walk with an error.
func (w *walker) fail(kind weft.Kind, hint, format string, args ...any) {
	panic(refusal{&weft.Error{
		Op: gateOp, Subject: place(w.text, w.at), Kind: kind, Message: fmt.Sprintf(format, args...), Hint: hint,
	}})
}

// enter counts a node and a level of depth and remembers where it stands; leave
// ends the level.
func (w *walker) enter(n *treeNode) {
	if at := n.offset(); at >= 0 {
		w.at = at
	}
	if w.nodes++; w.nodes > MaxNodes {
		panic(refusal{tooMany()})
	}
	if w.chained {
		w.chained = false
		w.levels = append(w.levels, 0)
		return
	}
	w.levels = append(w.levels, 1)
	if w.depth++; w.depth > MaxDepth {
		w.fail(weft.KindLimit, "split the query into WITH parts", "the query is nested deeper than %d", MaxDepth)
	}
}

func (w *walker) leave() {
	last := len(w.levels) - 1
	w.depth -= w.levels[last]
	w.levels = w.levels[:last]
}
