package contract

// Kind is one type of the closed table in docs/types.md.
type Kind string

// The closed set of types.
const (
	KindUnknown   Kind = ""
	KindBool      Kind = "boolean"
	KindInt8      Kind = "tinyint"
	KindInt16     Kind = "smallint"
	KindInt32     Kind = "integer"
	KindInt64     Kind = "bigint"
	KindFloat32   Kind = "float"
	KindFloat64   Kind = "double"
	KindDecimal   Kind = "decimal"
	KindString    Kind = "text"
	KindBytes     Kind = "blob"
	KindDate      Kind = "date"
	KindTime      Kind = "time"
	KindTimestamp Kind = "timestamp"   // without a zone
	KindInstant   Kind = "timestamptz" // a point in time, UTC inside
	KindUUID      Kind = "uuid"
	KindList      Kind = "list"
	KindStruct    Kind = "struct"
)

// Type is the type of a column.
type Type struct {
	Kind      Kind
	Precision int     // decimal: 1 to 38
	Scale     int     // decimal
	Elem      *Type   // list
	Fields    []Field // struct
}

// Field is one field of a struct.
type Field struct {
	Name string
	Type Type
}
