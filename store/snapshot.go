package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"weft"
)

// Snapshot is one state of the product. Safe for concurrent use.
type Snapshot struct {
	store  *Store
	ctx    context.Context // of who opened it: what waits for a file to be held ends with it
	point  weft.Point
	number uint64
	tables []*tableView

	once sync.Once
}

// tableView is one table as a cut sees it.
type tableView struct {
	name   string
	hidden bool
	span   *span
	edition
	levels []levelView
	cut    weft.Seq
	rows   int64
	floor  *rowsAt
	// uncounted is the span's.
	uncounted bool
}

// levelView is one level as a cut sees it: a file or a piece of the tail.
type levelView struct {
	file   *dataFile
	tail   tailView
	merges bool // there are changes in it, up to the cut, that are no appends
}

// Snapshot fixes the state at seq, 0 being the head. The caller must Close it;
// until then its files stay. Before the first commit, seq 0 is a state without
// tables.
func (s *Store) Snapshot(ctx context.Context, seq weft.Seq) (*Snapshot, error) {
	if err := s.ended(ctx, "read"); err != nil {
		return nil, err
	}
	if seq == 0 {
		if err := s.headLost(); err != nil {
			return nil, err
		}
	}
	snap, segs, err := s.fix(ctx, seq)
	if err != nil {
		return nil, err
	}
	defer s.journal.release(segs...)
	if err := snap.countRows(segs); err != nil {
		_ = snap.Close()
		return nil, err
	}
	return snap, nil
}

// fix makes the snapshot and says, for a cut before the head, which segments know
// its rows: retention may let go of them at any time, and then has put down what
// only they said.
func (s *Store) fix(ctx context.Context, seq weft.Seq) (*Snapshot, []*segment, error) {
	point, err := s.pointAt(seq)
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, closedError()
	}
	if seq != 0 && seq < s.man.Oldest { // retention may have come in between
		return nil, nil, s.gone(seq.String())
	}
	if seq == 0 {
		point = s.point(s.head)
	}
	snap := &Snapshot{store: s, ctx: ctx, point: point}
	s.snapshot++
	snap.number = s.snapshot
	for _, name := range s.tableNames() {
		t := s.tables[name]
		sp := t.at(point.Seq)
		if sp == nil {
			continue
		}
		snap.tables = append(snap.tables, viewTable(t, sp, point.Seq))
	}
	s.leases[snap] = struct{}{}
	if point.Seq == s.head.Seq { // the tables count the head's themselves
		return snap, nil, nil
	}
	return snap, s.journal.acquire(), nil
}

// pointAt is the state after a commit, zero for the head.
func (s *Store) pointAt(seq weft.Seq) (weft.Point, error) {
	s.mu.Lock()
	head := s.head
	s.mu.Unlock()
	if seq == 0 || seq == head.Seq { // the head needs no journal
		return s.point(head), nil
	}
	c, err := s.Commit(seq)
	if err != nil {
		return weft.Point{}, err
	}
	return s.point(c), nil
}

// viewTable takes what a cut sees of a span and holds its files; the store's
// lock must be held.
func viewTable(t *table, sp *span, cut weft.Seq) *tableView {
	v := &tableView{name: t.name, hidden: t.hidden, span: sp, edition: sp.edition(cut), cut: cut, rows: t.rows, floor: t.floor, uncounted: sp.uncounted}
	for _, l := range sp.levels {
		if first := l.first(); first == 0 || first > cut {
			continue
		}
		m := l.merges()
		lv := levelView{file: l.file, merges: m != 0 && m <= cut}
		if l.file != nil {
			l.file.refs++
		} else {
			lv.tail = l.tail.view(cut)
		}
		v.levels = append(v.levels, lv)
	}
	return v
}

// countRows sets the rows of the tables at an old cut: the journal says them
// after every commit.
func (s *Snapshot) countRows(segs []*segment) error {
	if segs == nil {
		return nil
	}
	for _, v := range s.tables {
		n, ok, err := s.store.journal.rows(segs, v.name, s.point.Seq)
		if err != nil {
			return err
		}
		if ok {
			v.rows = n
			continue
		}
		if v.floor != nil { // no commit that is kept has changed it by then
			v.rows = v.floor.rows
		}
	}
	return nil
}

// Point is the state the snapshot fixes.
func (s *Snapshot) Point() weft.Point { return s.point }

// Tables lists the tables at that state, hidden ones too.
func (s *Snapshot) Tables() []TableInfo {
	var out []TableInfo
	for _, v := range s.tables {
		out = append(out, TableInfo{Table: v.name, Hidden: v.hidden, Schema: v.schema, Key: v.span.key, Rows: v.rows, Uncounted: v.uncounted})
	}
	return out
}

// Relation gives the SELECT for one table; KindNotFound where there is none at
// this state. It waits until the table's files were held against their digests,
// once each, and is KindCorrupt where one is not what was written.
func (s *Snapshot) Relation(table string) (Relation, error) {
	s.store.mu.Lock()
	_, open := s.store.leases[s]
	s.store.mu.Unlock()
	if !open {
		return Relation{}, weft.Errorf(weft.KindConflict, "read the table", table, "the snapshot is closed")
	}
	for _, v := range s.tables {
		if v.name == table {
			if err := s.checkTable(v); err != nil {
				return Relation{}, err
			}
			return s.store.relation(s.ctx, v, fmt.Sprintf("%s%s/%s/%d", s.point.Product, s.point.Seq, table, s.number)), nil
		}
	}
	return Relation{}, weft.Errorf(weft.KindNotFound, "read the table", s.point.Product.String()+"."+table, "there is no such table at %s", s.point.Seq)
}

// Close gives up the lease. Idempotent.
func (s *Snapshot) Close() error {
	s.once.Do(func() {
		s.store.mu.Lock()
		delete(s.store.leases, s)
		var dead []*dataFile
		for _, v := range s.tables {
			for _, l := range v.levels {
				if f := l.file; f != nil {
					if f.refs--; f.refs == 0 && f.dead {
						dead = append(dead, f)
					}
				}
			}
		}
		s.store.mu.Unlock()
		s.store.removeFiles(dead)
	})
	return nil
}

// removeFiles removes files that nothing names or reads any more. What cannot
// be removed is when the store opens next.
func (s *Store) removeFiles(files []*dataFile) {
	for _, f := range files {
		s.guard.forget(f)
		names := []string{f.Name}
		if f.hasKeys() {
			names = append(names, f.Name+keysSuffix)
		}
		for _, n := range names {
			if err := s.fs.Remove(s.filePath(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				s.cfg.Env.Log.Warn("a file that is no longer needed could not be removed", "file", s.filePath(n), "error", err)
			}
		}
	}
}
