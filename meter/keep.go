package meter

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"weft/records"
)

// Books is where the meter keeps what was used; *records.Books is one.
type Books interface {
	PutMetered(ctx context.Context, m records.Metered, now time.Time) error
	ForgetUsage(ctx context.Context, now time.Time) error
	Spent(ctx context.Context, now time.Time) ([]records.Spent, error)
	Paces(ctx context.Context) ([]records.Pace, error)
	UsageKeys(ctx context.Context, day int64) ([]records.UsageKey, error)
}

// flushEvery is how often what was used is written to the books. A node that is
// killed loses what was used since.
const flushEvery = 2 * time.Second

// digest is a short name for a text.
func digest(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:8])
}

// Open reads from the books what was used before.
func (m *Meter) Open(ctx context.Context) error {
	now := m.env.Clock.Now()
	spent, err := m.books.Spent(ctx, now)
	if err != nil {
		return err
	}
	paces, err := m.books.Paces(ctx)
	if err != nil {
		return err
	}
	keys, err := m.books.UsageKeys(ctx, records.DayOf(now))
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rules {
		r.restore(spent)
	}
	for _, p := range paces {
		if p.Size >= 0 && p.Size < sizes {
			m.pace.sizes[p.Size] = seen{p.Seconds, p.Bytes, p.Count}
		}
	}
	m.ledger.turn(records.DayOf(now))
	for _, k := range keys {
		m.ledger.learn(k)
	}
	return nil
}

// restore takes what was used of the rule from the books; they have it in order.
func (r *ruleState) restore(spent []records.Spent) {
	for _, s := range spent {
		if s.Rule != r.id || r.Per == 0 {
			continue
		}
		a := r.accounts[s.Account]
		if a == nil {
			a = &account{key: s.Account, window: newWindow(r.Per)}
			r.accounts[s.Account] = a
		}
		p := Price{s.Rows, s.Bytes, s.Seconds}
		a.window.used = append(a.window.used, slot{n: s.Slot, Price: p})
		a.window.sum = a.window.sum.plus(p)
	}
}

// Run writes what was used to the books, now and then, until ctx ends, and once more
// then.
func (m *Meter) Run(ctx context.Context) error {
	m.forget(ctx)
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	day := records.DayOf(m.env.Clock.Now())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if err := m.Flush(ctx); err != nil && ctx.Err() == nil {
			m.env.Log.Warn("book what was used; it is tried again", "error", err)
		}
		if d := records.DayOf(m.env.Clock.Now()); d != day {
			day = d
			m.forget(ctx)
		}
	}
}

func (m *Meter) forget(ctx context.Context) {
	if err := m.books.ForgetUsage(ctx, m.env.Clock.Now()); err != nil && ctx.Err() == nil {
		m.env.Log.Warn("forget old usage; it is tried again tomorrow", "error", err)
	}
}

// Flush writes what was used to the books. What cannot be written is kept for the
// next one.
func (m *Meter) Flush(ctx context.Context) error {
	m.flushing.Lock()
	defer m.flushing.Unlock()
	m.mu.Lock()
	up, done := m.metered()
	m.mu.Unlock()
	if len(up.Usage)+len(up.Spent)+len(up.Paces) == 0 {
		return nil
	}
	err := m.books.PutMetered(ctx, up, m.env.Clock.Now())
	if err != nil {
		m.mu.Lock()
		done()
		m.mu.Unlock()
	}
	return err
}

// metered is what is to be written, and what is to be done where it could not be. The
// lock must be held for both.
func (m *Meter) metered() (up records.Metered, again func()) {
	up.Usage = m.ledger.take()
	type place struct {
		a *account
		r *ruleState
		n int64
	}
	var places []place
	for a, r := range m.dirty {
		for i := range a.window.used {
			s := &a.window.used[i]
			if !s.dirty {
				continue
			}
			s.dirty = false
			places = append(places, place{a, r, s.n})
			up.Spent = append(up.Spent, records.Spent{
				Rule: r.id, Account: a.key, Slot: s.n, Until: a.window.freed(s.n), Rows: s.Rows, Bytes: s.Bytes, Seconds: s.Seconds,
			})
		}
	}
	clear(m.dirty)
	if m.pace.moved {
		m.pace.moved = false
		for i, s := range m.pace.sizes {
			if s.N > 0 {
				up.Paces = append(up.Paces, records.Pace{Size: i, Seconds: s.Seconds, Bytes: s.Bytes, Count: s.N})
			}
		}
	}
	return up, func() {
		m.ledger.putBack(up.Usage)
		m.pace.moved = m.pace.moved || len(up.Paces) > 0
		for _, p := range places {
			m.dirty[p.a] = p.r
			for i := range p.a.window.used {
				if s := &p.a.window.used[i]; s.n == p.n {
					s.dirty = true
				}
			}
		}
	}
}
