package store

import (
	"context"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/sign"
)

// change is what one commit does to one table, ready for the tables: from a
// candidate, or read back from the journal.
type change struct {
	info     weft.TableChange
	schema   *arrow.Schema
	schemaID weft.Hash
	message  []byte // the schema's Arrow message
	keys     []int
	rows     []rowsIn
	batches  []arrow.RecordBatch // as they stand in blocks, with _op for a merge
	staged   string              // where a bulk file still is
}

// Append makes c one commit: durable when it returns, visible to snapshots
// taken after. Where it fails nothing of c is kept and its staged files are
// where they were, but for a disk that fails twice in a row. Calls wait for
// each other.
func (s *Store) Append(ctx context.Context, c Candidate) (weft.Commit, error) {
	s.writer.Lock()
	defer s.writer.Unlock()
	head, err := s.writable(c)
	if err != nil {
		return weft.Commit{}, err
	}
	changes, err := s.prepare(head, c)
	if err != nil {
		return weft.Commit{}, err
	}
	if err := s.reopenJournal(head); err != nil {
		return weft.Commit{}, err
	}
	moved, err := s.moveIn(ctx, head.Seq+1, changes)
	if err == nil {
		err = ctx.Err()
	}
	var commit weft.Commit
	if err == nil {
		commit, err = s.writeCommit(head, c, changes)
	}
	if err != nil {
		// A commit that a crash could bring back keeps its files.
		if !s.journal.uncut {
			s.moveBack(moved)
		}
		return weft.Commit{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applyLocked(commit.Seq, changes)
	s.head = commit
	close(s.moved)
	s.moved = make(chan struct{})
	if s.closed {
		close(s.moved)
	}
	s.tellDue()
	return commit, nil
}

// writable says whether c may be committed now and on what.
func (s *Store) writable(c Candidate) (weft.Commit, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return weft.Commit{}, closedError()
	}
	if c.Expect != nil && *c.Expect != s.head.Seq {
		return weft.Commit{}, weft.Errorf(weft.KindConflict, "commit", s.cfg.Product.String(), "the candidate was made from %s, the head is %s by now", *c.Expect, s.head.Seq).
			WithHint("make the candidate again from the head")
	}
	return s.head, nil
}

// reopenJournal brings back a journal that closed itself and starts a new
// segment where there is none or the last one is full.
func (s *Store) reopenJournal(head weft.Commit) error {
	j := s.journal
	if j.broken != nil {
		return j.recover(head)
	}
	if a := j.active(); a == nil || a.end >= j.max {
		return j.rotate(head)
	}
	return nil
}

// prepare checks a candidate against the tables and makes its changes.
func (s *Store) prepare(head weft.Commit, c Candidate) ([]*change, error) {
	var changes []*change
	for i, td := range c.Tables {
		if td.Table == "" {
			return nil, invalid("", "a change names no table")
		}
		if slices.ContainsFunc(c.Tables[:i], func(o TableData) bool { return o.Table == td.Table }) {
			return nil, invalid(td.Table, "it is changed twice in one commit")
		}
		ch, err := s.prepareTable(head.Seq+1, td)
		if err != nil {
			return nil, err
		}
		changes = append(changes, ch)
	}
	return changes, nil
}

func (s *Store) prepareTable(seq weft.Seq, td TableData) (*change, error) {
	ch := &change{info: weft.TableChange{Table: td.Table, Hidden: td.Hidden, Op: td.Op, Key: td.Key}, staged: td.File}
	var err error
	if ch.schema, err = normalSchema(td.Schema); err != nil {
		return nil, invalid(td.Table, "%v", err)
	}
	if ch.keys, err = keyColumns(ch.schema, td.Key); err != nil {
		return nil, invalid(td.Table, "%v", err)
	}
	if ch.message, err = encodeSchema(ch.schema); err != nil {
		return nil, invalid(td.Table, "%v", err)
	}
	ch.schemaID = sign.Digest(ch.message)
	ch.info.Schema = ch.schemaID
	if td.File != "" && len(td.Batches) > 0 {
		return nil, invalid(td.Table, "the change has both batches and a file")
	}
	before, err := s.fits(td, ch)
	if err != nil {
		return nil, err
	}
	if td.File != "" {
		err = s.prepareFile(td, ch)
	} else {
		err = ch.prepareBatches(td)
	}
	if err != nil {
		return nil, err
	}
	ch.info.Rows = before + ch.info.Inserted - ch.info.Deleted
	if td.Op == weft.OpReplace {
		ch.info.Rows = ch.info.Inserted
	}
	if ch.info.Rows < 0 {
		return nil, invalid(td.Table, "it deletes %d rows of %d", ch.info.Deleted, before)
	}
	return ch, nil
}

// fits says whether a change suits what the table is, and how many rows it has.
func (s *Store) fits(td TableData, ch *change) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch td.Op {
	case weft.OpAppend, weft.OpReplace:
	case weft.OpMerge:
		if len(td.Key) == 0 {
			return 0, invalid(td.Table, "a table without a key takes append and replace only")
		}
	default:
		return 0, invalid(td.Table, "%q is no way to change a table", td.Op)
	}
	t := s.tables[td.Table]
	if t == nil || td.Op == weft.OpReplace {
		return 0, nil
	}
	h := t.head()
	if err := sameColumns(h.schema, ch.schema); err != nil || h.schemaID != ch.schemaID {
		e := invalid(td.Table, "the change has other columns than the table")
		if err != nil {
			e = invalid(td.Table, "the change has other columns than the table: %v", err)
		}
		return 0, e.WithHint("commit the whole table with its new columns (replace)")
	}
	if !slices.Equal(h.key, td.Key) {
		return 0, invalid(td.Table, "the change has another key than the table").WithHint("commit the whole table with its new key (replace)")
	}
	return t.rows, nil
}

