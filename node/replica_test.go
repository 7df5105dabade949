package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"weft"
	"weft/engine"
	"weft/replicate"
	"weft/serve"
	"weft/store"
)

// copying is a node with sales.shop and another one that keeps a copy of it.
type copying struct {
	t      *testing.T
	origin *rig
	asker  *rig
	seen   *fakeMesh // by the asker
	key    weft.KeyID
	server *httptest.Server // of the origin
	lie    atomic.Pointer[func(w http.ResponseWriter, r *http.Request, next http.Handler)]
}

// lent is shop with the consent to a copy.
func lent(consent string) string {
	return strings.Replace(shop, "value: [insights]}]", "value: [insights]}"+consent+"]", 1)
}

const consents = ", {property: weftReplicas, value: {domains: [insights], for: 1h}}"

func newCopying(t *testing.T, consent string) *copying {
	t.Helper()
	c := &copying{t: t, origin: newRig(t), asker: newRig(t)}
	k, err := c.origin.node.mesh.SigningKey()
	if err != nil {
		t.Fatal(err)
	}
	c.key = k.ID()
	c.seen = &fakeMesh{self: key(2), products: map[weft.Name]foreign{}, domains: map[weft.KeyID][]string{key(2): {"insights"}}}
	c.asker.node.far, c.asker.far = c.seen, c.seen
	c.serves()
	c.origin.write(lent(consent))
	c.origin.apply("shop", serve.OutcomeCommitted)
	c.card()
	return c
}

