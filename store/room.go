package store

import (
	"context"

	"weft"
)

// mostBehind is how many times what makes a fold due may be in no file before
// commits wait for the fold that is under way: memory is bounded, and whoever
// writes faster than the disk can fold is slowed to its pace.
const mostBehind = 8

// makeRoom waits for a fold where the tail has become very large. Where none is
// under way, or it fails, commits go on: what counts is that they are kept.
func (s *Store) makeRoom(ctx context.Context) error {
	for {
		s.mu.Lock()
		folding := s.folding
		if folding != nil && !s.unfolded(mostBehind) {
			folding = nil
		}
		s.mu.Unlock()
		if folding == nil {
			return nil
		}
		select {
		case <-folding:
		case <-s.done:
			return closedError()
		case <-ctx.Done():
			return weft.Errorf(weft.KindCancelled, "commit", s.cfg.Product.String(), "the commit waited for a fold: %w", ctx.Err()).
				WithHint("try again; the disk does not keep up with the changes")
		}
	}
}

// beginFold says that a fold is under way that waits for nobody: it has all that
// it needs.
func (s *Store) beginFold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.folding = make(chan struct{})
}

// unfolded reports whether times what makes a fold due is in no file; the lock must
// be held.
func (s *Store) unfolded(times int64) bool {
	rows, bytes := s.tailSize()
	return rows/times > s.cfg.TailRows || bytes/times > s.cfg.TailBytes
}

// TailSize is the number of rows and bytes that the store holds in memory because
// they are in no file yet. Safe for concurrent use.
func (s *Store) TailSize() (rows, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tailSize()
}

// tailSize is TailSize; the lock must be held.
func (s *Store) tailSize() (rows, bytes int64) {
	for _, t := range s.tables {
		for _, sp := range t.spans {
			r, b := sp.tailSize()
			rows, bytes = rows+r, bytes+b
		}
	}
	return rows, bytes
}
