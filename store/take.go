package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/engine"
	"weft/sign"
)

// Arrival is one commit as its origin sent it.
type Arrival struct {
	Told    []byte   // as Tell wrote it
	Schemas [][]byte // messages of its tables' columns
	Blocks  [][]byte
	// Files are the files that it names, beside the store's folder, by name. Whoever
	// fetched them has held them against the digests in the header and synced them.
	Files map[string]string
}

// read holds an arrival against itself: the signature, the digests of the blocks,
// their rows.
func (a *Arrival) read() (c weft.Commit, changes []*change, err error) {
	defer func() { err = recovered(err, recover()) }()
	if c, _, err = ReadTold(a.Told); err != nil {
		return c, nil, err
	}
	sc := scanned{header: c.Header, hash: c.Hash}
	for _, b := range a.Schemas {
		if _, err := foreignSchema(b); err != nil {
			return c, nil, a.fault(c, "the columns of a table cannot be read: %v", err)
		}
		sc.frames = append(sc.frames, frame{Kind: frameSchema, Payload: b})
	}
	for _, b := range a.Blocks {
		sc.frames = append(sc.frames, frame{Kind: frameBlock, Payload: b})
	}
	if changes, err = changesHeld(&segment{path: "the feed"}, sc, map[weft.Hash][]byte{}, holdRows); err != nil {
		return c, nil, err
	}
	for _, ch := range changes {
		if err := ch.counts(); err != nil {
			return c, nil, err
		}
	}
	return c, changes, nil
}

func (a *Arrival) fault(c weft.Commit, format string, args ...any) error {
	return weft.Errorf(weft.KindCorrupt, "read the commit", c.Product.String()+c.Seq.String(), format, args...)
}

// holdRows looks at rows that come from elsewhere.
func holdRows(b arrow.RecordBatch) error {
	if b.NumRows() == 0 || b.NumRows() > maxBlockRows {
		return fmt.Errorf("a block of %d rows", b.NumRows())
	}
	return engine.CheckRows(b)
}

// counts holds what the header counts of a table's change against its rows.
func (ch *change) counts() error {
	info := ch.info
	if len(info.Files) > 0 {
		return nil // they are counted where they are looked at
	}
	got := &change{info: weft.TableChange{Table: info.Table}, schema: ch.schema, keys: ch.keys}
	check := newRowCheck(got, TableData{Table: info.Table, Op: info.Op})
	for _, b := range ch.batches {
		if _, err := check.rows(b); err != nil {
			return err
		}
	}
	if err := check.end(); err != nil {
		return err
	}
	if info.Op == weft.OpReplace {
		if got.info.Inserted != info.Rows {
			return invalid(info.Table, "%d rows come, and it says %d", got.info.Inserted, info.Rows)
		}
		return nil
	}
	if got.info.Inserted != info.Inserted || got.info.Updated != info.Updated || got.info.Deleted != info.Deleted {
		return invalid(info.Table, "other rows come than it says")
	}
	return nil
}

// Take appends to a copy the commit that its origin tells: durable when it returns.
// It must be the one after the head, of the same chain: KindConflict where it is not,
// and KindCorrupt where it is not what it says. Where it fails nothing of it is kept,
// and its files are where they were. That the origin told it is the caller's to know.
func (s *Store) Take(ctx context.Context, a Arrival) (done weft.Commit, failed error) {
	defer s.committed(ctx, time.Now(), &done, &failed)
	if err := s.makeRoom(ctx); err != nil {
		return weft.Commit{}, err
	}
	s.writer.Lock()
	defer s.writer.Unlock()
	head, err := s.writableCopy()
	if err != nil {
		return weft.Commit{}, err
	}
	c, changes, err := a.read()
	if err == nil {
		err = s.fitsCopy(head, c, changes)
	}
	if err == nil {
		err = s.checkStaged(ctx, changes, a.Files)
	}
	if err == nil {
		err = s.reopenJournal(head)
	}
	if err != nil {
		return weft.Commit{}, err
	}
	moved, err := s.moveInAs(changes, a.Files)
	if err == nil {
		err = s.writeTold(c, a, changes)
	}
	if err != nil {
		if !s.journal.uncut {
			s.moveBack(moved)
		}
		return weft.Commit{}, err
	}
	s.trust(moved)
	s.stands(c, changes)
	return c, nil
}

