package node

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weft"
	"weft/serve"
)

// ledger is a product of a thousand rows whose contract changes.
func (r *rig) ledger(mode string, columns ...string) {
	r.t.Helper()
	folder := strings.Replace(typeProduct("ledger", "csv", nil), "{property: weftFormat, value: csv}", "{property: weftFormat, value: csv}, {property: weftMode, value: "+mode+"}", 1)
	folder = strings.Replace(folder, "path: data/ledger.csv", "path: 'data/*.csv'", 1)
	for _, c := range columns {
		folder += "      - {" + c + "}\n"
	}
	r.write(folder)
}

func (r *rig) rows(file, header string, line func(i int) string) {
	r.t.Helper()
	var b strings.Builder
	b.WriteString(header + "\n")
	for i := range 1000 {
		b.WriteString(line(i) + "\n")
	}
	path := filepath.Join(r.dir, "ledger", "data", file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// written is how many bytes the product's data files and its journal have.
func (r *rig) written(name string) (files, journal int64) {
	r.t.Helper()
	p := r.node.products[mustName(r.t, name)]
	_ = filepath.WalkDir(r.node.cfg.path("products", p.record().ID), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		switch {
		case err != nil:
		case strings.HasSuffix(path, ".parquet"):
			files += info.Size()
		case strings.HasSuffix(path, ".weftj"):
			journal += info.Size()
		}
		return nil
	})
	return files, journal
}

// columnsOnly applies the folder and wants a commit that writes no rows.
func (r *rig) columnsOnly(what string) weft.Seq {
	r.t.Helper()
	files, journal := r.written("sales.ledger")
	res := r.apply("ledger", serve.OutcomeCommitted)
	f, j := r.written("sales.ledger")
	if op := res.Commit.Tables[0].Op; op != weft.OpColumns || f != files || j-journal > 16<<10 {
		r.t.Fatalf("%s: %s, %d bytes of files and %d of the journal were written", what, op, f-files, j-journal)
	}
	return res.Commit.Seq
}

const (
	id1    = "id: col-item, name: item, logicalType: string, physicalType: text"
	price1 = "name: price, logicalType: number, physicalType: 'numeric(10,2)'"
	qty1   = "name: qty, logicalType: integer, physicalType: integer"
)

// TestContractsEvolve applies minor versions of a contract: the rows that are
// there stay where they are, old cuts keep their columns.
func TestContractsEvolve(t *testing.T) {
	r := newRig(t)
	r.ledger("snapshot", id1, price1, qty1)
	r.rows("a.csv", "id,item,price,qty,note", func(i int) string { return fmt.Sprintf("%d,item %d,%d.50,%d,", i, i, i, i) })
	first := r.apply("ledger", serve.OutcomeCommitted).Commit.Seq
	p := r.node.products[mustName(t, "sales.ledger")]
	if err := p.store.Compact(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	const sum = "SELECT count(*), sum(price), max(%s) FROM sales.ledger"

	r.ledger("snapshot", id1, price1, qty1, "name: note, logicalType: string, physicalType: text")
	added := r.columnsOnly("a column added")
	r.want("SELECT count(*), count(note) FROM sales.ledger", "1000,0")

	r.ledger("snapshot", id1, "name: price, logicalType: number, physicalType: 'numeric(14,4)'", "name: qty, logicalType: number, physicalType: double precision", "name: note, logicalType: string, physicalType: text")
	widened := r.columnsOnly("columns widened")
	r.want("SELECT typeof(price), typeof(qty), price FROM sales.ledger WHERE id = 3", `"DECIMAL(14,4)",DOUBLE,3.5000`)

	// Renamed by the standard's id, and by the name at the source.
	r.ledger("snapshot", "id: col-item, name: article, physicalName: item, logicalType: string, physicalType: text", "name: price, logicalType: number, physicalType: 'numeric(14,4)'",
		"name: pieces, physicalName: qty, logicalType: number, physicalType: double precision", "name: note, logicalType: string, physicalType: text")
	renamed := r.columnsOnly("columns renamed")
	r.want(fmt.Sprintf(sum, "article"), "1000,500000.0000,item 999")

	r.ledger("snapshot", "id: col-item, name: article, physicalName: item, logicalType: string, physicalType: text", "name: price, logicalType: number, physicalType: 'numeric(14,4)'")
	dropped := r.columnsOnly("columns dropped")
	if text, _, err := r.query("SELECT pieces FROM sales.ledger"); err == nil {
		t.Error("a column that is gone is answered", text)
	}

	cuts := func(what string) {
		t.Helper()
		at := func(s weft.Seq) string { return fmt.Sprintf("sales.ledger%s", s) }
		r.want(fmt.Sprintf(sum, "item"), "1000,500000.00,item 999", at(first))
		r.want("SELECT count(*), count(note), max(qty) FROM sales.ledger", "1000,0,999", at(added))
		r.want("SELECT typeof(qty), max(item) FROM sales.ledger GROUP BY 1", "DOUBLE,item 999", at(widened))
		r.want("SELECT max(article), max(pieces) FROM sales.ledger", "item 999,999", at(renamed))
		r.want("SELECT * FROM sales.ledger WHERE id = 7", "7,item 7,7.5000", at(dropped))
		if text, _, err := r.query("SELECT note FROM sales.ledger", at(first)); err == nil {
			t.Error(what, "an old cut has a later column", text)
		}
	}
	cuts("tail")
	r.rows("a.csv", "id,item,price,qty,note", func(i int) string { return fmt.Sprintf("%d,item %d,%d.50,%d,", i, i, i, i%500) })
	r.refresh("sales.ledger", serve.OutcomeUnchanged) // the columns that differ are gone
	p = r.node.products[mustName(t, "sales.ledger")]
	if err := p.store.Compact(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	cuts("folded")
	r.restart()
	cuts("read again")

	// Fewer digits need all rows: a replacement, and the difference says so.
	r.ledger("snapshot", "id: col-item, name: article, physicalName: item, logicalType: string, physicalType: text", "name: price, logicalType: number, physicalType: 'numeric(6,2)'")
	res := r.apply("ledger", serve.OutcomeCommitted)
	if res.Commit.Tables[0].Op != weft.OpReplace {
		t.Errorf("narrowed: %s", res.Commit.Tables[0].Op)
	}
	said := false
	for _, d := range res.Differences {
		said = said || d.Rewrites && d.What == "type narrowed"
	}
	if !said {
		t.Errorf("the difference does not say that the rows are written again: %+v", res.Differences)
	}
	cuts("after a replacement")
}

// TestAppendedSourceGetsAColumn: rows that no source gives a second time have the
// declared default, and a rename that only the custom property tells.
func TestAppendedSourceGetsAColumn(t *testing.T) {
	r := newRig(t)
	r.ledger("append", id1, qty1)
	r.rows("a.csv", "id,item,qty", func(i int) string { return fmt.Sprintf("%d,item %d,%d", i, i, i) })
	r.apply("ledger", serve.OutcomeCommitted)
	def := "customProperties: [{property: weftDefault, value: '12.50'}]"
	r.ledger("append", "name: thing, physicalName: label, logicalType: string, physicalType: text, unique: true, customProperties: [{property: weftRenamedFrom, value: item}]",
		qty1, "name: weight, logicalType: number, physicalType: 'numeric(6,2)', "+def)
	// Unique is meant with the rows from before, under their new name.
	r.rows("b.csv", "id,label,qty,weight", func(i int) string { return fmt.Sprintf("%d,item %d,%d,1.25", 1000+i, i, i) })
	if res := r.apply("ledger", serve.OutcomeRefused); !strings.Contains(res.Message, "thing") {
		t.Error(res.Message)
	}
	r.rows("b.csv", "id,label,qty,weight", func(i int) string { return fmt.Sprintf("%d,thing %d,%d,1.25", 1000+i, i, i) })
	r.refresh("sales.ledger", serve.OutcomeCommitted)
	r.want("SELECT weight, count(*), min(thing) FROM sales.ledger GROUP BY 1 ORDER BY 1", "1.25,1000,thing 0\n12.50,1000,item 0")
	r.want("SELECT count(*), max(item) FROM sales.ledger", "1000,item 999", "sales.ledger#2")
}
