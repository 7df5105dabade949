package meter

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"weft"
)

// measure is one of the things that a rule limits over time.
type measure struct {
	limit  func(*Rule) float64
	amount func(Price) float64
	show   func(float64) string
}

var measures = []measure{
	{func(r *Rule) float64 { return float64(r.Rows) }, func(p Price) float64 { return float64(p.Rows) }, showRows},
	{func(r *Rule) float64 { return float64(r.Bytes) }, func(p Price) float64 { return float64(p.Bytes) }, showBytes},
	{func(r *Rule) float64 { return r.Seconds }, func(p Price) float64 { return p.Seconds }, showSeconds},
}

func showRows(v float64) string {
	if v == 1 {
		return "1 row"
	}
	return humanize.Comma(int64(v)) + " rows"
}

func showBytes(v float64) string { return humanize.IBytes(uint64(max(v, 0))) }

func showSeconds(v float64) string { return humanize.FtoaWithDigits(v, 3) + " s" }

// over is why one account has no room for a question.
type over struct {
	claim *claim
	short measure   // what there is too little of; its limit is nil where too many run
	free  time.Time // when there is room again, as far as is known; zero is never
}

// full says why the account has no room for the claim, nil where it has.
func (c *claim) full(now time.Time) *over {
	r, a := &c.rule.Rule, c.account
	var worst *over
	for _, m := range measures {
		limit := m.limit(r)
		if limit == 0 {
			continue
		}
		want, kept, spent := m.amount(c.price), m.amount(a.reserved), m.amount(a.window.sum)
		if spent+kept+want <= limit {
			continue
		}
		o := &over{claim: c, short: m}
		switch need := spent + kept + want - limit; {
		case want > limit: // it never fits
		case need <= spent:
			o.free = a.window.freeAt(need, m.amount)
		default: // what runs must end first, and then be forgotten
			o.free = now.Add(r.Per)
		}
		if o.later(worst) {
			worst = o
		}
	}
	if worst == nil && r.Concurrent > 0 && a.running >= r.Concurrent {
		return &over{claim: c, free: a.nextEnd(now)}
	}
	return worst
}

// leastWait is after how long it may be worth to ask again where too many run.
const leastWait = time.Second

// nextEnd is when the first of those that run is thought to end.
func (a *account) nextEnd(now time.Time) time.Time {
	next := time.Time{}
	for _, e := range a.ends {
		if next.IsZero() || e.Before(next) {
			next = *e
		}
	}
	if soon := now.Add(leastWait); next.Before(soon) {
		return soon
	}
	return next
}

// later reports whether o lasts longer than p; never is the longest.
func (o *over) later(p *over) bool {
	return p == nil || !p.free.IsZero() && (o.free.IsZero() || o.free.After(p.free))
}

// refusal is the error for claims that have no room, by the rule that lasts longest;
// nil where all have.
func refusal(claims []claim, now time.Time) error {
	var worst *over
	for i := range claims {
		if o := claims[i].full(now); o != nil && o.later(worst) {
			worst = o
		}
	}
	if worst == nil {
		return nil
	}
	return worst.err(now)
}

// err says it in words.
func (o *over) err(now time.Time) error {
	r, a := &o.claim.rule.Rule, o.claim.account
	const op = "answer the question"
	subject := fmt.Sprintf("under the budget %q", r.Label())
	if o.short.limit == nil {
		e := weft.Errorf(weft.KindLimit, op, subject, "%d of %d questions at once run already", a.running, r.Concurrent).
			WithHint("ask again when one of them has ended; `weft query --quote` says what a question takes")
		e.After = o.free.Sub(now)
		return e
	}
	m := o.short
	want, limit := m.amount(o.claim.price), m.limit(r)
	used := m.amount(a.window.sum) + m.amount(a.reserved)
	e := weft.Errorf(weft.KindLimit, op, subject, "it takes about %s, and of %s per %s %s are used and %s left",
		m.show(want), m.show(limit), ShowPer(r.Per), m.show(used), m.show(max(limit-used, 0)))
	switch {
	case want > limit:
		e = e.WithHint("it never fits: ask for less, or ask who owns the products of this node for a larger budget")
	default:
		e.After = o.free.Sub(now)
		e = e.WithHint("there is room from %s on (in %s); `weft query --quote` says what a question takes", o.free.UTC().Format(time.RFC3339), showWait(e.After))
	}
	return e
}

// ShowPer writes a span as weft.yaml has it: 90m, 1h, 7d.
func ShowPer(d time.Duration) string {
	if day := 24 * time.Hour; d > 0 && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// showWait rounds a wait up to what a person can use.
func showWait(d time.Duration) string {
	switch {
	case d > 48*time.Hour:
		return fmt.Sprintf("%d days", (d+24*time.Hour-1)/(24*time.Hour))
	case d > 2*time.Minute:
		return ShowPer((d + time.Minute - 1).Truncate(time.Minute))
	}
	return max((d + time.Second - 1).Truncate(time.Second), time.Second).String()
}
