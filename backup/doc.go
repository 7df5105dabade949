// Package backup keeps states of a node's data in one folder: it saves a new
// one beside the old, copying only what is not there yet, restores one into an
// empty data folder, checks all of them, and lets go of the oldest.
//
// The folder is
//
//	backup.json                        what this is, and of which version
//	states/<time>.json                 one state: every product's commit and what it consists of
//	products/<id>/files/…              data files, shared by all states that name them
//	products/<id>/journal/<inc>/…      segments of the journal; a state says how far it needs them
//	blobs/<digest>                     small files by content: manifests, the books, keys
//	lock                               held by the one process that writes
//
// Nothing that a state names is ever written over: files are immutable and named
// by a random part, segments only grow, blobs are named by their digest. A state
// is written last, as a whole; until then the states before are all there is.
package backup
