package contract

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// place is where a custom property of Weft may stand.
type place string

const (
	onProduct place = "product"
	onInput   place = "input port"
	onOutput  place = "output port"
	onServer  place = "server"
	onTable   place = "table"
	onColumn  place = "column"
)

// places are the objects of the standards where properties of Weft may stand.
var places = map[string]place{
	"product": onProduct, "inputPort": onInput, "outputPort": onOutput, "server": onServer, "table": onTable, "column": onColumn,
}

// customPrefix starts the name of every property of Weft.
const customPrefix = "weft"

// customProperty is one of the closed list of properties that Weft adds to the
// standards; docs/custom-properties.md is the same list for people.
type customProperty struct {
	name    string
	on      place
	form    string // text, secret, boolean, share, address, list, consent, hold, shard, date, or the closed list of its values: "a | b"
	initial string // what holds where it is absent
	doc     string
}

var customProperties = []customProperty{
	{"weftReplacedBy", onProduct, "address", "", "The product that takes the place of this one, which is deprecated: `domain.product`."},
	{"weftServedUntil", onProduct, "date", "", "The last day on which this product, which is deprecated, is served: `2027-03-31`."},
	{"weftProduct", onInput, "address", "", "The product that the port reads, `domain.product`, instead of a source with servers."},
	{"weftReaders", onOutput, "list", "the own domain", "The domains that may read the port besides the own one, `*` for all; nobody else may."},
	{"weftReplicas", onOutput, "consent", "none", "The domains whose nodes may keep a copy of the product, `*` for all, and `for` how long the copy may be used while this node cannot be reached: `{domains: [finance], for: 24h}`. Every output port has to say so; who reads is `weftReaders` here as there."},
	{"weftHolds", onOutput, "hold", "none", "The domains whose saved cuts may hold the product's history in place, `*` for all, and `for` how long at most: `{domains: [finance], for: 90d}`. Besides them only the own domain may; `weft cut holds` shows who does."},
	{"weftMode", onServer, "snapshot | append | upsert | cdc | push", "snapshot", "What a read of the source means: `snapshot`: a row gone is a delete; `append`: new files or rows only; `upsert`: rows by key, never a delete; `cdc` and `push`: changes as they happen."},
	{"weftUser", onServer, "text", "", "The user to sign in with."},
	{"weftPassword", onServer, "secret", "", "The password or token to sign in with."},
	{"weftTLS", onServer, "disable | require | verify-ca | verify-full", "PGSSLMODE, else verify-full for other hosts", "PostgreSQL: how the connection is protected. `verify-full`: by TLS, and the server's certificate proves its name; `verify-ca`: any name that an authority signed; `require`: by TLS with whoever answers; `disable`: in the clear, on networks that are yours alone. On the same machine TLS is used where the server has it."},
	{"weftTLSRoot", onServer, "text", "PGSSLROOTCERT, else the system's", "PostgreSQL: a file of PEM certificates of the authorities that sign servers, absolute or relative to the product folder."},
	{"weftFormat", onServer, "csv | json | ndjson | parquet", "by the file's name", "The format of the files, where the standard's server has no field for it."},
	{"weftDelimiter", onServer, "text", "found by looking", "CSV: what separates fields, one character; `\\t` is a tab."},
	{"weftQuote", onServer, "text", `"`, "CSV: what quotes a field."},
	{"weftEscape", onServer, "text", "the quote", "CSV: what escapes a quote inside a field."},
	{"weftHeader", onServer, "boolean", "found by looking", "CSV: whether the first line holds the names."},
	{"weftNull", onServer, "text", "", "CSV: text that means NULL, beside the empty field."},
	{"weftDateFormat", onServer, "text", "ISO 8601", "CSV and JSON: how dates are written, in strptime's notation: `%d.%m.%Y`."},
	{"weftEncoding", onServer, "utf-8 | latin-1 | utf-16", "utf-8", "CSV: the encoding of text."},
	{"weftCursor", onServer, "text", "", "Databases: the column by which `append` and `upsert` read on from the last read. Rows that come later with its last value are read too, those with a smaller one are not."},
	{"weftOnViolation", onTable, "refuse | quarantine", "refuse", "What rows that break a row rule cause: the whole commit is refused, or these rows are held back."},
	{"weftQuarantineLimit", onTable, "share", "0.01", "The share of rows above which a commit is refused instead: `0.01` or `1 %`."},
	{"weftRenamedFrom", onColumn, "text", "", "What the column was called in the version before, where neither the standard's `id` nor the same `physicalName` tells: its rows stay as they are."},
	{"weftDefault", onColumn, "text", "", "What rows from before the column have in it, as CSV would say it; without it they have no value. It counts when the column is added."},
	{"weftShard", onColumn, "shard", "", "The table has only the rows whose value in this column leaves `remainder` when it is divided by `modulus`: `{modulus: 3, remainder: 0}`. It is a rule for rows like any other, and questions over all shards join them part by part, each at its own node (docs/shards.md)."},
	{"weftSubjectKey", onColumn, "text", "", "The column identifies a person or thing of this kind (`customer`): what erasure and restrictions go by."},
}

// custom is one custom property as it was written.
type custom struct {
	key   *yaml.Node // the value of its field "property"
	value *yaml.Node
}

