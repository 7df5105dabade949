package engine

import (
	"maps"
	"slices"
	"strings"
)

// mostTests is how many tests of a column travel instead of it.
const mostTests = 4

// made has parts send what the question makes of a text where it makes nothing else of it:
// whether it is one of these, or begins like that, is a bit in the place of the text.
func (s *splitter) made(root object) {
	m := s.model(root)
	for _, q := range m.all {
		if q.blind || q.open || q.o["sample"] != nil || q.left != nil {
			continue
		}
		for _, r := range q.rels {
			tests := map[int][]object{} // by column
			for _, k := range []string{"select_list", "group_expressions", "having", "modifiers"} {
				testsIn(m, q.o[k], r, tests)
			}
			if len(tests) == 0 {
				continue
			}
			if l := s.maker(m, q, r); l != nil {
				s.makeTests(m, q, r, l, tests)
			}
		}
	}
}

// maker is the leaf of a relation that can give more than columns as they are, nil for none.
func (s *splitter) maker(m *smodel, q *squery, r *srel) *leaf {
	if r.table == nil || r.name == "" || r.o["sample"] != nil || !isEmpty(r.o["column_name_alias"]) || m.wanted[r][everything] || !q.named() {
		return nil
	}
	l, p := s.leafOf(*r.table), s.places[*r.table]
	switch {
	case l == nil && p.Site != "" && s.mentions(p) == 1: // else one part gives the columns of all
		l = s.tableLeaf(*r.table, p)
	case l == nil || l.site == "" || l.partial || l.looked || l.block != nil || l.join != nil && len(l.join.groups) > 0 || l.join == nil && s.mentions(p) != 1:
		return nil
	}
	return l
}

// mentions counts how often a question names a table.
func (s *splitter) mentions(p Place) (n int) {
	for _, o := range s.places {
		if o.Site == p.Site && o.Name == p.Name {
			n++
		}
	}
	return n
}

func (s *splitter) makeTests(m *smodel, q *squery, r *srel, l *leaf, tests map[int][]object) {
	cols, types := slices.Clone(l.cols), slices.Clone(l.types)
	for i := range cols {
		list := tests[i]
		if len(list) == 0 || i >= len(types) || types[i] != "VARCHAR" || m.uses(r, i) != len(list) {
			continue
		}
		kinds := map[string][]object{}
		for _, e := range list {
			b := m.bare(e)
			b["alias"] = ""
			kinds[plainText(b)] = append(kinds[plainText(b)], e)
		}
		if len(kinds) > mostTests {
			continue
		}
		s.spell(q)
		l.lists()
		for _, k := range slices.Sorted(maps.Keys(kinds)) {
			s.makeTest(m, r, l, i, kinds[k])
		}
	}
}

// uses counts where a column of a relation is named.
func (m *smodel) uses(r *srel, col int) (n int) {
	for _, ref := range m.refs {
		if ref.rel == r && ref.col == col {
			n++
		}
	}
	return n
}

// makeTest has the leaf give a test of its i-th column, which all of same are.
func (s *splitter) makeTest(m *smodel, r *srel, l *leaf, i int, same []object) {
	name := s.name("t")
	item := m.rewrite(same[0], func(sref, []string) object { return copyTree(withoutAlias(asObject(l.join.list[i]))).(object) })
	item["alias"] = name
	l.join.list = append(l.join.list, item)
	l.join.of = append(l.join.of, joinColumn{-1, ""})
	l.cols, l.types = append(slices.Clone(l.cols), name), append(slices.Clone(l.types), "BOOLEAN")
	for _, e := range same {
		c := columnRef(r.called(), name)
		c["alias"] = textOf(e, "alias")
		become(e, c)
	}
}

// lists makes of a leaf that is a table one that gives a list of its columns.
func (l *leaf) lists() {
	if l.join != nil {
		return
	}
	alias := l.table.Name.Table
	from := baseTable(l.table.Name, alias)
	from["at_clause"] = l.table.At.tree()
	j := &joinBlock{items: []object{from}}
	for _, c := range l.cols {
		item := columnRef(alias, c)
		item["alias"] = c
		j.list, j.of = append(j.list, item), append(j.of, joinColumn{0, c})
	}
	for len(l.types) < len(l.cols) {
		l.types = append(slices.Clone(l.types), "")
	}
	l.join, l.table = j, nil
}

// testsIn collects the tests of columns of a relation, by column.
func testsIn(m *smodel, v any, r *srel, out map[int][]object) {
	switch x := v.(type) {
	case []any:
		for _, c := range x {
			testsIn(m, c, r, out)
		}
	case object:
		if x["class"] == "SUBQUERY" {
			return
		}
		if ref, ok := m.test(x); ok && ref.rel == r {
			out[ref.col] = append(out[ref.col], x)
			return
		}
		for _, c := range x {
			testsIn(m, c, r, out)
		}
	}
}

// textTests are functions of a text and a pattern that say yes or no, and never fail.
var textTests = words("~~ !~~ ~~* !~~* ^@ prefix suffix contains starts_with ends_with")

// strictComparisons make NULL of NULL.
var strictComparisons = words("COMPARE_EQUAL COMPARE_NOTEQUAL COMPARE_LESSTHAN COMPARE_GREATERTHAN COMPARE_LESSTHANOREQUALTO COMPARE_GREATERTHANOREQUALTO")

// test says whether an expression asks one thing of one text: is it that, is it one of
// these, does it begin like that. None is what may fail, or makes something of NULL: a
// join may fill the row with NULLs.
func (m *smodel) test(e object) (ref sref, ok bool) {
	var args []any
	switch {
	case e["class"] == "COMPARISON" && strictComparisons[textOf(e, "type")]:
		args = []any{e["left"], e["right"]}
	case e["class"] == "OPERATOR" && (e["type"] == "COMPARE_IN" || e["type"] == "COMPARE_NOT_IN"):
		args = listOf(e, "children")
	case e["class"] == "FUNCTION" && textTests[strings.ToLower(textOf(e, "function_name"))] && len(listOf(e, "children")) == 2:
		args = listOf(e, "children")
	}
	for i, a := range args {
		a := asObject(a)
		switch x, found := m.refs[identity(a)]; {
		case isRef(a) && found && !x.part && ref.rel == nil && (i == 0 || e["class"] == "COMPARISON"):
			ref = x
		case a["class"] == "CONSTANT" && asObject(asObject(a["value"])["type"])["id"] == "VARCHAR":
		default:
			return sref{}, false
		}
	}
	return ref, ref.rel != nil
}
