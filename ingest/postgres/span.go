package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"weft"
	"weft/contract"
)

// span sets the condition of an append or upsert read: beyond the last cursor
// (or within the window) and up to the largest value that there is now. False
// means that there is nothing new.
func (t *read) span(ctx context.Context, old tablePosition) (bool, error) {
	t.at.Cursor = old.Cursor
	cur, err := t.cursor()
	if err != nil {
		return false, err
	}
	col := pgx.Identifier{cur.name}.Sanitize()
	var conds []string
	win, upsert := t.r.Window, t.r.Mode() == contract.ModeUpsert
	if old.Cursor != "" && (win == nil || !upsert) {
		conds = append(conds, col+" > "+literal(old.Cursor))
	}
	if win != nil {
		if !cur.found.Type.IsTemporal() || cur.found.Type.Kind == contract.KindTime {
			return false, weft.Errorf(weft.KindInvalid, "read the source", t.r.Where(), "a window needs a cursor of dates or times, %s is %s", cur.name, cur.found.Type)
		}
		if !win.From.IsZero() {
			conds = append(conds, col+" >= "+instant(win.From))
		}
		if !win.To.IsZero() {
			conds = append(conds, col+" < "+instant(win.To))
		}
	}
	t.where = whereOf(conds)
	var top *string
	if err := t.conn.QueryRow(ctx, "SELECT max("+col+")::text FROM "+t.name+t.where).Scan(&top); err != nil {
		return false, fault(ctx, t.r, "look for new rows in "+t.name, err)
	}
	if top == nil {
		return false, nil
	}
	if win != nil && !upsert {
		if err := t.noGap(ctx, col, old); err != nil {
			return false, err
		}
	}
	t.where = whereOf(append(conds, col+" <= "+literal(*top)))
	if win == nil || !upsert { // a window of an upsert reads again: it does not read on
		t.at.Cursor = *top
	}
	return true, nil
}

// noGap refuses a window that would leave rows of an append source unread for
// ever: what lies before it has to be read first.
func (t *read) noGap(ctx context.Context, col string, old tablePosition) error {
	if t.r.Window.From.IsZero() {
		return nil
	}
	conds := []string{col + " < " + instant(t.r.Window.From)}
	if old.Cursor != "" {
		conds = append(conds, col+" > "+literal(old.Cursor))
	}
	var gap bool
	if err := t.conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+t.name+whereOf(conds)+")").Scan(&gap); err != nil {
		return fault(ctx, t.r, "look for new rows in "+t.name, err)
	}
	if gap {
		return weft.Errorf(weft.KindInvalid, "read the source", t.r.Where(), "table %s has unread rows before the window, which an append source would never read again", t.name).
			WithHint("leave --from away")
	}
	return nil
}

// cursor finds the column that weftCursor names.
func (t *read) cursor() (column, error) {
	for _, c := range t.columns {
		if strings.EqualFold(c.name, t.r.Server.Cursor) && !c.text {
			return c, nil
		}
	}
	return column{}, weft.Errorf(weft.KindDrift, "read the source", t.r.Where()+", table "+t.out.Table, "the cursor column `%s` is missing in table %s", t.r.Server.Cursor, t.name).
		WithHint("weftCursor names a column that every table of the server has")
}

func whereOf(conds []string) string {
	if len(conds) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(conds, " AND ")
}

// literal quotes text; standard_conforming_strings may be off, so backslashes
// make it an escape string.
func literal(s string) string {
	q := "'" + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return "E" + q
	}
	return q
}

func instant(t time.Time) string {
	return fmt.Sprintf("timestamptz '%s'", t.UTC().Format("2006-01-02T15:04:05.999999Z"))
}
