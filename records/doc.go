// Package records keeps the node's own books in SQLite: applied folders,
// tokens, saved cuts and holds, and what became of each attempt to load a product. Everything else a
// node knows is in its products' stores.
package records
