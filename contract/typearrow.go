package contract

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
)

// fieldTypeKey is the Arrow field metadata that keeps what the Arrow type alone
// cannot say: a uuid travels as text. The engine and the store's files use the
// same words.
const (
	fieldTypeKey  = "weft.type"
	fieldTypeUUID = "UUID"
)

// arrowTypes maps kinds without parameters to Arrow.
var arrowTypes = map[Kind]arrow.DataType{
	KindBool:      arrow.FixedWidthTypes.Boolean,
	KindInt8:      arrow.PrimitiveTypes.Int8,
	KindInt16:     arrow.PrimitiveTypes.Int16,
	KindInt32:     arrow.PrimitiveTypes.Int32,
	KindInt64:     arrow.PrimitiveTypes.Int64,
	KindFloat32:   arrow.PrimitiveTypes.Float32,
	KindFloat64:   arrow.PrimitiveTypes.Float64,
	KindString:    arrow.BinaryTypes.String,
	KindBytes:     arrow.BinaryTypes.Binary,
	KindDate:      arrow.FixedWidthTypes.Date32,
	KindTime:      arrow.FixedWidthTypes.Time64us,
	KindTimestamp: &arrow.TimestampType{Unit: arrow.Microsecond},
	KindInstant:   &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"},
	KindUUID:      arrow.BinaryTypes.String,
	KindUnknown:   arrow.BinaryTypes.String,
}

// Arrow returns the Arrow type of the column's values. A uuid is text (see
// ArrowField); an unknown type is text.
func (t Type) Arrow() arrow.DataType {
	switch t.Kind {
	case KindDecimal:
		return &arrow.Decimal128Type{Precision: int32(t.Precision), Scale: int32(t.Scale)}
	case KindList:
		return arrow.ListOfField(ArrowField("item", *t.Elem, true))
	case KindStruct:
		fs := make([]arrow.Field, 0, len(t.Fields))
		for _, f := range t.Fields {
			fs = append(fs, ArrowField(f.Name, f.Type, true))
		}
		return arrow.StructOf(fs...)
	}
	return arrowTypes[t.Kind]
}

// ArrowField returns the field of a column; its metadata keeps the type where
// the Arrow type alone does not tell it. FromField reads it back.
func ArrowField(name string, t Type, nullable bool) arrow.Field {
	f := arrow.Field{Name: name, Type: t.Arrow(), Nullable: nullable}
	if t.Kind == KindUUID {
		f.Metadata = arrow.NewMetadata([]string{fieldTypeKey}, []string{fieldTypeUUID})
	}
	return f
}

// ArrowSchema returns the schema of the table's columns.
func (t *Table) ArrowSchema() *arrow.Schema {
	fs := make([]arrow.Field, 0, len(t.Columns))
	for _, c := range t.Columns {
		fs = append(fs, ArrowField(c.Name, c.Type, !c.Required))
	}
	return arrow.NewSchema(fs, nil)
}

// FromField returns the type of an Arrow field.
func FromField(f arrow.Field) (Type, error) {
	if v, ok := f.Metadata.GetValue(fieldTypeKey); ok && v == fieldTypeUUID {
		return Type{Kind: KindUUID}, nil
	}
	return FromArrow(f.Type)
}

// FromArrow returns the type that holds every value of an Arrow type, and an
// error of KindInvalid where the closed table has none. Unsigned numbers go to
// the next larger signed type, dictionaries to the type of their values.
func FromArrow(d arrow.DataType) (Type, error) {
	switch d.ID() {
	case arrow.BOOL:
		return Type{Kind: KindBool}, nil
	case arrow.INT8:
		return Type{Kind: KindInt8}, nil
	case arrow.INT16, arrow.UINT8:
		return Type{Kind: KindInt16}, nil
	case arrow.INT32, arrow.UINT16:
		return Type{Kind: KindInt32}, nil
	case arrow.INT64, arrow.UINT32:
		return Type{Kind: KindInt64}, nil
	case arrow.UINT64:
		return Decimal(20, 0), nil
	case arrow.FLOAT16, arrow.FLOAT32:
		return Type{Kind: KindFloat32}, nil
	case arrow.FLOAT64:
		return Type{Kind: KindFloat64}, nil
	case arrow.STRING, arrow.LARGE_STRING, arrow.STRING_VIEW, arrow.NULL:
		return Type{Kind: KindString}, nil
	case arrow.BINARY, arrow.LARGE_BINARY, arrow.BINARY_VIEW, arrow.FIXED_SIZE_BINARY:
		return Type{Kind: KindBytes}, nil
	case arrow.DATE32, arrow.DATE64:
		return Type{Kind: KindDate}, nil
	case arrow.TIME32, arrow.TIME64:
		return Type{Kind: KindTime}, nil
	case arrow.TIMESTAMP:
		if d.(*arrow.TimestampType).TimeZone != "" {
			return Type{Kind: KindInstant}, nil
		}
		return Type{Kind: KindTimestamp}, nil
	}
	return fromNestedArrow(d)
}

// fromNestedArrow reads decimals, extensions, dictionaries, lists and structs.
func fromNestedArrow(d arrow.DataType) (Type, error) {
	switch d := d.(type) {
	case arrow.DecimalType:
		p, s := int(d.GetPrecision()), int(d.GetScale())
		if p >= 1 && p <= MaxPrecision && s >= 0 && s <= p {
			return Decimal(p, s), nil
		}
	case arrow.ExtensionType:
		if d.ExtensionName() == "arrow.uuid" {
			return Type{Kind: KindUUID}, nil
		}
		return FromArrow(d.StorageType())
	case *arrow.DictionaryType:
		return FromArrow(d.ValueType)
	case *arrow.MapType: // is a list as well, but not one that can be written
	case arrow.ListLikeType:
		e, err := FromField(d.ElemField())
		return List(e), err
	case *arrow.StructType:
		t := Type{Kind: KindStruct}
		for _, f := range d.Fields() {
			ft, err := FromField(f)
			if err != nil {
				return Type{}, err
			}
			t.Fields = append(t.Fields, Field{Name: f.Name, Type: ft})
		}
		return t, nil
	}
	return Type{}, weft.Errorf(weft.KindInvalid, "read the Arrow type", fmt.Sprint(d), "Weft has no such type").
		WithHint("docs/types.md lists the types; cast the column in SQL")
}
