package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"weft"
	"weft/run"
	"weft/serve"
	"weft/serve/client"
)

// shopFolder is a product of one small file.
const shopFolder = `
-- shop/product.odps.yaml --
apiVersion: v1.0.0
kind: DataProduct
id: sales.shop
name: shop
domain: sales
version: 1.0.0
status: active
inputPorts:
  - {name: source, version: 1.0.0, contractId: sales.shop/source}
outputPorts:
  - {name: shop, version: 1.0.0, contractId: sales.shop/shop}
-- shop/source.odcs.yaml --
apiVersion: v3.1.0
kind: DataContract
id: sales.shop/source
version: 1.0.0
status: active
servers:
  - {server: files, type: local, path: ../shop.csv, format: csv}
schema:
  - {name: shop}
-- shop/shop.odcs.yaml --
apiVersion: v3.1.0
kind: DataContract
id: sales.shop/shop
version: 1.0.0
status: active
schema:
  - name: shop
    properties:
      - {name: id, logicalType: integer, physicalType: bigint, required: true, primaryKey: true, primaryKeyPosition: 1}
      - {name: city, logicalType: string, physicalType: text}
-- shop.csv --
id,city
1,Bern
2,Basel
3,Chur
`

// logged collects JSON lines of a log.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// lines are the lines with the message, as maps.
func (l *logged) lines(t *testing.T, msg string) []map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []map[string]any
	for line := range bytes.Lines(l.b.Bytes()) {
		m := map[string]any{}
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if m["msg"] == msg {
			out = append(out, m)
		}
	}
	return out
}

func (l *logged) env() run.Env {
	return run.Env{Log: slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})), Clock: run.Wall{}}
}

// get asks the node's API with its own token and returns status and body.
func (r *rig) get(path string) (int, string, http.Header) {
	r.t.Helper()
	return r.do(http.MethodGet, path, "", r.node.Token())
}

