package http_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/parquet/file"

	"weft"
	"weft/serve"
	"weft/serve/http"
)

var formats = []serve.Format{serve.FormatJSON, serve.FormatNDJSON, serve.FormatCSV, serve.FormatArrow, serve.FormatParquet}

// countRows reads a body as another program would.
func countRows(f serve.Format, b []byte) (n int64, err error) {
	switch f {
	case serve.FormatJSON:
		var doc struct {
			Rows     [][]any
			RowCount int64
			Cut      string
		}
		err = json.Unmarshal(b, &doc)
		if err == nil && (int64(len(doc.Rows)) != doc.RowCount || doc.Cut != testCut().Token()) {
			err = errors.New("count or cut is wrong")
		}
		return doc.RowCount, err
	case serve.FormatNDJSON:
		for line := range strings.Lines(string(b)) {
			var row map[string]any
			if err := json.Unmarshal([]byte(line), &row); err != nil {
				return n, err
			}
			n++
		}
	case serve.FormatCSV:
		rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
		return int64(len(rows) - 1), err
	case serve.FormatArrow:
		r, err := ipc.NewReader(bytes.NewReader(b))
		if err != nil {
			return 0, err
		}
		defer r.Release()
		for r.Next() {
			n += r.RecordBatch().NumRows()
		}
		return n, r.Err()
	case serve.FormatParquet:
		r, err := file.NewParquetReader(bytes.NewReader(b))
		if err != nil {
			return 0, err
		}
		return r.NumRows(), nil
	}
	return n, err
}

func TestFormatsOverHTTP(t *testing.T) {
	d := open(t, http.Config{})
	for _, f := range formats {
		for _, way := range []string{"accept", "format", "data"} {
			d.node.query = func(context.Context, weft.Question) (*weft.Answer, error) { return answer(numbers(4, 1000)...), nil }
			method, path, body, accept := "POST", "/api/v1/query", `{"sql":"SELECT * FROM sales.orders"}`, f.ContentType()
			if way != "accept" {
				path, accept = path+"?format="+string(f), "image/png"
			}
			if way == "data" {
				method, path, body = "GET", "/api/v1/products/sales.orders/data?at=%232&format="+string(f), ""
			}
			res, got := d.do(t, method, path, "read", body, func(r *nethttp.Request) { r.Header.Set("Accept", accept) })
			if res.StatusCode != 200 || res.Header.Get("Content-Type") != f.ContentType() {
				t.Fatalf("%s by %s: %d %s: %s", f, way, res.StatusCode, res.Header.Get("Content-Type"), got)
			}
			if n, err := countRows(f, []byte(got)); n != 4000 || err != nil {
				t.Errorf("%s by %s: %d rows, %v", f, way, n, err)
			}
			for k, want := range map[string]string{serve.HeaderCut: testCut().Token(), serve.HeaderCutText: "sales.orders#3", serve.HeaderHeld: "2"} {
				if res.Header.Get(k) != want {
					t.Errorf("%s by %s: %s is %q", f, way, k, res.Header.Get(k))
				}
			}
			if res.Trailer.Get(serve.TrailerRows) != "4000" {
				t.Errorf("%s by %s: the trailer is %v", f, way, res.Trailer)
			}
			if way == "data" {
				if cd := res.Header.Get("Content-Disposition"); cd != `attachment; filename="sales.orders`+f.Extension()+`"` {
					t.Errorf("the file is called %s", cd)
				}
				if q := d.node.last(); q.SQL != "SELECT * FROM sales.orders" || len(q.At.Cut) != 1 || q.At.Cut[0].Seq != 2 {
					t.Errorf("asked %+v", q)
				}
			}
		}
	}
}

