package contract

import (
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"weft"
)

const day = 24 * time.Hour

// slaUnits are the units of time of SLA values.
var slaUnits = map[string]time.Duration{
	"ms": time.Millisecond, "millisecond": time.Millisecond, "milliseconds": time.Millisecond,
	"s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "mins": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": day, "day": day, "days": day, "w": 7 * day, "wk": 7 * day, "week": 7 * day, "weeks": 7 * day,
	"mo": 30 * day, "month": 30 * day, "months": 30 * day, "y": 365 * day, "yr": 365 * day, "year": 365 * day, "years": 365 * day,
}

// slaNames maps the standard's properties and their synonyms to the ones that
// Weft acts on.
var slaNames = map[string]string{
	"latency": "latency", "ly": "latency", "freshness": "latency",
	"frequency": "frequency", "fy": "frequency", "retention": "retention", "re": "retention",
}

// readSLA reads the promises that Weft acts on: latency, frequency and
// retention. The others are documentation.
func (r *reader) readSLA(c *contractFile) {
	for _, n := range items(field(c.doc.root, "slaProperties")) {
		r.slaElement(c, n)
		name := slaNames[strings.ToLower(text(n, "property"))]
		if name == "" {
			continue
		}
		schedule := ""
		if strings.EqualFold(text(n, "scheduler"), "cron") || field(n, "scheduler") == nil {
			schedule = text(n, "schedule")
		}
		if _, err := ParseSchedule(schedule); schedule != "" && err != nil {
			r.errorf(c.where(field(n, "schedule")), "schedule", weft.HintOf(err), "the schedule of %s cannot be read", name)
			schedule = ""
		}
		d, ok := r.slaDuration(c, n, name)
		if !ok {
			continue
		}
		switch name {
		case "latency":
			if c.SLA.Latency == 0 {
				c.SLA.Latency, c.SLA.Element = d, c.element(n)
			}
		case "frequency":
			c.SLA.Frequency, c.SLA.Schedule = d, schedule
		case "retention":
			c.SLA.Retention = d
		}
	}
}

// slaDuration reads value and unit; ok is false where they are no time.
func (r *reader) slaDuration(c *contractFile, n *yaml.Node, name string) (time.Duration, bool) {
	v, ok := number(field(n, "value"))
	unit, known := slaUnits[strings.ToLower(text(n, "unit"))]
	switch {
	case field(n, "value") == nil:
		return 0, false // said by the standard
	case !ok || v <= 0:
		r.errorf(c.where(field(n, "value")), "sla", "write a number above 0, and its unit", "the value of %s is no length of time", name)
		return 0, false
	case !known && field(n, "unit") == nil:
		r.errorf(c.where(n), "sla", "add 'unit: min', h, d, w, month or y", "the %s has no unit", name)
		return 0, false
	case !known:
		r.errorf(c.where(field(n, "unit")), "sla", "write s, min, h, d, w, month or y", "'%s' is no unit of time", clip(text(n, "unit")))
		return 0, false
	case v*float64(unit) > float64(1<<62):
		return 1 << 62, true
	}
	return time.Duration(v * float64(unit)), true
}

// element returns "table.column" of the first element an SLA names.
func (c *contractFile) element(n *yaml.Node) string {
	e, _, _ := strings.Cut(text(n, "element"), ",")
	if e = strings.TrimSpace(e); e == "" {
		e = strings.TrimSpace(text(c.doc.root, "slaDefaultElement"))
	}
	if e != "" && !strings.Contains(e, ".") && len(c.Tables) == 1 {
		e = c.Tables[0].Name + "." + e
	}
	return e
}

// slaElement checks that the elements of an SLA exist. An input contract may
// leave columns out, so a table without any is not looked into.
func (r *reader) slaElement(c *contractFile, n *yaml.Node) {
	for _, e := range strings.Split(text(n, "element"), ",") {
		if e = strings.TrimSpace(e); e == "" || len(c.Tables) == 0 {
			continue
		}
		at := c.where(field(n, "element"))
		table, col, ok := strings.Cut(e, ".")
		if !ok {
			if len(c.Tables) == 1 {
				table, col = c.Tables[0].Name, e
				if e == table { // the table as a whole
					continue
				}
			} else if tableOf(c.Contract, e) != nil {
				continue
			}
		}
		t := tableOf(c.Contract, table)
		if t == nil {
			var names []string
			for _, u := range c.Tables {
				names = append(names, u.Name)
			}
			r.errorf(at, "sla-element", didYouMean(table, names), "the SLA names the table '%s', and the contract has none", clip(table))
			continue
		}
		top, _, _ := strings.Cut(col, ".")
		if len(t.Columns) > 0 && t.Column(top) == nil {
			r.errorf(at, "sla-element", didYouMean(top, t.columnNames()), "the SLA names the column '%s', and table '%s' has none", clip(top), clip(t.Name))
		}
	}
}

func tableOf(c *Contract, name string) *Table {
	for _, t := range c.Tables {
		if t.Name == name {
			return t
		}
	}
	return nil
}

func (t *Table) columnNames() []string {
	var w []string
	for _, c := range t.Columns {
		w = append(w, c.Name)
	}
	return w
}
