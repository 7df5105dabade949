package verify

import (
	"strings"

	"weft"
	"weft/contract"
)

// present is true where every one of the columns has a value.
func present(columns []string) string {
	var w []string
	for _, c := range columns {
		w = append(w, contract.QuoteIdent(c)+" IS NOT NULL")
	}
	return strings.Join(w, " AND ")
}

// matches joins two relations on columns.
func matches(a, b string, columns []string) string {
	var w []string
	for _, c := range columns {
		q := contract.QuoteIdent(c)
		w = append(w, a+"."+q+" = "+b+"."+q)
	}
	return strings.Join(w, " AND ")
}

// fatal says that an error is not about the statement but about the session.
func fatal(err error) bool {
	if err == nil {
		return false
	}
	switch weft.KindOf(err) {
	case weft.KindUnavailable, weft.KindCancelled, weft.KindLimit, weft.KindInternal, weft.KindCorrupt:
		return true
	}
	return false
}

func fault(subject, format string, args ...any) error {
	return weft.Errorf(weft.KindInternal, "check the contract of", subject, format, args...)
}
