package serve

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"weft"
)

var update = flag.Bool("update", false, "rewrite golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (run with -update to accept):\n%s", name, got)
	}
}

func encode(t *testing.T, f Format, opt Options) []byte {
	t.Helper()
	s, rec := everyRecord(everyType())
	var b bytes.Buffer
	n, err := EncodeWith(&b, f, answerOf(s, rec), opt)
	if err != nil || n != rec.NumRows() {
		t.Fatalf("%s: %d rows, %v", f, n, err)
	}
	return b.Bytes()
}

func TestTextFormats(t *testing.T) {
	golden(t, "every.json", encode(t, FormatJSON, Options{}))
	golden(t, "every.ndjson", encode(t, FormatNDJSON, Options{}))
	golden(t, "every.csv", encode(t, FormatCSV, Options{}))
	golden(t, "every.txt", encode(t, FormatTable, Options{Table: TableOptions{}, Elapsed: func() time.Duration { return 14 * time.Millisecond }}))
}

// The text formats must be what other programs read, value by value.
func TestTextReadsBack(t *testing.T) {
	cases := everyType()
	var doc struct {
		Columns  []Column
		Cut      string
		Held     int64
		Rows     [][]any
		RowCount int
	}
	d := json.NewDecoder(bytes.NewReader(encode(t, FormatJSON, Options{})))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if doc.RowCount != 8 || doc.Held != 3 || doc.Cut != testCut().Token() {
		t.Errorf("head or foot is wrong: %+v", doc)
	}
	records, err := csv.NewReader(bytes.NewReader(encode(t, FormatCSV, Options{}))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(string(encode(t, FormatNDJSON, Options{})), "\n"), "\n")
	for i, line := range lines {
		var row map[string]any
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&row); err != nil {
			t.Fatalf("line %d: %v", i, err)
		}
		for c, tc := range cases {
			if doc.Columns[c].Type != tc.sql {
				t.Errorf("column %s has the type %q, want %q", tc.name, doc.Columns[c].Type, tc.sql)
			}
			j, n, v := doc.Rows[i][c], row[tc.name], records[i+1][c]
			if a, b := mustJSON(j), mustJSON(n); a != b {
				t.Errorf("%s row %d: JSON %s, NDJSON %s", tc.name, i, a, b)
			}
			switch j := j.(type) {
			case string:
				if v != strings.ReplaceAll(j, "\r\n", "\n") { // encoding/csv drops the \r of \r\n
					t.Errorf("%s row %d: JSON %q, CSV %q", tc.name, i, j, v)
				}
			case json.Number:
				if v != j.String() {
					t.Errorf("%s row %d: JSON %s, CSV %q", tc.name, i, j, v)
				}
			}
		}
	}
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestArrowReadsBack(t *testing.T) {
	s, rec := everyRecord(everyType())
	r, err := ipc.NewReader(bytes.NewReader(encode(t, FormatArrow, Options{})))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	if !r.Schema().Equal(s) {
		t.Fatalf("schema %s", r.Schema())
	}
	if token, _ := r.Schema().Metadata().GetValue(MetaCut); token != testCut().Token() {
		t.Errorf("the stream carries the cut %q", token)
	}
	if !r.Next() || !array.RecordEqual(withSchema(r.RecordBatch(), s), rec) && !equalWithNaN(r.RecordBatch(), rec) {
		t.Errorf("rows differ: %v", r.RecordBatch())
	}
}

func equalWithNaN(a, b arrow.RecordBatch) bool {
	return array.RecordApproxEqual(a, b, array.WithNaNsEqual(true), array.WithAbsTolerance(0))
}

