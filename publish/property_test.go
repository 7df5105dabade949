package publish

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weft"
	"weft/contract"
	"weft/engine"
)

// columns of the random tables, with their types: one of every family whose
// equality has a trap.
var columns = [][2]string{
	{"k", "INTEGER"},
	{"k2", "VARCHAR"},
	{"f", "DOUBLE"},
	{"d", "DECIMAL(18,4)"},
	{"s", "VARCHAR"},
	{"ts", "TIMESTAMPTZ"},
	{"l", "INTEGER[]"},
	{"st", "STRUCT(a INTEGER, b VARCHAR)"},
	{"u", "UUID"},
	{"bl", "BLOB"},
}

func field(t *rapid.T, name string) string {
	pick := func(values ...string) string { return rapid.SampledFrom(values).Draw(t, name) }
	switch name {
	case "f":
		return pick("NULL", "'nan'::DOUBLE", "0.1", "'infinity'::DOUBLE", "-5")
	case "d":
		return pick("NULL", "1.5000", "1.5001", "-0.0001")
	case "s":
		return pick("NULL", "''", "'a'", "'it''s'", "'ä\U0001F600'")
	case "ts":
		return pick("NULL", "'2025-01-02 10:00:00+00'", "'1969-12-31 23:59:59.999999+00'")
	case "l":
		return pick("NULL", "[]", "[1, NULL]", "[1]")
	case "st":
		return pick("NULL", "{'a': NULL, 'b': NULL}", "{'a': 1, 'b': 'x'}")
	case "u":
		return pick("NULL", "'00000000-0000-0000-0000-000000000001'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'")
	case "bl":
		return pick("NULL", `'\x00\xFF'::BLOB`, "''::BLOB")
	}
	return "NULL"
}

// table draws rows; keyed ones have distinct (k, k2).
func table(t *rapid.T, keyed bool, label string) string {
	n := rapid.IntRange(0, 12).Draw(t, label)
	var rows []string
	for i := range n {
		k, k2 := fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "k")), "'x'"
		if keyed {
			k, k2 = fmt.Sprint(i/2+rapid.IntRange(0, 1).Draw(t, "shift")*20), fmt.Sprintf("'%d'", i%2)
		}
		row := []string{k, k2}
		for _, c := range columns[2:] {
			row = append(row, field(t, c[0]))
		}
		rows = append(rows, "("+strings.Join(row, ", ")+")")
	}
	var cast, names, nulls []string
	for _, c := range columns {
		names = append(names, c[0])
		cast = append(cast, "CAST("+c[0]+" AS "+c[1]+") AS "+c[0])
		nulls = append(nulls, "CAST(NULL AS "+c[1]+") AS "+c[0])
	}
	if len(rows) == 0 {
		return "SELECT " + strings.Join(nulls, ", ") + " WHERE false"
	}
	return "SELECT " + strings.Join(cast, ", ") + " FROM (VALUES " + strings.Join(rows, ", ") + ") AS v(" + strings.Join(names, ", ") + ")"
}

// TestChangeLeadsToNew holds: what Plan computes, applied to the old rows, gives
// the new ones, whatever they are; and the counts say what was done.
func TestChangeLeadsToNew(t *testing.T) {
	b := newBench(t)
	for _, key := range [][]string{{"k", "k2"}, nil} {
		t.Run(fmt.Sprintf("key %v", key), rapid.MakeCheck(func(rt *rapid.T) {
			old, new := table(rt, key != nil, "old rows"), table(rt, key != nil, "new rows")
			same := rapid.Bool().Draw(rt, "same")
			if same {
				new = old
			}
			prior := b.Relation(old)
			staged := b.Staged(true, new)
			want := b.Lines("SELECT * FROM " + engine.ScanParquet(staged.Files...))
			p := newPlan(b.Session, Request{Table: "t", Key: key, Staged: staged, Prior: prior, Stage: b.Stage})
			p.passRows = passRows
			if rapid.Bool().Draw(rt, "many passes") {
				p.passRows = 5
			}
			d, err := p.compute(context.Background())
			if err != nil {
				rt.Fatal(err)
			}
			if got := b.apply(prior, d); !slices.Equal(got, want) {
				rt.Fatalf("%+v gives\n%s\nnot\n%s", d, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if d == nil {
				return
			}
			if same {
				rt.Fatalf("the same rows are a change: %+v", d)
			}
			if prior.Rows+d.Inserted-d.Deleted != int64(len(want)) {
				rt.Fatalf("%d rows, %d in, %d gone is not %d", prior.Rows, d.Inserted, d.Deleted, len(want))
			}
			if d.Inserted+d.Updated+d.Deleted == 0 {
				rt.Fatal("a change that changes nothing")
			}
		}))
	}
}

// TestUpsertLeadsToMerged holds the same for rows merged by key.
func TestUpsertLeadsToMerged(t *testing.T) {
	b := newBench(t)
	rapid.Check(t, func(rt *rapid.T) {
		prior := b.Relation(table(rt, true, "old rows"))
		one, two := table(rt, true, "first rows"), table(rt, true, "second rows")
		staged := b.Staged(false, one, two) // keys may be in both: the second file's row counts
		d, err := Plan(context.Background(), b.Session, Request{
			Table: "t", Key: []string{"k", "k2"}, Staged: staged, Mode: contract.ModeUpsert, Prior: prior, Stage: b.Stage,
		})
		if err != nil {
			rt.Fatal(err)
		}
		first, second := "FROM "+engine.ScanParquet(staged.Files[:1]...), "FROM "+engine.ScanParquet(staged.Files[1:]...)
		want := b.Lines("(SELECT * FROM (" + prior.SQL + ") ANTI JOIN (" + first + ") USING (k, k2) ANTI JOIN (" + second + ") USING (k, k2)) UNION ALL " +
			"(SELECT * FROM (" + first + ") ANTI JOIN (" + second + ") USING (k, k2)) UNION ALL " + second)
		if got := b.apply(prior, d); !slices.Equal(got, want) {
			rt.Fatalf("%+v gives\n%s\nnot\n%s", d, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if d != nil && d.Op != weft.OpMerge {
			rt.Fatalf("an upsert became %s", d.Op)
		}
	})
}
