package files

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"weft/contract"
	"weft/ingest"
)

// parquetGroups groups the files by their columns and types.
func (l *load) parquetGroups(ctx context.Context, fs []*file) ([]*group, error) {
	var gs []*group
	by := map[string]*group{}
	for _, f := range fs {
		one := &group{format: parquetFormat, files: []*file{f}}
		found, err := describe(ctx, l.r, "read_parquet("+one.list()+")")
		if err != nil {
			return nil, l.fault(err, one)
		}
		key := fmt.Sprintf("%q", found)
		g := by[key]
		if g == nil {
			g = &group{format: parquetFormat, found: found}
			by[key] = g
			gs = append(gs, g)
		}
		g.files = append(g.files, f)
	}
	return gs, nil
}

func foundTypes(g *group) []contract.Type {
	types := make([]contract.Type, len(g.bound))
	for i, b := range g.bound {
		types[i] = b.Found.Type
	}
	return types
}

// stageParquet copies the group; where a value does not fit its type, a second
// pass sorts such rows out.
func (l *load) stageParquet(ctx context.Context, g *group) error {
	from := "read_parquet(" + g.list() + ")"
	var cols []string
	exact := true
	for _, b := range g.bound {
		e := contract.QuoteIdent(b.Source)
		switch {
		case b.Index < 0:
			e = "CAST(NULL AS " + b.Type.SQL() + ")"
		case b.Found.Raw != "" || !b.Found.Type.Equal(b.Type):
			exact = false
			e = ingest.CastSQL(e, b.Found, b.Type)
		default:
			e = "CAST(" + e + " AS " + b.Type.SQL() + ")" // units of time, unsigned numbers, enums
		}
		cols = append(cols, e+" AS "+contract.QuoteIdent(b.Name))
	}
	err := l.copyPart(ctx, "SELECT "+strings.Join(cols, ", ")+" FROM "+from)
	if err == nil {
		return nil
	}
	if exact || !ingest.Retry(err) {
		return l.fault(err, g)
	}
	if err := l.sortParquet(ctx, g); err != nil {
		if isRejection(err) {
			return err
		}
		return l.fault(err, g)
	}
	return nil
}

// sortParquet copies the rows that fit and rejects the others.
func (l *load) sortParquet(ctx context.Context, g *group) error {
	var cols, bad, reasons, pairs []string
	for _, b := range g.bound {
		e := contract.QuoteIdent(b.Source)
		if b.Index < 0 {
			cols = append(cols, "CAST(NULL AS "+b.Type.SQL()+") AS "+contract.QuoteIdent(b.Name))
			continue
		}
		try := ingest.TryCastSQL(e, b.Found, b.Type)
		is := fmt.Sprintf("(%s IS NOT NULL AND (%s) IS NULL)", e, try)
		cols = append(cols, try+" AS "+contract.QuoteIdent(b.Name))
		bad = append(bad, is)
		reasons = append(reasons, fmt.Sprintf("CASE WHEN %s THEN %s END", is, contract.QuoteLiteral(fmt.Sprintf("type %s: column %s", b.Type, b.Source))))
	}
	for _, f := range g.found {
		pairs = append(pairs, fmt.Sprintf("%s, CAST(%s AS VARCHAR)", contract.QuoteLiteral(f.Name), contract.QuoteIdent(f.Name)))
	}
	wrong := strings.Join(bad, " OR ")
	if err := l.copyPart(ctx, "SELECT "+strings.Join(cols, ", ")+" FROM read_parquet("+g.list()+") WHERE NOT ("+wrong+")"); err != nil {
		return err
	}
	sql := fmt.Sprintf("SELECT concat_ws(', ', %s), CAST(json_object(%s) AS VARCHAR), weft_file, CAST(weft_row + 1 AS VARCHAR) FROM (SELECT *, filename AS weft_file, file_row_number AS weft_row FROM read_parquet(%s, filename=true, file_row_number=true)) WHERE %s",
		strings.Join(reasons, ", "), strings.Join(pairs, ", "), g.list(), wrong)
	return rows(ctx, l.r, sql, func(t []string, _ []bool) error {
		if err := l.rejects.Add(t[0], l.r.Label(t[2])+":row "+t[3], json.RawMessage(t[1])); err != nil {
			return rejection{err}
		}
		return nil
	})
}
