package node

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"time"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/ingest"
	"weft/publish"
	"weft/serve"
	"weft/store"
	"weft/transform"
)

// input is one input port of a load.
type input struct {
	port   *contract.Input
	server *contract.Server // nil for another product
	key    string           // what the rows were read by; another key reads anew
	staged []store.Staged
	point  weft.Point // of another product: the state to read
	moved  bool       // something new was staged, or is there to be read
	far    *foreign   // set where the product is one of another node
	state  *farState  // what that node says of it, once it was asked

	withheld error // why some tables of another product are not read
}

// position is what a commit records of a port read from a source: the reader's
// own position, and the contracts it was read by.
type position struct {
	By   string          `json:"by"`
	Read time.Time       `json:"read"`
	At   json.RawMessage `json:"at"`
}

// read stages what is new at every input port. True means that nothing is new
// and the folder is the one that made the published state.
func (l *load) read(ctx context.Context) (bool, error) {
	l.phase("read")
	if err := l.lazySession(); err != nil {
		return false, err
	}
	l.p.lose(weft.Name{})
	l.runs = l.stale()
	for _, in := range l.folder.Inputs {
		x := input{port: in}
		var err error
		if in.Product.IsZero() {
			err = l.readSource(ctx, &x)
		} else {
			err = l.lookAtProduct(ctx, &x)
		}
		if err != nil {
			return false, err
		}
		l.inputs = append(l.inputs, x)
		l.runs = l.runs || x.moved
	}
	if !l.runs {
		return true, nil
	}
	// A product's rows are not kept a second time: where anything is made anew,
	// they are read again.
	for i := range l.inputs {
		if x := &l.inputs[i]; !x.port.Product.IsZero() {
			if err := l.readProduct(ctx, x); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// stale says whether the published rows were made by another folder than the
// one that is current.
func (l *load) stale() bool {
	l.p.mu.Lock()
	ran := l.p.ran
	l.p.mu.Unlock()
	if ran == l.rec.Folder {
		return false
	}
	c, ok := lastWithRows(l.p.store)
	return !ok || c.Folder != l.rec.Folder
}

// lastWithRows finds the newest commit that changed an output table.
func lastWithRows(s *store.Store) (weft.Commit, bool) {
	for before := weft.Seq(0); ; {
		cs, err := s.Commits(before, 50)
		if err != nil || len(cs) == 0 {
			return weft.Commit{}, false
		}
		for _, c := range cs {
			if slices.ContainsFunc(c.Tables, func(t weft.TableChange) bool { return !t.Hidden }) {
				return c, true
			}
			before = c.Seq
		}
	}
}

// lazySession prepares the loader worker: it may read the product's own files
// and what its contracts declare, and write to the staging folder. The process
// starts when the first statement needs it, so that a look at an unchanged
// source costs none.
func (l *load) lazySession() error {
	own := []string{l.p.node.cfg.productDir(l.rec.ID), l.stage}
	cfg := engine.SessionConfig{
		Name: "load " + l.folder.Name.String(), Write: l.stage,
		Read: own, Real: []string{engine.Resolved(own[0]), engine.Resolved(own[1])},
		Memory: l.p.node.conf().LoadMemory, Threads: l.p.node.conf().Threads,
		Temp: l.p.node.cfg.path("tmp"), TempBytes: l.p.node.conf().TempBytes,
	}
	dir, err := l.p.dir()
	if err != nil {
		return err
	}
	for _, in := range l.folder.Inputs {
		if in.Contract == nil {
			continue
		}
		s, err := in.Contract.Server(l.rec.Env)
		if err != nil {
			return err
		}
		more, err := l.p.node.readers.Locations(s, dir, l.p.node.conf().Secrets)
		if err != nil {
			return err
		}
		for _, at := range more {
			open, err := l.p.node.cfg.declared(at)
			if err != nil {
				return err
			}
			for _, o := range open {
				cfg.Read, cfg.Real = append(cfg.Read, o.at), append(cfg.Real, o.real)
			}
		}
	}
	l.session = &lazySession{sessions: l.p.node.pool, cfg: cfg}
	return nil
}

// readSource reads a port from its server.
func (l *load) readSource(ctx context.Context, x *input) error {
	var err error
	if x.server, err = x.port.Contract.Server(l.rec.Env); err != nil {
		return err
	}
	dir, err := l.p.dir()
	if err != nil {
		return err
	}
	var was position
	if raw := l.positions[x.port.Name]; len(raw) > 0 {
		if err := json.Unmarshal(raw, &was); err != nil {
			return weft.Errorf(weft.KindCorrupt, "read the position of", x.port.Name, "%w", err)
		}
	}
	x.key = l.readKey(x)
	at := was.At
	if was.By != x.key && mode(x.server) != contract.ModeAppend {
		at = nil // other columns or another place: what was read is no measure
	}
	committed := at
	at = l.p.lookedAt(x.port.Name, at)
	wants, err := l.wants(ctx, x)
	if err != nil {
		return err
	}
	req := ingest.Request{
		Product: l.folder.Name, Port: x.port, Server: x.server, Tables: wants, Position: at, Dir: dir,
		Stage: filepath.Join(l.stage, x.port.Name), Session: l.session, Lookup: l.p.node.conf().Secrets, Private: l.p.node.conf().owns,
		Progress: l.progress, Env: l.p.node.cfg.RunEnv,
	}
	if w := l.req.window; w != nil {
		req.Window = &ingest.Window{}
		if w.from != nil {
			req.Window.From = *w.from
		}
		if w.to != nil {
			req.Window.To = *w.to
		}
	}
	res, err := l.p.node.readers.Read(ctx, req)
	if err != nil {
		return err
	}
	l.notes = append(l.notes, res.Notes...)
	if res.Unchanged {
		l.p.keepLook(x.port.Name, committed, res.Position)
		return nil
	}
	x.moved, x.staged = true, res.Tables
	for i := range x.staged {
		x.staged[i].Port = x.port.Name
		l.attempt.Rows += x.staged[i].Rows
		l.attempt.Bytes += x.staged[i].Bytes
	}
	if res.Ack != nil {
		l.acks = append(l.acks, res.Ack)
	}
	return l.setPosition(x.port.Name, position{By: x.key, Read: l.began, At: res.Position})
}

// lookedAt is the position that a look found since the commit: a look that finds
// nothing makes no commit, and the next one need not begin where it did.
func (p *product) lookedAt(port string, committed json.RawMessage) json.RawMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l, ok := p.looks[port]; ok && committed != nil && bytes.Equal(l.committed, committed) {
		return l.now
	}
	return committed
}

func (p *product) keepLook(port string, committed, now json.RawMessage) {
	if len(now) == 0 || bytes.Equal(committed, now) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.looks == nil {
		p.looks = map[string]look{}
	}
	p.looks[port] = look{committed, now}
}

// look is a position of a commit, and the one found since that says the same.
type look struct{ committed, now json.RawMessage }

func (l *load) setPosition(port string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return weft.Errorf(weft.KindInternal, "record the position of", port, "%w", err)
	}
	l.positions[port] = b
	return nil
}

// readKey is everything of the folder that decides what a port's rows look like.
func (l *load) readKey(x *input) string {
	key := x.port.Contract.Hash.Short() + " " + x.server.Name
	for _, o := range l.folder.Outputs {
		for _, t := range o.Contract.Tables {
			if in, _, err := l.folder.Source(t); t.SQL == "" && err == nil && in == x.port {
				key += " " + o.Contract.Hash.Short()
			}
		}
	}
	return key
}

// wants says which tables and columns to read: the contract's where it names
// them, those of the output table that a pass-through fills, else what the SQL
// uses.
func (l *load) wants(ctx context.Context, x *input) ([]ingest.Want, error) {
	var out []ingest.Want
	used, err := l.used(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range x.port.Contract.Tables {
		w := ingest.Want{Table: t, Columns: ingest.Columns(t), Known: l.known(x.port.Name, t.Name)}
		if to := l.filled(x.port.Name, t.Name); to != nil {
			w.Table, w.Columns, w.Strict = merged(t, to), passed(t, to), true
		}
		for _, c := range used[engine.Target{Schema: x.port.Name, Table: t.Name}] {
			if t.Column(c) == nil && !w.Strict {
				w.Columns = append(w.Columns, ingest.Column{Name: c})
			}
		}
		out = append(out, w)
	}
	return out, nil
}

// filled is the output table that the input table passes through to.
func (l *load) filled(port, table string) *contract.Table {
	for _, t := range l.folder.Tables() {
		if in, from, err := l.folder.Source(t); t.SQL == "" && err == nil && in.Name == port && from == table {
			return t
		}
	}
	return nil
}

// merged is the output table under the input's name and place, so that keys and
// what to do with bad rows are the output's and the place is the source's.
func merged(in, out *contract.Table) *contract.Table {
	t := *out
	t.Name, t.PhysicalName = in.Name, in.PhysicalName
	return &t
}

// passed are the output's columns under the names that the source calls them.
func passed(in, out *contract.Table) []ingest.Column {
	cols := ingest.Columns(out)
	for i, c := range cols {
		if from := in.Column(c.Name); from != nil && from.PhysicalName != "" {
			cols[i].Source = from.PhysicalName
		}
	}
	return cols
}

// known are the columns of the stored input table, so that inferred types do not
// flip between loads.
func (l *load) known(port, table string) []ingest.Column {
	var out []ingest.Column
	for _, t := range l.prior.Tables() {
		if t.Table != publish.HiddenName(port, table) {
			continue
		}
		for _, f := range t.Schema.Fields() {
			if typ, err := contract.FromField(f); err == nil {
				out = append(out, ingest.Column{Name: f.Name, Type: typ})
			}
		}
	}
	return out
}

// used are the columns that the product's SQL names, by input table; a table of
// which all are used is missing. It is worked out once for a folder.
func (l *load) used(ctx context.Context) (map[engine.Target][]string, error) {
	l.p.mu.Lock()
	cached := l.p.used
	l.p.mu.Unlock()
	if cached.folder == l.rec.Folder && cached.columns != nil {
		return cached.columns, nil
	}
	out := map[engine.Target][]string{}
	for _, t := range l.folder.Tables() {
		if t.SQL == "" {
			continue
		}
		cols, err := transform.Uses(ctx, l.session, l.folder, t, l.began)
		if err != nil {
			return nil, err
		}
		for target, cs := range cols {
			for _, c := range cs {
				if !slices.Contains(out[target], c) {
					out[target] = append(out[target], c)
				}
			}
		}
	}
	l.p.mu.Lock()
	l.p.used = usedColumns{l.rec.Folder, out}
	l.p.mu.Unlock()
	return out, nil
}

// usedColumns keeps what used worked out.
type usedColumns struct {
	folder  weft.Hash
	columns map[engine.Target][]string
}

// progress passes a reader's progress on to whoever waits for the load.
func (l *load) progress(g ingest.Progress) {
	if l.req.progress == nil {
		return
	}
	l.req.progress(serve.Event{
		Phase: "read", Product: l.folder.Name.String(), Table: g.Table, Rows: g.Rows, Bytes: g.Bytes, Total: g.TotalBytes,
		Rate: rowRate(g.Rows, l.p.node.env.Clock.Now().Sub(l.phaseBegan)), Left: g.Left.Seconds(),
	})
}

// rowRate is rows a second, 0 where too little time has passed to tell.
func rowRate(rows int64, since time.Duration) float64 {
	if since < 50*time.Millisecond {
		return 0
	}
	return float64(rows) / since.Seconds()
}

// phase notes that the next verb begins.
func (l *load) phase(name string) {
	now := l.p.node.env.Clock.Now()
	if l.attempt.Phases == nil {
		l.attempt.Phases = map[string]int64{}
	}
	if l.phaseName != "" {
		l.attempt.Phases[l.phaseName] += now.Sub(l.phaseBegan).Milliseconds()
	}
	l.phaseName, l.phaseBegan = name, now
	if l.req.progress != nil && name != "" {
		l.req.progress(serve.Event{Phase: name, Product: l.folder.Name.String()})
	}
}
