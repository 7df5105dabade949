package http_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/prometheus/client_golang/prometheus"

	"weft"
	"weft/contract"
	"weft/serve"
)

var orders = weft.Name{Domain: "sales", Product: "orders"}

// memoryNode implements the backend in memory: what the tests of the door need
// of a node, with a hook for questions.
type memoryNode struct {
	query func(ctx context.Context, q weft.Question) (*weft.Answer, error)
	apply func(ctx context.Context, r serve.ApplyRequest, p serve.Progress) (*serve.ApplyResult, error)

	mu     sync.Mutex
	asked  []weft.Question
	calls  []string
	tokens []serve.TokenInfo
	faults []contract.Fault // of its configuration
	ready  []serve.Reason   // why it is not
	part   *memoryMesh
}

func (m *memoryNode) backend() serve.Backend {
	p := m.mesh()
	return serve.Backend{
		Querier: m, Products: m, Owner: m, Lifecycle: m, Node: m, Tokens: m, Upkeep: m, Mesh: p, Members: p, Handovers: p, Catalog: p, Lineage: p, Cuts: memoryCuts{m}, Receipts: m, Plans: m, Meter: m,
		Metrics: prometheus.NewRegistry(),
	}
}

// Receipt says what it was asked to sign.
func (m *memoryNode) Receipt(_ context.Context, q weft.Question, a *weft.Answer, sent serve.Sent) ([]byte, error) {
	if strings.Contains(q.SQL, "unsigned") {
		return nil, weft.Errorf(weft.KindUnavailable, "sign the answer", "", "an origin signs nothing")
	}
	return json.Marshal(struct {
		serve.Sent
		Nonce weft.Hash
		Cut   string
	}{sent, q.Nonce, a.Cut.Token()})
}

func (m *memoryNode) Keys(context.Context, weft.Subject) (*serve.MeshKeys, error) {
	return &serve.MeshKeys{Format: 1, Records: [][]byte{}}, nil
}

// mesh is the node's part in a mesh.
func (m *memoryNode) mesh() *memoryMesh {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.part == nil {
		m.part = &memoryMesh{n: m}
	}
	return m.part
}

func (m *memoryNode) note(call string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, call)
}

func (m *memoryNode) last() weft.Question {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked[len(m.asked)-1]
}

func (m *memoryNode) Query(ctx context.Context, q weft.Question) (*weft.Answer, error) {
	m.mu.Lock()
	m.asked = append(m.asked, q)
	f := m.query
	m.mu.Unlock()
	if f == nil {
		return answer(numbers(3, 10)...), nil
	}
	return f(ctx, q)
}

func (m *memoryNode) Explain(_ context.Context, q weft.Question, analyze bool) (*weft.Plan, error) {
	m.mu.Lock()
	m.asked = append(m.asked, q)
	m.mu.Unlock()
	p := &weft.Plan{Parts: []weft.PlanPart{}, Here: &weft.PlanHere{SQL: q.SQL, Reads: []weft.PlanRead{{Product: orders, Rows: 30, Bytes: 900}}}}
	if analyze {
		p.Measured = &weft.PlanTimes{Rows: 30}
	}
	return p, nil
}

func find(p weft.Name) error {
	if p != orders {
		return weft.Errorf(weft.KindNotFound, "find the product", p.String(), "no such product").WithHint("weft search lists them")
	}
	return nil
}

func summary() serve.ProductSummary {
	return serve.ProductSummary{Name: orders, Life: weft.LifeActive, State: weft.StateFresh, Rows: 30, Seq: 3, Tables: []string{"sales.orders"}}
}

func (m *memoryNode) List(context.Context, weft.Subject) ([]serve.ProductSummary, error) {
	return []serve.ProductSummary{summary()}, nil
}

