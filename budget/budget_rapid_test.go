package budget

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// model is what the test knows of a budget: asks that wait and grants that are
// held, as their takers see them.
type model struct {
	b     *Budget
	cfg   Config
	held  []*Grant
	waits []*taker
}

type taker struct {
	ask    Ask
	cancel context.CancelFunc
	grant  *Grant
	err    error
	done   atomic.Bool
}

// event is one thing that happens to a budget; the numbers pick what to.
type event struct {
	kind, which int
	ask         Ask
	force       bool
}

var anyEvent = rapid.Custom(func(t *rapid.T) event {
	return event{
		kind: rapid.IntRange(0, 9).Draw(t, "event"), which: rapid.IntRange(0, 1000).Draw(t, "which"), force: rapid.Bool().Draw(t, "force"),
		ask: Ask{
			Who: rapid.SampledFrom([]string{"ann", "bob", "cid"}).Draw(t, "who"), Lane: Lane(rapid.IntRange(0, int(lanes)-1).Draw(t, "lane")),
			Amount: Amount{Memory: int64(rapid.IntRange(1, 3).Draw(t, "memory") * 10), Temp: 5, Threads: rapid.IntRange(1, 4).Draw(t, "threads"), Places: 1},
		},
	}
})

// TestBudgetRapid holds, for any order of events: what is given out is never more
// than there is; nobody holds more than a share; an ask waits only where there is a
// reason; and everything is given back.
func TestBudgetRapid(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		events := rapid.SliceOfN(anyEvent, 1, 60).Draw(rt, "events")
		cfg := small()
		cfg.RunningAll = rapid.IntRange(0, 3).Draw(rt, "all")
		fault := ""
		synctest.Test(t, func(*testing.T) { fault = play(cfg, events) })
		if fault != "" {
			rt.Fatal(fault)
		}
	})
}

// play runs the events and returns what is wrong, "" for nothing.
func play(cfg Config, events []event) string {
	m := &model{cfg: cfg, b: New(cfg, time.Now)}
	fault := ""
	for _, e := range events {
		m.step(e)
		synctest.Wait()
		m.collect()
		if fault = m.check(); fault != "" {
			break
		}
	}
	if end := m.end(); fault == "" {
		fault = end
	}
	return fault
}

func (m *model) step(e event) {
	switch {
	case e.kind < 5:
		w := &taker{ask: e.ask}
		var ctx context.Context
		ctx, w.cancel = context.WithCancel(context.Background())
		m.waits = append(m.waits, w)
		go func() {
			w.grant, w.err = m.b.Take(ctx, w.ask)
			w.done.Store(true)
		}()
	case e.kind < 7 && len(m.held) > 0:
		i := e.which % len(m.held)
		m.held[i].Release()
		m.held[i].Release()
		m.held = append(m.held[:i], m.held[i+1:]...)
	case e.kind < 8 && len(m.waits) > 0:
		m.waits[e.which%len(m.waits)].cancel()
	case e.kind < 9 && len(m.held) > 0:
		m.held[e.which%len(m.held)].Move(Heavy, e.force)
	default:
		time.Sleep(time.Duration(e.which) * 5 * time.Millisecond)
	}
}

// collect takes what was given out.
func (m *model) collect() {
	var still []*taker
	for _, w := range m.waits {
		switch {
		case !w.done.Load():
			still = append(still, w)
		case w.err == nil:
			m.held = append(m.held, w.grant)
		}
	}
	m.waits = still
}

func (m *model) check() string {
	var used Amount
	for _, g := range m.held {
		used = used.plus(g.ask.Amount)
	}
	if what := used.lacks(m.cfg.Total); what != "" {
		return fmt.Sprintf("more %s is given out than there is: %+v", what, used)
	}
	if s := m.b.State(); s.Used != used {
		return fmt.Sprintf("the books say %+v, the takers hold %+v", s.Used, used)
	}
	for l := range lanes {
		for i, w := range m.b.turns(l) {
			if m.b.fits(w.ask) && (l == Own || i == 0) {
				return fmt.Sprintf("%+v waits and could run", w.ask)
			}
		}
	}
	return ""
}

func (m *model) end() string {
	for _, w := range m.waits {
		w.cancel()
	}
	synctest.Wait()
	m.collect()
	for len(m.held) > 0 {
		m.held[0].Release()
		m.held = m.held[1:]
		synctest.Wait()
		m.collect()
	}
	if len(m.waits) > 0 {
		return fmt.Sprintf("%d takers wait for ever", len(m.waits))
	}
	for l := range lanes {
		if len(m.b.askers[l]) > 0 {
			return fmt.Sprintf("lane %s keeps askers", l)
		}
	}
	return ""
}
