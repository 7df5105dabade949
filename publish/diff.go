package publish

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/store"
)

// keyed compares all new rows with all rows before, by key.
func (p *plan) keyed(ctx context.Context) (*store.TableData, error) {
	file, rows, c, err := p.diff(ctx, "SELECT * FROM "+engine.ScanParquet(p.Staged.Files...), "FULL OUTER JOIN")
	if err != nil {
		return nil, err
	}
	if p.Prior.Rows+c.inserted-c.deleted != p.Staged.Rows {
		return nil, weft.Errorf(weft.KindContract, "publish table", p.Table,
			"its rows are not unique by the key %s: %d rows before, %d new and %d gone do not make %d",
			strings.Join(p.Key, ", "), p.Prior.Rows, c.inserted, c.deleted, p.Staged.Rows).
			WithHint("correct the key in the contract, or the data")
	}
	if c.none() {
		return nil, nil
	}
	if n := c.inserted + c.updated + c.deleted; n > blockRows && float64(n) > replaceShare*float64(p.Prior.Rows) {
		return p.replace(ctx, c)
	}
	return p.deliver(ctx, p.data(weft.OpMerge, c), file, rows)
}

// upsert compares the last row of each staged key with the row before.
func (p *plan) upsert(ctx context.Context) (*store.TableData, error) {
	if len(p.Key) == 0 {
		return nil, weft.Errorf(weft.KindInvalid, "publish table", p.Table, "rows cannot be merged into a table that has no key").
			WithHint("mark the key with primaryKey in the contract, or set weftMode to append or snapshot")
	}
	file, rows, c, err := p.diff(ctx, p.latest(), "LEFT JOIN")
	if err != nil || c.none() {
		return nil, err
	}
	return p.deliver(ctx, p.data(weft.OpMerge, c), file, rows)
}

// byIndex asks the index what the staged rows change, where they are few next to
// the table: then a look at each of them is less than reading the table once.
func (p *plan) byIndex(ctx context.Context) (*store.TableData, bool, error) {
	switch {
	case p.Index == nil, p.Prior == nil, p.Staged.Full, p.Staged.Rows == 0, p.Mode != contract.ModeUpsert, len(p.Key) == 0,
		p.PriorKey != nil && !slices.Equal(p.PriorKey, p.Key),
		p.Prior.Rows < indexRows, p.Staged.Rows > blockRows, p.Staged.Rows*indexShare > p.Prior.Rows:
		return nil, false, nil
	}
	if ok, err := p.Index.Indexed(ctx, p.session, p.Table); !ok || err != nil {
		return nil, false, err
	}
	rows, ok, err := p.latestRows(ctx)
	if !ok || err != nil {
		return nil, false, err
	}
	d, ok, err := p.Index.Upsert(ctx, p.session, rows)
	if err != nil || !ok {
		return nil, false, err
	}
	if len(d.Batches) == 0 {
		return nil, true, nil
	}
	d.Hidden = p.Hidden
	return &d, true, nil
}

// latestRows reads the last staged row of each key; false where they are too many
// bytes to be held in memory.
func (p *plan) latestRows(ctx context.Context) (rows store.Rows, ok bool, err error) {
	r, err := p.session.Query(ctx, engine.Statement{SQL: p.latest()})
	if err != nil {
		return rows, false, err
	}
	defer r.Release()
	rows = store.Rows{Table: p.Table, Schema: r.Schema()}
	var size int64
	for r.Next() {
		b := r.RecordBatch()
		if size += batchBytes(b); size > p.heldBytes {
			return store.Rows{}, false, nil
		}
		b.Retain()
		rows.Batches = append(rows.Batches, b)
	}
	return rows, r.Err() == nil, r.Err()
}

// diff writes the changes from the prior state to the new rows as _op and the
// table's columns: i the new row, d the old one, and for an update b the old row
// directly before u the new one.
//
// Both sides are compared in passes over parts of the keys, so that the memory
// for it does not grow with the table.
func (p *plan) diff(ctx context.Context, rows, join string) (string, int64, counts, error) {
	file, n, err := p.inPasses(ctx, func(part string) string {
		return p.diffSQL("SELECT * FROM ("+rows+")"+part, "SELECT * FROM ("+p.before+")"+part, join)
	}, p.Key, " ORDER BY "+p.order())
	if err != nil {
		return "", 0, counts{}, err
	}
	c, err := p.countOps(ctx, file)
	return file, n, c, err
}

// inPasses writes the rows that sql gives for each part of the rows, as told by
// a hash of columns, into one file; order keeps their order where they come from
// several passes.
func (p *plan) inPasses(ctx context.Context, sql func(part string) string, columns []string, order string) (string, int64, error) {
	passes := 1 + (p.Staged.Rows+p.Prior.Rows)/p.passRows
	if passes == 1 {
		return p.copy(ctx, sql(""), p.Prior.Sources)
	}
	var files []string
	for i := range passes {
		part := fmt.Sprintf(" WHERE hash(%s) %% %d = %d", engine.Idents(columns), passes, i)
		file, n, err := p.copy(ctx, sql(part), p.Prior.Sources)
		if err != nil {
			return "", 0, err
		}
		if n > 0 || i == 0 {
			files = append(files, file)
		}
	}
	return p.copy(ctx, "SELECT * FROM "+engine.ScanParquet(files...)+order, nil)
}

