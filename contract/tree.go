package contract

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"weft"
)

// Found is a product folder with the path it was found at.
type Found struct {
	Dir    string
	Folder *Folder
}

// CheckTogether holds folders that were read one by one against each other and
// returns the faults that only show there: addresses and ids are unique, and what
// a folder says of another one is true where the other one is here. What is not
// here is no fault: it may live in another repository.
func CheckTogether(all []Found) []Fault {
	s := &sink{}
	tree := map[weft.Name]Found{}
	ids, contracts := map[string]Found{}, map[string]string{}
	for _, f := range all {
		s.together(f, tree, ids, contracts)
	}
	for _, f := range all {
		for _, in := range f.Folder.Inputs {
			s.productInput(f, in, tree)
		}
		for _, o := range f.Folder.Outputs {
			if o.Contract == nil {
				continue
			}
			for _, t := range o.Contract.Tables {
				for _, c := range t.Columns {
					s.foreignReferences(f, o.Contract, c, tree)
				}
			}
		}
	}
	return s.sorted()
}

// placeIn is the place of a field of a document, found again by its path.
func placeIn(f Found, file string, names ...string) at {
	where := at{file: shownPath(f.Dir, file)}
	var sk sink
	n := parseYAML(&sk, "", f.Folder.Files[file])
	for _, name := range names {
		n = field(n, name)
	}
	where.node = n
	return where
}

func (s *sink) together(f Found, tree map[weft.Name]Found, ids map[string]Found, contracts map[string]string) {
	if n := f.Folder.Name; !n.IsZero() {
		if other, ok := tree[n]; ok {
			s.errorf(placeIn(f, productFile, "name"), "duplicate-address", "give the product another name", "the product %s is also in %s", n, other.Dir)
		} else {
			tree[n] = f
		}
	}
	if id := f.Folder.ID; id != "" {
		if other, ok := ids[id]; ok {
			s.errorf(placeIn(f, productFile, "id"), "duplicate-id", "give the product an id of its own", "the id '%s' is also that of %s", clip(id), other.Dir)
		} else {
			ids[id] = f
		}
	}
	for _, c := range f.Folder.contracts() {
		if c.ID == "" {
			continue
		}
		here := shownPath(f.Dir, c.File)
		if other, ok := contracts[c.ID]; ok && other != here {
			s.errorf(placeIn(f, c.File, "id"), "duplicate-id", "give the contract an id of its own", "the id '%s' is also that of %s", clip(c.ID), other)
		} else {
			contracts[c.ID] = here
		}
	}
}

// contracts returns every contract that a port names, by file.
func (f *Folder) contracts() []*Contract {
	var cs []*Contract
	for _, in := range f.Inputs {
		if in.Contract != nil && !slices.Contains(cs, in.Contract) {
			cs = append(cs, in.Contract)
		}
	}
	for _, o := range f.Outputs {
		if o.Contract != nil && !slices.Contains(cs, o.Contract) {
			cs = append(cs, o.Contract)
		}
	}
	slices.SortFunc(cs, func(a, b *Contract) int { return cmp.Compare(a.File, b.File) })
	return cs
}

// productInput checks an input port that reads a product which is in the tree.
func (s *sink) productInput(f Found, in *Input, tree map[weft.Name]Found) {
	if in.Product.IsZero() {
		return
	}
	var sk sink
	root := parseYAML(&sk, "", f.Folder.Files[productFile])
	where := at{file: shownPath(f.Dir, productFile), node: root}
	for _, n := range items(field(root, "inputPorts")) {
		if text(n, "name") == in.Name {
			where.node = n
		}
	}
	other, ok := tree[in.Product]
	if !ok {
		var near []string
		for n := range tree {
			near = append(near, n.String())
		}
		if n := nearest(in.Product.String(), near); n != "" {
			s.warnf(where, "product-dangling", "did you mean '"+n+"'?", "input port '%s' reads %s, which is not here", in.Name, in.Product)
		}
		return
	}
	id := text(where.node, "contractId")
	var ids []string
	for _, o := range other.Folder.Outputs {
		if o.Contract != nil {
			ids = append(ids, o.Contract.ID)
		}
	}
	if id != "" && len(ids) > 0 && !slices.Contains(ids, id) {
		where.node = field(where.node, "contractId")
		s.errorf(where, "contract-dangling", didYouMean(id, ids), "input port '%s' names the contract '%s', and %s has none with that id", in.Name, clip(id), in.Product)
	}
	if other.Folder.Life == weft.LifeRetired {
		s.warnf(where, "product-retired", "read the product that replaces it", "input port '%s' reads %s, which is retired", in.Name, in.Product)
	}
}

// foreignReferences checks the relationships of a column to other products that
// are in the tree: table.column of the own domain, or domain.product[.table].column.
func (s *sink) foreignReferences(f Found, c *Contract, col *Column, tree map[weft.Name]Found) {
	for _, rel := range col.Relationships {
		w := strings.Split(rel.To, ".")
		var n weft.Name
		table, column := "", w[len(w)-1]
		switch {
		case strings.ContainsAny(rel.To, "#/"), len(w) < 2 || len(w) > 4:
			continue
		case len(w) == 2:
			if f.Folder.Table(w[0]) != nil || tableOf(c, w[0]) != nil {
				continue
			}
			n = weft.Name{Domain: f.Folder.Name.Domain, Product: w[0]}
		default:
			n = weft.Name{Domain: w[0], Product: w[1]}
			if len(w) == 4 {
				table = w[2]
			}
		}
		other, ok := tree[n]
		if !ok {
			continue
		}
		where := at{shownPath(f.Dir, c.File), &yaml.Node{Line: col.Line, Column: 1}}
		t := other.Folder.Table(table)
		switch {
		case t == nil:
			s.errorf(where, "relationship", "name a table of "+n.String(), "column '%s' refers to '%s', and %s has no such table", col.Name, clip(rel.To), n)
		case t.Column(column) == nil:
			s.errorf(where, "relationship", didYouMean(column, t.columnNames()), "column '%s' refers to '%s', and %s has no such column", col.Name, clip(rel.To), n)
		}
	}
}
