package contract

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// version is a version of a standard as a number: v3.1.0 is 310.
type version int

func (v version) String() string { return fmt.Sprintf("v%d.%d.%d", v/100, v/10%10, v%10) }

// parseVersion reads "v3.1.0"; what has another form is 0.
func parseVersion(s string) version {
	w := strings.Split(strings.TrimPrefix(s, "v"), ".")
	if !strings.HasPrefix(s, "v") || len(w) != 3 {
		return 0
	}
	var v version
	for _, d := range w {
		if len(d) != 1 || d[0] < '0' || d[0] > '9' {
			return 0
		}
		v = v*10 + version(d[0]-'0')
	}
	return v
}

// standard is one of the two document standards: its name, versions and fields.
type standard struct {
	name     string // ODCS
	kind     string // DataContract
	root     string // the object that a document is
	versions []version
	write    version // what a new document is written in
	objects  map[string]*object
}

// object is one kind of mapping of a standard.
type object struct {
	name   string
	sw     string // the field whose value chooses the variant; with ^ it stands in the parent
	fields map[string][]fieldSpec
	order  []string
}

// fieldSpec is one field in a range of versions.
type fieldSpec struct {
	name          string
	types         []string // alternatives: string, []column, …
	enum          []string
	required      bool
	requiredUntil version // required below this version
	since, until  version // 0 is open
	deprecated    version
	hint          string // what to write instead of a deprecated field
}

func (f fieldSpec) in(v version) bool {
	return (f.since == 0 || v >= f.since) && (f.until == 0 || v < f.until)
}

func (f fieldSpec) must(v version) bool {
	return f.required || f.requiredUntil > 0 && v < f.requiredUntil
}

// find returns the field as version v has it; known is false where no version
// has it, and ok is false where only other versions do.
func (o *object) find(name string, v version) (f fieldSpec, known, ok bool) {
	fs := o.fields[name]
	for _, f := range fs {
		if f.in(v) {
			return f, true, true
		}
	}
	if len(fs) > 0 {
		return fs[len(fs)-1], true, false
	}
	return fieldSpec{}, false, false
}

// The tables of the standards are written as text, one field a line:
//
//	object [switch=field]
//	  name[!|!<3.2] type[|type…] [enum=a,b] [since=3.1] [until=3.1] [deprecated=3.1] [-- hint]
//
// A type is string, number, integer, boolean, scalar, any, date, datetime, uri,
// variable (a number that may be ${VAR}), the name of an object, or []type.
// "object:value" is the variant that the switch chooses; its fields add to the
// object's own. until names the first version without the field.
func parseStandard(st standard, text string) *standard {
	st.objects = map[string]*object{}
	var cur *object
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		line, hint, _ := strings.Cut(line, " -- ")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
			cur = &object{name: words[0], fields: map[string][]fieldSpec{}}
			st.objects[words[0]] = cur
			for _, w := range words[1:] {
				cur.sw, _ = strings.CutPrefix(w, "switch=")
			}
			continue
		}
		f := parseField(words, hint)
		if len(cur.fields[f.name]) == 0 {
			cur.order = append(cur.order, f.name)
		}
		cur.fields[f.name] = append(cur.fields[f.name], f)
	}
	return &st
}

func parseField(words []string, hint string) fieldSpec {
	name, req, must := strings.Cut(words[0], "!")
	f := fieldSpec{name: name, types: strings.Split(words[1], "|"), hint: hint, required: must && req == ""}
	if r, ok := strings.CutPrefix(req, "<"); ok {
		f.requiredUntil = shortVersion(r)
	}
	for _, w := range words[2:] {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "enum":
			f.enum = strings.Split(v, ",")
		case "since":
			f.since = shortVersion(v)
		case "until":
			f.until = shortVersion(v)
		case "deprecated":
			f.deprecated = shortVersion(v)
		}
	}
	return f
}

// shortVersion reads "3.1" as 310.
func shortVersion(s string) version {
	a, b, _ := strings.Cut(s, ".")
	x, _ := strconv.Atoi(a)
	y, _ := strconv.Atoi(b)
	return version(x*100 + y*10)
}

func (st *standard) knows(v version) bool { return slices.Contains(st.versions, v) }

// versionList names the versions for people.
func (st *standard) versionList() string {
	var w []string
	for _, v := range st.versions {
		w = append(w, v.String())
	}
	return strings.Join(w, ", ")
}

var odcs = sync.OnceValue(func() *standard {
	return parseStandard(standard{
		name: "ODCS", kind: "DataContract", root: "contract",
		versions: []version{300, 301, 302, 310, 320}, write: 310,
	}, odcsText)
})

var odps = sync.OnceValue(func() *standard {
	return parseStandard(standard{
		name: "ODPS", kind: "DataProduct", root: "product",
		versions: []version{90, 100, 110}, write: 100,
	}, odpsText)
})
