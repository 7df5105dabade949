package records

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"weft"
)

// Product is what the node was told to run: the folder as it was applied.
type Product struct {
	ID       string // random, immutable; also the name of the product's data folder
	Name     weft.Name
	Folder   weft.Hash // of the archive in the books
	Dir      string    // where the folder stood when it was applied; relative paths of sources are below it
	Revision string    // git revision, with "+" when the folder had changes
	Env      string    // which servers are used
	Applied  time.Time
	Paused   bool
	Retired  bool
}

// PutProduct records p and the folder's archive in one transaction.
func (b *Books) PutProduct(ctx context.Context, p Product, archive []byte) error {
	const op = "record the applied folder"
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return wrap(op, err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, `INSERT INTO folder(hash, archive) VALUES (?, ?) ON CONFLICT DO NOTHING`, p.Folder.String(), archive); err != nil {
		return wrap(op, err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO product(id, name, folder, dir, revision, env, applied, paused, retired) VALUES (?,?,?,?,?,?,?,?,?)
		ON CONFLICT(id) DO UPDATE SET folder=excluded.folder, dir=excluded.dir, revision=excluded.revision, env=excluded.env,
		applied=excluded.applied, paused=excluded.paused, retired=excluded.retired`,
		p.ID, p.Name.String(), p.Folder.String(), p.Dir, p.Revision, p.Env, p.Applied.UnixMicro(), p.Paused, p.Retired)
	if err != nil {
		return wrap(op, err)
	}
	return wrap(op, tx.Commit())
}

// Products lists what the node runs, by name.
func (b *Books) Products(ctx context.Context) ([]Product, error) {
	rows, err := b.db.QueryContext(ctx, `SELECT id, name, folder, dir, revision, env, applied, paused, retired FROM product ORDER BY name`)
	if err != nil {
		return nil, wrap("read the applied folders", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Product
	for rows.Next() {
		var p Product
		var name, folder string
		var applied int64
		if err := rows.Scan(&p.ID, &name, &folder, &p.Dir, &p.Revision, &p.Env, &applied, &p.Paused, &p.Retired); err != nil {
			return nil, wrap("read the applied folders", err)
		}
		p.Applied = time.UnixMicro(applied).UTC()
		if err := p.Name.UnmarshalText([]byte(name)); err != nil {
			return nil, err
		}
		if err := p.Folder.UnmarshalText([]byte(folder)); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, wrap("read the applied folders", rows.Err())
}

// Archive returns the folder archive of that hash; KindGone where it is no longer kept.
func (b *Books) Archive(ctx context.Context, h weft.Hash) ([]byte, error) {
	var a []byte
	err := b.db.QueryRowContext(ctx, `SELECT archive FROM folder WHERE hash=?`, h.String()).Scan(&a)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, weft.Errorf(weft.KindGone, "read the applied folder", h.Short(), "the node no longer has this folder")
	}
	return a, wrap("read the applied folder", err)
}

// SetPaused and SetRetired change what the node does with a product.
func (b *Books) SetPaused(ctx context.Context, id string, paused bool) error {
	_, err := b.db.ExecContext(ctx, `UPDATE product SET paused=? WHERE id=?`, paused, id)
	return wrap("record the pause", err)
}

// SetRetired marks a product as history only.
func (b *Books) SetRetired(ctx context.Context, id string, retired bool) error {
	_, err := b.db.ExecContext(ctx, `UPDATE product SET retired=? WHERE id=?`, retired, id)
	return wrap("record the retirement", err)
}

// DeleteProduct forgets a product and its attempts. What is left is that there
// was one of this name, and the folders that were applied, by their digests.
func (b *Books) DeleteProduct(ctx context.Context, p Product, at time.Time) error {
	const op = "forget the product"
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return wrap(op, err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, `INSERT INTO deleted(name, id, time) VALUES (?,?,?)`, p.Name.String(), p.ID, at.UnixMicro()); err != nil {
		return wrap(op, err)
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM product WHERE id=?`, p.ID); err != nil {
		return wrap(op, err)
	}
	return wrap(op, tx.Commit())
}

// Outcome says how an attempt to load a product ended.
type Outcome string

// The outcomes of attempts.
const (
	Committed Outcome = "committed"
	Unchanged Outcome = "unchanged"
	Refused   Outcome = "refused" // the candidate broke the contract, or the source drifted
	Failed    Outcome = "failed"  // it could not be done
)

// Attempt is one try to load a product.
type Attempt struct {
	ID      string           `json:"id,omitempty"` // the id that the log's lines of it carry
	Started time.Time        `json:"started"`
	Ended   time.Time        `json:"ended"`
	Outcome Outcome          `json:"outcome"`
	Seq     weft.Seq         `json:"seq,omitempty"` // the commit it made
	Kind    weft.Kind        `json:"kind,omitempty"`
	Error   string           `json:"error,omitempty"`
	Hint    string           `json:"hint,omitempty"`
	Verdict *weft.Verdict    `json:"verdict,omitempty"` // evidence where the candidate was refused
	Notes   []string         `json:"notes,omitempty"`
	Rows    int64            `json:"rows,omitempty"`   // read from the sources
	Bytes   int64            `json:"bytes,omitempty"`  // read from the sources
	Phases  map[string]int64 `json:"phases,omitempty"` // milliseconds by phase
}

// keepAttempts is how many attempts of a product are kept.
const keepAttempts = 50

// PutAttempt records an attempt and forgets the oldest.
func (b *Books) PutAttempt(ctx context.Context, id string, a Attempt) error {
	body, err := json.Marshal(a)
	if err != nil {
		return weft.Errorf(weft.KindInternal, "record the attempt", id, "%w", err)
	}
	_, err = b.db.ExecContext(ctx, `INSERT INTO attempt(product, started, ended, outcome, seq, body) VALUES (?,?,?,?,?,?)`,
		id, a.Started.UnixMicro(), a.Ended.UnixMicro(), string(a.Outcome), int64(a.Seq), body)
	if err != nil {
		return wrap("record the attempt", err)
	}
	_, err = b.db.ExecContext(ctx, `DELETE FROM attempt WHERE product=? AND rowid NOT IN
		(SELECT rowid FROM attempt WHERE product=? ORDER BY started DESC, rowid DESC LIMIT ?)`, id, id, keepAttempts)
	return wrap("record the attempt", err)
}

// Attempts returns the last attempts of a product, newest first.
func (b *Books) Attempts(ctx context.Context, id string, limit int) ([]Attempt, error) {
	rows, err := b.db.QueryContext(ctx, `SELECT body FROM attempt WHERE product=? ORDER BY started DESC, rowid DESC LIMIT ?`, id, limit)
	if err != nil {
		return nil, wrap("read the attempts", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Attempt
	for rows.Next() {
		var body []byte
		var a Attempt
		if err := rows.Scan(&body); err != nil {
			return nil, wrap("read the attempts", err)
		}
		if err := json.Unmarshal(body, &a); err != nil {
			return nil, weft.Errorf(weft.KindCorrupt, "read the attempts", id, "%w", err)
		}
		out = append(out, a)
	}
	return out, wrap("read the attempts", rows.Err())
}
