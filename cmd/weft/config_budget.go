package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"go.yaml.in/yaml/v3"

	"weft/meter"
)

// kindRules marks the option that takes a list of rules.
const kindRules = "rules"

// ruleField describes one field of a rule of budgets, once: reading, docs and
// validation come from this table.
type ruleField struct {
	key  string
	kind string
	text string
	set  func(*meter.Rule, []string) error // a field that is one value is given one
	list bool
}

// one is a field with one value.
func one(set func(*meter.Rule, string) error) func(*meter.Rule, []string) error {
	return func(r *meter.Rule, v []string) error { return set(r, v[0]) }
}

var ruleFields = []ruleField{
	{
		key: "for", kind: "who",
		text: "Whom it is for, each with a count of its own: `*` is every subject, `subject:ID` one (or `subject:service ID`), `node:KEY` or `node:NAME` another node with all its subjects together, `domain:NAME` all subjects of a domain together; `node:*` and `domain:*` are each of them by itself.",
		set: one(func(r *meter.Rule, v string) (err error) {
			r.For, err = meter.ParseWho(v)
			return err
		}),
	},
	{
		key: "except", kind: "list of who", list: true,
		text: "Whom it is not for, although `for` is.",
		set: func(r *meter.Rule, vs []string) error {
			for _, v := range vs {
				w, err := meter.ParseWho(v)
				if err != nil {
					return err
				}
				r.Except = append(r.Except, w)
			}
			return nil
		},
	},
	{
		key: "products", kind: "list of products", list: true,
		text: "The products whose rows and bytes count, like `sales.orders` or `sales.*`; questions over none of them do not come under the rule. Without it, all.",
		set: func(r *meter.Rule, vs []string) error {
			for _, v := range vs {
				s, err := meter.ParseScope(v)
				if err != nil {
					return err
				}
				r.Products = append(r.Products, s)
			}
			return nil
		},
	},
	{
		key: "name", kind: "text",
		text: "What refusals and quotes call the rule. Without it, what it is for.",
		set:  one(func(r *meter.Rule, v string) error { r.Name = v; return notEmpty(v) }),
	},
	{
		key: "per", kind: "duration",
		text: "The span of time that is counted, always the last one up to now, like `90m`, `1h`, `1d`, `7d`; from `1m` to `366d`.",
		set:  one(func(r *meter.Rule, v string) (err error) { r.Per, err = parseSpan(v); return err }),
	},
	{
		key: "rows", kind: "number",
		text: "Rows that may be read in that time, like `500000`, `500k` or `2M`.",
		set: one(func(r *meter.Rule, v string) (err error) {
			r.Rows, err = parseCount(v)
			return err
		}),
	},
	{
		key: "bytes", kind: "bytes",
		text: "Bytes that may be read in that time.",
		set:  one(func(r *meter.Rule, v string) (err error) { r.Bytes, err = parseBytes(v, 1); return err }),
	},
	{
		key: "seconds", kind: "number or duration",
		text: "Seconds that questions may have a worker in that time, like `600` or `10m`.",
		set:  one(func(r *meter.Rule, v string) (err error) { r.Seconds, err = parseSeconds(v); return err }),
	},
	{
		key: "concurrent", kind: "number",
		text: "Questions that may run at once.",
		set:  one(func(r *meter.Rule, v string) (err error) { r.Concurrent, err = parseInt(v, 1, 1<<20); return err }),
	},
}

func findRuleField(key string) (ruleField, bool) {
	i := slices.IndexFunc(ruleFields, func(f ruleField) bool { return f.key == key })
	if i < 0 {
		return ruleField{}, false
	}
	return ruleFields[i], true
}

// ruleFault is something wrong with the rules, and where.
type ruleFault struct {
	node *yaml.Node
	text string
	hint string
}

// parseBudgets reads rules from text as weft.yaml has them; empty is none.
func parseBudgets(text string) ([]meter.Rule, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return nil, fmt.Errorf("it is no YAML: %s", oneLine(err.Error(), 160))
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	rules, faults := readBudgets(doc.Content[0])
	var errs []error
	for _, f := range faults {
		errs = append(errs, errors.New(f.text))
	}
	return rules, errors.Join(errs...)
}

