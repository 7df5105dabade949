package fedtest

import (
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// Answer is all rows of an answer, to be held against another.
type Answer struct {
	Types string // names and types of the columns
	rows  map[string][][]float64
	Rows  int
	Bytes int64 // of the buffers
}

// row is one row on its way into an Answer: what is exact as text, in which a sign
// stands for each real number, and these beside it.
type row struct {
	strings.Builder
	reals []float64
}

// Read reads an answer to its end.
func Read(rd array.RecordReader) (*Answer, error) {
	a := &Answer{rows: map[string][][]float64{}, Types: types(rd.Schema())}
	for rd.Next() {
		rec := rd.RecordBatch()
		a.Rows += int(rec.NumRows())
		for _, c := range rec.Columns() {
			a.Bytes += int64(c.Data().SizeInBytes())
		}
		for i := range int(rec.NumRows()) {
			var r row
			for _, c := range rec.Columns() {
				r.value(c, i)
				r.WriteString(" | ")
			}
			a.rows[r.String()] = append(a.rows[r.String()], r.reals)
		}
	}
	return a, rd.Err()
}

// plain is a name that somebody gave. Others are what the engine writes an expression
// as, in which it is free.
var plain = regexp.MustCompile(`^\w+$`)

func types(s *arrow.Schema) string {
	var b strings.Builder
	for _, f := range s.Fields() {
		name := f.Name
		if !plain.MatchString(name) {
			name = "?"
		}
		fmt.Fprintf(&b, "%s %s, ", name, f.Type)
	}
	return strings.TrimSuffix(b.String(), ", ")
}

// value writes one value so that only the same one is written the same.
func (r *row) value(a arrow.Array, i int) {
	if a.IsNull(i) {
		r.WriteString("NULL")
		return
	}
	switch a := a.(type) {
	case *array.Float32:
		r.real(float64(a.Value(i)))
	case *array.Float64:
		r.real(a.Value(i))
	case *array.String:
		r.WriteString(strconv.Quote(a.Value(i)))
	case *array.Binary:
		r.WriteString(hex.EncodeToString(a.Value(i)))
	case *array.Timestamp:
		r.WriteString(strconv.FormatInt(int64(a.Value(i)), 10))
	case *array.Date32:
		r.WriteString(strconv.FormatInt(int64(a.Value(i)), 10))
	case *array.List:
		from, to := a.ValueOffsets(i)
		r.WriteByte('[')
		for j := from; j < to; j++ {
			r.value(a.ListValues(), int(j))
			r.WriteByte(' ')
		}
		r.WriteByte(']')
	case *array.Struct:
		r.WriteByte('{')
		for f := range a.NumField() {
			r.value(a.Field(f), i)
			r.WriteByte(' ')
		}
		r.WriteByte('}')
	default:
		r.WriteString(a.ValueStr(i))
	}
}

// real notes a real number. NaN and the infinities are exact; the zeros are equal.
func (r *row) real(v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		fmt.Fprintf(r, "%v", v)
		return
	}
	r.WriteByte('~')
	r.reals = append(r.reals, v)
}

// nearness is how far apart two real numbers may be that count as the same, of the
// greater of them.
const nearness = 1e-9

func near(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool {
		return x == y || math.Abs(x-y) <= nearness*math.Max(math.Abs(x), math.Abs(y))
	})
}

// Diff says how an answer differs from the one that is wanted, empty where they are the
// same: types, and rows as multisets, real numbers to a billionth of their size.
func Diff(got, want *Answer) string {
	if got.Types != want.Types {
		return fmt.Sprintf("the columns are %s, and not %s", got.Types, want.Types)
	}
	var b strings.Builder
	more, less := missing(got, want), missing(want, got)
	if len(more) == 0 && len(less) == 0 {
		return ""
	}
	fmt.Fprintf(&b, "%d rows, and not %d", got.Rows, want.Rows)
	list := func(what string, rows []string) {
		slices.Sort(rows)
		for i, r := range rows {
			if i == 5 {
				fmt.Fprintf(&b, "\n%s … %d of them", what, len(rows))
				break
			}
			fmt.Fprintf(&b, "\n%s %.400s", what, r)
		}
	}
	list("too many:", more)
	list("missing: ", less)
	return b.String()
}

// missing lists the rows of a that have no partner in b.
func missing(a, b *Answer) (out []string) {
	for text, all := range a.rows {
		left := slices.Clone(b.rows[text])
		if len(all) > 1 { // most find theirs at once
			all = slices.Clone(all)
			slices.SortFunc(all, slices.Compare[[]float64])
			slices.SortFunc(left, slices.Compare[[]float64])
		}
		for _, x := range all {
			i := slices.IndexFunc(left, func(y []float64) bool { return near(x, y) })
			if i < 0 {
				out = append(out, withReals(text, x))
				continue
			}
			left = slices.Delete(left, i, i+1)
		}
	}
	return out
}

// withReals puts the numbers back where their signs stand.
func withReals(text string, reals []float64) string {
	return fmt.Sprint(text, reals)
}
