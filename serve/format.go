package serve

import (
	"slices"
	"strconv"
	"strings"

	"weft"
)

// Format is a form an answer can take.
type Format string

// The formats of answers. Table is for terminals and not spoken by doors.
const (
	FormatArrow   Format = "arrow"   // Arrow IPC stream
	FormatParquet Format = "parquet" // zstd, several row groups
	FormatJSON    Format = "json"    // one document: columns, rows as arrays, cut
	FormatNDJSON  Format = "ndjson"  // one object per row
	FormatCSV     Format = "csv"     // RFC 4180 with a header; NULL is empty, empty text is ""
	FormatTable   Format = "table"
)

// Formats lists what a door offers, the default first.
func Formats() []Format {
	return []Format{FormatJSON, FormatArrow, FormatNDJSON, FormatCSV, FormatParquet}
}

// mediaTypes are the content types of each format, the one that is sent first.
var mediaTypes = map[Format][]string{
	FormatArrow:   {"application/vnd.apache.arrow.stream"},
	FormatParquet: {"application/vnd.apache.parquet", "application/x-parquet"},
	FormatJSON:    {"application/json"},
	FormatNDJSON:  {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"},
	FormatCSV:     {"text/csv"},
	FormatTable:   {"text/plain"},
}

// ContentType is the media type the format is sent as.
func (f Format) ContentType() string {
	switch f {
	case FormatCSV:
		return "text/csv; charset=utf-8; header=present"
	case FormatTable:
		return "text/plain; charset=utf-8"
	}
	if t := mediaTypes[f]; t != nil {
		return t[0]
	}
	return "application/octet-stream"
}

// Extension is the usual end of a file's name, with the dot.
func (f Format) Extension() string {
	switch f {
	case FormatTable:
		return ".txt"
	case FormatArrow:
		return ".arrows"
	}
	return "." + string(f)
}

// ParseFormat reads a format's name as --format and ?format= give it.
func ParseFormat(s string) (Format, error) {
	switch f := Format(strings.ToLower(strings.TrimSpace(s))); f {
	case FormatArrow, FormatParquet, FormatJSON, FormatNDJSON, FormatCSV, FormatTable:
		return f, nil
	case "jsonl":
		return FormatNDJSON, nil
	}
	return "", weft.Errorf(weft.KindInvalid, "read the format", shorten(s, 40), "there is no such format").
		WithHint("take one of json, arrow, ndjson, csv, parquet")
}

// Negotiate picks the format that an Accept header asks for: the highest
// quality, among equals the more exact and then the earlier in Formats. Without
// a header it is JSON; ok is false where nothing that is accepted is offered.
func Negotiate(accept string) (f Format, ok bool) {
	if strings.TrimSpace(accept) == "" {
		return FormatJSON, true
	}
	best := -1.0
	for _, offer := range Formats() {
		if q := quality(accept, mediaTypes[offer]); q > 0 && q > best {
			f, best = offer, q
		}
	}
	return f, best > 0
}

// quality is the q value that accept gives to the best of types, as its most
// exact matching range says. A tiny bonus prefers exact ranges over wildcards of
// the same q, so that "*/*, text/csv" is CSV.
func quality(accept string, types []string) float64 {
	q, exact := 0.0, -1
	for part := range strings.SplitSeq(accept, ",") {
		params := strings.Split(part, ";")
		is := specificity(strings.ToLower(strings.TrimSpace(params[0])), types)
		if is < 0 || is < exact {
			continue
		}
		v := 1.0
		for _, p := range params[1:] {
			if n, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(p)), "q="); ok {
				if x, err := strconv.ParseFloat(n, 64); err == nil && x >= 0 && x <= 1 {
					v = x
				}
			}
		}
		if is > exact || v > q {
			q, exact = v, is
		}
	}
	if q == 0 {
		return 0
	}
	return q + float64(exact)*1e-6
}

// specificity is 2 for an exact range, 1 for type/*, 0 for */* and -1 for no match.
func specificity(r string, types []string) int {
	switch {
	case slices.Contains(types, r):
		return 2
	case r == "*/*":
		return 0
	}
	if main, ok := strings.CutSuffix(r, "/*"); ok && strings.HasPrefix(types[0], main+"/") {
		return 1
	}
	return -1
}
