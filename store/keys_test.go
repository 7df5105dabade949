package store

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"
)

// column makes a column of a key from its values, which are in their order.
func column(f arrow.Field, values ...any) arrow.Array {
	b := array.NewBuilder(memory.DefaultAllocator, f.Type)
	for _, v := range values {
		switch b := b.(type) {
		case *array.Int64Builder:
			b.Append(v.(int64))
		case *array.Uint64Builder:
			b.Append(v.(uint64))
		case *array.Int8Builder:
			b.Append(v.(int8))
		case *array.Date32Builder:
			b.Append(v.(arrow.Date32))
		case *array.TimestampBuilder:
			b.Append(v.(arrow.Timestamp))
		case *array.Decimal128Builder:
			b.Append(v.(decimal128.Num))
		case *array.BooleanBuilder:
			b.Append(v.(bool))
		case *array.StringBuilder:
			b.Append(v.(string))
		default:
			panic(fmt.Sprintf("%T", b))
		}
	}
	return b.NewArray()
}

// TestKeysOfNoRows encodes none: their width alone is asked for.
func TestKeysOfNoRows(t *testing.T) {
	big, text := arrow.Field{Name: "a", Type: arrow.PrimitiveTypes.Int64}, arrow.Field{Name: "b", Type: arrow.BinaryTypes.String}
	for _, c := range []struct {
		fields []arrow.Field
		width  int
	}{{[]arrow.Field{big}, 8}, {[]arrow.Field{big, big, big}, 24}, {[]arrow.Field{text}, 0}, {[]arrow.Field{big, text, big}, 0}} {
		keys := make([]int, len(c.fields))
		for i := range keys {
			keys[i] = i
		}
		if got := keyWidth(arrow.NewSchema(c.fields, nil), keys); got != c.width {
			t.Errorf("%v: width %d, want %d", c.fields, got, c.width)
		}
	}
}

// TestKeysAreInTheOrderOfTheValues holds that the encoding of every key type is
// in the order of the values, alone and in a key of two columns.
func TestKeysAreInTheOrderOfTheValues(t *testing.T) {
	num := decimal128.FromI64
	for name, c := range map[string]struct {
		field  arrow.Field
		values []any
	}{
		"bigint":    {arrow.Field{Type: arrow.PrimitiveTypes.Int64}, []any{int64(-1 << 63), int64(-1), int64(0), int64(1), int64(1<<63 - 1)}},
		"ubigint":   {arrow.Field{Type: arrow.PrimitiveTypes.Uint64}, []any{uint64(0), uint64(1), uint64(1 << 63), ^uint64(0)}},
		"tinyint":   {arrow.Field{Type: arrow.PrimitiveTypes.Int8}, []any{int8(-128), int8(-1), int8(0), int8(127)}},
		"date":      {arrow.Field{Type: arrow.FixedWidthTypes.Date32}, []any{arrow.Date32(-400000), arrow.Date32(0), arrow.Date32(20000)}},
		"timestamp": {arrow.Field{Type: arrow.FixedWidthTypes.Timestamp_us}, []any{arrow.Timestamp(-1), arrow.Timestamp(0), arrow.Timestamp(1 << 60)}},
		"decimal": {
			arrow.Field{Type: &arrow.Decimal128Type{Precision: 38, Scale: 2}},
			[]any{decimal128.GetMaxValue(38).Negate(), num(-1), num(0), num(1), decimal128.GetMaxValue(38)},
		},
		"boolean": {arrow.Field{Type: arrow.FixedWidthTypes.Boolean}, []any{false, true}},
		"text":    {arrow.Field{Type: arrow.BinaryTypes.String}, []any{"", "\x00", "\x00\x00", "\x00\x01", "\x01", "a", "a\x00", "a\x00b", "a\x01", "ab", "ä", "\U0001F600"}},
		"uuid": {
			arrow.Field{Type: arrow.BinaryTypes.String, Metadata: arrow.NewMetadata([]string{TypeKey}, []string{"UUID"})},
			[]any{"00000000-0000-0000-0000-000000000000", "0f000000-0000-0000-0000-000000000001", "F0000000-0000-0000-0000-000000000000"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			one, err := encodeKeys([]arrow.Field{c.field}, []arrow.Array{column(c.field, c.values...)})
			if err != nil {
				t.Fatal(err)
			}
			var left, right []any
			for _, a := range c.values {
				for _, b := range c.values {
					left, right = append(left, a), append(right, b)
				}
			}
			two, err := encodeKeys([]arrow.Field{c.field, c.field}, []arrow.Array{column(c.field, left...), column(c.field, right...)})
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range []*keySet{one, two} {
				for i := 1; i < k.len(); i++ {
					a, b := k.key(i-1), k.key(i)
					if bytes.Compare(a, b) >= 0 || bytes.HasPrefix(b, a) {
						t.Errorf("key %d is %x, the next one %x", i-1, a, b)
					}
				}
			}
		})
	}
	uuid := arrow.Field{Type: arrow.BinaryTypes.String, Metadata: arrow.NewMetadata([]string{TypeKey}, []string{"UUID"})}
	k, err := encodeKeys([]arrow.Field{uuid}, []arrow.Array{column(uuid, "F0000000-0000-0000-0000-00000000000a", "f0000000-0000-0000-0000-00000000000A")})
	if err != nil || !bytes.Equal(k.key(0), k.key(1)) {
		t.Errorf("one uuid in two spellings has two keys: %x, %v", k.bytes, err)
	}
}

// TestKeyTable holds the table against a map.
func TestKeyTable(t *testing.T) {
	field := arrow.Field{Type: arrow.BinaryTypes.String}
	rapid.Check(t, func(t *rapid.T) {
		table, last := &keyTable{}, map[string]int{}
		n := 0
		check := func(table *keyTable) {
			for key, row := range last {
				k, _ := encodeKeys([]arrow.Field{field}, []arrow.Array{column(field, key)})
				got, ok := table.has(k.key(0))
				if !ok || got != row {
					t.Fatalf("key %q is in row %d, %v; want %d", key, got, ok, row)
				}
			}
		}
		for range rapid.IntRange(1, 5).Draw(t, "batches") {
			words := rapid.SliceOfN(rapid.StringMatching(`[ab]{0,3}`), 1, 60).Draw(t, "keys")
			values := make([]any, len(words))
			for i, w := range words {
				values[i] = w + strings.Repeat("x", i%3)
			}
			k, err := encodeKeys([]arrow.Field{field}, []arrow.Array{column(field, values...)})
			if err != nil {
				t.Fatal(err)
			}
			first := table.addSet(k)
			for i, v := range values {
				want, had := last[v.(string)]
				if old, ok := table.put(k, i, first+i); ok != had || ok && old != want {
					t.Fatalf("put %q: %d, %v; want %d, %v", v, old, ok, want, had)
				}
				last[v.(string)] = n
				n++
			}
		}
		check(table)
	})
}