// prepareBatches checks the rows of a change and encodes their keys.
func (ch *change) prepareBatches(td TableData) error {
	want := ch.schema
	if td.Op == weft.OpMerge {
		want = withOp(ch.schema)
	}
	check := newRowCheck(ch, td)
	for _, b := range td.Batches {
		if err := sameColumns(want, b.Schema()); err != nil {
			return invalid(td.Table, "a batch does not fit: %v", err)
		}
		b = conform(want, b)
		for _, part := range splitRecord(b) {
			in, err := check.rows(part)
			if err != nil {
				return err
			}
			ch.batches = append(ch.batches, part)
			ch.rows = append(ch.rows, in)
		}
	}
	return check.end()
}

// The largest block, so that a reader never needs much memory for one.
const (
	maxBlockRows  = 64 << 10
	maxBlockBytes = 32 << 20
)

// splitRecord cuts a batch into blocks; none for no rows.
func splitRecord(b arrow.RecordBatch) []arrow.RecordBatch {
	n := b.NumRows()
	if n == 0 {
		return nil
	}
	per := int64(maxBlockRows)
	if size := int64(recordSize(b)); size > maxBlockBytes {
		per = max(1, min(per, n*maxBlockBytes/size))
	}
	if n <= per {
		return []arrow.RecordBatch{b}
	}
	var out []arrow.RecordBatch
	for at := int64(0); at < n; at += per {
		out = append(out, b.NewSlice(at, min(at+per, n)))
	}
	return out
}

