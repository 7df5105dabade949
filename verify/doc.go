// Package verify holds a candidate against its contract, in as few scans as
// possible, and says pass, quarantine or refuse, with evidence.
//
// Rules are of three sorts. Row rules (required, enum, range, pattern, …) say
// of one row whether it is good; a NULL answer counts as good. Unique rules say
// of one row whether an earlier one has its key. Table rules (counts, shares,
// SQL) give one number about the whole table as it would be published; no
// number (NULL) means that there was nothing to measure, and holds.
//
// A broken rule of severity error acts as the table's contract says: refuse the
// whole commit, or hold the bad rows back. Table rules always refuse. Warnings
// and infos are only recorded.
package verify