// order sorts changes by key, with the row before an update directly before the
// one after it.
func (p *plan) order() string { return engine.Idents(p.Key) + ", _op" }

func (p *plan) diffSQL(rows, before, join string) string {
	var on, distinct, pick []string
	key := map[string]bool{}
	for _, k := range p.Key {
		key[k] = true
		q := contract.QuoteIdent(k)
		on = append(on, "_weft_new."+q+" = _weft_old."+q)
	}
	for _, f := range p.schema.Fields() {
		q := contract.QuoteIdent(f.Name)
		if !key[f.Name] {
			distinct = append(distinct, "_weft_new."+q+" IS DISTINCT FROM _weft_old."+q)
		}
		pick = append(pick, "CASE WHEN _op IN ('d', 'b') THEN _p."+q+" ELSE _n."+q+" END AS "+q)
	}
	changed := "false"
	if len(distinct) > 0 {
		changed = strings.Join(distinct, " OR ")
	}
	// The markers tell a missing row from one of NULLs.
	both := fmt.Sprintf("(SELECT *, true AS _weft_here FROM (%s)) AS _weft_new %s (SELECT *, true AS _weft_here FROM (%s)) AS _weft_old ON %s",
		rows, join, before, strings.Join(on, " AND "))
	ops := "unnest(CASE WHEN _weft_new._weft_here IS NULL THEN ['d'] WHEN _weft_old._weft_here IS NULL THEN ['i'] ELSE ['b', 'u'] END) AS _op"
	return fmt.Sprintf("SELECT _op, %s FROM (SELECT %s, _weft_new AS _n, _weft_old AS _p FROM %s WHERE _weft_new._weft_here IS NULL OR _weft_old._weft_here IS NULL OR %s) ORDER BY %s, _op",
		strings.Join(pick, ", "), ops, both, changed, ordinals(p))
}

// ordinals names the key columns by their place in the output of diffSQL, where
// the names are those of the table but mean the picked row.
func ordinals(p *plan) string {
	var w []string
	for _, k := range p.Key {
		i := p.schema.FieldIndices(k)
		if len(i) > 0 {
			w = append(w, fmt.Sprint(i[0]+2)) // _op is the first
		}
	}
	return strings.Join(w, ", ")
}

// keyless compares multisets of rows.
func (p *plan) keyless(ctx context.Context) (*store.TableData, error) {
	var names []string
	for _, f := range p.schema.Fields() {
		names = append(names, f.Name)
	}
	cols := engine.Idents(names)
	file, _, err := p.inPasses(ctx, func(part string) string {
		return fmt.Sprintf("SELECT CAST(sum(_weft_n) AS BIGINT) AS _weft_n, %s FROM (SELECT %s, 1 AS _weft_n FROM %s%s UNION ALL SELECT %s, -1 AS _weft_n FROM (%s)%s) GROUP BY %s HAVING sum(_weft_n) <> 0",
			cols, cols, engine.ScanParquet(p.Staged.Files...), part, cols, p.before, part, cols)
	}, names, "")
	if err != nil {
		return nil, err
	}
	var c counts
	if err := p.one(ctx, "SELECT coalesce(sum(_weft_n) FILTER (WHERE _weft_n > 0), 0)::BIGINT, coalesce(-sum(_weft_n) FILTER (WHERE _weft_n < 0), 0)::BIGINT FROM "+
		engine.ScanParquet(file), &c.inserted, &c.deleted); err != nil {
		return nil, err
	}
	switch {
	case c.none():
		return nil, nil
	case c.deleted > 0:
		return p.replace(ctx, c)
	}
	added, rows, err := p.copy(ctx, "SELECT "+cols+" FROM (SELECT *, unnest(range(_weft_n)) FROM "+engine.ScanParquet(file)+")", nil)
	if err != nil {
		return nil, err
	}
	return p.deliver(ctx, p.data(weft.OpAppend, c), added, rows)
}

// latest keeps the last staged row of each key, in the order of the files.
func (p *plan) latest() string {
	return fmt.Sprintf("SELECT * EXCLUDE (_weft_nth) FROM (SELECT *, row_number() OVER (PARTITION BY %s ORDER BY file_index DESC, file_row_number DESC) AS _weft_nth FROM %s) WHERE _weft_nth = 1",
		engine.Idents(p.Key), engine.ScanParquet(p.Staged.Files...))
}

// mergedSQL is the whole state after an append or upsert, in the new columns.
func (p *plan) mergedSQL() string {
	rows := "SELECT * FROM " + engine.ScanParquet(p.Staged.Files...)
	before := "(" + p.before + ") AS p"
	if p.Mode == contract.ModeUpsert && len(p.Key) > 0 {
		rows = p.latest()
		before += " ANTI JOIN (SELECT DISTINCT " + engine.Idents(p.Key) + " FROM " + engine.ScanParquet(p.Staged.Files...) + ") AS n USING (" + engine.Idents(p.Key) + ")"
	}
	return "(SELECT * FROM " + before + ") UNION ALL (" + rows + ")"
}
