package files

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weft/contract"
	"weft/ingest"
	"weft/ingest/ingesttest"
)

// TestTooLongRows: a row above the limit is rejected or refused with its place,
// and what stands beside it is not lost.
func TestTooLongRows(t *testing.T) {
	if os.Getenv("WEFT_LARGE") == "" {
		t.Skip("reads 150 MB at once: WEFT_LARGE=1")
	}
	long := strings.Repeat("z", 2*maxLong+1<<20) // JSON's buffers have twice the room
	for name, text := range map[string]string{
		"a.csv":    "id,x\n1,a\n2," + long + "\n3,c\n",
		"a.ndjson": "{\"id\":1,\"x\":\"a\"}\n{\"id\":2,\"x\":\"" + long + "\"}\n{\"id\":3,\"x\":\"c\"}\n",
		"a.json":   "[{\"id\":1,\"x\":\"a\"},{\"id\":2,\"x\":\"" + long + "\"},{\"id\":3,\"x\":\"c\"}]",
	} {
		t.Run(name, func(t *testing.T) {
			p := &ingesttest.Port{
				T: t, Driver: New(), Dir: t.TempDir(), Server: contract.Server{Name: "s", Type: "local", Path: name},
				Tables: []ingest.Want{ingesttest.Table("t", "id bigint", "x text")}, Memory: 4 << 30,
			}
			if err := os.WriteFile(filepath.Join(p.Dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := p.Read(context.Background(), nil)
			said := ""
			if err != nil {
				said = err.Error()
			} else if said = got.Rows("t"); !strings.Contains(said, "\n1|a\n3|c\n") {
				t.Errorf("rows are lost: %.300s", said)
			}
			if !strings.Contains(said, "longer than 72 MB") || !strings.Contains(said, "a.") {
				t.Errorf("%.300s", said)
			}
		})
	}
}

// TestLongRecordAfterAFault: a value that does not fit ends the first way before it
// has met the long record; the long one is loaded all the same.
func TestLongRecordAfterAFault(t *testing.T) {
	if testing.Short() {
		t.Skip("reads records of 33 MB")
	}
	long := strings.Repeat("z", 2*maxObject+1<<20) // the buffers have twice the room
	for name, text := range map[string]string{
		"a.ndjson": "{\"id\":\"many\",\"x\":\"a\"}\n" + strings.Repeat("{\"id\":1,\"x\":\"b\"}\n", 200_000) + "{\"id\":2,\"x\":\"" + long + "\"}\n",
		"a.json":   "[{\"id\":\"many\",\"x\":\"a\"}" + strings.Repeat(",{\"id\":1,\"x\":\"b\"}", 200_000) + ",{\"id\":2,\"x\":\"" + long + "\"}]",
	} {
		t.Run(name, func(t *testing.T) {
			p := port(t, map[string]string{name: text}, name, ingesttest.Table("t", "id bigint", "x text"))
			p.Memory = 8 << 30
			g := p.Must(nil)
			if s := g.Tables[0]; s.Rows != 200_001 || s.RejectRows != 1 {
				t.Errorf("%d rows, %d rejected", s.Rows, s.RejectRows)
			}
			if got := g.SQL("SELECT CAST(max(length(x)) AS VARCHAR) FROM read_parquet(['" + strings.Join(g.Tables[0].Files, "','") + "'])"); got != fmt.Sprintf("%d\n", len(long)) {
				t.Errorf("the longest has %s", got)
			}
		})
	}
}

// TestLongRecord finds records, which may have many lines, that are longer than
// the usual buffers.
func TestLongRecord(t *testing.T) {
	d := dialect{quote: `"`, escape: `"`, delimiter: ","}
	for text, want := range map[string]bool{
		"":                                      false,
		strings.Repeat("short,line\n", 500_000): false,
		"a," + strings.Repeat("x", maxLine+1):   true,
		"a,\"" + strings.Repeat("line\n", maxLine/4) + "\"\n":                                    true,
		"a,\"" + strings.Repeat("\"\"\n", maxLine/2) + "\"\n":                                    true,
		"a,\"b\"\n" + strings.Repeat("c,\"d\"\n", 500_000):                                       false,
		"a,\"" + strings.Repeat("x", maxLine/2) + "\"\n" + strings.Repeat("y", maxLine/2) + "\n": false,
	} {
		got, err := longRecord(d, bufio.NewReader(bytes.NewReader([]byte(text))))
		if err != nil || got != want {
			t.Errorf("%.20q of %d bytes: %v %v", text, len(text), got, err)
		}
	}
}
