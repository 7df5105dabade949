package contract

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"weft"
)

// Fix mends what can be mended without a choice: fields that every document
// starts with, fields and values that differ from the right ones in capitals,
// dashes or one letter, deprecated spellings, numbers that have to be text. It
// returns the files that change, with everything else in them as it was, and a
// line for each change. Nothing is written. The error is that of a folder that
// cannot be read.
func Fix(fsys fs.FS, dir string) (map[string][]byte, []string, error) {
	s := &sink{}
	files, ok := loadFiles(s, fsys, path.Clean(dir))
	if !ok {
		return nil, nil, weft.Errorf(weft.KindNotFound, "mend the folder", dir, "%s", s.faults[0].Message).WithHint("%s", s.faults[0].Hint)
	}
	changed := map[string][]byte{}
	var done []string
	names := slices.Sorted(maps.Keys(files))
	// The product first: its address is part of what its contracts get.
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(b2i(a != productFile), b2i(b != productFile)) })
	for _, name := range names {
		var std *standard
		switch {
		case name == productFile:
			std = odps()
		case strings.HasSuffix(name, contractSuffix) && !strings.Contains(name, "/"):
			std = odcs()
		default:
			continue
		}
		data, what := fixFile(std, name, files)
		if len(what) > 0 {
			changed[name], files[name] = data, data
			done = append(done, what...)
		}
	}
	return changed, done, nil
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// fixFile mends one file, again until nothing more is found: a field that got
// its right name may show a value to mend.
func fixFile(std *standard, name string, files map[string][]byte) ([]byte, []string) {
	data := files[name]
	var done []string
	for range 4 {
		m := &mender{file: name}
		m.document(std, data, files)
		next := m.apply(data)
		if bytes.Equal(next, data) || faultCount(std, name, next) > faultCount(std, name, data) {
			break
		}
		for _, e := range m.edits {
			done = append(done, fmt.Sprintf("%s:%d: %s", name, e.line, e.what))
		}
		data = next
	}
	return data, done
}

func faultCount(std *standard, name string, data []byte) int {
	s := &sink{}
	n := 0
	if readDocument(s, name, name, data, std) == nil {
		n = 1_000_000 // worse than any fault of one that can be read
	}
	for _, f := range s.faults {
		n += 1
		if f.Severity == FaultError {
			n += 1_000
		}
	}
	return n
}

// edit replaces old by new at a place of a file.
type edit struct {
	line, column int
	old, new     string
	insert       bool // new is whole lines, put before the line
	what         string
}

// mender collects the edits of one file. A nil mender collects nothing.
type mender struct {
	file  string
	edits []edit
}

func (m *mender) add(n *yaml.Node, new, what string) {
	quote := ""
	switch n.Style {
	case 0:
	case yaml.DoubleQuotedStyle:
		quote = `"`
	case yaml.SingleQuotedStyle:
		quote = "'"
	default: // in a block: what the source text is there is not known
		return
	}
	for _, e := range m.edits {
		if e.line == n.Line && e.column == n.Column {
			return
		}
	}
	m.edits = append(m.edits, edit{line: n.Line, column: n.Column, old: quote + n.Value + quote, new: quote + new + quote, what: what})
}

// document looks at what every document starts with and validates the rest.
func (m *mender) document(std *standard, data []byte, files map[string][]byte) {
	root := parseYAML(&sink{}, m.file, data)
	if root == nil || root.Kind != yaml.MappingNode {
		return
	}
	m.start(std, root, files)
	if k := field(root, "kind"); k != nil {
		m.word(k, []string{std.kind})
	}
	v := std.write
	if a := field(root, "apiVersion"); a != nil {
		if v = parseVersion(a.Value); !std.knows(v) {
			if v = parseVersion("v" + a.Value); std.knows(v) {
				m.add(a, v.String(), fmt.Sprintf("apiVersion '%s' is now '%s'", clip(a.Value), v))
			}
			return
		}
	}
	(&validator{sink: &sink{}, std: std, v: v, file: m.file, weft: true, mend: m}).object(root, std.root, "the "+std.root, nil)
	if std.root == "product" {
		for _, name := range []string{"domain", "name"} {
			if n := field(root, name); n != nil && n.Kind == yaml.ScalarNode && weft.CheckName(n.Value) != nil && weft.CheckName(strings.ToLower(n.Value)) == nil {
				m.add(n, strings.ToLower(n.Value), fmt.Sprintf("'%s' is now '%s'", clip(n.Value), strings.ToLower(n.Value)))
			}
		}
		if n := field(root, "status"); n != nil {
			m.word(n, lives)
		}
	}
	m.customs(root)
}

