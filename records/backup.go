package records

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// CopyTo writes the books, as they are at one moment, to a new file. What is in
// use goes on meanwhile.
func (b *Books) CopyTo(ctx context.Context, path string) error {
	_, err := b.db.ExecContext(ctx, `VACUUM INTO ?`, path)
	return wrap("copy the node's books", err)
}

// Restored makes a copy of the books those of a node that was restored: products
// that have no data are forgotten. Ids says which there are, and under which id
// each goes on.
func (b *Books) Restored(ctx context.Context, ids map[string]string) error {
	return b.change(ctx, func(tx *sql.Tx) error {
		if err := forgetOthers(ctx, tx, ids); err != nil {
			return err
		}
		for old, id := range ids {
			if old == id {
				continue
			}
			for _, q := range []string{`UPDATE attempt SET product=? WHERE product=?`, `UPDATE brief SET product=? WHERE product=?`, `UPDATE card SET product=? WHERE product=?`, `UPDATE product SET id=? WHERE id=?`} {
				if _, err := tx.ExecContext(ctx, q, id, old); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// Cloned makes restored books those of another node: nobody's token is good
// there, nobody has used anything of it, and every product is paused, so that a test
// does not read the sources of the original.
func (b *Books) Cloned(ctx context.Context) error {
	return b.change(ctx, func(tx *sql.Tx) error {
		for _, q := range []string{`DELETE FROM token`, `UPDATE product SET paused=1`, `DELETE FROM usage`, `DELETE FROM spent`} {
			if _, err := tx.ExecContext(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *Books) change(ctx context.Context, do func(*sql.Tx) error) error {
	const op = "restore the node's books"
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return wrap(op, err)
	}
	defer func() { _ = tx.Rollback() }()
	// Ids change in two tables: the reference holds when both have.
	if _, err := tx.ExecContext(ctx, `PRAGMA defer_foreign_keys=1`); err != nil {
		return wrap(op, err)
	}
	if err := do(tx); err != nil {
		return wrap(op, err)
	}
	return wrap(op, tx.Commit())
}

func forgetOthers(ctx context.Context, tx *sql.Tx, ids map[string]string) error {
	rows, err := tx.QueryContext(ctx, `SELECT id FROM product`)
	if err != nil {
		return err
	}
	var gone []any
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			_ = rows.Close()
			return err
		}
		if _, ok := ids[id]; !ok {
			gone = append(gone, id)
		}
	}
	if err := rows.Close(); err != nil {
		return err
	}
	if len(gone) == 0 {
		return nil
	}
	_, err = tx.ExecContext(ctx, fmt.Sprintf(`DELETE FROM product WHERE id IN (?%s)`, strings.Repeat(",?", len(gone)-1)), gone...)
	return err
}
