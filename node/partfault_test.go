package node

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/engine"
	"weft/serve"
)

// asks is a node with sales.shop and another one that has insights.notes and asks about
// both. What goes between them may lie.
type asks struct {
	t             *testing.T
	origin, asker *rig
	seen          *fakeMesh // by the asker
	lie           atomic.Pointer[lie]
}

// lie answers instead of the origin, or with what that says.
type lie func(w http.ResponseWriter, r *http.Request, next http.Handler)

// The questions are answered in two ways: as a whole by the origin, and over a part that
// comes from there.
const (
	wholeQuestion = "SELECT count(*), sum(id) FROM sales.shop"
	partQuestion  = "SELECT s.id, s.item, s.price FROM sales.shop s JOIN insights.notes n ON s.id = n.id ORDER BY s.id"
)

const notes = `
-- notes/product.odps.yaml --
apiVersion: v1.0.0
kind: DataProduct
id: insights.notes
name: notes
domain: insights
status: active
description: {purpose: Invented notes.}
team: {members: [{username: owner@example.com, role: owner}]}
inputPorts: [{name: notes, version: 1.0.0, contractId: insights.notes/source}]
outputPorts: [{name: notes, version: 1.0.0, contractId: insights.notes/notes, type: tables}]
-- notes/source.odcs.yaml --
apiVersion: v3.1.0
kind: DataContract
id: insights.notes/source
version: 1.0.0
status: active
slaProperties: [{property: frequency, value: 1, unit: d}]
servers: [{server: files, type: local, path: data/notes.csv, format: csv}]
-- notes/notes.odcs.yaml --
apiVersion: v3.1.0
kind: DataContract
id: insights.notes/notes
version: 1.0.0
status: active
schema:
  - name: notes
    logicalType: object
    properties:
      - {name: id, logicalType: integer, physicalType: bigint, required: true, primaryKey: true, primaryKeyPosition: 1}
-- notes/data/notes.csv --
id
1
3
`

