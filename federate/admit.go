package federate

import (
	"cmp"
	"context"
	"slices"
	"time"

	"weft"
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

// Estimate says what q would read, and at which cut, and runs nothing of it.
func (f *Federation) Estimate(ctx context.Context, q weft.Question) (Estimate, weft.Cut, error) {
	var e Estimate
	a, ctx := f.asks(ctx, q)
	defer a.end()
	_, err := a.bind(ctx)
	if err != nil {
		return e, nil, a.failed(ctx, err)
	}
	return a.cut.estimate(), a.cut.points(), nil
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
