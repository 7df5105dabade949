package serve

import (
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"weft/contract"
)

// TypeName is the type of a column as SQL writes it, in small letters: bigint,
// decimal(12,2), timestamptz, text[], struct(a integer, b text).
func TypeName(f arrow.Field) string {
	if t, err := contract.FromField(f); err == nil && t.Kind == contract.KindUUID {
		return string(contract.KindUUID)
	}
	return arrowTypeName(f.Type)
}

var typeNames = map[arrow.Type]contract.Kind{
	arrow.BOOL: contract.KindBool, arrow.INT8: contract.KindInt8, arrow.INT16: contract.KindInt16,
	arrow.INT32: contract.KindInt32, arrow.INT64: contract.KindInt64,
	arrow.UINT8: "utinyint", arrow.UINT16: "usmallint", arrow.UINT32: "uinteger", arrow.UINT64: "ubigint",
	arrow.FLOAT16: contract.KindFloat32, arrow.FLOAT32: contract.KindFloat32, arrow.FLOAT64: contract.KindFloat64,
	arrow.STRING: contract.KindString, arrow.LARGE_STRING: contract.KindString, arrow.STRING_VIEW: contract.KindString,
	arrow.BINARY: contract.KindBytes, arrow.LARGE_BINARY: contract.KindBytes, arrow.BINARY_VIEW: contract.KindBytes,
	arrow.FIXED_SIZE_BINARY: contract.KindBytes,
	arrow.DATE32:            contract.KindDate, arrow.DATE64: contract.KindDate,
	arrow.TIME32: contract.KindTime, arrow.TIME64: contract.KindTime,
	arrow.INTERVAL_MONTHS: "interval", arrow.INTERVAL_DAY_TIME: "interval", arrow.INTERVAL_MONTH_DAY_NANO: "interval",
	arrow.DURATION: "interval", arrow.NULL: "null",
}

func arrowTypeName(d arrow.DataType) string {
	switch d := d.(type) {
	case *arrow.TimestampType:
		if d.TimeZone != "" {
			return string(contract.KindInstant)
		}
		return string(contract.KindTimestamp)
	case arrow.DecimalType:
		return fmt.Sprintf("decimal(%d,%d)", d.GetPrecision(), d.GetScale())
	case *arrow.MapType:
		return "map(" + TypeName(d.KeyField()) + ", " + TypeName(d.ItemField()) + ")"
	case arrow.ListLikeType:
		return TypeName(d.ElemField()) + "[]"
	case *arrow.StructType:
		fs := make([]string, 0, d.NumFields())
		for _, f := range d.Fields() {
			fs = append(fs, f.Name+" "+TypeName(f))
		}
		return "struct(" + strings.Join(fs, ", ") + ")"
	case *arrow.DictionaryType:
		return arrowTypeName(d.ValueType)
	case arrow.ExtensionType:
		return arrowTypeName(d.StorageType())
	}
	if k, ok := typeNames[d.ID()]; ok {
		return string(k)
	}
	return d.Name()
}

// rightAligned reports whether values of the type are numbers, which tables put
// to the right.
func rightAligned(d arrow.DataType) bool {
	if e, ok := d.(*arrow.DictionaryType); ok {
		d = e.ValueType
	}
	return arrow.IsInteger(d.ID()) || arrow.IsFloating(d.ID()) || arrow.IsDecimal(d.ID())
}
