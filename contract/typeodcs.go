package contract

import (
	"strings"

	"weft"
)

// typeOptions are the logicalTypeOptions that choose a type.
type typeOptions struct {
	format   string
	timezone bool
}

// ParseType returns the type that an ODCS property means: its physicalType in
// any common SQL spelling (Postgres, DuckDB, the warehouses), else its
// logicalType. Both empty give KindUnknown without an error; a type that is not
// in the closed table of docs/types.md is an error of KindInvalid. A nested
// object or array needs its physicalType here; a contract's reader builds it
// from properties and items as well.
func ParseType(logical, physical string) (Type, error) {
	if strings.TrimSpace(physical) != "" {
		t, _, err := parseTypeText(physical, generic)
		if err == nil || logical == "" {
			return t, err
		}
	}
	return logicalType(logical, typeOptions{})
}

// integerFormats are the sizes of ODCS's integer formats.
var integerFormats = map[string]Type{
	"i8": {Kind: KindInt8}, "i16": {Kind: KindInt16}, "i32": {Kind: KindInt32}, "i64": {Kind: KindInt64}, "i128": Decimal(38, 0),
	"u8": {Kind: KindInt16}, "u16": {Kind: KindInt32}, "u32": {Kind: KindInt64}, "u64": Decimal(20, 0), "u128": Decimal(38, 0),
}

// logicalType returns the type of a logicalType without nested parts. An
// integer without a format is a bigint: the standard's default of 32 bits would
// make ordinary identifiers overflow.
func logicalType(logical string, o typeOptions) (Type, error) {
	switch logical {
	case "":
		return Type{}, nil
	case "string":
		return Type{Kind: KindString}, nil
	case "boolean":
		return Type{Kind: KindBool}, nil
	case "integer":
		if t, ok := integerFormats[o.format]; ok {
			return t, nil
		}
		return Type{Kind: KindInt64}, nil
	case "number":
		if o.format == "f32" {
			return Type{Kind: KindFloat32}, nil
		}
		return Type{Kind: KindFloat64}, nil
	case "time":
		return Type{Kind: KindTime}, nil
	case "timestamp":
		if o.timezone {
			return Type{Kind: KindInstant}, nil
		}
		return Type{Kind: KindTimestamp}, nil
	case "date":
		// ODCS 3.0 had no timestamp: a date whose format shows hours is one.
		if strings.ContainsAny(o.format, "Hhk") {
			if strings.ContainsAny(o.format, "XxZz") {
				return Type{Kind: KindInstant}, nil
			}
			return Type{Kind: KindTimestamp}, nil
		}
		return Type{Kind: KindDate}, nil
	}
	return Type{}, weft.Errorf(weft.KindInvalid, "read the type", logical, "Weft has no type for this logicalType").
		WithHint("give a physicalType of docs/types.md")
}
