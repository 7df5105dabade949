package contract

import (
	"time"

	"weft"
)

// Folder is a product folder as it was read: the ODPS document, its contracts,
// SQL, tests and samples.
type Folder struct {
	Name        weft.Name
	ID          string // the document's id, any string
	Version     string
	Life        weft.Life
	Deprecation *weft.Deprecation // set where the life is deprecated
	Description Description
	Tags        []string
	Team        Team
	Support     []Channel
	Inputs      []*Input
	Outputs     []*Output
	Cases       []*Case
	Files       map[string][]byte // every file of the folder by slash path, as applied
	Hash        weft.Hash         // over Files: names and bytes
}

// Description is what a product is for.
type Description struct {
	Purpose     string `json:"purpose,omitempty"`
	Limitations string `json:"limitations,omitempty"`
	Usage       string `json:"usage,omitempty"`
}

// Team owns the product.
type Team struct {
	Name    string   `json:"name,omitempty"`
	Members []Member `json:"members,omitempty"`
}

// Member of a team.
type Member struct {
	Username string `json:"username"`
	Role     string `json:"role,omitempty"`
}

// Channel is where to ask or be told.
type Channel struct {
	Channel string `json:"channel"`
	URL     string `json:"url,omitempty"`
	Scope   string `json:"scope,omitempty"`
}

// Input is an input port: a source with servers, or another product.
type Input struct {
	Name     string
	Version  string
	Product  weft.Name // another product's address; zero for a source
	Contract *Contract // nil when the port is another product
}

// Output is an output port.
type Output struct {
	Name        string
	Description string
	Version     string
	Readers     []string // domains that may read, "*" for all; empty is the own domain only
	// Replicas is the consent to copies at other nodes, nil where there is none.
	Replicas *Replicas
	// Holds is the consent to holds on its history, nil where there is none.
	Holds    *Holds
	Contract *Contract
}

// Holds is an owner's consent to what other domains hold of a product's history.
type Holds struct {
	Domains []string      // whose saved cuts may, "*" for all
	For     time.Duration // how long at most
}

// Replicas is an owner's consent to copies of a product at the nodes of other domains.
type Replicas struct {
	Domains []string      // whose nodes may keep one, "*" for all
	For     time.Duration // how long one may be used while the origin cannot be reached; 0 is not at all
}

// Contract is an ODCS document.
type Contract struct {
	File     string // path inside the folder
	ID       string
	Name     string
	Version  string
	Status   string
	Servers  []*Server
	Tables   []*Table
	SLA      SLA
	Document *Document // for writing back; nil where it was built in code
	Hash     weft.Hash // of the file's bytes
}

// SLA is what slaProperties promise; zero fields are not promised.
type SLA struct {
	Latency   time.Duration
	Element   string        // "table.column" of the actual time
	Frequency time.Duration // how often the source is read
	Schedule  string        // cron expression of the frequency, where it has one
	Retention time.Duration
}

// Mode says what a read of a source means.
type Mode string

// The source modes.
const (
	ModeSnapshot Mode = "snapshot" // a row gone is a delete
	ModeAppend   Mode = "append"   // new files or rows only, never a delete
	ModeUpsert   Mode = "upsert"   // rows by key, never a delete
	ModeCDC      Mode = "cdc"
	ModePush     Mode = "push"
)

// Server is one place where an input lives. Text fields may hold ${VAR}; Expand
// resolves them just before use, and secrets are never kept expanded.
type Server struct {
	Name        string
	Environment string
	Type        string // local, postgres, http (ODCS: api or custom), …
	Path        string // local: a path or glob, {table} stands for the table
	URL         string // http(s)
	Format      string // csv, json, ndjson, parquet; empty is by the file's name
	Host        string
	Port        string
	Database    string
	Schema      string
	Mode        Mode   // snapshot where not given
	User        string // weftUser
	Password    string // weftPassword
	TLS         string // weftTLS: disable, require, verify-ca, verify-full; empty is verify-full for other hosts
	TLSRoot     string // weftTLSRoot: a file of PEM certificates, empty is the system's
	Delimiter   string // weftDelimiter
	Quote       string // weftQuote
	Escape      string // weftEscape
	NullText    string // weftNull: text that means NULL besides the empty field
	DateFormat  string // weftDateFormat
	Encoding    string // weftEncoding: utf-8, latin-1, utf-16
	Cursor      string // weftCursor: the column that append and upsert read on from, for databases
	Header      *bool  // weftHeader, nil is: look
	Line        int    // where it stands in the contract's file
}

