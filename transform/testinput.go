package transform

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/store"
)

// inputs makes a relation of every input table of the folder.
func (t *testCase) inputs(ctx context.Context) ([]InputTable, error) {
	used, err := t.used(ctx)
	if err != nil {
		return nil, err
	}
	var out []InputTable
	taken := map[string]bool{}
	add := func(port, table string, ct *contract.Table) error {
		stem, data := t.given(port, table)
		taken[stem] = true
		rel, err := t.relation(stem, data, ct, used[engine.Target{Schema: port, Table: table}])
		if err == nil && data != nil && ct != nil && rel.Rows > 0 {
			rel, err = t.checkInput(ctx, port, stem, data, ct, rel)
		}
		if err != nil {
			return err
		}
		out = append(out, InputTable{Port: port, Table: table, Relation: rel})
		return nil
	}
	for _, in := range t.folder.Inputs {
		if in.Contract != nil && len(in.Contract.Tables) > 0 {
			for _, ct := range in.Contract.Tables {
				if err := add(in.Name, ct.Name, ct); err != nil {
					return nil, err
				}
			}
			continue
		}
		for _, table := range t.openTables(in.Name, used) {
			if err := add(in.Name, table, nil); err != nil {
				return nil, err
			}
		}
	}
	for stem := range t.Inputs {
		if !taken[stem] {
			return nil, weft.Errorf(weft.KindInvalid, "read", stem+".csv", "no input table is called so")
		}
	}
	return out, nil
}

// given finds the CSV of an input table: port.table.csv, or port.csv where that
// can mean no other table.
func (t *testCase) given(port, table string) (stem string, data []byte) {
	if d, ok := t.Inputs[port+"."+table]; ok {
		return port + "." + table, d
	}
	n := 0
	for _, in := range t.folder.Inputs {
		if in.Name == port && in.Contract != nil {
			n = len(in.Contract.Tables)
		}
	}
	if d, ok := t.Inputs[port]; ok && (n <= 1 || table == port) {
		return port, d
	}
	return port + "." + table, nil
}

// openTables are the tables of a port that does not declare them: those that the
// case gives and those that the SQL names.
func (t *testCase) openTables(port string, used map[engine.Target][]string) []string {
	var out []string
	add := func(table string) {
		if !slices.Contains(out, table) {
			out = append(out, table)
		}
	}
	for stem := range t.Inputs {
		if p, table, dotted := strings.Cut(stem, "."); p == port && dotted {
			add(table)
		}
	}
	for target := range used {
		if target.Schema == port {
			add(target.Table)
		}
	}
	if _, ok := t.Inputs[port]; ok && len(out) == 0 || len(out) == 0 {
		add(port)
	}
	slices.Sort(out)
	return out
}

// used gathers the columns that the folder's SQL reads, for tables that the case
// does not give.
func (t *testCase) used(ctx context.Context) (map[engine.Target][]string, error) {
	all := map[engine.Target][]string{}
	for _, table := range t.folder.Tables() {
		if table.SQL == "" {
			continue
		}
		used, err := Uses(ctx, t.session, t.folder, table, t.options.Now)
		if err != nil && weft.KindOf(err) == weft.KindUnavailable {
			return nil, err
		}
		if err != nil {
			continue // the SQL is refused, which running it will say
		}
		for target, columns := range used {
			for _, c := range columns {
				if !slices.Contains(all[target], c) {
					all[target] = append(all[target], c)
				}
			}
		}
	}
	return all, nil
}

func (t *testCase) inputContract(port, table string) *contract.Table {
	for _, in := range t.folder.Inputs {
		if in.Name != port || in.Contract == nil {
			continue
		}
		for _, ct := range in.Contract.Tables {
			if ct.Name == table {
				return ct
			}
		}
	}
	return nil
}

