package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"weft"
	"weft/meter"
	"weft/policy"
	"weft/replicate"
	"weft/serve"
	"weft/sign"
	"weft/store"
)

// How a feed to another node's copy goes on.
const (
	feedPulse = 5 * time.Second  // between two pulses
	feedLife  = 10 * time.Minute // then the other node asks again
	feedStall = 2 * time.Minute  // in which the other node has to take what is sent
	feedChunk = 256 << 10        // bytes of a file that are written at once
)

// copyRight is another node's right to copy a product, as it is at one moment.
type copyRight struct {
	p       *product
	brief   *brief
	seconds int64
}

// gives says which tables are copied.
func (c *copyRight) gives(table string) bool { return c.brief.offers(table) }

// holds says whether the right is still the one that it was.
func (c *copyRight) holds() bool {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return c.p.brief == c.brief && !c.p.rec.Retired
}

// copyRight decides whether a node may copy a product.
func (n *Node) copyRight(node weft.KeyID, name weft.Name) (*copyRight, error) {
	var domains []string
	if n.far != nil {
		domains = n.far.domainsOf(node)
	}
	s, err := policy.OfPeer(node, domains, weft.Name{})
	if err != nil {
		return nil, err
	}
	p, err := n.seenBy(s, name)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	c := &copyRight{p: p, brief: p.brief}
	retired := p.rec.Retired
	p.mu.Unlock()
	d, err := c.brief.mayCopy(name, s)
	if err == nil && retired {
		err = weft.Errorf(weft.KindDenied, "copy the product", name.String(), "it is retired: %w", errNoCopies)
	}
	c.seconds = int64(d / time.Second)
	return c, err
}

// feedRoutes hands the routes by which other nodes keep copies to handle.
func (n *Node) feedRoutes(handle func(pattern string, h http.Handler), from func(context.Context) weft.KeyID) {
	route := func(path string, f func(http.ResponseWriter, *http.Request, weft.KeyID, weft.Name) error) {
		handle("GET "+peerPrefix+path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			name, err := weft.ParseName(r.PathValue("p"))
			if err == nil {
				err = f(w, r, from(r.Context()), name)
			}
			if err != nil {
				refusePeer(w, err)
			}
		}))
	}
	route("/products/{p}/snapshot", n.offerCopy)
	route("/products/{p}/files/{f}", n.sendFile)
	route("/products/{p}/feed", n.sendFeed)
}

// offerCopy says what a copy of a product can be begun from.
func (n *Node) offerCopy(w http.ResponseWriter, r *http.Request, node weft.KeyID, name weft.Name) error {
	right, err := n.copyRight(node, name)
	if err != nil {
		return err
	}
	release, err := right.p.hold(r.Context())
	if err != nil {
		return err
	}
	defer release()
	o, err := right.p.store.Offer(right.gives)
	if err != nil {
		return err
	}
	b, err := json.Marshal(replicate.Offer{Point: o.Point, Head: o.Head, Tables: o.Tables, Seconds: right.seconds, Manifest: o.Manifest})
	if err != nil {
		return err
	}
	if len(b) > replicate.MaxOffer {
		return weft.Errorf(weft.KindLimit, "copy the product", name.String(), "its manifest has %d bytes, and at most %d are sent", len(b), replicate.MaxOffer)
	}
	n.env.Log.Info("another node copies a product", "product", name.String(), "node", node.Short(), "seq", uint64(o.Point.Seq))
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b) // the other side is gone, or reads it
	return nil
}

