package contract

import (
	"crypto/sha256"

	"go.yaml.in/yaml/v3"

	"weft"
)

// Document is one ODCS or ODPS file as it was read: its text, with the place
// of every value, so that it can be written back with its comments.
type Document struct {
	File       string // path inside the folder
	Standard   string // "ODCS" or "ODPS"
	APIVersion string // such as v3.1.0
	Data       []byte // the file's bytes
	std        *standard
	version    version
	root       *yaml.Node
}

// Hash returns the digest of the file's bytes.
func (d *Document) Hash() weft.Hash { return sha256.Sum256(d.Data) }

// readDocument parses and validates a file called file, shown as shown. want is
// the standard that it has to follow, nil for either; Weft's own rules are asked
// only of a known one. The document is nil where the text is none of a known
// standard and version.
func readDocument(s *sink, file, shown string, data []byte, want *standard) *Document {
	root := parseYAML(s, shown, data)
	if root == nil {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		s.errorf(at{shown, root}, "type", "start with 'apiVersion:' and 'kind:'", "a document is a mapping of fields, not %s", kindOf(root))
		return nil
	}
	kind := text(root, "kind")
	std := want
	if std == nil {
		std = odcs()
		if kind == odps().kind {
			std = odps()
		}
	}
	if kind != "" && kind != std.kind {
		s.errorf(at{shown, field(root, "kind")}, "kind", "write 'kind: "+std.kind+"'", "this file has to be a %s (%s), not '%s'", std.kind, std.name, clip(kind))
		return nil
	}
	d := &Document{File: file, Standard: std.name, APIVersion: text(root, "apiVersion"), Data: data, std: std, root: root}
	d.version = std.write
	if d.APIVersion != "" {
		d.version = parseVersion(d.APIVersion)
		if !std.knows(d.version) {
			s.errorf(at{shown, field(root, "apiVersion")}, "api-version", "known: "+std.versionList(),
				"Weft does not read %s '%s'", std.name, clip(d.APIVersion))
			return nil
		}
	}
	v := &validator{sink: s, std: std, v: d.version, file: shown, weft: want != nil}
	v.object(root, std.root, "the "+std.root, nil)
	return d
}
