package records

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"weft"
)

// What is kept of cuts that have no token: those that were used last.
const (
	maxWholes     = 10_000
	maxWholeBytes = 64 << 20
	// usedEvery is how much later a use has to be to be written down: a cut that is
	// answered at a thousand times a second is one row that stays.
	usedEvery = time.Hour
)

// maxSaved is how many cuts can be saved.
const maxSaved = 10_000

// cutTables keep cuts. An older program leaves them as they are.
const cutTables = `
CREATE TABLE IF NOT EXISTS whole (
  hash  TEXT PRIMARY KEY,
  body  BLOB NOT NULL,
  used  INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS whole_used ON whole(used);
CREATE TABLE IF NOT EXISTS saved (
  name  TEXT PRIMARY KEY,
  body  BLOB NOT NULL,
  saved INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS hold (
  product TEXT NOT NULL,
  name    TEXT NOT NULL,
  body    BLOB NOT NULL,
  expires INTEGER NOT NULL,
  PRIMARY KEY (product, name)
) STRICT;`

// PutWhole keeps a cut that has no token, and forgets those that were used longest ago.
func (b *Books) PutWhole(ctx context.Context, c weft.Cut, now time.Time) error {
	const op = "keep the cut"
	res, err := b.db.ExecContext(ctx, `INSERT INTO whole(hash, body, used) VALUES (?,?,?)
		ON CONFLICT(hash) DO UPDATE SET used=excluded.used WHERE used <= ?`,
		c.Ref().String(), c.Whole(), now.UnixMicro(), now.Add(-usedEvery).UnixMicro())
	if err != nil {
		return wrap(op, err)
	}
	if n, err := res.RowsAffected(); err == nil && n == 0 {
		return nil
	}
	_, err = b.db.ExecContext(ctx, `DELETE FROM whole WHERE hash IN (SELECT hash FROM (
		SELECT hash, row_number() OVER newest AS n, sum(length(body)) OVER newest AS bytes FROM whole WINDOW newest AS (ORDER BY used DESC, hash)
	) WHERE n > ? OR bytes > ?)`, maxWholes, maxWholeBytes)
	return wrap(op, err)
}

// Whole returns a cut that has no token by its hash; KindNotFound where it is not kept.
func (b *Books) Whole(ctx context.Context, h weft.Hash) (weft.Cut, error) {
	const op = "find the cut"
	var body []byte
	err := b.db.QueryRowContext(ctx, `SELECT body FROM whole WHERE hash=?`, h.String()).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, weft.Errorf(weft.KindNotFound, op, h.Short(), "this node does not have it")
	}
	if err != nil {
		return nil, wrap(op, err)
	}
	return weft.ParseWhole(body, h)
}

// SavedCut is a cut that was saved under a name.
type SavedCut struct {
	Name  string    `json:"name"`
	Cut   weft.Cut  `json:"cut"`
	By    string    `json:"by"` // the key of the subject that saved it
	Saved time.Time `json:"saved"`
	Notes []string  `json:"notes,omitempty"` // what whoever saved it was told
	// Holds are what keeps the history in place, by product.
	Holds map[weft.Name]Claim `json:"holds,omitempty"`
}

// Claim is a hold as the node knows it that asked for it.
type Claim struct {
	Hold    string     `json:"hold"`           // its name at the origin
	Node    weft.KeyID `json:"node,omitzero"`  // the origin, zero for this node
	Until   time.Time  `json:"until,omitzero"` // zero: until it is dropped
	Refused string     `json:"refused,omitempty"`
}

// SaveCut keeps a cut under its name; KindConflict where there is one of that name.
func (b *Books) SaveCut(ctx context.Context, c SavedCut) error {
	const op = "save the cut"
	body, err := json.Marshal(c)
	if err != nil {
		return weft.Errorf(weft.KindInternal, op, c.Name, "%w", err)
	}
	res, err := b.db.ExecContext(ctx, `INSERT INTO saved(name, body, saved) SELECT ?,?,? WHERE (SELECT count(*) FROM saved) < ?
		ON CONFLICT DO NOTHING`, c.Name, body, c.Saved.UnixMicro(), maxSaved)
	if err != nil {
		return wrap(op, err)
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return wrap(op, err)
	}
	if _, err := b.SavedCut(ctx, c.Name); weft.KindOf(err) == weft.KindNotFound {
		return weft.Errorf(weft.KindLimit, op, c.Name, "there are %d saved cuts already", maxSaved).
			WithHint("drop those that nobody needs: weft cut list, weft cut drop NAME")
	}
	return weft.Errorf(weft.KindConflict, op, c.Name, "there is a cut of that name").
		WithHint("take another name, or drop that one first: weft cut drop %s", c.Name)
}

// SavedCut returns the cut of that name; KindNotFound where there is none.
func (b *Books) SavedCut(ctx context.Context, name string) (*SavedCut, error) {
	const op = "find the cut"
	var body []byte
	err := b.db.QueryRowContext(ctx, `SELECT body FROM saved WHERE name=?`, name).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, weft.Errorf(weft.KindNotFound, op, name, "there is no saved cut of that name").WithHint("weft cut list shows those that there are")
	}
	if err != nil {
		return nil, wrap(op, err)
	}
	return readSaved(name, body)
}

func readSaved(name string, body []byte) (*SavedCut, error) {
	var c SavedCut
	if err := json.Unmarshal(body, &c); err != nil || c.Name != name {
		return nil, weft.Errorf(weft.KindCorrupt, "read the saved cut", name, "it is not as it was written")
	}
	return &c, nil
}

// SavedCuts lists the saved cuts by name.
func (b *Books) SavedCuts(ctx context.Context) ([]SavedCut, error) {
	const op = "list the saved cuts"
	rows, err := b.db.QueryContext(ctx, `SELECT name, body FROM saved ORDER BY name`)
	if err != nil {
		return nil, wrap(op, err)
	}
	defer func() { _ = rows.Close() }()
	var out []SavedCut
	for rows.Next() {
		var name string
		var body []byte
		if err := rows.Scan(&name, &body); err != nil {
			return nil, wrap(op, err)
		}
		c, err := readSaved(name, body)
		if err != nil {
			return nil, err
		}
		out = append(out, *c)
	}
	return out, wrap(op, rows.Err())
}

// DropCut forgets a saved cut; KindNotFound where there is none of that name.
func (b *Books) DropCut(ctx context.Context, name string) error {
	const op = "drop the cut"
	res, err := b.db.ExecContext(ctx, `DELETE FROM saved WHERE name=?`, name)
	if err != nil {
		return wrap(op, err)
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return wrap(op, err)
	}
	return weft.Errorf(weft.KindNotFound, op, name, "there is no saved cut of that name").WithHint("weft cut list shows those that there are")
}
