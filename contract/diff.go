package contract

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"weft"
)

// Difference is one thing in which two versions of a product folder differ.
type Difference struct {
	Where    string // product, port, table or table.column
	What     string // a stable short name: "column removed"
	Before   string // empty where it was not there
	After    string // empty where it is gone
	Breaking bool   // somebody who relied on the version before may fail
	Rewrites bool   // the rows are written again, and followers of changes get all of them
	Text     string // one sentence for people
}

// differ collects differences.
type differ struct{ list []Difference }

func (d *differ) add(where, what, before, after string, breaking bool, text string) {
	rewrites := what == "type changed" || what == "type narrowed" || what == "key changed"
	d.list = append(d.list, Difference{where, what, before, after, breaking, rewrites, text})
}

// rewrites says of the last difference that the rows are written again.
func (d *differ) rewrites() { d.list[len(d.list)-1].Rewrites = true }

// inKey reports whether c is a column of the key.
func (t *Table) inKey(c *Column) bool { return slices.Contains(t.Key, c.Name) }

// Diff compares two versions of a product folder: what it promises, where it
// reads and how it is made. The order is that of the old version, then what is
// new. Either may be nil, for a product that was not there.
func Diff(old, new *Folder) []Difference {
	d := &differ{}
	switch {
	case old == nil && new == nil:
		return nil
	case old == nil:
		d.add(new.Name.String(), "product added", "", new.Version, false, "the product is new")
		return d.list
	case new == nil:
		d.add(old.Name.String(), "product removed", old.Version, "", true, "the product is gone")
		return d.list
	}
	d.product(old, new)
	d.tables(old, new)
	d.inputs(old, new)
	d.rest(old, new)
	return d.list
}

func (d *differ) product(old, new *Folder) {
	where := new.Name.String()
	if old.Name != new.Name {
		d.add(where, "address changed", old.Name.String(), new.Name.String(), true, "the product has another address")
	}
	if old.Version != new.Version {
		d.add(where, "version changed", old.Version, new.Version, false, fmt.Sprintf("version %s becomes %s", orNone(old.Version), orNone(new.Version)))
	}
	if old.Life != new.Life {
		ends := new.Life == weft.LifeRetired || old.Life == weft.LifeActive && (new.Life == weft.LifeDraft || new.Life == weft.LifeProposed)
		d.add(where, "status changed", string(old.Life), string(new.Life), ends, fmt.Sprintf("status %s becomes %s", old.Life, new.Life))
	}
	for _, o := range old.Outputs {
		for _, n := range new.Outputs {
			if o.Name == n.Name && orNoCopies(o.Replicas) != orNoCopies(n.Replicas) {
				d.add("port "+n.Name, "replicas changed", orNoCopies(o.Replicas), orNoCopies(n.Replicas), false, "other nodes may keep copies")
			}
			if o.Name != n.Name || slices.Equal(o.Readers, n.Readers) {
				continue
			}
			lost := !slices.Contains(n.Readers, "*") && slices.ContainsFunc(o.Readers, func(r string) bool { return !slices.Contains(n.Readers, r) })
			d.add("port "+n.Name, "readers changed", orOwn(o.Readers), orOwn(n.Readers), lost, "other domains may read the port")
		}
	}
	d.sla(old, new)
}

func orNone(s string) string { return cmp.Or(s, "none") }

func orNoCopies(r *Replicas) string {
	if r == nil {
		return "none"
	}
	return strings.Join(r.Domains, ", ") + " for " + r.For.String()
}

func orOwn(readers []string) string {
	if len(readers) == 0 {
		return "the own domain"
	}
	return strings.Join(readers, ", ")
}

func (d *differ) sla(old, new *Folder) {
	for _, o := range old.Outputs {
		for _, n := range new.Outputs {
			if o.Name != n.Name || o.Contract == nil || n.Contract == nil {
				continue
			}
			a, b := o.Contract.SLA, n.Contract.SLA
			where := "port " + n.Name
			if a.Latency != b.Latency {
				d.add(where, "latency changed", a.Latency.String(), b.Latency.String(), a.Latency > 0 && (b.Latency == 0 || b.Latency > a.Latency), "another latency is promised")
			}
			if a.Retention != b.Retention {
				d.add(where, "retention changed", a.Retention.String(), b.Retention.String(), b.Retention > 0 && (a.Retention == 0 || b.Retention < a.Retention), "another retention is promised")
			}
			if a.Element != b.Element {
				d.add(where, "actual time changed", a.Element, b.Element, a.Element != "", "another column holds the actual time")
			}
		}
	}
}

