// Package catalog holds the cards of the whole mesh in memory and finds products in
// them: a fold over the records that a node holds, with no network of its own.
//
// A card is kept as it came, packed, and is unpacked when somebody asks for it. What
// is searched is an index of words in a few immutable parts; a head touches one word
// of memory beside it and nothing else, so that health counts in the ranking from
// the moment that a head arrives. Searches take no lock.
//
// What lies in the folder is derived from the records: it saves a restart the work
// of reading every card, and may be deleted at any time.
package catalog
