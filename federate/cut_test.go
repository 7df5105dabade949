package federate

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
	"weft/engine"
	"weft/run"
	"weft/store"
)

// shelf holds the products of these tests; "eve" may know of none of them.
type shelf struct {
	t     *testing.T
	list  map[weft.Name]*Product
	clock *ticker
}

// ticker is a clock that goes a second forward each time it is asked.
type ticker struct{ t time.Time }

func (c *ticker) Now() time.Time {
	c.t = c.t.Add(time.Second)
	return c.t
}

func (s *shelf) Product(who weft.Subject, n weft.Name) (Product, bool) {
	p := s.list[n]
	if p == nil || who.ID == "eve" {
		return Product{}, false
	}
	return *p, true
}

func (s *shelf) Names(who weft.Subject) []weft.Name {
	var out []weft.Name
	for n := range s.list {
		if who.ID != "eve" {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b weft.Name) int { return strings.Compare(a.String(), b.String()) })
	return out
}

var idSchema = arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}}, nil)

// put makes a product of tables; each commit adds a row to all of them.
func (s *shelf) put(name string, commits int, tables ...string) *Product {
	s.t.Helper()
	n, err := weft.ParseName(name)
	if err != nil {
		s.t.Fatal(err)
	}
	env := run.Quiet()
	env.Clock = s.clock
	st, err := store.Open(context.Background(), store.Config{Dir: filepath.Join(s.t.TempDir(), n.String()), ID: n.String(), Product: n, Env: env})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = st.Close() })
	p := &Product{Name: n, ID: n.String(), Store: st}
	s.list[n] = p
	for range commits {
		s.commit(p, tables...)
	}
	return p
}

func (s *shelf) commit(p *Product, tables ...string) {
	s.t.Helper()
	c := store.Candidate{Cause: weft.CauseLoad}
	for _, table := range tables {
		b := array.NewRecordBuilder(memory.DefaultAllocator, idSchema)
		b.Field(0).(*array.Int64Builder).Append(int64(p.Store.Head().Seq) + 1)
		c.Tables = append(c.Tables, store.TableData{
			Table: table, Hidden: strings.HasPrefix(table, "_"), Op: weft.OpAppend, Schema: idSchema, Batches: []arrow.RecordBatch{b.NewRecordBatch()},
		})
	}
	if _, err := p.Store.Append(context.Background(), c); err != nil {
		s.t.Fatal(err)
	}
}

func newShelf(t *testing.T) *shelf {
	s := &shelf{t: t, list: map[weft.Name]*Product{}, clock: &ticker{time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}}
	s.put("sales.orders", 3, "orders", "_in.shop.orders", store.QuarantineTable)
	s.put("sales.returns", 1, "returns", "lines")
	s.put("sales.stock", 1, "shelves")
	s.put("sales.parts", 1, "one", "two")
	s.put("sales.empty", 0)
	s.put("sales.old", 2, "old").Retired = true
	return s
}

// cutter is one question that is being bound.
func (s *shelf) cutter(who string, at weft.At) *cutter {
	c := newCutter(New(Config{}, nil, s, run.Quiet()), weft.Question{Subject: weft.Subject{Kind: weft.SubjectPerson, ID: who}, At: at})
	s.t.Cleanup(c.close)
	return c
}

func ref(name string) engine.TableRef {
	return engine.TableRef{Parts: strings.Split(name, "."), Offset: -1}
}