// tables compares output tables; one that is gone and one that is new with the
// same columns are one that was renamed.
func (d *differ) tables(old, new *Folder) {
	var gone, added []*Table
	for _, o := range old.Tables() {
		if n := tableNamed(new.Tables(), o.Name); n != nil {
			d.table(o, n)
		} else {
			gone = append(gone, o)
		}
	}
	for _, n := range new.Tables() {
		if tableNamed(old.Tables(), n.Name) == nil {
			added = append(added, n)
		}
	}
	for _, o := range gone {
		i := slices.IndexFunc(added, func(n *Table) bool {
			return len(o.Columns) > 0 && slices.Equal(o.columnNames(), n.columnNames())
		})
		if i < 0 {
			d.add(o.Name, "table removed", o.Name, "", true, "the table is gone")
			continue
		}
		n := added[i]
		added = slices.Delete(added, i, i+1)
		d.add(o.Name, "table renamed", o.Name, n.Name, true, fmt.Sprintf("the table is called %s now", n.Name))
		d.table(o, n)
	}
	for _, n := range added {
		d.add(n.Name, "table added", "", n.Name, false, "the table is new")
	}
}

func tableNamed(ts []*Table, name string) *Table {
	for _, t := range ts {
		if t.Name == name {
			return t
		}
	}
	return nil
}

func (d *differ) table(old, new *Table) {
	if !slices.Equal(old.Key, new.Key) {
		d.add(new.Name, "key changed", strings.Join(old.Key, ", "), strings.Join(new.Key, ", "), len(old.Key) > 0, "rows are told apart by other columns")
	}
	d.columns(old, new)
	d.checks(old, new)
	if old.OnViolation != new.OnViolation {
		d.add(new.Name, "violations changed", string(old.OnViolation), string(new.OnViolation), false, "rows that break a rule cause something else")
	} else if old.QuarantineLimit != new.QuarantineLimit {
		d.add(new.Name, "quarantine limit changed", percentText(old.QuarantineLimit), percentText(new.QuarantineLimit), false, "another share of rows may be held back")
	}
	switch {
	case old.SQL == new.SQL:
	case old.SQL == "":
		d.add(new.Name, "SQL added", "", new.SQLFile, false, "the table is made by SQL now")
	case new.SQL == "":
		d.add(new.Name, "SQL removed", old.SQLFile, "", false, "the table is its input now")
	default:
		d.add(new.Name, "SQL changed", old.SQLFile, new.SQLFile, false, "the table is made in another way")
	}
	if old.Description != new.Description || old.Granularity != new.Granularity {
		d.add(new.Name, "description changed", old.Description, new.Description, false, "the table is described in other words")
	}
}

func percentText(f float64) string { return fmt.Sprintf("%g %%", f*100) }

func (d *differ) columns(old, new *Table) {
	var gone, added []*Column
	for _, o := range old.Columns {
		if n := new.Column(o.Name); n != nil {
			d.column(new.Name, o, n, new.inKey(n))
		} else {
			gone = append(gone, o)
		}
	}
	for _, n := range new.Columns {
		if old.Column(n.Name) == nil {
			added = append(added, n)
		}
	}
	for _, o := range gone {
		where := new.Name + "." + o.Name
		i := slices.IndexFunc(added, func(n *Column) bool { return renamed(old, new, o, n) })
		if i < 0 {
			d.add(where, "column removed", o.Type.String(), "", true, "the column is gone")
			continue
		}
		n := added[i]
		added = slices.Delete(added, i, i+1)
		d.add(where, "column renamed", o.Name, n.Name, true, fmt.Sprintf("the column is called %s now", n.Name))
		if new.inKey(n) {
			d.rewrites()
		}
		d.column(new.Name, o, n, new.inKey(n))
	}
	for _, n := range added {
		d.add(new.Name+"."+n.Name, "column added", "", n.Type.String(), false, "the column is new")
	}
}

// renamed reports whether column n of new is column o of old under another
// name: from the same source, or at the same place, of the same type and with
// nearly the same name or the same words.
func renamed(old, new *Table, o, n *Column) bool {
	return saysRenamed(o, n) || o.Type.Equal(n.Type) && slices.Index(old.Columns, o) == slices.Index(new.Columns, n) &&
		(o.Description != "" && o.Description == n.Description || nearest(o.Name, []string{n.Name}) != "")
}

// saysRenamed reports whether the contracts themselves say that n is o: by
// weftRenamedFrom, by the standard's id, or by the name at the source.
func saysRenamed(o, n *Column) bool {
	return n.RenamedFrom == o.Name || o.ID != "" && o.ID == n.ID || cmp.Or(o.PhysicalName, o.Name) == n.PhysicalName
}

// Renamed says what columns of t were called in the version old of the table,
// as far as the contracts say it; old may be nil.
func (t *Table) Renamed(old *Table) map[string]string {
	names := map[string]string{}
	for _, n := range t.Columns {
		if n.RenamedFrom != "" {
			names[n.Name] = n.RenamedFrom
			continue
		}
		if old == nil || old.Column(n.Name) != nil {
			continue
		}
		for _, o := range old.Columns {
			if t.Column(o.Name) == nil && saysRenamed(o, n) {
				names[n.Name] = o.Name
			}
		}
	}
	return names
}

