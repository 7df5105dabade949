package verify

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/store"
	"weft/store/storetest"
)

var update = flag.Bool("update", false, "write what the scripts give into them")

const productText = `apiVersion: v1.0.0
kind: DataProduct
id: sales.orders
name: orders
domain: sales
version: 1.0.0
status: draft
description: {purpose: A test.}
team: {members: [{username: owner@example.com, role: owner}]}
inputPorts: [{name: source, version: 1.0.0, contractId: sales.orders/source}]
outputPorts: [{name: orders, version: 1.0.0, contractId: sales.orders/orders, type: tables}]
`

const sourceText = `apiVersion: v3.1.0
kind: DataContract
id: sales.orders/source
version: 1.0.0
status: draft
servers: [{server: files, type: local, path: "data/{table}.csv", format: csv}]
`

const contractText = `apiVersion: v3.1.0
kind: DataContract
id: sales.orders/orders
version: 1.0.0
status: draft
`

// TestScripts holds rows against contracts as owners write them. A script has
// the contract's schema, for each table TABLE.sql (the staged rows), TABLE.prior.sql
// (the rows there are), TABLE.rejects.sql (rows that could not be read), a
// comment line "mode: append", and what comes of it.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	b := storetest.New(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runScript(t, b, file) })
	}
}

func runScript(t *testing.T, b *storetest.Bench, file string) {
	arc, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]string{}
	for _, f := range arc.Files {
		parts[f.Name] = string(f.Data)
	}
	r := Request{Stage: t.TempDir(), Now: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), Product: weft.Name{Domain: "sales", Product: "orders"}}
	r.Stage = b.Stage
	for _, table := range readTables(t, parts["contract"]) {
		c := Candidate{Table: table, Mode: contract.ModeSnapshot, Staged: store.Staged{Table: table.Name, Full: true}}
		if sql, ok := parts[table.Name+".sql"]; ok {
			c.Staged = b.Staged(true, strings.Split(sql, "\n----\n")...)
			c.Staged.Table = table.Name
		}
		if sql, ok := parts[table.Name+".prior.sql"]; ok {
			c.Prior = b.Relation(sql)
		}
		if sql, ok := parts[table.Name+".rejects.sql"]; ok {
			c.Staged.Rejects, c.Staged.RejectRows = b.File(sql)
		}
		if _, mode, ok := strings.Cut(string(arc.Comment), "mode: "); ok {
			c.Mode, c.Staged.Full = contract.Mode(strings.TrimSpace(strings.SplitN(mode, "\n", 2)[0])), false
		}
		r.Tables = append(r.Tables, c)
	}
	out, err := Check(context.Background(), b.Session, r)
	if err != nil {
		t.Fatal(err)
	}
	got := outcomeText(b, out)
	if *update {
		for i := range arc.Files {
			if arc.Files[i].Name == "want" {
				arc.Files[i].Data = []byte(got)
			}
		}
		if err := os.WriteFile(file, txtar.Format(arc), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != parts["want"] {
		t.Errorf("got\n%s\nwant\n%s", got, parts["want"])
	}
}

func readTables(t *testing.T, schema string) []*contract.Table {
	f, faults := contract.Read(fstest.MapFS{
		"p/product.odps.yaml": {Data: []byte(productText)},
		"p/orders.odcs.yaml":  {Data: []byte(contractText + schema)},
		"p/source.odcs.yaml":  {Data: []byte(sourceText)},
	}, "p")
	for _, x := range faults {
		if x.Severity == contract.FaultError && x.Rule != "input-missing" && x.Rule != "table-missing" {
			t.Fatalf("%s:%d: %s: %s", x.File, x.Line, x.Rule, x.Message)
		}
	}
	return f.Tables()
}

func outcomeText(b *storetest.Bench, out *Outcome) string {
	var w strings.Builder
	word := "refuse"
	if out.Pass {
		word = "pass"
	}
	fmt.Fprintf(&w, "%s, %d held\n", word, out.Verdict.Quarantined)
	for _, c := range out.Verdict.Checks {
		mark := "ok    "
		if !c.Pass {
			mark = "BROKEN"
		}
		fmt.Fprintf(&w, "%s %s (%s): %s", mark, c.ID, c.Severity, c.Text)
		switch {
		case c.Error != "":
			fmt.Fprintf(&w, " | error: %s", c.Error)
		case c.Value != "":
			fmt.Fprintf(&w, " | %s", c.Value)
		case !c.Pass:
			fmt.Fprintf(&w, " | %d of %d", c.Failed, c.Total)
		}
		w.WriteString("\n")
	}
	for _, t := range out.Tables {
		fmt.Fprintf(&w, "publish %s: %d rows\n", t.Table, t.Rows)
	}
	if out.Quarantine != nil {
		for _, l := range b.Lines("FROM " + engine.ScanParquet(out.Quarantine.Files...)) {
			fmt.Fprintf(&w, "held %s\n", l)
		}
	}
	if out.Refusal != nil {
		fmt.Fprintf(&w, "%v\n→ %s\n", out.Refusal, out.Refusal.Hint)
	}
	return w.String()
}
