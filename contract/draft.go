package contract

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"weft"
)

// Draft returns the files of a new product folder that passes the tables of a
// source through: the product document, one contract for its output and one for
// its input. It promises what the look at the source found and nothing about
// personal columns but their type; the owner and the purpose are placeholders
// with a comment. The files pass Read without a fault. The error is of
// KindInvalid where the shape gives no table.
func Draft(name weft.Name, shape *Shape) (map[string][]byte, error) {
	op := func(format string, args ...any) error {
		return weft.Errorf(weft.KindInvalid, "draft the product", name.String(), format, args...)
	}
	if _, err := weft.ParseName(name.String()); err != nil {
		return nil, err
	}
	if shape == nil || len(shape.Tables) == 0 {
		return nil, op("the source has no table")
	}
	d := &drafter{name: name, shape: shape}
	if err := d.nameParts(); err != nil {
		return nil, err
	}
	server, err := d.server()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{
		productFile:                []byte(d.product()),
		d.output + contractSuffix:  []byte(d.contract()),
		d.inputID + contractSuffix: []byte(d.input(server)),
	}
	if _, faults := ReadFiles(files); len(faults) > 0 {
		return nil, weft.Errorf(weft.KindInternal, "draft the product", name.String(), "the draft is not right: %s", faults[0])
	}
	return files, nil
}

// drafter writes the files of one draft.
type drafter struct {
	name    weft.Name
	shape   *Shape
	port    string   // of the input
	inputID string   // file and id of the input's contract
	output  string   // file, port and id of the output
	tables  []string // output tables, like shape.Tables
}

// nameParts chooses the names of ports, contracts and tables. The only table of
// a product bears the product's name.
func (d *drafter) nameParts() error {
	d.output = d.name.Product
	d.port, d.inputID = "source", "source"
	if d.output == d.inputID {
		d.inputID = "input"
	}
	seen := map[string]bool{}
	for _, t := range d.shape.Tables {
		if err := weft.CheckName(t.Name); err != nil {
			return err
		}
		if seen[t.Name] {
			return weft.Errorf(weft.KindInvalid, "draft the product", d.name.String(), "two tables of the source are called %s", t.Name)
		}
		seen[t.Name] = true
		if len(t.Columns) == 0 {
			return weft.Errorf(weft.KindInvalid, "draft the product", d.name.String(), "table %s has no column", t.Name)
		}
		d.tables = append(d.tables, t.Name)
	}
	if len(d.tables) == 1 {
		d.port = d.tables[0]
		d.tables[0] = d.name.Product
	}
	return nil
}

func (d *drafter) product() string {
	rows := "The tables of the source as they are."
	if len(d.tables) == 1 {
		rows = "The rows of " + d.port + " as the source has them."
	}
	return strings.Join([]string{
		"apiVersion: " + odps().write.String(),
		"kind: DataProduct",
		"id: " + d.name.String(),
		"name: " + d.name.Product,
		"domain: " + d.name.Domain,
		"version: 0.1.0",
		"status: draft",
		"description: {purpose: " + rows + "}   # say what it is for",
		"team: {members: [{username: " + placeholderOwner + ", role: owner}]}   # replace by who owns it",
		"inputPorts:",
		fmt.Sprintf("  - {name: %s, version: 1.0.0, contractId: %s/%s}", d.port, d.name, d.inputID),
		"outputPorts:",
		fmt.Sprintf("  - {name: %s, version: 0.1.0, contractId: %s/%s, type: tables}", d.output, d.name, d.output),
		"",
	}, "\n")
}

// head is what every contract starts with.
func (d *drafter) head(id, version string) string {
	return strings.Join([]string{
		"apiVersion: " + odcs().write.String(),
		"kind: DataContract",
		"id: " + d.name.String() + "/" + id,
		"version: " + version,
		"status: draft",
		"",
	}, "\n")
}

// input is the contract of the source. It names tables only where the server
// cannot be read without.
func (d *drafter) input(server string) string {
	s := d.head(d.inputID, "1.0.0") + "servers:\n  - " + server + "\n"
	whole := len(d.shape.Tables) == 1 && d.shape.Server.Type != "postgres" && !strings.Contains(d.shape.Server.Path+d.shape.Server.URL, "{table}")
	if whole {
		return s
	}
	s += "schema:\n"
	for _, t := range d.shape.Tables {
		f := flow{}
		f.text("name", t.Name)
		if t.Physical != "" && t.Physical != t.Name {
			f.text("physicalName", t.Physical)
		}
		s += "  - " + f.String() + "\n"
	}
	return s
}

func (d *drafter) contract() string {
	s := d.head(d.output, "0.1.0") + "schema:\n"
	for i, t := range d.shape.Tables {
		s += "  - name: " + d.tables[i] + "\n    properties:\n"
		names := columnNames(t)
		for j, c := range t.Columns {
			s += "      - " + d.column(t, c, names[j]) + "\n"
		}
		if t.Rows > 0 {
			s += "    quality: [{metric: rowCount, mustBeGreaterThan: 0}]\n"
		}
	}
	return s
}

