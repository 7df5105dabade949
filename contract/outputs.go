package contract

import (
	"bytes"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"weft"
)

// Tables returns every output table, port by port.
func (f *Folder) Tables() []*Table {
	var ts []*Table
	for _, o := range f.Outputs {
		if o.Contract != nil {
			ts = append(ts, o.Contract.Tables...)
		}
	}
	return ts
}

// Table returns the output table of that name, or nil. An empty name means the
// product's main table: its only one, else the one with the product's name.
func (f *Folder) Table(name string) *Table {
	all := f.Tables()
	if name == "" && len(all) == 1 {
		return all[0]
	}
	if name == "" {
		name = f.Name.Product
	}
	for _, t := range all {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// readSQL gives each output table its SQL and reports SQL that is nobody's.
func (r *reader) readSQL() {
	tables := map[string]*Table{}
	for _, t := range r.folder.Tables() {
		tables[t.Name] = t
	}
	for _, name := range slices.Sorted(maps.Keys(r.folder.Files)) {
		stem, ok := strings.CutSuffix(name, ".sql")
		if !ok || strings.Contains(name, "/") {
			continue
		}
		at := at{shownPath(r.dir, name), &yaml.Node{Line: 1, Column: 1}}
		text := r.folder.Files[name]
		t := tables[stem]
		switch {
		case t == nil && !r.outputsWhole():
		case t == nil:
			r.errorf(at, "sql-table", didYouMean(stem, slices.Collect(maps.Keys(tables))), "no output table is called '%s'", clip(stem))
		case !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0:
			r.errorf(at, "sql-text", "save the file as UTF-8", "the file is no text")
		case len(bytes.TrimSpace(text)) == 0:
			r.errorf(at, "sql-text", "write one SELECT over the input ports, or remove the file", "the file is empty")
		default:
			t.SQL, t.SQLFile = string(text), name
		}
	}
}

// checkContracts holds output tables against Weft's own rules and compiles the
// checks of all contracts.
func (r *reader) checkContracts() {
	for _, out := range r.folder.Outputs {
		if out.Contract == nil {
			continue
		}
		c := r.fileOf(out.Contract)
		if len(c.Tables) == 0 {
			r.errorf(c.where(keyOf(c.doc.root, "schema")), "table-missing", "add 'schema:' with the tables of the port", "the contract of output port '%s' has no table", clip(out.Name))
		}
		for _, t := range c.Tables {
			r.checkOutputTable(c, t)
			r.compile(c, t)
		}
	}
	r.compileInputs()
	for _, c := range r.contracts {
		r.relationships(c)
	}
	if r.outputsWhole() {
		r.checkUpserts()
		r.passedOver()
	}
}

func (r *reader) fileOf(c *Contract) *contractFile {
	for _, f := range r.contracts {
		if f.Contract == c {
			return f
		}
	}
	return nil
}

func (r *reader) checkOutputTable(c *contractFile, t *Table) {
	n := c.nodes[t]
	if len(t.Columns) == 0 {
		r.errorf(c.where(n), "column-missing", "add 'properties:' with its columns", "output table '%s' promises no column", clip(t.Name))
	}
	for _, col := range t.Columns {
		p := c.cols[col]
		if col.Type.Kind == KindUnknown && field(p, "logicalType") == nil && field(p, "physicalType") == nil {
			r.errorf(c.where(p), "type-missing", "add 'logicalType:', or 'physicalType:' for the exact type", "column '%s' of output table '%s' has no type", clip(col.Name), clip(t.Name))
		}
	}
	for _, k := range t.Key {
		col := t.Column(k)
		p := c.cols[col]
		if !col.Required {
			r.errorf(c.where(p), "key", "add 'required: true'", "column '%s' is part of the key and may be empty", clip(k))
		}
		if col.Type.Kind != KindUnknown && !col.Type.IsKey() {
			r.errorf(c.where(p), "key", "a key is made of whole or exact numbers, text, dates, timestamps or uuids", "column '%s' cannot be part of a key: it is %s", clip(k), col.Type)
		}
	}
	if t.SQL == "" && r.product != nil {
		if _, ok := r.folder.Files[t.Name+".sql"]; ok {
			return // said of the file
		}
		if _, _, err := r.folder.Source(t); err != nil && r.inputsWhole() {
			e := err.(*weft.Error)
			r.errorf(c.where(field(n, "name")), "input-missing", e.Hint, "output table '%s' has no SQL, and %s", clip(t.Name), e.Message)
		}
	}
}

// inputsWhole reports whether every input port of the document was understood,
// so that what is missing is missing indeed.
func (r *reader) inputsWhole() bool {
	n := 0
	for _, in := range r.folder.Inputs {
		if in.Contract != nil || !in.Product.IsZero() {
			n++
		}
	}
	return n == len(items(field(r.product.root, "inputPorts")))
}

// outputsWhole reports whether the contract of every output port was read.
func (r *reader) outputsWhole() bool {
	for _, o := range r.folder.Outputs {
		if o.Contract == nil {
			return false
		}
	}
	return r.product != nil && r.unread == 0
}

// readCases collects the tests: tests/CASE/*.csv.
func (r *reader) readCases() {
	cases := map[string]*Case{}
	for _, name := range slices.Sorted(maps.Keys(r.folder.Files)) {
		rest, ok := strings.CutPrefix(name, "tests/")
		if !ok {
			continue
		}
		at := at{file: shownPath(r.dir, name)}
		cname, file, ok := strings.Cut(rest, "/")
		stem, csv := strings.CutSuffix(file, ".csv")
		if !ok || strings.Contains(file, "/") {
			r.errorf(at, "test-file", "tests are files like tests/CASE/PORT.csv", "the file is part of no test")
			continue
		}
		if !csv {
			if path.Ext(file) != ".md" {
				r.warnf(at, "test-file", "rows of a test are CSV", "the file is not read")
			}
			continue
		}
		c := cases[cname]
		if c == nil {
			c = &Case{Name: cname, Inputs: map[string][]byte{}, Expect: map[string][]byte{}}
			cases[cname] = c
			r.folder.Cases = append(r.folder.Cases, c)
		}
		r.caseFile(c, at, stem, r.folder.Files[name])
	}
	for _, c := range r.folder.Cases {
		if len(c.Expect) == 0 {
			r.errorf(at{file: shownPath(r.dir, "tests/"+c.Name)}, "test-file", "add expect.TABLE.csv with the rows that should come out", "the test expects nothing")
		}
	}
}

// caseFile files one CSV of a test under what its name says.
func (r *reader) caseFile(c *Case, at at, stem string, data []byte) {
	if table, ok := strings.CutPrefix(stem, "expect."); ok {
		var names []string
		for _, t := range r.folder.Tables() {
			names = append(names, t.Name)
		}
		c.Expect[table] = data
		if !slices.Contains(names, table) && r.outputsWhole() {
			r.errorf(at, "test-file", didYouMean(table, names), "the test expects rows of '%s', and no output table has that name", clip(table))
		}
		return
	}
	port, table, dotted := strings.Cut(stem, ".")
	var known []string
	for _, in := range r.folder.Inputs {
		var tables []string
		known = append(known, in.Name)
		if in.Contract != nil {
			for _, t := range in.Contract.Tables {
				tables = append(tables, t.Name)
				known = append(known, in.Name+"."+t.Name)
			}
		}
		if in.Name != port {
			continue
		}
		switch {
		case !dotted && len(tables) > 1 && !slices.Contains(tables, port):
			r.errorf(at, "test-file", "name the table: "+port+"."+tables[0]+".csv", "port '%s' has %d tables", port, len(tables))
		case dotted && in.Contract != nil && !slices.Contains(tables, table) && r.unread == 0:
			r.errorf(at, "test-file", didYouMean(table, tables), "port '%s' has no table '%s'", port, clip(table))
		default:
			c.Inputs[stem] = data
		}
		return
	}
	if r.product != nil && r.unread == 0 {
		known = append(known, "expect.TABLE")
		r.errorf(at, "test-file", didYouMean(stem, known), "no input port is called '%s'", clip(port))
	}
}
