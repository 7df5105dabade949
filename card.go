package weft

import "time"

// Card is the description of a product that its origin signs and that travels to
// every node of the mesh. It holds no values of the data: names, types, texts and
// promises only. It changes when the folder does; what a commit changes is in the
// CardHead. Readers take fields that they do not know for nothing.
type Card struct {
	ID       string       `json:"id"` // the product's random, immutable identity
	Product  Name         `json:"product"`
	Origin   KeyID        `json:"origin"`             // the node that holds it
	Document string       `json:"document,omitempty"` // the id its ODPS document gives
	Version  string       `json:"version,omitempty"`
	Life     Life         `json:"life"`
	Purpose  string       `json:"purpose,omitempty"`
	Limits   string       `json:"limitations,omitempty"`
	Usage    string       `json:"usage,omitempty"`
	Owner    string       `json:"owner,omitempty"`   // the team
	Support  []Contact    `json:"support,omitempty"` // where to ask
	Tags     []string     `json:"tags,omitempty"`
	Readers  []string     `json:"readers,omitempty"` // domains that may read a port of it besides its own, "*" for all
	Ports    []CardPort   `json:"ports,omitempty"`
	Tables   []CardTable  `json:"tables,omitempty"`   // of the output ports
	Promises []CardPledge `json:"promises,omitempty"` // the SLA
	// Deprecated is set where the life is deprecated.
	Deprecated *Deprecation `json:"deprecated,omitempty"`
	// Shortened is set where texts or columns were left out, for the card to fit
	// into a record.
	Shortened bool `json:"shortened,omitempty"`
}

// Contact is where to ask about a product.
type Contact struct {
	Channel string `json:"channel"`
	URL     string `json:"url,omitempty"`
}

// Deprecation says until when a product is served and what takes its place.
type Deprecation struct {
	Until       *time.Time `json:"until,omitempty"`
	Replacement *Name      `json:"replacement,omitempty"`
}

// CardPort is a port in ODPS's sense.
type CardPort struct {
	Kind    string `json:"kind"` // input, output, management
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	// Type is how the port is spoken to: of an input the kind of its source (local,
	// postgres, http, product), of an output always "tables".
	Type    string `json:"type,omitempty"`
	Product *Name  `json:"product,omitempty"` // an input that is another product
	// Readers, of an output, are the domains that may read its tables besides its own.
	Readers []string `json:"readers,omitempty"`
	// Replicas, of an output, is the consent to copies at other nodes; absent for none.
	Replicas *CardReplicas `json:"replicas,omitempty"`
}

// CardReplicas is an owner's consent to copies of a product.
type CardReplicas struct {
	Domains []string `json:"domains"` // whose nodes may keep one, "*" for all
	Seconds int64    `json:"seconds"` // for how long one may be used while the origin cannot be reached
}

// CardTable is one output table.
type CardTable struct {
	Name        string       `json:"name"` // the table alone: "lines" of sales.orders.lines
	Port        string       `json:"port"` // the output port
	Description string       `json:"description,omitempty"`
	Granularity string       `json:"granularity,omitempty"` // what one row is
	Key         []string     `json:"key,omitempty"`
	Tags        []string     `json:"tags,omitempty"`
	Columns     []CardColumn `json:"columns"`
	// Uses are the columns that decide which rows there are, without being in
	// them: of joins, filters and groups. Like CardColumn.From.
	Uses []Source `json:"uses,omitempty"`
}

// CardColumn is one column of an output table.
type CardColumn struct {
	Name         string `json:"name"`
	Type         string `json:"type"` // as SQL writes it
	BusinessName string `json:"businessName,omitempty"`
	Description  string `json:"description,omitempty"`
	Required     bool   `json:"required,omitempty"`
	Unique       bool   `json:"unique,omitempty"`
	// Shard, where it is set, says which rows of something larger the table has, by the
	// column's values.
	Shard          *Shard   `json:"shard,omitempty"`
	Classification string   `json:"classification,omitempty"`
	Unit           string   `json:"unit,omitempty"`
	Tags           []string `json:"tags,omitempty"`
	References     []string `json:"references,omitempty"` // "table.column" of the same product, or "domain.product.table.column"
	From           []Source `json:"from,omitempty"`       // the columns that the SQL makes it from
}

// Source is a column that another one is made from, as the SQL says.
type Source struct {
	// Product is the product that it is in; absent where it is in the product's own
	// source, at the input port Port.
	Product *Name  `json:"product,omitempty"`
	Port    string `json:"port,omitempty"`
	Table   string `json:"table"` // empty: the product's main table, whose name was not known
	// Column is "*" where it may be any of the table, and "" where the number of the
	// rows counts and no column does.
	Column string     `json:"column"`
	How    Derivation `json:"how"`
}

// Equal reports whether two sources say the same.
func (s Source) Equal(o Source) bool {
	if (s.Product == nil) != (o.Product == nil) || s.Product != nil && *s.Product != *o.Product {
		return false
	}
	s.Product, o.Product = nil, nil
	return s == o
}

// Derivation says how a column is made from another, in OpenLineage's words.
type Derivation string

// The ways a column is made from another.
const (
	DeriveIdentity    Derivation = "identity"    // the same value
	DeriveTransform   Derivation = "transform"   // an expression over it
	DeriveAggregate   Derivation = "aggregate"   // an aggregate or a window over it
	DeriveJoin        Derivation = "join"        // rows are matched by it
	DeriveFilter      Derivation = "filter"      // rows are chosen by it
	DeriveGroup       Derivation = "group"       // rows are grouped by it
	DeriveSort        Derivation = "sort"        // rows are ordered by it, where that decides which there are
	DeriveConditional Derivation = "conditional" // it decides which of several values is taken
)

// CardPledge is one SLA property that is promised.
type CardPledge struct {
	Property string `json:"property"` // latency, frequency, retention
	Promised string `json:"promised"`
}

// CardHead is the small part of a card that a commit changes. It is signed by the
// origin as well and travels at most once a second for each product.
type CardHead struct {
	Point
	Origin  KeyID       `json:"origin"`
	State   State       `json:"state"`
	Checked time.Time   `json:"checked"`        // when the state was looked at last
	Held    int64       `json:"held,omitempty"` // rows held back in quarantine
	Passed  int         `json:"passed"`         // checks of the last verdict that hold
	Failed  int         `json:"failed"`         // checks of the last verdict that do not, of any severity
	Bytes   int64       `json:"bytes"`          // size on the origin's disk
	Tables  []TableHead `json:"tables,omitempty"`
}

// Rows are the rows of all output tables.
func (h *CardHead) Rows() (n int64) {
	for _, t := range h.Tables {
		n += t.Rows
	}
	return n
}

// TableHead is what there is of one output table at the head.
type TableHead struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
	// Nulls is the share of rows without a value by column, rounded to a hundredth;
	// columns without any are left out. Absent where it is not known yet.
	Nulls map[string]float64 `json:"nulls,omitzero"`
}
