package engine

import "strings"

// QuoteIdent returns name as an SQL identifier, whatever characters it has.
func QuoteIdent(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// QuoteLiteral returns text as an SQL string literal, whatever characters it
// has; a zero byte is not representable in SQL and must be refused before.
func QuoteLiteral(text string) string {
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}
