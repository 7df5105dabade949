package engine

import (
	"encoding/json"
	"slices"
	"strings"
)

// twins asks once for what several parts have in common: those that read the same relations
// of a site under the same conditions, and are asked with the same keys, become one, with
// the columns of all.
func (s *splitter) twins(root object) {
	reads := map[*leaf]reading{}
	class := map[*leaf]string{}
	for i, l := range s.leaves {
		class[l] = "alone " + digits(i)
		if r, ok := l.reads(); ok && !s.written(l) {
			reads[l], class[l] = r, r.from+" where "+strings.Join(r.where, " and ")
		}
	}
	// Keys are the same where they come of leaves that are: those of one class are told
	// apart by the classes that their keys come of, until no more are.
	for n, before := classes(class), 0; n != before; {
		next := map[*leaf]string{}
		names := map[string]string{}
		for _, l := range s.leaves {
			next[l] = class[l]
			if r, ok := reads[l]; ok {
				next[l] += " with " + r.keys(l, reads, class)
			}
			if names[next[l]] == "" {
				names[next[l]] = "class " + digits(len(names))
			}
		}
		for l, c := range next {
			class[l] = names[c]
		}
		n, before = classes(class), n
	}
	first := map[string]*leaf{}
	for _, l := range slices.Clone(s.leaves) {
		to := first[class[l]]
		if to == nil {
			first[class[l]] = l
			continue
		}
		to.keys = slices.DeleteFunc(to.keys, func(k leafKey) bool { return k.within(to, class) })
		s.unite(root, to, l, reads)
	}
}

func classes(of map[*leaf]string) int {
	seen := map[string]bool{}
	for _, c := range of {
		seen[c] = true
	}
	return len(seen)
}

// written says whether a leaf is named in the text of a query that keys come of, or is asked
// with such.
func (s *splitter) written(l *leaf) bool {
	return slices.ContainsFunc(s.leaves, func(x *leaf) bool {
		return slices.ContainsFunc(x.keys, func(k leafKey) bool { return k.query != nil && (x == l || k.query[l]) })
	})
}

// within says whether keys come of a leaf's own class: they say nothing of rows that all of
// them have.
func (k leafKey) within(l *leaf, class map[*leaf]string) bool {
	return slices.ContainsFunc(k.from, func(c leafColumn) bool { return class[c.leaf] == class[l] })
}

// reading is what a leaf reads, so that two can be held against each other.
type reading struct {
	from  string
	where []string
	cols  map[string]string // by column of the leaf, in small letters: what it is made of
}

// plainText is a piece of the tree without where it stood in a text.
func plainText(v any) string {
	c := copyTree(v)
	each(c, func(o object) { delete(o, "query_location") })
	b, err := json.Marshal(c)
	if err != nil {
		return "" // of a tree that was read as JSON, which cannot be
	}
	return string(b)
}

func withoutAlias(o object) object {
	c := copyTree(o).(object)
	c["alias"] = ""
	return c
}

// reads says what a leaf reads, where its columns can be told from those of others that
// read the same.
func (l *leaf) reads() (r reading, ok bool) {
	r.cols = map[string]string{}
	switch {
	case l.site == "":
		return r, false
	case l.table != nil:
		t := baseTable(l.table.Name, "")
		t["at_clause"] = l.table.At.tree()
		r.from = l.site + " table " + plainText(t)
		for _, c := range l.cols {
			r.cols[strings.ToLower(c)] = strings.ToLower(c)
		}
	case l.join != nil && len(l.join.groups) == 0 && !hasAggregate(l.join.list):
		var items []any
		for _, o := range l.join.items {
			items = append(items, o)
		}
		r.from = l.site + " join " + plainText(items)
		for _, c := range l.join.where {
			r.where = append(r.where, plainText(c))
		}
		for i, c := range l.cols {
			r.cols[strings.ToLower(c)] = plainText(withoutAlias(asObject(l.join.list[i])))
		}
	case l.block != nil && l.chooses():
		r.from = l.site + " columns of " + plainText(l.block["from_table"])
		for _, c := range conjuncts(l.block["where_clause"]) {
			r.where = append(r.where, plainText(c))
		}
		for i, c := range l.cols {
			r.cols[strings.ToLower(c)] = plainText(withoutAlias(asObject(listOf(l.block, "select_list")[i])))
		}
	default:
		return r, false
	}
	for _, p := range l.preds {
		r.where = append(r.where, r.of(p))
	}
	slices.Sort(r.where)
	r.where = slices.Compact(r.where)
	return r, true
}

// chooses says whether a block gives columns of one table as they are.
func (l *leaf) chooses() bool {
	list := listOf(l.block, "select_list")
	return asObject(l.block["from_table"])["type"] == "BASE_TABLE" && len(list) == len(l.cols) &&
		onlyKeys(l.block, "type", "select_list", "from_table", "where_clause", "aggregate_handling", "cte_map", "group_sets", "query_location") &&
		l.block["aggregate_handling"] == "STANDARD_HANDLING" && isEmpty(asObject(l.block["cte_map"])["map"]) &&
		!slices.ContainsFunc(list, func(v any) bool { return !isRef(asObject(v)) })
}

