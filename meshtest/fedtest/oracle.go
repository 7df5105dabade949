package fedtest

import (
	"context"
	"fmt"
	"strings"

	"weft/engine"
)

// OpenEngine opens one engine as plain DuckDB: in this process, with its own defaults,
// but for time zones. Zero threads are all cores.
func OpenEngine(threads int) (*engine.Direct, error) {
	set := map[string]string{"enable_object_cache": "true"}
	if threads > 0 {
		set["threads"] = fmt.Sprint(threads)
	}
	d, err := engine.OpenDirect(set)
	if err != nil {
		return nil, err
	}
	if _, err := d.Exec(context.Background(), engine.Statement{SQL: "SET TimeZone = 'UTC'"}); err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// AskEngine asks an engine and reads the answer.
func AskEngine(ctx context.Context, d *engine.Direct, sql string) (*Answer, error) {
	rows, err := d.Query(ctx, engine.Statement{SQL: sql})
	if err != nil {
		return nil, err
	}
	defer rows.Release()
	return Read(rows)
}

// Define gives the engine a table of a schema over Parquet files.
func Define(ctx context.Context, d *engine.Direct, schema, table string, files ...string) error {
	list := make([]string, len(files))
	for i, f := range files {
		list[i] = engine.QuoteLiteral(f)
	}
	for _, sql := range []string{
		"CREATE SCHEMA IF NOT EXISTS " + engine.QuoteIdent(schema),
		fmt.Sprintf("CREATE OR REPLACE VIEW %s.%s AS FROM read_parquet([%s])", engine.QuoteIdent(schema), engine.QuoteIdent(table), strings.Join(list, ", ")),
	} {
		if _, err := d.Exec(ctx, engine.Statement{SQL: sql}); err != nil {
			return err
		}
	}
	return nil
}
