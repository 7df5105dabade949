package serve

import "strings"

// clauseWords begin a line of a statement that is too long for one.
var clauseWords = []string{"FROM", "WHERE", "GROUP BY", "HAVING", "QUALIFY", "WINDOW", "ORDER BY", "LIMIT", "UNION", "EXCEPT", "INTERSECT"}

// clauses breaks a statement before its clauses, those of queries inside it not among
// them, where it does not fit into width. Nothing of it is changed but for blanks that
// become line breaks.
func clauses(sql string, width int) []string {
	if len([]rune(sql)) <= width {
		return []string{sql}
	}
	var out []string
	begin := 0
	blanks(sql, func(at, depth int) {
		if depth > 0 {
			return
		}
		for _, w := range clauseWords {
			rest := sql[at+1:]
			if len(rest) > len(w) && strings.EqualFold(rest[:len(w)], w) && (rest[len(w)] == ' ' || rest[len(w)] == '(') {
				out = append(out, strings.TrimSpace(sql[begin:at]))
				begin = at + 1
				return
			}
		}
	})
	return append(out, strings.TrimSpace(sql[begin:]))
}

// blanks calls f for every blank of a statement that is in no text or quoted name,
// with how many brackets are open.
func blanks(sql string, f func(at, depth int)) {
	var quote byte
	depth := 0
	for i := range len(sql) {
		switch c := sql[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ' ':
			f(i, depth)
		}
	}
}

// foldText breaks text at blanks outside of quotes into lines of at most width
// columns, all but the first hung by so many. What has no blank stays on a line.
func foldText(text string, width, hang int) []string {
	width = max(width, 20)
	var cuts []int
	blanks(text, func(at, _ int) { cuts = append(cuts, at) })
	var out []string
	begin, last := 0, -1
	lead := ""
	emit := func(end int) {
		out = append(out, lead+text[begin:end])
		begin, lead = end+1, strings.Repeat(" ", hang)
	}
	for _, at := range append(cuts, len(text)) {
		if last >= begin && len(lead)+len([]rune(text[begin:at])) > width {
			emit(last)
		}
		last = at
	}
	if begin <= len(text) {
		out = append(out, lead+text[begin:])
	}
	return out
}
