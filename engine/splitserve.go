package engine

import "slices"

// serve leaves conditions to the parts that they are wholly about where a column is used
// in no other place: it is not sent only to be looked at again.
func (s *splitter) serve(root object) {
	m := s.model(root)
	for _, q := range m.all {
		if q.o["sample"] != nil {
			continue
		}
		for _, c := range q.conds {
			s.serveOne(m, q, c)
		}
	}
	s.prune(root)
}

func (s *splitter) serveOne(m *smodel, q *squery, c scond) {
	r, ok := m.single(q, c.expr)
	if !ok || !slices.Contains(c.narrows, r) || r.o["sample"] != nil || m.wanted[r][everything] || !s.only(m, r, c.expr) {
		return
	}
	to := s.servants(r)
	if to == nil || !drop(q, c) {
		return
	}
	e := m.bare(c.expr)
	for _, l := range to {
		l.preds = append(l.preds, renumber(e, func(i int) object { return columnRef(l.cols[i]) }))
	}
}

// only says whether an expression uses a column of the relation that nothing else does.
func (s *splitter) only(m *smodel, r *srel, expr object) bool {
	mine, others := map[int]bool{}, map[int]bool{}
	inside := map[uintptr]bool{}
	each(expr, func(o object) { inside[identity(o)] = true })
	for id, ref := range m.refs {
		if ref.rel != r {
			continue
		}
		if inside[id] {
			mine[ref.col] = true
		} else {
			others[ref.col] = true
		}
	}
	for col := range mine {
		if !others[col] {
			return true
		}
	}
	return false
}

// servants are the leaves that give the relation's rows, column by column; nil where it is
// not that simple.
func (s *splitter) servants(r *srel) (out []*leaf) {
	if r.table != nil {
		p, isTable := s.places[*r.table]
		l := s.leafOf(*r.table)
		if l == nil && isTable && p.Site != "" {
			l = s.tableLeaf(*r.table, p)
		}
		if l == nil || l.site == "" || l.partial {
			return nil
		}
		return []*leaf{l}
	}
	if r.sub == nil || r.open {
		return nil
	}
	for _, b := range s.branches(r.sub) {
		l := s.leafOf(*b.rels[0].table)
		if l.partial || len(l.cols) != len(r.inside) {
			return nil
		}
		out = append(out, l)
	}
	return out
}

// tableLeaf makes a leaf of a table that is read by itself.
func (s *splitter) tableLeaf(t Target, p Place) *leaf {
	l := &leaf{view: t, site: p.Site, table: &p, cols: p.Columns, types: p.Types, need: map[string]bool{}, rows: p.Rows, base: p.Rows, of: []Target{s.asked(t)}}
	s.leaves = append(s.leaves, l)
	return l
}

// drop takes a condition out of the query.
func drop(q *squery, c scond) bool {
	from, key := q.o, "where_clause"
	if c.from != nil {
		from, key = c.from, "condition"
	}
	var rest []object
	found := false
	for _, x := range conjuncts(from[key]) {
		if identity(x) == identity(c.expr) {
			found = true
		} else {
			rest = append(rest, x)
		}
	}
	switch {
	case !found:
		return false
	case len(rest) > 0:
		from[key] = andAsIs(rest)
	case c.from != nil:
		from[key] = castOf("t", object{"id": "BOOLEAN", "type_info": nil})
	default:
		from[key] = nil
	}
	return true
}
