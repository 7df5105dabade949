package fedtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"weft"
)

// Column is one of a table, with its type as a contract writes it.
type Column struct {
	Name, Type string
	Required   bool
	Shard      *weft.Shard // of the column that a table is divided by
}

// Product is a table that one node publishes as a product of the same name, made from
// Parquet.
type Product struct {
	Domain, Name string
	Columns      []Column
	Key          []string // none for a table without a key
	File         string   // absolute
	Readers      []string // domains besides its own; * for all
}

// Address is how SQL names it.
func (p Product) Address() string { return p.Domain + "." + p.Name }

// logical is the logical type that goes with a physical one.
func logical(typ string) string {
	word, _, _ := strings.Cut(typ, "(")
	switch {
	case strings.HasSuffix(typ, "[]"):
		return "array"
	case word == "integer" || word == "bigint" || word == "smallint":
		return "integer"
	case word == "decimal" || word == "double precision":
		return "number"
	case word == "date" || word == "boolean":
		return word
	case strings.HasPrefix(word, "timestamp"):
		return "timestamp"
	case word == "struct":
		return "object"
	}
	return "string"
}

// Files are the product's folder.
func (p Product) Files() map[string]string {
	var c strings.Builder
	for _, col := range p.Columns {
		fmt.Fprintf(&c, "      - {name: %s, logicalType: %s, physicalType: '%s'", col.Name, logical(col.Type), col.Type)
		if col.Required {
			c.WriteString(", required: true")
		}
		if i := slices.Index(p.Key, col.Name); i >= 0 {
			fmt.Fprintf(&c, ", primaryKey: true, primaryKeyPosition: %d", i+1)
		}
		if col.Shard != nil {
			fmt.Fprintf(&c, ", customProperties: [{property: weftShard, value: {modulus: %d, remainder: %d}}]", col.Shard.Modulus, col.Shard.Remainder)
		}
		c.WriteString("}\n")
	}
	readers := make([]string, len(p.Readers))
	for i, r := range p.Readers {
		readers[i] = fmt.Sprintf("%q", r)
	}
	id := p.Address()
	return map[string]string{
		"product.odps.yaml": fmt.Sprintf(`apiVersion: v1.0.0
kind: DataProduct
id: %[1]s
name: %[2]s
domain: %[3]s
status: active
description: {purpose: Invented rows to ask many nodes about.}
team: {members: [{username: owner@example.com, role: owner}]}
inputPorts: [{name: %[2]s, version: 1.0.0, contractId: %[1]s/source}]
outputPorts: [{name: %[2]s, version: 1.0.0, contractId: %[1]s/%[2]s, type: tables, customProperties: [{property: weftReaders, value: [%[4]s]}]}]
`, id, p.Name, p.Domain, strings.Join(readers, ", ")),
		"source.odcs.yaml": fmt.Sprintf(`apiVersion: v3.1.0
kind: DataContract
id: %s/source
version: 1.0.0
status: active
slaProperties: [{property: frequency, value: 1, unit: d}]
servers: [{server: files, type: local, path: %s, format: parquet}]
`, id, p.File),
		p.Name + ".odcs.yaml": fmt.Sprintf(`apiVersion: v3.1.0
kind: DataContract
id: %s/%[2]s
version: 1.0.0
status: active
schema:
  - name: %[2]s
    logicalType: object
    properties:
%s`, id, p.Name, c.String()),
	}
}

// Write writes the folder below dir and returns where it is.
func (p Product) Write(dir string) (string, error) {
	at := filepath.Join(dir, p.Domain, p.Name)
	if err := os.MkdirAll(at, 0o755); err != nil {
		return "", err
	}
	for name, text := range p.Files() {
		if err := os.WriteFile(filepath.Join(at, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	return at, nil
}

// Archive is the folder as it is sent to a node.
func (p Product) Archive() ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, text := range p.Files() {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			return nil, err
		}
		if _, err := w.Write([]byte(text)); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