// readBudgets reads rules and says everything that is wrong with them.
func readBudgets(n *yaml.Node) (rules []meter.Rule, faults []ruleFault) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil, nil
	}
	if n.Kind != yaml.SequenceNode {
		return nil, []ruleFault{{n, "budgets is a list of rules", `write it like - {for: "*", per: 1h, rows: 1M}`}}
	}
	for i, x := range n.Content {
		r, fs := readRule(x)
		if len(fs) == 0 {
			if err := r.Validate(); err != nil {
				fs = append(fs, ruleFault{node: x, text: err.Error()})
			}
		}
		for j := range fs {
			fs[j].text = fmt.Sprintf("rule %d of budgets: %s", i+1, fs[j].text)
		}
		rules, faults = append(rules, r), append(faults, fs...)
	}
	if len(faults) == 0 {
		if err := meter.CheckRules(rules); err != nil {
			faults = append(faults, ruleFault{node: n, text: oneLine(strings.ReplaceAll(err.Error(), "\n", "; "), 400)})
		}
	}
	return rules, faults
}

// readRule reads one rule.
func readRule(n *yaml.Node) (r meter.Rule, faults []ruleFault) {
	if n.Kind != yaml.MappingNode {
		return r, []ruleFault{{n, "it is no rule", `write it like - {for: "*", per: 1h, rows: 1M}`}}
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		f, known := findRuleField(key.Value)
		if !known || seen[key.Value] {
			text, hint := "there is no field "+strconv.Quote(oneLine(key.Value, 40)), ""
			if known {
				text, hint = key.Value+" is given twice", "keep one of them"
			} else if near := nearest(key.Value, ruleKeys()); near != "" {
				hint = "did you mean " + near + "?"
			}
			faults = append(faults, ruleFault{key, text, hint})
			continue
		}
		seen[key.Value] = true
		values, err := ruleValues(f, value)
		if err == nil {
			err = f.set(&r, values)
		}
		if err != nil {
			faults = append(faults, ruleFault{node: value, text: f.key + ": " + err.Error()})
		}
	}
	return r, faults
}

// ruleValues are what a field is set to.
func ruleValues(f ruleField, n *yaml.Node) ([]string, error) {
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		return []string{n.Value}, nil
	case n.Kind == yaml.SequenceNode && f.list:
		var out []string
		for _, c := range n.Content {
			if c.Kind != yaml.ScalarNode {
				return nil, errors.New("it is a list of words")
			}
			out = append(out, c.Value)
		}
		return out, nil
	case f.list:
		return nil, errors.New("it is a list of words")
	}
	return nil, errors.New("it is one value")
}

func ruleKeys() []string {
	var keys []string
	for _, f := range ruleFields {
		keys = append(keys, f.key)
	}
	return keys
}

// parseSpan reads a duration with days: 1d, 7d, 36h.
func parseSpan(v string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(v, "d"); ok {
		n, err := parseInt(days, 1, int(meter.MostPer/(24*time.Hour)))
		return time.Duration(n) * 24 * time.Hour, err
	}
	return parseDuration(v, meter.LeastPer, meter.MostPer)
}

// parseCount reads a number of at least 1 with an SI prefix: 500k, 2M.
func parseCount(v string) (int64, error) {
	n, unit, err := humanize.ParseSI(strings.ReplaceAll(v, "_", ""))
	if err != nil || unit != "" || !(n >= 1) || n > 1<<53 || n != math.Trunc(n) {
		return 0, fmt.Errorf("%q is no number of rows: write it like 500000, 500k or 2M", v)
	}
	return int64(n), nil
}

// parseSeconds reads seconds, or a duration.
func parseSeconds(v string) (float64, error) {
	if n, err := strconv.ParseFloat(v, 64); err == nil && n > 0 && n <= 1e9 {
		return n, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is no time: write it like 600 or 10m", v)
	}
	return d.Seconds(), nil
}
