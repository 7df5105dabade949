package node

import (
	"context"
	"math"
	"strings"
	"time"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/serve"
)

// How often the node looks for products whose null shares are older than their rows,
// how long those of one product are good for at least, and how many times as long as
// the counting took: a large table costs a two-hundredth of one thread at most.
const (
	countLook  = 2 * time.Second
	countEvery = 3 * time.Minute
	countTimes = 200
)

// runNullShares counts the values that are missing, one product after the other and
// long after its commit, until ctx ends. A product that nobody uses is not opened for
// it: its shares are those of the last count.
func (n *Node) runNullShares(ctx context.Context) error {
	if n.cards.sink == nil {
		return nil
	}
	tick := time.NewTicker(countLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, p := range n.all() {
			if ctx.Err() == nil && p.wantsCount(n.env.Clock.Now()) {
				p.countNulls(ctx)
			}
		}
	}
}

// wantsCount says whether rows were committed since the last count, and it is time.
func (p *product) wantsCount(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := &p.told
	return p.store != nil && !p.rec.Retired && !p.busy && t.head != nil && t.point.Seq != t.counted && !now.Before(t.countAt)
}

// countNulls counts one product, where it is open.
func (p *product) countNulls(ctx context.Context) {
	release, ok := p.holdOpen()
	if !ok {
		return
	}
	defer release()
	began := time.Now()
	at := p.store.Head().Seq
	nulls, err := p.nullShares(ctx)
	took := time.Since(began)
	p.mu.Lock()
	p.told.countAt = p.node.env.Clock.Now().Add(max(countEvery, countTimes*took))
	if err == nil {
		p.told.nulls, p.told.counted = nulls, at
	}
	p.mu.Unlock()
	switch {
	case err == nil:
		p.node.cards.touch(p)
	case ctx.Err() == nil:
		p.node.env.Log.Debug("count the values that are missing; it is tried again", "product", p.name().String(), "error", err)
	}
}

// nullShares asks, through the gate and as the product itself, for the share of rows
// without a value, by table and column.
func (p *product) nullShares(ctx context.Context) (map[string]map[string]float64, error) {
	f, _ := p.current()
	out := map[string]map[string]float64{}
	for _, t := range f.Tables() {
		columns, rows, err := p.columns(ctx, t.Name)
		if err != nil {
			return nil, err
		}
		if columns == nil {
			continue // not published yet
		}
		if out[t.Name], err = p.tableNulls(ctx, t, columns, rows); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// countColumns is how many columns one question counts.
const countColumns = 200

// tableNulls counts a table's columns, without those that the contract says are always
// there.
func (p *product) tableNulls(ctx context.Context, t *contract.Table, published []string, rows int64) (map[string]float64, error) {
	var names []string
	for _, c := range published {
		if k := t.Column(c); k == nil || !k.Required {
			names = append(names, c)
		}
	}
	out := map[string]float64{}
	if rows == 0 {
		return out, nil
	}
	for len(names) > 0 {
		some := names[:min(len(names), countColumns)]
		names = names[len(some):]
		if err := p.countInto(ctx, out, t.Name, some); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (p *product) countInto(ctx context.Context, out map[string]float64, table string, columns []string) error {
	exprs := []string{"count(*)"}
	for _, c := range columns {
		exprs = append(exprs, "count("+engine.QuoteIdent(c)+")")
	}
	addr := weft.TableName{Name: p.name(), Table: table}.String()
	ans, err := p.node.reader.Query(ctx, weft.Question{
		SQL: "SELECT " + strings.Join(exprs, ", ") + " FROM " + quoteAddress(addr), Subject: weft.ProductSubject(p.name()), Limits: weft.Limits{Threads: 1},
	})
	if err != nil {
		return err
	}
	defer func() { _ = ans.Close() }()
	got, err := serve.Collect(ans, 1)
	if err != nil {
		return err
	}
	if len(got.Rows) != 1 {
		return weft.Errorf(weft.KindInternal, "count the values of", addr, "the answer has %d rows", len(got.Rows))
	}
	row := decodeRow(got.Rows[0])
	for i, c := range columns {
		if share := nullShare(number(row[0]), number(row[i+1])); share > 0 {
			out[c] = share
		}
	}
	return nil
}

// nullShare is the share of rows without a value to a hundredth. It says none and all
// only where that is so.
func nullShare(rows, values int64) float64 {
	switch {
	case rows <= 0 || values >= rows:
		return 0
	case values <= 0:
		return 1
	}
	share := math.Round(100*float64(rows-values)/float64(rows)) / 100
	return min(max(share, 0.01), 0.99)
}
