package peer

import (
	"slices"
	"sync"

	"weft"
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
	records map[place]*sign.Record
	order   []place
	bytes   int
	last    []frame
	behind  bool // some did not fit
	closed  bool
}

// place is what a record takes another one's place of.
type place struct {
	kind, key string
	by        weft.KeyID
}

func newOutbox() *outbox {
	o := &outbox{records: map[place]*sign.Record{}}
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

// push takes a record, in place of an older version that waits.
func (o *outbox) push(r *sign.Record) {
	id := place{r.Kind, r.Key, r.Signers[0]}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	old := o.records[id]
	switch {
	case old != nil && old.Version > r.Version:
		return
	case old != nil:
		o.bytes -= len(old.Raw())
	case len(o.order) >= outboxRecords || o.bytes+len(r.Raw()) > outboxBytes:
		o.behind = true
		return
	default:
		o.order = append(o.order, id)
	}
	o.records[id] = r
	o.bytes += len(r.Raw())
	o.filled.Signal()
}

// next waits for something to send and appends a page of it to b; sent is how many
// new records are in it, and behind whether others were left out.
func (o *outbox) next(b []byte, l *link) (page []byte, sent int, behind bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		for !o.closed && len(o.first) == 0 && len(o.order) == 0 && len(o.last) == 0 && !o.behind {
			o.filled.Wait()
		}
		if o.closed {
			return b, 0, false, errClosed
		}
		for _, f := range o.first {
			b = appendFrame(b, f)
		}
		o.first = nil
		fresh := o.take(l)
		b, sent = appendPush(b, fresh), len(fresh)
		if len(o.order) == 0 && o.behind {
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
// judged, without those that the other side has sent itself meanwhile.
func (o *outbox) take(l *link) (page []*sign.Record) {
	size, n := 0, 0
	for _, id := range o.order {
		r := o.records[id]
		if size > 0 && size+len(r.Raw()) > pageBytes {
			break
		}
		n++
		delete(o.records, id)
		o.bytes -= len(r.Raw())
		if l.got.has(r.Hash()) {
			continue
		}
		size += len(r.Raw()) + 4
		page = append(page, r)
	}
	o.order = o.order[n:]
	if len(o.order) == 0 {
		o.order = nil
	}
	slices.SortStableFunc(page, func(a, b *sign.Record) int { return rank(a.Kind) - rank(b.Kind) })
	return page
}

// appendPush writes records as one frame.
func appendPush(b []byte, page []*sign.Record) []byte {
	if len(page) == 0 {
		return b
	}
	var body []byte
	for _, r := range page {
		body = appendRecord(body, r.Raw())
	}
	return appendFrame(b, frame{framePush, body})
}