func newAsks(t *testing.T) *asks {
	t.Helper()
	a := &asks{t: t, origin: newRig(t), asker: newRigWith(t, func(c *Config) { c.TempBytes = 32 << 20 })}
	a.origin.node.far = &fakeMesh{domains: map[weft.KeyID][]string{key(2): {"insights"}}}
	s := peerServer(t, a.origin.node, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if l := a.lie.Load(); l != nil {
				b, _ := io.ReadAll(r.Body) // else the server does not see that nobody waits any more
				r.Body = io.NopCloser(bytes.NewReader(b))
				(*l)(w, r, next)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	a.seen = &fakeMesh{self: key(2), base: s.URL, products: map[weft.Name]foreign{}}
	a.asker.node.far = a.seen
	a.origin.write(strings.Replace(shop, "[insights]", `["*"]`, 1)) // the asker is in no mesh
	a.origin.apply("shop", serve.OutcomeCommitted)
	a.asker.write(notes)
	a.asker.apply("notes", serve.OutcomeCommitted)
	a.known("sales.shop")
	return a
}

// known makes the asker see the card and the head of a product.
func (a *asks) known(name string) weft.Point { return a.seen.see(a.t, a.origin, name) }

func (a *asks) lies(l lie) {
	if l == nil {
		a.lie.Store(nil)
		return
	}
	a.lie.Store(&l)
}

// ask asks the asker. Its warnings are those of the whole answer.
func (a *asks) ask(ctx context.Context, q weft.Question) (rows string, warnings []weft.Warning, err error) {
	q.Subject = tester
	ans, err := a.asker.node.Backend().Querier.Query(ctx, q)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = ans.Close() }()
	var b strings.Builder
	for ans.Rows.Next() {
		rec := ans.Rows.RecordBatch()
		for i := range int(rec.NumRows()) {
			for _, c := range rec.Columns() {
				b.WriteString(c.ValueStr(i) + " ")
			}
		}
	}
	if err := ans.Rows.Err(); err != nil {
		return "", nil, err
	}
	if ans.Warnings != nil {
		warnings = ans.Warnings()
	}
	return strings.TrimSpace(b.String()), warnings, nil
}

// honest holds that the asker answers as it must.
func (a *asks) honest(when string) {
	a.t.Helper()
	for sql, want := range map[string]string{wholeQuestion: "3 6", partQuestion: "1 pen 1.5 3 pad 3"} {
		if got, _, err := a.ask(a.t.Context(), weft.Question{SQL: sql}); err != nil || got != want {
			a.t.Errorf("%s: %s gives %q and not %q: %v", when, sql, got, want, err)
		}
	}
}

// recorded is what the origin says.
func recorded(r *http.Request, next http.Handler) []byte {
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	return rec.Body.Bytes()
}

// partLies are ways not to say what is so.
func partLies(t *testing.T, at weft.Point) map[string]lie {
	said := func(cut weft.Cut, end any, batches ...arrow.RecordBatch) lie {
		return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			b, err := json.Marshal(partHead{Cut: cut})
			if err != nil {
				t.Error(err)
			}
			if writeSection(w, b) == nil {
				sends(t, w, end, batches...)
			}
		}
	}
	changed := func(f func(b []byte) []byte) lie {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) { _, _ = w.Write(f(recorded(r, next))) }
	}
	here := weft.Cut{at}
	fork, other, stranger := at, at, at
	fork.Hash[0]++
	other.ID = "other"
	stranger.Product.Product = "other"
	rows := shopRows(2, "x", price)
	return map[string]lie{
		"killed in the middle": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			b := recorded(r, next)
			_, _ = w.Write(b[:len(b)*2/3])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
		"killed at once":           func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) },
		"truncated but well ended": changed(func(b []byte) []byte { return b[:len(b)-1] }),
		"only a head":              changed(func(b []byte) []byte { return b[:8+binary.LittleEndian.Uint64(b)] }),
		"something behind":         changed(func(b []byte) []byte { return append(b, 0) }),
		"a bit turned":             changed(func(b []byte) []byte { b[len(b)/2] ^= 4; return b }),
		"no rows but bytes":        changed(func([]byte) []byte { return []byte(strings.Repeat("<html>", 100)) }),
		"nothing":                  changed(func([]byte) []byte { return nil }),
		"a head that is huge":      changed(func([]byte) []byte { return []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, '{'} }),
		"a head that is no JSON":   changed(func([]byte) []byte { return []byte{2, 0, 0, 0, 0, 0, 0, 0, '<', '>'} }),
		"without an end":           said(here, nil, rows),
		"more rows than it says":   said(here, partEnd{Rows: 1}, rows),
		"fewer rows than it says":  said(here, partEnd{Rows: 3}, rows),
		"no UTF-8":                 said(here, partEnd{Rows: 2}, shopRows(2, "\xff\xfe", price)),
		"wrong type":               said(here, partEnd{Rows: 2}, shopRows(2, "x", arrow.PrimitiveTypes.Int64)),
		"a fork":                   said(weft.Cut{fork}, partEnd{Rows: 2}, rows),
		"another product's id":     said(weft.Cut{other}, partEnd{Rows: 2}, rows),
		"another product":          said(weft.Cut{stranger}, partEnd{Rows: 2}, rows),
		"no state":                 said(nil, partEnd{Rows: 2}, rows),
		"a fault at the end": said(here, partEnd{
			Rows: 2, Fault: serve.ProblemOf(weft.Errorf(weft.KindUnavailable, "read", "it", "broken\x1b[31m"), ""),
		}, rows),
		"a bare status": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusForbidden) },
		"a teapot":      func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusTeapot) },
		"elsewhere": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		},
		"one endless frame": func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			b, _ := json.Marshal(partHead{Cut: here})
			err := writeSection(w, b)
			if err == nil {
				_, err = w.Write([]byte{0xff, 0xff, 0xff, 0xff, 'A', 0, 0, 0})
			}
			for err == nil {
				_, err = w.Write(make([]byte, 1<<16))
			}
		},
		"nothing at all": func(w http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() },
		"a byte now and then": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			for _, b := range recorded(r, next) {
				if _, err := w.Write([]byte{b}); err != nil {
					return
				}
				_ = http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		},
	}
}