func TestParquetReadsBack(t *testing.T) {
	s, rec := everyRecord(everyType())
	raw := encode(t, FormatParquet, Options{})
	pf, err := file.NewParquetReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	defer pf.Close()
	if got := pf.MetaData().KeyValueMetadata().FindValue(MetaCut); got == nil || *got != testCut().Token() {
		t.Errorf("the file carries the cut %v", got)
	}
	fr, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	table, err := fr.ReadTable(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer table.Release()
	for i := range int(table.NumCols()) {
		got, want := table.Column(i).Data().Chunk(0), rec.Column(i)
		if !arrow.TypeEqual(got.DataType(), want.DataType()) && s.Field(i).Name != "list" {
			t.Errorf("%s has the type %s, want %s", s.Field(i).Name, got.DataType(), want.DataType())
			continue
		}
		if got.String() != want.String() {
			t.Errorf("%s is %s, want %s", s.Field(i).Name, got, want)
		}
	}
	if c := pf.MetaData().RowGroup(0); c.NumRows() != 8 {
		t.Errorf("row group of %d rows", c.NumRows())
	}
	if chunk, err := pf.MetaData().RowGroup(0).ColumnChunk(0); err != nil || chunk.Compression().String() != "ZSTD" {
		t.Errorf("compression %v, %v", chunk.Compression(), err)
	}
}

func numbers(n, per int) (*arrow.Schema, []arrow.RecordBatch) {
	s := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	var recs []arrow.RecordBatch
	for at := 0; at < n; at += per {
		b := array.NewRecordBuilder(memory.DefaultAllocator, s)
		for i := at; i < min(n, at+per); i++ {
			b.Field(0).(*array.Int64Builder).Append(int64(i))
			b.Field(1).(*array.StringBuilder).Append("row of text")
		}
		recs = append(recs, b.NewRecordBatch())
	}
	return s, recs
}

func TestParquetRowGroups(t *testing.T) {
	s, recs := numbers(300_000, 2048)
	var b bytes.Buffer
	if _, err := Encode(&b, FormatParquet, answerOf(s, recs...)); err != nil {
		t.Fatal(err)
	}
	pf, err := file.NewParquetReader(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if pf.NumRows() != 300_000 || pf.NumRowGroups() != 3 {
		t.Errorf("%d rows in %d groups", pf.NumRows(), pf.NumRowGroups())
	}
}

func TestEmptyAnswer(t *testing.T) {
	s, _ := numbers(0, 1)
	for f, want := range map[Format]string{
		FormatCSV: "n,s\n", FormatNDJSON: "", FormatTable: "      n │ s\n bigint │ text\n────────┼──────\n0 rows · 3 rows held back in quarantine · cut sales.orders#12\n",
	} {
		var b bytes.Buffer
		if _, err := Encode(&b, f, answerOf(s)); err != nil || b.String() != want {
			t.Errorf("%s: %q, %v", f, b.String(), err)
		}
	}
	var b bytes.Buffer
	if _, err := Encode(&b, FormatJSON, answerOf(s)); err != nil || !strings.HasSuffix(b.String(), "\"rows\":[\n],\"rowCount\":0}\n") {
		t.Errorf("json: %q, %v", b.String(), err)
	}
	b.Reset()
	if _, err := Encode(&b, FormatParquet, answerOf(s)); err != nil {
		t.Error(err)
	}
	if pf, err := file.NewParquetReader(bytes.NewReader(b.Bytes())); err != nil || pf.NumRows() != 0 {
		t.Errorf("parquet: %v", err)
	}
}

func TestNamesThatRepeat(t *testing.T) {
	i := arrow.PrimitiveTypes.Int32
	s := arrow.NewSchema([]arrow.Field{{Name: "n", Type: i}, {Name: "n", Type: i}, {Name: "n_2", Type: i}, {Name: "n", Type: i}}, nil)
	if got := strings.Join(columnNames(s), " "); got != "n n_3 n_2 n_4" {
		t.Errorf("names are %s", got)
	}
}

func TestSingleColumnCSVKeepsNullRows(t *testing.T) {
	s := arrow.NewSchema([]arrow.Field{{Name: "s", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	b.Field(0).AppendNull()
	b.Field(0).(*array.StringBuilder).Append("x")
	var buf bytes.Buffer
	if _, err := Encode(&buf, FormatCSV, answerOf(s, b.NewRecordBatch())); err != nil || buf.String() != "s\n\"\"\nx\n" {
		t.Errorf("%q, %v", buf.String(), err)
	}
}

// failing is a reader whose rows end in an error.
type failing struct {
	array.RecordReader
	err error
}

func (f failing) Err() error { return f.err }

func TestBrokenAnswerHasNoEnd(t *testing.T) {
	for _, f := range []Format{FormatArrow, FormatParquet, FormatJSON, FormatNDJSON, FormatCSV, FormatTable} {
		s, recs := numbers(10, 5)
		whole, broken := &bytes.Buffer{}, &bytes.Buffer{}
		if _, err := Encode(whole, f, answerOf(s, recs...)); err != nil {
			t.Fatal(err)
		}
		a := answerOf(s, recs...)
		gone := weft.Errorf(weft.KindUnavailable, "read", "x", "the worker died")
		a.Rows = failing{a.Rows, gone}
		if _, err := Encode(broken, f, a); !errors.Is(err, gone) {
			t.Errorf("%s: the error is %v", f, err)
		}
		if f != FormatNDJSON && f != FormatCSV && broken.Len() >= whole.Len() {
			t.Errorf("%s: a broken answer looks whole", f)
		}
	}
}

type brokenWriter struct{ left int }

func (w *brokenWriter) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(b), nil
}

func TestWriterErrorIsTold(t *testing.T) {
	for _, f := range []Format{FormatArrow, FormatParquet, FormatJSON, FormatNDJSON, FormatCSV, FormatTable} {
		for _, left := range []int{0, 200_000} {
			s, recs := numbers(400_000, 50_000)
			_, err := Encode(&brokenWriter{left}, f, answerOf(s, recs...))
			var w *WriteError
			if !errors.As(err, &w) || !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("%s after %d bytes: %v", f, left, err)
			}
		}
	}
}

func TestParquetRefusesWhatItCannotHold(t *testing.T) {
	s := arrow.NewSchema([]arrow.Field{{Name: "wait", Type: arrow.ListOf(arrow.FixedWidthTypes.MonthDayNanoInterval)}}, nil)
	var b bytes.Buffer
	_, err := Encode(&b, FormatParquet, answerOf(s))
	if weft.KindOf(err) != weft.KindInvalid || b.Len() > 0 || !strings.Contains(err.Error(), "column wait") {
		t.Errorf("%v after %d bytes", err, b.Len())
	}
}
