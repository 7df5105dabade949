package verify

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"weft/contract"
	"weft/engine"
	"weft/store"
)

// split writes the good rows and the held ones into files of their own. Of rows
// that break no row rule and share a unique key, only the first one in the order
// of the staged files may stay, and none where the table has the key already.
func (t *table) split(ctx context.Context) error {
	if t.Staged.RejectRows > 0 && float64(t.Staged.RejectRows) > t.allowed() {
		t.over, t.heldRows = true, t.Staged.RejectRows
		return nil
	}
	acting := t.acting()
	if len(acting) == 0 {
		return t.hold(ctx, "", 0)
	}
	columns, err := t.describe(ctx)
	if err != nil {
		return err
	}
	judged := t.judged(acting, columns)
	held := filepath.Join(t.job.request.Stage, t.fileName("held"))
	n, err := t.exec(ctx, engine.CopyParquet(t.heldSQL(judged, columns), held))
	if err != nil {
		return err
	}
	if float64(n+t.Staged.RejectRows) > t.allowed() {
		t.over, t.heldRows = true, n+t.Staged.RejectRows
		return nil
	}
	good := filepath.Join(t.job.request.Stage, t.fileName("good"))
	kept, err := t.exec(ctx, engine.CopyParquet("SELECT "+engine.Idents(columns)+" FROM ("+judged+") WHERE _reason = ''", good))
	if err != nil {
		return err
	}
	if kept+n != t.Staged.Rows {
		return fault(t.label(), "%d good and %d held rows are not the %d rows that were staged", kept, n, t.Staged.Rows)
	}
	t.good.Files, t.good.Rows = []string{good}, kept
	return t.hold(ctx, held, n)
}

// allowed is the most rows that the quarantine may hold of these.
func (t *table) allowed() float64 {
	return t.Table.QuarantineLimit * float64(t.Staged.Rows+t.Staged.RejectRows)
}

// acting are the rules of severity error that rows break.
func (t *table) acting() []*rule {
	var out []*rule
	for _, r := range t.rows {
		if r.acts() && r.failed > 0 {
			out = append(out, r)
		}
	}
	return out
}

// judged is a SELECT of the staged rows with the column _reason: the rules that
// the row breaks, empty for a good one.
func (t *table) judged(acting []*rule, columns []string) string {
	reasons := []string{}
	var unique []*rule
	for _, r := range acting {
		if r.unique() {
			unique = append(unique, r)
			continue
		}
		reasons = append(reasons, fmt.Sprintf("CASE WHEN NOT (%s) THEN %s END", r.Predicate, contract.QuoteLiteral(reason(r))))
	}
	sql := "SELECT " + engine.Idents(columns) + ", concat_ws('; ', '' || NULL" + prefixed(reasons) + ") AS _reason"
	if len(unique) == 0 {
		return sql + " FROM " + engine.ScanParquet(t.Staged.Files...)
	}
	sql += ", file_index AS _file, file_row_number AS _row FROM " + engine.ScanParquet(t.Staged.Files...)
	var clash []string
	for i, r := range unique {
		partition := "(SELECT *, row_number() OVER (PARTITION BY " + engine.Idents(r.Columns) + ", _reason = '' ORDER BY _file, _row) AS _nth" + fmt.Sprint(i)
		taken := "false"
		if o := t.others(); o != "" {
			taken = "EXISTS (FROM " + o + " AS o WHERE " + matches("n", "o", r.Columns) + ")"
		}
		sql = "SELECT * FROM " + partition + ", " + taken + " AS _taken" + fmt.Sprint(i) + " FROM (" + sql + ") AS n)"
		clash = append(clash, fmt.Sprintf("CASE WHEN _reason = '' AND %s AND (_nth%d > 1 OR _taken%d) THEN %s END",
			present(r.Columns), i, i, contract.QuoteLiteral(reason(r))))
	}
	return "SELECT " + engine.Idents(columns) + ", concat_ws('; ', nullif(_reason, '')" + prefixed(clash) + ") AS _reason FROM (" + sql + ")"
}

