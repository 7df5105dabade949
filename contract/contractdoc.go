package contract

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"weft"
)

// readContract builds a contract from its document: everything but the compiled
// checks, which only output tables have.
func (r *reader) readContract(doc *Document, shown string) *contractFile {
	root := doc.root
	c := &contractFile{
		Contract: &Contract{
			File: doc.File, ID: text(root, "id"), Name: text(root, "name"), Version: text(root, "version"),
			Status: text(root, "status"), Document: doc, Hash: doc.Hash(),
		},
		doc: doc, shown: shown, nodes: map[*Table]*yaml.Node{}, cols: map[*Column]*yaml.Node{},
	}
	r.readServers(c)
	seen := map[string]*yaml.Node{}
	for _, n := range items(field(root, "schema")) {
		if t := r.readTable(c, n, seen); t != nil {
			c.Tables = append(c.Tables, t)
		}
	}
	r.readSLA(c)
	return c
}

// readTable reads one schema object.
func (r *reader) readTable(c *contractFile, n *yaml.Node, seen map[string]*yaml.Node) *Table {
	name := text(n, "name")
	if name == "" {
		return nil // said by the standard
	}
	at := c.where(field(n, "name"))
	if err := weft.CheckName(name); err != nil {
		r.nameFault(at, "table", name, err)
	}
	if other := seen[name]; other != nil {
		r.errorf(at, "duplicate-table", "give each table a name of its own", "table '%s' stands here a second time, first in line %d", clip(name), other.Line)
		return nil
	}
	seen[name] = field(n, "name")
	t := &Table{
		Name: name, PhysicalName: text(n, "physicalName"), Description: text(n, "description"),
		Granularity: text(n, "dataGranularityDescription"), OnViolation: Refuse, QuarantineLimit: 0.01,
		Tags: texts(n, "tags"), Line: n.Line,
	}
	if t.PhysicalName == t.Name {
		t.PhysicalName = ""
	}
	props := r.customs(n, onTable, c.shown)
	if p, ok := props["weftOnViolation"]; ok {
		t.OnViolation = OnViolation(p.value.Value)
	}
	if p, ok := props["weftQuarantineLimit"]; ok {
		t.QuarantineLimit, _ = share(p.value)
		if t.OnViolation != Quarantine {
			r.warnf(c.where(p.key), "custom-property", "add weftOnViolation: quarantine", "the limit means nothing: rows of table '%s' are not quarantined", clip(name))
		}
	}
	c.nodes[t] = n
	r.readColumns(c, t, n)
	return t
}

// storeColumns are the names that the store adds to a table's columns.
var storeColumns = []string{"_op", "_seq", "_seq_to"}

func (r *reader) readColumns(c *contractFile, t *Table, n *yaml.Node) {
	seen := map[string]*yaml.Node{}
	for _, p := range items(field(n, "properties")) {
		name := text(p, "name")
		if name == "" {
			continue // said by the standard
		}
		at := c.where(field(p, "name"))
		low := strings.ToLower(name)
		switch other := seen[low]; {
		case other != nil:
			r.errorf(at, "duplicate-column", "names of columns differ in more than capitals", "column '%s' stands here a second time, first in line %d", clip(name), other.Line)
			continue
		case slices.Contains(storeColumns, low):
			r.errorf(at, "name", "rename the column", "'%s' is a name of Weft's own", name)
		case len(name) > 255 || strings.ContainsAny(name, "\x00\n\r"):
			r.errorf(at, "name", "a name has at most 255 bytes on one line", "'%s' cannot name a column", clip(name))
		}
		seen[low] = field(p, "name")
		col := &Column{
			Name: name, PhysicalName: text(p, "physicalName"), BusinessName: text(p, "businessName"), Description: text(p, "description"),
			Required: truth(p, "required"), Unique: truth(p, "unique"), Classification: text(p, "classification"),
			Tags: texts(p, "tags"), ID: text(p, "id"), Line: p.Line,
		}
		if col.PhysicalName == col.Name {
			col.PhysicalName = ""
		}
		col.Type = r.columnType(c, p, name)
		r.classification(c, p)
		props := r.customs(p, onColumn, c.shown)
		if k, ok := props["weftSubjectKey"]; ok {
			col.SubjectKey = k.value.Value
		}
		if k, ok := props["weftRenamedFrom"]; ok {
			col.RenamedFrom = k.value.Value
		}
		if k, ok := props["weftDefault"]; ok {
			col.Default = k.value.Value
		}
		if k, ok := props["weftShard"]; ok {
			r.readShard(c, t, col, k)
		}
		for _, i := range items(field(p, "customProperties")) {
			if text(i, "property") == "unit" {
				col.Unit = text(i, "value")
			}
		}
		if col.Classification == "" || col.Classification == "public" {
			col.Examples = texts(p, "examples")
		}
		for _, rel := range items(field(p, "relationships")) {
			if to := text(rel, "to"); to != "" {
				col.Relationships = append(col.Relationships, Relationship{To: to})
			}
		}
		c.cols[col] = p
		t.Columns = append(t.Columns, col)
	}
	r.readKey(c, t)
}

