package peer

import (
	"encoding/binary"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"weft"
)

// Bounds of what comes unasked. A node of a thousand products signs at most a
// thousand heads a second, and twice as many records when it starts.
const (
	signerRate    = 2_000 // records a second of one signer
	signerBurst   = 10_000
	signerBytes   = 2 << 20 // bytes a second of one signer
	signerBuffer  = 16 << 20
	uselessRate   = 100 // records a second over one link that it has brought before
	uselessBurst  = 2_000
	throttleMost  = 10 * time.Second // that a link is made to wait within a minute
	throttleAfter = time.Minute
	linkRecent    = 1_024
	nodeRecent    = 16_384
	maxSigners    = 4_096
)

// recent is a set that forgets: it has room for twice its size, in rows of which each
// forgets its oldest when it is full. Every record that comes is looked for in two of
// them, however often it has come already, and maps were what most of that took: a row
// is what a processor fetches at once.
type recent struct {
	mu   sync.Mutex
	size int
	rows [][rowLength]uint64 // nil before anything came; 0 is nothing
}

const rowLength = 8

// newRecent makes one whose size is a power of two.
func newRecent(size int) *recent { return &recent{size: size} }

// short is by what a digest is known; it is never zero.
func short(h weft.Hash) uint64 { return max(binary.BigEndian.Uint64(h[:8]), 1) }

// spreading is odd, and nobody knows it who could choose records of one row.
var spreading = mathrand.Uint64() | 1

// row is the one of k, newest first.
func (r *recent) row(k uint64) *[rowLength]uint64 {
	return &r.rows[k*spreading>>33&uint64(len(r.rows)-1)]
}

func (r *recent) has(h weft.Hash) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rows != nil && slices.Contains(r.row(short(h))[:], short(h))
}

// add reports whether h is new to the set.
func (r *recent) add(h weft.Hash) bool {
	k := short(h)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rows == nil {
		r.rows = make([][rowLength]uint64, max(2*r.size/rowLength, 1))
	}
	row := r.row(k)
	if slices.Contains(row[:], k) {
		return false
	}
	copy(row[1:], row[:])
	row[0] = k
	return true
}

func (r *recent) remove(h weft.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rows == nil {
		return
	}
	row := r.row(short(h))
	if i := slices.Index(row[:], short(h)); i >= 0 {
		copy(row[i:], row[i+1:])
		row[rowLength-1] = 0
	}
}

// quotas hold what each signer may bring.
type quotas struct {
	mu      sync.Mutex
	signers map[weft.KeyID]*signerLimit
}

type signerLimit struct {
	records, bytes *rate.Limiter
	used           time.Time
}

// wait is how long a record of so many bytes should have waited for its signer's
// rate; zero where it is within it. What waits counts as having come.
func (q *quotas) wait(signer weft.KeyID, bytes int) time.Duration {
	now := time.Now()
	s := q.of(signer, now)
	a, b := s.records.ReserveN(now, 1), s.bytes.ReserveN(now, bytes)
	return max(a.DelayFrom(now), b.DelayFrom(now))
}

// over reports whether a record of so many bytes is above its signer's rate; if so it
// does not count.
func (q *quotas) over(signer weft.KeyID, bytes int) bool {
	now := time.Now()
	s := q.of(signer, now)
	if s.records.TokensAt(now) < 1 || s.bytes.TokensAt(now) < float64(bytes) {
		return true
	}
	return !s.records.AllowN(now, 1) || !s.bytes.AllowN(now, bytes)
}

func (q *quotas) of(signer weft.KeyID, now time.Time) *signerLimit {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.signers[signer]
	if s == nil {
		if q.signers == nil || len(q.signers) >= maxSigners {
			q.forget(now)
		}
		s = &signerLimit{records: rate.NewLimiter(signerRate, signerBurst), bytes: rate.NewLimiter(signerBytes, signerBuffer)}
		q.signers[signer] = s
	}
	s.used = now
	return s
}

// forget drops the signers that were quiet for so long that their limits are full
// again, and all where that frees nothing: who signs is a member, so that they are
// not made up at will.
func (q *quotas) forget(now time.Time) {
	for k, s := range q.signers {
		if now.Sub(s.used) > time.Minute {
			delete(q.signers, k)
		}
	}
	if q.signers == nil || len(q.signers) >= maxSigners {
		q.signers = map[weft.KeyID]*signerLimit{}
	}
}

// conduct is what a link has done that it should not.
type conduct struct {
	useless   *rate.Limiter
	throttled time.Duration // within the minute that began at since
	since     time.Time
}

func newConduct() *conduct {
	return &conduct{useless: rate.NewLimiter(uselessRate, uselessBurst)}
}

// throttle counts d, and reports whether it is too much.
func (c *conduct) throttle(d time.Duration) (tooMuch bool) {
	if now := time.Now(); now.Sub(c.since) > throttleAfter {
		c.since, c.throttled = now, 0
	}
	c.throttled += d
	return c.throttled > throttleMost
}

// bans are the nodes that misbehaved, and until when nothing is taken from them.
type bans struct {
	mu sync.Mutex
	m  map[weft.KeyID]*ban
}

type ban struct {
	until time.Time
	next  time.Duration
	said  map[string]time.Time // when each reason was logged
}

const (
	banFirst = time.Minute
	banMost  = time.Hour
	sayEvery = time.Hour // the same reason again
)

// banned reports whether a node is cut off now.
func (b *bans) banned(id weft.KeyID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.m[id]
	return x != nil && time.Now().Before(x.until)
}

// ban cuts a node off, for twice as long as the last time, and reports whether reason
// should be logged.
func (b *bans) ban(id weft.KeyID, reason string) (say bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.m == nil {
		b.m = map[weft.KeyID]*ban{}
	}
	x := b.m[id]
	if x == nil || now.Sub(x.until) > 2*banMost {
		x = &ban{next: banFirst, said: map[string]time.Time{}}
		b.m[id] = x
	}
	x.until, x.next = now.Add(x.next), min(2*x.next, banMost)
	return x.say(reason, now)
}

// say reports whether something should be logged of a key: the first time, and then
// once in a while.
func (b *bans) say(id weft.KeyID, reason string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.m) >= maxSigners {
		b.m = nil
	}
	if b.m == nil {
		b.m = map[weft.KeyID]*ban{}
	}
	x := b.m[id]
	if x == nil {
		x = &ban{next: banFirst, said: map[string]time.Time{}}
		b.m[id] = x
	}
	return x.say(reason, time.Now())
}

func (x *ban) say(reason string, now time.Time) bool {
	if last, ok := x.said[reason]; ok && now.Sub(last) < sayEvery {
		return false
	}
	x.said[reason] = now
	return true
}
