package openlineage

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"weft"
	"weft/run"
)

const aRun = "01961e2a-4c6f-7b3a-8f00-0123456789ab"

// required holds what the standard's schemas require of the JSON of an event.
func required(t testing.TB, b []byte) map[string]any {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	need := func(at string, o map[string]any, keys ...string) {
		for _, k := range keys {
			if v, ok := o[k]; !ok || v == nil || v == "" {
				t.Errorf("%s has no %s: %s", at, k, b)
			}
		}
	}
	object := func(v any) map[string]any { o, _ := v.(map[string]any); return o }
	need("the event", e, "eventTime", "producer", "schemaURL", "run", "job")
	if at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(e["eventTime"])); err != nil || at.Location() != time.UTC {
		t.Errorf("eventTime is %v", e["eventTime"])
	}
	need("the run", object(e["run"]), "runId")
	if _, err := uuid.Parse(fmt.Sprint(object(e["run"])["runId"])); err != nil {
		t.Errorf("runId: %v", err)
	}
	need("the job", object(e["job"]), "namespace", "name")
	facets := func(at string, v any) {
		for name, f := range object(v) {
			need(at+" "+name, object(f), "_producer", "_schemaURL")
			switch name {
			case "errorMessage":
				need(name, object(f), "message", "programmingLanguage")
			case "jobType":
				need(name, object(f), "processingType", "integration")
			case "schema", "columnLineage":
				need(name, object(f), "fields")
			case "dataQualityAssertions":
				for _, a := range object(f)["assertions"].([]any) {
					need(name, object(a), "assertion", "success")
				}
			case "version":
				need(name, object(f), "datasetVersion")
			case "outputStatistics":
				need(name, object(f), "rowCount")
			}
			if name == "columnLineage" {
				for col, x := range object(object(f)["fields"]) {
					need(col, object(x), "inputFields")
					for _, in := range object(x)["inputFields"].([]any) {
						need(col, object(in), "namespace", "name", "field")
						for _, tr := range object(in)["transformations"].([]any) {
							need(col, object(tr), "type")
						}
					}
				}
			}
		}
	}
	facets("run", object(e["run"])["facets"])
	facets("job", object(e["job"])["facets"])
	for _, side := range []string{"inputs", "outputs"} {
		list, ok := e[side].([]any)
		if !ok {
			t.Errorf("%s is no list", side)
		}
		for _, d := range list {
			need(side, object(d), "namespace", "name")
			facets(side, object(d)["facets"])
			facets(side, object(d)["outputFacets"])
		}
	}
	return e
}

// full is an event with everything.
func full() Event {
	return Event{
		Type: Fail, Time: time.Date(2026, 3, 1, 13, 0, 0, 5000, time.FixedZone("x", 3600)),
		Run:    Run{ID: aRun, Facets: RunFacets{Error: &ErrorMessage{Message: "refused", Language: "SQL"}}},
		Job:    Job{Namespace: "weft", Name: "sales.orders", Facets: JobFacets{Type: &JobType{Processing: "BATCH", Integration: "WEFT"}}},
		Inputs: []InputDataset{{Dataset{Namespace: "postgres://db:5432", Name: "shop.public.orders"}}},
		Outputs: []OutputDataset{{Dataset{Namespace: "weft", Name: "sales.orders.orders", Facets: DatasetFacets{
			Schema: &Schema{Fields: []Field{{Name: "id", Type: "bigint"}}},
			Columns: &ColumnLineage{
				Fields: map[string]ColumnInputs{"id": {[]InputField{{"postgres://db:5432", "shop.public.orders", "ID", []Transformation{TransformationOf(weft.DeriveIdentity)}}}}},
				Rows:   []InputField{{"postgres://db:5432", "shop.public.orders", "state", []Transformation{TransformationOf(weft.DeriveFilter)}}},
			},
			Assertions: &Assertions{Assertions: []Assertion{{Assertion: "required", Success: false, Column: "id", Severity: "error"}}},
			Version:    &Version{Version: "abc"},
		}}, OutputFacets{Statistics: &Statistics{Rows: 3}}}},
	}
}