func (r *rig) do(method, path, body, token string) (int, string, http.Header) {
	r.t.Helper()
	req, err := http.NewRequest(method, r.node.URL()+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(b), res.Header
}

// One id goes through everything that a question or a load writes down, and is
// what the answer's header and an error's body say.
func TestOneIDPerQuestionAndLoad(t *testing.T) {
	var log logged
	r := newRigWith(t, func(c *Config) { c.RunEnv = log.env() })
	r.write(shopFolder)
	r.apply("shop", serve.OutcomeCommitted)

	const secret = "Winterthur"
	status, _, head := r.do(http.MethodPost, "/api/v1/query", `{"sql":"SELECT * FROM sales.shop WHERE city <> '`+secret+`'"}`, r.node.Token())
	if status != http.StatusOK {
		t.Fatal(status)
	}
	id := head.Get(serve.HeaderRequest)
	awaitLine(t, &log, "question", func(m map[string]any) bool { return m["request"] == id }) // written after the last byte
	questions := log.lines(t, "question")
	if len(questions) != 1 || questions[0]["request"] != id || questions[0]["outcome"] != "ok" || questions[0]["rows"] != 3.0 ||
		questions[0]["cut"] != "sales.shop#2" || questions[0]["subject"] == "" || questions[0]["bytes"].(float64) <= 0 {
		t.Fatalf("the question %s has the lines %v", id, questions)
	}
	awaitLine(t, &log, "request", func(m map[string]any) bool { return m["request"] == id && m["rows"] == 3.0 })

	status, body, head := r.do(http.MethodPost, "/api/v1/query", `{"sql":"SELECT '`+secret+`' FROM sales.shops"}`, r.node.Token())
	var p serve.Problem
	if err := json.Unmarshal([]byte(body), &p); err != nil || status != http.StatusNotFound {
		t.Fatal(status, body, err)
	}
	if p.Request == "" || p.Request != head.Get(serve.HeaderRequest) {
		t.Errorf("the error says request %q, the header %q", p.Request, head.Get(serve.HeaderRequest))
	}
	awaitLine(t, &log, "question", func(m map[string]any) bool { return m["request"] == p.Request })
	questions = log.lines(t, "question")
	if last := questions[len(questions)-1]; last["request"] != p.Request || last["outcome"] != string(weft.KindNotFound) {
		t.Errorf("the refused question has the line %v", last)
	}
	if strings.Contains(log.b.String(), secret) {
		t.Error("a literal of a question is in the log")
	}

	// A load: its commit and its end carry one id, and the request that asked.
	loads, commits := log.lines(t, "load"), log.lines(t, "commit")
	loads = slices.DeleteFunc(loads, func(m map[string]any) bool { return m["outcome"] != string(serve.OutcomeCommitted) }) // a look at the source may come by itself
	if len(loads) != 1 || len(commits) != 2 {
		t.Fatalf("loads %v, commits %v", loads, commits)
	}
	c := commits[1]
	if c["load"] != loads[0]["load"] || c["load"] == nil || c["product"] != "sales.shop" || c["seq"] != 2.0 || len(c["hash"].(string)) != 64 {
		t.Errorf("the load is %v, its commit %v", loads[0], c)
	}
	cl, err := client.New(client.Config{URL: r.node.URL(), Token: r.node.Token()})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	r.write("-- shop.csv --\nid,city\n1,Bern\n")
	if _, err := cl.Refresh(t.Context(), mustName(t, "sales.shop"), serve.RefreshRequest{Wait: true}, nil); err != nil {
		t.Fatal(err)
	}
	asked := ""
	awaitLine(t, &log, "request", func(m map[string]any) bool {
		if m["path"] == "/api/v1/products/sales.shop/refresh" {
			asked, _ = m["request"].(string)
		}
		return asked != ""
	})
	loads = log.lines(t, "load")
	if !slices.ContainsFunc(loads, func(m map[string]any) bool { return m["request"] == asked }) {
		t.Errorf("no load says that request %s asked for it: %v", asked, loads)
	}
}

// awaitLine waits for a line that is written after the answer was sent.
func awaitLine(t *testing.T, log *logged, msg string, is func(map[string]any) bool) {
	t.Helper()
	await(t, msg, func() bool { return slices.ContainsFunc(log.lines(t, msg), is) })
}

// await polls until ok.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-end:
			t.Fatalf("%s never came", what)
		case <-tick.C:
		}
	}
}

