package contract

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"weft"
)

// readPorts fills the folder's inputs and outputs.
func (r *reader) readPorts() {
	root := r.product.root
	seen := map[string]*yaml.Node{}
	for _, n := range items(field(root, "inputPorts")) {
		r.readInput(n, seen)
	}
	seen = map[string]*yaml.Node{}
	tables := map[string]bool{}
	for _, n := range items(field(root, "outputPorts")) {
		r.readOutput(n, seen, tables)
	}
	if len(r.folder.Outputs) == 0 && len(items(field(root, "outputPorts"))) == 0 {
		r.errorf(r.where(root), "port-missing", "add 'outputPorts:' with a name and the contractId of a contract in this folder", "the product has no output port")
	}
	for _, c := range r.contracts {
		if !c.used {
			r.warnf(c.where(field(c.doc.root, "id")), "contract-unused", "name it as the contractId of a port, or remove the file", "no port of the product names this contract")
		}
	}
}

// portName returns the name of a port, checked to be the only one of its kind.
func (r *reader) portName(n *yaml.Node, seen map[string]*yaml.Node, what string) (string, bool) {
	name := text(n, "name")
	if name == "" {
		return "", false // said by the standard
	}
	if other := seen[name]; other != nil {
		r.errorf(r.where(field(n, "name")), "duplicate-port", "give each port a name of its own", "the %s port '%s' stands here a second time, first in line %d", what, clip(name), other.Line)
		return "", false
	}
	seen[name] = field(n, "name")
	return name, true
}

func (r *reader) readInput(n *yaml.Node, seen map[string]*yaml.Node) {
	name, ok := r.portName(n, seen, "input")
	if !ok {
		return
	}
	if err := weft.CheckName(name); err != nil {
		r.nameFault(r.where(field(n, "name")), "input port", name, err)
	}
	in := &Input{Name: name, Version: text(n, "version")}
	props := r.customs(n, onInput, shownPath(r.dir, productFile))
	if p, ok := props["weftProduct"]; ok {
		addr, err := weft.ParseName(scalar(p.value))
		switch {
		case err != nil:
			r.errorf(r.where(p.value), "name", weft.HintOf(err), "'%s' is not the address of a product", clip(scalar(p.value)))
		case addr == r.folder.Name:
			r.errorf(r.where(p.value), "input-self", "name another product, or a source with servers", "the product reads itself")
		}
		in.Product = addr
	} else if c := r.contractOf(n, "input", name); c != nil {
		in.Contract = c.Contract
		r.checkInput(c, in)
	}
	r.folder.Inputs = append(r.folder.Inputs, in)
}

// contractOf returns the contract that a port names by id.
func (r *reader) contractOf(n *yaml.Node, what, name string) *contractFile {
	id := text(n, "contractId")
	hint := "write the id of a contract in this folder"
	if what == "input" {
		hint = "write the id of a contract in this folder, or read a product with the custom property weftProduct"
	}
	if id == "" {
		if r.product.version >= 110 || what == "output" { // else said by the standard
			r.errorf(r.where(n), "contract-dangling", hint, "the %s port '%s' names no contract", what, clip(name))
		}
		return nil
	}
	var ids []string
	for _, c := range r.contracts {
		if c.ID == id {
			c.used = true
			if v := field(n, "version"); v != nil && c.Version != "" && v.Value != c.Version {
				r.warnf(r.where(v), "contract-version", "write the same version in both", "the %s port '%s' has version %s, its contract %s has %s", what, clip(name), clip(v.Value), c.File, clip(c.Version))
			}
			return c
		}
		if !slices.Contains(ids, c.ID) {
			ids = append(ids, c.ID)
		}
	}
	if len(ids) > 0 {
		hint = didYouMean(id, ids)
	}
	if r.unread > 0 {
		return nil // it may be in a file whose fault is said
	}
	r.errorf(r.where(field(n, "contractId")), "contract-dangling", hint, "the %s port '%s' names the contract '%s', and no contract of this folder has that id", what, clip(name), clip(id))
	return nil
}

func (r *reader) readOutput(n *yaml.Node, seen map[string]*yaml.Node, tables map[string]bool) {
	name, ok := r.portName(n, seen, "output")
	if !ok {
		return
	}
	out := &Output{Name: name, Description: text(n, "description"), Version: text(n, "version")}
	props := r.customs(n, onOutput, shownPath(r.dir, productFile))
	if p, ok := props["weftReaders"]; ok {
		out.Readers = r.readReaders(p.value)
	}
	if p, ok := props["weftReplicas"]; ok {
		out.Replicas = r.readReplicas(p.value)
	}
	if p, ok := props["weftHolds"]; ok {
		out.Holds = r.readHolds(p.value)
	}
	c := r.contractOf(n, "output", name)
	if c == nil {
		r.folder.Outputs = append(r.folder.Outputs, out)
		return
	}
	out.Contract = c.Contract
	for _, t := range c.Tables {
		if tables[t.Name] {
			r.errorf(c.where(field(c.nodes[t], "name")), "duplicate-table", "a table belongs to one output port", "the product has two output tables called '%s'", clip(t.Name))
		}
		tables[t.Name] = true
	}
	r.folder.Outputs = append(r.folder.Outputs, out)
}

func (r *reader) readReaders(n *yaml.Node) []string {
	readers := textsOf(n)
	r.checkDomains(n, readers)
	return readers
}

// checkDomains says which of the words are neither a domain nor "*".
func (r *reader) checkDomains(n *yaml.Node, words []string) {
	for _, w := range words {
		if w == "*" {
			continue
		}
		if err := weft.CheckName(w); err != nil {
			r.nameFault(r.where(n), "domain", w, err)
		}
	}
}

// Source returns the input port and the table of it that output table t is made
// from where it has no SQL of its own: the table of the same name, else the port
// of the same name with one table, else the only table there is. The table is
// empty where the port is another product, whose tables are not known here. The
// error is of KindInvalid.
func (f *Folder) Source(t *Table) (*Input, string, error) {
	type pair struct {
		in    *Input
		table string
	}
	var all, named, ports []pair
	for _, in := range f.Inputs {
		if in.Contract == nil {
			p := pair{in, ""}
			all = append(all, p)
			if in.Name == t.Name {
				ports = append(ports, p)
			}
			continue
		}
		for _, u := range in.Contract.Tables {
			p := pair{in, u.Name}
			all = append(all, p)
			if u.Name == t.Name {
				named = append(named, p)
			}
			if in.Name == t.Name && len(in.Contract.Tables) == 1 {
				ports = append(ports, p)
			}
		}
	}
	if len(named) > 1 {
		var w []string
		for _, p := range named {
			w = append(w, p.in.Name+"."+p.table)
		}
		return nil, "", weft.Errorf(weft.KindInvalid, "find the input of table", t.Name, "more than one input has a table of this name: %s", strings.Join(w, ", ")).
			WithHint("say how it is made in %s.sql", t.Name)
	}
	for _, found := range [][]pair{named, ports, all} {
		if len(found) == 1 {
			return found[0].in, found[0].table, nil
		}
	}
	return nil, "", weft.Errorf(weft.KindInvalid, "find the input of table", t.Name, "no input has a table of this name").
		WithHint("write %s.sql, or call an input port or its table '%s'", t.Name, t.Name)
}
