package serve

import (
	"encoding/json"
	"time"

	"weft"
	"weft/contract"
)

// Column names a column of an answer and its type as SQL writes it.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type" doc:"the type as SQL writes it: bigint, decimal(12,2), timestamptz, text[]"`
}

// Rows are a few rows in the encoding of the JSON format, for samples and lists.
type Rows struct {
	Columns []Column            `json:"columns"`
	Rows    [][]json.RawMessage `json:"rows" doc:"one array of values for each row, in the order of columns"`
}

// ProductSummary is one line of a list of products.
type ProductSummary struct {
	Name        weft.Name  `json:"name" doc:"the address, domain.product"`
	Purpose     string     `json:"purpose,omitempty" doc:"what it is for"`
	Owner       string     `json:"owner,omitempty" doc:"the team"`
	Life        weft.Life  `json:"life" doc:"the declared stage: proposed, draft, active, deprecated, retired"`
	State       weft.State `json:"state" doc:"the observed state: fresh, late, refused, paused, source lost, …"`
	Todo        string     `json:"todo,omitempty" doc:"the one thing to do, empty where there is nothing"`
	Tags        []string   `json:"tags,omitempty"`
	Tables      []string   `json:"tables" doc:"addresses of the output tables"`
	Rows        int64      `json:"rows" doc:"rows of all output tables"`
	Held        int64      `json:"held" doc:"rows held back in quarantine"`
	Seq         weft.Seq   `json:"seq" doc:"number of the last commit, 0 before the first"`
	LastCommit  *time.Time `json:"lastCommit,omitempty" doc:"time of the last commit"`
	NextRefresh *time.Time `json:"nextRefresh,omitempty" doc:"when the sources are read next, where that is by a schedule"`
	LastError   string     `json:"lastError,omitempty" doc:"what went wrong in the last attempt"`
	ErrorKind   weft.Kind  `json:"errorKind,omitempty"`
	Bytes       int64      `json:"bytes" doc:"size on disk"`
}

// ProductDetail is everything known of one product.
type ProductDetail struct {
	ProductSummary
	ID          string               `json:"id" doc:"the product's immutable identity"`
	DocumentID  string               `json:"documentId,omitempty" doc:"the id its ODPS document gives"`
	Version     string               `json:"version,omitempty"`
	Description contract.Description `json:"description"`
	Team        contract.Team        `json:"team"`
	Support     []contract.Channel   `json:"support,omitempty" doc:"where to ask"`
	Ports       []Port               `json:"ports"`
	Schema      []TableDetail        `json:"schema" doc:"the output tables in full"`
	Promises    []Promise            `json:"promises,omitempty" doc:"the SLA"`
	Head        *CommitInfo          `json:"head,omitempty" doc:"the last commit with its verdict, which is the evidence of quality"`
	Upstream    []weft.Name          `json:"upstream,omitempty" doc:"products that this one is made from"`
	Downstream  []weft.Name          `json:"downstream,omitempty" doc:"products made from this one"`
	Folder      string               `json:"folder,omitempty" doc:"the folder it was applied from, as its owner named it"`
	Revision    string               `json:"revision,omitempty" doc:"git revision of the folder, with + when it was dirty"`
	Query       []Snippet            `json:"query" doc:"how to query it, ready to paste"`
	Joins       []Snippet            `json:"joins,omitempty" doc:"its declared relationships, as JOIN lines ready to paste"`
	Origin      *Origin              `json:"origin,omitempty" doc:"the node that holds it; absent where it is this one"`
	Checks      *CheckCounts         `json:"checks,omitempty" doc:"how many checks of the last verdict hold; absent where there is none"`
	Shortened   bool                 `json:"shortened,omitempty" doc:"of a product of another node: its card had no room for all of its texts or columns"`
	Readers     []string             `json:"readers,omitempty" doc:"domains that may read it besides its own, * for all"`
}

// CheckCounts counts the checks of a verdict.
type CheckCounts struct {
	Passed int `json:"passed"`
	Failed int `json:"failed" doc:"of any severity"`
}

// PortKind is the side a port is on.
type PortKind string

// The kinds of ports, in ODPS's sense.
const (
	PortInput      PortKind = "input"
	PortOutput     PortKind = "output"
	PortManagement PortKind = "management"
)

// Port is one port of a product.
type Port struct {
	Kind        PortKind           `json:"kind"`
	Name        string             `json:"name"`
	Version     string             `json:"version,omitempty"`
	Description string             `json:"description,omitempty"`
	Product     *weft.Name         `json:"product,omitempty" doc:"an input that is another product"`
	Source      string             `json:"source,omitempty" doc:"an input's place, without credentials"`
	Mode        contract.Mode      `json:"mode,omitempty"`
	Contract    string             `json:"contract,omitempty" doc:"file of the contract in the folder"`
	Tables      []string           `json:"tables,omitempty"`
	Position    *PortPosition      `json:"position,omitempty" doc:"how far an input was read"`
	Checks      []weft.CheckResult `json:"checks,omitempty" doc:"the checks of the last verdict on what an input gave"`
}