// OnViolation says what rows that break a row rule cause.
type OnViolation string

// What violations cause.
const (
	Refuse     OnViolation = "refuse"
	Quarantine OnViolation = "quarantine"
)

// Table is one schema object of a contract.
type Table struct {
	Name            string
	PhysicalName    string // the name at the source, where it differs
	Description     string
	Granularity     string
	Columns         []*Column
	Key             []string // primary key columns in position order; empty for a keyless table
	OnViolation     OnViolation
	QuarantineLimit float64 // share of rows, 0.01 where not given
	Checks          []Check // compiled: everything that verify has to hold against a candidate
	SQL             string  // output tables: text of TABLE.sql, empty for a pass-through
	SQLFile         string
	Tags            []string
	Line            int
}

// Column returns the column of that name, or nil.
func (t *Table) Column(name string) *Column {
	for _, c := range t.Columns {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Column is one property of a table.
type Column struct {
	Name           string
	PhysicalName   string // the name at the source, where it differs
	BusinessName   string
	Description    string
	Type           Type // KindUnknown where an input contract leaves it out
	Required       bool
	Unique         bool
	Classification string
	SubjectKey     string      // weftSubjectKey
	ID             string      // of the standard: stays where the name changes
	RenamedFrom    string      // weftRenamedFrom
	Default        string      // weftDefault; nothing where it is empty
	Shard          *weft.Shard // weftShard
	Unit           string
	Relationships  []Relationship
	Tags           []string
	Examples       []string
	Line           int
}

// Relationship is a declared reference to a column of another table.
type Relationship struct {
	To string // "table.column" or "domain.product.table.column"
}

// Check is one compiled expectation. Predicate is an SQL expression over the
// table's columns that is true for a good row; NULL counts as good. Metric is
// an SQL aggregate over the table and Query a whole SELECT that names {object};
// both give one number, which Compare holds. Exactly one of the three is set,
// but for Kind "unique", whose Columns must be distinct together where none is
// NULL.
type Check struct {
	ID        string // table.column.kind, numbered where it repeats
	Table     string
	Column    string
	Kind      string // required, enum, range, pattern, length, format, multipleOf, items, uniqueItems, properties, unique, rowCount, nullValues, missingValues, invalidValues, duplicateValues, sql
	Text      string // what is expected, for people, without values of classified columns
	Severity  weft.Severity
	Predicate string
	Metric    string
	Query     string
	Compare   *Comparison
	Columns   []string
	Percent   bool // for people: Metric already gives the share of the rows in percent
	Line      int
}

// Comparison holds a measured number against bounds; every operator that is set
// must hold.
type Comparison struct {
	Be, NotBe           *float64
	Above, AtLeast      *float64
	Below, AtMost       *float64
	Between, NotBetween *[2]float64
}

// Holds reports whether v satisfies every operator of c.
func (c *Comparison) Holds(v float64) bool {
	is := func(p *float64, f func(float64) bool) bool { return p == nil || f(*p) }
	return is(c.Be, func(b float64) bool { return v == b }) &&
		is(c.NotBe, func(b float64) bool { return v != b }) &&
		is(c.Above, func(b float64) bool { return v > b }) &&
		is(c.AtLeast, func(b float64) bool { return v >= b }) &&
		is(c.Below, func(b float64) bool { return v < b }) &&
		is(c.AtMost, func(b float64) bool { return v <= b }) &&
		(c.Between == nil || v >= c.Between[0] && v <= c.Between[1]) &&
		(c.NotBetween == nil || v < c.NotBetween[0] || v > c.NotBetween[1])
}

// Case is one test of a product: invented rows in, expected rows out.
type Case struct {
	Name   string
	Inputs map[string][]byte // "port" or "port.table" → CSV
	Expect map[string][]byte // output table → CSV; its columns are the ones compared
}

// FaultSeverity of a fault: an error makes the folder unusable, a warning does not.
type FaultSeverity string

// The severities of faults.
const (
	FaultError   FaultSeverity = "error"
	FaultWarning FaultSeverity = "warning"
)

// Fault is one thing wrong with a folder, at its place.
type Fault struct {
	File     string        `json:"file"`
	Line     int           `json:"line"`   // from 1; 0 where the file as a whole is meant
	Column   int           `json:"column"` // from 1
	Rule     string        `json:"rule"`   // a stable short name: "contract-dangling"
	Severity FaultSeverity `json:"severity"`
	Message  string        `json:"message"`
	Hint     string        `json:"hint,omitempty"`
}
