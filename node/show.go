package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/serve"
)

// sampleRows is how many rows a sample shows; up to exactDistinct rows of a table
// distinct values are counted, above they are estimated.
const (
	sampleRows    = 5
	exactDistinct = 1_000_000
)

// Show gives everything of one product that the subject may see: where it is from and
// how it is made is for its own domain, what rows say for who may read them.
func (n *Node) Show(ctx context.Context, s weft.Subject, name weft.Name) (*serve.ProductDetail, error) {
	if n.known(name) == nil {
		return n.showForeign(s, name)
	}
	p, err := n.seenBy(s, name)
	if err != nil {
		return nil, n.noSuchProduct(s, name)
	}
	release, err := p.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	sum, err := p.summary(ctx, s)
	if err != nil {
		return nil, err
	}
	f, rec := p.current()
	d := &serve.ProductDetail{
		ProductSummary: *sum, ID: rec.ID, DocumentID: f.ID, Version: f.Version, Description: f.Description,
		Team: f.Team, Support: f.Support, Folder: rec.Dir, Revision: rec.Revision, Ports: ports(f, rec.Env),
	}
	if last, ok := p.store.Last(); ok {
		d.Head = commitInfo(p.redacted(s, last))
		for i := range d.Ports {
			if q := &d.Ports[i]; q.Kind == serve.PortInput {
				q.Checks = p.evidence(last, func(r weft.CheckResult) bool { return strings.HasPrefix(r.Table, q.Name+".") })
			}
		}
	}
	for _, in := range f.Inputs {
		if !in.Product.IsZero() {
			d.Upstream = append(d.Upstream, in.Product)
		}
	}
	for _, dep := range n.dependents(name) {
		if dep.knownTo(s) {
			d.Downstream = append(d.Downstream, dep.name())
		}
	}
	if passed, failed := lastVerdict(p.store); passed+failed > 0 {
		d.Checks = &serve.CheckCounts{Passed: passed, Failed: failed}
	}
	d.Promises = promises(f)
	if d.Schema, err = p.tables(ctx, s, f, sum); err != nil {
		return nil, err
	}
	card := cardOf(f, rec, nil)
	d.Joins, d.Readers = joins(card, n.keyOf), card.Readers
	if card.Deprecated != nil && d.Todo == "" {
		d.Todo = deprecation(card.Deprecated)
	}
	if n.mayOwn(s, "see the inside of", name) != nil {
		conceal(d)
	}
	if p.deny(s, "") == nil {
		d.Query = snippets(n.URL(), d)
	}
	return d, nil
}

func ports(f *contract.Folder, env string) []serve.Port {
	var out []serve.Port
	for _, in := range f.Inputs {
		q := serve.Port{Kind: serve.PortInput, Name: in.Name, Version: in.Version}
		if !in.Product.IsZero() {
			name := in.Product
			q.Product = &name
		}
		if in.Contract != nil {
			q.Contract = in.Contract.File
			for _, t := range in.Contract.Tables {
				q.Tables = append(q.Tables, t.Name)
			}
			if srv, err := in.Contract.Server(env); err == nil {
				q.Source, q.Mode = place(srv), mode(srv)
			}
		}
		out = append(out, q)
	}
	for _, o := range f.Outputs {
		q := serve.Port{Kind: serve.PortOutput, Name: o.Name, Version: o.Version, Description: o.Description, Contract: o.Contract.File}
		for _, t := range o.Contract.Tables {
			q.Tables = append(q.Tables, t.Name)
		}
		out = append(out, q)
	}
	return out
}

// place says where a source is, without credentials and with ${VAR} as written.
func place(s *contract.Server) string {
	switch s.Type {
	case "local":
		return s.Path
	case "postgres", "postgresql":
		return fmt.Sprintf("postgres %s/%s", s.Host, s.Database)
	default:
		return or(s.URL, s.Type)
	}
}

func mode(s *contract.Server) contract.Mode {
	if s.Mode == "" {
		return contract.ModeSnapshot
	}
	return s.Mode
}

func promises(f *contract.Folder) []serve.Promise {
	var out []serve.Promise
	for _, o := range f.Outputs {
		sla := o.Contract.SLA
		for _, p := range []struct {
			what string
			text string
			set  bool
		}{
			{"latency", sla.Latency.String(), sla.Latency > 0},
			{"frequency", sla.Frequency.String(), sla.Frequency > 0},
			{"retention", sla.Retention.String(), sla.Retention > 0},
		} {
			if p.set {
				out = append(out, serve.Promise{Property: p.what, Promised: p.text})
			}
		}
	}
	return out
}

