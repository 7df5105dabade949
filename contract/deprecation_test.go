package contract

import (
	"strings"
	"testing"

	"weft"
)

// TestDeprecation: a deprecated product says until when it is served, and what takes its place.
func TestDeprecation(t *testing.T) {
	for _, c := range []struct{ status, props, until, by, fault string }{
		{"status: deprecated", "{property: weftReplacedBy, value: sales.orders2}, {property: weftServedUntil, value: 2027-03-31}", "2027-03-31", "sales.orders2", ""},
		{"status: deprecated", "{property: other, value: 1}", "", "", ""},
		{"status: active, deprecated: true", "{property: weftServedUntil, value: '2027-03-31'}", "2027-03-31", "", ""},
		{"status: deprecated", "{property: weftReplacedBy, value: orders2}", "", "", "'orders2' is not the address of a product"},
		{"status: deprecated", "{property: weftServedUntil, value: soon}", "", "", "the value of 'weftServedUntil' cannot be that"},
		{"status: active", "{property: weftReplacedBy, value: sales.orders2}", "", "", "the product is not deprecated"},
		{"status: active", "{property: weftShard, value: {modulus: 2, remainder: 0}}", "", "", "'weftShard' belongs to a column, not to a product"},
	} {
		status := strings.ReplaceAll(c.status, ", ", "\n")
		f, faults := ReadFiles(map[string][]byte{
			productFile: []byte("apiVersion: v1.1.0\nkind: DataProduct\nid: sales.orders\nname: orders\ndomain: sales\n" + status + "\n" +
				"description: {purpose: An invented shop.}\nteam: {members: [{username: a@example.com}]}\ncustomProperties: [" + c.props + "]\n"),
		})
		var text []string
		for _, x := range faults {
			text = append(text, x.Message)
		}
		if got := strings.Join(text, "; "); !strings.Contains(got, c.fault) || c.fault == "" && strings.Contains(got, "weft") {
			t.Errorf("%s, %s: %s", c.status, c.props, got)
		}
		if (f.Life == weft.LifeDeprecated) != (f.Deprecation != nil) || (f.Life == weft.LifeDeprecated) != strings.Contains(c.status, "deprecated") {
			t.Errorf("%s: %s, %v", c.status, f.Life, f.Deprecation)
		}
		if f.Deprecation == nil {
			continue
		}
		until, by := "", ""
		if f.Deprecation.Until != nil {
			until = f.Deprecation.Until.Format("2006-01-02")
		}
		if f.Deprecation.Replacement != nil {
			by = f.Deprecation.Replacement.String()
		}
		if until != c.until || by != c.by {
			t.Errorf("%s, %s: until %q, by %q", c.status, c.props, until, by)
		}
	}
}
