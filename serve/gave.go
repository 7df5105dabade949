package serve

import (
	"cmp"
	"encoding/json"
	"slices"

	"weft"
)

// Gave is what one node gave to an answer.
type Gave struct {
	Node     weft.KeyID  `json:"node"`
	Name     string      `json:"name" doc:"what people call the node"`
	Products []weft.Name `json:"products"`
	Rows     int64       `json:"rows"`
	Bytes    int64       `json:"bytes" doc:"on the wire"`
}

// maxGaveBytes bounds what a trailer says of who gave what.
const maxGaveBytes = 8 << 10

// WhoGave is what each other node gave to an answer, the most rows first. It is asked for
// after the last row.
func WhoGave(a *weft.Answer) []Gave {
	if a.Parts == nil {
		return nil
	}
	var out []Gave
	for _, u := range a.Parts() {
		i := slices.IndexFunc(out, func(g Gave) bool { return g.Node == u.Node })
		if i < 0 {
			i, out = len(out), append(out, Gave{Node: u.Node, Name: u.Name, Products: []weft.Name{}})
		}
		g := &out[i]
		g.Rows += u.Rows
		g.Bytes += u.Bytes
		for _, p := range u.Cut {
			if !slices.Contains(g.Products, p.Product) {
				g.Products = append(g.Products, p.Product)
			}
		}
	}
	for _, g := range out {
		slices.SortFunc(g.Products, func(a, b weft.Name) int { return cmp.Compare(a.String(), b.String()) })
	}
	slices.SortFunc(out, func(a, b Gave) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Node.String(), b.Node.String()))
	})
	return out
}

// FormatGave writes who gave what for a trailer: JSON in ASCII, those with the most rows
// where they are many. Of nobody it is empty.
func FormatGave(gs []Gave) string {
	text := ""
	for i := range gs {
		b, _ := json.Marshal(gs[:i+1]) // names, numbers and texts always encode
		next := asciiJSON(string(b))
		if len(next) > maxGaveBytes {
			break
		}
		text = next
	}
	return text
}

// ParseGave reads what FormatGave wrote; what cannot be read is nobody.
func ParseGave(s string) []Gave {
	var out []Gave
	if s == "" || len(s) > 2*maxGaveBytes || json.Unmarshal([]byte(s), &out) != nil {
		return nil
	}
	return out
}