// sendFile sends a data file, from a byte on.
func (n *Node) sendFile(w http.ResponseWriter, r *http.Request, node weft.KeyID, name weft.Name) error {
	right, err := n.copyRight(node, name)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	from, seq, err := fileFrom(q)
	if err != nil {
		return err
	}
	release, err := right.p.hold(r.Context())
	if err != nil {
		return err
	}
	defer release()
	f, err := right.p.store.File(r.Context(), r.PathValue("f"), seq, right.gives)
	if err != nil {
		return err
	}
	defer f.Close()
	if from > f.Bytes {
		return weft.Errorf(weft.KindInvalid, "send the file", name.String(), "it has %d bytes, and it is asked for from byte %d on", f.Bytes, from)
	}
	ticket, err := n.meter.Admit(n.copying(node, name, f.Bytes-from))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(f.Bytes-from, 10))
	out := &deadlined{w: w, control: http.NewResponseController(w)}
	defer out.end()
	began := time.Now()
	defer func() {
		ticket.Done(meter.Used{Began: true, Seconds: time.Since(began).Seconds(), GivenBytes: out.sent})
	}()
	if _, err := io.CopyBuffer(out, io.NewSectionReader(f, from, f.Bytes-from), make([]byte, feedChunk)); err != nil {
		panic(http.ErrAbortHandler) // a part of it is out
	}
	return nil
}

// fileFrom reads which part of a file is asked for.
func fileFrom(q url.Values) (from int64, seq weft.Seq, err error) {
	if v := q.Get("from"); v != "" {
		if from, err = strconv.ParseInt(v, 10, 64); err != nil || from < 0 {
			return 0, 0, weft.Errorf(weft.KindInvalid, "send the file", "", "it does not say from which byte on")
		}
	}
	if v := q.Get("seq"); v != "" {
		seq, err = weft.ParseSeq(v)
	}
	return from, seq, err
}

// deadlined writes for who takes what comes within a time.
type deadlined struct {
	w       io.Writer
	control *http.ResponseController
	sent    int64
}

// Write is of io.Writer.
func (d *deadlined) Write(b []byte) (int, error) {
	_ = d.control.SetWriteDeadline(time.Now().Add(feedStall)) // where there is none, the connection's own limits hold
	n, err := d.w.Write(b)
	d.sent += int64(n)
	return n, err
}

// end takes the deadline from the connection, which serves others after.
func (d *deadlined) end() { _ = d.control.SetWriteDeadline(time.Time{}) }

// feed is what another node has of a product and wants to have continued.
type feed struct {
	node   *Node
	to     weft.KeyID
	name   weft.Name
	right  *copyRight
	sent   weft.Seq
	began  time.Time
	out    *replicate.FeedWriter
	flush  func() error
	key    sign.Key
	tables []string
}

