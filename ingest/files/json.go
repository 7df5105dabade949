package files

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"weft"
	"weft/contract"
	"weft/ingest"
)

// jsonGroups groups the files by how their records follow each other, and finds
// their columns: the keys of all records, since any of them may be absent.
func (l *load) jsonGroups(ctx context.Context, fs []*file) ([]*group, error) {
	var gs []*group
	by := map[string]*group{}
	for _, f := range fs {
		layout, err := f.layout()
		if err != nil {
			return nil, fault(l.r, f, err)
		}
		if layout == "" {
			l.note("%s is empty", f.label)
			continue
		}
		g := by[layout]
		if g == nil {
			g = &group{format: f.format, compression: f.compression, layout: layout, dates: l.dateFormat()}
			by[layout] = g
			gs = append(gs, g)
		}
		g.files = append(g.files, f)
	}
	for _, g := range gs {
		if err := l.jsonColumns(ctx, g); err != nil {
			return nil, err
		}
	}
	return gs, nil
}

// layout looks at the first character: an array, or records after each other.
// Empty for a file without content.
func (f *file) layout() (string, error) {
	c, err := f.open()
	if errors.Is(err, io.EOF) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer c.Close()
	r := decoded(c, "utf-8")
	b, err := firstByte(r)
	switch {
	case errors.Is(err, io.EOF):
		return "", nil
	case err != nil:
		return "", err
	case b == '[':
		return "array", nil
	case f.format == ndjsonFormat:
		return "newline_delimited", nil
	}
	return "auto", nil
}

// firstByte skips white space and leaves the first other byte unread.
func firstByte(r *bufio.Reader) (byte, error) {
	for {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		if b != ' ' && b != '\t' && b != '\n' && b != '\r' {
			return b, r.UnreadByte()
		}
	}
}

// jsonColumns finds the keys in a sample, and in all records where a wanted
// column is not among them.
func (l *load) jsonColumns(ctx context.Context, g *group) error {
	careful := l.r.Careful
	for {
		_, err := l.sampleJSON(ctx, g, careful)
		if err != nil {
			return err
		}
		whole := true
		for _, c := range l.t.want.Columns {
			whole = whole && slices.ContainsFunc(g.found, func(f ingest.Found) bool { return strings.EqualFold(f.Name, c.SourceName()) })
		}
		if whole || careful {
			return nil
		}
		careful = true
	}
}

// sampleJSON returns the inferred types of the bound columns and remembers what
// keys there are.
func (l *load) sampleJSON(ctx context.Context, g *group, careful bool) ([]contract.Type, error) {
	n, depth := sampleRows, 1 // names alone: to guess the type of a long text takes the engine a minute
	if careful {
		n = -1
	}
	if g.bound != nil {
		if !slices.ContainsFunc(g.bound, func(b ingest.Binding) bool { return !b.Declared }) {
			return make([]contract.Type, len(g.bound)), nil
		}
		depth = -1
	}
	look := func() ([]ingest.Found, error) {
		return describe(ctx, l.r, g.json("", fmt.Sprintf("maximum_depth=%d", depth), fmt.Sprintf("sample_size=%d", n), "maximum_sample_files=1000", "union_by_name=true", "map_inference_threshold=-1", "ignore_errors="+ignorable(g.layout)))
	}
	found, err := look()
	if tooLong(err) && !g.long {
		g.long = true
		found, err = look()
	}
	if tooLong(err) {
		return nil, weft.Errorf(weft.KindInvalid, "read the source", l.r.Where(), "%s has a record that is longer than %d MB", g.place(), maxLong>>20).
			WithHint("nothing was staged; a value has at most 64 MB")
	}
	if err != nil {
		return nil, l.fault(err, g)
	}
	if len(found) == 1 && found[0].Name == "json" && g.layout == "newline_delimited" {
		if found, err = l.keys(ctx, g); err != nil { // a line that is no object misled the look
			return nil, l.fault(err, g)
		}
	}
	if g.bound == nil {
		g.found = nil
		for _, f := range found {
			g.found = append(g.found, ingest.Found{Name: f.Name}) // JSON has no types to drift from
		}
		return nil, nil
	}
	types := make([]contract.Type, len(g.bound))
	for i, b := range g.bound {
		for _, f := range found {
			if f.Name == b.Source {
				types[i] = f.Type
			}
		}
	}
	return types, nil
}

