package node

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
	"weft/engine"
	"weft/federate"
)

// someKeys are n keys.
func someKeys(name string, n int) federate.Enclosed {
	sc := arrow.NewSchema([]arrow.Field{{Name: "k", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, sc)
	defer b.Release()
	for i := range n {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
	}
	return federate.Enclosed{Name: name, Schema: sc, Batches: []arrow.RecordBatch{b.NewRecordBatch()}}
}

func somePart() partRequest {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return partRequest{
		SQL: "SELECT id FROM sales.shop WHERE id IN (SELECT k FROM weft_keys.k1)", Subject: partSubject{Kind: weft.SubjectPerson, ID: "ann", Domains: []string{"insights"}},
		At: &at, Cut: []partRef{{Product: weft.Name{Domain: "sales", Product: "shop"}, Incarnation: 1, Seq: 2, Hash: []byte{1, 2}}}, Deadline: time.Second, AnyOrder: true,
	}
}

// TestPartRequest: what is asked comes as it was asked, and nothing else is taken.
func TestPartRequest(t *testing.T) {
	want := somePart()
	with := enclosed{[]federate.Enclosed{someKeys("k1", 3), someKeys("k2", 0)}, []federate.Enclosed{someKeys("g1", 2)}}
	b, err := encodePart(want, with)
	if err != nil {
		t.Fatal(err)
	}
	got, given, err := decodePart(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	want.Keys, want.Guests = []string{"k1", "k2"}, []string{"g1"}
	x, _ := json.Marshal(want)
	y, _ := json.Marshal(got)
	if !bytes.Equal(x, y) || len(given.keys) != 2 || given.keys[0].Name != "k1" || given.keys[0].Batches[0].NumRows() != 3 || len(given.keys[1].Batches) != 0 ||
		len(given.guests) != 1 || given.guests[0].Batches[0].NumRows() != 2 {
		t.Errorf("%s comes as %s, with %v", x, y, given)
	}
	given.drop()
	for n := range b {
		if _, _, err := decodePart(bytes.NewReader(b[:n])); weft.KindOf(err) != weft.KindInvalid {
			t.Fatalf("%d of %d bytes are taken: %v", n, len(b), err)
		}
	}
	if _, _, err := decodePart(bytes.NewReader(append(b, 0))); weft.KindOf(err) != weft.KindInvalid {
		t.Errorf("a byte too many is taken: %v", err)
	}
}

// FuzzPartRequest: whatever another node asks is refused or can be asked again as it was.
func FuzzPartRequest(f *testing.F) {
	for _, with := range []enclosed{{}, {keys: []federate.Enclosed{someKeys("k1", 3)}}, {[]federate.Enclosed{someKeys("k1", 0)}, []federate.Enclosed{someKeys("g1", 1000)}}} {
		b, err := encodePart(somePart(), with)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, with, err := decodePart(bytes.NewReader(b))
		if err != nil {
			if weft.KindOf(err) != weft.KindInvalid {
				t.Errorf("it is %v", err)
			}
			return
		}
		defer with.drop()
		if slices.ContainsFunc(p.Cut, func(r partRef) bool { return r.Product.IsZero() }) || slices.ContainsFunc(p.Points, weft.Name.IsZero) {
			return // the next to look at it refuses that
		}
		p.Keys, p.Guests = nil, nil
		if again, err := encodePart(p, with); err != nil {
			t.Errorf("it cannot be asked again: %v", err)
		} else if _, more, err := decodePart(bytes.NewReader(again)); err != nil {
			t.Errorf("asked again it is %v", err)
		} else {
			more.drop()
		}
	})
}

// FuzzPartAnswer: whatever another node answers is a stream of rows that are what they
// say, or an error; never more rows than it says.
func FuzzPartAnswer(f *testing.F) {
	for _, rows := range []int64{2, 1, math.MaxInt64} {
		var b bytes.Buffer
		head, err := json.Marshal(partHead{Cut: weft.Cut{{Product: weft.Name{Domain: "sales", Product: "shop"}, ID: "x", Seq: 2}}})
		if err != nil {
			f.Fatal(err)
		}
		if err := writeSection(&b, head); err != nil {
			f.Fatal(err)
		}
		out, err := engine.NewRowWriter(&b, shopRows(2, "x", price).Schema())
		if err == nil {
			err = engine.WriteWork(&b)
		}
		if err == nil {
			err = out.Write(shopRows(2, "x", price))
		}
		if err == nil {
			err = out.End(partEnd{Rows: rows})
		}
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.NewReader(b)
		if _, err := readHead(in); err != nil {
			return
		}
		watch := &pacing{ctx: t.Context()}
		rows, err := engine.NewWaitingRowReader(in, watch.works)
		if err != nil {
			return
		}
		q := &farRows{in: rows, watch: watch}
		var n int64
		for q.Next() {
			for _, c := range q.RecordBatch().Columns() {
				for i := range c.Len() {
					_ = c.ValueStr(i) // reads every byte of it
				}
			}
			n += q.RecordBatch().NumRows()
		}
		q.forget()
		if q.Err() == nil && n != q.end.Rows {
			t.Errorf("%d rows come where it says %d", n, q.end.Rows)
		}
		if q.Err() == nil && in.Len() > 0 {
			if rest, _ := io.ReadAll(in); len(rest) > 0 {
				t.Errorf("%d bytes follow the end", len(rest))
			}
		}
	})
}
