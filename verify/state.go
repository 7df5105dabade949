package verify

import (
	"fmt"

	"weft/contract"
	"weft/engine"
	"weft/store"
)

// The names that our own statements use besides candidateView.
const (
	priorView = "prior"
	goodView  = "good"
)

// whole says that the staged rows are all that the table will hold.
func (t *table) whole() bool { return t.Staged.Full || t.Prior == nil }

// others is the relation of rows that stay beside the staged ones, empty where
// there are none: rows with which the staged ones must not share a unique key.
func (t *table) others() string {
	switch {
	case t.whole():
		return ""
	case t.Mode == contract.ModeUpsert && len(t.Table.Key) > 0:
		return "(FROM " + priorView + " AS p ANTI JOIN " + candidateView + " AS c ON " + matches("p", "c", t.Table.Key) + ")"
	}
	return priorView
}

// views are what statements about the staged rows see.
func (t *table) views() []engine.View {
	v := []engine.View{{Name: candidateView, SQL: rowsOf(t.Table, t.Staged)}}
	if !t.whole() {
		v = append(v, engine.View{Name: priorView, SQL: t.Prior.SQL})
	}
	return v
}

func (t *table) sources() []engine.Source {
	if t.whole() {
		return nil
	}
	return t.Prior.Sources
}

// inner is the schema of the views that the state of a table is made of.
func (t *table) inner() string { return fmt.Sprintf("_weft_%d", t.number()) }

// stateViews make the table as it would be published a view called name, in
// schema where that is not empty.
func (t *table) stateViews(schema, name string) []engine.View {
	in := t.inner()
	good := contract.QuoteIdent(in) + "." + goodView
	prior := contract.QuoteIdent(in) + "." + priorView
	views := []engine.View{{Schema: in, Name: goodView, SQL: rowsOf(t.Table, t.good)}}
	state := "FROM " + good
	switch {
	case t.whole():
	case t.Mode == contract.ModeUpsert && len(t.Table.Key) > 0:
		state = "(FROM " + prior + " AS p ANTI JOIN " + good + " AS g ON " + matches("p", "g", t.Table.Key) + ") UNION ALL BY NAME FROM " + good
	default:
		state = "FROM " + prior + " UNION ALL BY NAME FROM " + good
	}
	if !t.whole() {
		views = append(views, engine.View{Schema: in, Name: priorView, SQL: t.Prior.SQL})
	}
	return append(views, engine.View{Schema: schema, Name: name, SQL: state})
}

// rowsOf is a SELECT of a table's staged rows, also where it has no files.
func rowsOf(t *contract.Table, s store.Staged) string {
	if len(s.Files) > 0 {
		return "SELECT * FROM " + engine.ScanParquet(s.Files...)
	}
	sql := ""
	for _, c := range t.Columns {
		if sql != "" {
			sql += ", "
		}
		sql += "CAST(NULL AS " + sqlType(c.Type) + ") AS " + contract.QuoteIdent(c.Name)
	}
	if sql == "" {
		sql = "NULL AS nothing"
	}
	return "SELECT " + sql + " WHERE false"
}

func sqlType(t contract.Type) string {
	if t.Kind == contract.KindUnknown {
		return "VARCHAR"
	}
	return t.SQL()
}
