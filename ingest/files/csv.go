package files

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"weft"
	"weft/contract"
	"weft/ingest"
)

// sampleRows is how many rows of a file are looked at for types.
const sampleRows = 20480

// Rows of a text file are short, and the engine's buffers grow with what they may
// have. Only where one does not fit is its file read again for long ones: values
// of 64 MB and some more beside them.
const (
	maxLine   = 2 << 20  // of CSV
	maxObject = 16 << 20 // of JSON
	maxLong   = 72 << 20
)

// csvGroups finds the dialect and groups the files by their header.
func (l *load) csvGroups(ctx context.Context, fs []*file) ([]*group, error) {
	d, err := l.declared()
	if err != nil {
		return nil, err
	}
	if head := firstFull(fs); head != nil {
		if d, err = l.sniff(ctx, head, d); err != nil {
			return nil, err
		}
	}
	var gs []*group
	byHeader := map[string]*group{}
	for _, f := range fs {
		rec, err := d.first(f)
		if err != nil {
			return nil, fault(l.r, f, fmt.Errorf("its first line cannot be read: %w", err))
		}
		if rec == nil {
			l.note("%s is empty", f.label)
			continue
		}
		key := strings.Join(rec, "\x00")
		if !d.header {
			key = strconv.Itoa(len(rec))
		}
		g := byHeader[key]
		if g == nil {
			g = &group{format: csvFormat, compression: f.compression, csv: d, found: headerNames(rec, d.header)}
			byHeader[key] = g
			gs = append(gs, g)
		}
		g.files = append(g.files, f)
	}
	if len(gs) == 0 && !(l.r.Server.Header != nil && !*l.r.Server.Header) {
		return nil, weft.Errorf(weft.KindDrift, "read the source", l.r.Where()+", table "+l.out.Table, "%s has not even a header", (&group{files: fs}).place()).
			WithHint("nothing was taken for deleted; where an empty file without a header means no rows, set weftHeader to false")
	}
	if !d.header {
		for _, g := range gs {
			if err := l.bindByPosition(g); err != nil {
				return nil, err
			}
		}
	}
	return gs, nil
}

func firstFull(fs []*file) *file {
	for _, f := range fs {
		if f.size > 0 {
			return f
		}
	}
	return nil
}

// declared is the dialect as far as the server declares it.
func (l *load) declared() (dialect, error) {
	s := l.r.Server
	d := dialect{delimiter: s.Delimiter, quote: s.Quote, escape: s.Escape, nulls: []string{""}}
	bad := func(what, hint string) (dialect, error) {
		return d, weft.Errorf(weft.KindInvalid, "read the source", l.r.Where(), "%s of server %q is not one that can be read", what, s.Name).WithHint("%s", hint)
	}
	if d.quote == "none" {
		d.quote, d.escape = "", ""
	} else if d.quote == "" {
		d.quote = `"`
	}
	if d.escape == "" {
		d.escape = d.quote
	}
	if len(d.quote) > 1 || len(d.escape) > 1 || len(d.delimiter) > 4 {
		return bad("the dialect", "weftQuote and weftEscape are one character (or none), weftDelimiter at most four")
	}
	if s.NullText != "" {
		d.nulls = append(d.nulls, s.NullText)
	}
	switch enc := strings.ToLower(s.Encoding); enc {
	case "", "utf-8", "utf8":
		d.encoding = "utf-8"
	case "latin-1", "latin1", "iso-8859-1", "iso8859-1":
		d.encoding = "latin-1"
	case "utf-16", "utf16":
		d.encoding = "utf-16"
	default:
		return bad("the encoding", "weftEncoding is utf-8, latin-1 or utf-16")
	}
	if strings.Contains(s.DateFormat, "%H") || strings.Contains(s.DateFormat, "%I") {
		d.stamps = s.DateFormat
	} else {
		d.dates = s.DateFormat
	}
	return d, nil
}