func TestDataAddresses(t *testing.T) {
	d := open(t, http.Config{})
	for path, want := range map[string]string{
		"sales.orders/data":                    "sales.orders",
		"sales.orders.lines/data":              "sales.orders.lines",
		"sales.orders/data?table=lines":        "sales.orders.lines",
		"sales.orders/data?table=orders":       "sales.orders",
		"sales.orders.lines/data?table=orders": "",
		"sales/data":                           "",
		"sales.orders.lines.x/data":            "",
		"sales.orders/data?table=a;drop":       "",
		"sales.orders%20x/data":                "",
	} {
		res, body := d.do(t, "GET", "/api/v1/products/"+path, "read", "", nil)
		if want == "" {
			if res.StatusCode != 400 {
				t.Errorf("%s: %d: %s", path, res.StatusCode, body)
			}
			continue
		}
		if q := d.node.last(); res.StatusCode != 200 || q.SQL != "SELECT * FROM "+want {
			t.Errorf("%s: %d, asked %q", path, res.StatusCode, q.SQL)
		}
	}
}

func TestQuestionIsPassedOn(t *testing.T) {
	d := open(t, http.Config{})
	a, err := d.client(t, "read").Query(t.Context(), serve.QueryRequest{
		SQL: "SELECT 1", At: "2026-03-01T12:00:00+02:00", Purpose: "audit", Limits: serve.QueryLimits{Deadline: 1.5, Memory: 1 << 20, Threads: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	q := d.node.last()
	if q.SQL != "SELECT 1" || q.Subject.ID != "read" || q.Subject.Purpose != "audit" || !q.At.Time.Equal(time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)) ||
		q.Limits != (weft.Limits{Deadline: 1500 * time.Millisecond, Memory: 1 << 20, Threads: 1}) {
		t.Errorf("%+v", q)
	}
}

func TestClientReadsTheSameRows(t *testing.T) {
	d := open(t, http.Config{})
	recs := numbers(3, 2000)
	d.node.query = func(context.Context, weft.Question) (*weft.Answer, error) { return answer(recs...), nil }
	a, err := d.client(t, "read").Query(t.Context(), serve.QueryRequest{SQL: "SELECT 1"})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if a.Held != 2 || len(a.Cut) != 1 || a.Cut[0] != testCut()[0] || !a.Schema.Equal(numberSchema) {
		t.Errorf("answer %+v", a)
	}
	for i := 0; a.Rows.Next(); i++ {
		if !array.RecordEqual(a.Rows.RecordBatch(), recs[i]) {
			t.Errorf("batch %d differs", i)
		}
	}
	if err := a.Rows.Err(); err != nil {
		t.Error(err)
	}
}

// An error after the first byte is seen by the client in every format, as the
// node met it, and by any other program as a broken answer.
func TestErrorInTheMiddleIsVisible(t *testing.T) {
	d := open(t, http.Config{})
	c := d.client(t, "read")
	for _, f := range formats {
		d.node.query = func(context.Context, weft.Question) (*weft.Answer, error) {
			n := 0
			return answerThen(func() (arrow.RecordBatch, error) {
				if n++; n > 200 {
					return nil, weft.Errorf(weft.KindLimit, "answer", "the question", "it used more memory than it may").WithHint("ask for less")
				}
				return numbers(1, 2000)[0], nil
			}), nil
		}
		s, err := c.QueryAs(t.Context(), serve.QueryRequest{SQL: "SELECT 1"}, f)
		if err != nil {
			t.Fatal(f, err)
		}
		b, err := io.ReadAll(s)
		var e *weft.Error
		if !errors.As(err, &e) || e.Kind != weft.KindLimit || e.Message != "it used more memory than it may" || e.Hint != "ask for less" {
			t.Errorf("%s: after %d bytes: %v", f, len(b), err)
		}
		if len(b) == 0 {
			t.Errorf("%s: nothing came before the error", f)
		}
		if n := s.Rows(); n != -1 {
			t.Errorf("%s: a broken answer says that it has %d rows", f, n)
		}
		s.Close()
		// Another token must not learn of it.
		if _, err := d.client(t, "other").Outcome(t.Context(), s.Request); weft.KindOf(err) != weft.KindNotFound {
			t.Errorf("another token sees the outcome: %v", err)
		}
		res, err := plain(d, f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(res.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: a plain reader sees %v", f, err)
		}
		res.Body.Close()
	}
}

func plain(d *door, f serve.Format) (*nethttp.Response, error) {
	r, err := nethttp.NewRequest("POST", d.url+"/api/v1/query?format="+string(f), strings.NewReader(`{"sql":"SELECT 1"}`))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer read")
	r.Header.Set("Content-Type", "application/json")
	return nethttp.DefaultClient.Do(r)
}

// The Arrow reader of the client gives the node's error too.
func TestArrowAnswerEndsInTheError(t *testing.T) {
	d := open(t, http.Config{})
	d.node.query = func(context.Context, weft.Question) (*weft.Answer, error) {
		n := 0
		return answerThen(func() (arrow.RecordBatch, error) {
			if n++; n > 3 {
				return nil, weft.Errorf(weft.KindUnavailable, "answer", "", "the worker died")
			}
			return numbers(1, 100)[0], nil
		}), nil
	}
	a, err := d.client(t, "read").Query(t.Context(), serve.QueryRequest{SQL: "SELECT 1"})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for a.Rows.Next() {
	}
	if err := a.Rows.Err(); weft.KindOf(err) != weft.KindUnavailable || !strings.Contains(err.Error(), "the worker died") {
		t.Errorf("%v", err)
	}
}

// An error before the first byte is an ordinary problem, also when it comes with
// the first row or from the encoder.
func TestErrorBeforeTheFirstByte(t *testing.T) {
	d := open(t, http.Config{})
	refuse := weft.Errorf(weft.KindLimit, "answer", "the question", "too much")
	interval := arrow.NewSchema([]arrow.Field{{Name: "wait", Type: arrow.FixedWidthTypes.MonthDayNanoInterval}}, nil)
	for name, f := range map[string]func(context.Context, weft.Question) (*weft.Answer, error){
		"refused": func(context.Context, weft.Question) (*weft.Answer, error) { return nil, refuse },
		"first row": func(context.Context, weft.Question) (*weft.Answer, error) {
			return answerThen(func() (arrow.RecordBatch, error) { return nil, refuse }), nil
		},
		"encoder": func(context.Context, weft.Question) (*weft.Answer, error) {
			r, err := array.NewRecordReader(interval, nil)
			return &weft.Answer{Schema: interval, Rows: r, Close: func() error { return nil }}, err
		},
	} {
		d.node.query = f
		res, body := d.do(t, "POST", "/api/v1/query?format=parquet", "read", `{"sql":"SELECT 1"}`, nil)
		if res.StatusCode < 400 || res.Header.Get("Content-Type") != serve.ProblemType || res.Header.Get(serve.HeaderCut) != "" || res.Header.Get("Content-Disposition") != "" {
			t.Errorf("%s: %d %v: %s", name, res.StatusCode, res.Header, body)
		}
	}
}

func TestClientThatLeavesCancels(t *testing.T) {
	d := open(t, http.Config{})
	cancelled := make(chan error, 1)
	d.node.query = func(ctx context.Context, _ weft.Question) (*weft.Answer, error) {
		n := 0
		return answerThen(func() (arrow.RecordBatch, error) {
			if n++; n == 1 {
				return numbers(1, 10)[0], nil
			}
			<-ctx.Done()
			cancelled <- ctx.Err()
			return nil, ctx.Err()
		}), nil
	}
	a, err := d.client(t, "read").Query(t.Context(), serve.QueryRequest{SQL: "SELECT 1"})
	if err != nil {
		t.Fatal(err)
	}
	if !a.Rows.Next() {
		t.Fatal(a.Rows.Err())
	}
	a.Close()
	select {
	case <-cancelled:
	case <-time.After(10 * time.Second):
		t.Error("the question goes on without its asker")
	}
}

// Rows arrive while the question still runs.
func TestRowsAreFlushed(t *testing.T) {
	d := open(t, http.Config{})
	goOn := make(chan struct{})
	d.node.query = func(ctx context.Context, _ weft.Question) (*weft.Answer, error) {
		n := 0
		return answerThen(func() (arrow.RecordBatch, error) {
			if n++; n == 1 {
				return numbers(1, 10)[0], nil
			}
			select {
			case <-goOn:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return nil, nil
		}), nil
	}
	s, err := d.client(t, "read").QueryAs(t.Context(), serve.QueryRequest{SQL: "SELECT 1"}, serve.FormatNDJSON)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first := make([]byte, 10)
	if _, err := io.ReadFull(s, first); err != nil || !strings.HasPrefix(string(first), `{"n":0`) {
		t.Errorf("%q, %v", first, err)
	}
	close(goOn)
	if _, err := io.ReadAll(s); err != nil {
		t.Error(err)
	}
}

func TestProgressIsStreamed(t *testing.T) {
	d := open(t, http.Config{})
	c := d.client(t, "admin")
	var seen []string
	res, err := c.Refresh(t.Context(), orders, serve.RefreshRequest{Wait: true}, func(e serve.Event) { seen = append(seen, e.Phase) })
	if err != nil || res.Outcome != serve.OutcomeCommitted || res.Commit.Seq != 4 || strings.Join(seen, " ") != "read publish" {
		t.Errorf("%+v, %v, %v", res, err, seen)
	}
	for _, outcome := range []serve.Outcome{serve.OutcomeApplied, serve.OutcomeFaults} {
		d.node.apply = func(_ context.Context, _ serve.ApplyRequest, p serve.Progress) (*serve.ApplyResult, error) {
			if p != nil {
				p(serve.Event{Phase: "read"})
			}
			return &serve.ApplyResult{Product: orders, Outcome: outcome}, nil
		}
		got, err := c.Apply(t.Context(), serve.ApplyRequest{Archive: []byte("tar"), Dir: "/d", Revision: "3fa9c2"}, nil)
		if err != nil || got.Outcome != outcome {
			t.Errorf("%s: %+v, %v", outcome, got, err)
		}
		res, body := d.do(t, "POST", "/api/v1/apply?dry_run=true", "apply", "tar", func(r *nethttp.Request) { r.Header.Set("Content-Type", "application/gzip") })
		if want := map[serve.Outcome]int{serve.OutcomeApplied: 200, serve.OutcomeFaults: 422}[outcome]; res.StatusCode != want || !strings.Contains(body, string(outcome)) {
			t.Errorf("%s: %d: %s", outcome, res.StatusCode, body)
		}
	}
	d.node.apply = func(context.Context, serve.ApplyRequest, serve.Progress) (*serve.ApplyResult, error) {
		return nil, weft.Errorf(weft.KindBreaks, "apply", "sales.orders", "it breaks a reader")
	}
	if _, err := c.Apply(t.Context(), serve.ApplyRequest{Archive: []byte("tar")}, nil); weft.KindOf(err) != weft.KindBreaks {
		t.Errorf("%v", err)
	}
	d.node.apply = func(context.Context, serve.ApplyRequest, serve.Progress) (*serve.ApplyResult, error) {
		panic("in the middle")
	}
	if _, err := c.Apply(t.Context(), serve.ApplyRequest{Archive: []byte("tar")}, nil); weft.KindOf(err) == "" {
		t.Errorf("a broken stream is no error: %v", err)
	}
	if _, err := c.Apply(t.Context(), serve.ApplyRequest{Archive: make([]byte, serve.MaxArchive+1)}, nil); weft.KindOf(err) != weft.KindLimit {
		t.Errorf("%v", err)
	}
}

// A full export runs at disk speed or better.
func BenchmarkExport(b *testing.B) {
	for _, f := range formats {
		b.Run(string(f), func(b *testing.B) { benchmarkExport(b, f) })
	}
}
