package records

import (
	"cmp"
	"context"
	"database/sql"
	"strings"
	"time"
)

// UsageKey is what usage is booked by.
type UsageKey struct {
	Day     int64  // since 1970, in UTC; see DayOf
	Node    string // key of the node that asked; empty for this one
	Kind    string // of the subject
	Subject string
	Purpose string
	Product string // empty for questions that name none
}

// Compare orders keys.
func (k UsageKey) Compare(o UsageKey) int {
	return cmp.Or(cmp.Compare(k.Day, o.Day), strings.Compare(k.Node, o.Node), strings.Compare(k.Kind, o.Kind),
		strings.Compare(k.Subject, o.Subject), strings.Compare(k.Purpose, o.Purpose), strings.Compare(k.Product, o.Product))
}

// DayOf is the day of a time, as UsageKey has it.
func DayOf(t time.Time) int64 { return t.UTC().Unix() / (24 * 60 * 60) }

// Usage is what a consumer used of a product on a day.
type Usage struct {
	UsageKey
	NodeName string // as the node called itself last
	Domains  string // of the subject at last, with spaces between
	// Questions and Refused count a question with each of its products; those with
	// Once count it with one of them, so that sums over products are right.
	Questions, QuestionsOnce int64
	Refused, RefusedOnce     int64
	Rows, Bytes              int64   // read
	Seconds                  float64 // with a worker
	GivenRows, GivenBytes    int64   // of the answers
}

// Add adds what o counts.
func (u *Usage) Add(o Usage) {
	u.Questions, u.QuestionsOnce = u.Questions+o.Questions, u.QuestionsOnce+o.QuestionsOnce
	u.Refused, u.RefusedOnce = u.Refused+o.Refused, u.RefusedOnce+o.RefusedOnce
	u.Rows, u.Bytes, u.Seconds = u.Rows+o.Rows, u.Bytes+o.Bytes, u.Seconds+o.Seconds
	u.GivenRows, u.GivenBytes = u.GivenRows+o.GivenRows, u.GivenBytes+o.GivenBytes
}

// Spent is what was used under a budget in a piece of time.
type Spent struct {
	Rule    string // identity of the budget, the caller's own
	Account string // whose use is counted together
	Slot    int64  // which piece of time, as the caller counts them
	Until   time.Time
	Rows    int64
	Bytes   int64
	Seconds float64
}

// Pace is how long questions of a size took.
type Pace struct {
	Size    int
	Seconds float64
	Bytes   float64
	Count   int64
}

// What is kept of usage: days, and rows of the table.
const (
	UsageDays = 400
	maxUsage  = 500_000
)

// Metered is what PutMetered writes down.
type Metered struct {
	Usage []Usage // added to what is there
	Spent []Spent // in the place of what is there
	Paces []Pace  // in the place of what is there
}

// PutMetered writes down what was used, all of it or nothing, and forgets what is
// past at now.
func (b *Books) PutMetered(ctx context.Context, m Metered, now time.Time) error {
	const op = "book what was used"
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return wrap(op, err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, put := range []func(context.Context, *sql.Tx) error{m.putUsage, m.putSpent, m.putPaces} {
		if err := put(ctx, tx); err != nil {
			return wrap(op, err)
		}
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM spent WHERE until <= ?`, now.UnixMicro()); err != nil {
		return wrap(op, err)
	}
	return wrap(op, tx.Commit())
}

func (m Metered) putUsage(ctx context.Context, tx *sql.Tx) error {
	if len(m.Usage) == 0 {
		return nil
	}
	st, err := tx.PrepareContext(ctx, `INSERT INTO usage(day, node, kind, subject, purpose, product, node_name, domains,
		questions, questions_once, refused, refused_once, rows, bytes, seconds, given_rows, given_bytes)
		VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT DO UPDATE SET node_name=excluded.node_name, domains=excluded.domains,
			questions=questions+excluded.questions, questions_once=questions_once+excluded.questions_once,
			refused=refused+excluded.refused, refused_once=refused_once+excluded.refused_once,
			rows=rows+excluded.rows, bytes=bytes+excluded.bytes, seconds=seconds+excluded.seconds,
			given_rows=given_rows+excluded.given_rows, given_bytes=given_bytes+excluded.given_bytes`)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	for _, u := range m.Usage {
		_, err := st.ExecContext(ctx, u.Day, u.Node, u.Kind, u.Subject, u.Purpose, u.Product, u.NodeName, u.Domains,
			u.Questions, u.QuestionsOnce, u.Refused, u.RefusedOnce, u.Rows, u.Bytes, u.Seconds, u.GivenRows, u.GivenBytes)
		if err != nil {
			return err
		}
	}
	return nil
}

func (m Metered) putSpent(ctx context.Context, tx *sql.Tx) error {
	for _, s := range m.Spent {
		_, err := tx.ExecContext(ctx, `INSERT INTO spent(rule, account, slot, until, rows, bytes, seconds) VALUES (?,?,?,?,?,?,?)
			ON CONFLICT DO UPDATE SET until=excluded.until, rows=excluded.rows, bytes=excluded.bytes, seconds=excluded.seconds`,
			s.Rule, s.Account, s.Slot, s.Until.UnixMicro(), s.Rows, s.Bytes, s.Seconds)
		if err != nil {
			return err
		}
	}
	return nil
}

func (m Metered) putPaces(ctx context.Context, tx *sql.Tx) error {
	for _, p := range m.Paces {
		_, err := tx.ExecContext(ctx, `INSERT INTO pace(size, seconds, bytes, count) VALUES (?,?,?,?)
			ON CONFLICT DO UPDATE SET seconds=excluded.seconds, bytes=excluded.bytes, count=excluded.count`, p.Size, p.Seconds, p.Bytes, p.Count)
		if err != nil {
			return err
		}
	}
	return nil
}

// ForgetUsage lets go of the usage of days that are long past, and of the oldest
// where there is too much.
func (b *Books) ForgetUsage(ctx context.Context, now time.Time) error {
	_, err := b.db.ExecContext(ctx, `DELETE FROM usage WHERE day < ? OR day < (SELECT day FROM usage ORDER BY day DESC LIMIT 1 OFFSET ?)`, DayOf(now)-UsageDays, maxUsage)
	return wrap("forget old usage", err)
}
