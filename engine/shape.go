package engine

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
	duck "github.com/duckdb/duckdb-go-bindings"
)

// TypeKey is the metadata key of a field that says the engine's name of a type
// where the Arrow type alone does not: a uuid is text in Arrow.
const TypeKey = "weft.type"

// typeUUID is the one value of TypeKey that answers have.
const typeUUID = "UUID"

// typeMetadata is the metadata of a field of type t.
func typeMetadata(t duck.LogicalType) arrow.Metadata {
	if duck.GetTypeId(t) != duck.TypeUUID {
		return arrow.Metadata{}
	}
	return arrow.NewMetadata([]string{TypeKey}, []string{typeUUID})
}

// outShape turns what the engine exports into the closed set of types that answers
// are made of: enumerations become text, HUGEINT becomes DECIMAL(38,0) or a
// fault where it does not fit, extension types become what they are stored as.
// A type that Arrow cannot carry truly is refused.
type outShape struct {
	schema *arrow.Schema
	cols   []outNode
	plain  bool // nothing to do
}

// outNode says what is to be done to a column or a part of it.
type outNode struct {
	do   work
	sub  []outNode
	typ  arrow.DataType // that it becomes
	deep bool           // it or a part of it has work to do
}

type work uint8

const (
	nothing work = iota
	decode       // a dictionary
	bound        // a HUGEINT
	boundU       // a UHUGEINT
)

// noArrow are the engine's types that Arrow has no true form for.
var noArrow = map[duck.Type]string{
	duck.TypeBit: "BIT", duck.TypeTimeTZ: "TIME WITH TIME ZONE", duck.TypeBigNum: "BIGNUM", duck.TypeUnion: "UNION",
	duck.TypeGeometry: "GEOMETRY", duck.TypeVariant: "VARIANT",
}

// checkTypes refuses columns whose values an answer cannot carry.
func checkTypes(name string, t duck.LogicalType) error {
	id := duck.GetTypeId(t)
	if w, bad := noArrow[id]; bad {
		return classed("Not implemented", "column %s has the type %s, which an answer cannot carry: cast it to VARCHAR", name, w)
	}
	var err error
	for _, c := range parts(t) {
		if err == nil {
			err = checkTypes(name, c)
		}
		duck.DestroyLogicalType(&c)
	}
	return err
}

// parts returns the types that a nested type is made of, in the order of the
// Arrow children; each is to be destroyed.
func parts(t duck.LogicalType) []duck.LogicalType {
	switch duck.GetTypeId(t) {
	case duck.TypeList:
		return []duck.LogicalType{duck.ListTypeChildType(t)}
	case duck.TypeArray:
		return []duck.LogicalType{duck.ArrayTypeChildType(t)}
	case duck.TypeMap:
		return []duck.LogicalType{duck.MapTypeKeyType(t), duck.MapTypeValueType(t)}
	case duck.TypeStruct:
		var ps []duck.LogicalType
		for i := range duck.StructTypeChildCount(t) {
			ps = append(ps, duck.StructTypeChildType(t, i))
		}
		return ps
	}
	return nil
}

// newOutShape compares what is exported with what the engine's types are.
func newOutShape(raw *arrow.Schema, types []duck.LogicalType) (*outShape, error) {
	s := &outShape{plain: true}
	fields := make([]arrow.Field, len(types))
	for i, t := range types {
		f := raw.Field(i)
		n := newOutNode(f.Type, t)
		s.cols = append(s.cols, n)
		fields[i] = arrow.Field{Name: f.Name, Type: n.typ, Nullable: true, Metadata: typeMetadata(t)}
		s.plain = s.plain && !n.deep
	}
	s.schema = arrow.NewSchema(fields, nil)
	s.plain = s.plain && s.schema.Equal(raw)
	return s, nil
}

func newOutNode(a arrow.DataType, t duck.LogicalType) outNode {
	n := outNode{typ: a}
	switch duck.GetTypeId(t) {
	case duck.TypeHugeInt:
		n.do, n.deep = bound, true
	case duck.TypeUHugeInt:
		n.do, n.deep = boundU, true
	}
	if d, ok := a.(*arrow.DictionaryType); ok {
		n.do, n.deep, n.typ = decode, true, d.ValueType
	}
	ps := parts(t)
	nested, _ := a.(arrow.NestedType)
	if len(ps) == 0 || nested == nil {
		return n
	}
	fs := nested.Fields()
	if m, ok := a.(*arrow.MapType); ok {
		fs = []arrow.Field{m.KeyField(), m.ItemField()}
	}
	for i, p := range ps {
		c := newOutNode(fs[i].Type, p)
		n.sub = append(n.sub, c)
		n.deep = n.deep || c.deep
		fs[i].Type = c.typ
		fs[i].Metadata = typeMetadata(p)
		duck.DestroyLogicalType(&ps[i])
	}
	n.typ = withFields(a, fs)
	return n
}

