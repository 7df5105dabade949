package federate

import (
	"cmp"
	"context"
	"slices"
	"time"

	"weft"
	"weft/engine"
	"weft/store"
)

// Estimate is what a question reads of this node's products at its cut: known
// exactly before it runs, whatever of it the engine then skips.
type Estimate struct {
	Rows  int64 // of the tables that it names
	Bytes int64 // that these rows take where they are kept
	Reads []Read
}

// Read is the part of one product in an Estimate.
type Read struct {
	Product weft.Name
	Rows    int64
	Bytes   int64
}

// Asking is what another node would be asked for a question: a part of it, as far
// as that is known before any part has run.
type Asking struct {
	Node     weft.KeyID
	Products []weft.Name
	Question weft.Question
}

// Used is what became of a question that was let in.
type Used struct {
	// Time is how long it had a worker; what it waited for its turn is not in it.
	Time time.Duration
	// Began says that its statement was given to a worker.
	Began bool
	// Err is why it has no answer; nil where it was given one, even if that broke
	// off later.
	Err error
}

// Admit says whether a question may run: it is called once for each, after its cut
// is fixed and before its statement runs, by many at a time. An error refuses it,
// as it is. Where it was let in, done is called once, when the answer is closed or
// the question has failed.
type Admit func(ctx context.Context, q weft.Question, cut weft.Cut, e Estimate) (done func(Used), err error)

// Estimate says what q would read here, and at which cut, and what other nodes would
// be asked. Nothing of it runs, and nobody is asked.
func (f *Federation) Estimate(ctx context.Context, q weft.Question) (Estimate, weft.Cut, []Asking, error) {
	a, ctx := f.asks(ctx, q)
	defer a.end()
	a.cut.stays = true // a node says its price of what it reads, wherever the last step runs
	b, err := a.bind(ctx)
	var far []Asking
	if err == nil {
		far, err = a.askings(ctx, b.split, b.parser)
	}
	if err != nil {
		return Estimate{}, nil, nil, a.failed(ctx, err)
	}
	return a.cut.estimate(), a.cut.points(), far, nil
}

// EstimatePart is Estimate for what another node asks: over this node's products.
func (f *Federation) EstimatePart(ctx context.Context, q weft.Question) (Estimate, weft.Cut, error) {
	a, ctx := f.asks(ctx, q)
	defer a.end()
	a.cut.elsewhere, a.cut.given = nil, &given{}
	if _, err := a.bind(ctx); err != nil {
		return Estimate{}, nil, a.failed(ctx, err)
	}
	return a.cut.estimate(), a.cut.points(), nil
}

// askings are what other nodes would be asked.
func (a *asking) askings(ctx context.Context, split *engine.Split, parser engine.Parser) ([]Asking, error) {
	if split == nil {
		return nil, nil
	}
	if split.Site != "" {
		node, err := weft.ParseKeyID(split.Site)
		return []Asking{{node, a.cut.farProducts()[node], a.q}}, err
	}
	var out []Asking
	p := &parting{a: a, split: split, parser: parser}
	for _, part := range split.Parts {
		if part.Site == "" {
			continue
		}
		node, err := weft.ParseKeyID(part.Site)
		if err != nil {
			return nil, err
		}
		q := a.q
		if q.SQL, err = part.Text(ctx, parser, nil); err != nil {
			return nil, err
		}
		q.At = p.at(part)
		out = append(out, Asking{node, p.products(part), q})
	}
	return out, nil
}

// admit asks whether the question may run.
func (a *asking) admit(ctx context.Context) error {
	admit := a.f.cfg.Load().Admit
	if admit == nil {
		return nil
	}
	done, err := admit(ctx, a.q, a.cut.points(), a.cut.estimate())
	if err == nil {
		a.done = done
	}
	return err
}

// estimate is what the question reads, by product.
func (c *cutter) estimate() Estimate {
	var e Estimate
	for _, v := range c.views {
		p := v.snap.Point().Product
		i := slices.IndexFunc(e.Reads, func(r Read) bool { return r.Product == p })
		if i < 0 {
			i, e.Reads = len(e.Reads), append(e.Reads, Read{Product: p})
		}
		w := c.read[v]
		e.Reads[i].Rows += w.rows
		e.Reads[i].Bytes += w.bytes + w.tail
		e.Rows += w.rows
		e.Bytes += w.bytes + w.tail
	}
	slices.SortFunc(e.Reads, func(x, y Read) int { return cmp.Compare(x.Product.String(), y.Product.String()) })
	return e
}

// tailBytes is about what the rows take that are in no file yet.
func tailBytes(r store.Relation) (n int64) {
	for _, s := range r.Sources {
		for _, sh := range s.Shared {
			n += sh.Bytes()
		}
		for _, b := range s.Batches {
			for _, c := range b.Columns() {
				n += int64(c.Data().SizeInBytes())
			}
		}
	}
	return n
}
