package weft

import (
	"encoding/json"
	"time"
)

// TableOp says how a commit changes a table.
type TableOp string

// The ways a commit changes a table.
const (
	OpAppend  TableOp = "append"  // new rows only
	OpMerge   TableOp = "merge"   // by key: inserts, updates and deletes; the latter two carry the old row
	OpReplace TableOp = "replace" // the rows are the whole table from here on
	OpColumns TableOp = "columns" // no rows: the table's columns are others from here on
)

// Op is the kind of one change; it is the value of column _op.
type Op string

// The kinds of changes.
const (
	OpInsert Op = "i"
	OpUpdate Op = "u"
	OpDelete Op = "d"
)

// Commit describes one commit: the header that is hashed, and its own hash.
type Commit struct {
	Header
	Hash Hash `json:"hash"`
}

// Header is what a commit promises. Its bytes as stored are hashed into the
// next header.
type Header struct {
	ID          string        `json:"id"`
	Product     Name          `json:"product"`
	Incarnation uint32        `json:"incarnation"`
	Seq         Seq           `json:"seq"`
	Time        time.Time     `json:"time"`               // processing time, microseconds, UTC
	Previous    Hash          `json:"previous"`           // hash of the header before
	Cause       Cause         `json:"cause"`              // why the commit was made
	Contract    Hash          `json:"contract"`           // hash of the output contracts
	Folder      Hash          `json:"folder"`             // hash of the applied folder
	Revision    string        `json:"revision,omitempty"` // git revision of the folder, with "+" when it was dirty
	Positions   Positions     `json:"positions,omitempty"`
	Verdict     *Verdict      `json:"verdict,omitempty"`
	Tables      []TableChange `json:"tables,omitempty"`
	// From is the head of the incarnation before, in the first commit of a new one;
	// it is the commit that Previous names.
	From *Point `json:"from,omitempty"`
}

// Cause says why a commit was made.
type Cause string

// The causes of commits.
const (
	CauseApply    Cause = "apply"
	CauseLoad     Cause = "load"
	CauseCode     Cause = "code" // changed SQL or contract
	CauseRollback Cause = "rollback"
	CauseRetire   Cause = "retire"
	CauseRestore  Cause = "restore" // the first of a new incarnation
)

// Positions says how far each input was read when the commit was made, by port;
// the reader that wrote a position is the only one that understands it.
type Positions map[string]json.RawMessage

// TableChange is what a commit did to one table.
type TableChange struct {
	Table    string   `json:"table"`
	Hidden   bool     `json:"hidden,omitempty"` // an input table, a quarantine table
	Op       TableOp  `json:"op"`
	Inserted int64    `json:"inserted"`
	Updated  int64    `json:"updated"`
	Deleted  int64    `json:"deleted"`
	Rows     int64    `json:"rows"`             // rows of the table after the commit
	Key      []string `json:"key,omitempty"`    // the table's key columns; none for a keyless table
	Schema   Hash     `json:"schema,omitzero"`  // digest of the table's Arrow schema, which the journal holds
	Blocks   []Hash   `json:"blocks,omitempty"` // digests of the journal blocks, each with a random nonce
	Files    []File   `json:"files,omitempty"`  // Parquet files of a bulk commit
}

// File is a data file that a commit refers to.
type File struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	Rows  int64  `json:"rows"`
	Hash  Hash   `json:"hash"`
}

// Verdict is the outcome of a contract's checks on a candidate, kept in the
// commit as evidence.
type Verdict struct {
	Pass        bool          `json:"pass"`
	Quarantined int64         `json:"quarantined"` // rows held back by this commit
	Checks      []CheckResult `json:"checks,omitempty"`
}

// CheckResult is the evidence of one check.
type CheckResult struct {
	ID       string   `json:"id"` // stable within the contract: table.column.kind
	Table    string   `json:"table"`
	Column   string   `json:"column,omitempty"`
	Kind     string   `json:"kind"`
	Text     string   `json:"text"` // what is expected, for people
	Severity Severity `json:"severity"`
	Pass     bool     `json:"pass"`
	Failed   int64    `json:"failed"`          // rows that break a row rule
	Total    int64    `json:"total"`           // rows looked at
	Value    string   `json:"value,omitempty"` // what a table rule measured
	Error    string   `json:"error,omitempty"` // why the check itself could not run
}

// Severity says what a broken check causes: an error acts, the others show.
type Severity string

// The severities of checks.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
	SeverityInfo    Severity = "info"
)