// TestPartBelievesNothing: whatever another node sends that is not what it must, the
// question fails, names the node and the product, and says what to do; the next one is
// answered. Where the asker wants what there is, the rest comes with a warning.
func TestPartBelievesNothing(t *testing.T) {
	a := newAsks(t)
	a.asker.node.pace = peerPace{every: 300 * time.Millisecond, bytes: 1000}
	at := a.known("sales.shop")
	a.honest("before")
	for name, l := range partLies(t, at) {
		a.lies(l)
		for _, sql := range []string{wholeQuestion, partQuestion} {
			if sql == wholeQuestion && slices.Contains([]string{"wrong type", "no state"}, name) {
				continue // what it gives as its own answer is its own
			}
			_, _, err := a.ask(t.Context(), weft.Question{SQL: sql})
			if err == nil {
				t.Errorf("%s: %s is answered", name, sql)
				continue
			}
			text := err.Error()
			if !strings.Contains(text, "sales.shop") || !strings.Contains(text, key(1).Short()) || weft.HintOf(err) == "" || strings.ContainsAny(text, "\x1b\x00") || len(text) > 600 {
				t.Errorf("%s: %s: %s %q, to do %q", name, sql, weft.KindOf(err), text, weft.HintOf(err))
			}
			t.Logf("%s: %s %v", name, weft.KindOf(err), err)
		}
		if name == "a teapot" {
			continue // it says that the question is none
		}
		rows, warnings, err := a.ask(t.Context(), weft.Question{SQL: partQuestion, AllowPartial: true})
		if err != nil || rows != "" || len(warnings) != 1 || warnings[0].Kind != weft.WarnPartial || warnings[0].Product.String() != "sales.shop" {
			t.Errorf("%s: of what there is comes %q, %+v, %v", name, rows, warnings, err)
		}
		a.lies(nil)
		a.honest("after " + name)
	}
	if left, err := os.ReadDir(a.asker.node.cfg.path("tmp")); err != nil || slices.ContainsFunc(left, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), "landing") }) {
		t.Errorf("left in the temporary folder: %v %v", left, err)
	}
}

// TestPartNeverEnds: rows without an end are not taken in without an end, nor waited for.
func TestPartNeverEnds(t *testing.T) {
	a := newAsks(t)
	at := a.known("sales.shop")
	rows := shopRows(10_000, strings.Repeat("x", 100), price)
	ended := make(chan struct{}, 4)
	a.lies(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		defer func() { ended <- struct{}{} }()
		b, _ := json.Marshal(partHead{Cut: weft.Cut{at}})
		_ = writeSection(w, b)
		out, err := engine.NewRowWriter(w, rows.Schema())
		for err == nil {
			err = out.Write(rows)
		}
	})
	for name, limits := range map[string]weft.Limits{"a deadline": {Deadline: 300 * time.Millisecond}, "the room to spill": {}} {
		began := time.Now()
		_, _, err := a.ask(t.Context(), weft.Question{SQL: partQuestion, Limits: limits})
		if weft.KindOf(err) != weft.KindLimit || weft.HintOf(err) == "" {
			t.Errorf("%s: %v, to do %q", name, err, weft.HintOf(err))
		}
		<-ended
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: it took %s", name, took)
		}
	}
	a.lies(nil)
	a.honest("afterwards")
}

// TestPartIsWorkedFor: a node that works longer than one is waited for that does nothing is
// waited for, as long as it says that it works; who only says so is, until the deadline.
func TestPartIsWorkedFor(t *testing.T) {
	a := newAsks(t)
	pace := peerPace{every: 400 * time.Millisecond, bytes: 1000}
	a.asker.node.pace, a.origin.node.pace = pace, pace
	for n, took := 4, time.Duration(0); took < 2*pace.every; n *= 2 {
		began := time.Now()
		rows, _, err := a.ask(t.Context(), weft.Question{SQL: fmt.Sprintf("SELECT count(*) FROM sales.shop, range(10000000) a(n), range(%d) b(m) WHERE hash(id, a.n, b.m) = 1", n)})
		if err != nil {
			t.Fatalf("after %s: %v", time.Since(began), err)
		}
		took = time.Since(began)
		t.Logf("%d times: %q after %s", n, rows, took)
	}
	at := a.known("sales.shop")
	a.lies(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		b, _ := json.Marshal(partHead{Cut: weft.Cut{at}})
		_ = writeSection(w, b)
		beat := a.origin.node.startBeat(w)
		defer beat.end()
		<-r.Context().Done()
	})
	_, _, err := a.ask(t.Context(), weft.Question{SQL: partQuestion, Limits: weft.Limits{Deadline: 3 * pace.every}})
	if weft.KindOf(err) != weft.KindLimit || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("who works without end: %s %v", weft.KindOf(err), err)
	}
}