// What the node counts parses, is named as Prometheus wants it, says what
// happened, and has no label of which there could be many.
func TestMetrics(t *testing.T) {
	r := newRig(t)
	r.write(shopFolder)
	r.apply("shop", serve.OutcomeCommitted)
	for _, sql := range []string{"SELECT * FROM sales.shop", "SELECT * FROM sales.nothing", "SELEC"} {
		r.do(http.MethodPost, "/api/v1/query", `{"sql":"`+sql+`"}`, r.node.Token())
	}
	if status, _, _ := r.do(http.MethodGet, "/metrics", "", ""); status != http.StatusUnauthorized {
		t.Errorf("without a token /metrics answers %d", status)
	}
	await(t, "the count of questions", func() bool {
		_, text, _ := r.get("/metrics")
		return strings.Contains(text, "weft_question_duration_seconds_count 3")
	})
	status, text, _ := r.get("/metrics")
	if status != http.StatusOK {
		t.Fatal(status, text)
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{"outcome", "state", "part", "route", "status", "version", "goversion", "quantile", "why", "reason", "lane"}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if !slices.Contains(allowed, l.GetName()) {
					t.Errorf("%s has the label %s: could there be many of it?", name, l.GetName())
				}
				if strings.Contains(l.GetValue(), "sales") {
					t.Errorf("%s names a product: %s", name, l.GetValue())
				}
			}
		}
	}
	for name, want := range map[string]float64{
		`weft_questions_total{outcome="ok"}`: 1, `weft_questions_total{outcome="not_found"}`: 1, `weft_questions_total{outcome="invalid"}`: 1,
		`weft_question_duration_seconds`: 3, `weft_question_rows_total`: 3, `weft_loads_total{outcome="committed"}`: 1,
		`weft_commits_total{outcome="ok"}`: 2, `weft_commit_duration_seconds`: 2, `weft_products{state="fresh"}`: 1,
		`weft_products{state="source_lost"}`: 0, `weft_ready`: 1, `weft_load_rows_total`: 3, `weft_work_running`: 0,
		`weft_workers_ended_total{reason="crashed"}`: 0, `weft_workers_ended_total{reason="memory"}`: 0,
		`weft_lane_running{lane="light"}`: 0, `weft_lane_waiting{lane="heavy"}`: 0, `weft_memory_granted_bytes`: 0,
		`weft_store_tail_rows`: 0, `weft_store_tail_bytes`: 0, // the load came as a file
	} {
		if got := sampleOf(families, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for _, name := range []string{
		"weft_build_info", "weft_fsync_duration_seconds", `weft_data_bytes{part="journal"}`, `weft_data_bytes{part="books"}`,
		"weft_disk_free_bytes", "weft_workers_started_total", "go_goroutines", "process_cpu_seconds_total", `weft_http_requests_total{route="POST /api/v1/query"}`,
	} {
		if got := sampleOf(families, name); !(got > 0) {
			t.Errorf("%s is %v, want some", name, got)
		}
	}
	// A token of scope metrics reads them and nothing else.
	nt, err := r.node.CreateToken(t.Context(), tester, serve.TokenRequest{Name: "prometheus", Scopes: []serve.Scope{serve.ScopeMetrics}})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/metrics": http.StatusOK, "/api/v1/products": http.StatusForbidden} {
		if status, body, _ := r.do(http.MethodGet, path, "", nt.Token); status != want {
			t.Errorf("with scope metrics %s answers %d: %s", path, status, body)
		}
	}
}

// sampleOf is a sample's value, a histogram's count; its labels must be among the
// metric's. NaN where there is none.
func sampleOf(families map[string]*dto.MetricFamily, sample string) float64 {
	name, label, _ := strings.Cut(strings.TrimSuffix(sample, "}"), "{")
	var sum float64
	found := false
	for _, m := range families[name].GetMetric() {
		key, value, _ := strings.Cut(label, "=")
		if label != "" && !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool {
			return l.GetName() == key && fmt.Sprintf("%q", l.GetValue()) == value
		}) {
			continue
		}
		found = true
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
	}
	if !found {
		return -1
	}
	return sum
}

// A worker that is killed from outside is counted as that.
func TestMetricsCountWorkersThatDie(t *testing.T) {
	r := newRig(t)
	r.write(shopFolder)
	r.apply("shop", serve.OutcomeCommitted)
	r.want("SELECT count(*) FROM sales.shop", "3")
	workers := children(t)
	for _, pid := range workers {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if len(workers) == 0 {
		t.Fatal("there is no worker to kill")
	}
	crashed := func() float64 {
		_, text, _ := r.get("/metrics")
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return sampleOf(families, `weft_workers_ended_total{reason="crashed"}`)
	}
	await(t, "the count of crashes", func() bool { return crashed() >= float64(len(workers)) })
	r.want("SELECT count(*) FROM sales.shop", "3")
}

// A node that is told to stop answers what runs to its end, refuses what is new
// in so many words, and says so to those who watch it.
func TestStopDrains(t *testing.T) {
	r := newRig(t)
	r.write(shopFolder)
	r.apply("shop", serve.OutcomeCommitted)
	b := r.node.Backend()
	ans, err := b.Querier.Query(t.Context(), weft.Question{SQL: "SELECT * FROM sales.shop", Subject: tester})
	if err != nil {
		t.Fatal(err)
	}
	r.cancel()
	var is serve.Readiness
	await(t, "stopping", func() bool {
		is = b.Node.Ready(t.Context())
		return len(is.Reasons) > 0
	})
	if is.Ready || is.Reasons[0].Code != serve.NotReadyStopping {
		t.Errorf("it is %+v", is)
	}
	for path, want := range map[string]int{"/healthz": http.StatusOK, "/readyz": http.StatusServiceUnavailable} {
		if status, body, _ := r.get(path); status != want {
			t.Errorf("%s answers %d: %s", path, status, body)
		}
	}
	status, body, head := r.do(http.MethodPost, "/api/v1/query", `{"sql":"SELECT 1"}`, r.node.Token())
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "the node is stopping") || head.Get("Retry-After") == "" {
		t.Errorf("a new question: %d %s", status, body)
	}
	if _, err := r.node.Refresh(t.Context(), tester, mustName(t, "sales.shop"), serve.RefreshRequest{Wait: true}, nil); weft.KindOf(err) != weft.KindUnavailable {
		t.Errorf("a new load: %v", err)
	}
	select {
	case err := <-r.done:
		t.Fatal("the node ended while a question ran:", err)
	default:
	}
	var out bytes.Buffer
	if _, err := serve.Encode(&out, serve.FormatCSV, ans); err != nil || strings.Count(out.String(), "\n") != 4 {
		t.Errorf("the running question gave %q, %v", out.String(), err)
	}
	if err := ans.Close(); err != nil {
		t.Error(err)
	}
	r.stop()
}