// tables describes the output tables: from the folder what they mean, from the
// published state what they hold.
func (p *product) tables(ctx context.Context, s weft.Subject, f *contract.Folder, sum *serve.ProductSummary) ([]serve.TableDetail, error) {
	last, _ := p.store.Last()
	var out []serve.TableDetail
	for _, o := range f.Outputs {
		for _, t := range o.Contract.Tables {
			d := serve.TableDetail{
				Name: weft.TableName{Name: f.Name, Table: t.Name}.String(), Description: t.Description,
				Granularity: t.Granularity, Key: t.Key, SQL: t.SQL,
			}
			for _, c := range t.Columns {
				d.Columns = append(d.Columns, columnDetail(t, c))
				if c.Classification != "" {
					d.Hidden = append(d.Hidden, c.Name)
				}
			}
			if closed := p.deny(s, t.Name); closed != nil {
				d.Closed = closedWords(closed)
				out = append(out, d)
				continue
			}
			d.Checks = p.evidence(last, func(r weft.CheckResult) bool { return r.Table == t.Name })
			if slices.Contains(sum.Tables, d.Name) && sum.State != weft.StateRetired {
				if err := p.look(ctx, s, t, &d); err != nil {
					return nil, err
				}
			}
			out = append(out, d)
		}
	}
	return out, nil
}

// closedWords is a denial for who looks at a description.
func closedWords(err error) string {
	var e *weft.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	return strings.TrimSuffix(e.Cause.Error(), ": "+errNotReader.Error()) + ": " + weft.HintOf(err)
}

// conceal takes away what is for the product's own domain: where it is from, how it
// is made, and what its inputs were like.
func conceal(d *serve.ProductDetail) {
	d.Folder = ""
	for i := range d.Ports {
		d.Ports[i].Source, d.Ports[i].Checks = "", nil
	}
	for i := range d.Schema {
		d.Schema[i].SQL = ""
	}
}

// evidence is what the last verdict says of some checks: that of the newest commit
// that has one.
func (p *product) evidence(last weft.Commit, of func(weft.CheckResult) bool) []weft.CheckResult {
	for seq := last.Seq; seq > 0; {
		cs, err := p.store.Commits(seq+1, 20)
		if err != nil || len(cs) == 0 {
			return nil
		}
		for _, c := range cs {
			if c.Verdict == nil {
				continue
			}
			var out []weft.CheckResult
			for _, r := range c.Verdict.Checks {
				if of(r) {
					out = append(out, r)
				}
			}
			return out
		}
		seq = cs[len(cs)-1].Seq - 1
	}
	return nil
}

func columnDetail(t *contract.Table, c *contract.Column) serve.ColumnDetail {
	d := serve.ColumnDetail{
		Name: c.Name, Type: serve.TypeName(contract.ArrowField(c.Name, c.Type, !c.Required)), BusinessName: c.BusinessName, Description: c.Description, Required: c.Required,
		Unique: c.Unique || len(t.Key) == 1 && t.Key[0] == c.Name, Key: slices.Contains(t.Key, c.Name),
		Classification: c.Classification, Unit: c.Unit, Shard: c.Shard, Tags: c.Tags,
	}
	for _, r := range c.Relationships {
		d.References = append(d.References, r.To)
	}
	return d
}

// statsCache keeps what look computed, until the next commit.
type statsCache struct {
	asking sync.Mutex // held while they are computed, which holds the product: taken before any lock of it
	mu     sync.Mutex
	seq    weft.Seq
	tables map[string]looked
}

func (c *statsCache) get(seq weft.Seq, table string) (looked, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.tables[table]
	return l, ok && c.seq == seq
}

func (c *statsCache) put(seq weft.Seq, table string, l looked) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seq != seq || c.tables == nil {
		c.seq, c.tables = seq, map[string]looked{}
	}
	c.tables[table] = l
}

func (c *statsCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tables = nil
}

type looked struct {
	rows   int64
	stats  map[string]*serve.ColumnStats
	sample *serve.Rows
}

// look adds rows, statistics and a sample, read through the same gate as every
// other question. Values of classified columns stay out of both.
func (p *product) look(ctx context.Context, s weft.Subject, t *contract.Table, d *serve.TableDetail) error {
	p.stats.asking.Lock()
	defer p.stats.asking.Unlock()
	head := p.store.Head().Seq
	l, ok := p.stats.get(head, t.Name)
	if !ok {
		var err error
		if l, err = p.lookAt(ctx, s, t, d.Name); err != nil {
			return err
		}
		p.stats.put(head, t.Name, l)
	}
	d.Rows, d.Sample = l.rows, l.sample
	for i := range d.Columns {
		d.Columns[i].Stats = l.stats[d.Columns[i].Name]
	}
	return nil
}