// column writes one property on one line.
func (d *drafter) column(t ShapeTable, c ShapeColumn, name string) string {
	typ := c.Type
	if typ.Kind == KindUnknown {
		typ = Type{Kind: KindString}
	}
	f := flow{}
	f.text("name", name)
	if name != c.Name {
		f.text("physicalName", c.Name)
	}
	logical, physical := typ.ODCS()
	f.raw("logicalType", logical)
	if plain, err := logicalType(logical, typeOptions{}); err != nil || !plain.Equal(typ) {
		f.text("physicalType", physical)
	}
	key := slices.Index(t.Key, c.Name)
	if key >= 0 || c.Nulls == 0 && t.Rows > 0 {
		f.raw("required", "true")
	}
	if key >= 0 && typ.IsKey() {
		f.raw("primaryKey", "true")
		f.raw("primaryKeyPosition", fmt.Sprint(key+1))
	}
	if c.Personal || PersonalName(c.Name) {
		f.raw("classification", "restricted")
		return f.String()
	}
	if key < 0 {
		if o := draftRange(t, c, typ); o != "" {
			f.raw("logicalTypeOptions", o)
		}
	}
	odd := func(v string) bool { return strings.IndexByte(v, 0) >= 0 || !utf8.ValidString(v) }
	if len(c.Enum) > 0 && typ.Kind == KindString && key < 0 && !slices.ContainsFunc(c.Enum, odd) {
		var w []string
		for _, v := range c.Enum {
			w = append(w, quoteYAML(v))
		}
		f.raw("quality", "[{metric: invalidValues, arguments: {validValues: ["+strings.Join(w, ", ")+"]}, mustBe: 0}]")
	}
	return f.String()
}

var plainColumn = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// columnNames chooses names that SQL can write without quotes; the source's own
// names are kept where they are such.
func columnNames(t ShapeTable) []string {
	taken := map[string]bool{}
	for _, c := range storeColumns {
		taken[c] = true
	}
	fits := func(n string) bool { return plainColumn.MatchString(n) && len(n) <= 63 && !taken[strings.ToLower(n)] }
	out := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		if fits(c.Name) {
			out[i], taken[strings.ToLower(c.Name)] = c.Name, true
		}
	}
	for i, c := range t.Columns {
		if out[i] != "" {
			continue
		}
		base := strings.Join(nameWords(c.Name), "_")
		if !plainColumn.MatchString(base) {
			base = cmp.Or(strings.Trim(regexp.MustCompile(`[^A-Za-z0-9_]+`).ReplaceAllString("c_"+base, "_"), "_"), "c")
		}
		if len(base) > 56 {
			base = base[:56]
		}
		n := base
		for k := 2; !fits(n); k++ {
			n = fmt.Sprintf("%s_%d", base, k)
		}
		out[i], taken[n] = n, true
	}
	return out
}

// server writes the one server of the source.
func (d *drafter) server() (string, error) {
	s := d.shape.Server
	f := flow{}
	f.text("server", cmp.Or(s.Name, "source"))
	if s.Environment != "" {
		f.text("environment", s.Environment)
	}
	custom := flowList{}
	switch s.Type {
	case "", "local", "file":
		f.raw("type", "local")
		f.text("path", s.Path)
		f.text("format", cmp.Or(s.Format, formatOf(s.Path)))
	case "api", "http", "https":
		f.raw("type", "api")
		f.text("location", s.URL)
		if formatOf(s.URL) == "" || s.Format != "" && s.Format != formatOf(s.URL) {
			custom.add("weftFormat", cmp.Or(s.Format, "csv"))
		}
	case "postgres", "postgresql":
		f.raw("type", "postgres")
		f.text("host", cmp.Or(s.Host, "localhost"))
		f.number("port", cmp.Or(s.Port, "5432"))
		f.text("database", s.Database)
		f.text("schema", cmp.Or(s.Schema, "public"))
	default:
		return "", weft.Errorf(weft.KindInvalid, "draft the product", d.name.String(), "sources of type %q are not read", s.Type)
	}
	if s.Password != "" && !isVariable(s.Password) {
		return "", weft.Errorf(weft.KindInvalid, "draft the product", d.name.String(), "the source's password is no ${VAR}, and no file may hold it").
			WithHint("set it in the environment and name the variable")
	}
	if s.Mode != "" && s.Mode != ModeSnapshot {
		custom.add("weftMode", string(s.Mode))
	}
	for _, p := range [][2]string{
		{"weftUser", s.User},
		{"weftPassword", s.Password},
		{"weftTLS", s.TLS},
		{"weftTLSRoot", s.TLSRoot},
		{"weftDelimiter", strings.ReplaceAll(s.Delimiter, "\t", `\t`)},
		{"weftQuote", s.Quote},
		{"weftEscape", s.Escape},
		{"weftNull", s.NullText},
		{"weftDateFormat", s.DateFormat},
		{"weftEncoding", s.Encoding},
		{"weftCursor", s.Cursor},
	} {
		if p[1] != "" {
			custom.add(p[0], p[1])
		}
	}
	if s.Header != nil {
		custom.raw("weftHeader", fmt.Sprint(*s.Header))
	}
	if len(custom) > 0 {
		f.raw("customProperties", custom.String())
	}
	return f.String(), nil
}

// formatOf is the format that a file's name tells, csv where it tells none of a
// local file; empty for an address without a known ending.
func formatOf(p string) string {
	p, _, _ = strings.Cut(p, "?")
	remote := strings.Contains(p, "://")
	p = strings.ToLower(p)
	for _, z := range []string{".gz", ".zst", ".zstd"} {
		p = strings.TrimSuffix(p, z)
	}
	switch strings.TrimPrefix(path.Ext(p), ".") {
	case "parquet", "pq":
		return "parquet"
	case "json":
		return "json"
	case "ndjson", "jsonl":
		return "ndjson"
	case "csv", "tsv", "txt":
		return "csv"
	}
	if remote {
		return ""
	}
	return "csv"
}