// writableCopy says whether a commit may be taken now and on what.
func (s *Store) writableCopy() (weft.Commit, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return weft.Commit{}, closedError()
	}
	if !s.man.Copy {
		return weft.Commit{}, weft.Errorf(weft.KindConflict, "take a commit", s.cfg.Product.String(), "the folder is no copy: its commits are made here")
	}
	if err := s.ReadOnly(); err != nil {
		return weft.Commit{}, err
	}
	return s.head, nil
}

// fitsCopy holds a commit against the chain and the tables there are.
func (s *Store) fitsCopy(head, c weft.Commit, changes []*change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.journal
	fork := func(format string, args ...any) error {
		return weft.Errorf(weft.KindConflict, "take a commit", s.cfg.Product.String()+c.Seq.String(), format, args...)
	}
	id, incarnation := s.man.chainAt(c.Seq)
	switch {
	case c.Product != j.product || c.ID != id || c.Incarnation != incarnation:
		return fork("it is of incarnation %d of product %s, the copy is of %d", c.Incarnation, c.Product, incarnation)
	case c.Seq != head.Seq+1 || c.Previous != head.Hash:
		return fork("it does not follow commit %s of the copy: the origin's chain is another one", head.Seq)
	case head.Seq > 0 && !c.Time.After(head.Time):
		return fork("it is no later than the commit before")
	}
	for _, ch := range changes {
		if err := s.fitsTable(ch); err != nil {
			return err
		}
	}
	return nil
}

// fitsTable holds a change against its table; the lock must be held.
func (s *Store) fitsTable(ch *change) error {
	info := ch.info
	t := s.tables[info.Table]
	if t == nil || info.Op == weft.OpReplace {
		if info.Op == weft.OpColumns || info.Op != weft.OpReplace && info.Rows != info.Inserted-info.Deleted {
			return invalid(info.Table, "the change is of a table that is not there")
		}
		return knownOp(info)
	}
	if err := knownOp(info); err != nil {
		return err
	}
	if h := t.head(); h != nil && !slices.Equal(h.key, info.Key) {
		return invalid(info.Table, "the change has another key than the table")
	}
	return nil
}

func knownOp(info weft.TableChange) error {
	switch info.Op {
	case weft.OpAppend, weft.OpReplace:
		return nil
	case weft.OpMerge:
		if len(info.Key) > 0 {
			return nil
		}
	case weft.OpColumns:
		if len(info.Blocks)+len(info.Files) == 0 {
			return nil
		}
	}
	return invalid(info.Table, "it is changed in no way that there is")
}

// moveInAs moves the fetched files of a commit into the store's folder, under the
// names that the commit gives them.
func (s *Store) moveInAs(changes []*change, staged map[string]string) (moved []*change, err error) {
	for _, ch := range changes {
		for _, f := range ch.info.Files {
			ch.staged = staged[f.Name]
			if _, err := s.fs.Stat(s.filePath(f.Name)); err == nil {
				return moved, weft.Errorf(weft.KindCorrupt, "take a commit", f.Name, "there is a file of that name already")
			}
			if err := s.fs.Rename(ch.staged, s.filePath(f.Name)); err != nil {
				return moved, ioError("move in the file", ch.staged, err)
			}
			moved = append(moved, ch)
		}
	}
	if len(moved) > 0 {
		if err := s.fs.SyncDir(s.filesDir()); err != nil {
			return moved, ioError("move in the files", s.filesDir(), err)
		}
	}
	return moved, nil
}

// writeTold writes the frames of a commit and waits until they are durable.
func (s *Store) writeTold(c weft.Commit, a Arrival, changes []*change) error {
	j := s.journal
	seg := j.active()
	out := &frameBuffer{}
	var schemas []frame
	for _, ch := range changes {
		id := ch.schemaID
		if j.schemas[id] || hasSchema(schemas, ch.message) {
			continue
		}
		out.bytes = appendFrame(out.bytes, frameSchema, ch.message)
		schemas = append(schemas, frame{Kind: frameSchema, Payload: ch.message})
	}
	for _, b := range a.Blocks {
		out.bytes = appendFrame(out.bytes, frameBlock, b)
	}
	at := seg.end + int64(len(out.bytes))
	out.bytes = appendFrame(out.bytes, frameTold, a.Told)
	sc := scanned{header: c.Header, hash: c.Hash, start: seg.end, at: at, end: seg.end + int64(len(out.bytes)), frames: schemas}
	if err := j.write(out.bytes, sc); err != nil {
		return err
	}
	for _, f := range schemas {
		j.schemas[sign.Digest(f.Payload)] = true
	}
	return nil
}

func hasSchema(fs []frame, message []byte) bool {
	for _, f := range fs {
		if bytes.Equal(f.Payload, message) {
			return true
		}
	}
	return false
}
