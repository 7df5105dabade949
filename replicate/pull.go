package replicate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"weft"
	"weft/store"
)

// pull begins the copy, or begins it anew beside the one there is: the files of the
// origin's last checkpoint, and the commit that they are of. What follows is the
// feed's.
func (c *replica) pull(ctx context.Context, o *Origin) error {
	began := c.keeper.now()
	offer, cp, err := c.offer(ctx, o)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.incoming(), 0o700); err != nil {
		return own(err)
	}
	if err := c.dropOthers(cp.Files); err != nil {
		return own(err)
	}
	total := int64(0)
	for _, f := range cp.Files {
		total += f.Bytes
	}
	c.coming(total)
	defer c.coming(0)
	paths, err := c.fetchAll(ctx, o, cp.Files)
	if err != nil {
		return err
	}
	var first *store.Arrival
	if cp.Point.Seq > 0 {
		if first, err = c.firstCommit(ctx, o, cp.Point); err != nil {
			return err
		}
	}
	return c.install(ctx, o, offer, cp, paths, first, began)
}

// offer asks what a copy can be begun from, and holds it against what the mesh's
// records say.
func (c *replica) offer(ctx context.Context, o *Origin) (*Offer, *store.Copy, error) {
	ctx, w := startWatch(ctx, c.keeper.timing.quiet)
	defer w.end()
	body, err := c.keeper.cfg.Ask(ctx, o.Node, c.name, "/snapshot", nil)
	if err != nil {
		return nil, nil, why(ctx, err)
	}
	defer func() { _ = body.Close() }()
	b, err := io.ReadAll(io.LimitReader(w.reader(body), MaxOffer+1))
	if err != nil {
		return nil, nil, why(ctx, fmt.Errorf("%w: %w", errNotWhole, err))
	}
	return readOffer(b, c.name, o)
}

// readOffer reads an offer that may be anything.
func readOffer(b []byte, name weft.Name, o *Origin) (*Offer, *store.Copy, error) {
	offer := new(Offer)
	if len(b) > MaxOffer || json.Unmarshal(b, offer) != nil {
		return nil, nil, fmt.Errorf("%w: an offer that cannot be read", errMalformed)
	}
	cp, err := store.ReadOffer(offer.Manifest, name, o.ID)
	if err != nil {
		return nil, nil, err
	}
	switch p := cp.Point; {
	case p.Seq != offer.Point.Seq || p.Hash != offer.Point.Hash || len(offer.Tables) > maxParts || offer.Seconds < 0:
		return nil, nil, fmt.Errorf("%w: an offer that does not fit its own manifest", errMalformed)
	case o.Head != nil && p.Seq == o.Head.Seq && p.Incarnation == o.Head.Incarnation && p.Hash != o.Head.Hash:
		return nil, nil, &forked{fmt.Errorf("its commit %s is not the one that its signed head names", p.Seq)}
	}
	return offer, cp, nil
}

// dropOthers removes what came for another offer.
func (c *replica) dropOthers(files []weft.File) error {
	es, err := os.ReadDir(c.incoming())
	if err != nil {
		return err
	}
	for _, e := range es {
		name := strings.TrimSuffix(e.Name(), partSuffix)
		if slices.ContainsFunc(files, func(f weft.File) bool { return f.Name == name }) {
			continue
		}
		if err := os.Remove(filepath.Join(c.incoming(), e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// fetchers is how many files come at once: while one is synced, the other comes.
const fetchers = 2

func (c *replica) fetchAll(ctx context.Context, o *Origin, files []weft.File) (map[string]string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type one struct {
		name, path string
		err        error
	}
	todo, done := make(chan weft.File), make(chan one)
	go func() {
		defer close(todo)
		for _, f := range files {
			select {
			case todo <- f:
			case <-ctx.Done():
				return
			}
		}
	}()
	n := min(fetchers, max(len(files), 1))
	for range n {
		go func() {
			for f := range todo {
				path, err := c.fetch(ctx, o, f, 0)
				done <- one{f.Name, path, err}
			}
			done <- one{}
		}()
	}
	paths := map[string]string{}
	var first error
	for n > 0 {
		switch d := <-done; {
		case d.err != nil && first == nil:
			first = d.err
			cancel(d.err)
		case d.err == nil && d.name == "":
			n--
		case d.err == nil:
			paths[d.name] = d.path
		}
	}
	return paths, first
}

// firstCommit asks for the commit of a checkpoint.
func (c *replica) firstCommit(ctx context.Context, o *Origin, p weft.Point) (*store.Arrival, error) {
	ctx, w := startWatch(ctx, c.keeper.timing.quiet)
	defer w.end()
	q := url.Values{"from": {strconv.FormatUint(uint64(p.Seq)-1, 10)}, "only": {"1"}}
	body, err := c.keeper.cfg.Ask(ctx, o.Node, c.name, "/feed", q)
	if err != nil {
		return nil, why(ctx, err)
	}
	defer func() { _ = body.Close() }()
	fr := &feedReader{w.reader(body)}
	kind, b, err := fr.frame(string([]byte{frameTold, frameEnd}))
	if err != nil {
		return nil, why(ctx, err)
	}
	if kind == frameEnd {
		return nil, c.ended(b)
	}
	_, a, err := c.arrival(fr, o, b)
	if err != nil {
		return nil, why(ctx, err)
	}
	if said, _, err := store.ReadTold(a.Told); err != nil || said.Seq != p.Seq || said.Hash != p.Hash {
		return nil, fmt.Errorf("%w: the commit that was offered is another one", errMalformed)
	}
	return a, nil
}

// install makes a store of what has come, and has it take the place of the one there
// is.
func (c *replica) install(ctx context.Context, o *Origin, offer *Offer, cp *store.Copy, paths map[string]string, first *store.Arrival, began time.Time) error {
	c.mu.Lock()
	n := c.rec.Last + 1
	c.mu.Unlock()
	dir := c.folder(n)
	if err := os.RemoveAll(dir); err != nil {
		return own(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "files"), 0o700); err != nil {
		return own(err)
	}
	for name, path := range paths {
		if err := os.Rename(path, store.FilePath(dir, name)); err != nil {
			return own(err)
		}
	}
	if err := store.LayOut(dir, cp, first); err != nil {
		_ = os.RemoveAll(dir)
		return fromStore(err)
	}
	st, err := store.Open(ctx, c.config(dir, o.ID))
	if err != nil {
		return own(err)
	}
	st.TrustCopy()
	if err := st.CheckCopy(ctx); err != nil {
		_ = st.Close()
		_ = os.RemoveAll(dir)
		return fromStore(err)
	}
	return c.replace(st, n, func(r *record) {
		r.ID, r.Tables, r.Seconds = o.ID, offer.Tables, offer.Seconds
		if offer.Head.Hash == cp.Point.Hash {
			r.Current = began
		}
	})
}
