// Package publish turns a verified candidate into a commit: it finds out what
// each table's new rows change against the state before, in the engine and not
// row by row, and appends it all at once. Where nothing changed there is no
// commit.
package publish
