package contract

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// validator holds a document against its standard.
type validator struct {
	*sink
	std  *standard
	v    version
	file string
	weft bool // hold it against the list of Weft's own properties as well
	mend *mender
}

func (v *validator) at(n *yaml.Node) at { return at{v.file, n} }

// object checks a mapping against the object called name; parent is the mapping
// around it, label what people call it.
func (v *validator) object(n *yaml.Node, name, label string, parent *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		hint := "write fields (name: value) here"
		if name == "enumValue" {
			hint = "write {value: …} for each value"
		}
		v.errorf(v.at(n), "type", hint, "%s must be a mapping, not %s", label, kindOf(n))
		return
	}
	parts, known := v.parts(n, name, parent)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, val := n.Content[i], n.Content[i+1]
		f, o, is, now := v.lookup(parts, k.Value)
		switch {
		case !is && known:
			v.mend.field(k, n, parts)
			v.warnf(v.at(k), "unknown-field", v.unknownHint(parts, k.Value), "unknown field '%s' in %s", k.Value, label)
			continue
		case !is:
			continue
		case !now:
			v.outOfVersion(k, f, label)
		case f.deprecated > 0 && v.v >= f.deprecated:
			v.mend.deprecated(k, val, n)
			v.warnf(v.at(k), "deprecated", f.hint, "field '%s' is deprecated since %s", k.Value, f.deprecated)
		}
		if !isNull(val) {
			v.value(val, f, o, n)
		}
	}
	if _, own := places[name]; v.weft && !own {
		v.customs(n, place(label), v.file)
	}
	for _, o := range parts {
		for _, fname := range o.order {
			f, _, ok := o.find(fname, v.v)
			if ok && f.must(v.v) && v.missing(n, o, fname) {
				v.errorf(v.at(n), "missing-field", fmt.Sprintf("add '%s: …'", fname), "%s lacks the field '%s'", label, fname)
			}
		}
	}
}

// missing reports whether a required field is absent; a value of null counts
// only where null can be a value.
func (v *validator) missing(n *yaml.Node, o *object, name string) bool {
	if field(n, name) != nil {
		return false
	}
	nullable := (o.name == "custom" || o.name == "sla" || o.name == "enumValue") && name == "value"
	return !nullable || keyOf(n, name) == n
}

// parts returns the objects whose fields the mapping may have: itself, what it
// extends, and the variant that its switch chooses. known is false where the
// variant is not known, so that its fields cannot be judged.
func (v *validator) parts(n *yaml.Node, name string, parent *yaml.Node) (parts []*object, known bool) {
	o := v.std.objects[name]
	parts = []*object{o}
	if name == "column" {
		o = v.std.objects["element"]
		parts = append(parts, o)
	}
	if o.sw == "" {
		return parts, true
	}
	from, sw := n, o.sw
	if s, ok := strings.CutPrefix(sw, "^"); ok {
		from, sw = parent, s
	}
	value := text(from, sw)
	if o.name == "quality" && value == "" {
		value = qualityType(n)
	}
	if variant := v.std.objects[o.name+":"+value]; variant != nil {
		return append(parts, variant), true
	}
	return parts, o.name == "element" || o.name == "quality"
}

// lookup finds a field in the parts of an object. known is false where no
// version has it, ok where this one has not.
func (v *validator) lookup(parts []*object, name string) (f fieldSpec, o *object, known, ok bool) {
	for _, o := range parts {
		if f, known, ok := o.find(name, v.v); known {
			return f, o, true, ok
		}
	}
	return fieldSpec{}, nil, false, false
}

func (v *validator) unknownHint(parts []*object, name string) string {
	var all []string
	for _, o := range parts {
		all = append(all, o.order...)
	}
	if n := nearest(name, all); n != "" {
		return fmt.Sprintf("did you mean '%s'?", n)
	}
	return "what the standard has no field for goes into customProperties"
}

