package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/serve"
	"weft/store"
)

// Bounds of what another node says of a product.
const (
	maxFarState   = 8 << 20 // bytes
	maxFarTables  = 1000
	maxFarColumns = 10_000 // of one table
	maxFarText    = 300    // characters of an error
)

// lookFar finds the state of a product of another node that is to be read. Where its
// head is the one that was read, and nobody asks for more, the node is not asked.
func (l *load) lookFar(ctx context.Context, x *input, was weft.Point) error {
	x.point = was
	if h := x.far.head; h != nil && h.Hash == was.Hash && was.Hash != (weft.Hash{}) && !l.req.asked {
		return nil
	}
	if err := l.askState(ctx, x); err != nil {
		return err
	}
	x.moved = was.Hash != x.point.Hash
	return nil
}

// askState asks the product's node what there is to be read now. Where that is away, and
// the product is made anew whatever it says, it is what the copy here has, if there is
// one that may be used.
func (l *load) askState(ctx context.Context, x *input) error {
	st, err := l.farState(ctx, x)
	if away := (*farAway)(nil); errors.As(err, &away) && l.runs && ctx.Err() == nil {
		if kept, note := l.keptState(ctx, x); kept != nil {
			l.p.lose(x.far.name)
			l.notes = append(l.notes, note)
			st, err = kept, nil
		}
	}
	if err != nil {
		return l.farFault(ctx, x, err)
	}
	x.state, x.point = st, st.Point
	return nil
}

