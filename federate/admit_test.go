package federate

import (
	"context"
	"testing"

	"weft"
	"weft/budget"
)

// TestAdmit holds that a question is asked about once its cut is fixed, that a
// refusal ends it before it had a worker, and that what became of the others is
// told once.
func TestAdmit(t *testing.T) {
	refusal := weft.Errorf(weft.KindLimit, "answer the question", "", "it is too much")
	var asked []Estimate
	var told []Used
	var refuse bool
	r := newRig(t, func(c *Config, _ *budget.Config) {
		c.Admit = func(_ context.Context, q weft.Question, cut weft.Cut, e Estimate) (func(Used), error) {
			asked = append(asked, e)
			if q.Subject.ID != "ann" {
				t.Errorf("the subject is %q", q.Subject.ID)
			}
			if p, ok := cut.Find(numbersName); len(e.Reads) > 0 && (!ok || p.Seq != 1) {
				t.Errorf("the cut is %s", cut)
			}
			if refuse {
				return nil, refusal
			}
			return func(u Used) { told = append(told, u) }, nil
		}
	})
	s := &spy{Sessions: r.pool}
	r.sessions = s
	for _, c := range []struct {
		name, sql  string
		rows       int64
		reads      int
		began, bad bool // the statement began; it fails
	}{
		{name: "a sum reads all rows", sql: "SELECT sum(n) FROM test.numbers", rows: 5000, reads: 1, began: true},
		{name: "a join with itself reads one table", sql: "SELECT count(*) FROM test.numbers a JOIN test.numbers b USING (n)", rows: 5000, reads: 1, began: true},
		{name: "two states of a table are two", sql: "SELECT count(*) FROM test.numbers a JOIN test.numbers b AT (VERSION => 1) USING (n)", rows: 10000, reads: 1, began: true},
		{name: "a count of all is known", sql: "SELECT count(*) FROM test.numbers", reads: 1, began: true},
		{name: "no product", sql: "SELECT 1", began: true},
		{name: "it fails as it runs", sql: "SELECT CAST('x' || n AS INTEGER) FROM test.numbers", rows: 5000, reads: 1, began: true, bad: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked, told, refuse, s.sql = nil, nil, false, ""
			_, err := r.ask(t.Context(), "ann", c.sql)
			if (err != nil) != c.bad {
				t.Fatal(err)
			}
			if len(asked) != 1 || asked[0].Rows != c.rows || len(asked[0].Reads) != c.reads || (asked[0].Bytes > 0) != (c.rows > 0) {
				t.Errorf("it was asked about as %+v", asked)
			}
			if len(told) != 1 || told[0].Began != c.began || told[0].Time <= 0 {
				t.Errorf("it was told as %+v", told)
			}
			e, cut, _, err := r.Estimate(t.Context(), weft.Question{SQL: c.sql, Subject: subject("ann")})
			if err != nil || e.Rows != c.rows || len(cut) != c.reads || len(told) != 1 {
				t.Errorf("the estimate is %+v at %s, %v", e, cut, err)
			}
			refuse, s.sql = true, ""
			if _, err := r.ask(t.Context(), "ann", c.sql); err != error(refusal) || s.sql != "" || len(told) != 1 {
				t.Errorf("%v; the statement was %q, told %+v", err, s.sql, told)
			}
		})
	}
	asked = nil
	if _, err := r.ask(t.Context(), "ann", "SELECT * FROM test.nothing"); weft.KindOf(err) != weft.KindNotFound || len(asked) != 0 {
		t.Errorf("%v; asked %+v", err, asked)
	}
	if s := r.budget.State(); s.Used != (budget.Amount{}) || r.Running() != 0 {
		t.Errorf("nothing is asked, and in use is %+v", s)
	}
}
