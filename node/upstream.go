package node

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/federate"
	"weft/store"
)

// lookAtProduct finds the state of another product that is to be read, and
// whether it is another one than last time.
func (l *load) lookAtProduct(ctx context.Context, x *input) error {
	was, err := l.readBefore(x)
	if err != nil {
		return err
	}
	if x.far, err = l.p.node.foreign(x.port.Product); err != nil {
		return err
	}
	if x.far != nil {
		return l.lookFar(ctx, x, was)
	}
	up, release, err := l.upstream(ctx, x)
	if err != nil {
		return err
	}
	defer release()
	if x.point, err = publishedPoint(up.store, x.port.Product); err != nil {
		return err
	}
	x.moved = was.Hash != x.point.Hash
	return nil
}

// readBefore is the state of another product that the last commit was made from.
func (l *load) readBefore(x *input) (was weft.Point, err error) {
	if raw := l.positions[x.port.Name]; len(raw) > 0 {
		if err := json.Unmarshal(raw, &was); err != nil {
			return was, weft.Errorf(weft.KindCorrupt, "read the position of", x.port.Name, "%w", err)
		}
	}
	return was, nil
}

// publishedPoint is the newest commit of a product that changed its rows.
func publishedPoint(s *store.Store, name weft.Name) (weft.Point, error) {
	c, ok := lastWithRows(s)
	if !ok {
		return weft.Point{}, weft.Errorf(weft.KindUnavailable, "read the product", name.String(), "it has published nothing yet").
			WithHint("weft show %s", name)
	}
	return weft.Point{Product: name, ID: c.ID, Incarnation: c.Incarnation, Seq: c.Seq, Hash: c.Hash, Time: c.Time}, nil
}

// upstream holds the product of this node that an input is, where it may be read.
func (l *load) upstream(ctx context.Context, x *input) (*product, func(), error) {
	s := weft.ProductSubject(l.folder.Name)
	up, err := l.p.node.seenBy(s, x.port.Product)
	if err == nil {
		if err := up.deny(s, ""); err != nil {
			return nil, nil, notForInput(x, err)
		}
		var release func()
		if release, err = up.hold(ctx); err == nil {
			return up, release, nil
		}
	}
	return nil, nil, weft.Errorf(weft.KindUnavailable, "read the input", x.port.Name, "product %s is not here: %w", x.port.Product, err).
		WithHint("weft apply the folder of %s at this node first, or join the mesh of a node that has it; while it is proposed or draft, only its own domain knows it", x.port.Product)
}

// passes says whether an output table is what the input port gives, without SQL.
func (l *load) passes(port *contract.Input) bool {
	return slices.ContainsFunc(l.folder.Tables(), func(t *contract.Table) bool {
		in, _, err := l.folder.Source(t)
		return t.SQL == "" && err == nil && in == port
	})
}

// withheld is why a product that is an input gives less than all of its tables,
// where SQL failed that may have wanted one of them.
func (l *load) withheld(failed error) error {
	for _, x := range l.inputs {
		if k := weft.KindOf(failed); x.withheld != nil && (k == weft.KindNotFound || k == weft.KindInvalid) {
			return weft.Errorf(k, "make the tables", l.folder.Name.String(), "%w; %w", failed, x.withheld).WithHint("%s", weft.HintOf(x.withheld))
		}
	}
	return failed
}

// notForInput is a denial in the words of the input port.
func notForInput(x *input, err error) error {
	return weft.Errorf(weft.KindDenied, "read the input", x.port.Name, "%w", err).WithHint("%s", weft.HintOf(err))
}

// leaveOut notes why a table of another product is not read. Where a table passes
// through, that is an error; SQL may do without.
func (l *load) leaveOut(x *input, why error) error {
	if x.withheld = notForInput(x, why); l.passes(x.port) {
		return x.withheld
	}
	l.notes = append(l.notes, x.withheld.Error())
	return nil
}

