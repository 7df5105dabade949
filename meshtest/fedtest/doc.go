// Package fedtest holds what questions over many nodes are held against: the tables and
// questions of TPC-H and made-up ones, laid out over nodes as products, one engine that
// has them all in one place, and the comparison of two answers. It is for tests and
// measurements.
package fedtest
