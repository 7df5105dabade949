package federate

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/engine"
)

// The last step of a question runs at the node that is asked, over the rows that parts gave.
// Where that would have one node send much of which the last step leaves little, it runs at
// that node instead: what the others give, and what is here, goes there with the question.
// The question is then cut as that node would cut it, so that its own tables are read where
// they are.

// hereSite is the site of this node's tables where the last step runs at another one.
const hereSite = "here"

// Weighs says whether the last step moves, of a question whose parts would send here so
// many bytes, to where it would have so many bytes go.
type Weighs func(here, there int64) bool

// What a move has to be worth: the estimates are guesses, and it takes a journey more.
const (
	leastAway  = 1 << 20 // bytes that are sent less
	timesAway  = 2       // as many bytes as would go the other way
	mostGuests = 32 << 20
)

func weighs(here, there int64) bool { return here-there >= leastAway && here >= timesAway*there }

// weighed is how many bytes are believed to travel where the last step runs here, and where it
// runs at the other node.
type weighed struct{ here, there int64 }

// lastAt is the site at which the last step of a question is to run, "" for here: the one
// that would send most bytes, where these are many more than what it is sent and answers.
func (a *asking) lastAt(split *engine.Split) (site string, w weighed) {
	if a.q.AllowPartial || !split.Repeatable || split.Site != "" {
		return "", w
	}
	plan := planParts(split.Parts)
	rows := partRows(split.Parts, plan, "")
	sends := map[string]int64{}
	var largest int64
	for i, p := range split.Parts {
		if p.Sharded {
			return "", w // joined part by part already
		}
		if p.Site == "" {
			continue
		}
		n := int64(rows[i]) * a.cut.width(p)
		w.here += n
		if sends[p.Site] += n; site == "" || sends[p.Site] > largest || sends[p.Site] == largest && p.Site < site {
			site, largest = p.Site, sends[p.Site]
		}
	}
	if site == "" {
		return "", w
	}
	var comes, goes, most int64
	rows = partRows(split.Parts, plan, site)
	for i, p := range split.Parts {
		if p.Site == site {
			most = max(most, int64(rows[i]))
			continue
		}
		if slices.ContainsFunc(p.Tables, func(t engine.Target) bool { return !a.cut.travels(t, site) }) {
			return "", w
		}
		n := int64(rows[i]) * a.cut.width(p)
		if goes += n; p.Site != "" {
			comes += n
		}
	}
	share, limit := split.Gives()
	gives := int64(float64(most) * share)
	if limit >= 0 {
		gives = min(gives, limit)
	}
	w.there = goes + comes + gives*unknownWidth*int64(max(split.Columns, 1))
	weigh := a.f.cfg.Load().Away
	if weigh == nil {
		weigh = weighs
	}
	if goes > mostGuests || !weigh(w.here, w.there) {
		return "", w
	}
	return site, w
}

// partRows guesses how many rows parts give that are asked with keys, but for keys of parts at
// one site.
func partRows(parts []*engine.Part, plan []planned, but string) []float64 {
	rows, known := make([]float64, len(parts)), make([]bool, len(parts))
	var of func(i int) float64
	of = func(i int) float64 {
		if known[i] {
			return rows[i]
		}
		known[i], rows[i] = true, float64(parts[i].Rows)
		shares := map[string]float64{} // two columns of one part say together what the better one says
		for _, u := range plan[i].uses {
			k := parts[i].Keys[u]
			sources := k.Sources()
			if but != "" && slices.ContainsFunc(sources, func(s int) bool { return parts[s].Site == but }) {
				continue
			}
			name := fmt.Sprint(sources)
			was, ok := shares[name]
			if !ok {
				was = 1
			}
			shares[name] = min(was, shareOf(parts, k, rows[i], of))
		}
		for _, s := range shares {
			rows[i] *= s
		}
		return rows[i]
	}
	for i := range parts {
		of(i)
	}
	return rows
}

// shareOf guesses which share of so many rows keys leave; of says how many rows a part gives.
func shareOf(parts []*engine.Part, k engine.KeyUse, rows float64, of func(int) float64) float64 {
	if k.Chosen() {
		return shareChosen
	}
	unique := true // each value once where it comes from
	var have, base float64
	for _, s := range k.From {
		if s.SQL == "" {
			have, base = have+of(s.Part), base+float64(parts[s.Part].Base)
			unique = unique && s.Unique
		}
	}
	switch {
	case !unique && k.Unique: // a row for each value at most
		base = rows
	case base == 0:
		return 1
	}
	return min(1, have/max(base, 1))
}

