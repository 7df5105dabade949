package node

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
	"weft/engine"
	"weft/serve"
)

// fakeMesh is the others as a node sees them, over plain HTTP.
type fakeMesh struct {
	mu       sync.Mutex
	products map[weft.Name]foreign
	domains  map[weft.KeyID][]string
	self     weft.KeyID
	base     string // of the node that holds all products
	away     bool   // it cannot be reached, and that is known
	via      http.RoundTripper
}

func (m *fakeMesh) find(n weft.Name) (*foreign, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.products[n]
	if !ok {
		return nil, nil
	}
	return &f, nil
}

func (m *fakeMesh) client(weft.KeyID) *http.Client { return &http.Client{Transport: m} }

func (m *fakeMesh) domainsOf(k weft.KeyID) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.domains[k]
}

func (m *fakeMesh) own() []string { return m.domainsOf(m.self) }

func (m *fakeMesh) reached(weft.KeyID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.away
}

// moves has the others be elsewhere, and gives where they were.
func (m *fakeMesh) moves(base string) (was string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	was, m.base = m.base, base
	return was
}

// nowhere is an address where nobody answers.
const nowhere = "http://127.0.0.1:1"

const fromHeader = "Test-Node"

func (m *fakeMesh) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	m.mu.Lock()
	r.URL.Host = strings.TrimPrefix(m.base, "http://")
	m.mu.Unlock()
	r.Header.Set(fromHeader, m.self.String())
	if m.via != nil {
		return m.via.RoundTrip(r)
	}
	return http.DefaultTransport.RoundTrip(r)
}

type fromKey struct{}

