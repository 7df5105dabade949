package http_test

import (
	"context"
	"io"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/run"
	"weft/serve"
	"weft/serve/client"
	"weft/serve/http"
)

func benchmarkExport(b *testing.B, f serve.Format) {
	node := &memoryNode{}
	rec := numbers(1, 100_000)[0]
	const batches = 50
	var raw int64
	for _, c := range rec.Columns() {
		for _, buf := range c.Data().Buffers() {
			if buf != nil {
				raw += int64(buf.Len())
			}
		}
	}
	node.query = func(context.Context, weft.Question) (*weft.Answer, error) {
		n := 0
		return answerThen(func() (arrow.RecordBatch, error) {
			if n++; n > batches {
				return nil, nil
			}
			return rec, nil
		}), nil
	}
	srv, err := http.New(http.Config{Addr: "127.0.0.1:0"}, node.backend(), run.Quiet())
	if err != nil {
		b.Fatal(err)
	}
	if err := srv.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	go srv.Run(b.Context())
	defer srv.Close()
	c, err := client.New(client.Config{URL: srv.URL(), Token: "read"})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(raw * batches)
	for b.Loop() {
		s, err := c.QueryAs(b.Context(), serve.QueryRequest{SQL: "SELECT 1"}, f)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, s); err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}