// tooLong reports whether a record is longer than the engine was told to expect.
func tooLong(err error) bool {
	return err != nil && strings.Contains(err.Error(), "maximum_object_size")
}

// keys are the names in all records that are objects.
func (l *load) keys(ctx context.Context, g *group) ([]ingest.Found, error) {
	var found []ingest.Found
	err := rows(ctx, l.r, "SELECT DISTINCT unnest(json_keys(json)) AS k FROM read_ndjson_objects("+g.list()+", ignore_errors=true, maximum_object_size="+fmt.Sprint(g.objectSize())+") WHERE json_type(json) = 'OBJECT' ORDER BY k",
		func(t []string, _ []bool) error {
			found = append(found, ingest.Found{Name: t[0], Type: contract.Type{Kind: contract.KindString}})
			return nil
		})
	return found, err
}

// dateFormat are the parameters for dates that are not written as ISO 8601.
func (l *load) dateFormat() []string {
	f := l.r.Server.DateFormat
	switch {
	case f == "":
		return nil
	case strings.Contains(f, "%H"), strings.Contains(f, "%I"):
		return []string{"timestampformat=" + contract.QuoteLiteral(f)}
	}
	return []string{"dateformat=" + contract.QuoteLiteral(f)}
}

// ignorable: the engine skips broken records only where lines hold them apart.
func ignorable(layout string) string { return fmt.Sprint(layout == "newline_delimited") }

// json is read_json over the group.
func (g *group) json(columns string, more ...string) string {
	args := []string{g.list(), "format=" + contract.QuoteLiteral(g.layout), "compression=" + contract.QuoteLiteral(strings.Replace(g.compression, "none", "uncompressed", 1))}
	args = append(args, g.dates...)
	if g.long {
		args = append(args, fmt.Sprintf("maximum_object_size=%d", g.objectSize()))
	}
	if columns != "" {
		args = append(args, "columns={"+columns+"}")
	}
	return "read_json(" + strings.Join(append(args, more...), ", ") + ")"
}

// objectSize is how many bytes a record may have.
func (g *group) objectSize() int {
	if g.long {
		return maxLong
	}
	return maxObject
}

// stageJSON reads the group in one pass into its types; when a record is broken
// or a value does not fit, a second one goes record by record.
func (l *load) stageJSON(ctx context.Context, g *group, last bool) error {
	var cols, read []string
	for _, b := range g.bound {
		name := " AS " + contract.QuoteIdent(b.Name)
		if b.Index < 0 {
			cols = append(cols, "CAST(NULL AS "+b.Type.SQL()+")"+name)
			continue
		}
		w := l.jsonWay(contract.QuoteIdent(b.Source), b.Type)
		read = append(read, contract.QuoteLiteral(b.Source)+": "+contract.QuoteLiteral(w.read))
		cols = append(cols, w.strict+name)
	}
	stage := func() error {
		return l.copyPart(ctx, "SELECT "+strings.Join(cols, ", ")+" FROM "+g.json(strings.Join(read, ", ")))
	}
	err := stage()
	if tooLong(err) && !g.long {
		g.long = true
		err = stage()
	}
	if err == nil {
		return nil
	}
	if !ingest.Retry(err) {
		return l.fault(err, g)
	}
	if !last && slices.ContainsFunc(g.bound, func(b ingest.Binding) bool { return !b.Declared }) {
		return errReinfer
	}
	if err := l.sortJSON(ctx, g); err != nil {
		var e *weft.Error
		if isRejection(err) || errors.As(err, &e) && e.Op == opRecords {
			return err
		}
		return l.fault(err, g)
	}
	return nil
}