func (m *memoryNode) Show(_ context.Context, _ weft.Subject, p weft.Name) (*serve.ProductDetail, error) {
	if err := find(p); err != nil {
		return nil, err
	}
	sample, err := serve.Collect(answer(numbers(1, 2)...), 2, "s")
	return &serve.ProductDetail{
		ProductSummary: summary(), ID: "p1", Description: contract.Description{Purpose: "Invented orders."},
		Schema: []serve.TableDetail{{Name: "sales.orders", Key: []string{"n"}, Rows: 30, Sample: sample, Hidden: []string{"s"}}},
	}, err
}

func commit(seq weft.Seq) serve.CommitInfo {
	var c serve.CommitInfo
	c.Product, c.Seq, c.Time, c.Cause = orders, seq, time.Date(2026, 3, 1, 0, 0, int(seq), 0, time.UTC), weft.CauseLoad
	return c
}

func (m *memoryNode) History(_ context.Context, _ weft.Subject, p weft.Name, before weft.Seq, limit int) ([]serve.CommitInfo, error) {
	if before == 0 || before > 4 {
		before = 4
	}
	var cs []serve.CommitInfo
	for s := before - 1; s > 0 && len(cs) < limit; s-- {
		cs = append(cs, commit(s))
	}
	return cs, find(p)
}

func (m *memoryNode) Quarantine(_ context.Context, _ weft.Subject, p weft.Name, _ int, at weft.At) (*serve.Quarantine, error) {
	q := &serve.Quarantine{Product: p, Seq: 3, Held: 1}
	if len(at.Cut) > 0 {
		q.Seq = at.Cut[0].Seq
	}
	return q, find(p)
}

func (m *memoryNode) Apply(ctx context.Context, _ weft.Subject, r serve.ApplyRequest, p serve.Progress) (*serve.ApplyResult, error) {
	m.note("apply " + string(r.Archive) + " " + r.Dir + " " + r.Revision)
	if m.apply != nil {
		return m.apply(ctx, r, p)
	}
	return &serve.ApplyResult{Product: orders, Outcome: serve.OutcomeApplied}, nil
}

func (m *memoryNode) Refresh(_ context.Context, _ weft.Subject, p weft.Name, r serve.RefreshRequest, on serve.Progress) (*serve.RefreshResult, error) {
	if err := find(p); err != nil {
		return nil, err
	}
	if on != nil && r.Wait {
		on(serve.Event{Phase: "read", Table: "orders", Rows: 10})
		on(serve.Event{Phase: "publish"})
	}
	c := commit(4)
	return &serve.RefreshResult{Product: p, Outcome: serve.OutcomeCommitted, Commit: &c}, nil
}

func (m *memoryNode) life(verb string, p weft.Name) (*serve.ProductSummary, error) {
	m.note(verb + " " + p.String())
	s := summary()
	return &s, find(p)
}

func (m *memoryNode) Pause(_ context.Context, _ weft.Subject, p weft.Name) (*serve.ProductSummary, error) {
	return m.life("pause", p)
}

func (m *memoryNode) Resume(_ context.Context, _ weft.Subject, p weft.Name) (*serve.ProductSummary, error) {
	return m.life("resume", p)
}

func (m *memoryNode) Retire(_ context.Context, _ weft.Subject, p weft.Name) (*serve.ProductSummary, error) {
	return m.life("retire", p)
}

func (m *memoryNode) Rollback(_ context.Context, _ weft.Subject, p weft.Name, to weft.Seq) (*serve.CommitInfo, error) {
	m.note("rollback " + p.String() + to.String())
	c := commit(4)
	return &c, find(p)
}

func (m *memoryNode) Delete(_ context.Context, _ weft.Subject, p weft.Name, confirm string) error {
	m.note("delete " + p.String() + " " + confirm)
	return find(p)
}

func (m *memoryNode) Status(context.Context, weft.Subject) (*serve.NodeStatus, error) {
	return &serve.NodeStatus{Name: "test", Version: "0", Products: []serve.ProductSummary{summary()}}, nil
}

func (m *memoryNode) Ready(context.Context) serve.Readiness {
	m.mu.Lock()
	defer m.mu.Unlock()
	return serve.Readiness{Ready: m.ready == nil, Reasons: m.ready}
}

