package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"weft"
	"weft/serve"
)

// TestLargeValues sends values that are longer than any buffer usually is through
// everything: 20 MB, or with WEFT_LARGE=1 the 64 MB that the page of types promises.
func TestLargeValues(t *testing.T) {
	if testing.Short() {
		t.Skip("moves a gigabyte")
	}
	size := 20 << 20
	if os.Getenv("WEFT_LARGE") != "" {
		size = 64 << 20
	}
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
		if _, err := serve.Encode(n, f, ans); err != nil || f != serve.FormatParquet && n.n < int64(2*size) {
			t.Errorf("%s: %d bytes, %v", f, n.n, err)
		}
		_ = ans.Close()
	}
}

type counter64 struct{ n int64 }

func (c *counter64) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return len(b), nil
}
