package store

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/sign"
)

// A table's columns may change without its rows being written again. A column
// has a number of its own, its id, which stays when it is renamed, widened or
// moved and is never given twice to columns of one table. What a level holds is
// found by ids: each level keeps the columns that it was written with.
const (
	// columnIDKey is the metadata key of a field's id, the one that Arrow and
	// Parquet libraries use. A schema without ids numbers its columns from 1.
	columnIDKey = "PARQUET:field_id"
	// DefaultKey is the metadata key of the text that rows from before a column
	// have in it; without it they have NULL.
	DefaultKey = "weft.default"
)

// edition is the columns that a table has from a commit on.
type edition struct {
	from   weft.Seq
	schema *arrow.Schema
	id     weft.Hash
	keys   []int // positions of the key
}

// columnID is the id of column i.
func columnID(s *arrow.Schema, i int) int {
	if v, ok := s.Field(i).Metadata.GetValue(columnIDKey); ok {
		if n, err := strconv.Atoi(v); err == nil {
			return n
		}
	}
	return i + 1
}

// lastID is the highest id of a schema's columns.
func lastID(s *arrow.Schema) int {
	n := 0
	for i := range s.NumFields() {
		n = max(n, columnID(s, i))
	}
	return n
}

// withID is a field with an id, and the metadata that the store keeps.
func withID(f arrow.Field, id int) arrow.Field {
	m := f.Metadata.ToMap()
	m[columnIDKey] = strconv.Itoa(id)
	keys := slices.Sorted(maps.Keys(m))
	values := make([]string, len(keys))
	for i, k := range keys {
		values[i] = m[k]
	}
	f.Metadata = arrow.NewMetadata(keys, values)
	return f
}

// withDefault is a field with a default, none where v is empty.
func withDefault(f arrow.Field, v string) arrow.Field {
	var keys, values []string
	for i, k := range f.Metadata.Keys() {
		if k != DefaultKey {
			keys, values = append(keys, k), append(values, f.Metadata.Values()[i])
		}
	}
	if v != "" {
		keys, values = append(keys, DefaultKey), append(values, v)
	}
	f.Metadata = arrow.NewMetadata(keys, values)
	return f
}

// byID is the position of the column with an id, -1 where there is none.
func byID(s *arrow.Schema, id int) int {
	for i := range s.NumFields() {
		if columnID(s, i) == id {
			return i
		}
	}
	return -1
}

// Evolve returns the columns that a table gets which has the columns have and is
// to have want: those that stay keep their ids. renamed says what a column of
// want was called before. It is an error, which says why, where rows would have
// to be written again: a column that stays must hold every value that it had, and
// those of the key must stay as they are. Columns that are the same are have.
func Evolve(have, want *arrow.Schema, key []string, renamed map[string]string) (*arrow.Schema, error) {
	return evolve(have, want, lastID(have), key, renamed)
}

// evolve is Evolve where ids up to last were given before.
func evolve(have, want *arrow.Schema, last int, key []string, renamed map[string]string) (*arrow.Schema, error) {
	fields := make([]arrow.Field, want.NumFields())
	same := have.NumFields() == want.NumFields()
	used := map[int]bool{}
	for i, f := range want.Fields() {
		was := f.Name
		if old, ok := renamed[f.Name]; ok && len(have.FieldIndices(f.Name)) == 0 {
			was = old
		}
		at := have.FieldIndices(was)
		if len(at) != 1 || used[at[0]] {
			last++
			fields[i], same = withID(f, last), false
			if slices.Contains(key, f.Name) {
				return nil, fmt.Errorf("column %q is new and part of the key", f.Name)
			}
			continue
		}
		used[at[0]] = true
		old := have.Field(at[0])
		if err := holds(old, f); err != nil {
			return nil, err
		}
		if slices.Contains(key, f.Name) && (was != f.Name || !SameType(old, f)) {
			return nil, fmt.Errorf("column %q is part of the key and changes", f.Name)
		}
		v, _ := old.Metadata.GetValue(DefaultKey)
		f = withDefault(f, v) // it was given once, for the rows from before
		fields[i] = withID(f, columnID(have, at[0]))
		same = same && at[0] == i && was == f.Name && SameType(old, f)
	}
	for i, f := range have.Fields() {
		if !used[i] && slices.Contains(key, f.Name) {
			return nil, fmt.Errorf("column %q of the key is gone", f.Name)
		}
	}
	if same {
		return have, nil
	}
	return arrow.NewSchema(fields, nil), nil
}

