package engine

import (
	"math"
	"strings"
	"time"

	"weft"
)

const (
	maxGrowth  = 1024       // times a value may get longer by one expression
	valueBytes = 1024       // what a stored value is taken to have, for constants
	maxSeries  = 10_000_000 // values of range() in a FROM
	longSeries = 100_000    // of them that count as rows of the query's own
	maxList    = 10_000     // values of range() as a list, of a resized list
	maxWidth   = 1000       // of formats, bars and bins
	maxPad     = 1_000_000  // letters of lpad and rpad
)

// cappedCall is a capped call: its arguments with the growth of each.
type cappedCall struct {
	w      *walker
	name   string
	args   []any
	growth []float64
}

// cap holds the call against its bounds and returns the growth of its value.
func (c *cappedCall) cap(where callPlace) float64 {
	switch c.name {
	case "repeat":
		n := c.number(1, math.MaxInt32, "a constant count: repeat(x, 10)")
		if n > 1 {
			c.w.notLooping(c.name)
		}
		return max(c.of(0), 1.0/valueBytes) * float64(max(n, 1))
	case "lpad", "rpad":
		n := c.number(1, maxPad, "a constant length of at most a million: lpad(x, 10, ' ')")
		return max(c.of(0), float64(n)/valueBytes)
	case "range", "generate_series":
		return c.series(where)
	case "list_resize", "array_resize":
		n := c.number(1, maxList, "a constant length of at most 10,000")
		return c.of(0) + listGrowth(n)*max(c.of(2), 1)
	case "replace", "regexp_replace":
		return c.replacing()
	case "format", "printf":
		return c.formatting()
	case "bar":
		if len(c.args) > 3 {
			c.number(3, maxWidth, "a constant width of at most 1,000")
		}
	case "equi_width_bins":
		return listGrowth(c.number(2, maxWidth, "a constant number of bins of at most 1,000"))
	case "approx_top_k":
		c.number(1, maxWidth, "a constant number of at most 1,000")
	case "to_base":
		if len(c.args) > 2 {
			c.number(2, 64, "a constant length of at most 64")
		}
	default: // list_aggregate and its other names
		c.aggregate()
		return max(c.all(), 1)
	}
	return 1
}

// listGrowth is the growth of a list of n numbers, with room for what is done to each.
func listGrowth(n int64) float64 { return math.Ceil(float64(n) / 10) }

func (c *cappedCall) of(i int) float64 {
	if i < len(c.growth) {
		return c.growth[i]
	}
	return 0
}

func (c *cappedCall) all() float64 {
	g := 0.0
	for _, v := range c.growth {
		g += v
	}
	return g
}

func (c *cappedCall) refuse(want string) {
	c.w.fail(weft.KindLimit, "write "+want, "%s needs constant arguments within its bounds", c.name)
}

// number reads a constant argument from 0 to most.
func (c *cappedCall) number(i int, most int64, want string) int64 {
	if i < len(c.args) {
		if v, ok := c.w.constant(c.args[i]); ok {
			if n, isInt := v.(int64); isInt && n <= most {
				return max(n, 0)
			}
		}
	}
	c.refuse(want)
	return 0
}

// text reads a constant text argument.
func (c *cappedCall) text(i int) (string, bool) {
	if i >= len(c.args) {
		return "", false
	}
	v, ok := c.w.constant(c.args[i])
	s, isText := v.(string)
	return s, ok && isText
}

// series counts the values of range and generate_series.
func (c *cappedCall) series(where callPlace) float64 {
	most, want := int64(maxList), "FROM "+c.name+"(…) for more than 10,000 values"
	if where == inFrom {
		most, want = maxSeries, "constant bounds with at most 10 million values between them, and the rest in WHERE"
	}
	vals := make([]any, len(c.args))
	for i, a := range c.args {
		v, ok := c.w.constant(a)
		if !ok {
			c.refuse("constant bounds, and the rest in WHERE: FROM range(1000) r(i) WHERE i < n")
		}
		vals[i] = v
	}
	n, ok := seriesLength(vals)
	if c.name == "generate_series" {
		n++ // its end is part of it
	}
	if !ok || n > float64(most) {
		c.refuse(want)
	}
	if where == inFrom {
		c.w.endless = c.w.endless || n > longSeries
		return 1
	}
	return listGrowth(int64(n))
}

