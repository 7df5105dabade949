package records

import (
	"context"
)

// Card is what was last said of a product to others. The texts are the caller's own.
type Card struct {
	Product string // its id
	Body    []byte
	Head    []byte
}

// PutCard keeps c in the place of the one before; of a product that is gone it keeps
// nothing.
func (b *Books) PutCard(ctx context.Context, c Card) error {
	_, err := b.db.ExecContext(ctx, `INSERT INTO card(product, body, head) SELECT ?,?,? WHERE EXISTS (SELECT 1 FROM product WHERE id=?)
		ON CONFLICT(product) DO UPDATE SET body=excluded.body, head=excluded.head`, c.Product, c.Body, c.Head, c.Product)
	return wrap("keep the card", err)
}

// PutHead changes the head alone, where there is a card.
func (b *Books) PutHead(ctx context.Context, product string, head []byte) error {
	_, err := b.db.ExecContext(ctx, `UPDATE card SET head=? WHERE product=?`, head, product)
	return wrap("keep the head", err)
}

// Cards returns up to limit of the cards that are kept, of products whose id comes
// after the one named, in the order of ids.
func (b *Books) Cards(ctx context.Context, after string, limit int) ([]Card, error) {
	rows, err := b.db.QueryContext(ctx, `SELECT product, body, head FROM card WHERE product > ? ORDER BY product LIMIT ?`, after, limit)
	if err != nil {
		return nil, wrap("read the cards", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Card
	for rows.Next() {
		var c Card
		if err := rows.Scan(&c.Product, &c.Body, &c.Head); err != nil {
			return nil, wrap("read the cards", err)
		}
		out = append(out, c)
	}
	return out, wrap("read the cards", rows.Err())
}
