package store

import (
	"context"
	"errors"
	"fmt"
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
	// blockMessage is that of the blocks, which have _op for a merge; nil until it
	// is asked for.
	blockMessage []byte
	keys         []int
	rows         []rowsIn
	batches      []arrow.RecordBatch // as they stand in blocks, with _op for a merge
	staged       string              // where a bulk file still is
}

// Append makes c one commit: durable when it returns, visible to snapshots
// taken after. Where it fails nothing of c is kept and its staged files are
// where they were, but for a disk that fails twice in a row. Calls wait for
// each other.
func (s *Store) Append(ctx context.Context, c Candidate) (done weft.Commit, failed error) {
	defer s.committed(ctx, time.Now(), &done, &failed)
	if err := s.makeRoom(ctx); err != nil {
		return weft.Commit{}, err
	}
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
		err = s.ended(ctx, "commit")
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
	s.trust(moved)
	s.stands(commit, changes)
	return commit, nil
}

// stands makes a commit that is durable the head, and tells who waits for one.
func (s *Store) stands(c weft.Commit, changes []*change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applyLocked(c.Seq, changes)
	s.head = c
	close(s.moved)
	s.moved = make(chan struct{})
	if s.closed {
		close(s.moved)
	}
	s.tellDue()
}

// writable says whether c may be committed now and on what.
func (s *Store) writable(c Candidate) (weft.Commit, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return weft.Commit{}, closedError()
	}
	if s.man.Copy {
		return weft.Commit{}, weft.Errorf(weft.KindConflict, "commit", s.cfg.Product.String(), "the folder is a copy of another node's product")
	}
	if err := s.ReadOnly(); err != nil {
		return weft.Commit{}, err
	}
	if c.Expect != nil && *c.Expect != s.head.Seq {
		return weft.Commit{}, weft.Errorf(weft.KindConflict, "commit", s.cfg.Product.String(), "the candidate was made from %s, the head is %s by now", *c.Expect, s.head.Seq).
			WithHint("make the candidate again from the head")
	}
	return s.head, nil
}

// ended is the error of a context that has ended; nil where it has not.
func (s *Store) ended(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return weft.Errorf(weft.KindCancelled, op, s.cfg.Product.String(), "%w", err)
	}
	return nil
}

// reopenJournal brings back a journal that closed itself and starts a new
// segment where there is none or the last one is full.
func (s *Store) reopenJournal(head weft.Commit) error {
	j := s.journal
	if j.broken != nil {
		return j.recover(head)
	}
	if a := j.active(); a == nil || a.end >= j.max || a.version < formatVersion || !j.owns(a.info) {
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
	sh, err := s.shapeOf(td)
	if err != nil {
		return nil, invalid(td.Table, "%v", err).WithHint("commit the whole table with its new columns (replace)")
	}
	if ch.keys, err = keyColumns(sh.schema, td.Key); err != nil {
		return nil, invalid(td.Table, "%v", err)
	}
	ch.schema, ch.schemaID, ch.message, ch.blockMessage = sh.schema, sh.id, sh.message, sh.message
	if td.Op == weft.OpMerge {
		ch.blockMessage = sh.mergeMessage
	}
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
		err = ch.prepareBatches(td, sh)
	}
	if err != nil {
		return nil, err
	}
	if td.Op == weft.OpReplace {
		if err := ch.replaced(td, before); err != nil {
			return nil, err
		}
		return ch, nil
	}
	ch.info.Rows = before + ch.info.Inserted - ch.info.Deleted
	if ch.info.Rows < 0 {
		return nil, invalid(td.Table, "it deletes %d rows of %d", ch.info.Deleted, before)
	}
	return ch, nil
}

// shape is a table's schema in all the forms that a commit needs.
type shape struct {
	given        *arrow.Schema // by the candidate
	schema       *arrow.Schema
	id           weft.Hash
	message      []byte
	merge        *arrow.Schema // of the blocks of a merge
	mergeMessage []byte
}