func (p *product) lookAt(ctx context.Context, s weft.Subject, t *contract.Table, addr string) (looked, error) {
	l := looked{stats: map[string]*serve.ColumnStats{}}
	sel, exprs := []string{}, []string{"count(*)"}
	snapCols, rows, err := p.columns(ctx, t.Name)
	if err != nil {
		return l, err
	}
	distinct := "count(DISTINCT "
	if rows > exactDistinct {
		distinct = "approx_count_distinct("
	}
	var cols []*contract.Column
	for _, c := range t.Columns {
		if !slices.Contains(snapCols, c.Name) {
			continue // published by an older contract
		}
		cols = append(cols, c)
		q := engine.QuoteIdent(c.Name)
		exprs = append(exprs, "count("+q+")")
		if c.Classification != "" {
			exprs = append(exprs, distinct+q+")", "NULL", "NULL")
			sel = append(sel, "NULL AS "+q)
			continue
		}
		lo, hi := "NULL", "NULL"
		if ordered(c.Type.Kind) {
			lo, hi = "CAST(min("+q+") AS VARCHAR)", "CAST(max("+q+") AS VARCHAR)"
		}
		exprs = append(exprs, distinct+q+")", lo, hi)
		sel = append(sel, q)
	}
	from := " FROM " + quoteAddress(addr)
	var head []any
	if err := p.node.first(ctx, s, "SELECT "+strings.Join(exprs, ", ")+from, func(r [][]json.RawMessage) error {
		head = decodeRow(r[0])
		return nil
	}); err != nil {
		return l, err
	}
	l.rows = number(head[0])
	for i, c := range cols {
		v := head[1+4*i:]
		l.stats[c.Name] = &serve.ColumnStats{Nulls: l.rows - number(v[0]), Distinct: number(v[1]), Min: text(v[2]), Max: text(v[3])}
	}
	if len(sel) == 0 {
		return l, nil
	}
	ans, err := p.node.reader.Query(ctx, weft.Question{SQL: fmt.Sprintf("SELECT %s%s LIMIT %d", strings.Join(sel, ", "), from, sampleRows), Subject: s})
	if err != nil {
		return l, err
	}
	defer func() { _ = ans.Close() }()
	l.sample, err = serve.Collect(ans, sampleRows)
	return l, err
}

// columns are the published columns of a table, and its rows.
func (p *product) columns(ctx context.Context, table string) (out []string, rows int64, err error) {
	snap, err := p.store.Snapshot(ctx, 0)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = snap.Close() }()
	for _, t := range snap.Tables() {
		if t.Table == table {
			rows = t.Rows
			for _, f := range t.Schema.Fields() {
				out = append(out, f.Name)
			}
		}
	}
	return out, rows, nil
}

// ordered says for which types a minimum and a maximum say something.
func ordered(k contract.Kind) bool {
	switch k {
	case contract.KindBool, contract.KindBytes, contract.KindList, contract.KindStruct, contract.KindUUID, contract.KindUnknown:
		return false
	}
	return true
}

func quoteAddress(addr string) string {
	parts := strings.Split(addr, ".")
	for i, p := range parts {
		parts[i] = engine.QuoteIdent(p)
	}
	return strings.Join(parts, ".")
}

// first reads a small answer.
func (n *Node) first(ctx context.Context, s weft.Subject, sql string, f func([][]json.RawMessage) error) error {
	ans, err := n.reader.Query(ctx, weft.Question{SQL: sql, Subject: s})
	if err != nil {
		return err
	}
	defer func() { _ = ans.Close() }()
	rows, err := serve.Collect(ans, 1000)
	if err != nil {
		return err
	}
	if len(rows.Rows) == 0 {
		return weft.Errorf(weft.KindInternal, "read the statistics", "", "the answer is empty")
	}
	return f(rows.Rows)
}

func decodeRow(r []json.RawMessage) []any {
	out := make([]any, len(r))
	for i, m := range r {
		d := json.NewDecoder(strings.NewReader(string(m)))
		d.UseNumber()
		_ = d.Decode(&out[i]) // our own encoder wrote it
	}
	return out
}

func number(v any) int64 {
	if n, ok := v.(json.Number); ok {
		i, _ := n.Int64()
		return i
	}
	return 0
}

func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return ""
}

func snippets(url string, d *serve.ProductDetail) []serve.Snippet {
	if len(d.Tables) == 0 {
		return nil
	}
	t := d.Tables[0]
	return []serve.Snippet{
		{Tool: "weft", Text: fmt.Sprintf("weft query 'FROM %s LIMIT 10'", t)},
		{Tool: "curl", Text: fmt.Sprintf(`curl -H "Authorization: Bearer $WEFT_TOKEN" -d '{"sql":"SELECT count(*) FROM %s"}' -H 'Content-Type: application/json' %s/api/v1/query`, t, url)},
		{Tool: "pandas", Text: fmt.Sprintf(`pd.read_parquet("%s/api/v1/products/%s/data?format=parquet", storage_options={"Authorization": "Bearer " + token})`, url, t)},
	}
}