func (v *validator) outOfVersion(k *yaml.Node, f fieldSpec, label string) {
	if f.since > v.v {
		v.warnf(v.at(k), "field-version", "raise apiVersion to "+f.since.String(), "field '%s' of %s came with %s %s, this document is %s", k.Value, label, v.std.name, f.since, v.v)
		return
	}
	v.warnf(v.at(k), "field-version", "remove it or lower apiVersion", "field '%s' of %s ended with %s %s", k.Value, label, v.std.name, f.until)
}

// value checks the value of a field of o: one of the alternatives of its type.
// A form that only a later version has is read with a warning.
func (v *validator) value(n *yaml.Node, f fieldSpec, o *object, parent *yaml.Node) {
	all := append([]fieldSpec{f}, o.fields[f.name]...)
	for i, g := range append(all, all...) {
		for _, t := range g.types {
			if !v.fits(n, t) || i < len(all) && len(g.enum) > 0 && !slices.Contains(g.enum, n.Value) {
				continue
			}
			if g.since > v.v && f.in(v.v) {
				v.warnf(v.at(n), "field-version", "raise apiVersion to "+g.since.String(), "field '%s' has this form since %s %s, this document is %s", f.name, v.std.name, g.since, v.v)
			}
			v.typed(n, t, g, parent)
			return
		}
	}
	v.mend.quote(n, f.types)
	v.errorf(v.at(n), "type", typeHint(n, f.types), "field '%s' must be %s, not %s", f.name, typeNames(f.types), kindOf(n))
}

// typed checks what a value holds, once its outer form fits type t.
func (v *validator) typed(n *yaml.Node, t string, f fieldSpec, parent *yaml.Node) {
	if elem, ok := strings.CutPrefix(t, "[]"); ok {
		for _, i := range items(n) {
			switch {
			case isNull(i) && elem != "any":
				v.errorf(v.at(i), "type", "remove the entry or write its value", "an entry of '%s' is empty", f.name)
			case v.std.objects[elem] != nil:
				v.object(i, elem, objectLabel(elem, i), parent)
			case elem != "any" && !v.fits(i, elem):
				v.errorf(v.at(i), "type", typeHint(i, []string{elem}), "an entry of '%s' must be %s, not %s", f.name, typeNames([]string{elem}), kindOf(i))
			}
		}
		return
	}
	if v.std.objects[t] != nil {
		v.object(n, t, objectLabel(t, n), parent)
		return
	}
	if len(f.enum) > 0 && !slices.Contains(f.enum, n.Value) {
		v.mend.word(n, f.enum)
		v.errorf(v.at(n), "enum", didYouMean(n.Value, f.enum), "field '%s' cannot be '%s'", f.name, clip(n.Value))
	}
	if f.name == "type" && t == "string" && v.std.name == "ODCS" && field(parent, "server") != nil {
		v.serverType(n)
	}
	v.format(n, t, f.name)
}

// serverType checks the type of a server against the closed list.
func (v *validator) serverType(n *yaml.Node) {
	var known []string
	for name := range v.std.objects {
		if t, ok := strings.CutPrefix(name, "server:"); ok {
			known = append(known, t)
		}
	}
	slices.Sort(known)
	if slices.Contains(known, n.Value) {
		return
	}
	hint := didYouMean(n.Value, known)
	if n.Value == "http" || n.Value == "https" {
		hint = "write 'type: api' with the address in 'location'"
	}
	v.errorf(v.at(n), "enum", hint, "no server type is called '%s'", clip(n.Value))
}

// format warns of dates and addresses that cannot be read.
func (v *validator) format(n *yaml.Node, t, name string) {
	switch t {
	case "date":
		if _, err := time.Parse(time.DateOnly, n.Value); err != nil {
			v.warnf(v.at(n), "date", "write it like 2026-01-31", "field '%s' is no date", name)
		}
	case "datetime":
		if _, err := time.Parse(time.RFC3339, n.Value); err != nil {
			v.warnf(v.at(n), "date", "write it like 2026-01-31T10:00:00Z", "field '%s' is no time in ISO 8601 with its zone", name)
		}
	case "uri":
		if u, err := url.Parse(n.Value); err != nil || u.Scheme == "" && !strings.HasPrefix(n.Value, "/") {
			v.warnf(v.at(n), "url", "write it like https://example.com/page", "field '%s' is no address", name)
		}
	}
}

