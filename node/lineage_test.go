package node

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weft"
	"weft/access"
	"weft/openlineage"
	"weft/records"
	"weft/serve"
)

// listener is an endpoint for OpenLineage events.
type listener struct {
	*httptest.Server
	mu     sync.Mutex
	events []openlineage.Event
	texts  []string
}

func listen(t *testing.T) *listener {
	l := &listener{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err == nil && r.Header.Get("Authorization") == "Bearer hidden" {
			var e []openlineage.Event
			if e, err = openlineage.Read(b, time.Now()); err == nil {
				l.mu.Lock()
				l.events, l.texts = append(l.events, e...), append(l.texts, string(b))
				l.mu.Unlock()
			}
		}
		if err != nil {
			t.Error(err)
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(l.Close)
	return l
}

// runs gives the ends of the runs of a job, each after its START.
func (l *listener) runs(t *testing.T, job string) (ends []openlineage.Event) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	begun := map[string]bool{}
	for _, e := range l.events {
		switch {
		case e.Job.Name != job:
		case e.Type == openlineage.Start:
			begun[e.Run.ID] = true
		case !begun[e.Run.ID]:
			t.Errorf("the run %s ends before it begins", e.Run.ID)
		default:
			ends = append(ends, e)
		}
	}
	return ends
}

// cardsMade waits until the cards of the rig's products say where columns come from.
func (r *rig) cardsMade(names ...string) {
	r.t.Helper()
	for _, name := range names {
		r.eventually("the card of "+name+" says where its columns come from", func() bool {
			e, ok := r.node.cat.Get(mustName(r.t, name))
			return ok && len(e.Card.Tables) > 0 && slices.ContainsFunc(e.Card.Tables[0].Columns, func(c weft.CardColumn) bool { return len(c.From) > 0 })
		})
	}
}

func lineageNode(l *listener) func(*Config) {
	return func(c *Config) {
		c.Lineage = LineageConfig{Endpoint: l.URL, Key: "${KEY}"}
		c.Secrets = func(name string) (string, bool) { return "hidden", name == "KEY" }
	}
}

// TestLoadsAreTold holds that every load is a run with a beginning and an end, with
// what it read and wrote, and that no value of the data is told.
func TestLoadsAreTold(t *testing.T) {
	l := listen(t)
	r := newRigWith(t, lineageNode(l))
	r.write(shop + sums)
	r.apply("shop", serve.OutcomeCommitted)
	r.apply("sums", serve.OutcomeCommitted)
	r.cardsMade("sales.shop", "insights.sums")
	r.csv("1,pen,1.50\n2,Fridolin,-7.25")
	r.refresh("sales.shop", serve.OutcomeRefused)
	r.csv("1,pen,1.50\n4,cup,2.50")
	r.refresh("sales.shop", serve.OutcomeCommitted)
	r.eventually("all runs are told", func() bool {
		return len(l.runs(t, "sales.shop")) == 3 && len(l.runs(t, "insights.sums")) >= 2
	})
	ends := l.runs(t, "sales.shop")
	first, failed, last := ends[0], ends[1], ends[2]
	if first.Type != openlineage.Complete || first.Job.Namespace != "weft" || first.Inputs[0].Namespace != "file" || !strings.HasSuffix(first.Inputs[0].Name, "/shop/data/shop.csv") {
		t.Errorf("the first run is %+v", first)
	}
	out := first.Outputs[0]
	if out.Name != "sales.shop.shop" || out.Facets.Schema.Fields[2].Type != "DECIMAL(10,2)" || out.OutputFacets.Statistics.Rows != 3 || out.Facets.Version.Version == "" {
		t.Errorf("it writes %+v", out)
	}
	if failed.Type != openlineage.Fail || !strings.Contains(failed.Run.Facets.Error.Message, "contract") {
		t.Errorf("the failed run is %+v", failed)
	}
	if as := failed.Outputs[0].Facets.Assertions.Assertions; !slices.ContainsFunc(as, func(a openlineage.Assertion) bool { return !a.Success && a.Column == "price" }) {
		t.Errorf("its assertions are %+v", as)
	}
	if c := last.Outputs[0].Facets.Columns; c == nil || c.Fields["item"].Inputs[0].Field != "item" || c.Fields["item"].Inputs[0].Namespace != "file" {
		t.Errorf("the last run's columns are %+v", c)
	}
	made := l.runs(t, "insights.sums")
	if in := made[len(made)-1].Outputs[0].Facets.Columns.Fields["value"].Inputs; len(in) != 1 || in[0].Name != "sales.shop.shop" || in[0].Field != "price" || in[0].Transformations[0].Subtype != "AGGREGATION" {
		t.Errorf("value is made from %+v", in)
	}
	r.eventually("what was sent is counted", func() bool {
		_, body, _ := r.get("/metrics")
		return strings.Contains(body, `weft_lineage_events_total{outcome="sent"}`) && !strings.Contains(body, `weft_lineage_events_total{outcome="dropped"}`)
	})
	for _, text := range l.texts {
		if strings.Contains(text, "Fridolin") {
			t.Errorf("a value is told: %s", text)
		}
	}
}

// TestOthersTell holds that what others tell of jobs is in the lineage, beyond a
// restart, and that sources and products are known by the names that they use.
func TestOthersTell(t *testing.T) {
	r := newRig(t)
	r.write(shop + sums)
	r.apply("shop", serve.OutcomeCommitted)
	r.apply("sums", serve.OutcomeCommitted)
	r.cardsMade("sales.shop", "insights.sums")
	file := r.dir + "/shop/data/shop.csv"
	tell := func(job, inputs, outputs string) (int, string) {
		status, body, _ := r.do(http.MethodPost, "/api/v1/lineage/events", fmt.Sprintf(`{"eventType":"COMPLETE","eventTime":%q,"producer":"https://example.com/airflow",
			"run":{"runId":"01961e2a-4c6f-7b3a-8f00-0123456789ab"},"job":{"namespace":"airflow","name":%q},"inputs":[%s],"outputs":[%s]}`,
			time.Now().UTC().Format(time.RFC3339), job, inputs, outputs), r.node.Token())
		return status, body
	}
	for _, x := range [][3]string{
		{"export", `{"namespace":"pg://till","name":"sales"}`, fmt.Sprintf(`{"namespace":"file","name":%q,"facets":{"columnLineage":{"_producer":"x","_schemaURL":"y",
			"fields":{"price":{"inputFields":[{"namespace":"pg://till","name":"sales","field":"cents","transformations":[{"type":"DIRECT","subtype":"TRANSFORMATION"}]}]}}}}}`, file)},
		{"dashboard", `{"namespace":"weft","name":"insights.sums.sums"}`, ""},
	} {
		if status, body := tell(x[0], x[1], x[2]); status != http.StatusCreated || strings.TrimSpace(body) != `{"events":1}` {
			t.Fatalf("%s: %d %s", x[0], status, body)
		}
	}
	if status, body := tell("", "", ""); status != http.StatusBadRequest || !strings.Contains(body, "job") {
		t.Errorf("a job without a name: %d %s", status, body)
	}
	want := `sales.shop.price  decimal(10,2)
made from
└─ shop.price  identity, local source
   └─ pg://till sales.cents  transform
goes into
└─ insights.sums.value  aggregate
   └─ airflow dashboard  job
`
	for range 2 {
		r.eventually("the lineage has the jobs", func() bool {
			status, body, _ := r.get("/api/v1/lineage?format=text&of=sales.shop.price")
			return status == http.StatusOK && strings.ReplaceAll(body, " · fresh", "") == want
		})
		r.restart()
		r.cardsMade("sales.shop", "insights.sums")
	}
	secret, _, err := r.node.tokens.Create(t.Context(), "airflow", []access.Scope{access.ScopeLineage}, nil, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if status, _, _ := r.do(http.MethodPost, "/api/v1/lineage/events", "{}", secret); status != http.StatusBadRequest {
		t.Errorf("a token of scope lineage gets %d", status)
	}
	if status, _, _ := r.do(http.MethodGet, "/api/v1/lineage?of=sales.shop", "", secret); status != http.StatusForbidden {
		t.Errorf("a token of scope lineage reads: %d", status)
	}
}

// TestHearsayIsBounded holds that the oldest is forgotten, in the books and in memory.
func TestHearsayIsBounded(t *testing.T) {
	r := newRig(t)
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var events []openlineage.Event
	event := func(i int) openlineage.Event {
		e := openlineage.Event{Time: at.Add(time.Duration(i) * time.Second), Job: openlineage.Job{Namespace: "n", Name: fmt.Sprint("j", i)}}
		for k := range 100 {
			e.Inputs = append(e.Inputs, openlineage.InputDataset{Dataset: openlineage.Dataset{Namespace: "n", Name: fmt.Sprintf("d%d-%d", i, k)}})
		}
		return e
	}
	for i := range records.MaxTold/100 + 3 {
		events = append(events, event(i))
	}
	if err := r.node.tell(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	all, err := r.node.books.AllTold(t.Context())
	if err != nil || len(all) != records.MaxTold || all[0].JobName != "j3" {
		t.Errorf("%d are kept, from %v, %v", len(all), all[0], err)
	}
	h := &r.node.hearsay
	if h.count != records.MaxTold || len(h.jobs) != records.MaxTold/100 {
		t.Errorf("%d of %d jobs are in memory", h.count, len(h.jobs))
	}
	own := openlineage.Event{Time: at, Producer: openlineage.Producer, Job: openlineage.Job{Namespace: "weft", Name: "sales.shop"}, Inputs: events[0].Inputs}
	if err := r.node.tell(t.Context(), []openlineage.Event{own}); err != nil {
		t.Fatal(err)
	}
	if len(h.jobs) != records.MaxTold/100 {
		t.Error("the node believes what it told itself")
	}
}