// shareChosen is a guess at what keys leave that a query chooses.
const shareChosen = 0.3

// move has the question cut for the last step to run at a site, "" for here. Every mention
// is found again.
func (c *cutter) move(site string) {
	c.last = site
	clear(c.fars)
	clear(c.views)
	clear(c.read)
	c.warnings = nil
}

// stay has the last step run here whatever it takes.
func (c *cutter) stay() {
	c.stays = true
	c.move("")
}

// moved is a question that was cut anew for the last step to run at another node, where
// that is worth it; nil where it is not. Keys of what stays there do not come here.
func (a *asking) moved(ctx context.Context, parser engine.Parser, split *engine.Split, cut engine.SplitRules) (*engine.Split, error) {
	if a.cut.stays || cut.Plain || len(split.Parts) == 0 {
		return nil, nil
	}
	site, w := a.lastAt(split)
	if site == "" {
		return nil, nil
	}
	a.cut.move(site)
	a.weighed = w
	cut.Away = true
	out, err := engine.SplitQuery(ctx, parser, a.q.SQL, cut)
	if err != nil {
		return nil, err
	}
	leaveOut(out)
	return out, nil
}

// leaveOut takes the parts of the node of the last step out of a question: it reads these
// tables there, narrowed down by what comes. Keys of theirs do not come here.
func leaveOut(split *engine.Split) {
	plan := planParts(split.Parts)
	number := make([]int, len(split.Parts)) // of those that stay
	var stay []*engine.Part
	for i, p := range split.Parts {
		if number[i] = -1; p.Site != "" {
			number[i] = len(stay)
			stay = append(stay, p)
		}
	}
	for i, p := range split.Parts {
		var keys []engine.KeyUse
		for u, k := range p.Keys {
			sources := k.Sources()
			if slices.ContainsFunc(sources, func(s int) bool { return number[s] < 0 }) || p.Site == "" && !slices.Contains(plan[i].uses, u) {
				continue
			}
			for f := range k.From {
				if from := &k.From[f]; from.SQL == "" {
					from.Part = number[from.Part]
				}
				for n := range k.From[f].Needs {
					k.From[f].Needs[n] = number[k.From[f].Needs[n]]
				}
			}
			keys = append(keys, k)
		}
		if p.Keys = keys; p.Site == "" && len(keys) > 0 {
			split.Own = append(split.Own, p)
		}
	}
	split.Parts = stay
}

// away has the node at which the last step runs put together what the others gave.
func (a *asking) away(ctx context.Context, b *bound, ans *weft.Answer) (*weft.Answer, error) {
	node, err := weft.ParseKeyID(a.cut.last)
	if err != nil {
		return nil, err
	}
	a.leave()
	p, err := a.parts(ctx, b.split, b.parser)
	if err != nil {
		return nil, err
	}
	a.parting = p
	a.atEnd(p.drop)
	q, products, done, err := p.lastStep(ctx)
	a.leave()
	if err != nil {
		return nil, err
	}
	m := &p.measures[len(b.split.Parts)]
	m.text, m.asked = q.SQL, time.Now()
	got, err := a.cut.elsewhere.Ask(ctx, node, q)
	done()
	if err != nil {
		return nil, a.cut.wholeFault(ctx, node, products, err)
	}
	a.atEnd(func() { _ = got.Close() })
	for _, n := range products {
		if _, ok := got.Cut.Find(n); !ok {
			return nil, a.cut.farFault(node, products, fmt.Errorf("it does not say at which state of %s its rows are", n))
		}
	}
	out := *ans
	if out.Cut, out.Held, err = p.cutOf(append(slices.Clone(ans.Cut), got.Cut...)); err != nil {
		return nil, err
	}
	out.Held += ans.Held + got.Held
	out.Schema = got.Schema
	out.Rows = &reader{RecordReader: got.Rows, ctx: ctx, fault: func(err error) error { return a.cut.wholeFault(ctx, node, products, err) }}
	out.Warnings = func() []weft.Warning { return p.warnings }
	out.Parts = func() []weft.PartUse { return append(slices.Clone(p.uses), got.Parts()...) }
	out.Close = func() error {
		a.end()
		return nil
	}
	a.cut.warn(&out)
	return &out, nil
}

