// Package store keeps one product's journal, files and cuts: append, follow,
// read as of, compact, verify. Everything is files in open formats; the engine
// reads and writes them and holds no state of record.
package store
