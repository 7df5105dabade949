package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"weft"
	"weft/framemem"
	"weft/serve"
)

// Query asks a question and streams the rows. A stream that breaks ends with the
// node's own error. It is cancelled by ctx and by closing the answer.
func (c *Client) Query(ctx context.Context, q serve.QueryRequest) (*weft.Answer, error) {
	s, err := c.open(ctx, call{method: http.MethodPost, path: api + "/query", body: q}, serve.FormatArrow)
	if err != nil {
		return nil, err
	}
	return s.Answer(nil)
}

// QueryAs asks a question and streams the answer's bytes in a format, as the
// node writes them. Reading them to the end without an error is proof that they
// are whole.
func (c *Client) QueryAs(ctx context.Context, q serve.QueryRequest, f serve.Format) (*Stream, error) {
	return c.open(ctx, call{method: http.MethodPost, path: api + "/query", body: q}, f)
}

// Data streams one whole table in a format.
func (c *Client) Data(ctx context.Context, d serve.DataRequest) (*Stream, error) {
	q := url.Values{}
	if d.At != "" {
		q.Set("at", d.At)
	}
	f := d.Format
	if f == "" {
		f = serve.FormatJSON
	}
	return c.open(ctx, call{method: http.MethodGet, path: api + "/products/" + url.PathEscape(d.Table) + "/data", query: q}, f)
}

// Stream is an answer's bytes. Closing it early cancels the question.
type Stream struct {
	Request string // the request's id
	Cut     string // the cut's token
	CutText string
	Held    int64
	Format  serve.Format

	c      *Client
	ctx    context.Context
	cancel context.CancelFunc
	res    *http.Response
	once   sync.Once
	tee    io.Writer
	err    error // the last error of Read, io.EOF at the end
}

func (c *Client) open(ctx context.Context, k call, f serve.Format) (*Stream, error) {
	if k.query == nil {
		k.query = url.Values{}
	}
	k.query.Set("format", string(f))
	k.accept = f.ContentType() + ", " + serve.ProblemType
	own, cancel := context.WithCancel(ctx)
	res, err := c.send(own, k)
	if err != nil {
		cancel()
		return nil, err
	}
	held, _ := strconv.ParseInt(res.Header.Get(serve.HeaderHeld), 10, 64)
	return &Stream{
		Request: res.Header.Get(serve.HeaderRequest), Cut: res.Header.Get(serve.HeaderCut),
		CutText: res.Header.Get(serve.HeaderCutText), Held: held, Format: f,
		c: c, ctx: ctx, cancel: cancel, res: res,
	}, nil
}

// Read reads bytes of the answer. When the stream breaks, the error is the one
// that the node met.
func (s *Stream) Read(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.res.Body.Read(b)
	if s.tee != nil {
		if _, err := s.tee.Write(b[:n]); err != nil {
			s.err = err
			return 0, err
		}
	}
	if err != nil {
		if !errors.Is(err, io.EOF) {
			err = s.why(err)
		}
		s.err = err
	}
	return n, err
}

// Rows is the number of rows that the node says it wrote, -1 before the end.
func (s *Stream) Rows() int64 {
	n, err := strconv.ParseInt(s.res.Trailer.Get(serve.TrailerRows), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// Warnings are what the node says that the reader should know, none before the end.
func (s *Stream) Warnings() []weft.Warning {
	return serve.ParseWarnings(s.res.Trailer.Get(serve.TrailerWarnings))
}

// Parts are what each other node gave to the answer, none before the end; of the states
// that they were read at, the products alone.
func (s *Stream) Parts() []weft.PartUse {
	var out []weft.PartUse
	for _, g := range serve.ParseGave(s.res.Trailer.Get(serve.TrailerParts)) {
		u := weft.PartUse{Node: g.Node, Name: g.Name, Rows: g.Rows, Bytes: g.Bytes}
		for _, p := range g.Products {
			u.Cut = append(u.Cut, weft.Point{Product: p})
		}
		out = append(out, u)
	}
	return out
}

// Close ends the stream. Idempotent.
func (s *Stream) Close() error {
	s.once.Do(func() {
		s.cancel()
		_ = s.res.Body.Close()
	})
	return nil
}

// why asks the node what became of a stream that broke.
func (s *Stream) why(err error) error {
	if s.ctx.Err() != nil {
		return s.c.netError(s.ctx, err)
	}
	ctx, cancel := context.WithTimeout(s.ctx, 2*time.Second)
	defer cancel()
	o, e := s.c.Outcome(ctx, s.Request)
	if e == nil && o.Error != nil {
		return o.Error.Err()
	}
	if errors.Is(e, syscall.ECONNREFUSED) {
		return weft.Errorf(weft.KindUnavailable, "read the answer", s.c.base, "the node ended before the answer was whole").
			WithHint("the rows so far are not the whole answer: start the node with weft up and ask again")
	}
	return weft.Errorf(weft.KindUnavailable, "read the answer", s.c.base, "the stream broke: %w", err).
		WithHint("the rows so far are not the whole answer: ask again")
}

// Answer reads a stream of FormatArrow as rows. What is read of it is written to tee as
// well, if that is not nil.
func (s *Stream) Answer(tee io.Writer) (*weft.Answer, error) {
	s.tee = tee
	r, err := ipc.NewReader(s, ipc.WithAllocator(framemem.Allocator{}))
	if err != nil {
		s.Close()
		return nil, s.fault(err)
	}
	a := &weft.Answer{Held: s.Held, Warnings: s.Warnings, Parts: s.Parts}
	md := r.Schema().Metadata()
	if v, ok := md.GetValue(serve.MetaPoints); ok {
		if err := json.Unmarshal([]byte(v), &a.Cut); err != nil {
			r.Release()
			s.Close()
			return nil, s.fault(err)
		}
	}
	a.Schema = arrow.NewSchema(r.Schema().Fields(), nil)
	rows := &reader{Reader: r, s: s, schema: a.Schema}
	a.Rows = rows
	a.Close = sync.OnceValue(func() error {
		r.Release()
		return s.Close()
	})
	return a, nil
}

func (s *Stream) fault(err error) error {
	var known *weft.Error
	if errors.As(err, &known) {
		return known
	}
	return weft.Errorf(weft.KindUnavailable, "read the answer", s.c.base, "%w", err).
		WithHint("the node may be of another version than this program")
}

// reader checks that the rows are as many as the node says it wrote.
type reader struct {
	*ipc.Reader
	s      *Stream
	schema *arrow.Schema
	rows   int64
	err    error
}

// Schema is the answer's, without what belongs to the transport.
func (r *reader) Schema() *arrow.Schema { return r.schema }

// Next moves to the next batch.
func (r *reader) Next() bool {
	if r.err != nil {
		return false
	}
	if r.Reader.Next() {
		r.rows += r.RecordBatch().NumRows()
		return true
	}
	if err := r.Reader.Err(); err != nil {
		r.err = r.s.fault(err)
		return false
	}
	r.finish()
	return false
}

// finish reads what follows the last batch: nothing, and the trailer.
func (r *reader) finish() {
	if _, err := io.Copy(io.Discard, r.s); err != nil {
		r.err = r.s.fault(err)
		return
	}
	if n := r.s.Rows(); n >= 0 && n != r.rows {
		r.err = r.s.fault(fmt.Errorf("%d rows came of %d", r.rows, n))
	}
}

// Err is why the rows ended, nil at their true end.
func (r *reader) Err() error { return r.err }