// TestResolve: what a name in SQL means, and what is said where it means nothing.
func TestResolve(t *testing.T) {
	s := newShelf(t)
	for name, want := range map[string]engine.Target{
		"sales.orders":        {Schema: "sales", Table: "orders"},
		"Sales.ORDERS":        {Schema: "sales", Table: "orders"},
		"sales.orders.orders": {Schema: "sales", Table: "orders"},
		"sales.returns":       {Schema: "sales", Table: "returns"},
		"sales.returns.lines": {Schema: "sales", Table: "returns.lines"},
		"sales.stock":         {Schema: "sales", Table: "stock.shelves"}, // its only table
	} {
		if got, err := s.cutter("ann", weft.At{}).resolve(t.Context(), ref(name)); err != nil || got != want {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	dotted := engine.TableRef{Parts: []string{"sales", "returns.lines"}}
	if got, err := s.cutter("ann", weft.At{}).resolve(t.Context(), dotted); err != nil || got.Table != "returns.lines" {
		t.Errorf("%+v %v", got, err)
	}
	for name, c := range map[string]struct {
		kind       weft.Kind
		says, hint string
	}{
		"orders":                  {weft.KindNotFound, "domain.product", "did you mean sales.orders?"},
		"a.b.c.d":                 {weft.KindNotFound, "domain.product", "`weft status` lists"},
		"sales.ordesr":            {weft.KindNotFound, "no such product, or none that you may know of", "did you mean sales.orders?"},
		"sales.order":             {weft.KindNotFound, "no such product", "did you mean sales.orders?"}, // no name: SQL keeps it
		"finance.ledger":          {weft.KindNotFound, "no such product", "`weft status` lists"},
		"information_schema.../x": {weft.KindNotFound, "domain.product", "weft status"},
		"sales.'/etc/passwd'":     {weft.KindNotFound, "there is no such product", "files and other databases cannot be read"},
		"sales.returns.orders":    {weft.KindNotFound, "no such table", "it has sales.returns, sales.returns.lines"},
		"sales.parts":             {weft.KindNotFound, "no such table", "it has sales.parts.one, sales.parts.two"},
		"sales.orders.quarantine": {weft.KindNotFound, "no such table", "it has sales.orders"},
		"sales.empty":             {weft.KindConflict, "nothing is published yet", "weft status"},
		"sales.old":               {weft.KindGone, "it is retired", "--at #2"},
	} {
		_, err := s.cutter("ann", weft.At{}).resolve(t.Context(), ref(name))
		if weft.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) || !strings.Contains(weft.HintOf(err), c.hint) {
			t.Errorf("%s: %s: %v (%s)", name, weft.KindOf(err), err, weft.HintOf(err))
		}
	}
	for _, hidden := range []string{"sales.orders._in", "sales.orders._quarantine", "sales.orders._in.shop.orders"} {
		if got, err := s.cutter("ann", weft.At{}).resolve(t.Context(), ref(hidden)); err == nil {
			t.Errorf("the hidden table %s is %+v", hidden, got)
		}
	}
	long := ref("sales." + strings.Repeat("é", 5000))
	if _, err := s.cutter("ann", weft.At{}).resolve(t.Context(), long); err == nil || len(err.Error()) > 400 {
		t.Errorf("a long name is answered by %d bytes", len(err.Error()))
	}
}

// TestHiddenLooksLikeUnknown: to who may not know of it, a product is not told
// from one that is not there.
func TestHiddenLooksLikeUnknown(t *testing.T) {
	s := newShelf(t)
	answer := func(name string) string {
		_, err := s.cutter("eve", weft.At{}).resolve(t.Context(), ref(name))
		return strings.ReplaceAll(string(weft.KindOf(err))+" "+err.Error()+" "+weft.HintOf(err), name, "NAME")
	}
	for _, there := range []string{"sales.orders", "sales.returns.lines", "sales.old", "sales.empty"} {
		unknown := "sales.nothing" + strings.TrimPrefix(there, "sales."+strings.Split(there, ".")[1])
		if a, b := answer(there), answer(unknown); strings.ReplaceAll(a, strings.Join(strings.Split(there, ".")[:2], "."), "P") != strings.ReplaceAll(b, "sales.nothing", "P") {
			t.Errorf("%s: %s\nunknown: %s", there, a, b)
		}
		if strings.Contains(answer(there), "did you mean") {
			t.Errorf("a hidden product is suggested: %s", answer(there))
		}
	}
}

// TestStates: the table's own AT comes before the question's cut, this before its
// time, and nothing of it means now; one product is read at one state, but for
// tables with an AT of their own.
func TestStates(t *testing.T) {
	s := newShelf(t)
	p := s.list[weft.Name{Domain: "sales", Product: "orders"}]
	commit := func(seq weft.Seq) weft.Commit {
		c, err := p.Store.Commit(seq)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	seq := func(n weft.Seq) *weft.Seq { return &n }
	first, second := commit(1), commit(2)
	cut := []weft.CutRef{{Product: p.Name, Incarnation: second.Incarnation, Seq: 2, HashPrefix: second.Hash[:8]}}
	between := second.Time.Add(-time.Millisecond)
	for name, c := range map[string]struct {
		own  *engine.AtClause
		at   weft.At
		want weft.Seq
		view string
	}{
		"now":                {nil, weft.At{}, 3, "orders"},
		"time":               {nil, weft.At{Time: second.Time}, 2, "orders"},
		"between two":        {nil, weft.At{Time: between}, 1, "orders"},
		"cut":                {nil, weft.At{Cut: cut}, 2, "orders"},
		"cut before time":    {nil, weft.At{Cut: cut, Time: first.Time}, 2, "orders"},
		"own seq":            {&engine.AtClause{Seq: seq(1)}, weft.At{Cut: cut, Time: second.Time}, 1, "orders@#1"},
		"own time":           {&engine.AtClause{Time: &first.Time}, weft.At{Cut: cut}, 1, "orders@#1"},
		"own seq, no others": {&engine.AtClause{Seq: seq(3)}, weft.At{}, 3, "orders@#3"},
	} {
		k := s.cutter("ann", c.at)
		got, err := k.resolve(t.Context(), engine.TableRef{Parts: []string{"sales", "orders"}, At: c.own})
		if err != nil || got.Table != c.view || len(k.cut) != 1 || k.cut[0].Seq != c.want {
			t.Errorf("%s: %+v at %s: %v", name, got, k.cut, err)
		}
	}
	k := s.cutter("ann", weft.At{})
	for _, at := range []*engine.AtClause{nil, {Seq: seq(1)}, {Seq: seq(1)}, {Seq: seq(2)}, nil} {
		if _, err := k.resolve(t.Context(), engine.TableRef{Parts: []string{"sales", "orders"}, At: at}); err != nil {
			t.Fatal(err)
		}
	}
	if len(k.snaps) != 3 || len(k.views) != 3 || k.points().String() != "sales.orders#3" || k.points()[0].Hash != commit(3).Hash {
		t.Errorf("%d states, %d views, cut %s", len(k.snaps), len(k.views), k.points())
	}
	// A commit while the question is being bound is not in it.
	s.commit(p, "orders")
	if _, err := k.resolve(t.Context(), ref("sales.orders")); err != nil || k.points().String() != "sales.orders#3" {
		t.Errorf("%s %v", k.points(), err)
	}
	if want := commit(3).Time; !k.now(t.Context()).Equal(want) {
		t.Errorf("now() is %s, and the cut's youngest commit of %s", k.now(t.Context()), want)
	}
}

// TestOnePointEach: the answer's cut names a product once, at what its table is read at
// that says nothing of its own; and says where a clock has chosen the commit.
func TestOnePointEach(t *testing.T) {
	s := newShelf(t)
	p := s.list[weft.Name{Domain: "sales", Product: "orders"}]
	two, err := p.Store.Commit(2)
	if err != nil {
		t.Fatal(err)
	}
	one := weft.Seq(1)
	number, clock := &engine.AtClause{Seq: &one}, &engine.AtClause{Time: &two.Time}
	for name, x := range map[string]struct {
		at   weft.At
		refs []*engine.AtClause
		want string
		asOf time.Time
	}{
		"a table's own state first": {refs: []*engine.AtClause{number, nil}, want: "sales.orders#3"},
		"and last":                  {refs: []*engine.AtClause{nil, number}, want: "sales.orders#3"},
		"only own":                  {refs: []*engine.AtClause{number}, want: "sales.orders#1"},
		"a table's own time":        {refs: []*engine.AtClause{clock}, want: "sales.orders#2", asOf: two.Time},
		"the question's time":       {at: weft.At{Time: two.Time}, refs: []*engine.AtClause{number, nil}, want: "sales.orders#2", asOf: two.Time},
		"a cut":                     {at: weft.At{Cut: []weft.CutRef{{Product: p.Name, Seq: 1}}}, refs: []*engine.AtClause{clock, nil}, want: "sales.orders#1"},
	} {
		k := s.cutter("ann", x.at)
		for _, at := range x.refs {
			if _, err := k.resolve(t.Context(), engine.TableRef{Parts: []string{"sales", "orders"}, At: at}); err != nil {
				t.Fatal(name, err)
			}
		}
		if got := k.points(); got.String() != x.want || !got.AsOf().Equal(x.asOf) {
			t.Errorf("%s: %s as of %s", name, got, got.AsOf())
		}
	}
}

// TestCutProof: a cut is read only where the chain is the one it was taken from.
func TestCutProof(t *testing.T) {
	s := newShelf(t)
	p := s.list[weft.Name{Domain: "sales", Product: "orders"}]
	c, err := p.Store.Commit(2)
	if err != nil {
		t.Fatal(err)
	}
	other := slices.Clone(c.Hash[:8])
	other[7]++
	for name, x := range map[string]struct {
		ref  weft.CutRef
		kind weft.Kind
	}{
		"right":               {weft.CutRef{Product: p.Name, Incarnation: c.Incarnation, Seq: 2, HashPrefix: c.Hash[:8]}, ""},
		"without a proof":     {weft.CutRef{Product: p.Name, Seq: 2}, ""},
		"another hash":        {weft.CutRef{Product: p.Name, Incarnation: c.Incarnation, Seq: 2, HashPrefix: other}, weft.KindConflict},
		"the hash of another": {weft.CutRef{Product: p.Name, Incarnation: c.Incarnation, Seq: 1, HashPrefix: c.Hash[:8]}, weft.KindConflict},
		"another life":        {weft.CutRef{Product: p.Name, Incarnation: c.Incarnation + 1, Seq: 2, HashPrefix: c.Hash[:8]}, weft.KindConflict},
		"beyond the head":     {weft.CutRef{Product: p.Name, Incarnation: c.Incarnation, Seq: 9, HashPrefix: c.Hash[:8]}, weft.KindConflict},
		"of something else":   {weft.CutRef{Product: weft.Name{Domain: "sales", Product: "stock"}, Seq: 1}, weft.KindInvalid},
	} {
		_, err := s.cutter("ann", weft.At{Cut: []weft.CutRef{x.ref}}).resolve(t.Context(), ref("sales.orders"))
		if (err == nil) != (x.kind == "") || err != nil && (weft.KindOf(err) != x.kind || weft.HintOf(err) == "") {
			t.Errorf("%s: %s: %v (%s)", name, weft.KindOf(err), err, weft.HintOf(err))
		}
	}
}

// TestRetired: the history of a retired product is read, its present is not.
func TestRetired(t *testing.T) {
	s := newShelf(t)
	p := s.list[weft.Name{Domain: "sales", Product: "old"}]
	one := weft.Seq(1)
	if _, err := s.cutter("ann", weft.At{}).resolve(t.Context(), engine.TableRef{Parts: []string{"sales", "old"}, At: &engine.AtClause{Seq: &one}}); err != nil {
		t.Error(err)
	}
	c, err := p.Store.Commit(2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.cutter("ann", weft.At{Time: c.Time}).resolve(t.Context(), ref("sales.old")); err != nil {
		t.Error(err)
	}
	before := c.Time.Add(-time.Hour)
	if _, err := s.cutter("ann", weft.At{Time: before}).resolve(t.Context(), ref("sales.old")); err == nil {
		t.Error("it was read before it was there")
	}
}

// TestHeldAndRelations: what the states hold back is counted, and each view of a
// statement is a SELECT over its state.
func TestHeldAndRelations(t *testing.T) {
	s := newShelf(t)
	k := s.cutter("ann", weft.At{})
	two := weft.Seq(2)
	for _, r := range []engine.TableRef{ref("sales.orders"), ref("sales.returns.lines"), {Parts: []string{"sales", "orders"}, At: &engine.AtClause{Seq: &two}}} {
		if _, err := k.resolve(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if k.held() != 3+2 {
		t.Errorf("%d rows are held back", k.held())
	}
	if got := k.points().String(); got != "sales.orders#3 sales.returns#1" {
		t.Errorf("the cut is %s", got)
	}
	if none := s.cutter("ann", weft.At{}); none.held() != 0 || none.now(t.Context()).IsZero() {
		t.Error("a question without products has no state and asks the clock")
	}
}

// TestSuggest: the nearest address, and nothing where none is near.
func TestSuggest(t *testing.T) {
	s := newShelf(t)
	for word, want := range map[string]string{
		"sales.ordesr": "did you mean sales.orders?", "return": "did you mean sales.returns?", "sales.zzzzzzzzzz": "`weft status`",
		strings.Repeat("x", 10_000): "`weft status`", "": "`weft status`",
	} {
		if got := s.cutter("ann", weft.At{}).suggest(word); !strings.Contains(got, want) {
			t.Errorf("%.20q: %s", word, got)
		}
	}
	if got := s.cutter("eve", weft.At{}).suggest("sales.orders"); !strings.Contains(got, "no products yet") {
		t.Error(got)
	}
}

// TestCancelledWords: a deadline is a limit that can be asked for otherwise, and
// a client that goes away is no fault.
func TestCancelledWords(t *testing.T) {
	late, stop := context.WithTimeout(t.Context(), -time.Second)
	defer stop()
	if err := cancelled(late); weft.KindOf(err) != weft.KindLimit || !strings.Contains(err.Error(), "past its deadline") || weft.HintOf(err) == "" {
		t.Errorf("%v (%s)", err, weft.HintOf(err))
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := cancelled(gone); weft.KindOf(err) != weft.KindCancelled {
		t.Error(err)
	}
}

// TestDenied: a table that the subject may not read is refused with the reason, also
// as one of two, and a product of which none may be read needs no store.
func TestDenied(t *testing.T) {
	s := newShelf(t)
	no := weft.Errorf(weft.KindDenied, "read the product", "", "not for you")
	s.list[weft.Name{Domain: "sales", Product: "parts"}].Deny = func(table string) error {
		if table == "two" {
			return no
		}
		return nil
	}
	if _, err := s.cutter("ann", weft.At{}).resolve(t.Context(), ref("sales.parts.one")); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"sales.parts.two", "SALES.parts.TWO"} {
		c := s.cutter("ann", weft.At{})
		if _, err := c.resolve(t.Context(), ref(name)); err != error(no) || len(c.views) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.list[weft.Name{Domain: "sales", Product: "shut"}] = &Product{Deny: func(string) error { return no }}
	for _, name := range []string{"sales.shut", "sales.shut.one"} {
		if _, err := s.cutter("ann", weft.At{}).resolve(t.Context(), ref(name)); err != error(no) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
