package records

import (
	"context"
	"encoding/json"

	"weft"
)

// PutBrief keeps what is to be known of a product without reading its folder; the
// text is the caller's own.
func (b *Books) PutBrief(ctx context.Context, id string, folder weft.Hash, body []byte) error {
	_, err := b.db.ExecContext(ctx, `INSERT INTO brief(product, folder, body) VALUES (?,?,?)
		ON CONFLICT(product) DO UPDATE SET folder=excluded.folder, body=excluded.body`, id, folder.String(), body)
	return wrap("record what the folder says", err)
}

// Briefs returns what PutBrief kept, by product; those of a folder that is no
// longer the product's are left out.
func (b *Books) Briefs(ctx context.Context) (map[string][]byte, error) {
	rows, err := b.db.QueryContext(ctx, `SELECT b.product, b.body FROM brief b JOIN product p ON p.id = b.product AND p.folder = b.folder`)
	if err != nil {
		return nil, wrap("read what the folders say", err)
	}
	defer func() { _ = rows.Close() }()
	out := map[string][]byte{}
	for rows.Next() {
		var id string
		var body []byte
		if err := rows.Scan(&id, &body); err != nil {
			return nil, wrap("read what the folders say", err)
		}
		out[id] = body
	}
	return out, wrap("read what the folders say", rows.Err())
}

// LastAttempts returns the last attempt of every product that has one.
func (b *Books) LastAttempts(ctx context.Context) (map[string]Attempt, error) {
	rows, err := b.db.QueryContext(ctx, `SELECT id, body FROM (SELECT p.id AS id,
		(SELECT body FROM attempt WHERE product = p.id ORDER BY started DESC, rowid DESC LIMIT 1) AS body FROM product p) WHERE body IS NOT NULL`)
	if err != nil {
		return nil, wrap("read the attempts", err)
	}
	defer func() { _ = rows.Close() }()
	out := map[string]Attempt{}
	for rows.Next() {
		var id string
		var body []byte
		var a Attempt
		if err := rows.Scan(&id, &body); err != nil {
			return nil, wrap("read the attempts", err)
		}
		if err := json.Unmarshal(body, &a); err != nil {
			return nil, weft.Errorf(weft.KindCorrupt, "read the attempts", id, "%w", err)
		}
		out[id] = a
	}
	return out, wrap("read the attempts", rows.Err())
}