// start adds the fields that a document lacks and that have one right value.
func (m *mender) start(std *standard, root *yaml.Node, files map[string][]byte) {
	if root.Style&yaml.FlowStyle != 0 || len(root.Content) == 0 || root.Content[0].Column != 1 {
		return
	}
	var lines, what []string
	add := func(name, value string) {
		if field(root, name) == nil && keyOf(root, name) == root && value != "" {
			lines, what = append(lines, name+": "+value), append(what, "added '"+name+"'")
		}
	}
	add("apiVersion", std.write.String())
	add("kind", std.kind)
	product := root
	if std.root != "product" {
		product = parseYAML(&sink{}, "", files[productFile])
	}
	address := weft.Name{Domain: text(product, "domain"), Product: text(product, "name")}
	if _, err := weft.ParseName(address.String()); err == nil {
		id := address.String()
		if std.root != "product" {
			id += "/" + strings.TrimSuffix(m.file, contractSuffix)
		}
		add("id", quoteYAML(id))
	}
	if len(lines) > 0 {
		m.edits = append(m.edits, edit{line: root.Content[0].Line, new: strings.Join(lines, "\n") + "\n", insert: true, what: strings.Join(what, ", ")})
	}
}

// customs mends the spelling of Weft's own properties wherever they stand.
func (m *mender) customs(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		for _, i := range items(field(n, "customProperties")) {
			p := field(i, "property")
			if p == nil || p.Kind != yaml.ScalarNode || !strings.HasPrefix(strings.ToLower(p.Value), customPrefix) {
				continue
			}
			var names []string
			for _, c := range customProperties {
				names = append(names, c.name)
				if c.name == p.Value && field(i, "value") != nil {
					m.word(field(i, "value"), c.choices())
				}
			}
			m.word(p, names)
		}
	}
	for _, c := range n.Content {
		m.customs(c)
	}
}

// plainWord is w without what people vary: capitals, dashes, underscores.
func plainWord(w string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "", " ", "").Replace(w))
}

// sure returns the word of known that w means beyond doubt.
func sure(w string, known []string) string {
	for _, k := range known {
		if k == w {
			return ""
		}
	}
	for _, k := range known {
		if plainWord(w) == plainWord(k) {
			return k
		}
	}
	found := ""
	for _, k := range known {
		if len(w) > 4 && len(w) < 60 && distance(strings.ToLower(w), strings.ToLower(k)) == 1 {
			if found != "" {
				return ""
			}
			found = k
		}
	}
	return found
}

// field mends the name of a field of n that the standard does not know.
func (m *mender) field(k, n *yaml.Node, parts []*object) {
	if m == nil {
		return
	}
	var known []string
	for _, o := range parts {
		known = append(known, o.order...)
	}
	if right := sure(k.Value, known); right != "" && keyOf(n, right) == n {
		m.add(k, right, fmt.Sprintf("field '%s' is now '%s'", clip(k.Value), right))
	}
}

// word mends a value of a closed list.
func (m *mender) word(n *yaml.Node, known []string) {
	if m == nil || n.Kind != yaml.ScalarNode {
		return
	}
	if right := sure(n.Value, known); right != "" {
		m.add(n, right, fmt.Sprintf("'%s' is now '%s'", clip(n.Value), right))
	}
}

// quote makes text of a number or truth value that has to be text.
func (m *mender) quote(n *yaml.Node, types []string) {
	if m == nil || n.Kind != yaml.ScalarNode || !slices.Contains(types, "string") || isNull(n) {
		return
	}
	m.add(n, `"`+n.Value+`"`, fmt.Sprintf("'%s' is now text", clip(n.Value)))
}

// deprecated mends the old name of a metric.
func (m *mender) deprecated(k, val, n *yaml.Node) {
	if m == nil || k.Value != "rule" || field(n, "metric") != nil || oldRules[scalar(val)] == "" {
		return
	}
	m.add(k, "metric", "field 'rule' is now 'metric'")
	if right := oldRules[val.Value]; right != val.Value {
		m.add(val, right, fmt.Sprintf("metric '%s' is now '%s'", val.Value, right))
	}
}

// apply makes the edits, from the end to the start so that places stay true.
// Edits that do not find what they expect are left out.
func (m *mender) apply(data []byte) []byte {
	slices.SortFunc(m.edits, func(a, b edit) int {
		return cmp.Or(cmp.Compare(b.line, a.line), cmp.Compare(b.column, a.column))
	})
	lines := strings.SplitAfter(string(data), "\n")
	kept := m.edits[:0]
	for _, e := range m.edits {
		if e.line < 1 || e.line > len(lines) {
			continue
		}
		line := lines[e.line-1]
		if e.insert {
			lines[e.line-1] = e.new + line
			kept = append(kept, e)
			continue
		}
		at := byteOffset(line, e.column)
		if at < 0 || !strings.HasPrefix(line[at:], e.old) {
			continue
		}
		lines[e.line-1] = line[:at] + e.new + line[at+len(e.old):]
		kept = append(kept, e)
	}
	m.edits = kept
	slices.Reverse(m.edits)
	return []byte(strings.Join(lines, ""))
}

// byteOffset turns a column, counted in characters from 1, into an offset.
func byteOffset(line string, column int) int {
	n := 1
	for i := range line {
		if n == column {
			return i
		}
		n++
	}
	return -1
}
