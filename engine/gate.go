package engine

import (
	"context"
	"time"

	"weft"
)

// The limits of a query's text and tree. They bound what the engine's parser
// and binder are given, whose cost is not linear in the text.
const (
	MaxText   = 256 << 10 // bytes of SQL
	MaxNodes  = 5000      // expressions, tables and queries in the tree
	MaxDepth  = 64        // nesting of the tree; a chain of one operator counts once
	MaxArrows = 10        // chained -> and ->>
)

// gateOp is what every refusal of the gate says was being done.
const gateOp = "read the query"

// TableRef is a table as a query names it.
type TableRef struct {
	// Parts are the one to three words of the name as written: a port or a
	// table, domain.product, or domain.product.table.
	Parts []string
	// At is the state that the query asks for of this table, nil for the cut's.
	At *AtClause
	// Offset is where the name stands in the text, in bytes; -1 where unknown.
	Offset int
}

// AtClause is AT (TIMESTAMP => …) or AT (VERSION => n): one of the two is set.
type AtClause struct {
	Time *time.Time
	Seq  *weft.Seq
}

// Target is the view that stands for a table in the session that runs the
// query. An empty Schema is the session's default one.
type Target struct {
	Schema string
	Table  string
}

// Resolver finds the view for a table. It is called once per mention, in no
// order that may be relied on, by one goroutine. What it does not know, or what
// the subject may not see, is an error of KindNotFound with suggestions in the
// hint; every error of it is what Bind returns.
type Resolver func(ref TableRef) (Target, error)

// Rules says what a query may name and which time it is.
type Rules struct {
	Resolve Resolver
	// Now is the time of the cut, which now() and its like become; nil is the
	// machine's clock.
	Now func() time.Time
	// Owner marks a product's own SQL. It passes the same walker with the same
	// functions; only what its tables resolve to differs.
	Owner bool
	// Keys is what SpanOf says of the keys of a name that came with the question; nil knows
	// of none.
	Keys func(name string) Span
}

// Bound is a query that passed the gate.
type Bound struct {
	// SQL is what to run: one SELECT over the views of Tables, with the times
	// pinned. Bind gives it back unchanged.
	SQL string
	// Else is what to run where the engine cannot bind SQL, "" for nothing else.
	Else string
	// Tables are the tables as written, each distinct name and state once.
	Tables []TableRef
	// Columns are the columns that the query reads of each view, sorted, as
	// written; nil is all of them, because a star, a whole row, a NATURAL JOIN or a
	// pattern reaches them. A name without a table counts for every table that it
	// may mean, so intersect the list with the columns that a table has.
	Columns map[Target][]string
	// Maybe is the part of Columns that may belong to another table of the query,
	// or be a name that its select list gives.
	Maybe map[Target][]string
	// Unrepeatable says that the query asks for chance: asked again at the same
	// cut it may give other rows.
	Unrepeatable bool
	// Count is set where the query asks for nothing but the number of a table's
	// rows: who knows that number need not scan.
	Count *CountOf
	// Ordered says that the whole query has an ORDER BY.
	Ordered bool
	// Endless says that the query makes rows of its own, by recursion or a long
	// series: what it takes is not known from the size of its tables.
	Endless bool
}

// Parser is what Bind needs of a Session; a Memo is one that remembers.
type Parser interface {
	Parse(ctx context.Context, text string) ([]byte, error)
	Deparse(ctx context.Context, tree []byte) (string, error)
}

// Bind takes a query through the gate: limits, the engine's own parser, the
// walker that knows every construct it lets pass, tables to views, functions by
// the list in docs/functions.md, and back to SQL. The SQL is parsed once more
// and must give the tree that was checked, so what runs is what was walked.
// A refusal is of KindInvalid, of KindLimit, or the resolver's.
func Bind(ctx context.Context, s Parser, text string, r Rules) (*Bound, error) {
	w, tree, err := walked(ctx, s, text, r)
	if err != nil {
		return nil, err
	}
	var back []func()
	keepOne := streams(asObject(tree.stmt["node"]))
	for _, f := range w.exact {
		if b := f(keepOne); b != nil {
			back = append(back, b)
		}
	}
	sql, err := writeBack(ctx, s, tree)
	if err != nil {
		return nil, err
	}
	b := w.bound(sql)
	if len(back) > 0 {
		for _, f := range back {
			f()
		}
		if b.Else, err = writeBack(ctx, s, tree); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// walked parses a query and has the walker go through its tree.
func walked(ctx context.Context, s Parser, text string, r Rules) (*walker, *syntax, error) {
	if err := checkText(text); err != nil {
		return nil, nil, err
	}
	b, err := s.Parse(ctx, text)
	if err != nil {
		return nil, nil, err
	}
	tree, err := readTree(b, text)
	if err != nil {
		return nil, nil, err
	}
	w := newWalker(text, r)
	return w, tree, w.walk(tree)
}

// writeBack turns the walked tree into SQL and holds the SQL against it: the
// engine's writer is not exact for every tree (it drops the parentheses of some
// joins, for one), and a query must never run as another one.
func writeBack(ctx context.Context, s Parser, tree *syntax) (string, error) {
	b, err := tree.encode()
	if err != nil {
		return "", weft.Errorf(weft.KindInternal, gateOp, "", "write the syntax tree: %w", err)
	}
	m, _ := s.(*remembering)
	if sql, ok := m.written(b); ok {
		return sql, nil
	}
	sql, err := s.Deparse(ctx, b)
	if err != nil {
		if k := weft.KindOf(err); k == weft.KindUnavailable || k == weft.KindCancelled {
			return "", err
		}
		return "", notFaithful(err)
	}
	back, err := s.Parse(ctx, sql)
	if err != nil {
		return "", err
	}
	again, err := readTree(back, sql)
	if err != nil {
		return "", notFaithful(err)
	}
	if !tree.same(again) {
		return "", notFaithful(nil)
	}
	m.wrote(b, sql)
	return sql, nil
}

func notFaithful(cause error) error {
	return &weft.Error{
		Op: gateOp, Kind: weft.KindInvalid, Cause: cause,
		Message: "the engine cannot write this query back the way it was read",
		Hint:    "simplify joins in parentheses: join one table after the other, or put the inner join into (SELECT …) with a name",
	}
}
