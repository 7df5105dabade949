package store

import (
	"context"
	"fmt"
	"iter"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"weft"
	"weft/engine"
)

// followBytes is about how much of a commit one Change holds.
const followBytes = 64 << 20

// Follow yields the commits after from with their rows, in order, and waits for
// the next until ctx ends, which is no error. An error ends it: KindGone where
// from is below what is kept. Any number of followers at once; none slows the
// writer.
func (s *Store) Follow(ctx context.Context, from weft.Seq) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		for seq := from + 1; ; seq++ {
			if err := s.await(ctx, seq); err != nil {
				if ctx.Err() == nil {
					yield(Change{}, err)
				}
				return
			}
			more, err := s.changeAt(ctx, nil, seq, func(c Change) bool { return yield(c, nil) })
			if err != nil && s.isClosed() {
				err = closedError()
			}
			if err != nil && ctx.Err() == nil {
				yield(Change{}, err)
			}
			if err != nil || !more {
				return
			}
		}
	}
}

// FollowFrom is Follow for who kept the commit that it has seen last: it yields
// KindConflict and nothing else where that commit is not one of this chain, so
// that a follower stops at a fork or a restore instead of mixing two histories.
func (s *Store) FollowFrom(ctx context.Context, last weft.Point) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		if last.Seq > 0 {
			if err := s.Same(last.Incarnation, last.Seq, last.Hash[:]); err != nil {
				yield(Change{}, err)
				return
			}
		}
		s.Follow(ctx, last.Seq)(yield)
	}
}

func (s *Store) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// await blocks until commit seq is there, to be read row by row.
func (s *Store) await(ctx context.Context, seq weft.Seq) error {
	return s.awaitUnless(ctx, seq, func() error {
		if seq <= s.man.Oldest {
			return s.gone(seq.String())
		}
		return nil
	})
}

// awaitUnless blocks until commit seq is there; past, which holds the lock, says why it
// is too late for it.
func (s *Store) awaitUnless(ctx context.Context, seq weft.Seq, past func() error) error {
	for {
		s.mu.Lock()
		moved, head, closed := s.moved, s.head.Seq, s.closed
		err := past()
		s.mu.Unlock()
		switch {
		case closed:
			return closedError()
		case err != nil:
			return err
		case seq <= head:
			return ctx.Err()
		}
		if err := s.headLost(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		}
	}
}

// changeAt gives one commit in as many Changes as it needs; false when the
// receiver wants no more. Files are read with sess; with one of the store's own
// where it is nil.
func (s *Store) changeAt(ctx context.Context, sess engine.Session, seq weft.Seq, yield func(Change) bool) (bool, error) {
	seg, at, err := s.journal.find(seq)
	if err != nil {
		return false, err
	}
	defer s.journal.release(seg)
	if at.start == 0 {
		var fault error
		err := seg.withIndex(func(x *segmentIndex) { fault = x.rowsHidden(seq) })
		if err == nil {
			err = fault
		}
		return false, err
	}
	schemas, err := seg.schemas()
	if err != nil {
		return false, err
	}
	p := &parts{yield: yield}
	_, err = seg.scan(at.start, at.end, true, func(c scanned) error {
		p.commit = weft.Commit{Header: c.header, Hash: c.hash}
		changes, err := changesOf(seg, c, schemas)
		if err != nil {
			return err
		}
		for _, ch := range changes {
			if len(ch.info.Files) == 0 {
				p.table(ch)
			}
			for _, b := range ch.batches {
				if err := p.add(ch, b); err != nil {
					return err
				}
			}
			for _, f := range ch.info.Files {
				p.table(ch)
				if err := s.fileRows(ctx, sess, ch, f, func(b arrow.RecordBatch) error { return p.add(ch, b) }); err != nil {
					return err
				}
			}
		}
		return p.flush(false)
	})
	if err == errStopped {
		return false, nil
	}
	if err != nil {
		return false, seg.named(err)
	}
	return true, nil
}

var errStopped = weft.Errorf(weft.KindCancelled, "follow", "", "the reader wants no more")

// parts collects the rows of a commit and gives them out in bounded pieces.
type parts struct {
	yield  func(Change) bool
	commit weft.Commit
	tables []TableRows
	bytes  int
}

// table starts the rows of the next table.
func (p *parts) table(ch *change) {
	p.tables = append(p.tables, TableRows{Table: ch.info.Table, Hidden: ch.info.Hidden, Op: ch.info.Op, Schema: withOp(ch.schema)})
}

