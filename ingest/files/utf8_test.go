package files

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"weft/contract"
	"weft/ingest"
	"weft/ingest/ingesttest"
)

// TestNotUTF8: bytes that are no text are refused or rejected with their place,
// and in no case stored.
func TestNotUTF8(t *testing.T) {
	for name, c := range map[string]struct{ text, rejected string }{
		"latin.ndjson":   {"{\"id\":1,\"name\":\"Zo\xeb\"}\n{\"id\":2,\"name\":\"b\"}\n", "latin.ndjson:1"},
		"surrogate.csv":  {"id,name\n1,\xed\xa0\x80\n2,b\n", "surrogate.csv:2"},
		"overlong.csv":   {"id,name\n1,\xc0\xaf\n2,b\n", "overlong.csv:2"},
		"half.ndjson":    {"{\"id\":1,\"name\":\"\\ud800\"}\n{\"id\":2,\"name\":\"b\"}\n", "half.ndjson:1"},
		"latin.parquet":  {"", ""},
		"latin.json":     {"[{\"id\":1,\"name\":\"Zo\xeb\"},{\"id\":2,\"name\":\"b\"}]", ""},
		"column.ndjson":  {"{\"id\":2,\"name\":\"b\"}\n{\"id\":1,\"name\":[\"\xff\"]}\n", "column.ndjson:2"},
		"good.csv":       {"id,name\n2,b\n", ""},
		"truncated.json": {"[{\"id\":2,\"name\":\"b\"},{\"id\":1,\"name\":\"\xe2\x82\"}]", ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := &ingesttest.Port{
				T: t, Driver: New(), Dir: t.TempDir(), Server: contract.Server{Name: "s", Type: "local", Path: name},
				Tables: []ingest.Want{ingesttest.Table("t", "id bigint", "name text")},
			}
			path := filepath.Join(p.Dir, name)
			if strings.HasSuffix(name, ".parquet") {
				badParquet(t, path)
			} else if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := p.Read(context.Background(), nil)
			if err != nil {
				if c.rejected == "" && !strings.HasPrefix(name, "good") && strings.Contains(err.Error(), name) {
					return // refused as a whole, by its name
				}
				t.Fatal(err)
			}
			rows := got.Rows("t")
			if !strings.Contains(rows, "\n2|b\n") || strings.Contains(rows, "\n1|") || c.rejected != "" && !strings.Contains(rows, "@ "+c.rejected+" ") {
				t.Errorf("%s", rows)
			}
		})
	}
}

// badParquet writes a column of text that is not UTF-8.
func badParquet(t *testing.T, path string) {
	t.Helper()
	s := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "name", Type: arrow.BinaryTypes.String}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	b.Field(0).(*array.Int64Builder).AppendValues([]int64{1, 2}, nil)
	b.Field(1).(*array.StringBuilder).AppendValues([]string{"Zo\xeb", "b"}, nil)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := pqarrow.NewFileWriter(s, f, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(b.NewRecordBatch()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