// customs returns the properties of Weft in n's customProperties by name. What
// starts with weft and is not in the list for this place is an error.
func (s *sink) customs(n *yaml.Node, on place, file string) map[string]custom {
	found := map[string]custom{}
	for _, i := range items(field(n, "customProperties")) {
		c := custom{field(i, "property"), field(i, "value")}
		name := scalar(c.key)
		if !strings.HasPrefix(strings.ToLower(name), customPrefix) && !strings.EqualFold(text(i, "vendor"), customPrefix) {
			continue
		}
		p, ok := s.knownCustom(name, on, at{file, c.key})
		if !ok {
			continue
		}
		if _, twice := found[name]; twice {
			s.errorf(at{file, c.key}, "custom-property", "remove one of the two", "'%s' stands here a second time", name)
			continue
		}
		if c.value == nil {
			s.errorf(at{file, c.key}, "custom-property", p.wants(), "'%s' has no value", name)
			continue
		}
		if !p.holds(c.value) {
			s.errorf(at{file, c.value}, "custom-property", p.wants(), "the value of '%s' cannot be that", name)
			continue
		}
		found[name] = c
	}
	return found
}

// knownCustom finds a property by name and place, or says what is wrong with it.
func (s *sink) knownCustom(name string, on place, where at) (customProperty, bool) {
	var here, all []string
	for _, p := range customProperties {
		if p.name == name && p.on == on {
			return p, true
		}
		if p.on == on {
			here = append(here, p.name)
		}
		all = append(all, p.name)
	}
	for _, p := range customProperties {
		if p.name == name {
			s.errorf(where, "custom-property", "move it to the customProperties of the "+string(p.on), "'%s' belongs to %s, not to %s", name, a(string(p.on)), article(on))
			return p, false
		}
	}
	hint := "the list is closed: docs/custom-properties.md"
	if near := nearest(name, all); near != "" {
		hint = fmt.Sprintf("did you mean '%s'?", near)
	} else if len(here) > 0 {
		hint = "known here: " + strings.Join(here, ", ")
	}
	s.errorf(where, "custom-property", hint, "no property of Weft is called '%s'", clip(name))
	return customProperty{}, false
}

// article names a place; the validator's own places already say "the".
func article(on place) string {
	if strings.HasPrefix(string(on), "the ") || strings.Contains(string(on), "'") {
		return string(on)
	}
	return a(string(on))
}

// choices are the values of a closed list.
func (p customProperty) choices() []string {
	if !strings.Contains(p.form, " | ") {
		return nil
	}
	return strings.Split(p.form, " | ")
}

// wants says for people what the value has to be.
func (p customProperty) wants() string {
	switch p.form {
	case "secret":
		return "write it as ${VAR}: secrets stand in the environment or in .env"
	case "boolean":
		return "write true or false"
	case "share":
		return "write a share between 0 and 1, or like 1 %"
	case "address":
		return "write an address like sales.orders"
	case "list":
		return "write a list of domains, or *"
	case "consent":
		return "write {domains: [finance], for: 24h}: a list of domains, or *, and a time up to 90d"
	case "hold":
		return "write {domains: [finance], for: 90d}: a list of domains, or *, and a time up to 3650d"
	case "shard":
		return "write {modulus: 3, remainder: 0}: a modulus from 2 to 10000 and a remainder below it"
	case "date":
		return "write a day like 2027-03-31"
	case "text":
		return "write text"
	}
	return "known: " + strings.Join(p.choices(), ", ")
}

// holds reports whether the value has the property's form.
func (p customProperty) holds(v *yaml.Node) bool {
	switch p.form {
	case "boolean":
		return v.ShortTag() == "!!bool"
	case "share":
		_, ok := share(v)
		return ok
	case "list":
		return v.Kind == yaml.ScalarNode || v.Kind == yaml.SequenceNode && len(v.Content) > 0
	case "text", "secret", "address":
		return v.Kind == yaml.ScalarNode
	case "consent":
		_, ok := consent(v, defaultReplica, longestReplica)
		return ok
	case "hold":
		_, ok := consent(v, defaultHold, longestHold)
		return ok
	case "shard":
		_, ok := shardOf(v)
		return ok
	case "date":
		_, err := time.Parse(time.DateOnly, scalar(v))
		return err == nil
	}
	return v.Kind == yaml.ScalarNode && slices.Contains(p.choices(), v.Value)
}

// share reads 0.01 or "1 %".
func share(n *yaml.Node) (float64, bool) {
	if f, ok := number(n); ok {
		return f, f >= 0 && f <= 1
	}
	pct, ok := strings.CutSuffix(strings.TrimSpace(scalar(n)), "%")
	if !ok {
		return 0, false
	}
	var f float64
	if _, err := fmt.Sscanf(strings.TrimSpace(pct), "%g", &f); err != nil {
		return 0, false
	}
	return f / 100, f >= 0 && f <= 100
}

// textsOf reads a list, or one text with commas.
func textsOf(n *yaml.Node) []string {
	var w []string
	if n.Kind == yaml.ScalarNode {
		for _, t := range strings.Split(n.Value, ",") {
			w = append(w, strings.TrimSpace(t))
		}
		return w
	}
	for _, i := range items(n) {
		w = append(w, scalar(i))
	}
	return w
}