// readProduct stages the rows of another product at the point that was fixed,
// asked through the gate of its node as everybody's questions are, with this
// product as the subject.
func (l *load) readProduct(ctx context.Context, x *input) error {
	if x.far != nil {
		return l.readFar(ctx, x)
	}
	up, release, err := l.upstream(ctx, x)
	if err != nil {
		return err
	}
	defer release()
	snap, err := up.store.Snapshot(ctx, x.point.Seq)
	if err != nil {
		return err
	}
	var tables []string
	for _, t := range snap.Tables() {
		if !t.Hidden {
			tables = append(tables, t.Table)
		}
	}
	if err := snap.Close(); err != nil {
		return err
	}
	for _, t := range tables {
		if err := up.deny(weft.ProductSubject(l.folder.Name), t); err != nil {
			if err := l.leaveOut(x, err); err != nil {
				return err
			}
			continue
		}
		s, err := l.copyProduct(ctx, x, t)
		if err != nil {
			return err
		}
		l.took(x, s)
	}
	return l.setPosition(x.port.Name, x.point)
}

// took notes a table that was staged.
func (l *load) took(x *input, s store.Staged) {
	l.attempt.Rows += s.Rows
	x.staged = append(x.staged, s)
}

func (l *load) copyProduct(ctx context.Context, x *input, table string) (store.Staged, error) {
	use := &asked{own: true}
	ans, err := l.p.node.reader.Query(withAsked(ctx, use), wholeTable(weft.ProductSubject(l.folder.Name), x.point, table))
	if err != nil {
		return store.Staged{}, err
	}
	defer func() { _ = ans.Close() }()
	to := l.newRowStage(x.port.Name, table, ans.Schema)
	defer to.drop()
	for ans.Rows.Next() {
		use.count(ans.Rows.RecordBatch())
		if err := to.add(ctx, ans.Rows.RecordBatch()); err != nil {
			return to.out, err
		}
	}
	if err := ans.Rows.Err(); err != nil {
		return to.out, err
	}
	return to.end(ctx)
}

// wholeTable asks for every row of a product's table at a point.
func wholeTable(s weft.Subject, at weft.Point, table string) weft.Question {
	addr := weft.TableName{Name: at.Product, Table: table}
	return weft.Question{
		SQL: "SELECT * FROM " + quoteAddress(addr.String()), Subject: s,
		At: weft.At{Cut: []weft.CutRef{{Product: at.Product, Incarnation: at.Incarnation, Seq: at.Seq, HashPrefix: at.Hash[:]}}},
	}
}

// What is held in memory of the rows of another product before they go to the
// staging folder.
const (
	chunkRows  = 1 << 19
	chunkBytes = 64 << 20
)

// rowStage gathers the rows of a table of another product in the staging folder.
type rowStage struct {
	l      *load
	schema *arrow.Schema
	sql    string
	held   []arrow.RecordBatch
	rows   int64
	bytes  int64
	out    store.Staged
}

func (l *load) newRowStage(port, table string, sc *arrow.Schema) *rowStage {
	return &rowStage{l: l, schema: sc, sql: federate.TypedColumns(sc, "upstream"), out: store.Staged{Port: port, Table: table, Full: true}}
}

// add takes a batch, which stays the caller's.
func (s *rowStage) add(ctx context.Context, b arrow.RecordBatch) error {
	b.Retain()
	s.held, s.rows = append(s.held, b), s.rows+b.NumRows()
	for _, c := range b.Columns() {
		s.bytes += int64(c.Data().SizeInBytes())
	}
	if s.rows < chunkRows && s.bytes < chunkBytes {
		return nil
	}
	return s.flush(ctx)
}

// end gives what was staged: one file at least, which has the columns.
func (s *rowStage) end(ctx context.Context) (store.Staged, error) {
	if s.rows > 0 || len(s.out.Files) == 0 {
		if err := s.flush(ctx); err != nil {
			return s.out, err
		}
	}
	return s.out, nil
}

func (s *rowStage) flush(ctx context.Context) error {
	file := filepath.Join(s.l.stage, fmt.Sprintf("%s-%s-%d.parquet", s.out.Port, s.out.Table, len(s.out.Files)))
	_, err := s.l.session.Exec(ctx, engine.Statement{
		SQL:     engine.CopyParquet(s.sql, file),
		Sources: []engine.Source{{Name: "upstream", Schema: s.schema, Batches: s.held}},
	})
	s.out.Rows += s.rows
	s.out.Files = append(s.out.Files, file)
	s.drop()
	return err
}

// drop gives up what is held.
func (s *rowStage) drop() {
	for _, b := range s.held {
		b.Release()
	}
	s.held, s.rows, s.bytes = nil, 0, 0
}
