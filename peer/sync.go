package peer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"weft"
	"weft/sign"
)

// answer is what this node says to a question of another. It is the same for all, and
// nothing is remembered between two questions: how fast they come is up to who asks.
// An error is a fault of the question.
func (n *network) answer(q question, args []byte) ([]byte, error) {
	switch q {
	case askSums:
		level, prefix, err := readSumsArgs(args)
		if err != nil {
			return nil, err
		}
		var b []byte
		for _, s := range n.set.Sums(level, prefix) {
			b = append(b, s[:]...)
		}
		return b, nil
	case askEntries:
		leaves, err := readLeaves(args)
		if err != nil {
			return nil, err
		}
		var b []byte
		for _, leaf := range leaves {
			// A leaf that alone is more than a frame is cut: the rest comes when
			// the beginning is the same on both sides.
			e := n.set.Entries(leaf)
			e = e[:min(len(e), (maxFrame-1024)/entryBytes)]
			if len(b) > 0 && len(b)+entryBytes*len(e) > pageBytes {
				break
			}
			b = appendEntries(b, leaf, e)
		}
		return b, nil
	case askRecords:
		return n.answerRecords(args)
	case askKind:
		return n.answerKind(args)
	}
	return nil, nil // of a later version
}

// answerRecords answers with how many of the ids it has looked at, and the records
// that there are of these.
func (n *network) answerRecords(args []byte) ([]byte, error) {
	ids, err := readIDs(args)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 4, pageBytes)
	looked := 0
	for _, id := range ids {
		raw := n.set.ByID(id)
		if looked > 0 && len(b)+len(raw) > pageBytes {
			break
		}
		if looked++; len(raw) > 0 {
			b = appendRecord(b, raw)
		}
	}
	binary.BigEndian.PutUint32(b, uint32(looked))
	return b, nil
}

// answerKind answers with the records of a kind whose key is after the given one.
func (n *network) answerKind(args []byte) ([]byte, error) {
	kind, after, err := readKindArgs(args)
	if err != nil {
		return nil, err
	}
	var b []byte
	n.set.allFrom(kind, after, func(r *sign.Record) bool {
		if r.Key <= after && (after != "" || r.Key != "") {
			return true
		}
		if len(b) > 0 && len(b)+len(r.Raw()) > pageBytes {
			return false
		}
		b = appendRecord(b, r.Raw())
		return true
	})
	return b, nil
}

// pull asks another node for all that it has and this node lacks: the sum of all, then
// of parts, then what differs, then the records. It says whether the other lacks
// something itself.
type pull struct {
	n *network
	l *link

	wants  []RecordID
	behind bool         // the other side lacks something
	early  atomic.Bool  // something could not be judged yet
	took   atomic.Int64 // records that were new
}

const (
	asksAtOnce = 4 // questions of one pull that wait for an answer
	pullMost   = 10 * time.Minute
	manyLeaves = 256 // that differ: more likely than not this node has just come
)

// sync pulls from l, and lets the other side know if it should pull as well.
func (n *network) sync(ctx context.Context, l *link) error {
	if !l.pulling.TryLock() {
		return nil // it is being done
	}
	defer l.pulling.Unlock()
	l.last.Store(int64(time.Since(n.born)))
	ctx, cancel := context.WithTimeout(ctx, pullMost)
	defer cancel()
	p := &pull{n: n, l: l}
	err := p.run(ctx)
	n.stats.pulled.Add(p.took.Load())
	if err == nil && p.behind {
		err = l.out.urgent(frame{frameBehind, nil})
	}
	return err
}

func (p *pull) run(ctx context.Context) error {
	theirs, err := p.sums(ctx, 0, 0)
	if err != nil || theirs[0] == p.n.set.Sums(0, 0)[0] {
		return err
	}
	leaves, err := p.leaves(ctx)
	if err != nil {
		return err
	}
	if len(leaves) > manyLeaves {
		// What two links would bring would come twice.
		if !p.n.catching.TryLock() {
			return nil
		}
		defer p.n.catching.Unlock()
		p.early.Store(true)
	}
	// Until all who sign are known, what they sign cannot be judged.
	for range 2 {
		if p.early.Swap(false) {
			if err := p.authorities(ctx); err != nil {
				return err
			}
		}
		if err := p.entries(ctx, leaves); err != nil {
			return err
		}
		if err := p.records(ctx); err != nil {
			return err
		}
		if !p.early.Load() {
			break
		}
	}
	return nil
}

func (p *pull) sums(ctx context.Context, level int, prefix uint16) ([]Sum, error) {
	b, err := p.l.ask(ctx, askSums, sumsArgs(level, prefix))
	if err != nil {
		return nil, err
	}
	want := 64
	if level == 0 {
		want = 1
	}
	return readSums(b, want)
}

// leaves are those in which the two sets differ.
func (p *pull) leaves(ctx context.Context) ([]uint16, error) {
	theirs, err := p.sums(ctx, 1, 0)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var out []uint16
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(asksAtOnce)
	for i, s := range p.n.set.Sums(1, 0) {
		if s == theirs[i] {
			continue
		}
		g.Go(func() error {
			prefix := uint16(i)
			theirs, err := p.sums(ctx, 2, prefix)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for j, s := range p.n.set.Sums(2, prefix) {
				if s != theirs[j] {
					out = append(out, prefix<<6|uint16(j))
				}
			}
			return nil
		})
	}
	err = g.Wait()
	slices.Sort(out)
	return out, err
}

