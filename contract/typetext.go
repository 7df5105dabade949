package contract

import (
	"strconv"
	"strings"

	"weft"
)

// dialect says whose spelling of types is read; the two differ in what a bare
// float, numeric or bit means.
type dialect int

const (
	generic dialect = iota // Postgres, the SQL standard and the common warehouses
	duck
)

// physicalNames maps spellings without parameters to types, for both dialects.
var physicalNames = map[string]Kind{
	"boolean": KindBool, "bool": KindBool, "logical": KindBool,
	"tinyint": KindInt8, "int1": KindInt8, "byte": KindInt8,
	"smallint": KindInt16, "int2": KindInt16, "short": KindInt16, "int16": KindInt16, "smallserial": KindInt16, "utinyint": KindInt16, "uint8": KindInt16,
	"integer": KindInt32, "int": KindInt32, "int4": KindInt32, "int32": KindInt32, "signed": KindInt32, "serial": KindInt32, "mediumint": KindInt32, "usmallint": KindInt32, "uint16": KindInt32,
	"bigint": KindInt64, "int8": KindInt64, "int64": KindInt64, "long": KindInt64, "bigserial": KindInt64, "uinteger": KindInt64, "uint32": KindInt64, "oid": KindInt64,
	"real": KindFloat32, "float4": KindFloat32, "float32": KindFloat32,
	"double": KindFloat64, "double precision": KindFloat64, "float8": KindFloat64, "float64": KindFloat64,
	"text": KindString, "string": KindString, "varchar": KindString, "character varying": KindString, "char varying": KindString, "char": KindString, "character": KindString,
	"bpchar": KindString, "nvarchar": KindString, "nchar": KindString, "varchar2": KindString, "nvarchar2": KindString, "clob": KindString, "ntext": KindString, "tinytext": KindString, "mediumtext": KindString, "longtext": KindString,
	"name": KindString, "citext": KindString, "json": KindString, "jsonb": KindString, "xml": KindString, "inet": KindString, "cidr": KindString, "macaddr": KindString, "enum": KindString,
	"blob": KindBytes, "bytea": KindBytes, "binary": KindBytes, "varbinary": KindBytes, "bytes": KindBytes, "binary varying": KindBytes,
	"date": KindDate,
	"time": KindTime, "time without time zone": KindTime,
	"timestamp": KindTimestamp, "timestamp without time zone": KindTimestamp, "datetime": KindTimestamp, "datetime2": KindTimestamp, "smalldatetime": KindTimestamp, "timestamp_ntz": KindTimestamp,
	"timestamp_s": KindTimestamp, "timestamp_ms": KindTimestamp, "timestamp_us": KindTimestamp, "timestamp_ns": KindTimestamp,
	"timestamptz": KindInstant, "timestamp with time zone": KindInstant, "datetimeoffset": KindInstant, "timestamp_tz": KindInstant, "timestamp_ltz": KindInstant, "timestamp with local time zone": KindInstant,
	"uuid": KindUUID, "uniqueidentifier": KindUUID, "guid": KindUUID,
}

// decimals maps spellings of whole numbers that fit no integer to decimals.
var decimals = map[string]Type{
	"hugeint": Decimal(38, 0), "int128": Decimal(38, 0), "uhugeint": Decimal(38, 0), "uint128": Decimal(38, 0),
	"ubigint": Decimal(20, 0), "uint64": Decimal(20, 0),
}

// lengthNames are the spellings whose parameter is a most length in characters.
var lengthNames = map[string]bool{
	"varchar": true, "character varying": true, "char varying": true, "char": true, "character": true, "bpchar": true,
	"nvarchar": true, "nchar": true, "varchar2": true, "nvarchar2": true, "string": true,
}

// typeText reads the text of a type.
type typeText struct {
	s       string
	pos     int
	depth   int
	dialect dialect
	length  int // of the outermost varchar(n), 0 where not given
}