// jsonWay is how a key of records is read.
func (l *load) jsonWay(e string, t contract.Type) way {
	switch {
	case t.Kind == contract.KindString, l.format(t) != "", t.Kind == contract.KindBool, t.Kind == contract.KindUUID, t.Kind == contract.KindInstant:
		return sure(e, t)
	case t.Kind == contract.KindInt64: // a double has too few digits
		return textWay(e, t)
	}
	if w, ok := fastWay(e, t); ok {
		return w
	}
	return way{read: "JSON", value: e, strict: t.StrictFromJSON(e), try: t.FromJSON(e)}
}

// format is the declared format of a type's text, empty for ISO 8601.
func (l *load) format(t contract.Type) string {
	f := l.r.Server.DateFormat
	if clock := strings.Contains(f, "%H") || strings.Contains(f, "%I"); clock == (t.Kind == contract.KindDate) || !t.IsTemporal() || t.Kind == contract.KindTime {
		return ""
	}
	return f
}

// sortJSON takes the files apart into records, loads those that fit and rejects
// the others.
func (l *load) sortJSON(ctx context.Context, g *group) error {
	for _, f := range g.files {
		apart := l.r.File(l.out.Table, "records", l.parts+1) + ".ndjson"
		if err := l.records(ctx, f, apart); err != nil {
			return err
		}
		err := l.sortRecords(ctx, g, f, apart)
		if tooLong(err) && !g.long { // a value that does not fit came first
			g.long = true
			err = l.sortRecords(ctx, g, f, apart)
		}
		if rm := os.Remove(apart); err == nil {
			err = rm
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *load) sortRecords(ctx context.Context, g *group, f *file, apart string) error {
	from := "read_json([" + contract.QuoteLiteral(apart) + "], format='newline_delimited', columns={'n': 'BIGINT', 'r': 'JSON'}, maximum_object_size=" + fmt.Sprint(g.objectSize()+1024) + ")"
	var cols, bad, reasons []string
	for _, b := range g.bound {
		path := contract.QuoteLiteral(`$."` + strings.ReplaceAll(b.Source, `"`, `\"`) + `"`)
		text, value := "json_extract_string(r, "+path+")", "json_extract(r, "+path+")"
		try := b.Type.FromJSON(value)
		switch {
		case b.Index < 0:
			try = "CAST(NULL AS " + b.Type.SQL() + ")"
		case b.Type.Kind == contract.KindString:
			try = text
		case l.format(b.Type) != "":
			try = dated(text, b.Type, l.format(b.Type)).try
		}
		is := fmt.Sprintf("(%s IS NOT NULL AND (%s) IS NULL)", text, try)
		cols = append(cols, try+" AS "+contract.QuoteIdent(b.Name))
		bad = append(bad, is)
		reasons = append(reasons, fmt.Sprintf("CASE WHEN %s THEN %s END", is, contract.QuoteLiteral(fmt.Sprintf("type %s: column %s", b.Type, b.Source))))
	}
	wrong := strings.Join(bad, " OR ")
	if err := l.copyPart(ctx, "SELECT "+strings.Join(cols, ", ")+" FROM "+from+" WHERE NOT ("+wrong+")"); err != nil {
		return err
	}
	word := "record"
	if g.layout == "newline_delimited" {
		word = "line"
	}
	sql := fmt.Sprintf("SELECT CAST(n AS VARCHAR), concat_ws(', ', %s), CAST(r AS VARCHAR) FROM %s WHERE %s", strings.Join(reasons, ", "), from, wrong)
	return rows(ctx, l.r, sql, func(t []string, _ []bool) error {
		if err := l.rejects.Add(fmt.Sprintf("%s %s: %s", word, t[0], t[1]), f.label+":"+t[0], []byte(t[2])); err != nil {
			return rejection{err}
		}
		return nil
	})
}
