package http

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"weft"
	"weft/serve"
)

// stream answers with the rows of q. An error before the first byte is a
// problem; after it the answer is broken off, never ended. The question is
// cancelled when the client goes away, because it lives in the request's
// context.
func (s *Server) stream(w *writer, r *http.Request, q weft.Question, f serve.Format, file string) error {
	if !r.ProtoAtLeast(1, 1) {
		// In HTTP/1.0 a body ends where the connection does: a broken answer would look whole.
		return &statusError{http.StatusHTTPVersionNotSupported, weft.Errorf(weft.KindInvalid, "answer the request", r.URL.Path,
			"rows are not sent over %s, which cannot show that an answer is whole", r.Proto).
			WithHint("use HTTP/1.1; a proxy may need to be told, such as nginx with proxy_http_version 1.1")}
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	ans, err := s.b.Querier.Query(ctx, q)
	if err != nil {
		return err
	}
	defer ans.Close()
	// The first batch is fetched before the header goes out: most of what can
	// fail has failed by then, and can still be said properly.
	first := &peeked{RecordReader: ans.Rows}
	if first.ahead = ans.Rows.Next(); !first.ahead {
		if err := ans.Rows.Err(); err != nil {
			return err
		}
	}
	shown := *ans
	shown.Rows = first
	w.before = func() { answerHeaders(w.Header(), ans, f, file) }
	state := of(ctx)
	var to io.Writer = w
	var digest *hashed
	if q.Nonce != (weft.Hash{}) {
		digest = newHashed(w)
		to = digest
	}
	rows, err := serve.EncodeWith(to, f, &shown, serve.Options{Rows: func(n int64) { state.rows = n }})
	state.rows = rows
	if err == nil {
		if digest != nil { // before the answer ends: whoever has read it finds it
			s.signed(r, q, ans, f, rows, digest)
		}
		w.Header().Set(serve.TrailerRows, serve.FormatHeld(rows))
		state.gave, state.warnings = serve.WhoGave(ans), serve.Warnings(ans)
		if text := serve.FormatWarnings(state.warnings); text != "" {
			w.Header().Set(serve.TrailerWarnings, text)
		}
		if text := serve.FormatGave(state.gave); text != "" {
			w.Header().Set(serve.TrailerParts, text)
		}
		s.remember(r, w, nil)
		return nil
	}
	var gone *serve.WriteError
	if errors.As(err, &gone) {
		err = &weft.Error{Op: "write the answer", Kind: weft.KindCancelled, Message: "the reader went away", Cause: gone.Err}
	}
	if w.status == 0 {
		w.before = nil
		return err
	}
	state.err = err
	s.remember(r, w, err)
	cancel()
	panic(http.ErrAbortHandler) // net/http breaks the connection, or resets the HTTP/2 stream
}

// answerHeaders says what the answer is before its first byte.
func answerHeaders(h http.Header, ans *weft.Answer, f serve.Format, file string) {
	h.Set("Content-Type", f.ContentType())
	h.Set(serve.HeaderCut, ans.Cut.Token())
	h.Set(serve.HeaderCutText, ans.Cut.String())
	h.Set(serve.HeaderHeld, serve.FormatHeld(ans.Held))
	h.Set("Trailer", serve.TrailerRows+", "+serve.TrailerWarnings+", "+serve.TrailerParts)
	h.Set("Vary", "Accept")
	if file == "" && f == serve.FormatParquet {
		file = "answer"
	}
	if file != "" {
		h.Set("Content-Disposition", `attachment; filename="`+file+f.Extension()+`"`)
	}
}

// remember keeps what became of a streamed answer.
func (s *Server) remember(r *http.Request, w *writer, err error) {
	q := of(r.Context())
	x := outcome{token: q.who.Token, RequestOutcome: serve.RequestOutcome{
		Request: q.id, Status: w.status, Rows: q.rows, Bytes: w.bytes, Ended: s.env.Clock.Now(),
		Parts: q.gave, Warnings: q.warnings,
	}}
	if err != nil {
		x.Error = serve.ProblemOf(err, q.id)
	}
	s.outcomes.put(x)
}

// peeked is a reader whose first batch was fetched already.
type peeked struct {
	array.RecordReader
	ahead bool // the first batch waits
	begun bool
}

// Next moves to the next batch.
func (p *peeked) Next() bool {
	if !p.begun {
		p.begun = true
		return p.ahead
	}
	return p.ahead && p.RecordReader.Next()
}

// RecordBatch is the current batch.
func (p *peeked) RecordBatch() arrow.RecordBatch { return p.RecordReader.RecordBatch() }