func prefixed(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return ", " + strings.Join(list, ", ")
}

// reason is how a held row says which rule it breaks.
func reason(r *rule) string {
	if r.Text == "" {
		return r.ID
	}
	return r.ID + ": " + r.Text
}

// heldSQL makes quarantine rows of the bad rows.
func (t *table) heldSQL(judged string, columns []string) string {
	var fields []string
	for _, c := range columns {
		q := contract.QuoteIdent(c)
		fields = append(fields, q+" := CAST("+q+" AS VARCHAR)")
	}
	return fmt.Sprintf(`SELECT %s AS "table", _reason AS reason, %s AS place, CAST(to_json(struct_pack(%s)) AS VARCHAR) AS "row" FROM (%s) WHERE _reason <> ''`,
		contract.QuoteLiteral(t.label()), place(t.Table.Key), strings.Join(fields, ", "), judged)
}

// place writes a row's key for people: order_id=17, line=2.
func place(key []string) string {
	var w []string
	for _, k := range key {
		w = append(w, contract.QuoteLiteral(k+"=")+" || coalesce(CAST("+contract.QuoteIdent(k)+" AS VARCHAR), 'NULL')")
	}
	if len(w) == 0 {
		return "''"
	}
	return "concat_ws(', ', " + strings.Join(w, ", ") + ")"
}

// hold notes the held rows: those in file, and the ones that the loader could
// not read.
func (t *table) hold(ctx context.Context, file string, rows int64) error {
	if t.Staged.RejectRows > 0 {
		sql := fmt.Sprintf(`SELECT %s AS "table", 'unreadable: ' || reason AS reason, place, "row" FROM %s`,
			contract.QuoteLiteral(t.label()), engine.ScanParquet(t.Staged.Rejects))
		if file != "" {
			sql = "FROM " + engine.ScanParquet(file) + " UNION ALL " + sql
		}
		file = filepath.Join(t.job.request.Stage, t.fileName("held-all"))
		n, err := t.exec(ctx, engine.CopyParquet(sql, file))
		if err != nil {
			return err
		}
		rows = n
	}
	t.held, t.heldRows = file, rows
	t.good.Rejects, t.good.RejectRows = "", 0
	return nil
}

// quarantine gathers what all tables hold back.
func (r *job) quarantine() *store.Staged {
	var q *store.Staged
	for _, t := range r.tables {
		if t.heldRows == 0 {
			continue
		}
		if q == nil {
			q = &store.Staged{Table: store.QuarantineTable}
		}
		q.Files = append(q.Files, t.held)
		q.Rows += t.heldRows
	}
	return q
}

// describe returns the names of the staged columns.
func (t *table) describe(ctx context.Context) ([]string, error) {
	rows, err := engine.Fields(ctx, t.job.session, engine.Statement{SQL: "SELECT column_name FROM (DESCRIBE " + rowsOf(t.Table, t.Staged) + ")"})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range rows {
		names = append(names, r[0].Text)
	}
	return names, nil
}

func (t *table) exec(ctx context.Context, sql string) (int64, error) {
	return t.job.session.Exec(ctx, engine.Statement{SQL: sql, Views: t.views(), Sources: t.sources()})
}

func (t *table) fileName(what string) string {
	return fmt.Sprintf("verify-%d-%s.parquet", t.number(), what)
}

// number is the place of the table in the request; labels could clash as file
// names.
func (t *table) number() int {
	for i := range t.job.request.Tables {
		if &t.job.request.Tables[i] == t.Candidate {
			return i
		}
	}
	return -1
}

// classified says that a column's values may not be shown.
func classified(c *contract.Column) bool {
	return c != nil && c.Classification != "" && !strings.EqualFold(c.Classification, "public")
}
