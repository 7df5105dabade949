package fedtest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"weft"
)

const (
	// crm has the keys that sales is asked with.
	joinSQL  = "SELECT c.name, o.total FROM sales.orders o JOIN crm.customers c ON c.id = o.customer WHERE c.nation = 7"
	outerSQL = "SELECT count(*), count(n.name) FROM crm.customers c LEFT JOIN geo.nations n ON n.id = c.nation"
	wholeSQL = "SELECT count(*) FROM crm.customers"
)

// shopAnswer is the first row of the answer to a question at the desk, and its warnings.
func (c *Circle) shopAnswer(ctx context.Context, q weft.Question) (first string, _ []weft.Warning, err error) {
	ans, err := c.readers["desk"].Query(ctx, q)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = ans.Close() }()
	for ans.Rows.Next() {
		rec := ans.Rows.RecordBatch()
		if first != "" || rec.NumRows() == 0 {
			continue
		}
		var words []string
		for _, c := range rec.Columns() {
			words = append(words, c.ValueStr(0))
		}
		first = strings.Join(words, " ")
	}
	if err := ans.Rows.Err(); err != nil || ans.Warnings == nil {
		return first, nil, err
	}
	return first, ans.Warnings(), nil
}

// stuck waits until nobody waits for it any more.
func stuck(domain string) func(context.Context, string) error {
	return func(ctx context.Context, d string) error {
		if d != domain {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}
}

func away(domain string) func(context.Context, string) error {
	return func(_ context.Context, d string) error {
		if d != domain {
			return nil
		}
		return errors.New("it cannot be reached")
	}
}

// TestNamesWhoFailed holds that a question which another reader fails, or is late with,
// fails with its name, the product and what to do.
func TestNamesWhoFailed(t *testing.T) {
	c := shop(t)
	for _, x := range []struct {
		name, sql string
		before    func(context.Context, string) error
		kind      weft.Kind
		words     []string
	}{
		{"away", joinSQL, away("crm"), weft.KindUnavailable, []string{"crm.customers", "node crm: it cannot be reached", "--allow-partial"}},
		{"away, and it was to be asked with keys", joinSQL, away("sales"), weft.KindUnavailable, []string{"sales.orders", "node sales: it cannot be reached"}},
		{"away, with all", wholeSQL, away("crm"), weft.KindUnavailable, []string{"crm.customers", "node crm: it cannot be reached"}},
		{"away, with the time of now()", joinSQL + " AND now() > o.day", away("crm"), weft.KindUnavailable, []string{"crm.customers", "node crm: it cannot be reached"}},
		{"late", joinSQL, stuck("crm"), weft.KindLimit, []string{"crm.customers", "node crm had not answered when the query's deadline passed", "--deadline"}},
		{"late, and it was to be asked with keys", joinSQL, stuck("sales"), weft.KindLimit, []string{"sales.orders", "node sales had not answered"}},
		{"late, with all", wholeSQL, stuck("crm"), weft.KindLimit, []string{"crm.customers", "node crm had not answered"}},
		{"late, with the time of now()", joinSQL + " AND now() > o.day", stuck("crm"), weft.KindLimit, []string{"crm.customers", "node crm had not answered"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			q := shopQuestion(x.sql)
			if x.kind == weft.KindLimit {
				q.Limits.Deadline = time.Second
			}
			c.before = x.before
			_, _, err := c.shopAnswer(t.Context(), q)
			if weft.KindOf(err) != x.kind {
				t.Fatalf("%s: %v", weft.KindOf(err), err)
			}
			for _, w := range x.words {
				if !strings.Contains(err.Error()+" → "+weft.HintOf(err), w) {
					t.Errorf("%v → %s has no %q", err, weft.HintOf(err), w)
				}
			}
		})
	}
}

// TestAllowPartial holds what an answer is that does without a part.
func TestAllowPartial(t *testing.T) {
	c := shop(t)
	for _, x := range []struct {
		name, sql string
		before    func(context.Context, string) error
		want      string   // the first row
		missing   []string // products
	}{
		{"nothing is missing", outerSQL, nil, "2000 2000", nil},
		{"a side of an outer join", outerSQL, away("geo"), "2000 0", []string{"geo.nations"}},
		{"a side that is late", outerSQL, stuck("geo"), "2000 0", []string{"geo.nations"}},
		{"keys are missing", "SELECT count(*), count(c.name) FROM sales.orders o LEFT JOIN crm.customers c ON c.id = o.customer AND c.nation = 7", away("crm"), "40000 0", []string{"crm.customers"}},
		{"keys are late", "SELECT (SELECT count(*) FROM sales.orders), (SELECT count(*) FROM sales.lines l JOIN desk.favourites f USING (part)), count(*) FROM crm.customers c, sales.orders o WHERE c.id = o.customer AND c.nation = 7", stuck("crm"), "40000 1800 0", []string{"crm.customers"}},
		{"now() without a node", "SELECT count(*), count(n.name) FROM crm.customers c LEFT JOIN geo.nations n ON n.id = c.nation WHERE now() > TIMESTAMP '2020-01-01'", away("geo"), "2000 0", []string{"geo.nations"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			q := shopQuestion(x.sql)
			if testing.Short() && strings.Contains(x.name, "late") {
				t.Skip("waits")
			}
			q.AllowPartial, q.Limits.Deadline = true, 3*time.Second
			c.before = x.before
			got, warnings, err := c.shopAnswer(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if got != x.want {
				t.Errorf("%q, want %q", got, x.want)
			}
			var missing []string
			for _, w := range warnings {
				missing = append(missing, w.Product.String())
				if w.Kind != weft.WarnPartial || w.Hint == "" || !strings.Contains(w.Message, "rows of "+w.Product.String()+" are missing: node ") {
					t.Errorf("%+v", w)
				}
			}
			if strings.Join(missing, " ") != strings.Join(x.missing, " ") {
				t.Errorf("missing are %v", warnings)
			}
		})
	}
	c.before = away("crm")
	for _, sql := range []string{wholeSQL, "SELECT nope FROM crm.customers, geo.nations"} {
		q := shopQuestion(sql)
		q.AllowPartial = true
		if _, _, err := c.shopAnswer(t.Context(), q); err == nil {
			t.Errorf("%s is answered", sql)
		}
	}
}

// TestCancelReachesAll holds that all readers which are asked are told within a tenth of
// a second that nobody waits for them any more.
func TestCancelReachesAll(t *testing.T) {
	c := shop(t)
	var mu sync.Mutex
	told := map[string]time.Time{}
	asked := make(chan string, 10)
	c.before = func(ctx context.Context, d string) error {
		asked <- d
		<-ctx.Done()
		mu.Lock()
		told[d] = time.Now()
		mu.Unlock()
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, _, err := c.shopAnswer(ctx, shopQuestion("SELECT count(*) FROM sales.orders, crm.customers, geo.nations"))
		done <- err
	}()
	for range 3 {
		<-asked
	}
	began := time.Now()
	cancel()
	if err := <-done; weft.KindOf(err) != weft.KindCancelled {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for d, at := range told {
		if took := at.Sub(began); took > 100*time.Millisecond {
			t.Errorf("%s is told after %s", d, took)
		}
	}
	if len(told) != 3 {
		t.Errorf("told are %v", told)
	}
}
