package store

// Staged is one table's rows in Parquet files of a staging folder, on their way
// from a source through the checks to a commit.
type Staged struct {
	Port  string // the input port it was read from; empty for an output table
	Table string
	Files []string // absolute paths, all of the same columns; none means no rows
	Rows  int64
	Bytes int64 // of the source, where known
	// Full says that the rows are the whole table; otherwise they are new rows
	// (append) or rows to merge by key (upsert).
	Full bool
	// Rejects is a Parquet file of the rows that could not be read as the types
	// expected, with columns reason, place and row (all text; row is JSON of the
	// row as it was read). Empty where there are none.
	Rejects    string
	RejectRows int64
}

// QuarantineTable is the hidden table of every product that holds back the rows
// that broke a row rule: table, reason, place and row, all text.
const QuarantineTable = "_quarantine"
