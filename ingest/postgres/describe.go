package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"weft"
	"weft/contract"
	"weft/ingest"
)

// column is one column of a table as the server describes it.
type column struct {
	name   string
	found  ingest.Found
	scalar string // the type that arrives, by the server's name; of the elements for a list
	scale  int    // numeric
	text   bool   // cast to text by the server
}

// describe finds the table, its columns and its primary key.
func (t *read) describe(ctx context.Context, w ingest.Want) error {
	schema, table := t.r.Server.Schema, w.Table.PhysicalName
	if table == "" {
		table = w.Table.Name
	}
	schema, err := t.r.Expand(schema)
	if err != nil {
		return err
	}
	if before, after, ok := strings.Cut(table, "."); ok {
		schema, table = before, after
	}
	id := pgx.Identifier{table}
	if schema != "" {
		id = pgx.Identifier{schema, table}
	}
	t.name = id.Sanitize()
	var oid *uint32
	if err := t.conn.QueryRow(ctx, "SELECT to_regclass($1)::oid", t.name).Scan(&oid); err != nil {
		return fault(ctx, t.r, "find table "+t.name, err)
	}
	if oid == nil {
		return weft.Errorf(weft.KindDrift, "read the source", t.r.Where(), "table %s is missing at server %q", t.name, t.r.Server.Name).
			WithHint("did it get renamed or moved to another schema? physicalName and the server's schema say where it is")
	}
	t.oid = *oid
	if err := t.describeColumns(ctx, *oid); err != nil {
		return fault(ctx, t.r, "describe table "+t.name, err)
	}
	rows, err := t.conn.Query(ctx, `SELECT a.attname FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k(n, at)
JOIN pg_attribute a ON a.attnum = k.n WHERE i.indrelid = $1 AND a.attrelid = $1 AND i.indisprimary ORDER BY k.at`, *oid)
	if err != nil {
		return fault(ctx, t.r, "describe table "+t.name, err)
	}
	if t.key, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return fault(ctx, t.r, "describe table "+t.name, err)
	}
	return nil
}

func (t *read) describeColumns(ctx context.Context, oid uint32) error {
	rows, err := t.conn.Query(ctx, `SELECT a.attname, format_type(a.atttypid, a.atttypmod), b.typtype::text, b.typname,
       CASE WHEN y.typtype = 'd' THEN y.typtypmod ELSE a.atttypmod END, coalesce(e.typname, ''), coalesce(e.typtype::text, '')
FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
JOIN pg_type b ON b.oid = CASE WHEN y.typtype = 'd' THEN y.typbasetype ELSE y.oid END
LEFT JOIN pg_type e ON e.oid = b.typelem AND b.typcategory = 'A'
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, oid)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name, shown, kind, typ, elem, elemKind string
		var mod int32
		if err := rows.Scan(&name, &shown, &kind, &typ, &mod, &elem, &elemKind); err != nil {
			return err
		}
		t.columns = append(t.columns, columnOf(name, shown, kind, typ, mod, elem, elemKind))
	}
	return rows.Err()
}

// kinds are the types that are decoded; all others come as text.
var kinds = map[string]contract.Kind{
	"bool": contract.KindBool, "int2": contract.KindInt16, "int4": contract.KindInt32, "int8": contract.KindInt64, "oid": contract.KindInt64,
	"float4": contract.KindFloat32, "float8": contract.KindFloat64, "numeric": contract.KindDecimal,
	"text": contract.KindString, "varchar": contract.KindString, "bpchar": contract.KindString, "char": contract.KindString, "name": contract.KindString,
	"json": contract.KindString, "jsonb": contract.KindString, "xml": contract.KindString, "bytea": contract.KindBytes,
	"date": contract.KindDate, "time": contract.KindTime, "timestamp": contract.KindTimestamp, "timestamptz": contract.KindInstant, "uuid": contract.KindUUID,
}

// defaultScale is how many decimals a numeric without a precision has.
const defaultScale = 9

func columnOf(name, shown, kind, typ string, mod int32, elem, elemKind string) column {
	c := column{name: name, scalar: typ, found: ingest.Found{Name: name}}
	list := elem != ""
	if list {
		typ, kind, c.scalar = elem, elemKind, elem
	}
	k, ok := kinds[typ]
	switch {
	case kind == "e":
		k, ok, c.scalar = contract.KindString, true, "text" // enums are sent as text
	case kind != "b":
		ok = false
	}
	ty := contract.Type{Kind: k}
	if k == contract.KindDecimal && ok {
		ty = numeric(mod)
		c.scale = ty.Scale
		ok = ty.Kind == contract.KindDecimal
	}
	if !ok {
		c.text, c.scalar = true, "text"
		c.found.Type = contract.Type{Kind: contract.KindString}
		c.found.Raw = shown
		return c
	}
	if list {
		ty = contract.List(ty)
	}
	c.found.Type = ty
	return c
}

// numeric is the decimal for a type modifier; no decimal holds more than 38
// digits or a negative scale.
func numeric(mod int32) contract.Type {
	if mod < 4 {
		return contract.Decimal(contract.MaxPrecision, defaultScale)
	}
	p, s := int((mod-4)>>16)&0xffff, int((mod-4)&0x7ff)
	if s > 1023 {
		s -= 2048
	}
	if p > contract.MaxPrecision || s < 0 || s > p {
		return contract.Type{}
	}
	return contract.Decimal(p, s)
}

// bind matches the columns with what is wanted.
func (t *read) bind(w ingest.Want) error {
	found := make([]ingest.Found, len(t.columns))
	for i, c := range t.columns {
		found[i] = c.found
	}
	bound, ignored, err := ingest.Match(w, "table "+t.name, found)
	if err != nil {
		if e, ok := err.(*weft.Error); ok {
			e.Subject = t.r.Where() + ", table " + w.Table.Name
		}
		return err
	}
	if len(ignored) > 0 {
		t.notes = append(t.notes, fmt.Sprintf("%s: columns that the contract does not name are left out: %s", w.Table.Name, strings.Join(ignored, ", ")))
	}
	for i := range bound {
		b, c := &bound[i], &t.columns[bound[i].Index]
		if b.Type.Kind == contract.KindUnknown {
			b.Type = b.Found.Type
		}
		if c.scalar == "numeric" && b.Type.Kind == contract.KindDecimal && c.found.Type.Kind == contract.KindDecimal {
			c.scale = max(b.Type.Scale, c.scale) // decimals that the contract keeps are decoded
			c.found.Type = contract.Decimal(contract.MaxPrecision, c.scale)
			b.Found = c.found
		}
	}
	t.bound = bound
	return nil
}

// query selects the bound columns in their order: rows that came late first, so
// that a newer one of the same key follows them.
func (t *read) query() string {
	main := "SELECT " + strings.Join(t.exprs(), ", ") + " FROM " + t.name + t.where
	switch {
	case t.late == "":
		return main
	case t.none:
		return t.late
	}
	return t.late + " UNION ALL " + main
}

// exprs are the bound columns as the server has to send them.
func (t *read) exprs() []string {
	var w []string
	for _, b := range t.bound {
		c := t.columns[b.Index]
		s := pgx.Identifier{c.name}.Sanitize()
		if c.text {
			s += "::text"
		}
		w = append(w, s)
	}
	return w
}
