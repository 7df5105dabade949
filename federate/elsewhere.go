package federate

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/contract"
	"weft/engine"
)

// Elsewhere is how the reader asks other nodes. Safe for concurrent use.
type Elsewhere interface {
	// Far gives what is known here of a product of another node, nil where nothing is,
	// or nothing that the subject may know of. An error says why a name that is known
	// resolves to nothing.
	Far(s weft.Subject, n weft.Name) (*Far, error)
	// Near finds the product of another node that a word is nearest to, if it is near
	// enough to have been meant and the subject may know of it.
	Near(s weft.Subject, word string) (weft.Name, bool)
	// Ask has a node answer a question over its own products. The rows were checked
	// for being what they say; that they are what was asked for is the caller's to see.
	Ask(ctx context.Context, node weft.KeyID, q FarQuestion) (*weft.Answer, error)
	// Points are the states at which a node's products are now, or are where At says.
	Points(ctx context.Context, node weft.KeyID, s weft.Subject, products []weft.Name, at weft.At) (weft.Cut, error)
	// MayRead says whether a node could read a table of a product itself: only then do
	// values of it go there.
	MayRead(node weft.KeyID, f *Far, table string) bool
	// Called is what people call a node.
	Called(node weft.KeyID) string
}

// Far is a product of another node, as its signed card and head say.
type Far struct {
	Name   weft.Name
	Node   weft.KeyID
	Tables []FarTable
}

// FarTable is a table of a Far.
type FarTable struct {
	Name    string
	Columns []FarColumn
	Key     []string
	Rows    int64 // at the head that is known, 0 where none is
}

// FarColumn is a column of a FarTable. An unknown type is not held against what comes.
type FarColumn struct {
	Name   string
	Type   contract.Type
	Unique bool
	Shard  *weft.Shard // by which the table is one; nil for none
}

// FarQuestion is what one node is asked.
type FarQuestion struct {
	weft.Question
	// Keys are tables of values that the SQL names, under engine.KeysSchema.
	Keys []Enclosed
	// Guests are rows of other nodes' tables that the SQL names, under engine.GuestsSchema: the
	// last step of the question runs where it is asked.
	Guests []Enclosed
	// Shards are what the asker counts on: with other rows in these tables it would have
	// asked something else.
	Shards []TableShard
	// Fixed, where it is set, is told by whoever answers at which states the rows will be, and how many rows
	// of them are held back, as soon as that is known: before the first row, and once. An
	// error of it ends the question.
	Fixed func(cut weft.Cut, held int64) error
}

// TableShard says by which column a table is a shard, and which.
type TableShard struct {
	Product weft.Name
	Table   string
	Column  string
	Shard   weft.Shard
}

// Enclosed is a table that comes with a question: of keys, which are one column, k, or of guests.
type Enclosed struct {
	Name    string
	Schema  *arrow.Schema
	Batches []arrow.RecordBatch
}

// source is how a worker sees it, as a table of a schema.
func (e Enclosed) source(schema string) engine.Source {
	return engine.Source{Name: schema + "." + e.Name, Schema: e.Schema, Batches: e.Batches}
}

// view is what the SQL names.
func (e Enclosed) view(schema string) engine.View {
	return engine.View{Schema: schema, Name: e.Name, SQL: TypedColumns(e.Schema, e.source(schema).Name)}
}