// serves has the origin answer the asker, as it does after a restart.
func (c *copying) serves() {
	c.origin.node.far = &fakeMesh{domains: map[weft.KeyID][]string{key(2): {"insights"}}}
	c.server = peerServer(c.t, c.origin.node, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if lie := c.lie.Load(); lie != nil {
				(*lie)(w, r, next)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	c.seen.moves(c.server.URL)
	c.t.Cleanup(func() { c.asker.stop() }) // before the server, which waits for feeds
}

// silent ends what the asker has under way at the origin, as a stop of its process does: a
// feed would still open what is in its folder.
func (c *copying) silent() {
	c.seen.moves(nowhere)
	c.server.CloseClientConnections()
	c.server.Close()
}

func (c *copying) name() weft.Name { return mustName(c.t, "sales.shop") }

// card makes the asker see the card and the head of the product as they are at its
// origin.
func (c *copying) card() {
	c.t.Helper()
	up, err := c.origin.node.find(c.name())
	if err != nil {
		c.t.Fatal(err)
	}
	release, err := up.hold(context.Background())
	if err != nil {
		c.t.Fatal(err)
	}
	defer release()
	card := cardOf(up.folder, up.record(), nil)
	card.Origin = c.key
	h := weft.CardHead{Point: up.store.Head(), Origin: c.key, State: weft.StateFresh}
	c.see(foreign{name: c.name(), origin: c.key, id: up.record().ID, head: &h, card: card})
}

func (c *copying) see(f foreign) {
	c.seen.mu.Lock()
	c.seen.products[f.name] = f
	c.seen.mu.Unlock()
	c.asker.node.copies.Wake(f.name)
}

func (c *copying) lies(f func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	if f == nil {
		c.lie.Store(nil)
	} else {
		c.lie.Store(&f)
	}
	c.asker.node.copies.Wake(c.name())
}

func (c *copying) add() {
	c.t.Helper()
	if err := c.asker.node.copies.Add(c.name()); err != nil {
		c.t.Fatalf("%v (%s)", err, weft.HintOf(err))
	}
}

func (c *copying) info() replicate.Info {
	c.t.Helper()
	l := c.asker.node.copies.List()
	if len(l) != 1 {
		c.t.Fatalf("%+v", l)
	}
	return l[0]
}

// is waits until the copy is in a state, and its reason says something.
func (c *copying) is(s replicate.State, says string) {
	c.t.Helper()
	var last replicate.Info
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		if last = c.info(); last.State == s && strings.Contains(last.Reason, says) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	c.t.Fatalf("the copy does not become %s (%s): %+v", s, says, last)
}

// has waits until the copy is what the origin has, and reads it at its head.
func (c *copying) has(rows ...string) {
	c.t.Helper()
	up, _ := c.origin.node.find(c.name())
	release, err := up.hold(context.Background())
	if err != nil {
		c.t.Fatal(err)
	}
	head := up.store.Head()
	release()
	c.asker.eventually("the copy has "+head.Seq.String(), func() bool { i := c.info(); return i.Point == head && i.State == replicate.StateCurrent })
	h, err := c.asker.node.copies.Hold(c.name())
	if err != nil {
		c.t.Fatal(err)
	}
	defer h.Release()
	if got := c.rows(h.Store); !slices.Equal(got, rows) {
		c.t.Errorf("the copy has %v, want %v", got, rows)
	}
	if age := time.Since(h.Current); age < 0 || age > 20*time.Second {
		c.t.Errorf("it was current %s ago", age)
	}
}

func (c *copying) rows(s *store.Store) []string {
	c.t.Helper()
	snap, err := s.Snapshot(c.t.Context(), 0)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = snap.Close() }()
	rel, err := snap.Relation("shop")
	if err != nil {
		c.t.Fatal(err)
	}
	return relationRows(c.t, c.asker.node, rel)
}

func (c *copying) sells(csv string) {
	c.t.Helper()
	c.origin.csv(csv)
	c.origin.refresh("sales.shop", serve.OutcomeCommitted)
	c.card()
}

// fold makes the origin's files.
func (c *copying) fold() {
	c.t.Helper()
	up, _ := c.origin.node.find(c.name())
	release, err := up.hold(context.Background())
	if err != nil {
		c.t.Fatal(err)
	}
	defer release()
	if err := up.store.Compact(c.t.Context(), true); err != nil {
		c.t.Fatal(err)
	}
}

func TestReplica(t *testing.T) {
	c := newCopying(t, consents)
	c.fold()
	c.add()
	if err := c.asker.node.copies.Add(c.name()); weft.KindOf(err) != weft.KindConflict {
		t.Errorf("a second copy: %v", err)
	}
	c.has("1|pen|1.5", "2|ink|7.25", "3|pad|3")
	c.sells("1,pen,2.50\n2,ink,7.25")
	c.has("1|pen|2.5", "2|ink|7.25")
	c.fold()
	c.sells("1,pen,2.50\n4,mug,9.00")
	c.has("1|pen|2.5", "4|mug|9")

	// Either side starts again; the copy goes on from where it was.
	c.asker.restart()
	c.sells("4,mug,9.00")
	c.has("4|mug|9")
	if i := c.info(); !slices.Equal(i.Tables, []string{"shop"}) || i.Until.Before(time.Now().Add(50*time.Minute)) || i.Bytes == 0 || i.Origin != c.key {
		t.Errorf("%+v", i)
	}

	// What its folder holds verifies, and nothing of the inputs is in it.
	dir := filepath.Join(c.asker.node.cfg.path(copiesFolder), "sales.shop")
	c.asker.stop()
	stores, err := filepath.Glob(filepath.Join(dir, "store-*"))
	if err != nil || len(stores) != 1 {
		t.Fatal(stores, err)
	}
	if f := store.Verify(stores[0]); len(f) > 0 {
		t.Error(f)
	}
	v, err := VerifyFolder(t.Context(), c.asker.node.cfg.Data, nil)
	if err != nil || len(v.Faults) > 0 || v.Products != 1 {
		t.Errorf("%+v, %v", v, err)
	}
	for _, n := range v.Notes {
		if strings.Contains(n.File, copiesFolder) {
			t.Errorf("%+v", n)
		}
	}
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("shop.csv")) || bytes.Contains(b, []byte("_input")) {
			t.Errorf("%s names an input of the origin", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.asker.start()
	c.has("4|mug|9")
	if err := c.asker.node.copies.Remove(c.name()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what is left of the copy: %v", err)
	}
	if err := c.asker.node.copies.Remove(c.name()); weft.KindOf(err) != weft.KindNotFound {
		t.Error(err)
	}
}

// TestReplicaNeedsConsent: default deny, at the card and at the origin; a consent that is
// taken back ends the copy's use at once, whoever says so first.
func TestReplicaNeedsConsent(t *testing.T) {
	c := newCopying(t, "")
	if err := c.asker.node.copies.Add(c.name()); weft.KindOf(err) != weft.KindDenied || !strings.Contains(weft.HintOf(err), "weftReplicas") {
		t.Errorf("without a consent: %v (%s)", err, weft.HintOf(err))
	}
	for _, path := range []string{"/snapshot", "/feed?from=0", "/files/x"} {
		res, err := http.NewRequest(http.MethodGet, c.seen.base+peerPrefix+"/products/sales.shop"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for node, want := range map[weft.KeyID]int{key(2): 403, key(3): 403, {}: 403} {
			res.Header.Set(fromHeader, node.String())
			got, err := http.DefaultClient.Do(res)
			if err != nil {
				t.Fatal(err)
			}
			_ = got.Body.Close()
			if got.StatusCode != want {
				t.Errorf("%s for %s: %d", path, node.Short(), got.StatusCode)
			}
		}
	}
	c.origin.write(lent(consents))
	c.origin.apply("shop", serve.OutcomeApplied)
	c.card()
	c.add()
	c.has("1|pen|1.5", "2|ink|7.25", "3|pad|3")

	// The origin says no before the card does.
	c.origin.write(lent(""))
	c.origin.apply("shop", serve.OutcomeApplied)
	c.is(replicate.StateRefused, "lets nobody keep a copy")
	if _, err := c.asker.node.copies.Hold(c.name()); err == nil {
		t.Error("a copy that its owner has refused is used")
	}
	if _, _, ok := c.asker.node.replica(c.name()); ok {
		t.Error("a copy that its owner has refused is given")
	}
	i := c.info()
	if i.Until != (time.Time{}) || i.Removed.Before(time.Now().Add(replicate.KeepUnused-time.Minute)) {
		t.Errorf("%+v", i)
	}
	// And goes on when it consents again.
	c.origin.write(lent(consents))
	c.origin.apply("shop", serve.OutcomeApplied)
	c.card()
	c.has("1|pen|1.5", "2|ink|7.25", "3|pad|3")

	// The card says no, and the origin is away.
	c.seen.mu.Lock()
	f := c.seen.products[c.name()]
	c.seen.mu.Unlock()
	card := *f.card
	card.Ports = slices.Clone(card.Ports)
	for k := range card.Ports {
		card.Ports[k].Readers = nil
	}
	f.card = &card
	c.see(f)
	if _, err := c.asker.node.copies.Hold(c.name()); weft.KindOf(err) != weft.KindDenied {
		t.Errorf("a copy of what its card lets nobody read: %v", err)
	}
	if i := c.info(); i.State != replicate.StateRefused {
		t.Errorf("%+v", i)
	}
}

// TestReplicaHoldsWhatComes has the origin send what it must not: nothing of it is
// taken, it is said, and the copy goes on when it is in order again.
func TestReplicaHoldsWhatComes(t *testing.T) {
	type handler = func(w http.ResponseWriter, r *http.Request, next http.Handler)
	// through changes the bytes of answers below a path.
	through := func(path string, change func([]byte) []byte) handler {
		return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if !strings.Contains(r.URL.Path, path) {
				next.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(&changing{ResponseWriter: w, change: change}, r)
		}
	}
	flip := func(b []byte) []byte {
		b = slices.Clone(b)
		b[len(b)/2] ^= 0x20
		return b
	}
	for name, lie := range map[string]struct {
		h    handler
		says string
	}{
		"a wrong byte in the offer": {through("/snapshot", flip), ""},
		"a wrong byte in a file":    {through("/files/", flip), "digest"},
		"a wrong byte in the feed":  {through("/feed", flip), ""},
		"more of a file": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			if strings.Contains(r.URL.Path, "/files/") {
				w = &changing{ResponseWriter: w, after: []byte("x")}
			}
			next.ServeHTTP(w, r)
		}, "more of file"},
		"something else": {func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			_, _ = io.WriteString(w, strings.Repeat("no feed at all ", 100))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCopying(t, consents)
			c.fold()
			c.lies(lie.h)
			c.add()
			c.is(replicate.StateFaulty, lie.says)
			if _, _, ok := c.asker.node.replica(c.name()); ok {
				t.Error("it is used")
			}
			c.lies(nil)
			c.has("1|pen|1.5", "2|ink|7.25", "3|pad|3")
		})
	}
}