func (l *load) farState(ctx context.Context, x *input) (_ *farState, err error) {
	ctx, watch := l.p.node.startPace(ctx)
	defer watch.end()
	defer func() { err = watch.why(err) }()
	body, err := l.askFar(ctx, watch, x, "", nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	b, err := io.ReadAll(io.LimitReader(body, maxFarState+1))
	if err != nil {
		return nil, engine.ErrNotWhole
	}
	var st farState
	if len(b) > maxFarState || json.Unmarshal(b, &st) != nil {
		return nil, errors.New("what it says of the product cannot be read")
	}
	return &st, st.check(x.far)
}

// check holds what a node says against the product's signed card and head.
func (st *farState) check(far *foreign) error {
	p := st.Point
	switch {
	case p.Product != far.name || p.ID != far.id || p.Seq == 0 || p.Hash == (weft.Hash{}):
		return errors.New("it says something of another product")
	case len(st.Tables) == 0 || len(st.Tables) > maxFarTables:
		return fmt.Errorf("it says that the product has %d tables", len(st.Tables))
	}
	if h := far.head; h != nil && h.ID == p.ID && h.Incarnation == p.Incarnation && h.Seq == p.Seq && h.Hash != p.Hash {
		return fmt.Errorf("its commit %s is not the one that its signed head names", p.Seq)
	}
	tables := map[string]bool{}
	for _, t := range st.Tables {
		if weft.CheckName(t.Name) != nil || tables[t.Name] || t.Rows < 0 || len(t.Columns) == 0 || len(t.Columns) > maxFarColumns {
			return errors.New("it says that the product has a table that none can have")
		}
		tables[t.Name] = true
		cols := map[string]bool{}
		for _, c := range t.Columns {
			name := strings.ToLower(c.Name)
			if name == "" || len(name) > 1000 || strings.ContainsRune(name, 0) || cols[name] {
				return fmt.Errorf("it says that table %s has a column that none can have", t.Name)
			}
			cols[name] = true
		}
	}
	return nil
}

// readFar stages all tables of a product of another node, at one point.
func (l *load) readFar(ctx context.Context, x *input) error {
	if x.state == nil {
		if err := l.askState(ctx, x); err != nil {
			return err
		}
	}
	if w := x.state.Withheld; w != nil {
		if err := l.leaveOut(x, problemOf(w)); err != nil {
			return err
		}
	}
	if held := l.awaitCopy(ctx, x); held != nil {
		defer held.Release()
		return l.readCopy(ctx, x, held.Store)
	}
	for _, t := range x.state.Tables {
		s, err := l.pullTable(ctx, x, t)
		if err != nil {
			return l.farFault(ctx, x, err)
		}
		l.took(x, s)
	}
	return l.setPosition(x.port.Name, x.point)
}

// pullTable stages a table as its node sends it. Nothing of it is used before all of
// it has come and was checked.
func (l *load) pullTable(ctx context.Context, x *input, t farTable) (out store.Staged, err error) {
	ctx, watch := l.p.node.startPace(ctx)
	defer watch.end()
	defer func() { err = watch.why(err) }()
	body, err := l.askFar(ctx, watch, x, "/tables/"+t.Name, url.Values{
		"seq": {strconv.FormatUint(uint64(x.point.Seq), 10)}, "incarnation": {strconv.FormatUint(uint64(x.point.Incarnation), 10)},
		"hash": {x.point.Hash.String()},
	})
	if err != nil {
		return out, err
	}
	defer func() { _ = body.Close() }()
	rows, err := engine.NewRowReader(body)
	if err != nil {
		return out, err
	}
	if err := t.fits(rows.Schema()); err != nil {
		return out, err
	}
	to := l.newRowStage(x.port.Name, t.Name, rows.Schema())
	defer to.drop()
	n, err := l.stageFar(ctx, watch, rows, t, to)
	if err != nil {
		return out, err
	}
	var end farEnd
	if err := rows.End(&end); err != nil {
		return out, engine.ErrNotWhole
	}
	switch {
	case end.Fault != nil:
		return out, problemOf(end.Fault)
	case end.Rows != n || n != t.Rows:
		return out, fmt.Errorf("%d rows of table %s come, and it says that there are %d", n, t.Name, t.Rows)
	case end.Point.Hash != x.point.Hash || end.Point.Seq != x.point.Seq:
		return out, errors.New("the rows are those of another commit")
	}
	watch.hold()
	if out, err = to.end(ctx); err != nil {
		err = &ownFault{err}
	}
	return out, err
}

// stageFar stages the rows that come, and no more than were said.
func (l *load) stageFar(ctx context.Context, watch *pacing, rows *engine.RowReader, t farTable, to *rowStage) (n int64, err error) {
	for {
		b, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if n += b.NumRows(); n > t.Rows {
			b.Release()
			return n, fmt.Errorf("more than the %d rows come that it says table %s has", t.Rows, t.Name)
		}
		watch.hold() // while this side is busy, the other is not late
		if err = l.p.node.room("read", to.out.Port); err == nil {
			err = to.add(ctx, b)
		}
		watch.resume()
		b.Release()
		if err != nil {
			return n, &ownFault{err}
		}
	}
}

// fits holds the columns that come against those that were said.
func (t farTable) fits(sc *arrow.Schema) error {
	if sc.NumFields() != len(t.Columns) {
		return fmt.Errorf("table %s comes with %d columns, and it says that it has %d", t.Name, sc.NumFields(), len(t.Columns))
	}
	for i, f := range sc.Fields() {
		typ, err := contract.FromField(f)
		if err != nil {
			return err
		}
		if c := t.Columns[i]; f.Name != c.Name || typ.String() != c.Type {
			return fmt.Errorf("column %d of table %s is %s, and it says that it is another", i+1, t.Name, typ)
		}
	}
	return nil
}

// askFar asks the product's node for something of it.
func (l *load) askFar(ctx context.Context, watch *pacing, x *input, path string, q url.Values) (io.ReadCloser, error) {
	if q == nil {
		q = url.Values{}
	}
	q.Set("for", l.folder.Name.String())
	u := url.URL{Scheme: "http", Host: "peer", Path: peerPrefix + "/products/" + x.far.name.String() + path, RawQuery: q.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	res, err := l.p.node.far.client(x.far.origin).Do(req)
	if err != nil {
		return nil, &farAway{err}
	}
	if res.StatusCode == http.StatusOK {
		return &pacedBody{ReadCloser: res.Body, watch: watch}, nil
	}
	defer func() { _ = res.Body.Close() }()
	p := &serve.Problem{Status: res.StatusCode, Title: http.StatusText(res.StatusCode)}
	if kind, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err == nil && kind == serve.ProblemType {
		_ = json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(p) // without it, the status says what it can
	}
	return nil, problemOf(p)
}

// farAway is an error of the way to a node, not of what it says.
type farAway struct{ error }

func (e *farAway) Unwrap() error { return e.error }

// farDenial is a denial by another node: the load is refused, as by one here.
type farDenial struct{ error }

func (e *farDenial) Unwrap() error        { return e.error }
func (e *farDenial) Is(target error) bool { return target == errNotReader }

// ownFault is an error of this side, not of what comes.
type ownFault struct{ error }

// problemOf is an error that another node gives, in words that fit on a screen.
func problemOf(p *serve.Problem) error {
	e := p.Err()
	e.Op, e.Subject, e.Message, e.Hint = farText(e.Op), farText(e.Subject), farText(e.Message), farText(e.Hint)
	return e
}

// farText is text of another node: short, and on one line.
func farText(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if r := []rune(s); len(r) > maxFarText {
		return string(r[:maxFarText]) + "…"
	}
	return s
}

// farFault says what went wrong with a product of another node, and what to do. What
// was published before stays.
func (l *load) farFault(ctx context.Context, x *input, err error) error {
	const op = "read the input"
	var known *weft.Error
	var away *farAway
	var own *ownFault
	name, node := x.far.name, x.far.origin.Short()
	switch {
	case errors.As(err, &own):
		return own.error
	case errors.Is(err, errSlowPeer):
		err = weft.Errorf(weft.KindUnavailable, op, x.port.Name, "node %s, which holds %s, does not go on with its answer", node, name).
			WithHint("weft peers shows the nodes; it is tried again by itself")
	case ctx.Err() != nil:
		return &weft.Error{Op: op, Subject: x.port.Name, Kind: weft.KindCancelled, Cause: ctx.Err()}
	case errors.As(err, &away):
		err = weft.Errorf(weft.KindUnavailable, op, x.port.Name, "node %s, which holds %s, cannot be reached: %w", node, name, away.error).
			WithHint("weft peers shows when it was seen; it is tried again by itself")
	case errors.Is(err, engine.ErrNotWhole):
		err = weft.Errorf(weft.KindUnavailable, op, x.port.Name, "node %s broke off while it sent %s", node, name).
			WithHint("weft peers shows the nodes; it is tried again by itself")
	case errors.As(err, &known) && known.Kind == weft.KindDenied:
		err = weft.Errorf(weft.KindDenied, op, x.port.Name, "node %s gives nothing of %s: %w", node, name, &farDenial{err}).
			WithHint("%s", or(known.Hint, fmt.Sprintf("ask the owner of %s to name domain %s in weftReaders", name, l.folder.Name.Domain)))
	case errors.As(err, &known):
		err = &weft.Error{Op: op, Subject: x.port.Name, Kind: known.Kind, Cause: err, Hint: or(known.Hint, "weft show "+name.String())}
	default:
		err = weft.Errorf(weft.KindCorrupt, op, x.port.Name, "node %s sends of %s what cannot be: %w", node, name, err).
			WithHint("nothing of it was taken; tell the owner of %s: weft show %s", name, name)
	}
	if weft.KindOf(err) != weft.KindDenied { // it is there, and says no
		l.p.lose(name)
	}
	return err
}