// peerServer serves what other nodes ask of n, with what is between.
func peerServer(t *testing.T, n *Node, between func(http.Handler) http.Handler) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	from := func(ctx context.Context) weft.KeyID {
		k, _ := ctx.Value(fromKey{}).(weft.KeyID)
		return k
	}
	n.peerRoutes(mux.Handle, from)
	n.partRoutes(mux.Handle, from)
	n.feedRoutes(mux.Handle, from)
	h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var k weft.KeyID
		_ = k.UnmarshalText([]byte(r.Header.Get(fromHeader)))
		mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), fromKey{}, k)))
	}))
	if between != nil {
		h = between(h)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// pulling is a node with sales.shop and another one that makes insights.sums from it.
type pulling struct {
	t      *testing.T
	origin *rig
	asker  *rig
	seen   *fakeMesh // by the asker
	asked  struct{ states, tables atomic.Int64 }
	lie    atomic.Pointer[func(w http.ResponseWriter, r *http.Request, next http.Handler)]
}

func key(b byte) weft.KeyID { return weft.KeyID{b} }

func newPulling(t *testing.T) *pulling {
	t.Helper()
	p := &pulling{t: t, origin: newRig(t), asker: newRig(t)}
	p.origin.node.far = &fakeMesh{domains: map[weft.KeyID][]string{key(2): {"insights"}}}
	s := peerServer(t, p.origin.node, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/tables/") {
				p.asked.tables.Add(1)
			} else {
				p.asked.states.Add(1)
			}
			if lie := p.lie.Load(); lie != nil {
				(*lie)(w, r, next)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	p.seen = &fakeMesh{self: key(2), base: s.URL, products: map[weft.Name]foreign{}}
	p.asker.node.far = p.seen
	p.origin.write(shop)
	p.origin.apply("shop", serve.OutcomeCommitted)
	p.head("sales.shop")
	p.asker.write(sums)
	return p
}

// head makes the asker see the head of a product as it is at its origin.
func (p *pulling) head(name string) { p.seen.see(p.t, p.origin, name) }

// see makes a product of origin known, with its card and its head as they are there.
func (m *fakeMesh) see(t *testing.T, origin *rig, name string) weft.Point {
	t.Helper()
	up, err := origin.node.find(mustName(t, name))
	if err != nil {
		t.Fatal(err)
	}
	release, err := up.hold(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	f, err := up.readFolder(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	h := weft.CardHead{Point: up.store.Head(), Origin: key(1), State: weft.StateFresh}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.products[up.name()] = foreign{name: up.name(), origin: key(1), id: up.record().ID, head: &h, card: cardOf(f, up.record(), nil)}
	return h.Point
}

func (p *pulling) lies(f func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	if f == nil {
		p.lie.Store(nil)
		return
	}
	p.lie.Store(&f)
}

// refresh asks for a load of insights.sums and gives its error.
func (p *pulling) refresh() (*serve.RefreshResult, error) {
	return p.asker.node.Refresh(context.Background(), tester, mustName(p.t, "insights.sums"), serve.RefreshRequest{Wait: true}, nil)
}

func TestPull(t *testing.T) {
	p := newPulling(t)
	p.asker.apply("sums", serve.OutcomeCommitted)
	p.asker.want("SELECT * FROM insights.sums", "3,11.75")
	up, _ := p.origin.node.find(mustName(t, "sales.shop"))
	last, _ := up.store.Last()
	own, _ := p.asker.node.find(mustName(t, "insights.sums"))
	c, _ := own.store.Last()
	var at weft.Point
	if err := json.Unmarshal(c.Positions["shop"], &at); err != nil || at.Hash != last.Hash || at.ID != last.ID || at.Seq != last.Seq || at.Incarnation != last.Incarnation {
		t.Errorf("the position is %+v, the origin's commit %+v: %v", at, last, err)
	}

	// The head has not moved: nobody is asked, unless somebody asks here.
	states, tables := p.asked.states.Load(), p.asked.tables.Load()
	own.wake(weft.CauseLoad)
	p.asker.eventually("the load ends", func() bool {
		own.mu.Lock()
		defer own.mu.Unlock()
		return !own.waiting && !own.working
	})
	if p.asked.states.Load() != states || p.asked.tables.Load() != tables {
		t.Error("the origin was asked though its head has not moved")
	}
	if res, err := p.refresh(); err != nil || res.Outcome != serve.OutcomeUnchanged || p.asked.states.Load() != states+1 || p.asked.tables.Load() != tables {
		t.Errorf("%+v %v: %d states, %d tables", res, err, p.asked.states.Load()-states, p.asked.tables.Load()-tables)
	}

	// The head moves: the product follows.
	p.origin.csv("1,pen,2.50\n2,ink,7.25")
	p.origin.refresh("sales.shop", serve.OutcomeCommitted)
	p.head("sales.shop")
	p.asker.node.notify(mustName(t, "sales.shop"))
	p.asker.eventually("it follows", func() bool { return p.asker.ask("SELECT * FROM insights.sums") == "2,9.75" })

	// It is made anew from other SQL: the same rows are pulled again.
	p.asker.write("-- sums/sums.sql --\nSELECT count(*) AS orders, 2 * sum(price) AS value FROM shop\n")
	p.asker.apply("sums", serve.OutcomeCommitted)
	p.asker.want("SELECT * FROM insights.sums", "2,19.50")
	if s := p.asker.state("insights.sums"); s.State != weft.StateFresh {
		t.Errorf("its state is %s: %s", s.State, s.LastError)
	}
}

// TestPullIsOfOnePoint holds that all tables are read at the commit that was said,
// also when others come meanwhile.
func TestPullIsOfOnePoint(t *testing.T) {
	p := newPulling(t)
	var once sync.Once
	p.lies(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/tables/") {
			once.Do(func() {
				p.origin.csv("9,mug,100")
				p.origin.refresh("sales.shop", serve.OutcomeCommitted)
			})
		}
		next.ServeHTTP(w, r)
	})
	p.asker.apply("sums", serve.OutcomeCommitted)
	p.asker.want("SELECT * FROM insights.sums", "3,11.75")
}

// TestPullDenied: a node that may not speak for the domain of the product that asks
// gets nothing, whatever it says.
func TestPullDenied(t *testing.T) {
	p := newPulling(t)
	get := func(node weft.KeyID, path string) (int, string) {
		r, err := http.NewRequest(http.MethodGet, p.seen.base+"/peer/v1/products/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(fromHeader, node.String())
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(b)
	}
	for _, c := range []struct {
		node weft.KeyID
		path string
		want int
	}{
		{key(2), "sales.shop?for=insights.sums", 200},
		{key(2), "sales.shop?for=sales.sums", 403},
		{key(2), "sales.shop", 400},
		{key(2), "sales.shop?for=insights", 400},
		{key(3), "sales.shop?for=insights.sums", 403},
		{weft.KeyID{}, "sales.shop?for=insights.sums", 403},
		{key(2), "sales.nothing?for=insights.sums", 404},
		{key(3), "sales.nothing?for=insights.sums", 403},
		{key(2), "sales.shop/tables/shop?for=insights.sums", 400},
		{key(2), "sales.shop/tables/shop?for=insights.sums&seq=2&incarnation=1&hash=00", 400},
		{key(2), "sales.shop/tables/shop?for=insights.sums&seq=2&incarnation=1&hash=" + strings.Repeat("00", 32), 409},
		{key(2), "sales.shop/tables/_quarantine?for=insights.sums&seq=2&incarnation=1&hash=" + strings.Repeat("00", 32), 400},
		{key(3), "sales.shop/tables/shop?for=insights.sums&seq=2&incarnation=1&hash=" + strings.Repeat("00", 32), 403},
	} {
		if got, body := get(c.node, c.path); got != c.want {
			t.Errorf("%s %s: %d %s", c.node.Short(), c.path, got, body)
		} else if got != 200 && strings.Contains(body, "pen") {
			t.Errorf("%s: values in a refusal: %s", c.path, body)
		}
	}
	p.origin.node.far = &fakeMesh{}
	p.asker.apply("sums", serve.OutcomeRefused)
}

// TestPullAsksTheReaders: the origin's weftReaders decide, at the origin and from now on.
func TestPullAsksTheReaders(t *testing.T) {
	p := newPulling(t)
	p.asker.apply("sums", serve.OutcomeCommitted)
	for _, readers := range []string{"", ", customProperties: [{property: weftReaders, value: [finance]}]"} {
		closed := strings.Replace(shop, ", customProperties: [{property: weftReaders, value: [insights]}]", readers, 1)
		p.origin.write(closed)
		if _, err := p.origin.node.Apply(context.Background(), tester, serve.ApplyRequest{Archive: p.origin.pack("shop"), Dir: p.origin.dir + "/shop", Breaking: true}, nil); err != nil {
			t.Fatal(err)
		}
		res, err := p.refresh()
		if err != nil || res.Outcome != serve.OutcomeRefused || !strings.Contains(res.Message, "may read it") {
			t.Errorf("readers %q: %+v %v", readers, res, err)
		}
		p.asker.want("SELECT * FROM insights.sums", "3,11.75")
		if s := p.asker.state("insights.sums"); s.State != weft.StateRefused || !strings.Contains(s.Todo, "weftReaders") {
			t.Errorf("%s, to do %q", s.State, s.Todo)
		}
	}
	p.origin.write(strings.Replace(shop, "status: active", "status: draft", 1))
	if _, err := p.origin.node.Apply(context.Background(), tester, serve.ApplyRequest{Archive: p.origin.pack("shop"), Dir: p.origin.dir + "/shop", Breaking: true}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := p.refresh(); weft.KindOf(err) != weft.KindNotFound {
		t.Errorf("a draft is %v", err)
	}
}

// sends writes an answer to a pull as the test makes it up.
func sends(t *testing.T, w io.Writer, end any, batches ...arrow.RecordBatch) {
	t.Helper()
	out, err := engine.NewRowWriter(w, batches[0].Schema())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		if out.Write(b) != nil {
			return
		}
	}
	if end != nil {
		_ = out.End(end)
	}
}

// shopRows are n rows of sales.shop, whose items are what is given.
func shopRows(n int, item string, priceType arrow.DataType) arrow.RecordBatch {
	sc := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "item", Type: arrow.BinaryTypes.String, Nullable: true}, {Name: "price", Type: priceType, Nullable: true},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, sc)
	defer b.Release()
	for i := range n {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.StringBuilder).Append(item)
		b.Field(2).AppendNull()
	}
	return b.NewRecordBatch()
}