// entries finds in the leaves what to ask for.
func (p *pull) entries(ctx context.Context, leaves []uint16) error {
	p.wants = nil
	for len(leaves) > 0 {
		ask := leaves[:min(len(leaves), maxLeavesAsked)]
		var args []byte
		for _, leaf := range ask {
			args = binary.BigEndian.AppendUint16(args, leaf)
		}
		b, err := p.l.ask(ctx, askEntries, args)
		if err != nil {
			return err
		}
		got := 0
		err = readEntries(b, func(leaf uint16, theirs []Entry) {
			if got < len(ask) && leaf == ask[got] {
				got++
				p.compare(leaf, theirs)
			}
		})
		if err != nil {
			return err
		}
		if got == 0 {
			return badFrame("leaves were asked for and none came")
		}
		leaves = leaves[got:]
	}
	return nil
}

// compare holds the other's entries of a leaf against this node's.
func (p *pull) compare(leaf uint16, theirs []Entry) {
	want, give := p.n.set.Compare(leaf, theirs)
	p.behind = p.behind || len(give) > 0
	if len(want) == 0 {
		return
	}
	byID := make(map[RecordID]Entry, len(theirs))
	for _, e := range theirs {
		byID[e.ID] = e
	}
	for _, id := range want {
		if !p.n.vain.has(entryHash(byID[id])) {
			p.wants = append(p.wants, id)
		}
	}
}

// entryHash is by what an entry is known that it is of no use to ask for: its record
// was refused, and would be again.
func entryHash(e Entry) (h weft.Hash) {
	copy(h[:8], e.Hash[:])
	return h
}

// records fetches what is wanted. The next page is on its way while one is judged.
func (p *pull) records(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pages := make(chan []byte, asksAtOnce)
	var g errgroup.Group
	g.Go(func() error {
		defer close(pages)
		for wants := p.wants; len(wants) > 0; {
			ask := wants[:min(len(wants), maxIDsAsked)]
			var args []byte
			for _, id := range ask {
				args = append(args, id[:]...)
			}
			b, err := p.l.ask(ctx, askRecords, args)
			if err != nil {
				return err
			}
			if len(b) < 4 {
				return badFrame("records were asked for and none came")
			}
			looked := binary.BigEndian.Uint32(b)
			if looked == 0 || int(looked) > len(ask) {
				return badFrame("%d records were asked for and %d looked at", len(ask), looked)
			}
			wants = wants[looked:]
			select {
			case pages <- b[4:]:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	var fault error
	for b := range pages {
		if fault == nil {
			fault = p.page(b)
			if fault != nil {
				cancel()
			}
		}
	}
	if err := g.Wait(); fault == nil {
		return err
	}
	return fault
}

// authorities fetches, kind after kind, all by which other records are judged.
func (p *pull) authorities(ctx context.Context) error {
	for _, kind := range []string{KindCharter, KindDomain, KindAdmission, KindRotation, KindRevocation, KindNode, KindHandover} {
		for after := ""; ; {
			b, err := p.l.ask(ctx, askKind, kindArgs(kind, after))
			if err != nil {
				return err
			}
			if len(b) == 0 {
				break
			}
			last := after
			if err := records(b, func(raw []byte) bool {
				if r, err := sign.Peek(raw); err == nil && r.Kind == kind {
					last = r.Key
				}
				return true
			}); err != nil {
				return err
			}
			if err := p.page(b); err != nil {
				return err
			}
			if last <= after {
				break
			}
			after = last
		}
	}
	return nil
}

// page judges records that were asked for: rank by rank, as many at a time as there
// are processors.
func (p *pull) page(b []byte) error {
	var all []*sign.Record
	var fault error
	err := records(b, func(raw []byte) bool {
		var r *sign.Record
		if r = p.n.set.known(raw); r == nil {
			r, fault = sign.Peek(bytes.Clone(raw))
		}
		if fault != nil {
			return false
		}
		p.l.got.add(r.Hash()) // it need not be sent back
		all = append(all, r)
		return true
	})
	if err = errors.Join(err, fault); err != nil {
		return faultf("it sends what is no record: %w", err)
	}
	slices.SortStableFunc(all, func(a, b *sign.Record) int { return rank(a.Kind) - rank(b.Kind) })
	for len(all) > 0 {
		k := 1
		for k < len(all) && rank(all[k].Kind) == rank(all[0].Kind) {
			k++
		}
		if err := p.judge(all[:k]); err != nil {
			return err
		}
		all = all[k:]
	}
	return nil
}

func (p *pull) judge(all []*sign.Record) error {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, r := range all {
		g.Go(func() error {
			known, fate, err := p.n.set.addRecord(r)
			switch {
			case fate == FateRefused && known == nil:
				return faultf("it passes on what nobody signed: %w", err)
			case fate == FateRefused:
				p.n.refused(r, err)
				p.n.vain.add(r.Hash())
			case fate == FateNew:
				p.took.Add(1)
			case fate == FateEarly:
				p.early.Store(true)
			}
			return nil
		})
	}
	return g.Wait()
}