// of is an expression over the leaf's columns, by what these are made of.
func (r reading) of(e object) string {
	c := copyTree(e).(object)
	each(c, func(o object) {
		if words := textsOf(o, "column_names"); isRef(o) && len(words) > 0 {
			if made, ok := r.cols[strings.ToLower(words[0])]; ok {
				words[0] = "=" + made
				o["column_names"] = texts(words)
			}
		}
	})
	return plainText(c)
}

// keys tells the keys that a leaf is asked with from others.
func (r reading) keys(l *leaf, reads map[*leaf]reading, class map[*leaf]string) string {
	var all []string
	for _, k := range l.keys {
		if k.within(l, class) {
			continue
		}
		var from []string
		for _, c := range k.from {
			column := strings.ToLower(c.column)
			if made, ok := reads[c.leaf].cols[column]; ok {
				column = made
			}
			from = append(from, class[c.leaf]+" "+column)
		}
		slices.Sort(from)
		all = append(all, r.cols[strings.ToLower(k.column)]+" in "+strings.Join(slices.Compact(from), ", "))
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " and ")
}

// unite has one leaf give what its twin does.
func (s *splitter) unite(root object, a, b *leaf, reads map[*leaf]reading) {
	x, y := reads[a], reads[b]
	gives := a.needed()
	called := map[string]string{} // columns of b: what a calls them
	for i, c := range b.cols {
		low := strings.ToLower(c)
		if b.need[low] || s.keysOf(b, c) {
			called[low] = a.take(s, x, y.cols[low], b, i)
		}
	}
	for _, l := range s.leaves {
		for i := range l.keys {
			for n, c := range l.keys[i].from {
				if c.leaf == b {
					l.keys[i].from[n] = leafColumn{a, called[strings.ToLower(c.column)]}
				}
			}
		}
	}
	a.of, a.sharded, a.looked = append(a.of, b.of...), a.sharded || b.sharded, a.looked && b.looked
	s.leaves = slices.DeleteFunc(s.leaves, func(l *leaf) bool { return l == b })
	if len(a.needed()) > len(gives) { // whoever reads all columns reads those of before
		var list []any
		for _, c := range gives {
			list = append(list, columnRef(c))
		}
		s.readAs(root, a.view, a.view, list)
	}
	var list []any
	for _, c := range b.cols { // in order: names may be given by place
		if name, ok := called[strings.ToLower(c)]; ok {
			item := columnRef(name)
			item["alias"] = c
			list = append(list, item)
		}
	}
	s.readAs(root, b.view, a.view, list)
}

// readAs has a question read columns of another view in the place of one; without any, its
// rows.
func (s *splitter) readAs(root object, was, is Target, list []any) {
	if len(list) == 0 {
		list = []any{constantInt(1)}
	}
	var found []object
	each(root, func(o object) {
		if o["type"] == "BASE_TABLE" && textOf(o, "schema_name") == was.Schema && textOf(o, "table_name") == was.Table && !s.listed[identity(o)] {
			found = append(found, o)
		}
	})
	for _, o := range found {
		alias := textOf(o, "alias")
		if alias == "" {
			alias = was.Table
		}
		from := baseTable(is, "")
		s.listed[identity(from)] = true
		ref := subqueryRef(selectNode(copyTree(list).([]any), from, nil), alias)
		ref["column_name_alias"] = o["column_name_alias"]
		become(o, ref)
	}
}

// keysOf says whether others are asked with the values of a column.
func (s *splitter) keysOf(of *leaf, column string) bool {
	return slices.ContainsFunc(s.leaves, func(l *leaf) bool {
		return slices.ContainsFunc(l.keys, func(k leafKey) bool {
			return slices.ContainsFunc(k.from, func(c leafColumn) bool { return c.leaf == of && strings.EqualFold(c.column, column) })
		})
	})
}

// take has the leaf give the i-th column of a twin as well, and returns what it calls that.
func (l *leaf) take(s *splitter, r reading, made string, twin *leaf, i int) string {
	for _, c := range l.cols {
		if r.cols[strings.ToLower(c)] == made {
			l.need[strings.ToLower(c)] = true
			return c
		}
	}
	name := twin.cols[i]
	if has(l.cols, name) {
		name = s.name("c")
	}
	item := copyTree(asObject(twin.list()[i])).(object)
	item["alias"] = name
	if l.join != nil {
		l.join.list, l.join.of = append(l.join.list, item), append(l.join.of, twin.join.of[i])
	} else {
		l.block["select_list"] = append(listOf(l.block, "select_list"), item)
	}
	l.cols = append(l.cols, name)
	l.need[strings.ToLower(name)] = true
	r.cols[strings.ToLower(name)] = made
	return name
}

// list are the expressions of a leaf's columns.
func (l *leaf) list() []any {
	if l.join != nil {
		return l.join.list
	}
	return listOf(l.block, "select_list")
}