// What does not end in time is cut off.
func TestDrainHasAnEnd(t *testing.T) {
	r := newRigWith(t, func(c *Config) { c.Drain = 20 * time.Millisecond })
	ans, err := r.node.Backend().Querier.Query(t.Context(), weft.Question{SQL: "SELECT a.range FROM range(100000) a, range(100000) b", Subject: tester})
	if err != nil {
		t.Fatal(err)
	}
	r.stop()
	for ans.Rows.Next() {
	}
	if err := ans.Rows.Err(); err == nil {
		t.Error("a question that was cut off ends as if it were whole")
	}
	_ = ans.Close()
}

// Without room on the disk the node is not ready, and says how much is missing.
func TestReadyWantsDisk(t *testing.T) {
	r := newRigWith(t, func(c *Config) { c.DiskReserve = 1 << 60 })
	status, body, _ := r.do(http.MethodGet, "/readyz", "", "")
	var is serve.Readiness
	if err := json.Unmarshal([]byte(body), &is); err != nil || status != http.StatusServiceUnavailable {
		t.Fatal(status, body, err)
	}
	if is.Ready || len(is.Reasons) != 1 || is.Reasons[0].Code != serve.NotReadyDisk {
		t.Errorf("it is %+v", is)
	}
	cl, err := client.New(client.Config{URL: r.node.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.Ready(context.Background()); weft.KindOf(err) != weft.KindUnavailable || !strings.Contains(err.Error(), "disk.reserve") {
		t.Errorf("the client says %v", err)
	}
}

// TestProbesAnswerWhileTheNodeOpens holds that whoever watches a node that opens its
// data is told so, and that what else is asked waits for it.
func TestProbesAnswerWhileTheNodeOpens(t *testing.T) {
	r := &rig{t: t, dir: t.TempDir()}
	n, err := New(r.config())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = n.Close() }()
	if err := errors.Join(n.takeFolder(), n.openDoor(t.Context())); err != nil {
		t.Fatal(err)
	}
	n.opens("products are listed, 3 of 7")
	r.node = n
	status, body, _ := r.do(http.MethodGet, "/readyz", "", "")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "the node is starting: products are listed, 3 of 7") {
		t.Errorf("it answers %d %s", status, body)
	}
	if status, body, _ := r.do(http.MethodGet, "/healthz", "", ""); status != http.StatusOK {
		t.Errorf("it answers %d %s", status, body)
	}
	answered := make(chan int, 1)
	go func() {
		res, err := http.Get(n.URL() + "/api/v1/products")
		if err != nil {
			answered <- -1
			return
		}
		_ = res.Body.Close()
		answered <- res.StatusCode
	}()
	if err := n.openMesh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := n.openData(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	if got := <-answered; got != http.StatusUnauthorized {
		t.Errorf("who asked early got %d", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
