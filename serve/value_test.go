package serve

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"
)

func TestTimesAreWhatTheLibraryWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		us := rapid.Int64Range(-62135596800e6, 253402300799e6).Draw(t, "us") // year 1 to 9999
		want := time.UnixMicro(us).UTC()
		if got := string(appendTimestamp(nil, us, arrow.Microsecond, true)); got != want.Format("2006-01-02T15:04:05.999999Z") {
			t.Fatalf("%d: %s, want %s", us, got, want)
		}
		days, _ := floorDiv(us, secondsPerDay*1e6)
		if got := string(appendDate(nil, int32(days))); got != want.Format(time.DateOnly) {
			t.Fatalf("%d: %s", days, got)
		}
	})
}

func TestTimesAtTheEdges(t *testing.T) {
	for _, c := range []struct {
		got, want string
	}{
		{string(appendDate(nil, -719163)), "0000-12-31"},
		{string(appendDate(nil, -719529)), "-0001-12-31"},
		{string(appendDate(nil, 2932897)), "10000-01-01"},
		{string(appendDate(nil, math.MaxInt32)), "infinity"},
		{string(appendDate(nil, -math.MaxInt32)), "-infinity"},
		{string(appendTimestamp(nil, math.MaxInt64, arrow.Microsecond, true)), "infinity"},
		{string(appendTimestamp(nil, -math.MaxInt64, arrow.Microsecond, false)), "-infinity"},
		{string(appendTimestamp(nil, math.MinInt64, arrow.Nanosecond, true)), "1677-09-21T00:12:43.145224192Z"},
		{string(appendTimestamp(nil, 1, arrow.Second, false)), "1970-01-01T00:00:01"},
		{string(appendTime(nil, 86400, arrow.Second)), "24:00:00"},
		{string(appendTime(nil, 1, arrow.Nanosecond)), "00:00:00.000000001"},
		{string(appendInterval(nil, 0, 0, 0)), "PT0S"},
		{string(appendInterval(nil, 14, 3, 4500e6)), "P1Y2M3DT4.5S"},
		{string(appendInterval(nil, -1, 0, -500e6)), "P-1MT-0.5S"},
		{string(appendInterval(nil, 0, 0, 3723e9)), "PT1H2M3S"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}

func TestDecimalsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hi, lo := rapid.Int64().Draw(t, "hi"), rapid.Uint64().Draw(t, "lo")
		if rapid.Bool().Draw(t, "small") {
			hi = 0
			if rapid.Bool().Draw(t, "negative") {
				hi = -1
			}
		}
		scale := rapid.Int32Range(0, 38).Draw(t, "scale")
		v := decimal128.New(hi, lo)
		got := string(appendDecimal128(nil, v, scale))
		r, ok := new(big.Rat).SetString(got)
		want := new(big.Rat).SetFrac(v.BigInt(), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
		if !ok || r.Cmp(want) != 0 {
			t.Fatalf("%v at scale %d is %s", v, scale, got)
		}
		if _, after, _ := strings.Cut(got, "."); len(after) != int(scale) {
			t.Fatalf("%s has not %d digits after the point", got, scale)
		}
	})
}

func TestFloatsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := math.Float64frombits(rapid.Uint64().Draw(t, "bits"))
		got := string(appendFloat(nil, v, 64))
		back, err := strconv.ParseFloat(got, 64)
		if err != nil || back != v && !(math.IsNaN(v) && math.IsNaN(back)) {
			t.Fatalf("%v is %s", v, got)
		}
	})
}

func TestJSONTextReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "text")
		var back string
		quoted := quoteJSON([]byte("x"+s), 1)[1:]
		if err := json.Unmarshal(quoted, &back); err != nil || back != s {
			t.Fatalf("%q became %s: %v", s, quoted, err)
		}
		raw := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		if got := quoteJSON([]byte(raw), 0); !utf8.Valid(got) || !json.Valid(got) {
			t.Fatalf("%q became %q", raw, got)
		}
	})
}

func oneText(vs ...string) (*arrow.Schema, arrow.RecordBatch) {
	s := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int32}, {Name: "text", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	for i, v := range vs {
		b.Field(0).(*array.Int32Builder).Append(int32(i))
		b.Field(1).(*array.StringBuilder).Append(v)
	}
	return s, b.NewRecordBatch()
}

func table(t *testing.T, opt TableOptions, vs ...string) string {
	t.Helper()
	s, rec := oneText(vs...)
	var b bytes.Buffer
	if _, err := EncodeWith(&b, FormatTable, answerOf(s, rec), Options{Table: opt}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTableFitsTheTerminal(t *testing.T) {
	got := table(t, TableOptions{Width: 30, NoTypes: true, NoFoot: true}, strings.Repeat("long ", 20), "日本語", "a\x1b[31mred")
	want := " id │ text\n────┼─────────────────────────\n  0 │ long long long long lo…\n  1 │ 日本語\n  2 │ a␛[31mred\n"
	if got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestTableSaysWhatItLeavesOut(t *testing.T) {
	got := table(t, TableOptions{MaxRows: 2, NoTypes: true}, "a", "b", "c", "d")
	if !strings.Contains(got, " … 2 more rows not shown\n4 rows · ") || strings.Contains(got, "c") && strings.Contains(got, " 2 │") {
		t.Errorf("got\n%s", got)
	}
}

func TestLongTableIsStreamed(t *testing.T) {
	vs := make([]string, 1000)
	for i := range vs {
		vs[i] = strings.Repeat("x", i%50)
	}
	if got := strings.Count(table(t, TableOptions{}, vs...), "\n"); got != 1000+4 {
		t.Errorf("%d lines", got)
	}
}

func TestCounts(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 336776: "336,776", 1234567: "1,234,567"} {
		if got := group(n); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
}

func TestCollectHides(t *testing.T) {
	s, rec := oneText("a", "b", "c")
	r, err := Collect(answerOf(s, rec), 2, "text")
	if err != nil || len(r.Rows) != 2 || string(r.Rows[1][0]) != "1" || string(r.Rows[1][1]) != "null" {
		t.Errorf("%+v, %v", r, err)
	}
}
