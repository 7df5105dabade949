// Package transform makes a product's output tables: it runs the owner's SQL
// over the input ports and casts what comes out to the contract's types, or
// passes an input through. It also runs a folder's tests, for which neither a
// node nor a source is needed.
package transform
