package http

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"weft/serve"
)

// keepAlive is how often a quiet stream of steps says that it lives, so that
// nothing between here and the client takes it for dead.
const keepAlive = 15 * time.Second

// steps runs long work and answers with its result, or with a stream of events
// and then the result where the client asked for one. The work is cancelled
// when the client goes away.
func steps[T any](w *writer, r *http.Request, work func(context.Context, serve.Progress) (*T, serve.Outcome, error)) error {
	if !wantsSteps(r) {
		res, outcome, err := work(r.Context(), nil)
		if err != nil {
			return err
		}
		w.Header().Set("Content-Type", "application/json")
		if outcome == serve.OutcomeFaults || outcome == serve.OutcomeBreaks || outcome == serve.OutcomeRefused {
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
		return sent(json.NewEncoder(w).Encode(res))
	}
	w.Header().Set("Content-Type", serve.FormatNDJSON.ContentType())
	l := &lines{w: w}
	stop := l.keepAlive(r.Context())
	res, _, err := work(r.Context(), func(e serve.Event) { l.put(serve.Step[T]{Event: &e}) })
	stop()
	last := serve.Step[T]{Result: res}
	if err != nil {
		of(r.Context()).err = err
		last = serve.Step[T]{Error: serve.ProblemOf(err, of(r.Context()).id)}
	}
	l.put(last)
	return nil
}

// sent swallows the error of a client that is no longer there.
func sent(error) error { return nil }

func wantsSteps(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		if t, _, err := mime.ParseMediaType(strings.TrimSpace(part)); err == nil && t == "application/x-ndjson" {
			return true
		}
	}
	return false
}

// lines writes one JSON document per line, each at once.
type lines struct {
	mu sync.Mutex
	w  *writer
}

func (l *lines) put(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		b, _ = json.Marshal(serve.Step[struct{}]{Error: serve.ProblemOf(err, "")}) // a problem always encodes
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.w.Write(append(b, '\n')); err == nil {
		_ = l.w.FlushError() // the request's context says when the client is gone
	}
}

// keepAlive writes empty events until the returned function is called.
func (l *lines) keepAlive(ctx context.Context) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(keepAlive)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				l.put(struct{}{})
			case <-done:
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}
