// Package engine is DuckDB, and the only package that knows it: the typed
// syntax tree and its walker, workers, and streams in and out as Arrow.
//
// No SQL runs in the node's own process. Every statement runs in a worker: a
// child process of the same binary with a memory limit of the operating
// system, no keys and a locked configuration. A crash costs one statement.
package engine