// sendFeed sends the commits after one, and waits for more.
func (n *Node) sendFeed(w http.ResponseWriter, r *http.Request, node weft.KeyID, name weft.Name) error {
	f := &feed{node: n, to: node, name: name, began: time.Now()}
	var err error
	if f.right, err = n.copyRight(node, name); err != nil {
		return err
	}
	if f.key, err = n.mesh.SigningKey(); err != nil {
		return err
	}
	q := r.URL.Query()
	if f.sent, err = weft.ParseSeq(q.Get("from")); err != nil {
		return err
	}
	f.tables = strings.Split(q.Get("tables"), ",")
	if q.Get("tables") == "" {
		f.tables = nil
	}
	release, err := f.right.p.hold(r.Context())
	if err != nil {
		return err
	}
	defer release()
	only := q.Get("only") != ""
	if !only {
		err = f.fits(r.Context(), q)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	out := &deadlined{w: w, control: http.NewResponseController(w)}
	defer out.end()
	defer func() { // no budget is for what follows by itself: whoever may copy may keep the copy current
		n.meter.Book(n.copying(node, name, out.sent)).Done(meter.Used{Began: true, GivenBytes: out.sent})
	}()
	f.out, f.flush = replicate.NewFeedWriter(out), out.control.Flush
	if only {
		err = f.commits(r.Context(), f.sent+1)
	} else {
		release() // while there is nothing to send, the product may stand on its shelf
		err = f.run(r.Context())
	}
	var end replicate.End
	if err != nil {
		if end.Fault, err = json.Marshal(serve.ProblemOf(err, "")); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	if r.Context().Err() != nil || f.out.End(end) != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// fits holds that what the other node has is of this chain, and that the tables that
// it has are those that are given now.
func (f *feed) fits(ctx context.Context, q url.Values) error {
	st := f.right.p.store
	if f.sent == 0 {
		if st.Oldest() > 0 {
			return weft.Errorf(weft.KindGone, "feed the copy", f.name.String(), "the first commits are no longer kept").WithHint("ask for a new snapshot")
		}
		return nil
	}
	at, err := askedPoint(&http.Request{URL: &url.URL{RawQuery: "seq=" + q.Get("from") + "&incarnation=" + q.Get("incarnation") + "&hash=" + q.Get("hash")}}, f.name)
	if err != nil {
		return err
	}
	if err := st.Same(at.Incarnation, at.Seq, at.Hash[:]); err != nil {
		if weft.KindOf(err) == weft.KindNotFound { // it has more than there is
			err = weft.Errorf(weft.KindConflict, "feed the copy", f.name.String(), "there is no commit %s: %w", at.Seq, err)
		}
		return err
	}
	snap, err := st.Snapshot(ctx, at.Seq)
	if err != nil {
		return err
	}
	defer func() { _ = snap.Close() }()
	var given []string
	for _, t := range snap.Tables() {
		if !t.Hidden && f.right.gives(t.Table) {
			given = append(given, t.Table)
		}
	}
	slices.Sort(given)
	slices.Sort(f.tables)
	if !slices.Equal(given, f.tables) {
		return weft.Errorf(weft.KindGone, "feed the copy", f.name.String(), "other tables are offered now than the copy has").WithHint("ask for a new snapshot")
	}
	return nil
}

// run sends what there is, and pulses, until the feed has lived long enough. The error
// is what to tell the other node; nil where it is only to ask again.
func (f *feed) run(ctx context.Context) error {
	end := time.NewTimer(feedLife)
	defer end.Stop()
	pulse := time.NewTicker(feedPulse)
	defer pulse.Stop()
	for {
		news := f.right.p.news()
		if err := f.more(ctx); err != nil {
			return ifAgain(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-end.C:
			return nil
		case <-f.right.p.life.Done(): // deleted, or the node closes
			return nil
		case <-pulse.C:
		case <-news:
		}
		// Who may read can change at any time, and so can who is of the mesh.
		if _, err := f.node.copyRight(f.to, f.name); err != nil {
			return err
		}
		if !f.right.holds() {
			return nil
		}
	}
}

// errAgain ends a feed that the other node is to ask for again.
var errAgain = errors.New("ask again")

func ifAgain(err error) error {
	if errors.Is(err, errAgain) {
		return nil
	}
	return err
}

// more sends the commits there are, and where the product then stands.
func (f *feed) more(ctx context.Context) error {
	p := f.right.p
	p.mu.Lock()
	head := p.told.point
	p.mu.Unlock()
	if head.Seq == 0 || head.Seq != f.sent {
		release, err := p.hold(ctx)
		if err != nil {
			return err
		}
		defer release()
		p.noteHead()
		head = p.store.Head()
		if err := f.commits(ctx, head.Seq); err != nil {
			return err
		}
	}
	if err := f.out.Pulse(replicate.Pulse{Micros: time.Since(f.began).Microseconds(), Head: head}); err != nil {
		return err
	}
	return f.flush()
}

// commits sends the commits up to one.
func (f *feed) commits(ctx context.Context, to weft.Seq) error {
	for f.sent < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		raw, err := f.right.p.store.Raw(f.sent+1, f.right.gives)
		if err != nil {
			return err
		}
		told, err := store.Tell(raw.Commit, f.key)
		if err != nil {
			return err
		}
		if !f.right.holds() {
			return fmt.Errorf("%w: who may copy has changed", errAgain)
		}
		if err := f.out.Commit(told, raw.Schemas, raw.Blocks); err != nil {
			return err
		}
		f.sent++
	}
	return nil
}
