package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"weft"
)

func given(node byte, name, product string, rows int64) weft.PartUse {
	p := weft.Name{Domain: "sales", Product: product}
	return weft.PartUse{Node: weft.KeyID{node}, Name: name, Cut: weft.Cut{{Product: p, Seq: 1}}, Rows: rows, Bytes: 10 * rows}
}

// TestWhoGave sums parts by node, and holds that a trailer has them and is bounded.
func TestWhoGave(t *testing.T) {
	if got := WhoGave(&weft.Answer{}); got != nil || FormatGave(got) != "" {
		t.Errorf("of nobody comes %v", got)
	}
	s, rec := everyRecord(everyType())
	a := answerOf(s, rec)
	a.Parts = func() []weft.PartUse {
		return []weft.PartUse{given(1, "Zoë", "lines", 2), given(2, "crm", "customers", 40), given(1, "Zoë", "orders", 100), given(1, "Zoë", "orders", 1)}
	}
	got := WhoGave(a)
	if len(got) != 2 || got[0].Name != "Zoë" || got[0].Rows != 103 || got[0].Bytes != 1030 || fmt.Sprint(got[0].Products) != "[sales.lines sales.orders]" || got[1].Rows != 40 {
		t.Errorf("%+v", got)
	}
	if back := ParseGave(FormatGave(got)); !reflect.DeepEqual(back, got) {
		t.Errorf("%s comes back as %+v", FormatGave(got), back)
	}
	var many []Gave
	for range 1000 {
		many = append(many, got[0])
	}
	if text := FormatGave(many); len(text) > maxGaveBytes || len(ParseGave(text)) < 10 {
		t.Errorf("of many come %d bytes", len(text))
	}
	for _, bad := range []string{"{", "[1]", `[{"node":"x"}]`} {
		if ParseGave(bad) != nil {
			t.Errorf("%s is read", bad)
		}
	}
	var b bytes.Buffer
	if _, err := Encode(&b, FormatJSON, a); err != nil {
		t.Fatal(err)
	}
	var doc struct{ Parts []Gave }
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil || !reflect.DeepEqual(doc.Parts, got) {
		t.Errorf("the document says %+v, %v", doc, err)
	}
}