func (d *differ) column(table string, old, new *Column, key bool) {
	where := table + "." + new.Name
	if !old.Type.Equal(new.Type) {
		what, breaking, text := "type changed", true, "the column has another type"
		switch {
		case new.Type.Holds(old.Type):
			what, breaking, text = "type widened", false, "the column holds more values"
		case old.Type.Holds(new.Type):
			what, text = "type narrowed", "the column holds fewer values"
		}
		d.add(where, what, old.Type.String(), new.Type.String(), breaking, text)
		if key { // rows are told apart by its bytes
			d.rewrites()
		}
	}
	if old.Required != new.Required {
		d.add(where, "required changed", requiredText(old), requiredText(new), old.Required, "the column "+requiredText(new))
	}
	if old.Classification != new.Classification {
		d.add(where, "classification changed", orNone(old.Classification), orNone(new.Classification), false, "the column is classified otherwise")
	}
	if old.Unit != new.Unit {
		d.add(where, "unit changed", orNone(old.Unit), orNone(new.Unit), old.Unit != "", "the numbers mean something else")
	}
	if old.SubjectKey != new.SubjectKey {
		d.add(where, "subject key changed", orNone(old.SubjectKey), orNone(new.SubjectKey), false, "the column identifies somebody else")
	}
	if old.Description != new.Description || old.BusinessName != new.BusinessName {
		d.add(where, "description changed", cmp.Or(old.Description, old.BusinessName), cmp.Or(new.Description, new.BusinessName), false, "the column is described in other words")
	}
}

func requiredText(c *Column) string {
	if c.Required {
		return "is always there"
	}
	return "may be empty"
}

// checks compares what the tables promise beyond their types. A rule that is
// gone or weaker may break who relied on it; a new one only binds the owner.
func (d *differ) checks(old, new *Table) {
	what := func(k Check) string {
		text := k.Text
		if k.Severity != weft.SeverityError {
			text += " (" + string(k.Severity) + ")"
		}
		return text
	}
	skip := func(k Check) bool { return k.Kind == "required" || k.ID == k.Table+".key" } // said of the column, of the key
	after := map[string]Check{}
	for _, k := range new.Checks {
		after[strings.TrimPrefix(k.ID, new.Name+".")] = k
	}
	before := map[string]bool{}
	for _, k := range old.Checks {
		id := strings.TrimPrefix(k.ID, old.Name+".")
		before[id] = true
		n, ok := after[id]
		where := placeOf(new, k)
		switch {
		case skip(k):
		case !ok:
			if k.Column == "" || new.Column(k.Column) != nil { // else said of the column
				d.add(where, "check removed", what(k), "", k.Severity == weft.SeverityError, "a rule is gone")
			}
		case k.Predicate != n.Predicate || k.Metric != n.Metric || k.Query != n.Query || k.Severity != n.Severity || !sameComparison(k.Compare, n.Compare):
			d.add(where, "check changed", what(k), what(n), k.Severity == weft.SeverityError, "a rule is another one")
		}
	}
	for _, n := range new.Checks {
		id := strings.TrimPrefix(n.ID, new.Name+".")
		if !before[id] && !skip(n) && (n.Column == "" || old.Column(n.Column) != nil) {
			d.add(placeOf(new, n), "check added", "", what(n), false, "a rule is new")
		}
	}
}

func placeOf(t *Table, k Check) string {
	if k.Column == "" {
		return t.Name
	}
	return t.Name + "." + k.Column
}

func sameComparison(a, b *Comparison) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.String() == b.String()
}

// inputs compares where the product reads.
func (d *differ) inputs(old, new *Folder) {
	named := func(f *Folder, name string) *Input {
		for _, in := range f.Inputs {
			if in.Name == name {
				return in
			}
		}
		return nil
	}
	for _, o := range old.Inputs {
		n := named(new, o.Name)
		where := "input " + o.Name
		switch {
		case n == nil:
			d.add(where, "input removed", inputText(o), "", false, "the input is not read any more")
		case inputText(o) != inputText(n):
			d.add(where, "input changed", inputText(o), inputText(n), false, "the input is another one")
		case o.Contract != nil && n.Contract != nil && o.Contract.Hash != n.Contract.Hash:
			d.add(where, "input changed", o.Contract.Version, n.Contract.Version, false, "the contract of the input is another one")
		}
	}
	for _, n := range new.Inputs {
		if named(old, n.Name) == nil {
			d.add("input "+n.Name, "input added", "", inputText(n), false, "the input is new")
		}
	}
}

func inputText(in *Input) string {
	if in.Contract == nil {
		return "product " + in.Product.String()
	}
	return "contract " + in.Contract.ID
}

// rest reports files that differ in nothing that is said above: tests, samples,
// words.
func (d *differ) rest(old, new *Folder) {
	if old.Hash == new.Hash || len(d.list) > 0 {
		return
	}
	d.add(new.Name.String(), "files changed", "", "", false, "files of the folder differ, and nothing that it promises")
}
