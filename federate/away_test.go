package federate

import (
	"fmt"
	"math"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
	"weft/engine"
)

// TestPartRows holds the guesses by which the place of the last step is chosen.
func TestPartRows(t *testing.T) {
	from := func(part int, unique bool) []engine.KeySource {
		return []engine.KeySource{{Part: part, Column: "k", Unique: unique}}
	}
	lines := &engine.Part{Site: "sales", Rows: 1_000_000, Base: 1_000_000}
	few := &engine.Part{Site: "crm", Rows: 1_000, Base: 10_000, Narrowed: true}
	for name, x := range map[string]struct {
		key  engine.KeyUse
		but  string
		want float64
	}{
		"a key of few rows": {engine.KeyUse{From: from(1, true)}, "", 100_000},
		"its own key":       {engine.KeyUse{From: from(1, false), Unique: true}, "", 1_000},
		"no key at all":     {engine.KeyUse{From: from(1, false)}, "", 100_000},
		"a query chooses":   {engine.KeyUse{From: []engine.KeySource{{Part: -1, SQL: "SELECT 1", Needs: []int{1}}}}, "", 300_000},
		"keys that stay":    {engine.KeyUse{From: from(1, true)}, "crm", 1_000_000},
	} {
		wide := *lines
		wide.Keys = []engine.KeyUse{x.key, x.key} // the second says nothing more
		parts := []*engine.Part{&wide, few}
		got := partRows(parts, []planned{{uses: []int{0, 1}, waits: []int{1}}, {}}, x.but)
		if math.Abs(got[0]-x.want) > 1 || got[1] != 1_000 {
			t.Errorf("%s: %v, wanted %v", name, got, x.want)
		}
	}
}

// TestLeaveOut holds that parts whose tables stay where the last step runs are no part of
// the question any more, and that keys keep to the parts that they come from.
func TestLeaveOut(t *testing.T) {
	at := func(p int) []engine.KeySource { return []engine.KeySource{{Part: p, Column: "k"}} }
	s := &engine.Split{Parts: []*engine.Part{
		{Site: "", Rows: manyRows, Base: manyRows, Keys: []engine.KeyUse{{Name: "k0", From: at(2)}, {Name: "k9", From: at(4)}}},
		{Site: "crm", Keys: []engine.KeyUse{{Name: "k1", From: at(0)}, {Name: "k2", From: at(2)}, {Name: "k3", From: []engine.KeySource{{Part: -1, SQL: "q", Needs: []int{2, 4}}}}}},
		{Site: "geo", Narrowed: true},
		{Site: ""},
		{Site: hereSite, Keys: []engine.KeyUse{{Name: "k4", From: []engine.KeySource{{Part: -1, SQL: "q", Needs: []int{1, 3}}}}}},
	}}
	leaveOut(s)
	if len(s.Parts) != 3 || s.Parts[0].Site != "crm" || len(s.Parts[2].Keys) != 0 {
		t.Fatalf("%+v", s.Parts)
	}
	k := s.Parts[0].Keys
	if len(s.Own) != 1 || len(s.Own[0].Keys) != 2 || s.Own[0].Keys[0].From[0].Part != 1 || s.Own[0].Keys[1].From[0].Part != 2 {
		t.Errorf("%+v", s.Own)
	}
	if len(k) != 2 || k[0].Name != "k2" || k[0].From[0].Part != 1 || k[1].From[0].Needs[0] != 1 || k[1].From[0].Needs[1] != 2 {
		t.Errorf("%+v", k)
	}
}

// TestWeighs holds what a move has to be worth.
func TestWeighs(t *testing.T) {
	const mb = 1 << 20
	for _, x := range []struct {
		here, there int64
		want        bool
	}{{0, 0, false}, {mb / 2, 0, false}, {2 * mb, mb / 2, true}, {10 * mb, 6 * mb, false}, {100 * mb, 40 * mb, true}} {
		if weighs(x.here, x.there) != x.want {
			t.Errorf("%+v", x)
		}
	}
}

// TestEnclosedIsChecked holds what may come with a question of another node.
func TestEnclosedIsChecked(t *testing.T) {
	table := func(name string, columns ...string) Enclosed {
		var fields []arrow.Field
		for _, c := range columns {
			fields = append(fields, arrow.Field{Name: c, Type: arrow.PrimitiveTypes.Int64, Nullable: true})
		}
		sc := arrow.NewSchema(fields, nil)
		b := array.NewRecordBuilder(memory.DefaultAllocator, sc)
		defer b.Release()
		for i := range fields {
			b.Field(i).(*array.Int64Builder).Append(7)
		}
		return Enclosed{Name: name, Schema: sc, Batches: []arrow.RecordBatch{b.NewRecordBatch()}}
	}
	many := make([]Enclosed, mostEnclosed+1)
	for i := range many {
		many[i] = table(guestName(i), "a")
	}
	wide := make([]string, mostColumns+1)
	for i := range wide {
		wide[i] = fmt.Sprintf("c%d", i)
	}
	r := newRig(t, nil)
	for name, x := range map[string]struct {
		q    FarQuestion
		want weft.Kind
	}{
		"keys and guests of one name": {FarQuestion{Keys: []Enclosed{table("x", "k")}, Guests: []Enclosed{table("x", "a", "b")}}, ""},
		"no name":                     {FarQuestion{Guests: []Enclosed{table("", "a")}}, weft.KindInvalid},
		"a name that breaks out":      {FarQuestion{Guests: []Enclosed{table(`x" AS SELECT 1; --`, "a")}}, weft.KindInvalid},
		"one name twice":              {FarQuestion{Guests: []Enclosed{table("x", "a"), table("x", "a")}}, weft.KindInvalid},
		"one column twice":            {FarQuestion{Guests: []Enclosed{table("x", "a", "A")}}, weft.KindInvalid},
		"a column without name":       {FarQuestion{Guests: []Enclosed{table("x", "")}}, weft.KindInvalid},
		"no columns":                  {FarQuestion{Guests: []Enclosed{table("x")}}, weft.KindInvalid},
		"too many columns":            {FarQuestion{Guests: []Enclosed{table("x", wide...)}}, weft.KindInvalid},
		"too many tables":             {FarQuestion{Guests: many}, weft.KindInvalid},
		"keys of two columns":         {FarQuestion{Keys: []Enclosed{table("x", "k", "l")}}, weft.KindInvalid},
		"keys of another name":        {FarQuestion{Keys: []Enclosed{table("x", "a")}}, weft.KindInvalid},
		"a guest that did not come":   {FarQuestion{Keys: []Enclosed{table("x", "k")}}, weft.KindNotFound},
	} {
		x.q.Question = weft.Question{Subject: subject("ann"), SQL: "SELECT n, 1 FROM test.numbers WHERE n IN (FROM weft_keys.x) UNION ALL SELECT a, b FROM weft_guests.x"}
		ans, err := r.Answer(t.Context(), x.q)
		if (err == nil) != (x.want == "") || err != nil && weft.KindOf(err) != x.want {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		rows := int64(0)
		for ans.Rows.Next() {
			rows += ans.Rows.RecordBatch().NumRows()
		}
		if err := ans.Rows.Err(); err != nil || rows != 2 {
			t.Errorf("%s: %d rows, %v", name, rows, err)
		}
		_ = ans.Close()
	}
}
