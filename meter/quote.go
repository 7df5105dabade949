package meter

import "time"

// Quote is what a question takes, and whether it would be let in now.
type Quote struct {
	Price
	Rules []Standing // those that are about it
	// Refusal is why it would not be let in, as Admit says it; nil where it would.
	Refusal error
}

// Standing is how a consumer stands under one rule.
type Standing struct {
	Rule    Rule
	Account string // whose use is counted together: a subject, a node's key, a domain
	Price   Price  // that the question takes under the rule
	Used    Price  // in the span of time up to now, with what those that run are thought to use
	Left    Price  // only that which the rule limits says something
	Running int
	Fits    bool
	Free    time.Time // when it fits; zero where it does, or never will
}

// Quote says what Admit would, and lets nothing run.
func (m *Meter) Quote(a Ask) Quote {
	now := m.env.Clock.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	claims, price := m.claims(&a, now)
	q := Quote{Price: price, Refusal: refusal(claims, now)}
	for i := range claims {
		c := &claims[i]
		r, used := c.rule.Rule, c.account.window.sum.plus(c.account.reserved)
		s := Standing{Rule: r, Account: c.account.key, Price: c.price, Used: used, Running: c.account.running, Fits: true}
		s.Left = Price{max(r.Rows-used.Rows, 0), max(r.Bytes-used.Bytes, 0), max(r.Seconds-used.Seconds, 0)}
		if o := c.full(now); o != nil {
			s.Fits, s.Free = false, o.free
		}
		q.Rules = append(q.Rules, s)
	}
	return q
}
