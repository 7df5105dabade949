package fedtest

import "testing"

// TestTPCHTexts asks one engine the 22 questions, over whole tables and over both
// splits: they are of one form, and the splits hold the same rows.
func TestTPCHTexts(t *testing.T) {
	const scale = tpchScale
	data := tpchData(t)
	d := direct(t)
	if err := DefineTPCH(t.Context(), d, data); err != nil {
		t.Fatal(err)
	}
	for _, s := range TPCHSplits() {
		for _, domain := range s.Domains {
			for _, p := range s.Products(domain, data) {
				if err := Define(t.Context(), d, p.Domain, p.Name, p.File); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	queries := TPCHQueries()
	if len(queries) != 22 {
		t.Fatalf("%d questions", len(queries))
	}
	empty := 0
	for _, q := range queries {
		want := answer(t, d, q.Plain(scale))
		if want.Rows == 0 {
			empty++
			t.Logf("%s has no rows", q.Name)
		}
		for _, s := range TPCHSplits() {
			if diff := Diff(answer(t, d, s.SQL(q, scale)), want); diff != "" {
				t.Errorf("%s %s: %s", q.Name, s.Name, diff)
			}
		}
	}
	if empty > 2 {
		t.Errorf("%d questions have no rows at this scale, and show nothing", empty)
	}
}
