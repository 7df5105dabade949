package store

import (
	"context"
	"errors"
	"iter"
	"time"

	"weft"
)

// Store is one product's data. One writer and any number of readers at once.
type Store struct{}

var errNotBuilt = errors.New("not built")

// Open opens the store in cfg.Dir, makes it where there is none, and recovers:
// a torn write after the acknowledged length is dropped, anything else that
// does not verify is KindCorrupt.
func Open(ctx context.Context, cfg Config) (*Store, error) { return nil, errNotBuilt }

// Head is the last commit; Seq 0 before the first.
func (s *Store) Head() weft.Point { return weft.Point{} }

// Last returns the whole last commit, false before the first.
func (s *Store) Last() (weft.Commit, bool) { return weft.Commit{}, false }

// Commits returns up to limit commits, newest first, with Seq below before (0 is from the head).
func (s *Store) Commits(before weft.Seq, limit int) ([]weft.Commit, error) { return nil, errNotBuilt }

// Commit returns one commit.
func (s *Store) Commit(seq weft.Seq) (weft.Commit, error) { return weft.Commit{}, errNotBuilt }

// SeqAt returns the last commit at or before t; KindNotFound before the first, KindGone below what is kept.
func (s *Store) SeqAt(t time.Time) (weft.Seq, error) { return 0, errNotBuilt }

// Append makes c one commit: durable when it returns, visible to snapshots taken after.
func (s *Store) Append(ctx context.Context, c Candidate) (weft.Commit, error) {
	return weft.Commit{}, errNotBuilt
}

// Snapshot fixes the state at seq, 0 being the head. The caller must Close it;
// until then its files stay.
func (s *Store) Snapshot(ctx context.Context, seq weft.Seq) (*Snapshot, error) {
	return nil, errNotBuilt
}

// Follow yields the commits after from with their rows, in order, and waits for
// the next until ctx ends.
func (s *Store) Follow(ctx context.Context, from weft.Seq) iter.Seq2[Change, error] { return nil }

// Compact folds the tail into files where it is due, or at once when force is set.
func (s *Store) Compact(ctx context.Context, force bool) error { return errNotBuilt }

// Run compacts in the background until ctx ends.
func (s *Store) Run(ctx context.Context) error { return errNotBuilt }

// Bytes is the size of the store on disk.
func (s *Store) Bytes() int64 { return 0 }

// Close ends the store; snapshots that are open stay readable until closed. Idempotent.
func (s *Store) Close() error { return nil }

// Snapshot is one state of the product. Safe for concurrent use.
type Snapshot struct{}

// Point is the state the snapshot fixes.
func (s *Snapshot) Point() weft.Point { return weft.Point{} }

// Tables lists the tables at that state, hidden ones too.
func (s *Snapshot) Tables() []TableInfo { return nil }

// Relation gives the SELECT for one table; KindNotFound where there is none at this state.
func (s *Snapshot) Relation(table string) (Relation, error) { return Relation{}, errNotBuilt }

// Close gives up the lease. Idempotent.
func (s *Snapshot) Close() error { return nil }
