// Package postgres reads tables and views of a PostgreSQL server: all tables of
// a port in one repeatable-read transaction, by binary COPY, decoded into Arrow.
//
// Types go to the closed table of docs/types.md; numeric without a precision is
// decimal(38,9), json, enums and everything that has no type there is text. A
// value that its type cannot hold (NaN in a decimal, a tenth decimal) rejects
// its row.
package postgres

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"weft"
	"weft/contract"
	"weft/ingest"
)

// Driver reads PostgreSQL servers.
type Driver struct {
	// ChunkRows and ChunkBytes bound what is decoded at a time, and with it the
	// memory that a read takes: 0 is 500,000 rows and 64 MB.
	ChunkRows  int
	ChunkBytes int
}

// New returns the driver of servers of type postgres.
func New() Driver { return Driver{} }

// Serves is true for PostgreSQL servers.
func (Driver) Serves(s *contract.Server) bool {
	return s.Type == "postgres" || s.Type == "postgresql"
}

// Modes lists snapshot, append and upsert.
func (Driver) Modes() []contract.Mode {
	return []contract.Mode{contract.ModeSnapshot, contract.ModeAppend, contract.ModeUpsert}
}

// Locations is empty: rows come over the network.
func (Driver) Locations(*contract.Server, string, func(string) (string, bool)) ([]string, error) {
	return nil, nil
}

// position says how far each table was read.
type position struct {
	Version int             `json:"v"`
	Tables  []tablePosition `json:"tables"`
	// Stamp is what the server's counters were at the read, where they prove that
	// nothing has changed as long as they are the same; empty where they do not.
	Stamp string `json:"stamp,omitempty"`
}

type tablePosition struct {
	Table  string `json:"table"`
	Digest string `json:"digest,omitempty"` // snapshot: hash of all rows as they came
	Cursor string `json:"cursor,omitempty"` // append and upsert: the largest value of the cursor column
	Edge   *edge  `json:"edge,omitempty"`   // the rows that had this value
}

func (p position) of(table string) tablePosition {
	for _, t := range p.Tables {
		if t.Table == table {
			return t
		}
	}
	return tablePosition{Table: table}
}

// Read stages the tables as they are at one moment.
func (d Driver) Read(ctx context.Context, r ingest.Request) (*ingest.Result, error) {
	var old position
	if len(r.Position) > 0 {
		if err := json.Unmarshal(r.Position, &old); err != nil || old.Version != 1 {
			return nil, weft.Errorf(weft.KindCorrupt, "read the position of the source", r.Where(), "it was not written by this kind of source").
				WithHint("if the input's server changed its type, apply the folder again to load from the start")
		}
	}
	if r.Mode() != contract.ModeSnapshot && r.Server.Cursor == "" {
		return nil, weft.Errorf(weft.KindInvalid, "read the source", r.Where(), "mode %s needs to know by which column to read on", r.Mode()).
			WithHint("set weftCursor on server %q to a column that grows with every change, such as updated_at", r.Server.Name)
	}
	conn, err := connect(ctx, r)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	tx, err := begin(ctx, conn)
	if err != nil {
		return nil, fault(ctx, r, "begin", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // read only: nothing to keep
	next, changed := position{Version: 1}, len(r.Position) == 0
	if r.Mode() == contract.ModeSnapshot {
		if next.Stamp, err = stamp(ctx, tx); err != nil {
			return nil, fault(ctx, r, "look for changes", err)
		}
		if next.Stamp != "" && next.Stamp == old.Stamp && old.names(r.Tables) {
			return &ingest.Result{Unchanged: true, Position: r.Position}, nil
		}
	}
	res := &ingest.Result{Keys: map[string][]string{}}
	var oids []uint32
	for _, w := range r.Tables {
		t, err := d.readTable(ctx, r, conn, w, old.of(w.Table.Name))
		if err != nil {
			return nil, err
		}
		res.Tables = append(res.Tables, t.out)
		res.Notes = append(res.Notes, t.notes...)
		if len(t.key) > 0 {
			res.Keys[w.Table.Name] = t.key
		}
		next.Tables, oids = append(next.Tables, t.at), append(oids, t.oid)
		changed = changed || t.changed
	}
	if next.Stamp != "" {
		if ok, err := stampable(ctx, conn, oids); err != nil {
			return nil, fault(ctx, r, "look for changes", err)
		} else if !ok {
			next.Stamp = ""
		}
	}
	if !changed && next.Stamp == old.Stamp {
		return &ingest.Result{Unchanged: true, Position: r.Position}, nil
	}
	if res.Position, err = json.Marshal(next); err != nil {
		return nil, weft.Errorf(weft.KindInternal, "record the position of the source", r.Where(), "%w", err)
	}
	if !changed {
		return &ingest.Result{Unchanged: true, Position: res.Position}, nil
	}
	return res, nil
}

// names reports whether the position is one of exactly these tables.
func (p position) names(ws []ingest.Want) bool {
	return slices.EqualFunc(p.Tables, ws, func(t tablePosition, w ingest.Want) bool { return t.Table == w.Table.Name })
}

// begin starts the one transaction in which everything is read. Rows must come
// in the same order each time, so that an unchanged table has the same digest.
func begin(ctx context.Context, conn *pgx.Conn) (pgx.Tx, error) {
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec(ctx, "SET LOCAL synchronize_seqscans = off; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL statement_timeout = 0; "+
		"SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; SET LOCAL intervalstyle = 'postgres'") // what hashes of rows are made of
	return tx, err
}

// read is the reading of one table.
type read struct {
	r       ingest.Request
	conn    *pgx.Conn
	oid     uint32
	name    string // quoted, with its schema
	columns []column
	bound   []ingest.Binding
	key     []string
	late    string // a SELECT of rows that came later with the cursor's last value, empty for none
	none    bool   // nothing but those
	where   string
	at      tablePosition
	changed bool
	out     ingest.Staged
	notes   []string
}

func (d Driver) readTable(ctx context.Context, r ingest.Request, conn *pgx.Conn, w ingest.Want, old tablePosition) (*read, error) {
	t := &read{r: r, conn: conn, at: tablePosition{Table: w.Table.Name}}
	t.out = ingest.Staged{Port: r.PortName(), Table: w.Table.Name, Full: r.Mode() == contract.ModeSnapshot}
	if err := t.describe(ctx, w); err != nil {
		return nil, err
	}
	if err := t.bind(w); err != nil {
		return nil, err
	}
	if r.Mode() != contract.ModeSnapshot {
		more, err := t.span(ctx, old)
		if err != nil || !more {
			return t, err
		}
		t.changed = true
	}
	digest, err := d.copyTable(ctx, t)
	if err != nil {
		return nil, err
	}
	if r.Mode() == contract.ModeSnapshot {
		t.at.Digest = digest
		t.changed = digest != old.Digest
	}
	return t, nil
}

// closeConn ends the connection without waiting for a server that is gone.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = conn.Close(ctx) // reading is over either way
}