var price = &arrow.Decimal128Type{Precision: 10, Scale: 2}

// TestPullBelievesNothing: whatever the other node sends that is not what it must,
// nothing of it is taken, the rows of before stay, and it is said what happened.
func TestPullBelievesNothing(t *testing.T) {
	p := newPulling(t)
	p.asker.node.pace = peerPace{every: time.Second, bytes: 1000} // under the race detector the honest ones are slow too
	p.asker.apply("sums", serve.OutcomeCommitted)
	p.origin.csv("1,pen,2.50\n2,ink,7.25")
	p.origin.refresh("sales.shop", serve.OutcomeCommitted)
	p.head("sales.shop")
	up, _ := p.origin.node.find(mustName(t, "sales.shop"))
	point, err := publishedPoint(up.store, up.name())
	if err != nil {
		t.Fatal(err)
	}
	end := farEnd{Point: point, Rows: 2}
	other := point
	other.Hash[0]++
	real := func(r *http.Request, next http.Handler) []byte {
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		return rec.Body.Bytes()
	}
	state := func(change func(*farState)) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			b := real(r, next)
			var st farState
			if !strings.Contains(r.URL.Path, "/tables/") {
				if err := json.Unmarshal(b, &st); err != nil {
					t.Error(err)
				}
				change(&st)
				b, _ = json.Marshal(st)
			}
			_, _ = w.Write(b)
		}
	}
	table := func(f func(w http.ResponseWriter, r *http.Request, next http.Handler)) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if strings.Contains(r.URL.Path, "/tables/") {
				f(w, r, next)
			} else {
				next.ServeHTTP(w, r)
			}
		}
	}
	made := func(end any, batches ...arrow.RecordBatch) func(http.ResponseWriter, *http.Request, http.Handler) {
		return table(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { sends(t, w, end, batches...) })
	}
	for name, c := range map[string]struct {
		lie  func(http.ResponseWriter, *http.Request, http.Handler)
		kind weft.Kind
		says string
	}{
		"killed in the middle": {table(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			b := real(r, next)
			_, _ = w.Write(b[:len(b)/2])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}), weft.KindUnavailable, "broke off"},
		"truncated, but well ended": {table(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			b := real(r, next)
			_, _ = w.Write(b[:len(b)-1])
		}), weft.KindUnavailable, "broke off"},
		"without an end":     {made(nil, shopRows(2, "x", price)), weft.KindUnavailable, "broke off"},
		"wrong type":         {made(end, shopRows(2, "x", arrow.PrimitiveTypes.Int64)), weft.KindCorrupt, "column 3 of table shop is bigint"},
		"more rows":          {made(end, shopRows(3, "x", price)), weft.KindCorrupt, "more than the 2 rows"},
		"fewer rows":         {made(farEnd{Point: point, Rows: 1}, shopRows(1, "x", price)), weft.KindCorrupt, "1 rows of table shop come"},
		"no UTF-8":           {made(end, shopRows(2, "\xff\xfe", price)), weft.KindCorrupt, "not as they must be"},
		"rows of another":    {made(farEnd{Point: other, Rows: 2}, shopRows(2, "x", price)), weft.KindCorrupt, "another commit"},
		"a fault at the end": {made(farEnd{Point: point, Fault: serve.ProblemOf(weft.Errorf(weft.KindGone, "read", "it", "gone\x1b[31m"), "")}, shopRows(1, "x", price)), weft.KindGone, "gone [31m"},
		"something behind": {table(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			_, _ = w.Write(append(real(r, next), 0))
		}), weft.KindCorrupt, "follows the end"},
		"no rows but bytes": {table(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			_, _ = io.WriteString(w, strings.Repeat("<html>", 100))
		}), weft.KindCorrupt, "frame"},
		"endless rows": {table(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			out, err := engine.NewRowWriter(w, shopRows(1, "x", price).Schema())
			for err == nil {
				err = out.Write(shopRows(1000, "x", price))
			}
		}), weft.KindCorrupt, "more than the 2 rows"},
		"one endless frame": {table(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			_, err := w.Write([]byte{0xff, 0xff, 0xff, 0xff, 'B', 0, 0, 0})
			for err == nil {
				_, err = w.Write(make([]byte, 1<<16))
			}
		}), weft.KindCorrupt, "frame"},
		"a byte now and then": {table(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			for _, b := range real(r, next) {
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
		}), weft.KindUnavailable, "does not go on"},
		"nothing at all": {table(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			<-r.Context().Done()
		}), weft.KindUnavailable, "does not go on"},
		"another product":    {state(func(st *farState) { st.Point.Product.Product = "other" }), weft.KindCorrupt, "another product"},
		"another identity":   {state(func(st *farState) { st.Point.ID = "other" }), weft.KindCorrupt, "another product"},
		"another commit":     {state(func(st *farState) { st.Point.Hash[0]++ }), weft.KindCorrupt, "not the one that its signed head names"},
		"a path for a table": {state(func(st *farState) { st.Tables[0].Name = "../../x" }), weft.KindCorrupt, "none can have"},
		"no tables":          {state(func(st *farState) { st.Tables = nil }), weft.KindCorrupt, "0 tables"},
		"a column twice":     {state(func(st *farState) { st.Tables[0].Columns[1].Name = "ID" }), weft.KindCorrupt, "column that none"},
		"a huge state": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			_, err := io.WriteString(w, `{"tables":[`)
			for err == nil {
				_, err = io.WriteString(w, strings.Repeat(" ", 1<<16))
			}
		}, weft.KindCorrupt, "cannot be read"},
		"no JSON":          {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { _, _ = io.WriteString(w, "<html>") }, weft.KindCorrupt, "cannot be read"},
		"a bare status":    {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusForbidden) }, weft.KindDenied, "gives nothing"},
		"an unknown state": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusTeapot) }, weft.KindInvalid, ""},
	} {
		p.lies(c.lie)
		res, err := p.refresh()
		if c.kind == weft.KindDenied && err == nil && res.Outcome == serve.OutcomeRefused {
			err = weft.Errorf(weft.KindDenied, "refresh", "", "%s", res.Message).WithHint("see the state")
		}
		if weft.KindOf(err) != c.kind || err == nil || !strings.Contains(err.Error(), c.says) || weft.HintOf(err) == "" {
			t.Errorf("%s: %s %v, to do %q", name, weft.KindOf(err), err, weft.HintOf(err))
		}
		p.asker.want("SELECT * FROM insights.sums", "3,11.75")
		want := weft.StateUpstreamStopped
		if c.kind == weft.KindDenied {
			want = weft.StateRefused
		}
		if s := p.asker.state("insights.sums"); s.State != want || s.Todo == "" {
			t.Errorf("%s: its state is %s, to do %q", name, s.State, s.Todo)
		}
	}
	left, err := os.ReadDir(p.asker.node.cfg.path("stage"))
	if err != nil || len(left) > 0 {
		t.Errorf("left in the staging folder: %v %v", left, err)
	}
	p.lies(nil)
	if _, err := p.refresh(); err != nil {
		t.Fatal(err)
	}
	p.asker.want("SELECT * FROM insights.sums", "2,9.75")
	if s := p.asker.state("insights.sums"); s.State != weft.StateFresh {
		t.Errorf("its state is %s", s.State)
	}
}

