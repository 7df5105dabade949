package replicate

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"weft"
	"weft/store"
)

// forked is why a copy stops: the origin's chain is not the one that it follows.
type forked struct{ error }

func (e *forked) Unwrap() error { return e.error }

// anew is why a copy is begun again: what it would go on from is not to be had any
// more. It is said, and then done.
type anew struct {
	why  string
	drop bool // the copy there is must not be used until then
}

func (e *anew) Error() string { return e.why }

// follow takes the commits of one feed until it ends.
func (c *replica) follow(ctx context.Context, o *Origin) (err error) {
	st := c.current()
	head := st.Head()
	began := c.keeper.now()
	ctx, w := startWatch(ctx, c.keeper.timing.quiet)
	defer w.end()
	defer func() { err = why(ctx, err) }()
	body, err := c.keeper.cfg.Ask(ctx, o.Node, c.name, "/feed", url.Values{
		"from": {strconv.FormatUint(uint64(head.Seq), 10)}, "incarnation": {strconv.FormatUint(uint64(head.Incarnation), 10)},
		"hash": {head.Hash.String()}, "id": {head.ID}, "tables": {strings.Join(st.Tables(), ",")},
	})
	if err != nil {
		return c.refusal(ctx, o, head, err)
	}
	defer func() { _ = body.Close() }()
	fr := &feedReader{w.reader(body)}
	for {
		kind, b, err := fr.frame(string([]byte{frameTold, framePulse, frameEnd}))
		if err != nil {
			return err
		}
		w.ends.Add(1)
		switch kind {
		case frameEnd:
			return c.refusal(ctx, o, st.Head(), c.ended(b))
		case framePulse:
			var p Pulse
			if err := decode(b, &p); err != nil {
				return err
			}
			if o, err = c.beat(st, p, began); err != nil {
				return err
			}
		default:
			commit, a, err := c.arrival(fr, o, b)
			if err != nil {
				return err
			}
			done := w.busy()
			err = c.take(ctx, st, o, commit, a)
			done()
			if err != nil {
				return err
			}
		}
	}
}

// ended reads the end of a feed; nil where it has only run long enough.
func (c *replica) ended(b []byte) error {
	var e End
	if err := decode(b, &e); err != nil {
		return err
	}
	if len(e.Fault) == 0 || string(e.Fault) == "null" {
		return nil
	}
	return c.keeper.cfg.Fault(e.Fault)
}

// refusal says what the origin's no to a point of the copy means: it is a fork, or
// the origin goes on from elsewhere, or keeps less than the copy wants.
func (c *replica) refusal(ctx context.Context, o *Origin, head weft.Point, err error) error {
	switch weft.KindOf(err) {
	case weft.KindGone:
		return &anew{why: "the origin no longer gives what comes after commit " + head.Seq.String() + " one by one"}
	case weft.KindConflict:
		_, cp, offerErr := c.offer(ctx, o)
		if offerErr != nil {
			return offerErr
		}
		if cp.Incarnation > head.Incarnation {
			return &anew{why: fmt.Sprintf("the origin was restored and is incarnation %d since, the copy was of %d", cp.Incarnation, head.Incarnation), drop: true}
		}
		return &forked{err}
	}
	return err
}

// arrival reads the rest of a commit whose told header came: it is signed by the node
// that was asked.
func (c *replica) arrival(fr *feedReader, o *Origin, told []byte) (commit weft.Commit, a *store.Arrival, err error) {
	commit, by, err := store.ReadTold(told)
	if err != nil {
		return commit, nil, err
	}
	if by != o.Node || commit.Product != c.name || commit.ID == "" {
		return commit, nil, fmt.Errorf("%w: a commit that another node signed, or of another product", errMalformed)
	}
	schemas, blocks := map[weft.Hash]bool{}, 0
	for _, t := range commit.Tables {
		schemas[t.Schema] = true
		if blocks += len(t.Blocks); blocks > maxParts {
			break
		}
	}
	a = &store.Arrival{Told: told}
	a.Schemas, a.Blocks, err = fr.rest(len(schemas), blocks)
	return commit, a, err
}