// TestReplicaGoesOn cuts what comes at every place: in a file, and in a feed. The copy goes
// on from there, and asks for no byte of a file twice.
func TestReplicaGoesOn(t *testing.T) {
	c := newCopying(t, consents)
	c.fold()
	var from atomic.Int64
	var cuts atomic.Int64
	c.lies(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !strings.Contains(r.URL.Path, "/files/") {
			next.ServeHTTP(w, r)
			return
		}
		n, _ := strconv.ParseInt(r.URL.Query().Get("from"), 10, 64)
		if n != from.Load() {
			t.Errorf("the file is asked for from byte %d on, and %d had come", n, from.Load())
		}
		cuts.Add(1)
		left := 200
		next.ServeHTTP(&changing{ResponseWriter: w, most: &left, sent: &from}, r)
	})
	c.add()
	c.has("1|pen|1.5", "2|ink|7.25", "3|pad|3")
	if cuts.Load() < 3 {
		t.Errorf("the file was cut %d times", cuts.Load())
	}
	// A feed that is cut within a frame, again and again, a little later each time.
	var most atomic.Int64
	c.lies(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		left := int(most.Add(97))
		next.ServeHTTP(&changing{ResponseWriter: w, most: &left}, r)
	})
	c.sells("1,pen,9.50")
	for range 40 {
		c.asker.node.copies.Wake(c.name())
		if c.info().Point.Seq == c.seen.products[c.name()].head.Seq {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	c.lies(nil)
	c.has("1|pen|9.5")
}

// TestReplicaOfAnotherChain: an origin that has signed another commit than the one that
// it gave stops the copy, until somebody removes it.
func TestReplicaOfAnotherChain(t *testing.T) {
	c := newCopying(t, consents)
	c.add()
	c.has("1|pen|1.5", "2|ink|7.25", "3|pad|3")
	c.seen.mu.Lock()
	f := c.seen.products[c.name()]
	c.seen.mu.Unlock()
	head := *f.head
	head.Hash[0]++
	f.head = &head
	c.see(f)
	c.is(replicate.StateStopped, "signed head")
	if _, err := c.asker.node.copies.Hold(c.name()); err == nil {
		t.Error("a copy of another chain is used")
	}
	c.card() // it stays so, until somebody looks
	if i := c.info(); i.State != replicate.StateStopped || i.Todo == "" || i.Until != (time.Time{}) {
		t.Errorf("%+v", i)
	}
	if err := c.asker.node.copies.Remove(c.name()); err != nil {
		t.Fatal(err)
	}
	c.add()
	c.has("1|pen|1.5", "2|ink|7.25", "3|pad|3")
}

// changing is an answer whose bytes are changed, or cut.
type changing struct {
	http.ResponseWriter
	change func([]byte) []byte
	after  []byte
	most   *int // bytes until the connection is cut
	sent   *atomic.Int64
}

func (c *changing) WriteHeader(status int) {
	if c.after != nil || c.change != nil {
		c.Header().Del("Content-Length")
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *changing) Write(b []byte) (int, error) {
	n := len(b)
	if c.change != nil && n > 0 {
		b = c.change(b)
	}
	if c.after != nil {
		c.Header().Del("Content-Length")
		b = append(slices.Clone(b), c.after...)
	}
	if c.most != nil && len(b) >= *c.most {
		m, _ := c.ResponseWriter.Write(b[:*c.most])
		if c.sent != nil {
			c.sent.Add(int64(m))
		}
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	if c.most != nil {
		*c.most -= len(b)
	}
	_, err := c.ResponseWriter.Write(b)
	return n, err
}

func (c *changing) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// relationRows reads a relation as sorted lines of text.
func relationRows(t *testing.T, n *Node, rel store.Relation) []string {
	t.Helper()
	var dirs []string
	for _, f := range rel.Files {
		if d := filepath.Dir(f); !slices.Contains(dirs, d) {
			dirs = append(dirs, d)
		}
	}
	s, err := n.pool.Session(t.Context(), engine.SessionConfig{Name: "test", Read: dirs, Memory: 256 << 20, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	r, err := s.Query(t.Context(), engine.Statement{SQL: rel.SQL, Sources: rel.Sources})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	var out []string
	for r.Next() {
		b := r.RecordBatch()
		for i := range int(b.NumRows()) {
			var w []string
			for _, c := range b.Columns() {
				w = append(w, c.ValueStr(i))
			}
			out = append(out, strings.Join(w, "|"))
		}
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	slices.Sort(out)
	return out
}

// TestReplicaAnswers: a copy answers only where it is fresh enough for who asks, or has
// the cut; it says so, it passes the card's readers, and it does when its origin is away.
func TestReplicaAnswers(t *testing.T) {
	c := newCopying(t, consents)
	c.add()
	c.has("1|pen|1.5", "2|ink|7.25", "3|pad|3")
	ask := func(s weft.Subject, stale time.Duration, at weft.At) (string, []weft.Warning, weft.Cut, error) {
		ans, err := c.asker.node.reader.Query(t.Context(), weft.Question{SQL: "SELECT count(*) AS n FROM sales.shop WHERE price > 2", Subject: s, MaxStaleness: stale, At: at})
		if err != nil {
			return "", nil, nil, err
		}
		defer func() { _ = ans.Close() }()
		var out []string
		for ans.Rows.Next() {
			out = append(out, ans.Rows.RecordBatch().Column(0).ValueStr(0))
		}
		var w []weft.Warning
		if ans.Warnings != nil {
			w = ans.Warnings()
		}
		return strings.Join(out, " "), w, ans.Cut, ans.Rows.Err()
	}
	// The origin serves no questions in this test: only a copy can answer.
	if _, _, _, err := ask(tester, 0, weft.At{}); err == nil {
		t.Error("a copy answers a question that asks for the newest state")
	}
	got, warnings, cut, err := ask(tester, time.Minute, weft.At{})
	if err != nil || got != "2" || len(warnings) != 1 || warnings[0].Kind != weft.WarnStale || len(cut) != 1 || cut[0].Hash != c.info().Point.Hash {
		t.Fatalf("%q %+v %+v %v", got, warnings, cut, err)
	}
	refs, err := weft.ParseCut(cut.Token())
	if err != nil {
		t.Fatal(err)
	}
	if got, warnings, _, err := ask(tester, 0, weft.At{Cut: refs}); err != nil || got != "2" || len(warnings) != 0 {
		t.Errorf("at a cut that it has: %q %+v %v", got, warnings, err)
	}
	other := slices.Clone(refs)
	other[0].HashPrefix = slices.Clone(other[0].HashPrefix)
	other[0].HashPrefix[0]++
	if _, _, _, err := ask(tester, 0, weft.At{Cut: other}); err == nil {
		t.Error("a copy answers at a cut of another chain")
	}
	if _, _, _, err := ask(weft.Subject{Kind: weft.SubjectPerson, ID: "x", Domains: []string{"finance"}}, time.Minute, weft.At{}); err == nil {
		t.Error("a copy answers whom the origin would not")
	}
	// Away: it answers as long as its owner lets it.
	c.seen.mu.Lock()
	c.seen.via = downTransport{}
	c.seen.mu.Unlock()
	c.origin.stop()
	c.is(replicate.StateAway, "")
	if got, _, _, err := ask(tester, time.Minute, weft.At{}); err != nil || got != "2" {
		t.Errorf("while the origin is away: %q %v", got, err)
	}
}

// downTransport reaches nobody.
type downTransport struct{}

func (downTransport) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no route")
}
