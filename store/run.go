package store

import (
	"context"
	"sync"
	"time"

	"weft"
)

const (
	// retentionEvery is how often Run looks whether something has been kept long
	// enough, and whether the product is idle.
	retentionEvery = time.Hour
	// idleAfter is how long after the last commit the tail of an idle product is
	// folded, so that it needs no memory.
	idleAfter = 10 * time.Minute
)

// Run compacts in the background until ctx ends or the store closes, which is
// no error. A fold that fails is logged and tried again after the next commit:
// all that it concerns is speed and space.
func (s *Store) Run(ctx context.Context) error {
	var held sync.WaitGroup
	defer held.Wait()
	held.Go(func() { s.holdAll(ctx) })
	tick := time.NewTicker(retentionEvery)
	defer tick.Stop()
	for {
		idle := false
		select {
		case <-ctx.Done():
			return nil
		case <-s.done:
			return nil
		case <-s.due:
		case <-tick.C:
			idle = s.idle()
		}
		if err := s.Compact(ctx, idle); err != nil && ctx.Err() == nil && weft.KindOf(err) != weft.KindConflict {
			s.cfg.Env.Log.Warn("compaction failed, the data is whole and it will be tried again", "product", s.cfg.Product.String(), "error", err)
		}
	}
}

// idle reports whether there is a tail and nothing has come for a while.
func (s *Store) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.Env.Clock.Now().Sub(s.head.Time) < idleAfter {
		return false
	}
	for _, t := range s.tables {
		for _, sp := range t.spans {
			if rows, _ := sp.tailSize(); rows > 0 {
				return true
			}
		}
	}
	return false
}

// Folded reports whether all commits are in the manifest and its files: then there
// is nothing to replay when the store opens next.
func (s *Store) Folded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.man.Checkpoint.Seq == s.head.Seq
}
