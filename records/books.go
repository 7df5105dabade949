package records

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite" // the driver registers itself under "sqlite"

	"weft"
)

// Books is the node's database. Safe for concurrent use; every change is
// durable when the call returns.
type Books struct {
	db       *sql.DB
	path     string
	closed   sync.Once
	upgraded string
	sealed   bool
}

// version is the version of the books, kept in PRAGMA user_version: the data
// folder's (docs/format/versions.md). The magic is in PRAGMA application_id.
const (
	version = 2
	magic   = 0x57454654 // "WEFT"
)

// SavedDir is the folder beside the books that keeps them as they were before an
// upgrade.
var SavedDir = fmt.Sprintf("before-%d", version)

// upgrades are what brings books of a version, the key, to the next one.
var upgrades = map[int]string{
	1: fmt.Sprintf("PRAGMA application_id=%d", magic),
}

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

// derived are tables that an older program does without: they can be made again from
// the others, or from what others tell again; or they say what was used, of which it
// books nothing.
const derived = `
CREATE TABLE IF NOT EXISTS brief (
  product TEXT PRIMARY KEY REFERENCES product(id) ON DELETE CASCADE,
  folder  TEXT NOT NULL,
  body    BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS card (
  product TEXT PRIMARY KEY REFERENCES product(id) ON DELETE CASCADE,
  body    BLOB NOT NULL,
  head    BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS told (
  job_namespace TEXT NOT NULL,
  job_name      TEXT NOT NULL,
  namespace     TEXT NOT NULL,
  name          TEXT NOT NULL,
  output        INTEGER NOT NULL,
  columns       BLOB,
  time          INTEGER NOT NULL,
  PRIMARY KEY (job_namespace, job_name, namespace, name, output)
) STRICT;
CREATE INDEX IF NOT EXISTS told_time ON told(time);
CREATE TABLE IF NOT EXISTS usage (
  day     INTEGER NOT NULL,
  node    TEXT NOT NULL,
  kind    TEXT NOT NULL,
  subject TEXT NOT NULL,
  purpose TEXT NOT NULL,
  product TEXT NOT NULL,
  node_name      TEXT NOT NULL,
  domains        TEXT NOT NULL,
  questions      INTEGER NOT NULL,
  questions_once INTEGER NOT NULL,
  refused        INTEGER NOT NULL,
  refused_once   INTEGER NOT NULL,
  rows           INTEGER NOT NULL,
  bytes          INTEGER NOT NULL,
  seconds        REAL NOT NULL,
  given_rows     INTEGER NOT NULL,
  given_bytes    INTEGER NOT NULL,
  PRIMARY KEY (day, node, kind, subject, purpose, product)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spent (
  rule    TEXT NOT NULL,
  account TEXT NOT NULL,
  slot    INTEGER NOT NULL,
  until   INTEGER NOT NULL,
  rows    INTEGER NOT NULL,
  bytes   INTEGER NOT NULL,
  seconds REAL NOT NULL,
  PRIMARY KEY (rule, account, slot)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS spent_until ON spent(until);
CREATE TABLE IF NOT EXISTS pace (
  size    INTEGER PRIMARY KEY,
  seconds REAL NOT NULL,
  bytes   REAL NOT NULL,
  count   INTEGER NOT NULL
) STRICT;`

// Open opens the books at path, making them where there are none. Books of a
// newer version are refused; the file is readable by its owner only.
func Open(ctx context.Context, path string) (*Books, error) {
	if err := checkSeal(path); err != nil {
		var known *weft.Error
		if errors.As(err, &known) {
			return nil, known
		}
		return nil, wrap("open the node's books", err)
	}
	if v, err := versionOf(path); err == nil && v > version {
		return nil, newer(path, v)
	}
	sealed := hasSeal(path)
	if err := breakSeal(path); err != nil {
		return nil, wrap("open the node's books", err)
	}
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
	b := &Books{db: db, path: path, sealed: sealed}
	if err := b.upgrade(ctx, path); err != nil {
		_ = db.Close()
		return nil, err
	}
	if _, err := db.ExecContext(ctx, derived+cutTables); err != nil {
		_ = db.Close()
		return nil, wrap("open the node's books", err)
	}
	return b, nil
}