// withFields is the nested type a with other children.
func withFields(a arrow.DataType, fs []arrow.Field) arrow.DataType {
	switch a := a.(type) {
	case *arrow.ListType:
		return arrow.ListOfField(arrow.Field{Name: "item", Type: fs[0].Type, Nullable: true, Metadata: fs[0].Metadata})
	case *arrow.FixedSizeListType:
		return arrow.FixedSizeListOfField(a.Len(), arrow.Field{Name: "item", Type: fs[0].Type, Nullable: true, Metadata: fs[0].Metadata})
	case *arrow.MapType:
		return arrow.MapOf(fs[0].Type, fs[1].Type)
	case *arrow.StructType:
		return arrow.StructOf(fs...)
	}
	return a
}

// apply returns the batch in the answer's schema and releases b.
func (s *outShape) apply(b arrow.RecordBatch) (arrow.RecordBatch, error) {
	defer b.Release()
	cols := make([]arrow.Array, len(s.cols))
	defer func() {
		for _, c := range cols {
			if c != nil {
				c.Release()
			}
		}
	}()
	for i, n := range s.cols {
		d, err := n.apply(b.Column(i).Data())
		if err != nil {
			return nil, classed("Out of Range", "column %s: %v", s.schema.Field(i).Name, err)
		}
		cols[i] = array.MakeFromData(d)
		d.Release()
	}
	return array.NewRecordBatch(s.schema, cols, b.NumRows()), nil
}

// apply returns a piece of data in the type that it becomes, to be released.
func (n *outNode) apply(d arrow.ArrayData) (arrow.ArrayData, error) {
	switch n.do {
	case decode:
		return decodeDictionary(d), nil
	case bound, boundU:
		if err := checkHuge(d, n.do == boundU); err != nil {
			return nil, err
		}
	}
	kids := d.Children()
	if len(n.sub) > 0 {
		inner := kids
		_, isMap := n.typ.(*arrow.MapType)
		if isMap {
			inner = kids[0].Children()
		}
		made := make([]arrow.ArrayData, 0, len(inner))
		defer func() {
			for _, c := range made {
				c.Release()
			}
		}()
		for i := range n.sub {
			c, err := n.sub[i].apply(inner[i])
			if err != nil {
				return nil, err
			}
			made = append(made, c)
		}
		kids = made
		if isMap {
			e := d.Children()[0]
			entries := array.NewData(n.typ.(*arrow.MapType).Elem(), e.Len(), e.Buffers(), made, e.NullN(), e.Offset())
			defer entries.Release()
			kids = []arrow.ArrayData{entries}
		}
	}
	return array.NewData(n.typ, d.Len(), d.Buffers(), kids, d.NullN(), d.Offset()), nil
}

// decodeDictionary turns an enumeration into text.
func decodeDictionary(d arrow.ArrayData) arrow.ArrayData {
	a := array.NewDictionaryData(d)
	defer a.Release()
	words, _ := a.Dictionary().(*array.String)
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(a.Len())
	for i := range a.Len() {
		if a.IsNull(i) || words == nil {
			b.AppendNull()
		} else {
			b.Append(words.Value(a.GetValueIndex(i)))
		}
	}
	t := b.NewArray()
	defer t.Release()
	t.Data().Retain()
	return t.Data()
}

// mostHuge is 38 nines.
var mostHuge = decimal128.GetMaxValue(38)

// checkHuge faults when a value has more than 38 digits: the engine's 128 bits
// hold more than a DECIMAL(38,0).
func checkHuge(d arrow.ArrayData, unsigned bool) error {
	a := array.NewDecimal128Data(d)
	defer a.Release()
	least := mostHuge.Negate()
	if unsigned {
		least = decimal128.Num{}
	}
	for i, v := range a.Values() {
		if (v.LessEqual(mostHuge) && v.GreaterEqual(least)) || a.IsNull(i) {
			continue
		}
		return errHuge
	}
	return nil
}