// take appends a commit to the copy, and fetches its files before.
func (c *replica) take(ctx context.Context, st *store.Store, o *Origin, commit weft.Commit, a *store.Arrival) error {
	if err := c.keeper.cfg.Room(c.name); err != nil {
		return own(err)
	}
	if h := o.Head; h != nil && h.Seq == commit.Seq && h.Incarnation == commit.Incarnation && h.Hash != commit.Hash {
		return &forked{fmt.Errorf("its commit %s is not the one that its signed head names", commit.Seq)}
	}
	head := st.Head()
	if commit.Seq == head.Seq+1 && (commit.Previous != head.Hash || commit.ID != head.ID && head.Seq > 0) {
		return c.refusal(ctx, o, head, weft.Errorf(weft.KindConflict, "follow", c.name.String(), "its commit %s does not follow the copy's %s", commit.Seq, head.Seq))
	}
	total := int64(0)
	var files []weft.File
	for _, t := range commit.Tables {
		for _, f := range t.Files {
			files, total = append(files, f), total+f.Bytes
		}
	}
	a.Files = map[string]string{}
	if len(files) > 0 {
		if err := c.makeIncoming(); err != nil {
			return err
		}
		c.coming(total)
		defer c.coming(0)
	}
	for _, f := range files {
		path, err := c.fetch(ctx, o, f, commit.Seq)
		if weft.KindOf(err) == weft.KindGone {
			return &anew{why: "the origin no longer keeps the files of commit " + commit.Seq.String()}
		}
		if err != nil {
			return err
		}
		a.Files[f.Name] = path
	}
	if _, err := st.Take(ctx, *a); err != nil {
		return fromStore(err)
	}
	c.behind(o)
	c.mu.Lock()
	c.news.Tell()
	c.mu.Unlock()
	return nil
}

// fromStore tells what this side's disk does from what is wrong with what came.
func fromStore(err error) error {
	switch weft.KindOf(err) {
	case weft.KindCorrupt, weft.KindInvalid:
		return err
	case weft.KindConflict:
		return &forked{err}
	}
	return own(err)
}

// beat takes a pulse: the copy has all that the origin had then, or the origin says
// one thing and has signed another.
func (c *replica) beat(st *store.Store, p Pulse, began time.Time) (*Origin, error) {
	head := st.Head()
	switch same := p.Head.Seq == head.Seq && p.Head.Hash == head.Hash; {
	case p.Micros < 0 || p.Head.Seq > head.Seq:
		return nil, fmt.Errorf("%w: the origin says that it has sent commit %s, and has not", errMalformed, p.Head.Seq)
	case !same:
		return nil, &forked{fmt.Errorf("the origin is at %s, and the copy at another %s", p.Head.Seq, head.Seq)}
	}
	o, err := c.look()
	if err != nil {
		return nil, err
	}
	// As long ago as it may be at most: the origin's clock may only stand for how long
	// it has had the request.
	at := began.Add(time.Duration(p.Micros) * time.Microsecond)
	if now := c.keeper.now(); at.After(now) || p.Micros > int64(365*24*time.Hour/time.Microsecond) {
		at = now
	}
	if h := o.Head; h != nil && h.ID == head.ID && h.Incarnation == head.Incarnation {
		if err := c.signed(st, h); err != nil {
			return nil, err
		}
		if h.Seq > head.Seq { // it has signed more than it says that it has
			c.behind(o)
			return o, nil
		}
	}
	c.confirm(at)
	return o, nil
}

// signed holds the copy against the product's signed head.
func (c *replica) signed(st *store.Store, h *weft.CardHead) error {
	if h.Seq > st.Head().Seq || h.Seq < st.Oldest() || h.Seq == 0 {
		return nil
	}
	commit, err := st.Commit(h.Seq)
	if err != nil || commit.Hash == h.Hash {
		return nil // one that this side cannot read proves nothing
	}
	if commit.Incarnation != h.Incarnation {
		return nil // one of the two was before a restore: the origin says so when it is asked
	}
	return &forked{fmt.Errorf("the signed head of the origin names another commit %s than the one it gave", h.Seq)}
}
