package meter

import (
	"slices"
	"time"
)

// slots is in how many pieces the span of a rule is counted: a use counts for at
// least the span, and at most a slots-th longer.
const slots = 60

// window is what was used in the last span of time.
type window struct {
	width time.Duration // of a slot
	used  []slot        // those in which something was, the oldest first
	sum   Price
}

// slot is what was used in one piece of time.
type slot struct {
	n int64 // since 1970, in widths
	Price
	dirty bool // it is not in the books as it is
}

func newWindow(per time.Duration) window { return window{width: per / slots} }

// at is the number of the slot that a time is in; a rule without a span has one.
func (w *window) at(t time.Time) int64 {
	if w.width == 0 {
		return 0
	}
	return t.UnixNano() / int64(w.width)
}

// freed is when slot n no longer counts.
func (w *window) freed(n int64) time.Time { return time.Unix(0, (n+slots+1)*int64(w.width)).UTC() }

// advance drops what no longer counts.
func (w *window) advance(now time.Time) {
	oldest, gone := w.at(now)-slots, 0
	for gone < len(w.used) && w.used[gone].n < oldest {
		gone++
	}
	if gone == 0 {
		return
	}
	w.used = slices.Delete(w.used, 0, gone)
	w.sum = Price{} // summed anew, so that fractions do not add up
	for _, s := range w.used {
		w.sum = w.sum.plus(s.Price)
	}
}

// add books a use. A clock that was put back books to the newest slot.
func (w *window) add(now time.Time, p Price) {
	n := w.at(now)
	last := len(w.used) - 1
	if last < 0 || w.used[last].n < n {
		w.used = append(w.used, slot{n: n})
		last++
	}
	w.used[last].Price = w.used[last].plus(p)
	w.used[last].dirty = true
	w.sum = w.sum.plus(p)
}

// freeAt is when at least need is no longer counted of what amount picks; zero where
// that is more than there is.
func (w *window) freeAt(need float64, amount func(Price) float64) time.Time {
	for _, s := range w.used {
		if need -= amount(s.Price); need <= 0 {
			return w.freed(s.n)
		}
	}
	return time.Time{}
}
