package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"weft"
	"weft/contract"
)

// span sets what an append or upsert read takes: rows beyond the last value of
// the cursor (or within the window) up to the largest that there is now, and rows
// that came later with the last value itself: those also from before the window,
// since an append never comes back to them. False means that there is nothing new.
func (t *read) span(ctx context.Context, old tablePosition) (bool, error) {
	t.at.Cursor, t.at.Edge = old.Cursor, old.Edge
	cur, err := t.cursor()
	if err != nil {
		return false, err
	}
	col := pgx.Identifier{cur.name}.Sanitize()
	win, upsert := t.r.Window, t.r.Mode() == contract.ModeUpsert
	onward := win == nil || !upsert // a window of an upsert reads again: it does not read on
	within, err := t.within(cur, col)
	if err != nil {
		return false, err
	}
	conds := slices.Clip(within)
	if old.Cursor != "" && onward {
		conds = append(conds, col+" > "+literal(old.Cursor))
		if t.late, err = t.lateRows(ctx, col, old); err != nil {
			return false, fault(ctx, t.r, "look for new rows in "+t.name, err)
		}
	}
	var top *string
	if err := t.conn.QueryRow(ctx, "SELECT max("+col+")::text FROM "+t.name+whereOf(conds)).Scan(&top); err != nil {
		return false, fault(ctx, t.r, "look for new rows in "+t.name, err)
	}
	if top == nil && t.late == "" {
		return false, nil
	}
	if win != nil && !upsert {
		if err := t.noGap(ctx, col, old); err != nil {
			return false, err
		}
	}
	if t.none = top == nil; !t.none {
		t.where = whereOf(append(slices.Clone(conds), col+" <= "+literal(*top)))
	}
	if onward {
		if top != nil {
			t.at.Cursor = *top
		}
		if t.at.Edge, err = t.edgeOf(ctx, col, t.at.Cursor); err != nil {
			return false, fault(ctx, t.r, "look for new rows in "+t.name, err)
		}
	}
	return true, nil
}

// within are the conditions of the window.
func (t *read) within(cur column, col string) ([]string, error) {
	win := t.r.Window
	if win == nil {
		return nil, nil
	}
	if !cur.found.Type.IsTemporal() || cur.found.Type.Kind == contract.KindTime {
		return nil, weft.Errorf(weft.KindInvalid, "read the source", t.r.Where(), "a window needs a cursor of dates or times, %s is %s", cur.name, cur.found.Type)
	}
	var conds []string
	if !win.From.IsZero() {
		conds = append(conds, col+" >= "+instant(win.From))
	}
	if !win.To.IsZero() {
		conds = append(conds, col+" < "+instant(win.To))
	}
	return conds, nil
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