// lastStep is what the node is asked at which the last step runs, and the products of it that are
// read; done gives up what goes with it.
func (p *parting) lastStep(ctx context.Context) (q FarQuestion, products []weft.Name, done func(), err error) {
	q = FarQuestion{Question: p.a.q}
	var ends []func()
	done = func() {
		for _, end := range ends {
			end()
		}
	}
	defer func() {
		if err != nil {
			done()
		}
	}()
	guests := map[engine.Target]engine.Guest{}
	var bytes int64
	for i, part := range p.split.Parts {
		l := p.got[i]
		if bytes += l.bytes; bytes > 2*mostGuests {
			return q, nil, done, errHeavy
		}
		g := engine.Guest{Name: guestName(i), Huge: l.huge}
		guests[part.View] = g
		batches, end, err := l.shared.Read()
		if err != nil {
			return q, nil, done, err
		}
		ends = append(ends, end)
		q.Guests = append(q.Guests, Enclosed{Name: g.Name, Schema: l.schema, Batches: batches})
	}
	sql, own, err := p.split.Away(ctx, p.parser, guests)
	if err != nil {
		return q, nil, done, err
	}
	for _, t := range own {
		if n := p.a.cut.fars[t].far.Name; !slices.Contains(products, n) {
			products = append(products, n)
		}
	}
	q.SQL, q.At = sql, p.atOf(products)
	return q, products, done, nil
}

func guestName(part int) string { return fmt.Sprintf("g%d", part+1) }

// errHeavy says that more goes to the node of the last step than was believed.
var errHeavy = weft.Errorf(weft.KindLimit, "move the last step", "", "it is too much that would go there")

// staysAfter says of an error of a question whose last step was to run at another node
// whether it is worth to run it here: where that node does not do what a part may ask of
// it. One that cannot be reached has no part either.
func staysAfter(ctx context.Context, err error) bool {
	return ctx.Err() == nil && weft.KindOf(err) != weft.KindUnavailable
}

// landHere reads a part of this node's own tables, for the last step that runs at another
// one.
func (p *parting) landHere(ctx context.Context, i int) (err error) {
	part, m := p.split.Parts[i], &p.measures[i]
	uses, keys, err := p.keys(ctx, i)
	if err != nil {
		return err
	}
	came := &given{keys: keys}
	defer func() {
		for _, k := range keys {
			k.drop()
		}
	}()
	m.sent = p.sent(i, uses, keys)
	p.mu.Lock() // one statement at a time
	defer p.mu.Unlock()
	var st engine.Statement
	if st.SQL, err = part.Text(ctx, p.parser, uses); err != nil {
		return err
	}
	if _, err := p.a.cut.relations(&st); err != nil {
		return err
	}
	came.show(&st)
	m.text, m.asked = st.SQL, time.Now()
	defer func() { m.last = time.Now() }()
	s, err := p.a.enter(ctx, engine.LaneLight)
	if err != nil {
		return err
	}
	rows, err := s.Query(ctx, st)
	if err != nil {
		return err
	}
	l, err := p.rows(ctx, i, &weft.Answer{Schema: rows.Schema(), Rows: rows}, m)
	rows.Release()
	if err != nil {
		return err
	}
	if l.huge, err = hugeOf(ctx, s, st, l.schema); err != nil {
		l.shared.Close()
		return err
	}
	p.got[i] = l
	return nil
}

// hugeOf are the columns of a statement that are HUGEINT to the engine.
func hugeOf(ctx context.Context, s engine.Session, st engine.Statement, sc *arrow.Schema) (huge []string, err error) {
	if !slices.ContainsFunc(sc.Fields(), mayBeHuge) {
		return nil, nil
	}
	st.SQL = "SELECT column_name FROM (DESCRIBE " + st.SQL + ") WHERE column_type = 'HUGEINT'"
	names, err := engine.Fields(ctx, s, st)
	for _, n := range names {
		huge = append(huge, n[0].Text)
	}
	return huge, err
}
