package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// stamp is what the server says of the moment that tx reads at, in words that are
// the same only where every row of every ordinary table is: decision 0006 says
// why. It is empty where the server is busy writing, or cannot say.
func stamp(ctx context.Context, tx pgx.Tx) (string, error) {
	inner, err := tx.Begin(ctx) // a server that is only like PostgreSQL may lack a word
	if err != nil {
		return "", err
	}
	defer func() { _ = inner.Rollback(context.WithoutCancel(ctx)) }()
	var started, counters, database, snapshot string
	err = inner.QueryRow(ctx, `SELECT pg_postmaster_start_time()::text, coalesce((SELECT stats_reset::text FROM pg_stat_bgwriter), ''),
(SELECT oid::text FROM pg_database WHERE datname = current_database()), txid_current_snapshot()::text`).Scan(&started, &counters, &database, &snapshot)
	if errors.As(err, new(*pgconn.PgError)) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	// xmin:xmax:running. Only where nothing runs does the text name one state.
	if p := strings.Split(snapshot, ":"); len(p) != 3 || p[0] != p[1] || p[2] != "" || counters == "" {
		return "", nil
	}
	return strings.Join([]string{started, counters, database, snapshot}, "|"), nil
}

// stampable says whether every one of the tables holds rows of its own that only
// transactions change: no view, nothing foreign or unlogged, no row policies, in
// all of its partitions.
func stampable(ctx context.Context, conn *pgx.Conn, oids []uint32) (bool, error) {
	var ok bool
	err := conn.QueryRow(ctx, `WITH RECURSIVE t AS (SELECT unnest($1::oid[]) AS oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN t ON i.inhparent = t.oid)
SELECT NOT EXISTS (SELECT FROM t JOIN pg_class c ON c.oid = t.oid WHERE c.relkind NOT IN ('r', 'p') OR c.relpersistence <> 'p' OR c.relrowsecurity)`, oids).Scan(&ok)
	return ok, err
}