// sniff fills in what the server does not declare from the beginning of a file.
func (l *load) sniff(ctx context.Context, f *file, d dialect) (dialect, error) {
	if d.encoding == "utf-8" && l.r.Server.Encoding == "" && startsUTF16(f) {
		d.encoding = "utf-16"
	}
	saidHeader, dates, looked := false, "", ""
	err := rows(ctx, l.r, "SELECT Delimiter, CAST(SkipRows AS VARCHAR), CAST(HasHeader AS VARCHAR), CAST(DateFormat AS VARCHAR), CAST(TimestampFormat AS VARCHAR) FROM "+d.sniffer(f, sampleRows, nil),
		func(t []string, _ []bool) error {
			looked = t[0]
			d.skip, _ = strconv.Atoi(t[1])
			saidHeader = t[2] == "true"
			if !strings.HasPrefix(t[3], "%Y-%m-%d") && d.dates == "" {
				d.dates, dates = t[3], t[3]
			}
			if !strings.HasPrefix(t[4], "%Y-%m-%d") && d.stamps == "" {
				d.stamps = t[4]
			}
			return nil
		})
	if err != nil && !ingest.Retry(err) {
		return d, ingest.Fault(err, l.r.Where(), f.label)
	}
	if dates != "" {
		l.note("dates are read as %s; set weftDateFormat if that is wrong", dates)
	}
	if d.delimiter == "" {
		if d.delimiter, err = l.separate(f, d, looked); err != nil {
			return d, err
		}
	}
	d.skip, d.header, err = l.header(f, d, saidHeader)
	return d, err
}

// header decides where the header is: as declared; else where a wanted column's
// name stands; else what the engine's look said.
func (l *load) header(f *file, d dialect, said bool) (skip int, header bool, err error) {
	if h := l.r.Server.Header; h != nil {
		if !*h {
			return 0, false, nil
		}
		said = true
	}
	top := d
	top.skip = 0
	for _, try := range []dialect{top, d} {
		n, err := l.named(f, try)
		if err != nil {
			return 0, false, err
		}
		if n > 0 {
			return try.skip, true, nil
		}
	}
	if !said && len(l.t.want.Columns) > 0 { // the first line may be data: it is not shown
		return 0, false, weft.Errorf(weft.KindDrift, "read the source", l.r.Where()+", table "+l.out.Table,
			"%s has no header that names one of the expected columns: %s", filepath.Base(f.label), shorten(sourceNames(l.t.want))).
			WithHint("correct the source; where its files have no header, set weftHeader to false")
	}
	return d.skip, said, nil
}

// named counts the wanted columns that the first record names.
func (l *load) named(f *file, d dialect) (int, error) {
	rec, err := d.first(f)
	if err != nil {
		return 0, fault(l.r, f, fmt.Errorf("its first line cannot be read: %w", err))
	}
	n := 0
	for _, c := range l.t.want.Columns {
		if slices.ContainsFunc(rec, func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), c.SourceName()) }) {
			n++
		}
	}
	return n, nil
}

func sourceNames(w ingest.Want) []string {
	var names []string
	for _, c := range w.Columns {
		names = append(names, c.SourceName())
	}
	return names
}

// separate decides the delimiter where the server does not: the one by which the
// first line names most of the wanted columns; the engine's look may be misled by
// broken lines.
func (l *load) separate(f *file, d dialect, looked string) (string, error) {
	best, most := looked, 0
	if looked == "" || looked == "(empty)" {
		best = defaultDelimiter(f.path)
	}
	for _, try := range []string{best, defaultDelimiter(f.path), ",", ";", "\t", "|"} {
		d.delimiter, d.skip = try, 0
		n, err := l.named(f, d)
		if err != nil {
			return "", err
		}
		if n > most {
			best, most = try, n
		}
	}
	return best, nil
}

