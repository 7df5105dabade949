package store

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/engine"
)

// TestKeysOfManyColumns changes rows by a key of as many columns as a set can be
// asked for, and of more, which are joined: the same is read of both.
func TestKeysOfManyColumns(t *testing.T) {
	for _, columns := range []int{2, engine.MaxKeyColumns, engine.MaxKeyColumns + 1} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			dir := t.TempDir()
			e := newEngine(t, dir)
			s := mustOpen(t, testConfig(dir, e))
			var key, list []string
			for i := range columns {
				key = append(key, fmt.Sprintf("k%d", i))
				list = append(list, fmt.Sprintf("(i + %d)::DECIMAL(20,0) AS k%d", i, i))
			}
			put := func(op weft.TableOp, sql string) {
				t.Helper()
				schema, bs := e.query(t, sql)
				td := TableData{Table: "t", Op: op, Key: key, Schema: schema, Batches: bs}
				if op == weft.OpMerge {
					td.Schema = arrow.NewSchema(schema.Fields()[1:], nil)
				}
				mustAppend(t, s, Candidate{Tables: []TableData{td}})
			}
			cols := strings.Join(list, ", ")
			put(weft.OpReplace, "SELECT "+cols+", i AS v FROM range(100) t(i)")
			compactNow(t, s)
			want := map[weft.Seq][]string{}
			for round := range 3 {
				n := 10 * round
				put(weft.OpMerge, fmt.Sprintf("SELECT op AS _op, %s, w::BIGINT AS v FROM (VALUES ('b', %d, %d), ('u', %d, 1000), ('d', %d, %d), ('i', %d, 1)) t(op, i, w)",
					cols, n, n, n, n+1, n+1, 500+n))
				rows, rel := e.at(t, s, 0, "t")
				if sets := strings.Contains(rel.SQL, "weft_unchanged"); sets != (columns <= engine.MaxKeyColumns) {
					t.Errorf("sets are asked: %v", sets)
				}
				for _, v := range []string{"|1000", "|1"} {
					if got := len(slices.DeleteFunc(slices.Clone(rows), func(r string) bool { return !strings.HasSuffix(r, v) })); got < round+1 {
						t.Errorf("round %d: %d rows end with %s", round, got, v)
					}
				}
				want[s.Head().Seq] = rows
				if round != 1 {
					compactNow(t, s)
				}
				for seq, rows := range want {
					if got, _ := e.at(t, s, seq, "t"); !slices.Equal(got, rows) {
						t.Errorf("%s is not what it was", seq)
					}
				}
			}
			_ = s.Close()
			if f := Verify(dir); len(f) != 0 {
				t.Error(f)
			}
			if found, _ := filepath.Glob(filepath.Join(dir, "files", "*"+keysSuffix)); (len(found) > 0) != (columns <= engine.MaxKeyColumns) {
				t.Error(found)
			}
		})
	}
}