// TestEvent holds that events are what the standard asks for, and that what is
// written can be read.
func TestEvent(t *testing.T) {
	b, err := full().JSON()
	if err != nil {
		t.Fatal(err)
	}
	e := required(t, b)
	if e["eventTime"] != "2026-03-01T12:00:00.000005Z" || e["eventType"] != "FAIL" {
		t.Errorf("it is %s", b)
	}
	empty, err := Event{Type: Start, Time: time.Unix(1e9, 0), Run: Run{ID: aRun}, Job: Job{Namespace: "weft", Name: "a.b"}}.JSON()
	if err != nil {
		t.Fatal(err)
	}
	required(t, empty)
	back, err := Read([]byte("["+string(b)+","+string(empty)+"]"), time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC))
	if err != nil || len(back) != 2 {
		t.Fatal(err)
	}
	again, err := back[0].JSON()
	if err != nil || string(again) != string(b) {
		t.Errorf("read and written again it is\n%s\nnot\n%s", again, b)
	}
	for _, d := range []weft.Derivation{
		weft.DeriveIdentity, weft.DeriveTransform, weft.DeriveAggregate, weft.DeriveConditional, weft.DeriveJoin, weft.DeriveFilter, weft.DeriveGroup, weft.DeriveSort,
	} {
		if got := TransformationOf(d).Derivation(); got != d {
			t.Errorf("%s becomes %s", d, got)
		}
	}
	for _, x := range []struct {
		t    Transformation
		want weft.Derivation
	}{{Transformation{"INDIRECT", "WINDOW"}, weft.DeriveSort}, {Transformation{"INDIRECT", "?"}, weft.DeriveFilter}, {Transformation{}, weft.DeriveTransform}} {
		if got := x.t.Derivation(); got != x.want {
			t.Errorf("%v becomes %s", x.t, got)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	good := `{"eventType":"COMPLETE","eventTime":"2026-03-01T11:00:00Z","run":{"runId":"` + aRun + `"},"job":{"namespace":"n","name":"j"},"producer":"https://x","inputs":[{"namespace":"a","name":"b","facets":{"unknown":{"x":[1]}}}],"more":{"y":1}}`
	if e, err := Read([]byte(good), now); err != nil || e[0].Inputs[0].Name != "b" {
		t.Fatal(err)
	}
	swap := func(a, b string) string {
		if !strings.Contains(good, a) {
			t.Fatal(a)
		}
		return strings.Replace(good, a, b, 1)
	}
	long := strings.Repeat("x", 1001)
	var many []string
	for range MaxEvents + 1 {
		many = append(many, good)
	}
	for _, x := range []struct{ message, want string }{
		{"", "no event"},
		{"null", "missing"},
		{"[]", "0 events"},
		{"{", "no event"},
		{good + good, "behind"},
		{"[" + good, "no JSON"},
		{`"x"`, "no event"},
		{"[" + strings.Join(many, ",") + "]", "101 events"},
		{strings.Repeat(" ", MaxMessage) + good, "bytes"},
		{swap("COMPLETE", "DONE"), "eventType"},
		{swap("2026-03-01T11", "2026-03-01T15"), "eventTime"},
		{swap("2026-03-01T11:00:00Z", "yesterday secret"), "eventTime"},
		{swap(aRun, "7"), "runId"},
		{swap(`"https://x"`, `""`), "producer"},
		{swap(`"name":"j"`, `"name":""`), "job"},
		{swap(`"name":"j"`, `"name":"`+long+`"`), "job"},
		{swap(`"name":"j"`, `"name":"a\u0000b"`), "job"},
		{swap(`"name":"b"`, `"nam":"b"`), "inputs[0]"},
		{swap(`"inputs":[`, `"inputs":[`+strings.Repeat(`{"namespace":"a","name":"b"},`, maxDatasets)), "201 datasets"},
		{swap(`"inputs":[`, `"inputs":{"a":[`), "no event"},
		{swap(`"unknown":{"x":[1]}`, `"columnLineage":{"fields":{"c":{"inputFields":[{"namespace":"a","name":"b"}]}}}`), "field of every input"},
		{swap(`"unknown":{"x":[1]}`, `"columnLineage":{"fields":{"":{"inputFields":[]}}}`), "has no name"},
		{swap(`"unknown":{"x":[1]}`, `"schema":{"fields":[`+strings.Repeat(`{"name":"c"},`, maxFields)+`{"name":"c"}]}`), "2001 columns"},
	} {
		_, err := Read([]byte(x.message), now)
		if weft.KindOf(err) != weft.KindInvalid || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%.200s gives %v, want %s", x.message, err, x.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	b, _ := full().JSON()
	f.Add(b)
	f.Add([]byte("[" + string(b) + "]"))
	f.Add([]byte(`{"run":{"runId":1}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		events, err := Read(b, time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC))
		if (err == nil) == (len(events) == 0) {
			t.Fatalf("%d events and %v", len(events), err)
		}
		for _, e := range events {
			if _, err := e.JSON(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// receiver is an endpoint that can fail.
type receiver struct {
	*httptest.Server
	status atomic.Int32
	mu     sync.Mutex
	got    [][]byte
	keys   []string
	tries  int
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.status.Store(http.StatusCreated)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		r.tries++
		if r.status.Load() == http.StatusCreated && q.Method == http.MethodPost && q.Header.Get("Content-Type") == "application/json" {
			r.got, r.keys = append(r.got, b), append(r.keys, q.Header.Get("Authorization"))
		}
		r.mu.Unlock()
		w.WriteHeader(int(r.status.Load()))
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) count() (got, tries int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got), r.tries
}

// lines is a log of whole lines.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never comes to this: " + what)
		}
	}
}

func startSender(t *testing.T, url string) (*Sender, *lines, func()) {
	log := &lines{}
	env := run.Env{Log: slog.New(slog.NewTextHandler(log, nil)), Clock: run.Wall{}}
	s := NewSender(SenderConfig{URL: url, Key: "hidden", Env: env, Tries: 2, Wait: time.Millisecond})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	end := sync.OnceFunc(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return s, log, end
}

// TestSender sends through failures: tries again, drops with one line, and says when
// events are taken again. What waits at the end is still sent.
func TestSender(t *testing.T) {
	r := newReceiver(t)
	s, log, end := startSender(t, r.URL+"/api/v1/lineage")
	s.Send(full())
	eventually(t, "the first event is there", func() bool { n, _ := r.count(); return n == 1 })
	required(t, r.got[0])
	if r.keys[0] != "Bearer hidden" {
		t.Errorf("the key is %q", r.keys[0])
	}
	r.status.Store(http.StatusServiceUnavailable)
	for range 3 {
		s.Send(full())
	}
	eventually(t, "three events are given up after two tries each", func() bool { _, n := r.count(); return n == 7 })
	eventually(t, "it is said", func() bool { return log.count("are dropped") == 1 })
	r.status.Store(http.StatusCreated)
	s.Send(full())
	eventually(t, "events are taken again", func() bool { return log.count("taken again") == 1 && log.count("dropped=3") == 1 })
	r.status.Store(http.StatusFound) // the key is not sent elsewhere
	s.Send(full())
	eventually(t, "a redirect is no success", func() bool { return log.count("are dropped") == 2 })
	r.status.Store(http.StatusCreated)
	s.Send(full())
	end()
	if n, _ := r.count(); n != 3 {
		t.Errorf("%d events came", n)
	}
	if log.count("hidden") > 0 || log.count(r.URL) > 0 {
		t.Errorf("the log has a secret or an address: %s", log.b.String())
	}
	s.Send(full()) // after the end it is dropped, and nobody waits
}

// TestSenderNeverWaits holds that a queue which nobody empties is bounded and takes
// no time.
func TestSenderNeverWaits(t *testing.T) {
	log := &lines{}
	s := NewSender(SenderConfig{URL: "http://127.0.0.1:1", Env: run.Env{Log: slog.New(slog.NewTextHandler(log, nil)), Clock: run.Wall{}}})
	for range maxWaiting + 50 {
		s.Send(full())
	}
	if len(s.waiting) != maxWaiting || log.count("are dropped") != 1 {
		t.Errorf("%d events wait, and the log has %s", len(s.waiting), log.b.String())
	}
}

func TestSenderConfig(t *testing.T) {
	for url, ok := range map[string]bool{"https://x.example/api": true, "http://127.0.0.1:5000": true, "": false, "x": false, "ftp://x": false, "https://u:p@x": false} {
		if err := (SenderConfig{URL: url}).Validate(); (err == nil) != ok {
			t.Errorf("%q gives %v", url, err)
		}
	}
}
