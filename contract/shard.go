package contract

import (
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"

	"weft"
)

// kindShard is the kind of the check that a shard is.
const kindShard = "shard"

// InShard is SQL that is true where an expression of the type has a value that belongs to the
// shard, and NULL where it has none. Of integers that goes by the value itself, of others by the
// first four bytes of the MD5 digest of their text, the first byte the highest: what every
// database and language can compute.
func (t Type) InShard(expr string, s weft.Shard) string {
	if t.wholeNumber() {
		// The remainder of a negative number is one too.
		return fmt.Sprintf("((%[1]s %% %[2]d) + %[2]d) %% %[2]d = %[3]d", "CAST("+expr+" AS BIGINT)", s.Modulus, s.Remainder)
	}
	return fmt.Sprintf("CAST('0x' || md5(CAST(%s AS VARCHAR))[:8] AS BIGINT) %% %d = %d", expr, s.Modulus, s.Remainder)
}

func (t Type) wholeNumber() bool {
	switch t.Kind {
	case KindInt8, KindInt16, KindInt32, KindInt64:
		return true
	}
	return false
}

// ShardKind is how values of a type are told apart by shards: equal values of one kind are
// in shards of one remainder. It is "" for types that tables are not divided by.
func (t Type) ShardKind() string {
	switch {
	case t.wholeNumber():
		return "integer"
	case t.Kind == KindString || t.Kind == KindUUID || t.Kind == KindDate:
		return string(t.Kind)
	}
	return ""
}

// shardOf reads {modulus: 3, remainder: 0}; ok is false where it is not that.
func shardOf(n *yaml.Node) (s weft.Shard, ok bool) {
	if n.Kind != yaml.MappingNode {
		return s, false
	}
	s.Remainder = -1
	for i := 0; i+1 < len(n.Content); i += 2 {
		v, err := strconv.Atoi(scalar(n.Content[i+1]))
		if err != nil {
			return s, false
		}
		switch n.Content[i].Value {
		case "modulus":
			s.Modulus = v
		case "remainder":
			s.Remainder = v
		default:
			return s, false
		}
	}
	return s, s.Valid()
}

// readShard reads what customs has found to be a shard.
func (r *reader) readShard(c *contractFile, t *Table, col *Column, k custom) {
	where := c.where(k.key)
	switch {
	case col.Type.ShardKind() == "" && col.Type.Kind != KindUnknown:
		r.errorf(where, "custom-property", "divide the table by an integer, a text, a uuid or a date", "rows cannot be divided by '%s', which is of the type %s", clip(col.Name), col.Type)
		return
	case !col.Required:
		r.errorf(where, "custom-property", "add 'required: true'", "a row without a value in '%s' would be in no shard", clip(col.Name))
		return
	}
	for _, other := range t.Columns {
		if other.Shard != nil {
			r.errorf(where, "custom-property", "remove one of the two", "table '%s' is divided by '%s' already", clip(t.Name), clip(other.Name))
			return
		}
	}
	s, _ := shardOf(k.value)
	col.Shard = &s
}
