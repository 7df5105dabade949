package engine

import (
	"encoding/json"
	"regexp"
	"strings"

	"weft"
)

// maxArray bounds the cells of a fixed-size array type; the engine reserves
// them for every row.
const maxArray = 4096

// castTypes may stand in a CAST without parameters.
var castTypes = map[string]bool{
	"BOOLEAN": true, "TINYINT": true, "SMALLINT": true, "INTEGER": true, "BIGINT": true, "HUGEINT": true,
	"UTINYINT": true, "USMALLINT": true, "UINTEGER": true, "UBIGINT": true, "UHUGEINT": true,
	"FLOAT": true, "DOUBLE": true, "VARCHAR": true, "BLOB": true, "DATE": true, "TIME": true,
	"TIME WITH TIME ZONE": true, "TIMESTAMP": true, "TIMESTAMP WITH TIME ZONE": true, "TIMESTAMP_S": true,
	"TIMESTAMP_MS": true, "TIMESTAMP_NS": true, "INTERVAL": true, "UUID": true,
}

const typeHint = "the types are in docs/types.md"

func (w *walker) cast(n *treeNode, sc *scope, env *cte) float64 {
	g := w.expr(n.get("child"), sc, env)
	n.flag("try_cast")
	target := n.sub("cast_type", "type")
	id, _ := target.o["id"].(string)
	w.typeName(target, 1)
	if o, ok := n.o["child"].(object); ok && id == "VARCHAR" && o["class"] != "COLUMN_REF" && o["class"] != "CONSTANT" {
		g *= 1.5 // a value in a value is quoted and escaped
	}
	return g
}

// typeName walks the name of a type; cells is how many of it one row holds.
func (w *walker) typeName(n *treeNode, cells int) {
	w.enter(n)
	defer w.leave()
	id := n.str("id")
	info := n.get("type_info")
	n.done()
	if info == nil {
		if !castTypes[id] {
			w.fail(weft.KindInvalid, typeHint, "not supported: the type %s", id)
		}
		return
	}
	i := w.open(info, "type")
	kind := i.str("type")
	switch {
	case id == "DECIMAL" && kind == "DECIMAL_TYPE_INFO":
		i.skip("width", "scale")
	case id == "LIST" && kind == "LIST_TYPE_INFO", id == "MAP" && kind == "LIST_TYPE_INFO":
		w.typeName(i.sub("child_type", "type"), cells)
	case id == "ARRAY" && kind == "ARRAY_TYPE_INFO":
		size, ok := i.get("size").(json.Number)
		v, err := size.Int64()
		if !ok || err != nil || v < 1 || v > maxArray || cells*int(v) > maxArray {
			w.fail(weft.KindLimit, "use a list: type[]", "a fixed-size array has at most %d values", maxArray)
		}
		w.typeName(i.sub("child_type", "type"), cells*int(v))
	case (id == "STRUCT" || id == "UNION") && kind == "STRUCT_TYPE_INFO":
		for _, v := range i.list("child_types") {
			f := w.open(v, "type")
			f.str("first")
			w.typeName(f.sub("second", "type"), cells)
			f.done()
		}
	case id == "UNBOUND" && kind == "UNBOUND_TYPE_INFO":
		name := i.str("name")
		if !strings.EqualFold(name, "json") || i.str("schema")+i.str("catalog") != "" || !isEmpty(i.get("user_type_modifiers")) {
			w.fail(weft.KindInvalid, typeHint, "not supported: the type %s", name)
		}
	default:
		if a := i.str("alias"); a != "" {
			id = a
		}
		w.fail(weft.KindInvalid, typeHint, "not supported: the type %s", id)
	}
	i.done()
}

var constantTypes = words("NULL BOOLEAN TINYINT SMALLINT INTEGER BIGINT UINTEGER UBIGINT DOUBLE VARCHAR")

// literal walks a constant and returns its growth: a stored value is taken to
// have about a thousand bytes.
func (w *walker) literal(n *treeNode) float64 {
	typ := n.sub("type", "type")
	id := typ.str("id")
	info := typ.get("type_info")
	n.flag("is_null")
	value := n.get("value")
	typ.done()
	n.done()
	switch {
	case id == "DECIMAL":
		i := w.open(info, "type")
		i.word("type", words("DECIMAL_TYPE_INFO"))
		i.skip("width", "scale")
		i.done()
	case id == "LIST" && onlyKeys(asObject(value)): // a bound that a slice leaves out
		i := w.open(info, "type")
		i.word("type", words("LIST_TYPE_INFO"))
		child := i.sub("child_type", "type")
		child.word("id", words("INTEGER NULL"))
		child.done()
		i.done()
	case strings.HasSuffix(id, "HUGEINT") && onlyKeys(asObject(value), "upper", "lower"):
	case !constantTypes[id] || !isEmpty(info):
		w.refuse("not supported: a constant of type %s", id)
	}
	if s, ok := value.(string); ok {
		return float64(len(s)) / valueBytes
	}
	return 0
}

func asObject(v any) object {
	o, _ := v.(object)
	return o
}

var collationName = regexp.MustCompile(`^[a-zA-Z]+([_.][a-zA-Z]+)*$`)

func (w *walker) collation(name string) {
	if !collationName.MatchString(name) {
		w.refuse("not supported: the collation %q", name)
	}
}
