package transform

import (
	"context"
	"path/filepath"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/store"
)

// Passthrough makes the output tables that have no SQL of the staged rows of
// their input tables. Rows that are staged in the contract's columns and types
// already, as ingest stages them, are not written again; others are cast.
// Tables of which nothing was staged are left out.
func Passthrough(ctx context.Context, s engine.Session, f *contract.Folder, staged []store.Staged, stage string) ([]store.Staged, error) {
	var out []store.Staged
	for _, t := range f.Tables() {
		if t.SQL != "" {
			continue
		}
		port, table, err := f.Source(t)
		if err != nil {
			return nil, err
		}
		in := stagedOf(staged, port.Name, table, t.Name)
		if in == nil {
			continue
		}
		one, err := pass(ctx, s, f.Name, t, *in, stage)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// stagedOf finds what was staged of an input table; where its name is not known,
// the one of the output's name, else the port's only one.
func stagedOf(staged []store.Staged, port, table, output string) *store.Staged {
	var ofPort []*store.Staged
	for i := range staged {
		s := &staged[i]
		switch {
		case s.Port != port:
		case s.Table == table, table == "" && s.Table == output:
			return s
		default:
			ofPort = append(ofPort, s)
		}
	}
	if table == "" && len(ofPort) == 1 {
		return ofPort[0]
	}
	return nil
}

// pass makes one output table of one staged input table.
func pass(ctx context.Context, s engine.Session, product weft.Name, t *contract.Table, in store.Staged, stage string) (store.Staged, error) {
	out := in
	out.Port, out.Table = "", t.Name
	if len(in.Files) == 0 {
		return out, nil
	}
	q := engine.Statement{SQL: "SELECT * FROM " + engine.ScanParquet(in.Files...)}
	found, err := describe(ctx, s, q)
	if err != nil {
		return store.Staged{}, err
	}
	if asContracted(t, found) {
		return out, nil
	}
	made, err := cast(ctx, s, product, t, engine.Statement{SQL: "SELECT " + known(t, found) + " FROM " + engine.ScanParquet(in.Files...)}, filepath.Join(stage, "pass-"+t.Name+".parquet"))
	if err != nil {
		return store.Staged{}, err
	}
	out.Files, out.Rows = made.Files, made.Rows
	return out, nil
}

// known selects the columns that the contract has; what a source has beside
// them is left out.
func known(t *contract.Table, found []column) string {
	var names []string
	for _, f := range found {
		if promised(t, f.name) {
			names = append(names, f.name)
		}
	}
	if len(names) == 0 {
		return "1 AS nothing"
	}
	return engine.Idents(names)
}

// asContracted reports whether columns, their order and types are the contract's.
func asContracted(t *contract.Table, found []column) bool {
	if len(found) != len(t.Columns) {
		return false
	}
	for i, c := range t.Columns {
		u, err := contract.FromDuckDB(found[i].found)
		if err != nil || found[i].name != c.Name || !u.Equal(c.Type) {
			return false
		}
	}
	return true
}
