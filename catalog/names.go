package catalog

import (
	"cmp"
	"slices"
	"strings"

	"weft"
)

// Names lists up to limit products whose address begins with prefix, in order: for
// completion.
func (c *Catalog) Names(prefix string, limit int) []weft.Name {
	ns := c.names(strings.ToLower(prefix))
	return ns[:min(max(limit, 0), len(ns))]
}

// names lists the products with a card by the beginning of their address, in order.
func (c *Catalog) names(prefix string) []weft.Name {
	domain, product, exact := strings.Cut(prefix, ".")
	var out []weft.Name
	c.mu.RLock()
	for n, p := range c.products {
		if p.doc == nil || !strings.HasPrefix(n.Domain, domain) {
			continue
		}
		if !exact || n.Domain == domain && strings.HasPrefix(n.Product, product) {
			out = append(out, n)
		}
	}
	c.mu.RUnlock()
	slices.SortFunc(out, compareNames)
	return out
}

// Near lists up to limit products whose address is written almost like name, the
// nearest first: for "did you mean". A product of that name in another domain is
// near, too.
func (c *Catalog) Near(name string, limit int) []weft.Name {
	type near struct {
		weft.Name
		away int
	}
	name = strings.ToLower(name)
	if len(name) > 130 {
		return nil // no address is that long
	}
	domain, product, whole := strings.Cut(name, ".")
	if !whole {
		domain, product = "", name
	}
	within := 1 + len(product)/5
	var out []near
	c.mu.RLock()
	for n, p := range c.products {
		if p.doc == nil {
			continue
		}
		away := distance(n.Product, product, within)
		if whole && away <= within {
			away = 2*away + min(distance(n.Domain, domain, 2), 3) // another domain is one more mistake
		}
		if away <= 2*within+3 && (whole || away <= within) {
			out = append(out, near{n, away})
		}
	}
	c.mu.RUnlock()
	slices.SortFunc(out, func(a, b near) int { return cmp.Or(cmp.Compare(a.away, b.away), compareNames(a.Name, b.Name)) })
	var ns []weft.Name
	for _, n := range out[:min(max(limit, 0), len(out))] {
		ns = append(ns, n.Name)
	}
	return ns
}

// distance is how many letters are to be put in, left out, changed or swapped with
// the next to make b of a; more than most where they are more than that. Names are
// short.
func distance(a, b string, most int) int {
	const far = 1 << 20
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return far
	}
	var rows [3][132]int
	if len(a) >= len(rows[0]) || len(b) >= len(rows[0]) {
		return far
	}
	before, last, now := rows[0][:len(b)+1], rows[1][:len(b)+1], rows[2][:len(b)+1]
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			now[j] = min(change, last[j]+1, now[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
			least = min(least, now[j])
		}
		if least > most {
			return far
		}
		before, last, now = last, now, before
	}
	if last[len(b)] > most {
		return far
	}
	return last[len(b)]
}