// slowSQL takes hours at the node that holds sales.shop.
const slowSQL = "SELECT count(*) FROM sales.shop, range(10000000) a(n), range(10000000) b(m) WHERE hash(id, a.n, b.m) = 1"

// stopMost is how soon a node stops whose asker is gone.
const stopMost = 100 * time.Millisecond

// TestAskerDisappears: a node that answers stops when nobody waits for it any more, also one
// that makes the last step.
func TestAskerDisappears(t *testing.T) {
	a := newAsks(t)
	a.disappears(slowSQL)
	shop, err := a.seen.find(mustName(t, "sales.shop"))
	if err != nil {
		t.Fatal(err)
	}
	a.seen.domains = map[weft.KeyID][]string{shop.origin: {"insights"}}
	a.asker.lastStepAway(true)
	a.disappears("SELECT count(*) FROM sales.shop s JOIN insights.notes t USING (id), range(10000000) a(n), range(10000000) b(m) WHERE hash(s.item, t.id, a.n, b.m) = 1")
}

// disappears asks a question that takes hours, and is gone.
func (a *asks) disappears(sql string) {
	t := a.t
	t.Helper()
	began := make(chan struct{}, 1)
	gone := make(chan time.Time, 1)
	a.lies(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		began <- struct{}{}
		next.ServeHTTP(w, r)
		gone <- time.Now()
	})
	best := time.Hour
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, _, err := a.ask(ctx, weft.Question{SQL: sql})
			failed <- err
		}()
		<-began
		a.origin.eventually("the question runs", func() bool { return a.origin.node.reader.Running() == 1 })
		cut := time.Now()
		cancel()
		if err := <-failed; weft.KindOf(err) != weft.KindCancelled {
			t.Errorf("it ends with %v", err)
		}
		best = min(best, (<-gone).Sub(cut))
		a.origin.eventually("nothing runs", func() bool { return a.origin.node.reader.Running() == 0 })
	}
	t.Logf("a node stops %s after its asker is gone", best)
	if best > stopMost {
		t.Errorf("a node stops %s after its asker is gone", best)
	}
}

// TestRestartWhileAsked: states that were told before a restart are there after it.
func TestRestartWhileAsked(t *testing.T) {
	a := newAsks(t)
	p := partner{a.asker.node}
	cut, err := p.Points(t.Context(), key(1), tester, []weft.Name{mustName(t, "sales.shop")}, weft.At{})
	if err != nil || len(cut) != 1 {
		t.Fatal(cut, err)
	}
	a.origin.csv("1,pen,9.50")
	a.origin.refresh("sales.shop", serve.OutcomeCommitted)
	a.origin.restart()
	a.origin.node.far = &fakeMesh{domains: map[weft.KeyID][]string{key(2): {"insights"}}}
	s := peerServer(t, a.origin.node, nil)
	a.seen.moves(s.URL)
	at := weft.At{Cut: []weft.CutRef{{Product: cut[0].Product, Incarnation: cut[0].Incarnation, Seq: cut[0].Seq, HashPrefix: cut[0].Hash[:]}}}
	if got, _, err := a.ask(t.Context(), weft.Question{SQL: "SELECT id, price FROM sales.shop ORDER BY id", At: at}); err != nil || got != "1 1.5 2 7.25 3 3" {
		t.Errorf("after a restart the state of before is %q, %v", got, err)
	}
	a.known("sales.shop")
	if got, _, err := a.ask(t.Context(), weft.Question{SQL: "SELECT id, price FROM sales.shop ORDER BY id"}); err != nil || got != "1 9.5" {
		t.Errorf("after a restart comes %q, %v", got, err)
	}
}

