package store

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
)

// A table's state is a list of spans. A span starts where the table's rows are
// known whole (a replace, the first rows, a new base) and holds them and what
// changed since; the cut of any commit is read from the last span that starts
// at or before it. The store's lock guards all of it.
type table struct {
	name   string
	hidden bool
	rows   int64 // at the head
	ids    int   // the highest id that a column was given
	spans  []*span
	// floor is the number of rows at the last commit whose header is no longer
	// kept; nil while all are.
	floor *rowsAt
}

// at is the span that serves a cut, nil where the table did not exist yet.
func (t *table) at(cut weft.Seq) *span {
	for _, s := range slices.Backward(t.spans) {
		if s.from <= cut {
			return s
		}
	}
	return nil
}

func (t *table) head() *span {
	if len(t.spans) == 0 {
		return nil
	}
	return t.spans[len(t.spans)-1]
}

// columns is the columns that the level holds.
func (l levelView) columns() *arrow.Schema {
	if l.file != nil {
		return l.file.schema
	}
	return l.tail.of.schema
}

// span is a base and its changes, in the order of their commits.
type span struct {
	from     weft.Seq
	editions []edition // of its columns, the first from its beginning on
	key      []string
	levels   []*level
	// uncounted says that a change did not hold what it promised, so that the
	// numbers of rows that the commits say are not those that are read.
	uncounted bool
}

// last is the columns that the table has now.
func (s *span) last() edition { return s.editions[len(s.editions)-1] }

// edition is the columns that the table has at a cut.
func (s *span) edition(cut weft.Seq) edition {
	e := s.editions[0]
	for _, x := range s.editions[1:] {
		if x.from <= cut {
			e = x
		}
	}
	return e
}

// evolve gives the table other columns from a commit on.
func (s *span) evolve(e edition) {
	s.closeTail()
	s.editions = append(slices.Clip(s.editions), e)
}

// level is one step of a span's history: a file or a piece of the tail.
type level struct {
	file *dataFile
	tail *tail
}

// form says which columns a data file has.
type form string

const (
	formRows   form = "rows"   // the table's columns; all rows are of one commit
	formMerge  form = "merge"  // _op, then the table's columns; all rows are of one commit
	formChange form = "change" // the table's columns, then _seq, _seq_to and _op
)

// dataFile is one Parquet file in the folder files. What is written of it never
// changes; refs and dead are guarded by the store's lock.
type dataFile struct {
	Name   string    `json:"name"`
	Form   form      `json:"form"`
	First  weft.Seq  `json:"first"` // of its first commit
	Last   weft.Seq  `json:"last"`
	Rows   int64     `json:"rows"`
	Bytes  int64     `json:"bytes"`
	Hash   weft.Hash `json:"hash"`
	Merges weft.Seq  `json:"merges,omitempty"` // the first commit in it that is no append, 0 for none
	// Schema is the digest of the columns that it holds, missing where they are
	// those with which its span begins.
	Schema weft.Hash `json:"schema,omitzero"`

	schema *arrow.Schema // that it holds, nil for one that only followers need
	refs   int           // snapshots that may read it
	dead   bool          // no manifest names it; it goes with the last snapshot
	keys   keysState
}

// first is the Seq of the level's first rows.
func (l *level) first() weft.Seq {
	if l.file != nil {
		return l.file.First
	}
	if l.tail.rows == 0 {
		return 0
	}
	return weft.Seq(l.tail.seq[0])
}

// merges is the Seq of the level's first change that is no append, 0 for none.
func (l *level) merges() weft.Seq {
	if l.file != nil {
		return l.file.Merges
	}
	return l.tail.firstMerge
}

// openTail is the tail that the next batch goes to.
func (s *span) openTail() *tail {
	if n := len(s.levels); n > 0 && s.levels[n-1].tail != nil && !s.levels[n-1].tail.closed {
		return s.levels[n-1].tail
	}
	t := newTail(s.last().schema, s.last().keys)
	s.levels = append(slices.Clip(s.levels), &level{tail: t})
	return t
}

// lastTail is the tail that the last rows are in, nil where they are in a file.
func (t *table) lastTail() *tail {
	s := t.head()
	if s == nil || s.key == nil || len(s.levels) == 0 {
		return nil
	}
	return s.levels[len(s.levels)-1].tail
}

// addFile puts a file behind all that the span has.
func (s *span) addFile(f *dataFile) {
	s.levels = append(slices.Clip(s.levels), &level{file: f})
}

// closeTail makes the next batch go to a tail of its own, so that what there is
// now can be folded as it stands.
func (s *span) closeTail() {
	if n := len(s.levels); n > 0 && s.levels[n-1].tail != nil {
		s.levels[n-1].tail.closed = true
	}
}

// tailSize is the number of rows and bytes that are in no file yet.
func (s *span) tailSize() (rows, bytes int64) {
	for _, l := range s.levels {
		if l.tail != nil {
			rows += int64(l.tail.rows)
			bytes += l.tail.bytes
		}
	}
	return rows, bytes
}

// files are the span's data files.
func (s *span) files() []*dataFile {
	var fs []*dataFile
	for _, l := range s.levels {
		if l.file != nil {
			fs = append(fs, l.file)
		}
	}
	return fs
}
