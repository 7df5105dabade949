package federate

import (
	"context"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"weft"
	"weft/budget"
	"weft/engine"
)

// spy notes in which lane the last statement ran.
type spy struct {
	engine.Sessions
	lane engine.Lane
	sql  string

	ordered bool
}

type spied struct {
	engine.Session
	spy  *spy
	lane engine.Lane
}

func (s *spy) Session(ctx context.Context, cfg engine.SessionConfig) (engine.Session, error) {
	got, err := s.Sessions.Session(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s.ordered = cfg.Ordered
	return &spied{got, s, cfg.Lane}, nil
}

func (s *spied) Query(ctx context.Context, st engine.Statement) (array.RecordReader, error) {
	s.spy.lane, s.spy.sql = s.lane, st.SQL
	return s.Session.Query(ctx, st)
}

// TestAnyOrder holds that a question's rows come as they are stored, but where it says that
// their order makes no difference.
func TestAnyOrder(t *testing.T) {
	r := newRig(t, nil)
	s := &spy{Sessions: r.pool}
	r.sessions = s
	for _, any := range []bool{false, true, false} {
		ans, err := r.Query(t.Context(), weft.Question{SQL: "SELECT n FROM test.numbers WHERE n > 7", Subject: subject("ann"), AnyOrder: any})
		if err != nil {
			t.Fatal(err)
		}
		if err := ans.Close(); err != nil || s.ordered == any {
			t.Errorf("any order: %v, ordered: %v; %v", any, s.ordered, err)
		}
	}
}

// TestHeavyOnceIsNotHeavyForEver holds that a question which was slow once is tried
// among the heavy ones, and is a light one again as soon as it was fast there.
func TestHeavyOnceIsNotHeavyForEver(t *testing.T) {
	const sql = "SELECT sum(n) FROM test.numbers WHERE n > 7"
	r := newRig(t, func(c *Config, _ *budget.Config) { c.Slice = time.Minute })
	s := &spy{Sessions: r.pool}
	r.sessions = s
	ask := func(want engine.Lane) {
		t.Helper()
		if _, err := r.ask(t.Context(), "ann", sql); err != nil {
			t.Fatal(err)
		}
		if s.lane != want {
			t.Errorf("it ran in lane %d, want %d", s.lane, want)
		}
	}
	ask(engine.LaneLight)
	r.memo.Mark(s.sql)
	ask(engine.LaneHeavy)
	ask(engine.LaneLight)
	cfg := *r.cfg.Load()
	cfg.Slice = time.Nanosecond // then it was slow there as well
	r.Limit(cfg)
	r.memo.Mark(s.sql)
	ask(engine.LaneHeavy)
	ask(engine.LaneHeavy)
}
