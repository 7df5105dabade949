package node

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"weft"
)

// lastStepAway has the last step of every question of the node run at another one, or here.
func (r *rig) lastStepAway(away bool) {
	cfg := r.node.limits(*r.node.conf())
	cfg.Away = func(here, there int64) bool { return away }
	r.node.reader.Limit(cfg)
}

// TestLastStepAway asks about tables of two nodes and has the other one put them together:
// it gets this node's rows with the question, where it may read them, and is asked for a part where it
// refuses that.
func TestLastStepAway(t *testing.T) {
	a := newAsks(t)
	want, _, err := a.ask(t.Context(), weft.Question{SQL: partQuestion})
	if err != nil || want == "" {
		t.Fatal(want, err)
	}
	a.asker.lastStepAway(true)
	var asked []partRequest
	var refuse atomic.Bool
	watch := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		b, _ := io.ReadAll(r.Body)
		p, with, err := decodePart(bytes.NewReader(b))
		if err != nil {
			t.Error(err)
		}
		with.drop()
		asked = append(asked, p)
		if len(p.Guests) > 0 && refuse.Load() {
			refusePeer(w, weft.Errorf(weft.KindInvalid, "answer", "", "it is an older one"))
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
		next.ServeHTTP(w, r)
	}
	ask := func(q weft.Question, guests ...int) {
		t.Helper()
		asked = nil
		a.lies(watch)
		got, _, err := a.ask(t.Context(), q)
		var with []int
		for _, p := range asked {
			with = append(with, len(p.Guests))
		}
		if err != nil || got != want || !slices.Equal(with, guests) {
			t.Errorf("%q, wanted %q: %v; it was asked with %v guests, wanted %v", got, want, err, with, guests)
		}
	}
	// The origin's domain may not read insights.notes yet: its rows do not go there.
	ask(weft.Question{SQL: partQuestion}, 0)
	shop, err := a.seen.find(mustName(t, "sales.shop"))
	if err != nil {
		t.Fatal(err)
	}
	a.seen.domains = map[weft.KeyID][]string{shop.origin: {"insights"}}
	ask(weft.Question{SQL: partQuestion}, 1)
	if sql := asked[0].SQL; !strings.Contains(sql, "weft_guests.g1") || !strings.Contains(sql, "FROM sales.shop") || !strings.Contains(sql, "ORDER BY") {
		t.Errorf("it was asked %s", sql)
	}
	ask(weft.Question{SQL: partQuestion, AllowPartial: true}, 0) // so that there is an answer without it
	refuse.Store(true)
	ask(weft.Question{SQL: partQuestion}, 1, 0)

	a.lies(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { panic(http.ErrAbortHandler) })
	if _, _, err := a.ask(t.Context(), weft.Question{SQL: partQuestion}); weft.KindOf(err) != weft.KindUnavailable || !strings.Contains(err.Error(), "sales.shop") {
		t.Errorf("without the other node: %v", err)
	}
	a.lies(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		rec := &cutShort{ResponseWriter: w, left: 500}
		next.ServeHTTP(rec, r)
	})
	if _, _, err := a.ask(t.Context(), weft.Question{SQL: partQuestion}); err == nil || !strings.Contains(err.Error(), "sales.shop") {
		t.Errorf("of an answer that breaks off: %v", err)
	}
}

// cutShort breaks an answer off after some bytes.
type cutShort struct {
	http.ResponseWriter
	left int
}

func (c *cutShort) Write(b []byte) (int, error) {
	if len(b) > c.left {
		return 0, errors.New("it is cut short")
	}
	c.left -= len(b)
	return c.ResponseWriter.Write(b)
}

// Unwrap lets the answer be flushed.
func (c *cutShort) Unwrap() http.ResponseWriter { return c.ResponseWriter }
