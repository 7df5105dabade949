package engine

import (
	"strings"

	"weft"
)

var materialized = words("CTE_MATERIALIZE_DEFAULT CTE_MATERIALIZE_ALWAYS CTE_MATERIALIZE_NEVER")

// with walks the WITH parts of a query and returns what is visible after them:
// each sees the ones before it, a recursive one also itself, and the query sees all.
func (w *walker) with(v any, parent *scope, env *cte) *cte {
	n := w.open(v, "WITH")
	for _, e := range n.list("map") {
		part := w.open(e, "WITH")
		name := part.str("key")
		info := part.sub("value", "WITH")
		info.word("materialized", materialized)
		if len(info.list("key_targets")) > 0 {
			w.refuse("not supported: USING KEY")
		}
		aliases := info.strs("aliases")
		stmt := info.sub("query", "query")
		if len(stmt.list("named_param_map")) > 0 {
			w.fail(weft.KindInvalid, "write the value itself", "there is no value for a parameter")
		}
		c := &cte{parent: env, name: name, renamed: w.renameCTE(name)}
		query := stmt.get("node")
		if isType(query, "RECURSIVE_CTE_NODE") {
			c.outline = w.recursive(query, c, parent)
		} else {
			c.outline = w.query(query, parent, env)
		}
		c.outline = c.outline.with(aliases)
		part.o["key"] = c.renamed
		stmt.done()
		info.done()
		part.done()
		env = c
	}
	n.done()
	return env
}

// recursive walks a recursive WITH part; c is the part itself, which only its
// second half can name.
func (w *walker) recursive(v any, c *cte, parent *scope) outline {
	n := w.open(v, "recursive query")
	w.enter(n)
	defer w.leave()
	n.str("type")
	if !strings.EqualFold(n.str("cte_name"), c.name) {
		w.refuse("not supported: a recursive part with another name than its WITH")
	}
	n.flag("union_all")
	if len(n.list("key_targets")) > 0 {
		w.refuse("not supported: USING KEY")
	}
	aliases := n.strs("aliases")
	env := w.with(n.get("cte_map"), parent, c.parent)
	out := w.query(n.get("left"), parent, env).with(aliases)
	self := &cte{parent: env, name: c.name, renamed: c.renamed, self: true, outline: out}
	w.looping++
	w.endless = true
	right := w.query(n.get("right"), parent, self)
	w.looping--
	out.growth = max(out.growth, right.growth)
	w.modifiers(n.list("modifiers"), &scope{parent: parent, rels: []*relation{{outline: outline{open: true, growth: 1}}}}, env)
	n.o["cte_name"] = c.renamed
	n.done()
	return out
}
