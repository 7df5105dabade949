package meter

import (
	"context"
	"sync"
	"time"

	"weft"
	"weft/records"
	"weft/run"
)

// Config is what a Meter is made from.
type Config struct {
	Rules []Rule
	Books Books
	Env   run.Env
}

// Meter says whether questions may run, and books what they use. Safe for concurrent
// use; what is asked of it takes microseconds and waits for no disk.
type Meter struct {
	books Books
	env   run.Env

	mu     sync.Mutex
	rules  []*ruleState
	dirty  map[*account]*ruleState // whose use is not in the books as it is
	pace   *pace
	ledger *ledger

	flushing sync.Mutex // one flush at a time; taken before mu
}

// ruleState is a rule with what was used of it.
type ruleState struct {
	Rule
	id       string
	accounts map[string]*account
	tidied   time.Time
}

// account is what one consumer has used of one rule.
type account struct {
	key      string
	window   window
	running  int
	reserved Price        // what those that run are thought to use
	ends     []*time.Time // when each of them is thought to end
}

// maxAccounts is how many consumers are told apart in a rule; those beyond share an
// account: whoever makes up names gains nothing by it.
const maxAccounts = 2000

// others is the account that they share.
const others = "(others)"

// Read is what a question reads of one product.
type Read struct {
	Product weft.Name
	Rows    int64
	Bytes   int64
}

// Ask is a question as the meter sees it.
type Ask struct {
	Consumer Consumer
	Text     string // a digest of its text: the same text takes about the same time; empty for what is no question
	Reads    []Read
}

// Used is what became of a question that was let in.
type Used struct {
	Began      bool    // it was given to a worker: then it is taken to have read what it was to read
	Seconds    float64 // that it had a worker
	GivenRows  int64   // of its answer
	GivenBytes int64
}

// New makes a Meter; it touches nothing.
func New(cfg Config) *Meter {
	m := &Meter{books: cfg.Books, env: cfg.Env.Named("meter"), pace: newPace(), ledger: newLedger(), dirty: map[*account]*ruleState{}}
	m.rules = stateOf(cfg.Rules)
	return m
}

