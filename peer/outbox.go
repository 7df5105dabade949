package peer

import (
	"slices"
	"sync"

	"weft/sign"
)

// Bounds of what waits for a slow link.
const (
	outboxRecords = 8192
	outboxBytes   = 4 << 20
	outboxFrames  = 64 // of either other kind; who makes more wait breaks the protocol
)

// outbox is what waits to go out over a link: first what is urgent, then new records,
// then answers to questions, a page at a time. Of a record that waits only the newest
// version goes; what does not fit is left to be asked for.
type outbox struct {
	mu      sync.Mutex
	filled  *sync.Cond
	first   []frame
	records []waits
	at      map[RecordID]int // where in records each is, from the first that ever waited
	gone    int              // how many have waited before those in records
	page    []*sign.Record   // room of take
	bytes   int
	last    []frame
	behind  bool // some did not fit
	closed  bool
}

// waits is a record that waits, and its place.
type waits struct {
	id RecordID
	r  *sign.Record
}

func newOutbox() *outbox {
	o := &outbox{at: map[RecordID]int{}}
	o.filled = sync.NewCond(&o.mu)
	return o
}

func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.filled.Broadcast()
}

// urgent takes a short frame that waits for nothing.
func (o *outbox) urgent(f frame) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.first) >= outboxFrames {
		return badFrame("it asks faster than it takes what it asked for")
	}
	o.first = append(o.first, f)
	o.filled.Signal()
	return nil
}

// bulk takes an answer.
func (o *outbox) bulk(f frame) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.last) >= outboxFrames {
		return badFrame("it asks faster than it takes what it asked for")
	}
	o.last = append(o.last, f)
	o.filled.Signal()
	return nil
}

// push takes a record, in place of an older version of the same place that waits.
func (o *outbox) push(id RecordID, r *sign.Record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	switch i, ok := o.at[id]; {
	case ok:
		old := &o.records[i-o.gone]
		if old.r.Version > r.Version {
			return
		}
		o.bytes -= len(old.r.Raw())
		old.r = r
	case len(o.records) >= outboxRecords || o.bytes+len(r.Raw()) > outboxBytes:
		o.behind = true
		return
	default:
		o.at[id] = o.gone + len(o.records)
		o.records = append(o.records, waits{id, r})
	}
	o.bytes += len(r.Raw())
	o.filled.Signal()
}

// next waits for something to send and returns a page of it, to be given back; sent is
// how many new records are in it, and behind whether others were left out.
func (o *outbox) next(l *link) (b []byte, sent int, behind bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		for !o.closed && len(o.first) == 0 && len(o.records) == 0 && len(o.last) == 0 && !o.behind {
			o.filled.Wait()
		}
		if o.closed {
			return nil, 0, false, errClosed
		}
		if b == nil {
			b = lend(0)
		}
		for _, f := range o.first {
			b = appendFrame(b, f)
		}
		o.first = nil
		fresh := o.take(l)
		b, sent = appendPush(b, fresh), len(fresh)
		if len(o.records) == 0 && o.behind {
			o.behind, behind = false, true
			b = appendFrame(b, frame{frameBehind, nil})
		}
		if len(o.last) > 0 && len(b) < pageBytes {
			b = appendFrame(b, o.last[0])
			o.last[0] = frame{}
			o.last = o.last[1:]
		}
		if len(b) > 0 {
			return b, sent, behind, nil
		}
	}
}

// take takes a page of the records that wait, in an order in which they can be
// judged, without those that the other side has sent itself meanwhile. What it returns
// is valid until it is called again.
func (o *outbox) take(l *link) []*sign.Record {
	clear(o.page)
	page, size, n := o.page[:0], 0, 0
	for _, w := range o.records {
		r := w.r
		if size > 0 && size+len(r.Raw()) > pageBytes {
			break
		}
		n++
		o.bytes -= len(r.Raw())
		if l.got.has(r.Hash()) {
			continue
		}
		size += len(r.Raw()) + 4
		page = append(page, r)
	}
	o.drop(n)
	slices.SortStableFunc(page, func(a, b *sign.Record) int { return rank(a.Kind) - rank(b.Kind) })
	o.page = page
	return page
}

// drop takes the first n records out.
func (o *outbox) drop(n int) {
	if n < len(o.records) {
		for _, w := range o.records[:n] {
			delete(o.at, w.id)
		}
		o.gone += n
		o.records = o.records[n:]
		return
	}
	o.gone = 0
	if cap(o.records) > outboxRecords/8 { // so many seldom wait
		o.records, o.at = nil, map[RecordID]int{}
		return
	}
	clear(o.at)
	clear(o.records)
	o.records = o.records[:0]
}

// appendPush writes records as one frame.
func appendPush(b []byte, page []*sign.Record) []byte {
	if len(page) == 0 {
		return b
	}
	size := 0
	for _, r := range page {
		size += 4 + len(r.Raw())
	}
	b = appendHeader(slices.Grow(b, frameHeader+size), framePush, size)
	for _, r := range page {
		b = appendRecord(b, r.Raw())
	}
	return b
}
