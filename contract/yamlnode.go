package contract

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The bounds of one YAML document.
const (
	maxYAMLBytes = 1 << 20
	maxYAMLNodes = 100_000 // after anchors are followed
	maxYAMLDepth = 48
)

var yamlLine = regexp.MustCompile(`line (\d+)`)

// parseYAML reads one document with its positions. It returns nil where the
// text gives no mapping or list; the faults are in s.
func parseYAML(s *sink, file string, data []byte) *yaml.Node {
	where := at{file: file}
	if len(data) > maxYAMLBytes {
		s.errorf(where, "file-size", "split the contract or move invented rows to sample/", "the file is larger than %d KB", maxYAMLBytes>>10)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			s.errorf(where, "yaml-empty", "write the document or remove the file", "the file is empty")
			return nil
		}
		yamlFault(s, file, err)
		return nil
	}
	if err := dec.Decode(&more); err == nil {
		s.errorf(at{file, &more}, "yaml-documents", "move what follows --- into a file of its own", "a file holds one document")
	} else if !errors.Is(err, io.EOF) {
		yamlFault(s, file, err)
		return nil
	}
	if len(doc.Content) == 0 || isNull(doc.Content[0]) {
		s.errorf(where, "yaml-empty", "write the document or remove the file", "the file is empty")
		return nil
	}
	x := &expander{s: s, file: file, sizes: map[*yaml.Node]int{}}
	root := x.expand(doc.Content[0], 0)
	if x.failed {
		return nil
	}
	return root
}

// yamlFault reports what the parser says, at its line. The parser quotes no
// content of the file but single characters.
func yamlFault(s *sink, file string, err error) {
	n := &yaml.Node{Line: 1, Column: 1}
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		n.Line, _ = strconv.Atoi(m[1])
		msg = strings.TrimPrefix(msg, m[0]+": ")
		if strings.HasPrefix(msg, "did not find expected") {
			n.Line++ // the parser counts lines from 0, the scanner from 1
		}
	}
	s.errorf(at{file, n}, "yaml", "check the indentation and the quotes here and one line above", "the file is not valid YAML: %s", msg)
}

// expander follows anchors within bounds, so that no document of a few bytes
// becomes one of a billion values, and reports keys that repeat.
type expander struct {
	s      *sink
	file   string
	sizes  map[*yaml.Node]int // finished nodes; a negative one is being expanded
	nodes  int
	failed bool
}

func (x *expander) fail(n *yaml.Node, rule, hint, format string, args ...any) *yaml.Node {
	if !x.failed {
		x.s.errorf(at{x.file, n}, rule, hint, format, args...)
	}
	x.failed = true
	return n
}

// expand returns n with every alias replaced by what it names.
func (x *expander) expand(n *yaml.Node, depth int) *yaml.Node {
	switch {
	case x.failed:
		return n
	case depth > maxYAMLDepth:
		return x.fail(n, "yaml-depth", "no part of the standards nests that deep", "values are nested deeper than %d levels", maxYAMLDepth)
	}
	if n.Kind == yaml.AliasNode {
		if x.sizes[n.Alias] < 0 {
			return x.fail(n, "yaml-alias", "write the values out", "the anchor %q contains itself", n.Value)
		}
		n = x.expand(n.Alias, depth)
		x.count(n, x.sizes[n])
		return n
	}
	if x.sizes[n] > 0 {
		return n
	}
	x.sizes[n] = -1
	before := x.nodes
	x.count(n, 1)
	for i, c := range n.Content {
		n.Content[i] = x.expand(c, depth+1)
	}
	if n.Kind == yaml.MappingNode && !x.failed {
		x.mapping(n)
	}
	x.sizes[n] = x.nodes - before
	return n
}

func (x *expander) count(n *yaml.Node, size int) {
	if x.nodes += size; x.nodes > maxYAMLNodes {
		x.fail(n, "yaml-size", "write fewer values, and no anchors that multiply them", "the document has more than %d values", maxYAMLNodes)
	}
}

// mapping applies merge keys (<<) and reports keys that repeat or are no text.
func (x *expander) mapping(n *yaml.Node) {
	seen := map[string]*yaml.Node{}
	var merges []*yaml.Node
	pairs := n.Content[:0:0]
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Kind != yaml.ScalarNode:
			x.s.errorf(at{x.file, k}, "yaml-key", "write a plain word before the colon", "a field's name is text")
		case k.ShortTag() == "!!merge":
			merges = append(merges, v)
		case seen[k.Value] != nil:
			x.s.errorf(at{x.file, k}, "yaml-duplicate-key", "remove one of the two", "field %q stands here a second time, first in line %d", k.Value, seen[k.Value].Line)
		default:
			seen[k.Value] = k
			pairs = append(pairs, k, v)
		}
	}
	for len(merges) > 0 {
		m := merges[0]
		merges = merges[1:]
		switch m.Kind {
		case yaml.SequenceNode:
			merges = append(merges, m.Content...)
		case yaml.MappingNode:
			for i := 0; i+1 < len(m.Content); i += 2 {
				if k := m.Content[i]; seen[k.Value] == nil {
					seen[k.Value] = k
					pairs = append(pairs, k, m.Content[i+1])
					x.count(k, 1+x.sizes[m.Content[i+1]])
				}
			}
		}
	}
	n.Content = pairs
}

// isNull reports whether n is absent or says nothing.
func isNull(n *yaml.Node) bool {
	return n == nil || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// field returns the value of a mapping's field, nil where it is absent or null
// or n is no mapping.
func field(n *yaml.Node, name string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			if isNull(n.Content[i+1]) {
				return nil
			}
			return n.Content[i+1]
		}
	}
	return nil
}

// keyOf returns the key node of a mapping's field, for faults about the field.
func keyOf(n *yaml.Node, name string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return n
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i]
		}
	}
	return n
}

// items returns the values of a list; of anything else none.
func items(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}

// scalar returns the text of a scalar; empty where it is none.
func scalar(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || isNull(n) {
		return ""
	}
	return n.Value
}

// text returns the text of a mapping's field.
func text(n *yaml.Node, name string) string { return scalar(field(n, name)) }

// truth returns the value of a boolean field, false where it is absent.
func truth(n *yaml.Node, name string) bool {
	f := field(n, name)
	return f != nil && f.ShortTag() == "!!bool" && strings.EqualFold(f.Value, "true")
}

// texts returns the scalars of a list field.
func texts(n *yaml.Node, name string) []string {
	var w []string
	for _, i := range items(field(n, name)) {
		if i.Kind == yaml.ScalarNode {
			w = append(w, i.Value)
		}
	}
	return w
}

// number returns the value of a numeric scalar.
func number(n *yaml.Node) (float64, bool) {
	if n == nil || n.Kind != yaml.ScalarNode {
		return 0, false
	}
	if t := n.ShortTag(); t != "!!int" && t != "!!float" {
		return 0, false
	}
	var v float64
	if n.Decode(&v) != nil || v != v || v > 1e300 || v < -1e300 {
		return 0, false
	}
	return v, true
}