// holds says why a column of b's type does not hold the values of a's, nil where
// it does.
func holds(a, b arrow.Field) error {
	if SameType(a, b) {
		return nil
	}
	from, err := contract.FromField(a)
	if err != nil {
		return err
	}
	to, err := contract.FromField(b)
	if err != nil {
		return err
	}
	// A type that is none of a contract's is only near the one that stands for it: a
	// number without a sign does not hold what that holds.
	if !to.Holds(from) || !SameType(contract.ArrowField(b.Name, to, true), b) {
		return fmt.Errorf("column %q was %s, and %s does not hold all of that", b.Name, from, to)
	}
	return nil
}

// number gives the columns of a whole new state of a table their ids: those of
// the columns before where they are the same or hold them, else new ones.
func number(have, want *arrow.Schema, last int, renamed map[string]string) *arrow.Schema {
	if have != nil && sameColumns(have, want) == nil {
		return have
	}
	fields := make([]arrow.Field, want.NumFields())
	used := map[int]bool{}
	for i, f := range want.Fields() {
		id := 0
		if have != nil {
			was := f.Name
			if old, ok := renamed[f.Name]; ok && len(have.FieldIndices(f.Name)) == 0 {
				was = old
			}
			if at := have.FieldIndices(was); len(at) == 1 && !used[at[0]] && holds(have.Field(at[0]), f) == nil {
				used[at[0]], id = true, columnID(have, at[0])
			}
		}
		if id == 0 {
			last++
			id = last
		}
		fields[i] = withID(withDefault(f, ""), id)
	}
	return arrow.NewSchema(fields, nil)
}

// newEdition is the columns that a table has from a commit on.
func newEdition(from weft.Seq, schema *arrow.Schema, message []byte, key []string) (edition, error) {
	keys, err := keyColumns(schema, key)
	return edition{from: from, schema: schema, id: sign.Digest(message), keys: keys}, err
}

// columnsOf lists the columns of want for SELECT from what has the columns have:
// each as exactly its type, under its name of want.
func columnsOf(want, have *arrow.Schema, prefix string) string {
	if want == have {
		return columns(want, prefix)
	}
	parts := ""
	for i, f := range want.Fields() {
		t, _ := sqlType(f) // held by normalSchema
		value := "NULL"
		if at := byID(have, columnID(want, i)); at >= 0 {
			value = prefix + engine.QuoteIdent(have.Field(at).Name)
		} else if v, ok := f.Metadata.GetValue(DefaultKey); ok {
			value = engine.QuoteLiteral(v)
		}
		if i > 0 {
			parts += ", "
		}
		parts += value + "::" + t + " AS " + engine.QuoteIdent(f.Name)
	}
	return parts
}

// union is the columns of the last of editions, and those that earlier ones had
// besides: what a file must hold for all cuts of them.
func union(editions []edition) *arrow.Schema {
	last := editions[len(editions)-1].schema
	var more []arrow.Field
	seen := map[int]bool{}
	for i := range last.NumFields() {
		seen[columnID(last, i)] = true
	}
	for _, e := range slices.Backward(editions) {
		for i, f := range e.schema.Fields() {
			id := columnID(e.schema, i)
			if seen[id] {
				continue
			}
			seen[id] = true
			f.Name = fmt.Sprintf("%s%d", ownPrefix, id) // its name may be another column's by now
			more = append(more, withID(f, id))
		}
	}
	if len(more) == 0 {
		return last
	}
	fields := make([]arrow.Field, 0, last.NumFields()+len(more))
	for i, f := range last.Fields() {
		fields = append(fields, withID(f, columnID(last, i)))
	}
	return arrow.NewSchema(append(fields, more...), nil)
}

// since are the editions that cuts from a commit on can see.
func since(editions []edition, seq weft.Seq) []edition {
	for len(editions) > 1 && editions[1].from <= seq {
		editions = editions[1:]
	}
	return editions
}

// fieldIDs are the ids of a file's columns as COPY takes them.
func fieldIDs(s *arrow.Schema) map[string]int {
	ids := map[string]int{}
	for i, f := range s.Fields() {
		ids[f.Name] = columnID(s, i)
	}
	return ids
}
