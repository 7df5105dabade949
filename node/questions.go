package node

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"weft"
	"weft/federate"
	"weft/run"
)

// The names under which log lines carry ids.
const (
	logRequest = "request" // of a question or any other call of the API, as the answer's header says it
	logLoad    = "load"    // of one attempt to load a product
)

// questions is the gate as the doors see it: what is asked is counted, written
// down in one line, and waited for when the node stops.
type questions struct{ n *Node }

// Query answers q through the gate.
func (s questions) Query(ctx context.Context, q weft.Question) (*weft.Answer, error) {
	ans, err := s.ask(ctx, q, func(ctx context.Context) (*weft.Answer, error) {
		q := q
		var err error
		if q.At, err = s.n.fixAt(ctx, q.Subject, q.At); err != nil {
			return nil, err
		}
		return s.n.reader.Query(ctx, q)
	})
	if err != nil {
		return nil, err
	}
	return s.n.warnOfSkew(ctx, q.Subject, ans), nil
}

// Part answers what another node asks through the gate.
func (s questions) Part(ctx context.Context, q federate.FarQuestion) (*weft.Answer, error) {
	return s.ask(ctx, q.Question, func(ctx context.Context) (*weft.Answer, error) { return s.n.reader.Answer(ctx, q) })
}

func (s questions) ask(ctx context.Context, q weft.Question, reader func(context.Context) (*weft.Answer, error)) (*weft.Answer, error) {
	if run.LogValue(ctx, logRequest) == "" {
		ctx = run.WithLog(ctx, slog.String(logRequest, run.NewID()))
	}
	a := &asked{n: s.n, ctx: ctx, q: q, began: time.Now()}
	end, err := s.n.work.begin("answer the question", "")
	if err != nil {
		a.finish(err)
		return nil, err
	}
	ans, err := reader(withAsked(ctx, a))
	if err != nil {
		a.finish(err)
		end()
		return nil, err
	}
	a.first, a.cut = time.Since(a.began), ans.Cut
	s.n.keepCut(ctx, ans.Cut)
	a.RecordReader = ans.Rows
	give := ans.Close
	counted := *ans
	counted.Rows = a
	counted.Close = sync.OnceValue(func() error {
		defer end()
		a.finish(a.RecordReader.Err()) // before the stream is given back
		return give()
	})
	return &counted, nil
}

// asked is one question while it is answered: a reader that counts.
type asked struct {
	array.RecordReader
	n     *Node
	ctx   context.Context
	q     weft.Question
	began time.Time
	first time.Duration
	cut   weft.Cut
	rows  int64
	bytes int64
	whole bool // the last row was read
	own   bool // the node asks for itself: no budget is for it
}

// count adds what a batch of the answer holds.
func (a *asked) count(b arrow.RecordBatch) {
	a.rows += b.NumRows()
	for _, c := range b.Columns() {
		a.bytes += int64(c.Data().SizeInBytes())
	}
}

// Next moves to the next batch.
func (a *asked) Next() bool {
	if !a.RecordReader.Next() {
		a.whole = a.RecordReader.Err() == nil
		return false
	}
	a.count(a.RecordReader.RecordBatch())
	return true
}

// finish counts the question and writes its line. Of the text only a digest is
// logged: it may hold what nobody but the asker should read.
func (a *asked) finish(err error) {
	took := time.Since(a.began)
	outcome := outcomeOf(err)
	if err == nil && !a.whole {
		outcome = "unread"
	}
	a.n.count.question(outcome, took, a.first, a.rows, a.bytes)
	attrs := []slog.Attr{
		slog.String("subject", a.q.Subject.ID), slog.String("subjectKind", string(a.q.Subject.Kind)),
		slog.String("sql", a.n.digestText(a.q.SQL)), slog.String("cut", a.cut.String()),
		slog.Int64("rows", a.rows), slog.Int64("bytes", a.bytes),
		slog.Float64("ms", float64(took.Microseconds())/1000), slog.String("outcome", outcome),
	}
	a.n.env.Log.LogAttrs(a.ctx, slog.LevelInfo, "question", attrs...)
}

// digestText is a short digest of a question's text: the same text gives the
// same one at this node for as long as its token is the same, and without the
// token nobody can find a text by trying.
func (n *Node) digestText(text string) string {
	m := hmac.New(sha256.New, []byte("weft question text "+n.Token()))
	m.Write([]byte(text))
	return hex.EncodeToString(m.Sum(nil)[:8])
}