// add adds rows to the last table, giving out what is there when it is much.
func (p *parts) add(ch *change, b arrow.RecordBatch) error {
	last := &p.tables[len(p.tables)-1]
	if ch.info.Op != weft.OpMerge && b.NumCols() == int64(ch.schema.NumFields()) {
		b = withInserts(last.Schema, b)
	}
	last.Batches = append(last.Batches, b)
	if p.bytes += recordSize(b); p.bytes < followBytes {
		return nil
	}
	next := *last
	next.Part++
	next.Batches = nil
	if err := p.flush(true); err != nil {
		return err
	}
	p.tables = []TableRows{next}
	return nil
}

func (p *parts) flush(more bool) error {
	c := Change{Commit: p.commit, Tables: p.tables, More: more}
	p.tables, p.bytes = nil, 0
	if !p.yield(c) {
		return errStopped
	}
	return nil
}

// withInserts puts _op before rows that are all new.
func withInserts(s *arrow.Schema, b arrow.RecordBatch) arrow.RecordBatch {
	ops := newStrings(int(b.NumRows()), func(int) string { return string(weft.OpInsert) })
	return array.NewRecordBatch(s, append([]arrow.Array{ops}, b.Columns()...), b.NumRows())
}

// fileRows streams the rows of a bulk commit's file with _op first.
func (s *Store) fileRows(ctx context.Context, sess engine.Session, ch *change, f weft.File, each func(arrow.RecordBatch) error) error {
	hold, err := s.holdFile(f.Name)
	if err != nil {
		return err
	}
	defer s.dropFile(hold)
	if err := s.guard.check(ctx, hold); err != nil {
		return err
	}
	op := "'i'"
	if ch.info.Op == weft.OpMerge {
		op = engine.QuoteIdent(ColumnOp)
	}
	if sess == nil {
		if sess, err = s.session(ctx, "follow", 1); err != nil {
			return err
		}
		defer func() { _ = sess.Close() }()
	}
	rd, err := sess.Query(ctx, engine.Statement{SQL: fmt.Sprintf("SELECT %s::VARCHAR AS %s, %s FROM read_parquet([%s], hive_partitioning = false) AS r",
		op, engine.QuoteIdent(ColumnOp), columns(ch.schema, "r."), engine.QuoteLiteral(s.filePath(f.Name)))})
	if err != nil {
		return err
	}
	defer rd.Release()
	want := withOp(ch.schema)
	for rd.Next() {
		b := rd.RecordBatch()
		if err := sameColumns(want, b.Schema()); err != nil {
			return weft.Errorf(weft.KindCorrupt, "read", s.filePath(f.Name), "the file has other columns than its commit: %v", err)
		}
		if err := each(conform(want, b)); err != nil {
			return err
		}
	}
	return rd.Err()
}

// holdFile keeps a file from being removed.
func (s *Store) holdFile(name string) (*dataFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.allFiles() {
		if f.Name == name {
			f.refs++
			return f, nil
		}
	}
	return nil, s.gone("file " + name)
}

// dropFile undoes holdFile.
func (s *Store) dropFile(f *dataFile) {
	s.mu.Lock()
	f.refs--
	remove := f.refs == 0 && f.dead
	s.mu.Unlock()
	if remove {
		s.removeFiles([]*dataFile{f})
	}
}

// allFiles lists every data file that the store names; the lock must be held.
func (s *Store) allFiles() []*dataFile {
	var fs []*dataFile
	for _, t := range s.tables {
		for _, sp := range t.spans {
			fs = append(fs, sp.files()...)
		}
	}
	return append(fs, s.man.History...)
}

// session opens a session that reads and writes the store's own files only.
func (s *Store) session(ctx context.Context, what string, threads int) (engine.Session, error) {
	if s.cfg.Sessions == nil {
		return nil, weft.Errorf(weft.KindInternal, what, s.cfg.Product.String(), "the store was opened without an engine")
	}
	return s.cfg.Sessions.Session(ctx, engine.SessionConfig{
		Name: what + " " + s.cfg.Product.String(), Read: []string{s.filesDir()}, Write: s.filesDir(),
		Memory: foldMemory, Threads: threads, Temp: s.cfg.Temp, TempBytes: foldTemp, Ordered: true, Background: true,
	})
}

// What a session of the store itself may use.
const (
	foldMemory = 1 << 30
	foldTemp   = 64 << 30
)