// seriesLength is about how many values there are between the bounds.
func seriesLength(vals []any) (float64, bool) {
	var whole []float64
	for _, v := range vals {
		if i, ok := v.(int64); ok {
			whole = append(whole, float64(i))
		}
	}
	switch {
	case len(vals) == 1 && len(whole) == 1:
		return max(whole[0], 0), true
	case len(vals) == 2 && len(whole) == 2:
		return max(whole[1]-whole[0], 0), true
	case len(vals) == 3 && len(whole) == 3:
		if whole[2] == 0 {
			return 0, true // the engine says what is wrong
		}
		return max(math.Ceil((whole[1]-whole[0])/whole[2]), 0), true
	case len(vals) == 3:
		from, ok1 := vals[0].(time.Time)
		to, ok2 := vals[1].(time.Time)
		step, ok3 := vals[2].(span)
		if ok1 && ok2 && ok3 && step.rough() != 0 {
			seconds := float64(to.Unix() - from.Unix()) // a Duration ends after 292 years
			return max(seconds/step.rough().Seconds(), 0), true
		}
	}
	return 0, false
}

// replacing bounds replace(text, from, to) and regexp_replace(text, pattern, to, options).
func (c *cappedCall) replacing() float64 {
	to, ok := c.text(2)
	if !ok {
		c.refuse("a constant replacement")
	}
	k := float64(len(to))
	if c.name == "replace" {
		from, ok := c.text(1)
		if !ok || from == "" {
			from = "x"
		}
		k /= float64(len(from))
	} else if opt, ok := c.text(3); len(c.args) < 4 || ok && !strings.Contains(opt, "g") {
		backs := float64(strings.Count(to, `\`))
		return c.loops(c.of(0)*(1+backs)+k/valueBytes, backs > 1)
	} else {
		k++
	}
	return c.loops(max(c.of(0), 1)*max(k, 1), k > 2)
}

// loops refuses the call in a recursive part when it makes values longer.
func (c *cappedCall) loops(g float64, longer bool) float64 {
	if longer {
		c.w.notLooping(c.name)
	}
	return g
}

// formatting bounds format and printf: the format is constant, and no number in
// it is larger than a width may be.
func (c *cappedCall) formatting() float64 {
	f, ok := c.text(0)
	if !ok {
		c.refuse("a constant format")
	}
	n := 0
	for i := range len(f) {
		d := f[i]
		if d < '0' || d > '9' {
			n = 0
			continue
		}
		if n = n*10 + int(d-'0'); n > maxWidth {
			c.refuse("widths of at most 1,000")
		}
	}
	if c.name == "printf" && strings.Contains(f, "*") || c.name == "format" && nestedBraces(f) {
		c.refuse("widths as numbers in the format")
	}
	if g := c.all() * float64(1+max(strings.Count(f, "{"), strings.Count(f, "%"))); g > 1 {
		return c.loops(g, false)
	}
	return 1
}

// nestedBraces reports a width that is an argument: {:{}}.
func nestedBraces(f string) bool {
	f = strings.ReplaceAll(f, "{{", "")
	open := false
	for _, r := range f {
		switch r {
		case '{':
			if open {
				return true
			}
			open = true
		case '}':
			open = false
		}
	}
	return false
}

// aggregate holds list_aggregate(l, 'name') against the aggregates of the table.
func (c *cappedCall) aggregate() {
	name, ok := c.text(1)
	if !ok || !aggregateFunctions[strings.ToLower(name)] {
		c.w.fail(weft.KindInvalid, "write list_aggregate(l, 'sum') with an aggregate of docs/functions.md",
			"%s takes the name of an aggregate, as a constant", c.name)
	}
}
