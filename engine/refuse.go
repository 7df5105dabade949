package engine

import (
	"fmt"
	"strings"

	"weft"
)

// onlySelect says, for the first word of a text that is no SELECT, what it is
// and what to do instead.
var onlySelect = map[string]struct{ what, hint string }{
	"insert":     {"INSERT writes", changeHint},
	"update":     {"UPDATE writes", changeHint},
	"delete":     {"DELETE writes", changeHint},
	"merge":      {"MERGE writes", changeHint},
	"truncate":   {"TRUNCATE writes", changeHint},
	"create":     {"CREATE makes things in the engine", "write the SELECT alone; WITH name AS (SELECT …) names a step"},
	"drop":       {"DROP changes the engine", "weft retire and weft delete end a product"},
	"alter":      {"ALTER changes the engine", "a table changes with its product's contract"},
	"comment":    {"COMMENT changes the engine", "descriptions are in the product's contract"},
	"attach":     {"ATTACH opens a file", sourceHint},
	"detach":     {"DETACH changes the engine", sourceHint},
	"use":        {"USE changes the session", "write the names in full: FROM domain.product"},
	"copy":       {"COPY reads and writes files", "choose a format for the answer instead: weft query --format parquet"},
	"export":     {"EXPORT writes files", "choose a format for the answer instead: weft query --format parquet"},
	"import":     {"IMPORT reads files", sourceHint},
	"install":    {"INSTALL loads code", "what the node can do is pinned when it is built"},
	"load":       {"LOAD loads code", "what the node can do is pinned when it is built"},
	"pragma":     {"PRAGMA changes settings", settingHint},
	"set":        {"SET changes settings", settingHint},
	"reset":      {"RESET changes settings", settingHint},
	"call":       {"CALL runs a procedure", "a query reads: SELECT … FROM domain.product"},
	"do":         {"DO runs a procedure", "a query reads: SELECT … FROM domain.product"},
	"explain":    {"EXPLAIN is no SELECT", "weft explain SQL shows how a query is answered"},
	"analyze":    {"ANALYZE changes the engine", "weft show PRODUCT has a product's statistics"},
	"vacuum":     {"VACUUM changes the engine", "files are compacted by the node"},
	"checkpoint": {"CHECKPOINT changes the engine", "files are compacted by the node"},
	"begin":      {"transactions have no meaning here", cutHint},
	"start":      {"transactions have no meaning here", cutHint},
	"commit":     {"transactions have no meaning here", cutHint},
	"end":        {"transactions have no meaning here", cutHint},
	"rollback":   {"transactions have no meaning here", cutHint},
	"abort":      {"transactions have no meaning here", cutHint},
	"prepare":    {"PREPARE keeps a statement", "send the SELECT itself each time"},
	"execute":    {"EXECUTE runs a kept statement", "send the SELECT itself"},
	"deallocate": {"DEALLOCATE changes the session", "send the SELECT itself each time"},
	"grant":      {"GRANT changes rights", "who may read is in the product's folder"},
	"revoke":     {"REVOKE changes rights", "who may read is in the product's folder"},
	"pivot": {
		"PIVOT without its values looks at the data first",
		"list the values: PIVOT t ON year IN (2023, 2024) USING sum(x), or SELECT sum(x) FILTER (year = 2023) FROM t",
	},
	"from":   {"the query has a part that only looks at the data can answer", pivotHint},
	"select": {"the query has a part that is no SELECT", pivotHint},
	"with":   {"the query has a part that is no SELECT", pivotHint},
}

const (
	changeHint  = "data changes through its product: edit the source or the folder, then weft refresh or weft apply"
	sourceHint  = "files and databases are read by products: weft product new NAME --from SOURCE"
	settingHint = "limits and time are options of the query: weft query --at TIME, --deadline DURATION"
	cutHint     = "every query reads one state; --at CUT reads the same one again"
	pivotHint   = "send one SELECT; a PIVOT in it must list its values: ON year IN (2023, 2024)"
)

// notASelect refuses a text that the engine reads as something else than one SELECT.
func notASelect(text string) error {
	e := &weft.Error{
		Op: gateOp, Kind: weft.KindInvalid, Message: "only a SELECT is answered",
		Hint: "write SELECT … FROM domain.product",
	}
	if w, ok := onlySelect[firstWord(text)]; ok {
		e.Message += ": " + w.what
		e.Hint = w.hint
	}
	return e
}

// parserRefused is the error for what the engine's parser says.
func parserRefused(text, kind, message string, offset int) error {
	if strings.HasPrefix(message, "Only SELECT statements") {
		return notASelect(text)
	}
	e := &weft.Error{Op: gateOp, Subject: place(text, offset), Kind: weft.KindInvalid, Message: message}
	first := firstWord(text)
	switch {
	case first == "":
		e.Message, e.Hint = "the text is empty", "write SELECT … FROM domain.product"
	case strings.Contains(message, "expression depth"), strings.Contains(message, "memory exhausted"):
		e.Kind, e.Message = weft.KindLimit, "the query is nested too deeply"
		e.Hint = "split the query into WITH parts"
	case strings.Contains(message, "non-constant type parameter"):
		e.Message, e.Hint = "not supported: the parameter of a type", typeHint
	case strings.Contains(strings.ToLower(message), "not implemented") || kind == "not implemented":
		e.Message, e.Hint = fmt.Sprintf("not supported: %s", message), "write it another way"
	case onlySelect[first].what != "" && first != "select" && first != "with" && first != "from" && first != "pivot":
		return notASelect(text)
	case strings.HasPrefix(message, "A CTE needs a SELECT"):
		e.Message, e.Hint = "only a SELECT is answered: a WITH part writes", changeHint
	default:
		e.Hint = "the dialect is DuckDB's"
	}
	return e
}