// relation is a SELECT of the rows of a CSV. Columns that have no value at all
// are untyped NULLs, which fit wherever the SQL puts them.
func (t *testCase) relation(stem string, data []byte, ct *contract.Table, used []string) (store.Relation, error) {
	if data == nil {
		return store.Relation{SQL: emptyOf(ct, used)}, nil
	}
	rows, err := readCSV(stem+".csv", data)
	if err != nil {
		return store.Relation{}, err
	}
	file := filepath.Join(t.dir, "in-"+stem+".csv")
	if err := os.WriteFile(file, bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), 0o600); err != nil {
		return store.Relation{}, weft.Errorf(weft.KindUnavailable, "run test", t.Name, "%w", err)
	}
	var cols, names, types []string
	for i, name := range rows.header {
		q := contract.QuoteIdent(name)
		names = append(names, contract.QuoteLiteral(name))
		typ := declaredType(ct, name)
		switch {
		case typ != "":
			cols = append(cols, "CAST("+q+" AS "+typ+") AS "+q)
			types = append(types, contract.QuoteLiteral(name)+": 'VARCHAR'")
		case !rows.hasValue(i):
			cols = append(cols, "NULL AS "+q)
		default:
			cols = append(cols, q)
		}
	}
	if len(rows.rows) == 0 {
		return store.Relation{SQL: emptyOf(ct, rows.header)}, nil
	}
	options := fmt.Sprintf("header = true, names = [%s], delim = ',', quote = '\"', escape = '\"', sample_size = -1, strict_mode = false", strings.Join(names, ", "))
	if len(types) > 0 {
		options += ", types = {" + strings.Join(types, ", ") + "}"
	}
	return store.Relation{
		SQL:   fmt.Sprintf("SELECT %s FROM read_csv(%s, %s)", strings.Join(cols, ", "), contract.QuoteLiteral(file), options),
		Files: []string{file}, Rows: int64(len(rows.rows)),
	}, nil
}

// checkInput holds the rows of a CSV against the input contract, as far as it has
// the columns; what is held back, the SQL does not see.
func (t *testCase) checkInput(ctx context.Context, port, stem string, data []byte, ct *contract.Table, rel store.Relation) (store.Relation, error) {
	rows, err := readCSV(stem+".csv", data)
	if err != nil {
		return rel, err
	}
	given := *ct
	given.Checks = slices.DeleteFunc(slices.Clone(ct.Checks), func(k contract.Check) bool {
		return slices.ContainsFunc(append([]string{k.Column}, k.Columns...), func(c string) bool { return c != "" && !slices.Contains(rows.header, c) })
	})
	if t.options.Check == nil || len(given.Checks) == 0 {
		return rel, nil
	}
	staged := store.Staged{Port: port, Table: ct.Name, Files: []string{filepath.Join(t.dir, "in-"+stem+".parquet")}, Full: true}
	if staged.Rows, err = t.session.Exec(ctx, engine.Statement{SQL: engine.CopyParquet(rel.SQL, staged.Files[0])}); err != nil {
		return rel, err
	}
	good, err := t.check(ctx, &given, staged)
	if err != nil || good.Rows == staged.Rows {
		return rel, err
	}
	var cols []string
	for i, name := range rows.header {
		q := contract.QuoteIdent(name)
		if declaredType(ct, name) == "" && !rows.hasValue(i) {
			q = "NULL AS " + q // fits every type, which no column of a file does
		}
		cols = append(cols, q)
	}
	return store.Relation{SQL: "SELECT " + strings.Join(cols, ", ") + " FROM " + engine.ScanParquet(good.Files...), Files: good.Files, Rows: good.Rows}, nil
}

// declaredType is the SQL type that the input contract gives a column, by its
// name or the source's; empty where it gives none.
func declaredType(ct *contract.Table, name string) string {
	if ct == nil {
		return ""
	}
	for _, c := range ct.Columns {
		if (c.Name == name || c.PhysicalName == name) && c.Type.Kind != contract.KindUnknown {
			return c.Type.SQL()
		}
	}
	return ""
}

// emptyOf is a relation without rows, of the contract's columns and others that
// are known by name.
func emptyOf(ct *contract.Table, names []string) string {
	var w []string
	if ct != nil {
		for _, c := range ct.Columns {
			if !slices.Contains(names, c.Name) {
				names = append(names[:len(names):len(names)], c.Name)
			}
		}
	}
	for _, n := range names {
		v := "NULL"
		if typ := declaredType(ct, n); typ != "" {
			v = "CAST(NULL AS " + typ + ")"
		}
		w = append(w, v+" AS "+contract.QuoteIdent(n))
	}
	if len(w) == 0 {
		w = []string{"NULL AS nothing"}
	}
	return "SELECT " + strings.Join(w, ", ") + " WHERE false"
}
