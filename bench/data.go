package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// columns is how many columns the large table has.
const columns = 12

// makeCSV writes the large table: invented orders, the same for the same number
// of rows. It is made once.
func makeCSV(o options) (string, error) {
	path := filepath.Join(o.dir, fmt.Sprintf("orders-%d.csv", o.rows))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	f, err := os.Create(path + ".tmp")
	if err != nil {
		return "", err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := w.WriteString("order_id,customer_id,placed_at,shipped_on,channel,country,sku,quantity,unit_price,discount,paid,note\n"); err != nil {
		return "", err
	}
	r := rand.New(rand.NewPCG(1, 2))
	channels := []string{"shop", "online", "phone", "partner"}
	countries := []string{"DE", "FR", "NL", "BE", "AT", "CH", "PL", "DK"}
	start := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	var b []byte
	for i := int64(1); i <= o.rows; i++ {
		at := start.Add(time.Duration(i) * 6 * time.Second)
		b = strconv.AppendInt(b[:0], i, 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, 1+r.Int64N(400_000), 10)
		b = append(b, ',')
		b = at.AppendFormat(b, "2006-01-02T15:04:05Z")
		b = append(b, ',')
		if r.IntN(10) > 0 {
			b = at.Add(time.Duration(r.IntN(96))*time.Hour).AppendFormat(b, "2006-01-02")
		}
		b = append(b, ',')
		b = append(b, channels[r.IntN(len(channels))]...)
		b = append(b, ',')
		b = append(b, countries[r.IntN(len(countries))]...)
		b = append(b, ",SKU-"...)
		b = strconv.AppendInt(b, 10_000+r.Int64N(60_000), 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, 1+r.Int64N(12), 10)
		b = append(b, ',')
		b = strconv.AppendFloat(b, float64(r.IntN(50_000)+99)/100, 'f', 2, 64)
		b = append(b, ',')
		b = strconv.AppendFloat(b, float64(r.IntN(30))/100, 'f', 2, 64)
		b = append(b, ',')
		b = strconv.AppendBool(b, r.IntN(50) > 0)
		b = append(b, ',')
		if r.IntN(4) == 0 {
			b = append(b, "left with a neighbour"...)
		}
		b = append(b, '\n')
		if _, err := w.Write(b); err != nil {
			return "", err
		}
	}
	if err := w.Flush(); err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	return path, os.Rename(path+".tmp", path)
}

// contractYAML is the large table's contract, with twenty checks: ten required,
// one primary key, two enums, five ranges, one pattern, one count of rows.
const contractYAML = `apiVersion: v3.1.0
kind: DataContract
id: bench.%[1]s/%[1]s
version: 1.0.0
status: active
schema:
  - name: %[1]s
    logicalType: object
    properties:
      - {name: order_id, logicalType: integer, physicalType: bigint, required: true, primaryKey: true, primaryKeyPosition: 1, logicalTypeOptions: {minimum: 1}}
      - {name: customer_id, logicalType: integer, physicalType: bigint, required: true, logicalTypeOptions: {minimum: 1}}
      - {name: placed_at, logicalType: timestamp, physicalType: timestamptz, required: true}
      - {name: shipped_on, logicalType: date, physicalType: date}
      - {name: channel, logicalType: string, physicalType: text, required: true, quality: [{metric: invalidValues, arguments: {validValues: [shop, online, phone, partner]}, mustBe: 0}]}
      - {name: country, logicalType: string, physicalType: text, required: true, quality: [{metric: invalidValues, arguments: {validValues: [DE, FR, NL, BE, AT, CH, PL, DK]}, mustBe: 0}]}
      - {name: sku, logicalType: string, physicalType: text, required: true, logicalTypeOptions: {pattern: "SKU-[0-9]{5}"}}
      - {name: quantity, logicalType: integer, physicalType: integer, required: true, logicalTypeOptions: {minimum: 1, maximum: 100}}
      - {name: unit_price, logicalType: number, physicalType: "decimal(10,2)", required: true, logicalTypeOptions: {minimum: 0}}
      - {name: discount, logicalType: number, physicalType: double, required: true, logicalTypeOptions: {minimum: 0, maximum: 1}}
      - {name: paid, logicalType: boolean, physicalType: boolean, required: true}
      - {name: note, logicalType: string, physicalType: text}
    quality:
      - {metric: rowCount, mustBeGreaterThan: 0}
`

// checksSQL is the same twenty checks as one fused query.
const checksSQL = `SELECT count(*),
  count(*) FILTER (order_id IS NULL), count(*) FILTER (customer_id IS NULL), count(*) FILTER (placed_at IS NULL),
  count(*) FILTER (channel IS NULL), count(*) FILTER (country IS NULL), count(*) FILTER (sku IS NULL),
  count(*) FILTER (quantity IS NULL), count(*) FILTER (unit_price IS NULL), count(*) FILTER (discount IS NULL),
  count(*) FILTER (paid IS NULL),
  count(DISTINCT order_id),
  count(*) FILTER (channel NOT IN ('shop','online','phone','partner')),
  count(*) FILTER (country NOT IN ('DE','FR','NL','BE','AT','CH','PL','DK')),
  count(*) FILTER (NOT regexp_full_match(sku, 'SKU-[0-9]{5}')),
  count(*) FILTER (order_id < 1), count(*) FILTER (customer_id < 1),
  count(*) FILTER (quantity < 1 OR quantity > 100), count(*) FILTER (unit_price < 0),
  count(*) FILTER (discount < 0 OR discount > 1)
FROM read_parquet('%s')`

// writeFolder writes a product folder that reads the CSV.
func writeFolder(dir, name, csv string) error {
	files := map[string]string{
		"product.odps.yaml": fmt.Sprintf(`apiVersion: v1.0.0
kind: DataProduct
id: bench.%[1]s
name: %[1]s
domain: bench
status: active
description: {purpose: Invented orders to measure with.}
team: {members: [{username: bench@example.com, role: owner}]}
inputPorts: [{name: %[1]s, version: 1.0.0, contractId: bench.%[1]s/source}]
outputPorts: [{name: %[1]s, version: 1.0.0, contractId: bench.%[1]s/%[1]s, type: tables}]
`, name),
		"source.odcs.yaml": fmt.Sprintf(`apiVersion: v3.1.0
kind: DataContract
id: bench.%s/source
version: 1.0.0
status: active
servers: [{server: files, type: local, path: %s, format: csv}]
`, name, csv),
		name + ".odcs.yaml": fmt.Sprintf(contractYAML, name),
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for f, text := range files {
		if err := os.WriteFile(filepath.Join(dir, f), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
