package engine

import (
	"os"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
)

// TestLanding lays rows out in memory, past its bound in a file without a name, and past
// all bounds not at all; a worker reads the same either way.
func TestLanding(t *testing.T) {
	s := testSession(t, nil)
	sc := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	batch := func(from int64) arrow.RecordBatch {
		b := array.NewRecordBuilder(memory.DefaultAllocator, sc)
		defer b.Release()
		for i := range int64(10_000) {
			b.Field(0).(*array.Int64Builder).Append(from + i)
		}
		return b.NewRecordBatch()
	}
	for name, c := range map[string]struct {
		memory int64
		onDisk bool
	}{
		"in memory": {memory: 64 << 20},
		"on disk":   {memory: 100_000, onDisk: true},
	} {
		dir := t.TempDir()
		l, err := NewLanding(sc, NewLandingRoom(dir, c.memory, 0))
		if err != nil {
			t.Fatal(err)
		}
		for i := range int64(10) {
			b := batch(i * 10_000)
			if err := l.Add(b); err != nil {
				t.Fatal(err)
			}
			b.Release()
		}
		if l.Rows() != 100_000 || l.Bytes() < 800_000 || (l.Held() == 0) != c.onDisk {
			t.Errorf("%s: %d rows, %d bytes, %d held", name, l.Rows(), l.Bytes(), l.Held())
		}
		sh, err := l.Done()
		if err != nil {
			t.Fatal(err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: %d files have a name", name, len(left))
		}
		rows, err := s.Query(t.Context(), Statement{
			SQL: "SELECT sum(n)::BIGINT FROM arrow_source('x')", Sources: []Source{{Name: "x", Schema: sc, Shared: []*Shared{sh}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if !rows.Next() || rows.RecordBatch().Column(0).(*array.Int64).Value(0) != 4_999_950_000 {
			t.Errorf("%s: other rows: %v", name, rows.Err())
		}
		rows.Release()
		sh.Close()
	}
	l, err := NewLanding(sc, NewLandingRoom(t.TempDir(), 10_000, 100_000))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Drop()
	for i := range int64(10) {
		b := batch(i)
		err = l.Add(b)
		b.Release()
		if err != nil {
			break
		}
	}
	if weft.KindOf(err) != weft.KindLimit {
		t.Errorf("more than may be kept: %v", err)
	}
	gone, err := NewLanding(sc, NewLandingRoom(t.TempDir()+"/not there", 10, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer gone.Drop()
	b := batch(0)
	defer b.Release()
	if gone.Add(b) == nil {
		t.Error("there is no folder, and it was kept")
	}
}

// TestLandingsShareTheirRoom: what several take together is bounded, and what one gives up
// another has.
func TestLandingsShareTheirRoom(t *testing.T) {
	sc := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	rb := array.NewRecordBuilder(memory.DefaultAllocator, sc)
	defer rb.Release()
	rb.Field(0).(*array.Int64Builder).AppendValues(make([]int64, 10_000), nil) // 80 KB
	b := rb.NewRecordBatch()
	defer b.Release()
	room := NewLandingRoom(t.TempDir(), 200_000, 400_000)
	var all []*Landing
	for range 3 {
		l, err := NewLanding(sc, room)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Drop()
		if err := l.Add(b); err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	if all[0].Held() == 0 || all[1].Held() == 0 || all[2].Held() != 0 {
		t.Errorf("in memory are %d, %d and %d bytes", all[0].Held(), all[1].Held(), all[2].Held())
	}
	if all[2].Add(b) != nil || weft.KindOf(all[2].Add(b)) != weft.KindLimit {
		t.Error("more came than there is room for")
	}
	all[0].Drop()
	l, err := NewLanding(sc, room)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Drop()
	if err := l.Add(b); err == nil || weft.KindOf(err) != weft.KindLimit {
		t.Errorf("the room of one that was too large: %v", err)
	}
	all[2].Drop()
	again, err := NewLanding(sc, room)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Drop()
	if err := again.Add(b); err != nil || again.Held() == 0 {
		t.Errorf("room that was given up: %v", err)
	}
}
