package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	_ "modernc.org/sqlite" // the driver registers itself under "sqlite"

	"weft"
)

// Books is the node's database. Safe for concurrent use; every change is
// durable when the call returns.
type Books struct {
	db *sql.DB
}

// version is the schema's version, kept in PRAGMA user_version.
const version = 1

const schema = `
CREATE TABLE product (
  id       TEXT PRIMARY KEY,
  name     TEXT NOT NULL UNIQUE,
  folder   TEXT NOT NULL,
  dir      TEXT NOT NULL,
  revision TEXT NOT NULL,
  env      TEXT NOT NULL,
  applied  INTEGER NOT NULL,
  paused   INTEGER NOT NULL DEFAULT 0,
  retired  INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE folder (
  hash    TEXT PRIMARY KEY,
  archive BLOB NOT NULL
) STRICT;
CREATE TABLE attempt (
  product TEXT NOT NULL REFERENCES product(id) ON DELETE CASCADE,
  started INTEGER NOT NULL,
  ended   INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  seq     INTEGER NOT NULL,
  body    BLOB NOT NULL
) STRICT;
CREATE INDEX attempt_product ON attempt(product, started DESC);
CREATE TABLE token (
  name    TEXT PRIMARY KEY,
  digest  BLOB NOT NULL UNIQUE,
  scopes  TEXT NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  used    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE deleted (
  name TEXT NOT NULL,
  id   TEXT NOT NULL,
  time INTEGER NOT NULL
) STRICT;`

// Open opens the books at path, making them where there are none. Books of a
// newer version are refused; the file is readable by its owner only.
func Open(ctx context.Context, path string) (*Books, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, wrap("open the node's books", err)
	}
	if err := f.Close(); err != nil {
		return nil, wrap("open the node's books", err)
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=busy_timeout(5000)")
	if err != nil {
		return nil, wrap("open the node's books", err)
	}
	db.SetMaxOpenConns(1) // one writer; reads are few and short
	b := &Books{db: db}
	if err := b.upgrade(ctx); err != nil {
		_ = db.Close()
		return nil, err
	}
	return b, nil
}

func (b *Books) upgrade(ctx context.Context) error {
	var v int
	if err := b.db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&v); err != nil {
		return wrap("read the version of the node's books", err)
	}
	switch {
	case v == version:
		return nil
	case v > version:
		return weft.Errorf(weft.KindConflict, "open the node's books", "", "they were written by a newer Weft (format %d, this one knows %d)", v, version).
			WithHint("run the newer program, or another data folder")
	}
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return wrap("make the node's books", err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return wrap("make the node's books", err)
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version=%d", version)); err != nil {
		return wrap("make the node's books", err)
	}
	return wrap("make the node's books", tx.Commit())
}

// Close closes the books. Idempotent.
func (b *Books) Close() error { return b.db.Close() }

// wrap gives a database error its words; nil stays nil.
func wrap(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &weft.Error{Op: op, Kind: weft.KindCancelled, Cause: err}
	default:
		return &weft.Error{Op: op, Kind: weft.KindUnavailable, Cause: err, Hint: "look at the data folder: is the disk full or not writable?"}
	}
}
