package serve

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"

	"weft"
)

// The bounds of warnings in a trailer, which proxies bound too.
const (
	maxWarnings     = 20
	maxWarningText  = 600     // bytes of a message or a hint
	maxWarningBytes = 8 << 10 // of all
)

// Warnings are what the reader of an answer should know, none where that is nothing. It
// is asked for after the last row.
func Warnings(a *weft.Answer) []weft.Warning {
	if a.Warnings == nil {
		return nil
	}
	return a.Warnings()
}

// FormatWarnings writes warnings for a trailer: JSON in ASCII, the first ones where there
// are many. Of none it is empty.
func FormatWarnings(ws []weft.Warning) string {
	var out []weft.Warning
	text := ""
	for _, w := range ws[:min(len(ws), maxWarnings)] {
		w.Message, w.Hint = shorten(w.Message, maxWarningText), shorten(w.Hint, maxWarningText)
		out = append(out, w)
		b, _ := json.Marshal(out) // texts and a name always encode
		next := asciiJSON(string(b))
		if len(next) > maxWarningBytes {
			break
		}
		text = next
	}
	return text
}

// asciiJSON escapes what a header cannot carry.
func asciiJSON(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// ParseWarnings reads what FormatWarnings wrote; what cannot be read is none.
func ParseWarnings(s string) []weft.Warning {
	var out []weft.Warning
	if s == "" || len(s) > 2*maxWarningBytes || json.Unmarshal([]byte(s), &out) != nil {
		return nil
	}
	return out
}
