package contract

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"weft"
)

// TestShardOfAValue holds what the engine says of values against the definition in words.
func TestShardOfAValue(t *testing.T) {
	e := openEngine(t)
	whole := func(n, m int64) int { return int(((n % m) + m) % m) }
	digest := func(text string, m uint32) int {
		sum := md5.Sum([]byte(text))
		return int(binary.BigEndian.Uint32(sum[:]) % m)
	}
	for _, x := range []struct {
		expr    string
		kind    Kind
		modulus int
		want    int
	}{
		{"7", KindInt32, 3, whole(7, 3)},
		{"-7", KindInt64, 3, 2},
		{"-9223372036854775808", KindInt64, 10000, whole(-9223372036854775808, 10000)},
		{"9223372036854775807", KindInt64, 10000, whole(9223372036854775807, 10000)},
		{"CAST(-128 AS TINYINT)", KindInt8, 1000, whole(-128, 1000)},
		{"''", KindString, 7, digest("", 7)},
		{"'Zürich'", KindString, 9973, digest("Zürich", 9973)},
		{"DATE '2026-02-01'", KindDate, 31, digest("2026-02-01", 31)},
		{"CAST('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11' AS UUID)", KindUUID, 100, digest("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", 100)},
	} {
		for r := range min(x.modulus, 12) {
			for _, remainder := range []int{r, x.want} {
				got := e.value(t, Type{Kind: x.kind}.InShard(x.expr, weft.Shard{Modulus: x.modulus, Remainder: remainder}), "")
				if got != fmt.Sprint(remainder == x.want) {
					t.Errorf("%s in shard %d of %d: %s", x.expr, remainder, x.modulus, got)
				}
			}
		}
	}
	if got := e.value(t, Type{Kind: KindString}.InShard("CAST(NULL AS VARCHAR)", weft.Shard{Modulus: 3}), ""); got != "NULL" {
		t.Error("no value is in a shard:", got)
	}
}

func TestShardOf(t *testing.T) {
	for text, want := range map[string]string{
		"{modulus: 3, remainder: 0}": "0 of modulus 3", "{remainder: 9999, modulus: 10000}": "9999 of modulus 10000",
		"{modulus: 3, remainder: 3}": "", "{modulus: 1, remainder: 0}": "", "{modulus: 3}": "", "{remainder: 1}": "", "{modulus: 3, remainder: -1}": "",
		"{modulus: 3, remainder: 0, of: 2}": "", "{modulus: a, remainder: 0}": "", "{modulus: 10001, remainder: 0}": "", "3": "", "[3, 0]": "", "{modulus: 3.5, remainder: 0}": "",
	} {
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			t.Fatal(err)
		}
		got := ""
		if s, ok := shardOf(n.Content[0]); ok {
			got = s.String()
		}
		if got != want {
			t.Errorf("%s: %q, not %q", text, got, want)
		}
	}
}

// TestShardColumn: a column that divides a table has a value in every row, of a type that
// values are told apart by, and is the only one.
func TestShardColumn(t *testing.T) {
	const shard = ", customProperties: [{property: weftShard, value: {modulus: 2, remainder: 1}}]"
	for columns, want := range map[string]string{
		"{name: id, logicalType: integer, physicalType: bigint, required: true" + shard + "}":                                                                                            "",
		"{name: id, logicalType: integer, physicalType: bigint" + shard + "}":                                                                                                            "would be in no shard",
		"{name: id, logicalType: number, physicalType: 'decimal(9,2)', required: true" + shard + "}":                                                                                     "of the type numeric(9,2)",
		"{name: at, logicalType: timestamp, physicalType: timestamp, required: true" + shard + "}":                                                                                       "of the type timestamp",
		"{name: id, logicalType: string, physicalType: uuid, required: true" + shard + "}":                                                                                               "",
		"{name: a, logicalType: integer, physicalType: bigint, required: true" + shard + "}\n      - {name: b, logicalType: integer, physicalType: bigint, required: true" + shard + "}": "divided by 'a' already",
	} {
		f, faults := contractFolder(t, []byte("apiVersion: v3.1.0\nkind: DataContract\nid: sales.orders/orders\nversion: 1.0.0\nstatus: draft\nschema:\n  - name: orders\n    logicalType: object\n    properties:\n      - "+columns+"\n"))
		var text []string
		for _, x := range faults {
			if x.Severity == FaultError {
				text = append(text, x.Message)
			}
		}
		if got := strings.Join(text, "; "); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %s", columns, got)
		}
		if want == "" {
			c := f.Table("").Columns[0]
			checks := f.Table("").Checks
			if c.Shard == nil || *c.Shard != (weft.Shard{Modulus: 2, Remainder: 1}) || checks[len(checks)-1].Kind != kindShard {
				t.Errorf("%s: %+v %+v", columns, c, checks)
			}
		}
	}
}