func (m *memoryNode) Authenticate(_ context.Context, token string) (*serve.Identity, error) {
	s := weft.Subject{Kind: weft.SubjectPerson, ID: token, Purpose: "test"}
	switch token {
	case "read", "apply", "admin", "other":
		scope := serve.Scope(token)
		if token == "other" {
			scope = serve.ScopeRead
		}
		return &serve.Identity{Subject: s, Token: token, Scopes: []serve.Scope{scope}}, nil
	}
	return nil, weft.Errorf(weft.KindDenied, "check the token", "", "it is not known")
}

func (m *memoryNode) CreateToken(_ context.Context, _ weft.Subject, r serve.TokenRequest) (*serve.NewToken, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := serve.TokenInfo{Name: r.Name, Scopes: r.Scopes, Expires: r.Expires}
	m.tokens = append(m.tokens, t)
	return &serve.NewToken{TokenInfo: t, Token: "secret-" + r.Name}, nil
}

func (m *memoryNode) ListTokens(context.Context, weft.Subject) ([]serve.TokenInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.tokens), nil
}

func (m *memoryNode) RevokeToken(_ context.Context, _ weft.Subject, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.tokens)
	m.tokens = slices.DeleteFunc(m.tokens, func(t serve.TokenInfo) bool { return t.Name == name })
	if len(m.tokens) == n {
		return weft.Errorf(weft.KindNotFound, "revoke the token", name, "there is no such token")
	}
	return nil
}

var numberSchema = arrow.NewSchema([]arrow.Field{
	{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "s", Type: arrow.BinaryTypes.String, Nullable: true},
}, nil)

// numbers makes batches of invented rows.
func numbers(batches, rows int) []arrow.RecordBatch {
	var recs []arrow.RecordBatch
	for k := range batches {
		b := array.NewRecordBuilder(memory.DefaultAllocator, numberSchema)
		for i := range rows {
			b.Field(0).(*array.Int64Builder).Append(int64(k*rows + i))
			b.Field(1).(*array.StringBuilder).Append("invented")
		}
		recs = append(recs, b.NewRecordBatch())
	}
	return recs
}

func testCut() weft.Cut {
	return weft.Cut{{Product: orders, ID: "p1", Incarnation: 1, Seq: 3, Hash: weft.Hash{1, 2}, Time: time.Date(2026, 3, 1, 0, 0, 3, 0, time.UTC)}}
}

func answer(recs ...arrow.RecordBatch) *weft.Answer {
	r, err := array.NewRecordReader(numberSchema, recs)
	if err != nil {
		panic(err)
	}
	return &weft.Answer{Schema: numberSchema, Cut: testCut(), Held: 2, Rows: r, Close: func() error { return nil }}
}

// rowsThen is a reader of batches that a function makes, until it gives nil.
type rowsThen struct {
	array.RecordReader
	next func() (arrow.RecordBatch, error)
	rec  arrow.RecordBatch
	err  error
}

func (r *rowsThen) Next() bool {
	if r.err == nil {
		r.rec, r.err = r.next()
	}
	return r.err == nil && r.rec != nil
}
func (r *rowsThen) RecordBatch() arrow.RecordBatch { return r.rec }
func (r *rowsThen) Err() error                     { return r.err }
func (r *rowsThen) Schema() *arrow.Schema          { return numberSchema }

func answerThen(next func() (arrow.RecordBatch, error)) *weft.Answer {
	a := answer()
	a.Rows = &rowsThen{next: next}
	return a
}

func (m *memoryNode) Backup(_ context.Context, _ weft.Subject, r serve.BackupRequest, on serve.Progress) (*serve.BackupResult, error) {
	if on != nil {
		on(serve.Event{Phase: "copy", Product: "sales.orders", Bytes: 5, Total: 10})
	}
	return &serve.BackupResult{State: "s1", Products: len(r.Products), Bytes: 10, Copied: 5}, nil
}

func (m *memoryNode) Reload(context.Context, weft.Subject) (*serve.ReloadResult, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &serve.ReloadResult{Changed: []string{"log.level"}, Restart: []string{}, Faults: m.faults}, nil
}