func startsUTF16(f *file) bool {
	c, err := f.open()
	if err != nil {
		return false
	}
	defer c.Close()
	var b [2]byte
	n, _ := c.Read(b[:])
	return n == 2 && (b == [2]byte{0xff, 0xfe} || b == [2]byte{0xfe, 0xff})
}

func defaultDelimiter(path string) string {
	p := strings.ToLower(path)
	switch {
	case strings.Contains(p, ".tsv"), strings.Contains(p, ".tab"):
		return "\t"
	case strings.Contains(p, ".psv"):
		return "|"
	}
	return ","
}

// headerNames gives every column a name of its own.
func headerNames(rec []string, header bool) []ingest.Found {
	var fs []ingest.Found
	for i, s := range rec {
		s = strings.TrimSpace(s)
		if !header || s == "" {
			s = fmt.Sprintf("column%d", i)
		}
		fs = append(fs, ingest.Found{Name: s})
	}
	return fs
}

// bindByPosition binds files without a header: the contract's columns in order.
func (l *load) bindByPosition(g *group) error {
	want := l.t.want
	if len(want.Columns) == 0 {
		return nil
	}
	if len(g.found) < len(want.Columns) {
		return weft.Errorf(weft.KindDrift, "read the source", l.r.Where()+", table "+l.out.Table,
			"%d columns are expected, %s has %d and no header", len(want.Columns), g.place(), len(g.found)).
			WithHint("correct the source, or name the columns that it has in the contract")
	}
	for i, c := range want.Columns {
		g.found[i].Name = c.SourceName()
	}
	return nil
}

// sniffer is the engine's look at the beginning of a file.
func (d dialect) sniffer(f *file, sample int, more []string) string {
	args := []string{contract.QuoteLiteral(f.path), fmt.Sprintf("sample_size=%d", sample), "ignore_errors=true"}
	args = append(args, d.common(f.compression)...)
	if d.delimiter != "" {
		args = append(args, "delim="+contract.QuoteLiteral(d.delimiter))
	}
	return "sniff_csv(" + strings.Join(append(args, more...), ", ") + ")"
}

// common are the parameters that every look and every read has.
func (d dialect) common(compression string) []string {
	w := []string{
		"quote=" + contract.QuoteLiteral(d.quote), "escape=" + contract.QuoteLiteral(d.escape),
		"encoding=" + contract.QuoteLiteral(d.encoding), "compression=" + contract.QuoteLiteral(compression),
	}
	var nulls []string
	for _, n := range d.nulls {
		nulls = append(nulls, contract.QuoteLiteral(n))
	}
	w = append(w, "nullstr=["+strings.Join(nulls, ", ")+"]")
	if d.dates != "" {
		w = append(w, "dateformat="+contract.QuoteLiteral(d.dates))
	}
	if d.stamps != "" {
		w = append(w, "timestampformat="+contract.QuoteLiteral(d.stamps))
	}
	return w
}

// reader is read_csv over the group; types gives the read type of each column,
// which the engine sees as c0, c1, ….
func (g *group) reader(types []string, more ...string) string {
	d := g.csv
	var cols []string
	for i, t := range types {
		cols = append(cols, fmt.Sprintf("'c%d': %s", i, contract.QuoteLiteral(t)))
	}
	args := []string{
		g.list(), "columns={" + strings.Join(cols, ", ") + "}", "auto_detect=false", fmt.Sprintf("header=%v", d.header),
		"delim=" + contract.QuoteLiteral(d.delimiter), fmt.Sprintf("skip=%d", d.skip), "strict_mode=true", "allow_quoted_nulls=false",
	}
	if g.long {
		// Several readers lose rows that reach from one buffer into the next.
		args = append(args, fmt.Sprintf("max_line_size=%d", maxLong), fmt.Sprintf("buffer_size=%d", 2*maxLong), "parallel=false")
	}
	args = append(args, d.common(g.compression)...)
	return "read_csv(" + strings.Join(append(args, more...), ", ") + ")"
}