// shapeOf works out a candidate's shape, or takes that of the table's commit
// before where the schema is the same. The writer lock must be held.
func (s *Store) shapeOf(td TableData) (*shape, error) {
	have, ids := s.columnsNow(td.Table)
	if sh := s.shapes[td.Table]; sh != nil && td.Schema != nil && sh.schema == have && sh.given.Equal(td.Schema) {
		return sh, nil
	}
	schema, err := normalSchema(td.Schema)
	if err != nil {
		return nil, err
	}
	if schema, err = withDefaults(schema, td.Defaults); err != nil {
		return nil, err
	}
	switch {
	case have == nil || td.Op == weft.OpReplace:
		schema = number(have, schema, ids, td.Renamed)
	default:
		if schema, err = evolve(have, schema, ids, td.Key, td.Renamed); err != nil {
			return nil, fmt.Errorf("the change has other columns than the table: %w", err)
		}
	}
	sh := &shape{given: td.Schema, schema: schema, merge: withOp(schema)}
	if sh.message, err = encodeSchema(schema); err != nil {
		return nil, err
	}
	if sh.mergeMessage, err = encodeSchema(sh.merge); err != nil {
		return nil, err
	}
	sh.id = sign.Digest(sh.message)
	s.shapes[td.Table] = sh
	return sh, nil
}

// columnsNow is the columns of a table at the head and the highest id that one
// was given; nil where there is no such table.
func (s *Store) columnsNow(table string) (*arrow.Schema, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tables[table]
	if t == nil || t.head() == nil {
		return nil, 0
	}
	return t.head().last().schema, t.ids
}

// withDefaults notes what rows from before a column have in it.
func withDefaults(s *arrow.Schema, defaults map[string]string) (*arrow.Schema, error) {
	if len(defaults) == 0 {
		return s, nil
	}
	fields := slices.Clone(s.Fields())
	for name, v := range defaults {
		at := s.FieldIndices(name)
		if len(at) != 1 {
			return nil, fmt.Errorf("column %q, which a default is given for, is not there", name)
		}
		fields[at[0]] = withDefault(fields[at[0]], v)
	}
	return arrow.NewSchema(fields, nil), nil
}

// replaced counts the rows of a replacement: by how they differ from those
// before, where the candidate has worked that out, else all as inserted.
func (ch *change) replaced(td TableData, before int64) error {
	ch.info.Rows = ch.info.Inserted
	if td.File == "" || td.Updated == 0 && td.Deleted == 0 && (td.Inserted == 0 || td.Inserted == ch.info.Rows) {
		return nil
	}
	if n := before + td.Inserted - td.Deleted; n != ch.info.Rows {
		return invalid(td.Table, "%d rows before, %d new and %d gone do not make the %d rows of the staged file", before, td.Inserted, td.Deleted, ch.info.Rows)
	}
	ch.info.Inserted, ch.info.Updated, ch.info.Deleted = td.Inserted, td.Updated, td.Deleted
	return nil
}

// fits says whether a change suits what the table is, and how many rows it has.
func (s *Store) fits(td TableData, ch *change) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch td.Op {
	case weft.OpAppend, weft.OpReplace:
	case weft.OpColumns:
		if td.File != "" || len(td.Batches) > 0 || s.tables[td.Table] == nil {
			return 0, invalid(td.Table, "a change of columns has no rows and is of a table that is there")
		}
	case weft.OpMerge:
		if len(td.Key) == 0 {
			return 0, invalid(td.Table, "a table without a key takes append and replace only")
		}
	default:
		return 0, invalid(td.Table, "%q is no way to change a table", td.Op)
	}
	t := s.tables[td.Table]
	if t == nil {
		return 0, nil
	}
	if td.Op == weft.OpReplace {
		return t.rows, nil
	}
	h := t.head()
	if td.Op == weft.OpColumns && h.last().id == ch.schemaID {
		return 0, invalid(td.Table, "the table has these columns already")
	}
	if !slices.Equal(h.key, td.Key) {
		return 0, invalid(td.Table, "the change has another key than the table").WithHint("commit the whole table with its new key (replace)")
	}
	return t.rows, nil
}

// prepareBatches checks the rows of a change and encodes their keys.
func (ch *change) prepareBatches(td TableData, sh *shape) error {
	want := sh.schema
	if td.Op == weft.OpMerge {
		want = sh.merge
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
		Revision: c.Revision, Positions: c.Positions, Verdict: c.Verdict, From: j.from(head),
	}}
	frames, schemas, err := s.encodeChanges(changes)
	if err != nil {
		return weft.Commit{}, err
	}
	for _, ch := range changes {
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
	seg := j.active()
	at := seg.end + int64(len(frames.bytes))
	start := frames.begin()
	frames.bytes = append(frames.bytes, header...)
	frames.end(start, frameHeader)
	sc := scanned{header: commit.Header, hash: commit.Hash, start: seg.end, at: at, end: seg.end + int64(len(frames.bytes)), frames: schemas}
	if s.behind() {
		go s.catchUp() // while the disk works
	}
	if err := j.write(frames.bytes, sc); err != nil {
		return weft.Commit{}, err
	}
	for _, f := range schemas {
		j.schemas[sign.Digest(f.Payload)] = true
	}
	return commit, nil
}