// TestOnlyItsOwn: a node answers another one over its own products alone, by whichever
// way it is asked, also where it could ask a third one itself.
func TestOnlyItsOwn(t *testing.T) {
	a := newAsks(t)
	at := a.known("sales.shop")
	if _, _, err := a.asker.query("SELECT count(*) FROM sales.shop"); err != nil {
		t.Fatal(err)
	}
	a.seen.mu.Lock()
	a.seen.domains = map[weft.KeyID][]string{key(2): {"insights"}}
	a.seen.mu.Unlock()
	s := peerServer(t, a.asker.node, func(next http.Handler) http.Handler { return next })
	other := (&fakeMesh{self: key(2), base: s.URL}).client(key(1))
	part, err := encodePart(partRequest{SQL: "SELECT * FROM sales.shop", Subject: partSubject{Kind: weft.SubjectPerson, ID: "ann", Domains: []string{"insights"}}}, enclosed{})
	if err != nil {
		t.Fatal(err)
	}
	for name, ask := range map[string]func() (*http.Response, error){
		"a part": func() (*http.Response, error) {
			return other.Post("http://peer"+partsPath, "application/octet-stream", bytes.NewReader(part))
		},
		"a table": func() (*http.Response, error) {
			return other.Get(fmt.Sprintf("http://peer%s/products/sales.shop/tables/shop?for=insights.notes&seq=%d&incarnation=%d&hash=%s", peerPrefix, at.Seq, at.Incarnation, at.Hash))
		},
	} {
		res, err := ask()
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d %.300s", name, res.StatusCode, b)
		}
	}
}

// TestPartFailsBehindItsHead: a node that has said the states of a part can still say why
// there are no rows.
func TestPartFailsBehindItsHead(t *testing.T) {
	a := newAsks(t)
	for _, sql := range []string{
		"SELECT sum(CAST(item AS INTEGER)) FROM sales.shop",
		"SELECT n.id FROM insights.notes n WHERE n.id NOT IN (SELECT CAST(item AS INTEGER) FROM sales.shop)",
	} {
		_, _, err := a.ask(t.Context(), weft.Question{SQL: sql})
		if weft.KindOf(err) != weft.KindInvalid || !strings.Contains(err.Error(), "sales.shop") || !strings.Contains(err.Error(), "INT32") {
			t.Errorf("%s: %s %v", sql, weft.KindOf(err), err)
		}
		a.honest("after " + sql)
	}
}

// waits is an answer of which only the first flush goes out before something is done.
type waits struct {
	http.ResponseWriter
	until   <-chan struct{}
	flushed bool
	late    bool
}

func (w *waits) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *waits) Write(b []byte) (int, error) {
	if w.flushed && !w.late {
		select {
		case <-w.until:
		case <-time.After(10 * time.Second):
			w.late = true
		}
	}
	return w.ResponseWriter.Write(b)
}

func (w *waits) FlushError() error {
	w.flushed = true
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// TestPartsOfOneStateRunAtOnce: of two parts that read one product the second is asked as
// soon as the first has said its state, not when it has rows.
func TestPartsOfOneStateRunAtOnce(t *testing.T) {
	a := newAsks(t)
	second := make(chan struct{})
	var asked, late atomic.Int64
	a.lies(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if asked.Add(1) == 2 {
			close(second)
		}
		held := &waits{ResponseWriter: w, until: second}
		next.ServeHTTP(held, r)
		if held.late {
			late.Add(1)
		}
	})
	const sql = `SELECT n.id, a.c, b.p FROM insights.notes n JOIN (SELECT id, count(*) AS c FROM sales.shop GROUP BY id) a ON a.id = n.id
		JOIN (SELECT id, max(price) AS p FROM sales.shop GROUP BY id) b ON b.id = n.id ORDER BY 1`
	if _, _, err := a.ask(t.Context(), weft.Question{SQL: sql}); err != nil {
		t.Fatal(err)
	}
	if asked.Load() != 2 || late.Load() > 0 {
		t.Errorf("%d parts were asked, %d waited for the other", asked.Load(), late.Load())
	}
}
