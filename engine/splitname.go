package engine

import "strings"

// ref looks a name up, inner queries first.
func (m *smodel) ref(o object, q *squery) {
	list := textsOf(o, "column_names")
	var crossed []*squery
	for s := q; s != nil; s = s.parent {
		r, i, ok := s.lookup(list)
		if ok {
			n := nameLength(r, list)
			m.refs[identity(o)] = sref{rel: r, col: i, size: n, part: n < len(list)}
			m.want(r, i)
			for _, c := range crossed {
				c.outer, c.reaches = true, true
			}
			return
		}
		crossed = append(crossed, s)
	}
	// A name of the select list, a lambda's parameter, a whole row, or a column of what
	// is not known: anything in sight may be meant.
	for _, s := range crossed {
		for _, r := range s.rels {
			if r.open || len(list) == 1 && r.name == strings.ToLower(list[0]) || len(list) > 1 {
				m.want(r, everything)
				s.blind = true
			}
		}
		if s.parent != nil && !s.aliased(list[0]) {
			s.outer, s.reaches = true, true
		}
	}
	q.alias = true
	if len(list) != 1 || !q.aliased(list[0]) {
		q.blind = true
	}
}

// aliased says whether the select list gives something the name.
func (q *squery) aliased(name string) bool {
	for _, item := range listOf(q.o, "select_list") {
		if strings.EqualFold(textOf(asObject(item), "alias"), name) {
			return true
		}
	}
	if q.left != nil {
		return q.left.aliased(name) || has(outNames(q.outs), name)
	}
	return false
}

// nameLength is how many words of a name are the relation and the column.
func nameLength(r *srel, list []string) int {
	if r.schema != "" && len(list) > 2 && strings.EqualFold(list[0], r.schema) && strings.EqualFold(list[1], r.name) {
		return 3
	}
	if len(list) > 1 && r.name != "" && strings.EqualFold(list[0], r.name) && has(r.cols, list[1]) {
		return 2
	}
	return 1
}

// lookup finds the relation and the column of a name in a query's FROM.
func (q *squery) lookup(list []string) (*srel, int, bool) {
	for _, r := range q.rels {
		rest := list
		switch {
		case r.schema != "" && len(list) > 2 && strings.EqualFold(list[0], r.schema) && strings.EqualFold(list[1], r.name):
			rest = list[2:]
		case len(list) > 1 && r.name != "" && strings.EqualFold(list[0], r.name):
			rest = list[1:]
		default:
			continue
		}
		if i := indexOf(r.cols, rest[0]); i >= 0 {
			return r, i, true
		}
	}
	for _, r := range q.rels {
		if i := indexOf(r.cols, list[0]); i >= 0 && list[0] != "" {
			return r, i, true
		}
	}
	return nil, 0, false
}
