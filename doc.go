// Package weft holds the words of the data mesh: names, cuts, commits,
// subjects, questions and answers, errors, and the few interfaces that two
// floors of the house need. Everything imports it and it imports nothing of
// ours; it knows the standard library and Arrow only.
//
// docs/design.md explains the words; the floors and who may import whom are
// held by TestFloors.
package weft