// readKey collects the primary key in the order of its positions.
func (r *reader) readKey(c *contractFile, t *Table) {
	type part struct {
		name string
		pos  float64
	}
	var key []part
	seen := map[float64]string{}
	for _, col := range t.Columns {
		p := c.cols[col]
		pos, given := number(field(p, "primaryKeyPosition"))
		if !truth(p, "primaryKey") {
			if given && pos > 0 {
				r.warnf(c.where(keyOf(p, "primaryKeyPosition")), "key", "add 'primaryKey: true' or remove the position", "column '%s' has a position in the key but is not part of it", clip(col.Name))
			}
			continue
		}
		if !given || pos < 1 {
			pos = 1e6 // after all that say where they stand
		} else if other := seen[pos]; other != "" {
			r.errorf(c.where(field(p, "primaryKeyPosition")), "key", "number the columns of the key 1, 2, …", "columns '%s' and '%s' have the same position in the key", clip(other), clip(col.Name))
		}
		if pos < 1e6 {
			seen[pos] = col.Name
		}
		key = append(key, part{col.Name, pos})
	}
	slices.SortStableFunc(key, func(a, b part) int { return cmp.Compare(a.pos, b.pos) })
	for _, k := range key {
		t.Key = append(t.Key, k.name)
	}
}

// columnType returns the type of a property: from its physicalType, else its
// logicalType with options, properties and items.
func (r *reader) columnType(c *contractFile, p *yaml.Node, name string) Type {
	logical, physical := text(p, "logicalType"), text(p, "physicalType")
	l, lerr := r.logicalOf(c, p, name)
	if physical == "" {
		if lerr != nil {
			r.errorf(c.where(field(p, "logicalType")), "type-unsupported", weft.HintOf(lerr), "Weft has no type for the logicalType '%s' of '%s'", clip(logical), clip(name))
		}
		return l
	}
	t, _, err := parseTypeText(physical, generic)
	at := c.where(field(p, "physicalType"))
	switch {
	case err == nil:
		if lerr == nil && l.Kind != KindUnknown && !l.likes(t) {
			r.warnf(at, "type-differs", "the physicalType holds; make the two agree", "'%s' is '%s' as logicalType and '%s' as physicalType", clip(name), clip(logical), clip(physical))
		}
		return t
	case lerr == nil && logical != "" && l.Kind != KindUnknown:
		if l.Kind != KindStruct && l.Kind != KindList {
			r.warnf(at, "type-unsupported", "docs/types.md lists what is known", "the physicalType '%s' of '%s' is not known to Weft; its logicalType holds", clip(physical), clip(name))
		}
		return l
	}
	r.errorf(at, "type-unsupported", weft.HintOf(err), "Weft has no type for the physicalType '%s' of '%s'", clip(physical), clip(name))
	return Type{}
}

// likes reports whether a logical type l fits what physical type t holds.
func (l Type) likes(t Type) bool {
	switch {
	case l.Kind == KindString:
		return t.Kind == KindString || t.Kind == KindUUID || t.Kind == KindBytes
	case l.IsNumber():
		return t.IsNumber()
	case l.IsTemporal():
		return t.IsTemporal()
	}
	return l.Kind == t.Kind
}

// logicalOf returns the type that logicalType and what belongs to it mean.
func (r *reader) logicalOf(c *contractFile, p *yaml.Node, name string) (Type, error) {
	logical := text(p, "logicalType")
	switch logical {
	case "object":
		t := Type{Kind: KindStruct}
		for _, f := range items(field(p, "properties")) {
			ft := r.columnType(c, f, name+"."+text(f, "name"))
			if ft.Kind != KindUnknown && text(f, "name") != "" {
				t.Fields = append(t.Fields, Field{text(f, "name"), ft})
			}
		}
		if len(t.Fields) > 0 {
			return t, nil
		}
	case "array":
		if i := field(p, "items"); i != nil {
			if e := r.columnType(c, i, name+"[]"); e.Kind != KindUnknown {
				return List(e), nil
			}
		}
	default:
		o := field(p, "logicalTypeOptions")
		return logicalType(logical, typeOptions{format: text(o, "format"), timezone: truth(o, "timezone")})
	}
	if field(p, "physicalType") != nil {
		return Type{}, nil
	}
	return Type{}, weft.Errorf(weft.KindInvalid, "read the type", logical, "its parts are missing").
		WithHint("describe the parts: 'properties' of an object, 'items' of an array")
}

var classifications = []string{"public", "internal", "confidential", "restricted", "secret"}

// classification warns of spellings that are near a usual one: a classification
// is free text, but one that nobody knows protects nothing.
func (r *reader) classification(c *contractFile, p *yaml.Node) {
	n := field(p, "classification")
	if n == nil || slices.Contains(classifications, n.Value) {
		return
	}
	if near := nearest(n.Value, classifications); near != "" {
		r.warnf(c.where(n), "classification", "did you mean '"+near+"'?", "the classification '%s' is not a usual one", clip(n.Value))
	}
}