// fits reports whether the outer form of n is that of type t.
func (v *validator) fits(n *yaml.Node, t string) bool {
	switch {
	case strings.HasPrefix(t, "[]"):
		return n.Kind == yaml.SequenceNode
	case v.std.objects[t] != nil:
		return n.Kind == yaml.MappingNode
	case t == "any":
		return true
	}
	if n.Kind != yaml.ScalarNode {
		return false
	}
	tag := n.ShortTag()
	switch t {
	case "string", "date", "datetime", "uri":
		return tag == "!!str" || tag == "!!timestamp"
	case "boolean":
		return tag == "!!bool"
	case "number":
		_, ok := number(n)
		return ok
	case "integer":
		f, ok := number(n)
		return ok && f == math.Trunc(f)
	case "variable":
		f, ok := number(n)
		return ok && f == math.Trunc(f) || tag == "!!str" && (v.v >= 320 || isVariable(n.Value))
	case "scalar":
		return true
	}
	return false
}

// qualityType is the type of a rule that does not say it.
func qualityType(n *yaml.Node) string {
	switch {
	case field(n, "type") != nil:
		return text(n, "type")
	case field(n, "metric") != nil || field(n, "rule") != nil:
		return "library"
	case field(n, "query") != nil:
		return "sql"
	case field(n, "implementation") != nil:
		return "custom"
	case field(n, "description") != nil && !hasOperator(n):
		return "text"
	}
	return "library"
}

// kindOf names the form of a value for people, without the value.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!str", "!!timestamp":
		return "text"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!null":
		return "empty"
	}
	return "a value with the tag " + clip(n.Tag)
}

func typeNames(types []string) string {
	var w []string
	for _, t := range types {
		switch t {
		case "string", "uri":
			w = append(w, "text")
		case "boolean":
			w = append(w, "true or false")
		case "number":
			w = append(w, "a number")
		case "integer", "variable":
			w = append(w, "a whole number")
		case "scalar":
			w = append(w, "a single value")
		case "date", "datetime":
			w = append(w, "a date")
		default:
			if strings.HasPrefix(t, "[]") {
				w = append(w, "a list")
			} else {
				w = append(w, "a mapping")
			}
		}
	}
	return strings.Join(w, " or ")
}

func typeHint(n *yaml.Node, types []string) string {
	scalarTag := n.Kind == yaml.ScalarNode
	switch {
	case scalarTag && slices.Contains(types, "string"):
		return "put it into quotes"
	case slices.Contains(types, "boolean"):
		return "write true or false without quotes"
	case scalarTag && strings.HasPrefix(types[0], "[]"):
		return "write it as a list: [ … ]"
	case n.Kind == yaml.SequenceNode && len(n.Content) == 1:
		return "remove the list around it"
	}
	return ""
}

// objectLabel names an object by its kind and, where it has one, its name.
func objectLabel(kind string, n *yaml.Node) string {
	for _, f := range []string{"name", "server", "property", "channel", "username"} {
		if s := text(n, f); s != "" && kind != "quality" {
			return fmt.Sprintf("%s '%s'", label(kind), clip(s))
		}
	}
	return "the " + label(kind)
}

func label(kind string) string {
	switch kind {
	case "element":
		return "property"
	case "custom":
		return "custom property"
	case "options":
		return "logicalTypeOptions"
	case "inputPort", "outputPort", "managementPort":
		return strings.ToLower(strings.TrimSuffix(kind, "Port")) + " port"
	case "quality":
		return "quality rule"
	case "sla":
		return "SLA"
	case "enumValue":
		return "enum value"
	case "columnRelationship", "tableRelationship":
		return "relationship"
	case "definition":
		return "authoritative definition"
	}
	return kind
}

// clip shortens what a file says for a message of one line.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 60 {
		return string(r[:57]) + "…"
	}
	return s
}