// parseTypeText reads a physical type and the most length it gives, 0 for none.
func parseTypeText(text string, d dialect) (Type, int, error) {
	p := &typeText{s: text, dialect: d}
	t, ok := p.typ()
	p.space()
	if !ok || p.pos != len(p.s) {
		return Type{}, 0, weft.Errorf(weft.KindInvalid, "read the type", text, "Weft has no such type").
			WithHint("docs/types.md lists the types that can be written")
	}
	if t.Kind != KindString {
		p.length = 0
	}
	return t, p.length, nil
}

// FromDuckDB returns the type that DuckDB's own name for it means, such as
// DESCRIBE gives. Types that are not in the closed table (INTERVAL, MAP, …) are
// errors of KindInvalid.
func FromDuckDB(text string) (Type, error) {
	t, _, err := parseTypeText(text, duck)
	return t, err
}

func (p *typeText) space() {
	for p.pos < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.pos]) >= 0 {
		p.pos++
	}
}

// eat consumes c after white space.
func (p *typeText) eat(c byte) bool {
	p.space()
	if p.pos < len(p.s) && p.s[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

// word reads letters, digits and _, in small letters; empty where there is none.
func (p *typeText) word() string {
	p.space()
	start := p.pos
	for p.pos < len(p.s) {
		c := p.s[p.pos]
		if c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			break
		}
		p.pos++
	}
	return strings.ToLower(p.s[start:p.pos])
}

// name reads a field's name: quoted, or a word in its own spelling.
func (p *typeText) name() (string, bool) {
	p.space()
	if p.pos < len(p.s) && p.s[p.pos] == '"' {
		var b strings.Builder
		for i := p.pos + 1; i < len(p.s); i++ {
			if p.s[i] != '"' {
				b.WriteByte(p.s[i])
				continue
			}
			if i+1 < len(p.s) && p.s[i+1] == '"' {
				b.WriteByte('"')
				i++
				continue
			}
			p.pos = i + 1
			return b.String(), b.Len() > 0
		}
		return "", false
	}
	start := p.pos
	n := len(p.word())
	return p.s[start+(p.pos-start)-n : p.pos], n > 0
}

// maxTypeDepth bounds nested lists and structs.
const maxTypeDepth = 16

func (p *typeText) typ() (Type, bool) {
	if p.depth++; p.depth > maxTypeDepth {
		return Type{}, false
	}
	defer func() { p.depth-- }()
	t, ok := p.base()
	if !ok {
		return Type{}, false
	}
	for n := 0; p.eat('['); n++ {
		p.word() // a fixed size is read as a list
		if !p.eat(']') || n >= maxTypeDepth {
			return Type{}, false
		}
		t = List(t)
	}
	return t, true
}

func (p *typeText) base() (Type, bool) {
	w := p.word()
	switch w {
	case "":
		return Type{}, false
	case "struct", "row", "record":
		return p.structure()
	case "array", "list":
		closing := byte('>')
		if !p.eat('<') {
			if closing = ')'; !p.eat('(') {
				return Type{}, false
			}
		}
		t, ok := p.typ()
		return List(t), ok && p.eat(closing)
	}
	if rest, ok := strings.CutPrefix(w, "_"); ok && p.dialect == generic {
		k, ok := physicalNames[rest]
		return List(Type{Kind: k}), ok
	}
	w, args, ok := p.words(w)
	if !ok {
		return Type{}, false
	}
	return p.scalar(w, args)
}

// further are the words that continue a type's name.
var further = map[string]bool{
	"varying": true, "precision": true, "with": true, "without": true, "local": true, "time": true, "zone": true, "unsigned": true,
}

// unsigned maps MySQL's spelling to DuckDB's.
var unsigned = map[string]string{
	"tinyint unsigned": "utinyint", "smallint unsigned": "usmallint", "int unsigned": "uinteger",
	"integer unsigned": "uinteger", "bigint unsigned": "ubigint",
}

// words reads the rest of a name such as "timestamp(6) with time zone" or
// "character varying(20)", and its parameters wherever they stand.
func (p *typeText) words(w string) (string, []int, bool) {
	var args []int
	for {
		at := p.pos
		if args == nil && p.eat('(') {
			var ok bool
			if args, ok = p.args(w == "enum"); !ok {
				return "", nil, false
			}
			continue
		}
		next := p.word()
		if !further[next] {
			p.pos = at
			break
		}
		w += " " + next
	}
	if u, ok := unsigned[w]; ok {
		return u, nil, true // a display width means nothing
	}
	return w, args, true
}

// args reads numbers up to the closing parenthesis; the values of an enum are
// passed over.
func (p *typeText) args(enum bool) ([]int, bool) {
	args := []int{}
	for {
		if enum {
			if !p.literal() {
				return nil, false
			}
		} else {
			t := p.word()
			n, err := strconv.Atoi(t)
			if t == "max" {
				n, err = 0, nil
			}
			if err != nil || n < 0 || n > 1<<30 {
				return nil, false
			}
			args = append(args, n)
			if u := p.word(); u != "" && u != "char" && u != "byte" { // Oracle: varchar2(10 char)
				return nil, false
			}
		}
		if p.eat(')') {
			return args, true
		}
		if !p.eat(',') {
			return nil, false
		}
	}
}

// literal passes over an SQL string literal.
func (p *typeText) literal() bool {
	if !p.eat('\'') {
		return false
	}
	for p.pos < len(p.s) {
		c := p.s[p.pos]
		p.pos++
		if c == '\'' {
			if p.pos < len(p.s) && p.s[p.pos] == '\'' {
				p.pos++
				continue
			}
			return true
		}
	}
	return false
}

func (p *typeText) scalar(w string, args []int) (Type, bool) {
	if lengthNames[w] && len(args) == 1 && p.depth == 1 {
		p.length = args[0]
	}
	switch w {
	case "decimal", "numeric", "number", "dec", "bignumeric":
		return p.decimal(w, args)
	case "float":
		// A bare float has 4 bytes in DuckDB and 8 elsewhere; the wider reading
		// of a contract loses nothing.
		if p.dialect == duck || len(args) == 1 && args[0] > 0 && args[0] <= 24 {
			return Type{Kind: KindFloat32}, true
		}
		return Type{Kind: KindFloat64}, true
	case "bit":
		return Type{Kind: KindBool}, p.dialect == generic && (len(args) == 0 || args[0] == 1)
	}
	if t, ok := decimals[w]; ok {
		return t, len(args) == 0
	}
	k, ok := physicalNames[w]
	return Type{Kind: k}, ok
}

// decimal reads the parameters of exact numbers. Without any, DuckDB means
// (18,3) and the rest of the world "as many as there are": (38,9) holds most.
func (p *typeText) decimal(w string, args []int) (Type, bool) {
	t := Decimal(38, 9)
	if p.dialect == duck {
		t = Decimal(18, 3)
	}
	switch len(args) {
	case 0:
	case 1:
		t = Decimal(args[0], 0)
	case 2:
		t = Decimal(args[0], args[1])
	default:
		return t, false
	}
	return t, t.Precision >= 1 && t.Precision <= MaxPrecision && t.Scale <= t.Precision
}

// structure reads STRUCT(a INTEGER, "b c" TEXT) and STRUCT<a: INT, b: STRING>.
func (p *typeText) structure() (Type, bool) {
	closing := byte(')')
	if !p.eat('(') {
		if closing = '>'; !p.eat('<') {
			return Type{}, false
		}
	}
	t := Type{Kind: KindStruct}
	seen := map[string]bool{}
	for {
		name, ok := p.name()
		if !ok || seen[strings.ToLower(name)] {
			return t, false
		}
		seen[strings.ToLower(name)] = true
		p.eat(':')
		f, ok := p.typ()
		if !ok {
			return t, false
		}
		t.Fields = append(t.Fields, Field{Name: name, Type: f})
		if p.eat(closing) {
			return t, true
		}
		if !p.eat(',') {
			return t, false
		}
	}
}