// TestPullFromNobody: the origin is away; what was published stays, and comes again
// by itself when the origin does.
func TestPullFromNobody(t *testing.T) {
	p := newPulling(t)
	p.asker.apply("sums", serve.OutcomeCommitted)
	base := p.seen.moves(nowhere)
	_, err := p.refresh()
	if weft.KindOf(err) != weft.KindUnavailable || !strings.Contains(err.Error(), "cannot be reached") {
		t.Error(err)
	}
	if s := p.asker.state("insights.sums"); s.State != weft.StateUpstreamStopped || !strings.Contains(s.Todo, "weft peers") {
		t.Errorf("%s, to do %q", s.State, s.Todo)
	}
	p.asker.want("SELECT * FROM insights.sums", "3,11.75")
	p.seen.moves(base)
	p.asker.node.notify(mustName(t, "sales.shop"))
	p.asker.eventually("it is fresh again", func() bool { return p.asker.state("insights.sums").State == weft.StateFresh })

	p.seen.mu.Lock()
	p.seen.products = map[weft.Name]foreign{}
	p.seen.mu.Unlock()
	if _, err := p.refresh(); weft.KindOf(err) != weft.KindUnavailable || !strings.Contains(err.Error(), "is not here") {
		t.Error(err)
	}
}

// TestPullIsCancelled: a pull ends with its load.
func TestPullIsCancelled(t *testing.T) {
	p := newPulling(t)
	began := make(chan struct{}, 1)
	gone := make(chan struct{}, 1)
	p.lies(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !strings.Contains(r.URL.Path, "/tables/") {
			next.ServeHTTP(w, r)
			return
		}
		began <- struct{}{}
		<-r.Context().Done()
		gone <- struct{}{}
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := p.asker.node.Apply(ctx, tester, serve.ApplyRequest{Archive: p.asker.pack("sums")}, nil)
		done <- err
	}()
	<-began
	own, err := p.asker.node.find(mustName(t, "insights.sums"))
	if err != nil {
		t.Fatal(err)
	}
	own.end() // as when it is deleted, or the node closes
	<-gone
	cancel()
	if err := <-done; weft.KindOf(err) != weft.KindCancelled {
		t.Error(err)
	}
}

