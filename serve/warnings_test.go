package serve

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet/file"

	"weft"
)

// TestFormatWarnings: what fits a header comes back, text of any kind too, and never more
// than fits.
func TestFormatWarnings(t *testing.T) {
	stores := weft.Name{Domain: "places", Product: "stores"}
	w := weft.Warning{Kind: weft.WarnSkew, Product: stores, Message: "Zoë says \"no\" 🧵 \\ \n", Hint: "<weft & co>"}
	got := FormatWarnings([]weft.Warning{w})
	if strings.ContainsFunc(got, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
		t.Errorf("no header can carry %q", got)
	}
	if back := ParseWarnings(got); !slices.Equal(back, []weft.Warning{w}) {
		t.Errorf("%q comes back as %+v", got, back)
	}
	long := weft.Warning{Kind: weft.WarnPartial, Product: stores, Message: strings.Repeat("€", 10_000), Hint: strings.Repeat("h", 10_000)}
	got = FormatWarnings(slices.Repeat([]weft.Warning{long}, 100))
	if back := ParseWarnings(got); len(got) > maxWarningBytes || len(back) < 2 || back[0].Kind != weft.WarnPartial {
		t.Errorf("%d bytes come back as %d warnings", len(got), len(back))
	}
	if FormatWarnings(nil) != "" || ParseWarnings("") != nil || ParseWarnings("{") != nil || ParseWarnings(strings.Repeat(" ", 1<<20)) != nil {
		t.Error("nothing is something")
	}
}

// TestWarningsInFormats: JSON and Parquet end with the warnings, which are asked for after
// the last row.
func TestWarningsInFormats(t *testing.T) {
	w := weft.Warning{Kind: weft.WarnSkew, Product: weft.Name{Domain: "places", Product: "stores"}, Message: "they do not fit"}
	answer := func() *weft.Answer {
		s, rec := everyRecord(everyType())
		a := answerOf(s, rec)
		whole := false
		a.Rows = &atEnd{a.Rows, &whole}
		a.Warnings = func() []weft.Warning {
			if !whole {
				t.Error("warnings are asked for before the last row")
			}
			return []weft.Warning{w}
		}
		return a
	}
	var b bytes.Buffer
	if _, err := Encode(&b, FormatJSON, answer()); err != nil {
		t.Fatal(err)
	}
	var doc struct{ Warnings []weft.Warning }
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil || !slices.Equal(doc.Warnings, []weft.Warning{w}) {
		t.Errorf("%v, %v", doc, err)
	}
	b.Reset()
	if _, err := Encode(&b, FormatParquet, answer()); err != nil {
		t.Fatal(err)
	}
	r, err := file.NewParquetReader(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if v := r.MetaData().KeyValueMetadata().FindValue(MetaWarnings); v == nil || !slices.Equal(ParseWarnings(*v), []weft.Warning{w}) {
		t.Errorf("the file says %v", v)
	}
}

// atEnd notes when the rows were read to their end.
type atEnd struct {
	array.RecordReader
	whole *bool
}

func (r *atEnd) Next() bool {
	more := r.RecordReader.Next()
	*r.whole = *r.whole || !more
	return more
}

// FuzzWarnings reads any text as a node's warnings.
func FuzzWarnings(f *testing.F) {
	f.Add(FormatWarnings([]weft.Warning{{Kind: weft.WarnSkew, Product: weft.Name{Domain: "a", Product: "b"}, Message: "m"}}))
	f.Fuzz(func(t *testing.T, s string) {
		if again := FormatWarnings(ParseWarnings(s)); len(again) > maxWarningBytes {
			t.Fatalf("%d bytes", len(again))
		}
	})
}
