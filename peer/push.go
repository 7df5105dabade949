package peer

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"weft"
	"weft/sign"
)

// spread sends a record that is new here over all links; those whose other side has
// sent it leave it out when it is its turn. The set calls it for each, in order.
func (n *network) spread(id RecordID, r *sign.Record) {
	for _, l := range n.all() {
		l.out.push(id, r)
	}
	switch r.Kind {
	case KindRevocation, KindRotation:
		n.recheck()
	}
	if r.Kind == KindNode || r.Kind == KindAdmission {
		n.dial.wake()
	}
}

// pushed takes records that came over a link. An error is a fault of the other side,
// which ends the link.
func (n *network) pushed(l *link, body []byte) error {
	var fault error
	err := records(body, func(raw []byte) bool {
		fault = n.pushedOne(l, raw)
		return fault == nil
	})
	return errors.Join(err, fault)
}

func (n *network) pushedOne(l *link, raw []byte) error {
	n.stats.came.Add(1)
	var h weft.Hash
	r := n.set.known(raw) // of nodes that share nothing it is nil
	if r != nil {
		h = r.Hash()
	} else {
		h = sign.Digest(raw)
	}
	if !l.got.add(h) {
		if !l.conduct.useless.Allow() {
			return faultf("it sends the same records again and again")
		}
		n.stats.repeated.Add(1)
		return nil
	}
	if !n.seen.add(h) {
		n.stats.repeated.Add(1)
		return nil
	}
	if r == nil {
		var err error
		if r, err = sign.PeekAs(bytes.Clone(raw), h); err != nil {
			return faultf("it sends what is no record: %w", err)
		}
	}
	if err := n.mind(l, r.Signers, len(raw)); err != nil {
		n.seen.remove(h)
		if errors.Is(err, errOver) {
			n.stats.dropped.Add(1)
			return nil // it comes when it is asked for
		}
		return err
	}
	return n.add(r)
}

// errOver is a record above its signer's rate.
var errOver = errors.New("above the signer's rate")

// mind holds a record against the rate of its signer. A node that brings too many of
// its own is made to wait for its turn, and then cut off.
func (n *network) mind(l *link, signers []weft.KeyID, size int) error {
	signer := signers[0]
	if signer != l.peer {
		if n.quotas.over(signer, size) {
			return errOver
		}
		return nil
	}
	d := n.quotas.wait(signer, size)
	if d <= 0 {
		return nil
	}
	if l.conduct.throttle(d) {
		return faultf("it floods")
	}
	n.stats.throttled.Add(1)
	select {
	case <-time.After(d):
		l.hears() // it is not its silence
	case <-l.ended:
	}
	return nil
}

// add gives a record to the set. An error is a fault of who sent it.
func (n *network) add(r *sign.Record) error {
	known, fate, err := n.set.addRecord(r)
	switch {
	case fate == FateRefused && known == nil:
		return faultf("it passes on what nobody signed: %w", err)
	case fate == FateRefused:
		n.refused(r, err)
	case fate == FateEarly:
		n.seen.remove(r.Hash()) // it may come again
	}
	return nil
}

// refused counts a record that its signer may not sign, and logs the first of each
// signer and reason.
func (n *network) refused(r *sign.Record, err error) {
	n.stats.refused.Add(1)
	why := err.Error()
	if i := strings.LastIndex(why, ": "); i >= 0 {
		why = why[i:]
	}
	if n.bans.say(r.Signers[0], why) {
		n.log.Warn("a record is refused", "signer", r.Signers[0].Short(), "kind", r.Kind, "key", r.Key, "error", err)
	}
}