// TestPullKeepsTypes sends every type and edge value from node to node, and holds
// that SQL sees them as what they are.
func TestPullKeepsTypes(t *testing.T) {
	p := newPulling(t)
	cols := typeColumns()
	b := newTypeBench(t)
	b.exec("CREATE TABLE v AS " + typeRows(cols, 60, 7))
	path := filepath.Join(p.origin.dir, "types", "data", "types.parquet")
	p.origin.write(typeProduct("types", "parquet", cols))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	b.exec("COPY v TO '" + path + "' (FORMAT parquet)")
	p.origin.apply("types", serve.OutcomeCommitted)
	p.head("sales.types")

	var kinds []string
	for _, c := range cols {
		kinds = append(kinds, "typeof("+c.name+")")
	}
	all := "concat_ws(' ', " + strings.Join(kinds, ", ") + ") AS kinds"
	copied := typeProduct("copied", "parquet", append(cols, typeColumn{name: "kinds", typ: "text"}))
	copied = strings.NewReplacer(
		"sales", "insights", "inputPorts: [{name: copied, version: 1.0.0, contractId: sales.copied/source}]",
		"inputPorts: [{name: types, version: 1.0.0, contractId: sales.types/types, customProperties: [{property: weftProduct, value: sales.types}]}]",
	).Replace(copied)
	copied = strings.Replace(copied, "-- copied/source.odcs.yaml --"+between(copied, "-- copied/source.odcs.yaml --", "-- copied/copied.odcs"), "", 1)
	p.asker.write(copied + "-- copied/copied.sql --\nSELECT *, " + all + " FROM types\n")
	p.asker.apply("copied", serve.OutcomeCommitted)
	p.asker.exactly("pulled", "FROM insights.copied ORDER BY id", b.rows("SELECT *, "+all+" FROM v ORDER BY id"))
}
