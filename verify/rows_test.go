package verify

import (
	"context"
	"os"
	"testing"

	"weft"
	"weft/contract"
	"weft/store/storetest"
)

func rangeTable() *contract.Table {
	return &contract.Table{
		Name:    "t",
		Columns: []*contract.Column{{Name: "id", Type: contract.Type{Kind: contract.KindInt64}}},
		Checks: []contract.Check{
			{ID: "t.id.range", Column: "id", Kind: "range", Text: "id is above 0", Predicate: "id > 0"},
			{ID: "t.id.unique", Column: "id", Kind: "unique", Text: "id is unique", Columns: []string{"id"}},
			{ID: "t.rowCount", Kind: "rowCount", Text: "rows: above 1000", Metric: "count(*)", Compare: &contract.Comparison{Above: new(float64)}},
		},
	}
}

// TestRows judges single rows, whatever the contract says of the whole table.
func TestRows(t *testing.T) {
	b := storetest.New(t)
	table := rangeTable()
	*table.Checks[2].Compare.Above = 1000
	good, broken, err := Rows(context.Background(), b.Session, table, b.Staged(true, "SELECT unnest([1, 1, 2, -3])::BIGINT AS id"), b.Stage)
	if err != nil {
		t.Fatal(err)
	}
	if good.Rows != 2 || len(broken) != 2 || broken[0].Failed != 1 || broken[1].Failed != 1 {
		t.Errorf("%+v %+v", good, broken)
	}
}

// TestInputTable: an input table is held against its contract like an output, and
// evidence names its port.
func TestInputTable(t *testing.T) {
	b := storetest.New(t)
	staged := b.Staged(true, "SELECT * FROM (VALUES (1, 'a'), (1, 'b'), (NULL, 'c')) AS v(id, x)")
	staged.Port = "shop"
	table := &contract.Table{Name: "orders", Key: []string{"id"}, OnViolation: contract.Refuse, Checks: []contract.Check{
		{ID: "orders.key", Table: "orders", Kind: "unique", Columns: []string{"id"}, Text: "the key (id) is unique"},
		{ID: "orders.id.required", Table: "orders", Column: "id", Kind: "required", Predicate: "id IS NOT NULL", Text: "id is there"},
	}}
	out, err := Check(context.Background(), b.Session, Request{Tables: []Candidate{{Table: table, Staged: staged}}, Stage: b.Stage})
	if err != nil {
		t.Fatal(err)
	}
	const want = `the data breaks its contract: shop.orders: "the key (id) is unique" does not hold in 1 of 3 rows (id=1); shop.orders: "id is there" does not hold in 1 of 3 rows (id=NULL)`
	if out.Pass || out.Refusal.Message != want {
		t.Errorf("%+v\n%v", out.Verdict, out.Refusal)
	}
	if id := out.Verdict.Checks[0].ID; id != "shop.orders.key" || table.Checks[0].ID != "orders.key" {
		t.Errorf("the evidence is called %s, the contract's check %s", id, table.Checks[0].ID)
	}
}

// TestFaultsAreNotRefusals: what goes wrong beside the data is an error of the
// check, never a verdict on the data.
func TestFaultsAreNotRefusals(t *testing.T) {
	b := storetest.New(t)
	staged := b.Staged(true, "SELECT range AS id FROM range(100000)")
	whole, err := os.ReadFile(staged.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string) {
		t.Helper()
		out, err := Check(context.Background(), b.Session, Request{Tables: []Candidate{{Table: rangeTable(), Staged: staged}}, Stage: b.Stage})
		if err == nil || weft.KindOf(err) == weft.KindContract {
			t.Errorf("%s: %+v %v", name, out, err)
		}
	}
	if err := os.WriteFile(staged.Files[0], whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	check("a truncated file")
	if err := os.Remove(staged.Files[0]); err != nil {
		t.Fatal(err)
	}
	check("a file that is gone")
	b.Session.Close()
	check("a session that is gone")
}
