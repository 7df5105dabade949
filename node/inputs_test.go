package node

import (
	"context"
	"strings"
	"testing"

	"weft"
	"weft/serve"
)

// till is made by SQL from a source whose contract promises much.
const till = `
-- till/product.odps.yaml --
apiVersion: v1.0.0
kind: DataProduct
id: sales.till
name: till
domain: sales
status: active
description: {purpose: Invented sales.}
team: {members: [{username: owner@example.com, role: owner}]}
inputPorts: [{name: raw, version: 1.0.0, contractId: sales.till/raw}]
outputPorts: [{name: till, version: 1.0.0, contractId: sales.till/till, type: tables}]
-- till/till.odcs.yaml --
apiVersion: v3.1.0
kind: DataContract
id: sales.till/till
version: 1.0.0
status: active
schema:
  - name: till
    logicalType: object
    properties:
      - {name: sales, logicalType: integer, physicalType: bigint}
      - {name: value, logicalType: number, physicalType: "decimal(18,2)"}
-- till/till.sql --
SELECT count(*) AS sales, sum(price) AS value FROM raw.sales
`

const tillSource = `
-- till/raw.odcs.yaml --
apiVersion: v3.1.0
kind: DataContract
id: sales.till/raw
version: 1.0.0
status: active
slaProperties: [{property: frequency, value: 1, unit: d}]
servers: [{server: files, type: local, path: "data/{table}.csv", format: csv}]
schema:
  - name: sales
    logicalType: object
%s    properties:
      - {name: id, logicalType: integer, physicalType: bigint, primaryKey: true, primaryKeyPosition: 1}
      - name: kind
        logicalType: string
        required: true
        quality: [{metric: invalidValues, arguments: {validValues: [pen, ink]}, mustBe: 0}]
      - {name: code, logicalType: string, unique: true, logicalTypeOptions: {pattern: "^[A-Z][0-9]$"}}
      - {name: price, logicalType: number, physicalType: "decimal(10,2)", logicalTypeOptions: {minimum: 0}}
    quality:
      - {metric: rowCount, mustBeLessThan: 100}
      - {type: sql, query: "SELECT count(DISTINCT kind) FROM {object}", mustBeLessOrEqualTo: 2, description: few kinds}
`

const tillRows = "id,kind,code,price\n1,pen,A1,1.50\n2,ink,A2,7.25\n3,pen,A3,3.00\n"

func (r *rig) till(table, rows string) {
	r.t.Helper()
	r.write(till + strings.ReplaceAll(tillSource, "%s", table) + "-- till/data/sales.csv --\n" + rows)
}

// TestInputContractRefuses: every kind of rule of an input contract is held
// before the SQL runs, and what breaks one publishes nothing.
func TestInputContractRefuses(t *testing.T) {
	r := newRig(t)
	r.till("", tillRows)
	c := r.apply("till", serve.OutcomeCommitted).Commit
	ids := map[string]bool{}
	for _, k := range c.Verdict.Checks {
		ids[k.ID] = k.Pass
	}
	for _, id := range []string{
		"raw.sales.key", "raw.sales.id.required", "raw.sales.kind.required", "raw.sales.kind.invalidValues", "raw.sales.code.unique",
		"raw.sales.code.pattern", "raw.sales.price.range", "raw.sales.rowCount", "raw.sales.sql",
	} {
		if !ids[id] {
			t.Errorf("the commit has no evidence of %s: %v", id, ids)
		}
	}
	for row, says := range map[string]string{
		"4,pad,A4,1\n": "kind is one of pen, ink", "4,,A4,1\n": "kind is there", "4,pen,a4,1\n": "code matches", "4,pen,A1,1\n": "code is unique",
		"4,pen,A4,-1\n": "price is at least 0", "1,pen,A4,1\n": "the key (id) is unique", ",pen,A4,1\n": "id is there",
	} {
		r.till("", tillRows+row)
		if res := r.refresh("sales.till", serve.OutcomeRefused); !strings.Contains(res.Message, "raw.sales: \""+says) {
			t.Errorf("%q: %s", row, res.Message)
		}
		r.want("SELECT * FROM sales.till", "3,11.75")
	}
}

// TestInputContractQuarantines: the SQL does not see the rows that are held back,
// and corrected rows leave the quarantine.
func TestInputContractQuarantines(t *testing.T) {
	r := newRig(t)
	held := "    customProperties: [{property: weftOnViolation, value: quarantine}, {property: weftQuarantineLimit, value: 0.5}]\n"
	r.till(held, tillRows+"4,pen,A4,-1\n5,pen,x,1\n")
	c := r.apply("till", serve.OutcomeCommitted).Commit
	if c.Verdict.Quarantined != 2 {
		t.Errorf("%+v", c.Verdict)
	}
	r.want("SELECT * FROM sales.till", "3,11.75")
	q, err := r.node.Quarantine(context.Background(), tester, mustName(t, "sales.till"), 10, weft.At{})
	if err != nil || q.Held != 2 || q.Tables[0].Table != "raw.sales" || !strings.HasPrefix(q.Tables[0].Rows[0].Reasons[0], "raw.sales.price.range") {
		t.Errorf("%+v %v", q, err)
	}
	r.till(held, tillRows)
	r.refresh("sales.till", serve.OutcomeCommitted)
	if q, err := r.node.Quarantine(context.Background(), tester, mustName(t, "sales.till"), 10, weft.At{}); err != nil || q.Held != 0 {
		t.Errorf("%+v %v", q, err)
	}
}

// TestInputContractOfPassThrough: what the source promises beside the output is
// held too, by the input's own rule for bad rows.
func TestInputContractOfPassThrough(t *testing.T) {
	r := newRig(t)
	source := func(quarantine string) string {
		return strings.Replace(shop, "servers: [{server: files, type: local, path: data/shop.csv, format: csv}]", `servers: [{server: files, type: local, path: data/shop.csv, format: csv}]
schema:
  - name: shop
    logicalType: object
`+quarantine+`    properties:
      - {name: item, logicalType: string, physicalType: text, required: true, logicalTypeOptions: {maxLength: 3}}
      - {name: note, logicalType: string, required: true}`, 1)
	}
	r.write(source(""))
	res := r.apply("shop", serve.OutcomeCommitted)
	var ids []string
	for _, k := range res.Commit.Verdict.Checks {
		ids = append(ids, k.ID)
	}
	if got := strings.Join(ids, " "); !strings.HasPrefix(got, "shop.shop.item.length shop.key") {
		t.Errorf("evidence: %s", got)
	}
	r.csv("1,pen,1\n2,ink,2\n3,paper,3")
	if res := r.refresh("sales.shop", serve.OutcomeRefused); !strings.Contains(res.Message, `shop.shop: "item`) {
		t.Error(res.Message)
	}
	r.write(source("    customProperties: [{property: weftOnViolation, value: quarantine}, {property: weftQuarantineLimit, value: 0.5}]\n"))
	r.csv("1,pen,1\n2,ink,2\n3,paper,3")
	if c := r.apply("shop", serve.OutcomeCommitted).Commit; c.Verdict.Quarantined != 1 {
		t.Errorf("%+v", c.Verdict)
	}
	r.want("SELECT id FROM sales.shop ORDER BY id", "1\n2")
	// A row that cannot be read at all is the output's to refuse.
	r.csv("1,pen,1\n2,ink,2\n3,pad,much")
	if res := r.refresh("sales.shop", serve.OutcomeRefused); !strings.Contains(res.Message, "cannot be read") && !strings.Contains(res.Message, "every row of the source can be read") {
		t.Error(res.Message)
	}
}
