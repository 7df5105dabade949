package node

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weft"
	"weft/serve"
)

// TestLargeValues sends values of 64 MB through everything within the memory of
// a small node; a row that is longer is refused with its place.
func TestLargeValues(t *testing.T) {
	if testing.Short() {
		t.Skip("moves a gigabyte")
	}
	const size = 64 << 20
	b := newTypeBench(t)
	cols := []typeColumn{{name: "x", typ: "text"}, {name: "n", typ: "integer"}}
	b.exec(fmt.Sprintf("CREATE TABLE v AS SELECT * FROM (VALUES (1::BIGINT, repeat('Zoë,', %d), 7), (2, 'small', 8), (3, repeat('y', %d), NULL)) t(id, x, n)", size/5, size))
	want := b.rows("SELECT id, length(x) AS l, md5(x) AS h, n FROM v ORDER BY id")
	const ask = "SELECT id, length(x) AS l, md5(x) AS h, n FROM sales.%s ORDER BY id"
	r := &rig{t: t, dir: t.TempDir(), tune: func(c *Config) { c.Memory, c.LoadMemory = 2<<30, 2<<30 }}
	r.start()
	for _, format := range []string{"parquet", "csv", "ndjson"} {
		name := "large" + format
		r.write(typeProduct(name, format, cols))
		path := filepath.Join(r.dir, name, "data", name+"."+format)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		options := map[string]string{"parquet": "FORMAT parquet, ROW_GROUP_SIZE 2048", "csv": "FORMAT csv", "ndjson": "FORMAT json"}[format]
		b.exec("COPY v TO '" + path + "' (" + options + ")")
		r.apply(name, serve.OutcomeCommitted)
		r.exactly(format, fmt.Sprintf(ask, name), want)
	}
	if err := r.node.products[mustName(t, "sales.largecsv")].store.Compact(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	r.restart()
	r.exactly("files", fmt.Sprintf(ask, "largecsv"), want)
	for _, f := range append(serve.Formats(), serve.FormatTable) {
		ans, err := r.node.reader.Query(context.Background(), weft.Question{SQL: "FROM sales.largecsv", Subject: tester})
		if err != nil {
			t.Fatal(err)
		}
		n := &counter64{}
		if _, err := serve.Encode(n, f, ans); err != nil || f != serve.FormatParquet && n.n < 2*size {
			t.Errorf("%s: %d bytes, %v", f, n.n, err)
		}
		_ = ans.Close()
	}
	// Above the limit.
	for format, text := range map[string][]byte{
		"csv":    append([]byte("id,x,n\n1,a,1\n2,"), append(bytes.Repeat([]byte("z"), 80<<20), ",1\n"...)...),
		"ndjson": append([]byte("{\"id\":1,\"x\":\"a\"}\n{\"id\":2,\"x\":\""), append(bytes.Repeat([]byte("z"), 80<<20), "\"}\n"...)...),
	} {
		name := "large" + format
		path := filepath.Join(r.dir, name, "data", name+"."+format)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		res, err := r.node.Refresh(context.Background(), tester, mustName(t, "sales."+name), serve.RefreshRequest{Wait: true}, nil)
		said := fmt.Sprint(err)
		if err == nil {
			said = res.Message
		}
		if res != nil && res.Outcome == serve.OutcomeCommitted || !strings.Contains(said, "longer than 72 MB") || !strings.Contains(said, "line 2") {
			t.Errorf("%s: %.500s", format, said)
		}
	}
}

type counter64 struct{ n int64 }

func (c *counter64) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return len(b), nil
}
