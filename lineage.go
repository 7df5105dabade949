package weft

import "time"

// LineageKind says what a node of a lineage is.
type LineageKind string

// The kinds of nodes.
const (
	LineageProduct LineageKind = "product"
	LineageTable   LineageKind = "table"   // a table of a product, and its rows
	LineageColumn  LineageKind = "column"  // a column of a product's table
	LineageSource  LineageKind = "source"  // what a product reads at its origin: a table of an input port, or a column of it
	LineageOutside LineageKind = "outside" // a dataset that is no product's, or a column of it, which somebody told of
	LineageJob     LineageKind = "job"     // what reads and writes datasets outside, which somebody told of
	LineageUnknown LineageKind = "unknown" // a product that is not known here, or hidden
)

// Lineage is a part of what is made from what.
type Lineage struct {
	Of    string        `json:"of" doc:"the id of the node that was asked for"`
	Nodes []LineageNode `json:"nodes" doc:"the one that was asked for first, then the nearer ones before others"`
	Edges []LineageEdge `json:"edges"`
	// Cut is set where there are more than are given.
	Cut bool `json:"cut,omitempty" doc:"there are more nodes than fit into one answer"`
}

// LineageNode is one place of a lineage.
type LineageNode struct {
	ID      string      `json:"id" doc:"the address; unique in the answer"`
	Kind    LineageKind `json:"kind" doc:"product, table, column, source, outside, job, unknown"`
	Product *Name       `json:"product,omitempty" doc:"the product that it is in, or that reads it"`
	Port    string      `json:"port,omitempty" doc:"of a source: the input port"`
	Table   string      `json:"table,omitempty"`
	Column  string      `json:"column,omitempty"`
	Type    string      `json:"type,omitempty" doc:"of a column as SQL writes it, of a source how it is read"`

	Namespace string `json:"namespace,omitempty" doc:"of what is outside, in OpenLineage's sense"`
	Name      string `json:"name,omitempty" doc:"of what is outside, in OpenLineage's sense"`

	Life    Life       `json:"life,omitempty"`
	State   State      `json:"state,omitempty" doc:"of the product, as its origin saw it last"`
	Changed *time.Time `json:"changed,omitempty" doc:"time of the product's last commit, by its origin's clock"`
	AsOf    *time.Time `json:"asOf,omitempty" doc:"when this node heard of the product's state last"`
	Away    bool       `json:"away,omitempty" doc:"the origin cannot be reached now"`

	More bool `json:"more,omitempty" doc:"there is more beyond it, which the depth or the size left out"`
}

// LineageEdge says that a node is made from another, or depends on it.
type LineageEdge struct {
	From string       `json:"from"`
	To   string       `json:"to"`
	How  []Derivation `json:"how,omitempty" doc:"identity, transform, aggregate, conditional, join, filter, group, sort; absent between products"`
}

// Direction says which way a lineage goes.
type Direction string

// The directions.
const (
	Upstream   Direction = "upstream"   // what it is made from
	Downstream Direction = "downstream" // what is made from it
	BothWays   Direction = "both"
)