// encodeChanges makes the frames of the changes: the schemas that the segment
// does not hold yet, which it returns too, and the blocks. The tail is to keep
// these very bytes, not the caller's memory.
func (s *Store) encodeChanges(changes []*change) (*frameBuffer, []frame, error) {
	size := 16 << 10
	for _, ch := range changes {
		for _, b := range ch.batches {
			size += recordSize(b) + 4<<10
		}
	}
	// A slice says the size of all that it was cut from.
	out := &frameBuffer{bytes: make([]byte, 0, min(size, 4<<20))}
	var schemas []frame
	var known []weft.Hash
	payloads := make([][][2]int, len(changes))
	for k, ch := range changes {
		if !s.journal.schemas[ch.schemaID] && !slices.Contains(known, ch.schemaID) {
			out.bytes = appendFrame(out.bytes, frameSchema, ch.message)
			known = append(known, ch.schemaID)
			schemas = append(schemas, frame{Kind: frameSchema, Payload: ch.message})
		}
		for _, b := range ch.batches {
			from, to, err := writeBlock(out, ch.schemaID, b)
			if errors.Is(err, errTooLong) {
				return nil, nil, weft.Errorf(weft.KindLimit, "commit table", ch.info.Table, "one row is larger than %d MB", maxFrame>>20)
			}
			if err != nil {
				return nil, nil, invalid(ch.info.Table, "the rows cannot be written: %v", err)
			}
			payloads[k] = append(payloads[k], [2]int{from, to})
		}
	}
	for k, ch := range changes { // not before: out may have moved as it grew
		for i, p := range payloads[k] {
			if err := ch.keepRows(i, out.bytes[p[0]:p[1]:p[1]]); err != nil {
				return nil, nil, weft.Errorf(weft.KindInternal, "commit table", ch.info.Table, "%w", err)
			}
		}
	}
	return out, schemas, nil
}

// keepRows makes the written block i what the tail is going to hold.
func (ch *change) keepRows(i int, payload []byte) error {
	ch.info.Blocks = append(ch.info.Blocks, sign.Digest(payload))
	rec, err := ch.decode(payload)
	if err != nil {
		return err
	}
	ch.rows[i], err = ch.tailRows(rec, ch.rows[i])
	return err
}

// maxHeader bounds what a commit says of itself.
const maxHeader = 16 << 20

// decode reads a block as it was written.
func (ch *change) decode(payload []byte) (arrow.RecordBatch, error) {
	if ch.blockMessage == nil {
		ch.blockMessage = ch.message
		if ch.info.Op == weft.OpMerge {
			var err error
			if ch.blockMessage, err = encodeSchema(withOp(ch.schema)); err != nil {
				return nil, err
			}
		}
	}
	return decodeBlock(ch.blockMessage, payload)
}

// maxBehind is how many rows a tail's keys may lag behind its rows: less is not
// worth another thread, more a reader would notice.
const maxBehind = 8 << 10

// behind reports whether there is something for catchUp to do.
func (s *Store) behind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, t := range s.tables {
		if l := t.lastTail(); l != nil {
			n += l.rows - len(l.seqTo)
		}
	}
	return n > maxBehind
}

// catchUp brings the tails up to the commits before.
func (s *Store) catchUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tables {
		if l := t.lastTail(); l != nil {
			l.catchUp()
		}
	}
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
		t.hidden, t.rows, t.ids = ch.info.Hidden, ch.info.Rows, max(t.ids, lastID(ch.schema))
		e := edition{from: seq, schema: ch.schema, id: ch.schemaID, keys: ch.keys}
		switch sp := t.head(); {
		case sp == nil || ch.info.Op == weft.OpReplace:
			t.spans = append(slices.Clip(t.spans), &span{from: seq, editions: []edition{e}, key: ch.info.Key})
		case sp.last().id != ch.schemaID:
			sp.evolve(e)
		}
		sp := t.head()
		for _, in := range ch.rows {
			sp.openTail().add(seq, in, ch.info.Op == weft.OpMerge)
		}
		for _, f := range ch.info.Files {
			d := &dataFile{Name: f.Name, Form: formRows, First: seq, Last: seq, Rows: f.Rows, Bytes: f.Bytes, Hash: f.Hash, schema: sp.last().schema}
			if ch.info.Op == weft.OpMerge {
				d.Form, d.Merges = formMerge, seq
			}
			sp.addFile(d)
		}
	}
}
