package contract

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// flow is a YAML mapping on one line.
type flow []string

func (f *flow) raw(name, value string) { *f = append(*f, name+": "+value) }

func (f *flow) text(name, value string) { f.raw(name, quoteYAML(value)) }

// number writes digits as a number and anything else as text.
func (f *flow) number(name, value string) {
	if regexp.MustCompile(`^[1-9][0-9]*$`).MatchString(value) {
		f.raw(name, value)
		return
	}
	f.text(name, value)
}

func (f flow) String() string { return "{" + strings.Join(f, ", ") + "}" }

// flowList is a list of custom properties on one line.
type flowList []string

func (l *flowList) raw(property, value string) {
	*l = append(*l, "{property: "+property+", value: "+value+"}")
}

func (l *flowList) add(property, value string) { l.raw(property, quoteYAML(value)) }

func (l flowList) String() string { return "[" + strings.Join(l, ", ") + "]" }

var plainYAML = regexp.MustCompile(`^[A-Za-z_/.][A-Za-z0-9_/.*() -]*$`)

// quoteYAML writes text so that it is read back as the same text, inside a
// mapping or list on one line.
func quoteYAML(s string) string {
	if plainYAML.MatchString(s) && !strings.HasSuffix(s, " ") && !strings.Contains(s, " -") && s != "." && s != "..." {
		var n yaml.Node
		if yaml.Unmarshal([]byte("["+s+"]"), &n) == nil && len(n.Content) == 1 && len(n.Content[0].Content) == 1 {
			if c := n.Content[0].Content[0]; c.Kind == yaml.ScalarNode && c.ShortTag() == "!!str" && c.Value == s && !oldBool[strings.ToLower(s)] {
				return s
			}
		}
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r != '\uFEFF' && unicode.IsPrint(r):
			b.WriteRune(r)
		case r <= 0xFFFF:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// oldBool are words that other readers of YAML take for true or false.
var oldBool = map[string]bool{"y": true, "n": true, "yes": true, "no": true, "on": true, "off": true}

// draftRange is the range of a number with room for tomorrow's rows: from 0 or
// the next round number below, to the next round number above. Numbers that only
// tell things apart get no upper end. The result is logicalTypeOptions or empty.
func draftRange(t ShapeTable, c ShapeColumn, typ Type) string {
	lo, ok1 := new(big.Rat).SetString(c.Min)
	hi, ok2 := new(big.Rat).SetString(c.Max)
	if !typ.IsNumber() || !ok1 || !ok2 || lo.Cmp(hi) > 0 || t.Rows < fewRows {
		return ""
	}
	words := nameWords(c.Name)
	last := ""
	if len(words) > 0 {
		last = words[len(words)-1]
	}
	label := last == "id" || last == "no" || last == "nr" || last == "number" || last == "code" || last == "key" || t.Rows > 20 && c.Distinct*10 > t.Rows*9
	f := flow{}
	if lo.Sign() >= 0 {
		f.raw("minimum", "0")
	} else if r, ok := roundOut(lo, typ); ok && !label {
		f.raw("minimum", r)
	}
	if hi.Sign() <= 0 && lo.Sign() < 0 {
		f.raw("maximum", "0")
	} else if r, ok := roundOut(hi, typ); ok && !label {
		f.raw("maximum", r)
	}
	if len(f) == 0 || label && lo.Sign() < 0 {
		return ""
	}
	return f.String()
}

// fewRows are too few to tell the bounds of a column from.
const fewRows = 20

// intMax is the largest value of each integer type.
var intMax = map[Kind]string{KindInt8: "127", KindInt16: "32767", KindInt32: "2147483647", KindInt64: "9223372036854775807"}

// roundOut gives the next 1, 2 or 5 times a power of ten that lies outside v;
// ok is false for numbers too small or too large to be worth a bound.
func roundOut(v *big.Rat, typ Type) (string, bool) {
	most := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(15), nil))
	a := new(big.Rat).Abs(v)
	one := big.NewRat(1, 1)
	if a.Sign() == 0 || a.Cmp(most) > 0 {
		return "", false
	}
	step := new(big.Rat).Set(one)
	for _, m := range []int64{2, 5, 10} {
		if a.Cmp(step) <= 0 {
			break
		}
		step = big.NewRat(m, 1)
	}
	for scale := big.NewRat(10, 1); a.Cmp(step) > 0; scale.Mul(scale, big.NewRat(10, 1)) {
		for _, m := range []int64{2, 5, 10} {
			if step = new(big.Rat).Mul(big.NewRat(m, 1), scale); a.Cmp(step) <= 0 {
				break
			}
		}
	}
	if largest, ok := new(big.Rat).SetString(intMax[typ.Kind]); ok && step.Cmp(largest) > 0 {
		return "", false
	}
	if typ.Kind == KindDecimal && len(step.Num().String()) > typ.Precision-typ.Scale {
		return "", false
	}
	if v.Sign() < 0 {
		step.Neg(step)
	}
	return step.Num().String(), true
}
