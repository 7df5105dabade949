// Package ingest brings sources in: it reads what an input port's contract
// names and stages it as Parquet files, one set per table, with the rows that
// could not be read beside them. A source is acknowledged only after its rows
// are in a durable commit.
//
// The drivers are leaves (ingest/files, ingest/web, ingest/postgres); Drivers
// picks the one that serves a server. What they share is here: matching columns
// and naming drift, casts that lose nothing, inference, positions.
package ingest