// Upgraded is the folder that keeps the books of an older version which this
// Open has upgraded; empty where there was nothing to upgrade.
func (b *Books) Upgraded() string { return b.upgraded }

// Sealed reports whether the books were closed cleanly before this Open: then what
// was to be written at the end is in them.
func (b *Books) Sealed() bool { return b.sealed }

// upgrade makes new books, or brings those of an older version to this one after
// saving them. It may be interrupted anywhere: the version changes in the same
// transaction as the rest.
func (b *Books) upgrade(ctx context.Context, path string) error {
	var v, app, tables int
	err := b.db.QueryRowContext(ctx, "SELECT (SELECT user_version FROM pragma_user_version), (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)").Scan(&v, &app, &tables)
	if err != nil {
		return wrap("read the version of the node's books", err)
	}
	switch {
	case v > 1 && app != magic, v == 0 && tables > 0:
		return weft.Errorf(weft.KindCorrupt, "open the node's books", "", "the file is a database, and none of Weft's").
			WithHint("restore the data folder from a backup")
	case v == version:
		return nil
	case v > version:
		return newer(path, v)
	}
	steps := []string{schema, fmt.Sprintf("PRAGMA application_id=%d", magic)}
	if v > 0 {
		if err := b.save(ctx, path); err != nil {
			return err
		}
		steps = nil
		for ; v < version; v++ {
			steps = append(steps, upgrades[v])
		}
	}
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return wrap("make the node's books", err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, sql := range append(steps, fmt.Sprintf("PRAGMA user_version=%d", version)) {
		if _, err := tx.ExecContext(ctx, sql); err != nil {
			return wrap("make the node's books", err)
		}
	}
	return wrap("make the node's books", tx.Commit())
}

// newer refuses books, or their seal, of a version that is yet to come.
func newer(path string, v int) *weft.Error {
	return weft.Errorf(weft.KindConflict, "open the node's books", path, "they were written by a newer Weft (format %d, this one knows %d)", v, version).
		WithHint("run the newer program, or another data folder")
}

// versionOf reads the version that the head of a database's file says, without
// opening it: that would change files beside it.
func versionOf(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 100)
	if _, err := io.ReadFull(f, head); err != nil || string(head[:16]) != "SQLite format 3\x00" {
		return 0, errNoDatabase
	}
	return int(binary.BigEndian.Uint32(head[60:])), nil
}

var errNoDatabase = errors.New("the file is no SQLite database")

// save writes the books as they are into SavedDir: whole or not at all.
func (b *Books) save(ctx context.Context, path string) error {
	const op = "save the node's books before the upgrade"
	dir := filepath.Join(filepath.Dir(path), SavedDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return wrap(op, err)
	}
	to := filepath.Join(dir, filepath.Base(path))
	tmp := to + ".tmp"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return wrap(op, err)
	}
	if _, err := b.db.ExecContext(ctx, "VACUUM INTO ?", tmp); err != nil {
		return wrap(op, err)
	}
	err := os.Chmod(tmp, 0o600)
	for _, p := range []string{tmp, dir, filepath.Dir(dir)} {
		err = errors.Join(err, syncPath(p))
	}
	if err == nil {
		err = os.Rename(tmp, to)
	}
	if err = errors.Join(err, syncPath(dir)); err != nil {
		return wrap(op, err)
	}
	b.upgraded = dir
	return nil
}

// syncPath makes a file, or the names in a folder, durable.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Close closes the books and seals them. Idempotent.
func (b *Books) Close() (err error) {
	b.closed.Do(func() {
		if err = b.db.Close(); err == nil {
			err = wrap("seal the node's books", putSeal(b.path))
		}
	})
	return err
}

// wrap gives a database error its words; nil stays nil.
func wrap(op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &weft.Error{Op: op, Kind: weft.KindCancelled, Cause: err}
	}
	e := &weft.Error{Op: op, Kind: weft.KindUnavailable, Cause: err, Hint: "look at the data folder: is it there, and may the node write to it?"}
	if s := (*sqlite.Error)(nil); errors.As(err, &s) && s.Code()&0xff == codeFull || errors.Is(err, unix.ENOSPC) {
		e.Hint = "free space on the disk of the data folder and try again; nothing was changed"
	}
	return e
}

// codeFull is SQLITE_FULL: no room for what was to be written.
const codeFull = 13
