package meter

import (
	"slices"
	"strings"
	"time"

	"weft"
	"weft/records"
)

// ledger gathers what consumers use until it is written to the books: by day,
// consumer, purpose and product.
type ledger struct {
	most     int // keys of one day
	day      int64
	known    map[records.UsageKey]bool  // of the day, what is in the books too
	purposes map[string]map[string]bool // that each consumer has named on that day
	open     map[records.UsageKey]*records.Usage
}

// What is kept apart on one day at most. What is beyond is booked under the name
// for others, so that nobody can fill the books by making up names.
const (
	maxDayKeys  = 10_000
	maxPurposes = 20 // of one consumer
)

// longest is the longest name of a subject or purpose that is kept, in bytes.
const longest = 200

func newLedger() *ledger {
	return &ledger{most: maxDayKeys, known: map[records.UsageKey]bool{}, purposes: map[string]map[string]bool{}, open: map[records.UsageKey]*records.Usage{}}
}

// turn begins another day.
func (l *ledger) turn(day int64) {
	if day != l.day {
		l.day = day
		clear(l.known)
		clear(l.purposes)
	}
}

// learn notes that a key of the day is in the books, or will be.
func (l *ledger) learn(k records.UsageKey) {
	l.known[k] = true
	of := l.purposes[consumerOf(k)]
	if of == nil {
		of = map[string]bool{}
		l.purposes[consumerOf(k)] = of
	}
	of[k.Purpose] = true
}

func consumerOf(k records.UsageKey) string {
	return k.Node + " " + k.Kind + " " + k.Subject
}

// entry is where the use of a product is booked.
func (l *ledger) entry(now time.Time, c *Consumer, product weft.Name) *records.Usage {
	l.turn(records.DayOf(now))
	k := records.UsageKey{Day: l.day, Kind: string(c.Kind), Subject: clip(c.Subject), Purpose: clip(c.Purpose)}
	if !c.Node.IsZero() {
		k.Node = c.Node.String()
	}
	if !product.IsZero() {
		k.Product = product.String()
	}
	return l.at(k, c)
}

// at finds an entry, or that of the others where there are too many.
func (l *ledger) at(k records.UsageKey, c *Consumer) *records.Usage {
	if !l.known[k] {
		if of := l.purposes[consumerOf(k)]; len(of) >= maxPurposes && !of[k.Purpose] {
			k.Purpose = others
		}
		if len(l.known) >= l.most {
			k.Kind, k.Subject, k.Purpose = "", others, ""
		}
	}
	l.learn(k)
	e := l.open[k]
	if e == nil {
		e = &records.Usage{UsageKey: k}
		l.open[k] = e
	}
	if k.Subject != others {
		e.NodeName, e.Domains = clip(c.NodeName), clip(strings.Join(c.Domains, " "))
	}
	return e
}

// refused books a question that no rule had room for.
func (l *ledger) refused(now time.Time, a *Ask) {
	for i, p := range productsOf(a) {
		e := l.entry(now, &a.Consumer, p)
		e.Refused++
		if i == 0 {
			e.RefusedOnce++
		}
	}
}

// used books a question that was let in.
func (l *ledger) used(now time.Time, a *Ask, u Used) {
	var rows, bytes int64
	for _, r := range a.Reads {
		rows, bytes = rows+r.Rows, bytes+r.Bytes
	}
	ps := productsOf(a)
	seconds, givenRows, givenBytes := u.Seconds, u.GivenRows, u.GivenBytes
	for i, p := range ps {
		e := l.entry(now, &a.Consumer, p)
		e.Questions++
		if i == 0 {
			e.QuestionsOnce++
		}
		if len(a.Reads) > 0 {
			e.Rows, e.Bytes = e.Rows+a.Reads[i].Rows, e.Bytes+a.Reads[i].Bytes
		}
		// What cannot be told apart is divided by what was read; the last has the rest.
		share := 1 / float64(len(ps))
		switch {
		case bytes > 0:
			share = float64(a.Reads[i].Bytes) / float64(bytes)
		case rows > 0:
			share = float64(a.Reads[i].Rows) / float64(rows)
		}
		s, r, b := u.Seconds*share, int64(float64(u.GivenRows)*share), int64(float64(u.GivenBytes)*share)
		if i == len(ps)-1 {
			s, r, b = seconds, givenRows, givenBytes
		}
		e.Seconds, e.GivenRows, e.GivenBytes = e.Seconds+s, e.GivenRows+r, e.GivenBytes+b
		seconds, givenRows, givenBytes = seconds-s, givenRows-r, givenBytes-b
	}
}

// productsOf are the products of a question; one that names none has the one of no
// name.
func productsOf(a *Ask) []weft.Name {
	if len(a.Reads) == 0 {
		return []weft.Name{{}}
	}
	out := make([]weft.Name, len(a.Reads))
	for i, r := range a.Reads {
		out[i] = r.Product
	}
	return out
}

// take gives what is to be written, and begins anew.
func (l *ledger) take() []records.Usage {
	out := make([]records.Usage, 0, len(l.open))
	for _, e := range l.open {
		out = append(out, *e)
	}
	clear(l.open)
	slices.SortFunc(out, func(x, y records.Usage) int { return x.UsageKey.Compare(y.UsageKey) })
	return out
}

// putBack books again what could not be written.
func (l *ledger) putBack(list []records.Usage) {
	for _, u := range list {
		if e := l.open[u.UsageKey]; e != nil {
			e.Add(u)
			continue
		}
		l.open[u.UsageKey] = &u
	}
}

// clip bounds a name and keeps it text.
func clip(s string) string {
	if len(s) > longest {
		s = s[:longest]
	}
	return strings.ToValidUTF8(s, "?")
}
