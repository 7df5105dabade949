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
	var more, less []string
	for text, rows := range got.rows {
		m, l := unpaired(rows, want.rows[text])
		more, less = append(more, withReals(text, m)...), append(less, withReals(text, l)...)
	}
	for text, rows := range want.rows {
		if _, ok := got.rows[text]; !ok {
			less = append(less, withReals(text, rows)...)
		}
	}
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

// unpaired gives the rows of a and of b, alike but for their real numbers, that have no
// partner in the other.
func unpaired(a, b [][]float64) (x, y [][]float64) {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, slices.Compare[[]float64])
	slices.SortFunc(b, slices.Compare[[]float64])
	for len(a) > 0 && len(b) > 0 {
		switch {
		case near(a[0], b[0]):
			a, b = a[1:], b[1:]
		case slices.Compare(a[0], b[0]) < 0:
			x, a = append(x, a[0]), a[1:]
		default:
			y, b = append(y, b[0]), b[1:]
		}
	}
	x, y = append(x, a...), append(y, b...)
	// What differs in its last digits may be in another order: few are left to try.
	for i := 0; i < len(x) && len(x)*len(y) < 1_000_000; i++ {
		if j := slices.IndexFunc(y, func(v []float64) bool { return near(x[i], v) }); j >= 0 {
			x, y = slices.Delete(x, i, i+1), slices.Delete(y, j, j+1)
			i--
		}
	}
	return x, y
}

// withReals puts the numbers of rows beside what is exact.
func withReals(text string, rows [][]float64) (out []string) {
	for _, r := range rows {
		out = append(out, fmt.Sprint(text, r))
	}
	return out
}
