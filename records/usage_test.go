package records

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// TestUsage holds that what is booked adds up, however it is asked for, and that
// nobody is shown what is not about them.
func TestUsage(t *testing.T) {
	ctx := t.Context()
	b, err := Open(ctx, filepath.Join(t.TempDir(), "books.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	day := DayOf(time.Date(2026, 3, 1, 23, 59, 0, 0, time.UTC))
	use := func(day int64, node, subject, product string, once int64) Usage {
		return Usage{
			UsageKey: UsageKey{Day: day, Node: node, Kind: "person", Subject: subject, Product: product},
			NodeName: fmt.Sprint("name at ", day-20000), Domains: "sales", Questions: 1, QuestionsOnce: once, Rows: 10, Bytes: 100, Seconds: 0.5, GivenRows: 1,
		}
	}
	refused := Usage{UsageKey: UsageKey{Day: day, Kind: "person", Subject: "bob", Product: "sales.orders"}, Refused: 1, RefusedOnce: 1}
	for _, list := range [][]Usage{
		{use(day, "", "ann", "sales.orders", 1), use(day, "", "ann", "places.stores", 0)}, // one question over two
		{use(day, "", "ann", "sales.orders", 1), refused},
		{use(day+1, "a1", "ann", "sales.lines", 1), use(day+1, "", "ann", "", 1), use(day+1, "", "bob", "salesforce.x", 1)},
		{use(day-2, "a1", "ann", "sales.lines", 1)},
	} {
		if err := b.PutMetered(ctx, Metered{Usage: list}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		q    UsageQuery
		want string // key questions/refused rows of each
	}{
		{"by product", UsageQuery{By: ByProduct}, "sales.lines 2/0 20, sales.orders 2/1 20,  1/0 10, places.stores 1/0 10, salesforce.x 1/0 10, "},
		{"by consumer, each question once", UsageQuery{By: ByConsumer}, "ann 3/0 40, a1ann 2/0 20, bob 1/1 10, "},
		{"by day", UsageQuery{By: ByDay}, "1 3/0 30, 0 2/1 30, -2 1/0 10, "},
		{"since a day", UsageQuery{By: ByDay, Since: day + 1}, "1 3/0 30, "},
		{"of one domain", UsageQuery{By: ByProduct, Some: true, Domains: []string{"sales"}}, "sales.lines 2/0 20, sales.orders 2/1 20, "},
		{"of a domain and one's own", UsageQuery{By: ByConsumer, Some: true, Domains: []string{"places"}, Kind: "person", Subject: "bob"}, "ann 1/0 10, bob 1/1 10, "},
		{"one's own", UsageQuery{By: ByConsumer, Some: true, Kind: "person", Subject: "bob"}, "bob 1/1 10, "},
		{"of nothing", UsageQuery{By: ByConsumer, Some: true}, ""},
		{"the first", UsageQuery{By: ByConsumer, Limit: 1}, "ann 3/0 40, "},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, err := b.Usage(ctx, c.q)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, u := range list {
				key := u.Product
				switch c.q.By {
				case ByConsumer:
					key = u.Node + u.Subject
				case ByDay:
					key = fmt.Sprint(u.Day - day)
				}
				got += fmt.Sprintf("%s %d/%d %d, ", key, u.Questions, u.Refused, u.Rows)
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	list, err := b.Usage(ctx, UsageQuery{By: ByConsumer, Limit: 1})
	if err != nil || list[0].NodeName != fmt.Sprint("name at ", day+1-20000) || list[0].Domains != "sales" {
		t.Errorf("%+v %v", list, err)
	}
	if err := b.ForgetUsage(ctx, time.Unix((day+UsageDays)*24*60*60, 0)); err != nil {
		t.Fatal(err)
	}
	if list, err := b.Usage(ctx, UsageQuery{By: ByDay}); err != nil || len(list) != 2 {
		t.Errorf("%+v %v", list, err)
	}
}

// TestSpent holds that what was used of budgets is kept for as long as it counts.
func TestSpent(t *testing.T) {
	ctx := t.Context()
	b, err := Open(ctx, filepath.Join(t.TempDir(), "books.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	now := time.UnixMicro(1_700_000_000_000_000)
	put := func(at time.Time, s ...Spent) {
		t.Helper()
		if err := b.PutMetered(ctx, Metered{Spent: s, Paces: []Pace{{Size: 3, Seconds: 1, Bytes: 2, Count: int64(len(s))}}}, at); err != nil {
			t.Fatal(err)
		}
	}
	put(now, Spent{Rule: "r", Account: "a", Slot: 1, Until: now.Add(time.Second), Rows: 1}, Spent{Rule: "r", Account: "a", Slot: 2, Until: now.Add(time.Minute), Rows: 2})
	put(now, Spent{Rule: "r", Account: "a", Slot: 2, Until: now.Add(time.Minute), Rows: 5, Seconds: 0.25})
	if got, err := b.Spent(ctx, now); err != nil || len(got) != 2 || got[1].Rows != 5 || got[1].Seconds != 0.25 {
		t.Errorf("%+v %v", got, err)
	}
	put(now.Add(time.Second))
	if got, err := b.Spent(ctx, now); err != nil || len(got) != 1 || got[0].Slot != 2 || !got[0].Until.Equal(now.Add(time.Minute)) {
		t.Errorf("%+v %v", got, err)
	}
	if got, err := b.Paces(ctx); err != nil || len(got) != 1 || got[0] != (Pace{3, 1, 2, 0}) {
		t.Errorf("%+v %v", got, err)
	}
}
