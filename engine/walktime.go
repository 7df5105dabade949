package engine

import (
	"strings"
	"time"

	"weft"
)

// timeFunctions give, for each function that tells the time, the type of its value.
var timeFunctions = map[string]string{
	"now": "TIMESTAMP WITH TIME ZONE", "get_current_timestamp": "TIMESTAMP WITH TIME ZONE",
	"transaction_timestamp": "TIMESTAMP WITH TIME ZONE", "today": "DATE", "current_date": "DATE",
	"current_localtime": "TIME", "current_localtimestamp": "TIMESTAMP", "get_current_time": "TIME WITH TIME ZONE",
}

// timeWords are the words that tell the time without brackets; a column of such
// a name has to be written with its table.
var timeWords = map[string]string{
	"current_date": "DATE", "current_time": "TIME WITH TIME ZONE", "current_timestamp": "TIMESTAMP WITH TIME ZONE",
	"localtime": "TIME", "localtimestamp": "TIMESTAMP",
}

// sessionWords tell about the session where no column has the name.
var sessionWords = words("current_catalog current_role current_schema current_user session_user user")

// valueWord handles a bare name that is a function written without brackets.
func (w *walker) valueWord(n *treeNode, sc *scope, name string) bool {
	if typ, ok := timeWords[name]; ok {
		w.fixTime(n.o, typ)
		n.skip("child", "cast_type", "try_cast", "class", "type")
		return true
	}
	if !sessionWords[name] {
		return false
	}
	if _, ok := sc.alias(name); ok {
		return false
	}
	for s := sc; s != nil; s = s.parent {
		if len(s.rels) > 0 {
			return false // it may be a column; if it is none, the engine's word for nobody is harmless
		}
	}
	w.fail(weft.KindInvalid, functionTable[name].group.why, "the function %s is not allowed", name)
	return false
}

// fixTime puts the time of the cut in the place of a function that tells the time.
func (w *walker) fixTime(o object, typ string) {
	alias, place := o["alias"], o["query_location"]
	clear(o)
	for k, v := range castOf(timeText(w.now(), typ), object{"id": typ, "type_info": nil}) {
		o[k] = v
	}
	o["alias"] = alias
	if place != nil {
		o["query_location"] = place
	}
}

func timeText(t time.Time, typ string) string {
	switch typ {
	case "DATE":
		return t.Format(time.DateOnly)
	case "TIME":
		return t.Format("15:04:05.000000")
	case "TIME WITH TIME ZONE":
		return t.Format("15:04:05.000000") + "+00"
	case "TIMESTAMP":
		return t.Format("2006-01-02 15:04:05.000000")
	}
	return t.Format("2006-01-02 15:04:05.000000") + "+00"
}

// timeConstant is the time of the cut as a constant of a type.
func timeConstant(now time.Time, typ string) (any, bool) {
	switch typ {
	case "DATE":
		return now.Truncate(24 * time.Hour), true
	case "TIMESTAMP", "TIMESTAMP WITH TIME ZONE":
		return now, true
	}
	return nil, false
}

// nameTime gives a select item that tells the time the name it would have had.
func (w *walker) nameTime(item any) {
	o := asObject(item)
	if o["alias"] != "" {
		return
	}
	switch o["class"] {
	case "COLUMN_REF":
		if names, _ := o["column_names"].([]any); len(names) == 1 {
			name, _ := names[0].(string)
			if _, ok := timeWords[strings.ToLower(name)]; ok {
				o["alias"] = strings.ToLower(name)
			}
		}
	case "FUNCTION":
		name, _ := o["function_name"].(string)
		if _, ok := timeFunctions[strings.ToLower(name)]; ok {
			o["alias"] = strings.ToLower(name) + "()"
		}
	}
}