// writeCommit writes the frames of a commit and waits until they are durable.
func (s *Store) writeCommit(head weft.Commit, c Candidate, changes []*change) (weft.Commit, error) {
	j := s.journal
	commit := weft.Commit{Header: weft.Header{
		ID: j.id, Product: j.product, Incarnation: j.inc, Seq: head.Seq + 1,
		Time: s.nextTime(head), Previous: head.Hash, Cause: c.Cause, Contract: c.Contract, Folder: c.Folder,
		Revision: c.Revision, Positions: c.Positions, Verdict: c.Verdict,
	}}
	seg := j.active()
	var frames []byte
	var schemas []weft.Hash
	var written []frame
	for _, ch := range changes {
		if !j.schemas[ch.schemaID] && !slices.Contains(schemas, ch.schemaID) {
			frames = appendFrame(frames, frameSchema, ch.message)
			schemas = append(schemas, ch.schemaID)
			written = append(written, frame{Kind: frameSchema, Payload: ch.message})
		}
		for i, b := range ch.batches {
			payload, digest, err := encodeBlock(ch.schemaID, b)
			if err != nil {
				return weft.Commit{}, invalid(ch.info.Table, "the rows cannot be written: %v", err)
			}
			if len(payload) > maxFrame {
				return weft.Commit{}, weft.Errorf(weft.KindLimit, "commit table", ch.info.Table, "one row is larger than %d MB", maxFrame>>20)
			}
			frames = appendFrame(frames, frameBlock, payload)
			ch.info.Blocks = append(ch.info.Blocks, digest)
			// The tail keeps the bytes that were written, not the caller's memory.
			rec, err := ch.decode(payload)
			if err == nil {
				ch.rows[i], err = ch.tailRows(rec, ch.rows[i])
			}
			if err != nil {
				return weft.Commit{}, weft.Errorf(weft.KindInternal, "commit table", ch.info.Table, "%w", err)
			}
		}
		commit.Tables = append(commit.Tables, ch.info)
	}
	header, err := sign.Canonical(commit.Header)
	if err != nil {
		return weft.Commit{}, err
	}
	if len(header) > maxHeader {
		return weft.Commit{}, weft.Errorf(weft.KindLimit, "commit", s.cfg.Product.String(), "the commit's header has %d bytes, at most %d are kept", len(header), maxHeader)
	}
	commit.Hash = sign.Digest(header)
	at := seg.end + int64(len(frames))
	frames = appendFrame(frames, frameHeader, header)
	sc := scanned{header: commit.Header, hash: commit.Hash, start: seg.end, at: at, end: seg.end + int64(len(frames)), frames: written}
	if err := j.write(frames, sc); err != nil {
		return weft.Commit{}, err
	}
	for _, h := range schemas {
		j.schemas[h] = true
	}
	return commit, nil
}

// maxHeader bounds what a commit says of itself.
const maxHeader = 16 << 20

// decode reads a block as it was written.
func (ch *change) decode(payload []byte) (arrow.RecordBatch, error) {
	message := ch.message
	if ch.info.Op == weft.OpMerge {
		var err error
		if message, err = encodeSchema(withOp(ch.schema)); err != nil {
			return nil, err
		}
	}
	return decodeBlock(message, payload)
}

// nextTime is the commit time: the clock's, but always after the commit before.
func (s *Store) nextTime(head weft.Commit) time.Time {
	now := s.cfg.Env.Clock.Now().UTC().Truncate(time.Microsecond)
	if least := head.Time.Add(time.Microsecond); head.Seq > 0 && now.Before(least) {
		return least
	}
	return now
}

// apply puts the changes of a commit into the tables.
func (s *Store) apply(seq weft.Seq, changes []*change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applyLocked(seq, changes)
}

func (s *Store) applyLocked(seq weft.Seq, changes []*change) {
	for _, ch := range changes {
		t := s.tables[ch.info.Table]
		if t == nil {
			t = &table{name: ch.info.Table}
			s.tables[t.name] = t
			s.order = append(s.order, t.name)
		}
		t.hidden, t.rows = ch.info.Hidden, ch.info.Rows
		if len(t.spans) == 0 || ch.info.Op == weft.OpReplace {
			sp := &span{from: seq, schema: ch.schema, schemaID: ch.schemaID, key: ch.info.Key, keys: ch.keys}
			t.spans = append(slices.Clip(t.spans), sp)
		}
		sp := t.head()
		for _, in := range ch.rows {
			sp.openTail().add(seq, in, ch.info.Op == weft.OpMerge)
		}
		for _, f := range ch.info.Files {
			d := &dataFile{Name: f.Name, Form: formRows, First: seq, Last: seq, Rows: f.Rows, Bytes: f.Bytes, Hash: f.Hash}
			if ch.info.Op == weft.OpMerge {
				d.Form, d.Merges = formMerge, seq
			}
			sp.addFile(d)
		}
	}
}
