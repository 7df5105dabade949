package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/engine"
	"weft/serve"
	"weft/store"
)

// History gives the commits of a product, newest first; one that is damaged is
// named and takes no other with it. Of what the subject may not read nothing is in
// them but that it changed.
func (n *Node) History(ctx context.Context, s weft.Subject, name weft.Name, before weft.Seq, limit int) ([]serve.CommitInfo, error) {
	p, err := n.seenBy(s, name)
	if err != nil {
		return nil, err
	}
	if err := p.deny(s, ""); err != nil {
		return nil, err
	}
	release, err := p.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	out := []serve.CommitInfo{}
	if head := p.store.Head().Seq; before == 0 || before > head {
		before = head + 1
		if err := p.store.ReadOnly(); err != nil && head == 0 {
			return nil, err // there were commits, and none can be read
		}
	}
	for len(out) < limit {
		cs, err := p.store.Commits(before, limit-len(out))
		for _, c := range cs {
			out, before = append(out, *commitInfo(p.redacted(s, c))), c.Seq
		}
		if err == nil {
			break
		}
		if weft.KindOf(err) != weft.KindCorrupt || before <= 1 {
			return nil, err
		}
		before--
		out = append(out, damagedCommit(name, before, err))
	}
	for i := range out {
		out[i].Oldest = out[i].Seq == p.store.Oldest()
	}
	return out, nil
}

// redacted is a commit as the subject may see it: to another domain than its own it
// says nothing of the inputs, and brings no evidence of tables that are not for it.
func (p *product) redacted(s weft.Subject, c weft.Commit) weft.Commit {
	if of(s, p.name().Domain) {
		return c
	}
	c.Positions = nil
	c.Tables = slices.DeleteFunc(slices.Clone(c.Tables), func(t weft.TableChange) bool { return t.Hidden })
	if c.Verdict != nil {
		v := *c.Verdict
		v.Checks = slices.DeleteFunc(slices.Clone(v.Checks), func(r weft.CheckResult) bool {
			return strings.Contains(r.Table, ".") || p.deny(s, r.Table) != nil // an input's table has its port before it
		})
		c.Verdict = &v
	}
	return c
}

// damagedCommit stands for a commit of which nothing but the number is known.
func damagedCommit(name weft.Name, seq weft.Seq, err error) serve.CommitInfo {
	var i serve.CommitInfo
	i.Product, i.Seq, i.Damaged = name, seq, err.Error()
	return i
}

// heldLight is how many rows held back are looked through in no time.
const heldLight = 100_000

// Quarantine gives the rows that a product holds back, with the reasons, for its
// owner.
func (n *Node) Quarantine(ctx context.Context, who weft.Subject, name weft.Name, limit int, at weft.At) (*serve.Quarantine, error) {
	p, err := n.ownedBy(who, "look into the quarantine of", name)
	if err != nil {
		return nil, err
	}
	release, err := p.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if at, err = n.fixAt(ctx, who, at); err != nil {
		return nil, err
	}
	seq, err := seqAt(p.store, name, at)
	if err != nil {
		return nil, err
	}
	snap, err := p.store.Snapshot(ctx, seq)
	if err != nil {
		return nil, err
	}
	defer func() { _ = snap.Close() }()
	out := &serve.Quarantine{Product: name, Seq: snap.Point().Seq, Tables: []serve.HeldTable{}}
	r, err := snap.Relation(store.QuarantineTable)
	if weft.KindOf(err) == weft.KindNotFound {
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	lane := engine.LaneLight
	if r.Rows > heldLight {
		lane = engine.LaneHeavy
	}
	s, err := n.pool.Session(ctx, engine.SessionConfig{
		Name: "quarantine", Read: []string{n.cfg.productDir(p.record().ID)}, Memory: n.conf().Memory, Threads: 1,
		Lane: lane, Who: who.Key(),
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	held, err := textRows(ctx, s, engine.Statement{
		SQL: fmt.Sprintf(`SELECT "table", reason, place, "row", count(*) OVER (PARTITION BY "table")::VARCHAR AS n
			FROM (%s) QUALIFY row_number() OVER (PARTITION BY "table" ORDER BY place, reason) <= %d ORDER BY "table", place`, r.SQL, limit),
		Sources: r.Sources,
	})
	if err != nil {
		return nil, err
	}
	for _, h := range held {
		out.Tables = addHeld(out.Tables, h)
	}
	for _, t := range out.Tables {
		out.Held += t.Held
	}
	return out, nil
}

// addHeld adds one quarantined row to its table; the columns are those of the
// rows seen so far.
func addHeld(tables []serve.HeldTable, h []string) []serve.HeldTable {
	if len(tables) == 0 || tables[len(tables)-1].Table != h[0] {
		tables = append(tables, serve.HeldTable{Table: h[0]})
	}
	t := &tables[len(tables)-1]
	_, _ = fmt.Sscan(h[4], &t.Held)
	row := serve.HeldRow{Reasons: strings.Split(h[1], "; "), Place: h[2]}
	names, values := fields(h[3])
	for i, name := range names {
		at := slices.IndexFunc(t.Columns, func(c serve.Column) bool { return c.Name == name })
		if at < 0 {
			at = len(t.Columns)
			t.Columns = append(t.Columns, serve.Column{Name: name, Type: "text"})
		}
		for len(row.Values) <= at {
			row.Values = append(row.Values, json.RawMessage("null"))
		}
		row.Values[at] = values[i]
	}
	t.Rows = append(t.Rows, row)
	return tables
}

// fields reads a JSON object and keeps the order of its keys.
func fields(row string) (names []string, values []json.RawMessage) {
	d := json.NewDecoder(bytes.NewReader([]byte(row)))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		v, _ := json.Marshal(row) // a line that could not be read is text
		return []string{"line"}, []json.RawMessage{v}
	}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			break
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			break
		}
		names, values = append(names, fmt.Sprint(k)), append(values, v)
	}
	return names, values
}

// textRows reads a small answer of text columns.
func textRows(ctx context.Context, s engine.Session, st engine.Statement) ([][]string, error) {
	r, err := s.Query(ctx, st)
	if err != nil {
		return nil, err
	}
	defer r.Release()
	var out [][]string
	for r.Next() {
		out = append(out, texts(r.RecordBatch())...)
	}
	return out, r.Err()
}

func texts(b arrow.RecordBatch) [][]string {
	out := make([][]string, b.NumRows())
	for i := range out {
		for _, c := range b.Columns() {
			v := ""
			if !c.IsNull(i) {
				v = strings.Clone(c.ValueStr(i))
			}
			out[i] = append(out[i], v)
		}
	}
	return out
}

// seqAt finds the commit that at means for one product; 0 is the head.
func seqAt(s *store.Store, name weft.Name, at weft.At) (weft.Seq, error) {
	for _, r := range at.Cut {
		if r.Product == name {
			return r.Seq, nil
		}
	}
	if !at.Time.IsZero() {
		return s.SeqAt(at.Time)
	}
	return 0, nil
}
