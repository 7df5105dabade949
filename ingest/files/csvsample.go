package files

import (
	"context"
	"fmt"
	"strings"

	"weft/contract"
	"weft/ingest"
)

// sampleCSV suggests a type for each bound column and finds the whole numbers
// that a double cannot hold.
func (l *load) sampleCSV(ctx context.Context, g *group, careful bool) ([]contract.Type, error) {
	types := make([]contract.Type, len(g.bound))
	open := false
	for _, b := range g.bound {
		open = open || !b.Declared && b.Index >= 0
	}
	if open {
		n := sampleRows
		if careful {
			n = -1
		}
		for _, f := range g.some(8, careful) {
			byIndex, err := l.sniffTypes(ctx, g, f, n)
			if err != nil {
				return nil, err
			}
			for i, b := range g.bound {
				if b.Index >= 0 && b.Index < len(byIndex) {
					types[i] = ingest.Widen(types[i], byIndex[b.Index])
				}
			}
		}
	}
	return types, l.digits(ctx, g, types, careful)
}

// sniffTypes are the engine's types for the columns of one file. A file that it
// cannot make sense of gives text.
func (l *load) sniffTypes(ctx context.Context, g *group, f *file, n int) ([]contract.Type, error) {
	var types []contract.Type
	sql := "SELECT c.type FROM (SELECT unnest(Columns) AS c FROM " + g.csv.sniffer(f, n, []string{fmt.Sprintf("header=%v", g.csv.header), fmt.Sprintf("skip=%d", g.csv.skip)}) + ")"
	err := rows(ctx, l.r, sql, func(t []string, _ []bool) error {
		found := ingest.FoundSQL("", t[0])
		types = append(types, found.Type)
		return nil
	})
	if err != nil && !ingest.Retry(err) {
		return nil, ingest.Fault(err, l.r.Where(), f.label)
	}
	if err != nil || len(types) != len(g.found) {
		types = make([]contract.Type, len(g.found))
		for i := range types {
			types[i] = contract.Type{Kind: contract.KindString}
		}
	}
	if len(l.t.read) > 1 {
		return types, l.unsay(ctx, g.one(f), types, n)
	}
	return types, nil
}

// unsay takes back the type of columns that are empty in this file: another one
// may know it.
func (l *load) unsay(ctx context.Context, g *group, types []contract.Type, n int) error {
	var w []string
	for i := range types {
		w = append(w, fmt.Sprintf("CAST(count(c%d) AS VARCHAR)", i))
	}
	limit := ""
	if n > 0 {
		limit = fmt.Sprintf(" LIMIT %d", n)
	}
	sql := "SELECT " + strings.Join(w, ", ") + " FROM (SELECT * FROM " + g.reader(g.text(), "store_rejects=true") + limit + ")"
	err := rows(ctx, l.r, sql, func(t []string, _ []bool) error {
		for i := range types {
			if t[i] == "0" {
				types[i] = contract.Type{}
			}
		}
		return nil
	})
	if err != nil && !ingest.Retry(err) {
		return l.fault(err, g)
	}
	return nil // a file that cannot be read shows that when it is staged
}

// text reads every column as text.
func (g *group) text() []string {
	read := make([]string, len(g.found))
	for i := range read {
		read[i] = "VARCHAR"
	}
	return read
}

// digits looks at the columns of whole numbers: those with leading zeros are
// codes and stay text where nobody declared them; those beyond 2^53 are read as
// text and cast.
func (l *load) digits(ctx context.Context, g *group, types []contract.Type, careful bool) error {
	var at []int
	var w []string
	for i, b := range g.bound {
		t := b.Type
		if !b.Declared {
			t = types[i]
		}
		if t.Kind == contract.KindInt64 && b.Index >= 0 {
			at = append(at, i)
			c := fmt.Sprintf("c%d", b.Index)
			w = append(w, fmt.Sprintf("CAST(bool_or(regexp_matches(%[1]s, '^\\s*[+-]?0[0-9]')) AS VARCHAR), CAST(max(abs(TRY_CAST(%[1]s AS HUGEINT))) >= %[2]d AS VARCHAR)", c, int64(1)<<53))
		}
	}
	if len(at) == 0 {
		return nil
	}
	limit := fmt.Sprintf(" LIMIT %d", sampleRows)
	if careful {
		limit = ""
	}
	look := *g
	look.files = g.some(8, careful)
	sql := "SELECT " + strings.Join(w, ", ") + " FROM (SELECT * FROM " + look.reader(g.text(), "store_rejects=true") + limit + ")"
	err := rows(ctx, l.r, sql, func(t []string, _ []bool) error {
		for k, i := range at {
			b := g.bound[i]
			if t[2*k] == "true" && !b.Declared {
				types[i] = contract.Type{Kind: contract.KindString}
			} else if t[2*k+1] == "true" {
				if g.large == nil {
					g.large = map[string]bool{}
				}
				g.large[b.Name] = true
			}
		}
		return nil
	})
	if err != nil && !ingest.Retry(err) {
		return l.fault(err, g)
	}
	return nil // a file that cannot be read shows that when it is staged
}
