package store

import (
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/engine"
	"weft/run"
)

// The columns that change files and changes carry beside the table's own.
const (
	// ColumnOp holds the kind of one change: "i" insert, "d" delete (the row is
	// the old one), "b" the row before an update, "u" the row after it. A "b"
	// stands directly before its "u".
	ColumnOp = "_op"
	// ColumnSeq holds the Seq of the commit.
	ColumnSeq = "_seq"
)

// Config opens one product's store.
type Config struct {
	Dir         string // the product's folder; the store owns all of it
	ID          string // the product's random, immutable identity
	Product     weft.Name
	Incarnation uint32          // of a new chain; an existing one knows its own
	TailRows    int64           // fold the tail into files above this many rows; 0 is 100,000
	TailBytes   int64           // or above this many bytes; 0 is 64 MB
	KeepFor     time.Duration   // how long superseded files are kept; 0 is 30 days
	KeepBytes   int64           // and at most this many bytes of them; 0 is 10 GB
	Sessions    engine.Sessions // where compaction runs its COPY
	Temp        string          // folder that compaction may spill to
	Background  chan struct{}   // slots that stores share for holding files in the background; nil is no limit
	Metrics     *Metrics        // what the stores of the process count together; nil counts for nobody
	Env         run.Env
}

// Candidate is what Append commits: all tables of a product at once. Seq, time,
// hashes and row counts are the store's to fill in.
type Candidate struct {
	Cause     weft.Cause
	Contract  weft.Hash
	Folder    weft.Hash
	Revision  string
	Positions weft.Positions // the whole of it; it replaces the one before
	Verdict   *weft.Verdict
	Tables    []TableData
	// Expect, when set, is the head that the candidate was made from; another
	// head is a conflict and nothing is written.
	Expect *weft.Seq
}

// TableData is one table's change, either as batches or as a staged Parquet file.
type TableData struct {
	Table  string
	Hidden bool
	Op     weft.TableOp
	Schema *arrow.Schema // of the table itself, without _op
	Key    []string      // empty for a keyless table, which only takes append and replace
	// Renamed says what columns of Schema were called before; Defaults the text
	// that rows from before a new column have in it, which must be a value of its
	// type. Both matter only where Schema is not what the table has.
	Renamed  map[string]string
	Defaults map[string]string
	// Batches hold the table's columns for append and replace; for merge the
	// first column is _op. They become journal blocks.
	Batches []arrow.RecordBatch
	// File is a staged Parquet file of the same columns on the same file system;
	// the store syncs it and moves it in. Empty where Batches are given.
	File     string
	FileRows int64
	// What the file does: needed for merge, and for replace what differs from the
	// rows before; all zero counts the rows of a replacement as inserted.
	Inserted int64
	Updated  int64
	Deleted  int64
}

// TableInfo describes a table as a snapshot sees it.
type TableInfo struct {
	Table  string
	Hidden bool
	Schema *arrow.Schema
	Key    []string
	Rows   int64 // as the commits counted them
	// Uncounted says that Rows is known not to hold: a change inserted a key that was
	// there, or deleted one that was not.
	Uncounted bool
}

// Relation is a SELECT over exactly the rows of one table at one cut, with what
// the statement needs to see. It is valid until the snapshot is closed.
type Relation struct {
	SQL     string          // SELECT col, … FROM …
	Sources []engine.Source // the tail, for arrow_source('…')
	Files   []string        // absolute paths that the session must be able to read
	Rows    int64
	Plain   bool // one read_parquet over files and nothing else
}

// Change is one commit with its rows, as Follow gives it. A commit too large
// for one Change comes in several; all but the last have More set, and only
// after the last is the commit complete.
type Change struct {
	Commit weft.Commit
	More   bool
	// Tables holds, in the order of Commit.Tables, the rows of each table that
	// was changed; the first column is _op.
	Tables []TableRows
}

// TableRows are the rows of one change of one table.
type TableRows struct {
	Table   string
	Hidden  bool
	Op      weft.TableOp
	Part    int // 0 for the first rows of the table in this commit; only then a replace empties the table
	Schema  *arrow.Schema
	Batches []arrow.RecordBatch
}