// PortPosition says in words how far an input was read.
type PortPosition struct {
	Read time.Time `json:"read"`
	Text string    `json:"text,omitempty"`
}

// Promise is one SLA property, with how it stands.
type Promise struct {
	Property string `json:"property" doc:"latency, frequency, retention, …"`
	Promised string `json:"promised"`
	Observed string `json:"observed,omitempty"`
	Kept     *bool  `json:"kept,omitempty" doc:"absent where it cannot be told"`
}

// TableDetail is one output table.
type TableDetail struct {
	Name        string             `json:"name" doc:"the address that SQL names"`
	Description string             `json:"description,omitempty"`
	Granularity string             `json:"granularity,omitempty" doc:"what one row is"`
	Key         []string           `json:"key,omitempty"`
	Columns     []ColumnDetail     `json:"columns"`
	Rows        int64              `json:"rows"`
	Held        int64              `json:"held" doc:"rows held back in quarantine"`
	Checks      []weft.CheckResult `json:"checks,omitempty" doc:"the checks of the last verdict on this table"`
	SQL         string             `json:"sql,omitempty" doc:"how the table is made from the inputs, empty for a pass-through"`
	Sample      *Rows              `json:"sample,omitempty" doc:"a few rows; values of classified columns are null"`
	Closed      string             `json:"closed,omitempty" doc:"why the asker may not read the rows, and whom to ask for what; absent where they can be read"`
	Hidden      []string           `json:"hidden,omitempty" doc:"columns whose values the sample and the statistics leave out because they are classified"`
}

// ColumnDetail is one column of an output table.
type ColumnDetail struct {
	Name           string       `json:"name"`
	Type           string       `json:"type" doc:"as SQL writes it"`
	BusinessName   string       `json:"businessName,omitempty"`
	Description    string       `json:"description,omitempty"`
	Required       bool         `json:"required"`
	Unique         bool         `json:"unique"`
	Key            bool         `json:"key" doc:"part of the primary key"`
	Classification string       `json:"classification,omitempty"`
	Unit           string       `json:"unit,omitempty"`
	References     []string     `json:"references,omitempty"`
	Shard          *weft.Shard  `json:"shard,omitempty" doc:"the table has only rows whose value in the column leaves the remainder"`
	Tags           []string     `json:"tags,omitempty"`
	NullShare      *float64     `json:"nullShare,omitempty" doc:"of a product of another node: the share of rows without a value, to a hundredth"`
	Stats          *ColumnStats `json:"stats,omitempty"`
}

// ColumnStats are what the last commit's rows say of a column. Min and Max are
// absent for classified columns.
type ColumnStats struct {
	Nulls    int64  `json:"nulls"`
	Distinct int64  `json:"distinct" doc:"an estimate above a million rows"`
	Min      string `json:"min,omitempty"`
	Max      string `json:"max,omitempty"`
	Mean     string `json:"mean,omitempty"`
}

// Snippet is a text to paste into a tool.
type Snippet struct {
	Tool string `json:"tool" doc:"weft, curl, pandas, …"`
	Text string `json:"text"`
}

// CommitInfo is a commit as lists and results show it.
type CommitInfo struct {
	weft.Commit
	Token  string `json:"token" doc:"the cut that reads exactly this commit"`
	Oldest bool   `json:"oldest,omitempty" doc:"the first one still readable; those before it have passed their retention"`
	// Damaged is set where the stored bytes are not what was written.
	Damaged string `json:"damaged,omitempty" doc:"why the commit cannot be read; then nothing but product and seq is known of it"`
}

// Quarantine is what a product holds back.
type Quarantine struct {
	Product weft.Name   `json:"product"`
	Seq     weft.Seq    `json:"seq" doc:"the commit it was read at"`
	Held    int64       `json:"held" doc:"all rows held back"`
	Tables  []HeldTable `json:"tables"`
}

// HeldTable is what one table holds back.
type HeldTable struct {
	Table   string    `json:"table"`
	Held    int64     `json:"held"`
	Columns []Column  `json:"columns"`
	Rows    []HeldRow `json:"rows" doc:"the first of them, up to the limit"`
}

// HeldRow is one row that broke its contract.
type HeldRow struct {
	Seq     weft.Seq          `json:"seq,omitempty" doc:"the commit that held it back"`
	Reasons []string          `json:"reasons" doc:"ids of the checks it broke"`
	Place   string            `json:"place,omitempty" doc:"where it stood in the source: file:line"`
	Values  []json.RawMessage `json:"values" doc:"in the order of columns"`
}
