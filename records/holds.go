package records

import (
	"context"
	"encoding/json"
	"time"

	"weft"
)

// Hold is what an owner's node knows of a claim on the history of one of its products;
// the store keeps the history by a hold of the same name.
type Hold struct {
	ID       string     `json:"id"` // of the product
	Product  weft.Name  `json:"product"`
	Name     string     `json:"name"`
	Point    weft.Point `json:"point"`
	Node     weft.KeyID `json:"node,omitzero"` // that asked, zero for this one
	NodeName string     `json:"nodeName,omitempty"`
	By       string     `json:"by"`                // the key of the subject that asked
	Domains  []string   `json:"domains,omitempty"` // of whoever asked
	For      string     `json:"for,omitempty"`     // the name of the saved cut
	Asked    time.Time  `json:"asked"`
	Expires  time.Time  `json:"expires,omitzero"` // zero: when it is dropped
}

// PutHold records a hold, in the place of one of the same product and name.
func (b *Books) PutHold(ctx context.Context, h Hold) error {
	const op = "record the hold"
	body, err := json.Marshal(h)
	if err != nil {
		return weft.Errorf(weft.KindInternal, op, h.Name, "%w", err)
	}
	var ends int64
	if !h.Expires.IsZero() {
		ends = h.Expires.UnixMicro()
	}
	_, err = b.db.ExecContext(ctx, `INSERT INTO hold(product, name, body, expires) VALUES (?,?,?,?)
		ON CONFLICT(product, name) DO UPDATE SET body=excluded.body, expires=excluded.expires`, h.ID, h.Name, body, ends)
	return wrap(op, err)
}

// Holds lists the holds by product and name.
func (b *Books) Holds(ctx context.Context) ([]Hold, error) {
	const op = "list the holds"
	rows, err := b.db.QueryContext(ctx, `SELECT name, body FROM hold ORDER BY product, name`)
	if err != nil {
		return nil, wrap(op, err)
	}
	defer func() { _ = rows.Close() }()
	var out []Hold
	for rows.Next() {
		var name string
		var body []byte
		if err := rows.Scan(&name, &body); err != nil {
			return nil, wrap(op, err)
		}
		var h Hold
		if err := json.Unmarshal(body, &h); err != nil || h.Name != name {
			return nil, weft.Errorf(weft.KindCorrupt, "read the hold", name, "it is not as it was written")
		}
		out = append(out, h)
	}
	return out, wrap(op, rows.Err())
}

// DropHold forgets a hold; one that is not there is no error.
func (b *Books) DropHold(ctx context.Context, id, name string) error {
	_, err := b.db.ExecContext(ctx, `DELETE FROM hold WHERE product=? AND name=?`, id, name)
	return wrap("forget the hold", err)
}
