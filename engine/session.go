package engine

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Source is Arrow data that statements can read as arrow_source('Name').
// Batches of about 2,000 rows or more read fastest. Columns may have any type
// that the engine has; dictionaries of text are read as text, others are refused.
type Source struct {
	Name    string
	Schema  *arrow.Schema
	Shared  []*Shared // come before Batches
	Batches []arrow.RecordBatch
	// Rows, where it is not 0, is how many rows count, from the first.
	Rows int64
	// Mark names a BOOLEAN column more, behind those of Schema: bit i of Marks,
	// the least of a byte first, is its value in row i. Empty for none.
	Mark  string
	Marks []byte
	// Sets, where there are any, make the source something to ask and not rows:
	// weft_unchanged('Name', since, key, …) is true where none of those has the key
	// whose numbers begin after since. The types of the columns decide how a key is
	// encoded: see the store's keys.
	Sets []KeysUpTo
}

// KeysUpTo is a set as it was when its numbers went up to UpTo: keys that came later
// do not count.
type KeysUpTo struct {
	Set  *KeySet // or, where it is nil,
	Path string  // the file that holds one, which the session may read
	From int64   // no key has a lesser number
	UpTo int64
}

// View is a named relation that a statement sees: CREATE VIEW Schema.Name AS SQL.
// An empty Schema is the default one. A view sees those before it in the list.
type View struct {
	Schema string
	Name   string
	SQL    string
}

// Statement is one statement with what it needs to see. Views and Sources exist
// only while it runs.
type Statement struct {
	SQL     string
	Else    string // what a Session's Query runs where SQL cannot be bound, "" for nothing else
	Views   []View
	Sources []Source
	// Files are what the views read, where that is known: a session that reads
	// by leave (see SessionConfig) gets these and no others.
	Files []string
}

// SessionConfig says what a session may do. It is fixed for its life.
type SessionConfig struct {
	Name string   // for logs and metrics: "query", "load sales.orders"
	Read []string // folders and files that statements may read
	// Real is Read without links, for a caller that has looked where they lead: these
	// the kernel lets the session have, wherever a link leads by then. Nil is to look
	// when the worker is made ready.
	Real []string
	// Leave is for questions: it narrows the folders of Read to the Files of each
	// statement, where the kernel can do that, which Protection says, and keeps the
	// views and the plan of one for the next. It has no Progress.
	Leave     bool
	Write     string // the one folder that COPY may write to, empty for none
	Memory    int64  // bytes that the engine may use; the process gets a margin above it
	Threads   int    // 0 is all cores
	Temp      string // folder to spill to, empty for no spilling
	TempBytes int64  // most that may be spilled
	// Ordered keeps the order of rows through COPY; it costs memory and time.
	Ordered bool
	// Background lets everything else on the machine's cores go first.
	Background bool

	// Lane is the queue that the session waits in for its turn; the zero value
	// is the node's own work.
	Lane Lane
	// Who it is for: one who asks for much waits for others who do not. Empty is
	// the session's Name.
	Who string
}

// Session is one locked engine in a worker process of its own. One statement at
// a time; safe to Close from another goroutine, which kills the process. An
// error of kind KindUnavailable means that the worker died and the session with
// it.
type Session interface {
	// Exec runs a statement to its end and returns the number of rows changed
	// or copied.
	Exec(ctx context.Context, st Statement) (int64, error)
	// Query streams the rows of a SELECT. The reader must be released before the
	// next statement; releasing it early cancels. Its schema is known at once.
	Query(ctx context.Context, st Statement) (array.RecordReader, error)
	// Parse returns the syntax tree of text as the engine's own parser gives it,
	// as JSON. A text that does not parse, or is no SELECT, gives an object with
	// "error": true and no error here.
	Parse(ctx context.Context, text string) ([]byte, error)
	// Deparse returns the SQL text of a syntax tree.
	Deparse(ctx context.Context, tree []byte) (string, error)
	// Progress is the share of the running statement that is done, 0 to 1, and
	// negative where the engine cannot tell. Safe beside a running statement.
	Progress() float64
	// Close ends the worker or gives it back. Idempotent.
	Close() error
}

// Sessions hands out sessions; Pool is the real one. Safe for concurrent use.
type Sessions interface {
	Session(ctx context.Context, cfg SessionConfig) (Session, error)
}
