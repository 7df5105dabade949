package budget

import (
	"context"
	"fmt"
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
	done   bool
}

// TestBudgetRapid holds, for any order of events: what is given out is never more
// than there is; the reserves stay free; nobody holds more than a share; an ask
// waits only where there is a reason; and everything is given back.
func TestBudgetRapid(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			m := &model{cfg: small()}
			m.cfg.RunningAll = rapid.IntRange(0, 3).Draw(rt, "all")
			m.b = New(m.cfg, time.Now)
			steps := rapid.IntRange(1, 60).Draw(rt, "steps")
			for range steps {
				m.step(rt)
				synctest.Wait()
				m.collect()
				m.check(rt)
			}
			m.end(rt)
		})
	})
}

func (m *model) step(rt *rapid.T) {
	switch k := rapid.IntRange(0, 9).Draw(rt, "event"); {
	case k < 5:
		w := &taker{ask: Ask{
			Who: rapid.SampledFrom([]string{"ann", "bob", "cid"}).Draw(rt, "who"), Lane: Lane(rapid.IntRange(0, int(lanes)-1).Draw(rt, "lane")),
			Amount: Amount{Memory: int64(rapid.IntRange(1, 3).Draw(rt, "memory") * 10), Temp: 5, Threads: rapid.IntRange(1, 4).Draw(rt, "threads"), Places: 1},
		}}
		var ctx context.Context
		ctx, w.cancel = context.WithCancel(context.Background())
		m.waits = append(m.waits, w)
		go func() {
			w.grant, w.err = m.b.Take(ctx, w.ask)
			w.done = true
		}()
	case k < 7 && len(m.held) > 0:
		i := rapid.IntRange(0, len(m.held)-1).Draw(rt, "which")
		m.held[i].Release()
		m.held[i].Release()
		m.held = append(m.held[:i], m.held[i+1:]...)
	case k < 8 && len(m.waits) > 0:
		m.waits[rapid.IntRange(0, len(m.waits)-1).Draw(rt, "which")].cancel()
	case k < 9 && len(m.held) > 0:
		m.held[rapid.IntRange(0, len(m.held)-1).Draw(rt, "which")].Move(Heavy, rapid.Bool().Draw(rt, "force"))
	default:
		time.Sleep(time.Duration(rapid.IntRange(1, 5000).Draw(rt, "ms")) * time.Millisecond)
	}
}

// collect takes what was given out.
func (m *model) collect() {
	var still []*taker
	for _, w := range m.waits {
		switch {
		case !w.done:
			still = append(still, w)
		case w.err == nil:
			m.held = append(m.held, w.grant)
		}
	}
	m.waits = still
}

func (m *model) check(rt *rapid.T) {
	var used Amount
	running := map[string]int{}
	for _, g := range m.held {
		used = used.plus(g.ask.Amount)
		running[fmt.Sprint(g.ask.Lane, g.ask.Who)]++
	}
	if what := used.lacks(m.cfg.Total); what != "" {
		rt.Fatalf("more %s is given out than there is: %+v", what, used)
	}
	if s := m.b.State(); s.Used != used {
		rt.Fatalf("the books say %+v, the takers hold %+v", s.Used, used)
	}
	for l := range lanes {
		for _, w := range m.b.turns(l) {
			if m.b.fits(w.ask) {
				if first := m.b.turns(l)[0]; l == Own || first == w {
					rt.Fatalf("%+v waits and could run", w.ask)
				}
			}
		}
	}
}

func (m *model) end(rt *rapid.T) {
	for _, w := range m.waits {
		w.cancel()
	}
	for len(m.held) > 0 {
		m.held[0].Release()
		m.held = m.held[1:]
		synctest.Wait()
		m.collect()
	}
	synctest.Wait()
	m.collect()
	if len(m.waits) > 0 {
		rt.Fatalf("%d takers wait for ever", len(m.waits))
	}
	for l := range lanes {
		if len(m.b.askers[l]) > 0 {
			rt.Fatalf("lane %s keeps askers", l)
		}
	}
}
