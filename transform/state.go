package transform

import (
	"context"
	"fmt"
	"path/filepath"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/store"
)

// InputState is an input table as it is once the staged rows are in it: the
// staged rows where they are the whole table, else the prior state with new
// rows added (append) or put in place of rows of the same key (upsert). Where
// an upsert has several rows of one key, the last in the order of the files
// counts. A nil prior is an empty table.
func InputState(prior *store.Relation, staged store.Staged, table *contract.Table, mode contract.Mode) store.Relation {
	upsert := mode == contract.ModeUpsert && len(table.Key) > 0 && !staged.Full
	if len(staged.Files) == 0 {
		if prior != nil && !staged.Full {
			return *prior
		}
		return store.Relation{SQL: emptySQL(table)}
	}
	rows := "SELECT * FROM " + engine.ScanParquet(staged.Files...)
	if upsert {
		rows = latestSQL(staged.Files, table.Key)
	}
	out := store.Relation{SQL: rows, Files: staged.Files, Rows: staged.Rows, Plain: !upsert}
	if staged.Full || prior == nil {
		return out
	}
	keep := "SELECT * FROM (" + prior.SQL + ") AS p"
	if upsert {
		keep += " ANTI JOIN (SELECT DISTINCT " + engine.Idents(table.Key) + " FROM " + engine.ScanParquet(staged.Files...) + ") AS n USING (" + engine.Idents(table.Key) + ")"
	}
	return store.Relation{
		SQL:     "(" + keep + ") UNION ALL BY NAME (" + rows + ")",
		Sources: prior.Sources,
		Files:   append(append([]string{}, prior.Files...), staged.Files...),
		Rows:    prior.Rows + staged.Rows,
	}
}

// emptySQL is a relation of a table's columns without rows.
func emptySQL(t *contract.Table) string {
	sql := ""
	for _, c := range t.Columns {
		typ := "VARCHAR"
		if c.Type.Kind != contract.KindUnknown {
			typ = c.Type.SQL()
		}
		if sql != "" {
			sql += ", "
		}
		sql += "CAST(NULL AS " + typ + ") AS " + contract.QuoteIdent(c.Name)
	}
	if sql == "" {
		sql = "NULL AS nothing"
	}
	return "SELECT " + sql + " WHERE false"
}

// latestSQL keeps the last row of each key, in the order of the files.
func latestSQL(files, key []string) string {
	return fmt.Sprintf("SELECT * EXCLUDE (_weft_nth) FROM (SELECT *, row_number() OVER (PARTITION BY %s ORDER BY file_index DESC, file_row_number DESC) AS _weft_nth FROM %s) WHERE _weft_nth = 1",
		engine.Idents(key), engine.ScanParquet(files...))
}

// Latest leaves only the last row of each key in an upsert's staged rows, in the
// order of the files, so that rows that are superseded within one load are
// neither checked nor published. Rows that are unique by key already, and the
// rows of other modes, stay as they are.
func Latest(ctx context.Context, s engine.Session, staged store.Staged, table *contract.Table, mode contract.Mode, stage string) (store.Staged, error) {
	if staged.Full || mode != contract.ModeUpsert || len(table.Key) == 0 || len(staged.Files) == 0 {
		return staged, nil
	}
	rows, err := engine.Fields(ctx, s, engine.Statement{SQL: fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s GROUP BY %s)", engine.ScanParquet(staged.Files...), engine.Idents(table.Key))})
	if err != nil {
		return staged, err
	}
	if len(rows) != 1 {
		return staged, weft.Errorf(weft.KindInternal, "read", table.Name, "a count gave %d rows", len(rows))
	}
	if rows[0][0].Text == fmt.Sprint(staged.Rows) {
		return staged, nil
	}
	file := filepath.Join(stage, fmt.Sprintf("latest-%s-%s.parquet", staged.Port, table.Name))
	n, err := s.Exec(ctx, engine.Statement{SQL: engine.CopyParquet(latestSQL(staged.Files, table.Key), file)})
	if err != nil {
		return staged, err
	}
	staged.Files, staged.Rows = []string{file}, n
	return staged, nil
}