// SetRules puts other rules in the place of those before. A rule for the same
// consumers, products and time goes on with what was used; another begins with
// nothing, or with what the books know of it from before. Questions that run go on.
func (m *Meter) SetRules(ctx context.Context, rules []Rule) {
	err := m.Flush(ctx) // so that what the books say of rules that go is whole
	var spent []records.Spent
	if err == nil {
		spent, err = m.books.Spent(ctx, m.env.Clock.Now())
	}
	if err != nil {
		m.env.Log.Warn("read what was used of other budgets; those that are new begin with nothing", "error", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	before := map[string]*ruleState{}
	for _, r := range m.rules {
		before[r.id] = r
	}
	m.rules = stateOf(rules)
	for _, r := range m.rules {
		if old := before[r.id]; old != nil {
			r.accounts = old.accounts
		} else {
			r.restore(spent)
		}
	}
}

func stateOf(rules []Rule) []*ruleState {
	out := make([]*ruleState, len(rules))
	for i, r := range rules {
		out[i] = &ruleState{Rule: r, id: digest(r.identity()), accounts: map[string]*account{}}
	}
	return out
}

// account finds the account of that key.
func (r *ruleState) account(key string, now time.Time) *account {
	a := r.accounts[key]
	if a == nil {
		if len(r.accounts) >= maxAccounts {
			r.tidy(now)
		}
		if len(r.accounts) >= maxAccounts {
			key = others
		}
		if a = r.accounts[key]; a == nil {
			a = &account{key: key, window: newWindow(r.Per)}
			r.accounts[key] = a
		}
	}
	a.window.advance(now)
	return a
}

// tidyEvery is how often it is looked for accounts that hold nothing.
const tidyEvery = 10 * time.Second

// tidy drops the accounts that hold nothing.
func (r *ruleState) tidy(now time.Time) {
	if d := now.Sub(r.tidied); d >= 0 && d < tidyEvery {
		return
	}
	r.tidied = now
	for k, a := range r.accounts {
		if a.window.advance(now); a.running == 0 && len(a.window.used) == 0 {
			delete(r.accounts, k)
		}
	}
}

// claim is what a question takes of one account.
type claim struct {
	rule    *ruleState
	account *account
	price   Price // estimated
	end     time.Time
}

// claims are what the question takes of each account that it is booked to, and the
// seconds that it is thought to take. The lock must be held.
func (m *Meter) claims(a *Ask, now time.Time) ([]claim, Price) {
	var whole Price
	for _, r := range a.Reads {
		whole.Rows, whole.Bytes = whole.Rows+r.Rows, whole.Bytes+r.Bytes
	}
	whole.Seconds = m.pace.predict(a.Text, whole.Bytes)
	if len(m.rules) == 0 {
		return nil, whole
	}
	out, who := make([]claim, 0, len(m.rules)), keysOf(&a.Consumer)
	for _, r := range m.rules {
		p, ok := r.counts(a.Reads)
		if !ok {
			continue
		}
		p.Seconds = whole.Seconds
		for _, key := range r.Rule.accounts(who) {
			out = append(out, claim{rule: r, account: r.account(key, now), price: p})
		}
	}
	return out, whole
}

// Admit lets a question run, or refuses it with an error of KindLimit that says by
// which rule, what the question takes, what is left and when more is. The ticket's
// Done is to be called when the question has ended.
func (m *Meter) Admit(a Ask) (*Ticket, error) {
	now := m.env.Clock.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	claims, price := m.claims(&a, now)
	if err := refusal(claims, now); err != nil {
		m.ledger.refused(now, &a)
		return nil, err
	}
	t := &Ticket{m: m, ask: a, price: price, claims: claims}
	for i := range t.claims {
		c := &t.claims[i]
		c.end = now.Add(time.Duration(price.Seconds * float64(time.Second)))
		c.account.running++
		c.account.reserved = c.account.reserved.plus(c.price)
		c.account.ends = append(c.account.ends, &c.end)
	}
	return t, nil
}

// Book lets a question run that no rule is for: the node's own work, such as a load
// that reads another product. It is in the ledger like everybody's.
func (m *Meter) Book(a Ask) *Ticket { return &Ticket{m: m, ask: a} }

// Ticket is a question that runs.
type Ticket struct {
	m      *Meter
	ask    Ask
	price  Price // estimated
	claims []claim
	once   sync.Once
}

// Price is what the question was thought to take.
func (t *Ticket) Price() Price { return t.price }

// Done books what the question has used. Idempotent.
func (t *Ticket) Done(u Used) { t.once.Do(func() { t.m.done(t, u) }) }

func (m *Meter) done(t *Ticket, u Used) {
	now := m.env.Clock.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range t.claims {
		c := &t.claims[i]
		c.account.release(c)
		used := Price{Seconds: u.Seconds}
		if u.Began {
			used.Rows, used.Bytes = c.price.Rows, c.price.Bytes
		}
		if c.rule.Per > 0 {
			c.account.window.advance(now)
			c.account.window.add(now, used)
			m.dirty[c.account] = c.rule
		}
	}
	if !u.Began {
		for i := range t.ask.Reads {
			t.ask.Reads[i].Rows, t.ask.Reads[i].Bytes = 0, 0
		}
	} else if t.ask.Text != "" {
		var bytes int64
		for _, r := range t.ask.Reads {
			bytes += r.Bytes
		}
		m.pace.learn(t.ask.Text, bytes, u.Seconds)
	}
	m.ledger.used(now, &t.ask, u)
}

// release gives back what was kept for a question.
func (a *account) release(c *claim) {
	a.running--
	if a.reserved = a.reserved.minus(c.price); a.running == 0 {
		a.reserved = Price{} // and no rest of fractions
	}
	for i, e := range a.ends {
		if e == &c.end {
			last := len(a.ends) - 1
			a.ends[i], a.ends = a.ends[last], a.ends[:last]
			return
		}
	}
}
