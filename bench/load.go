package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/engine"
	"weft/serve"
)

// benchLoad measures the first load of the large table, then asks it questions.
func benchLoad(ctx context.Context, o options, r *report) error {
	csv, err := makeCSV(o)
	if err != nil {
		return err
	}
	dir := filepath.Join(o.dir, "load")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	p, err := startNode(ctx, o, dir)
	if err != nil {
		return err
	}
	defer func() { _ = p.stop() }()
	yard := filepath.Join(o.dir, "yardstick.parquet")
	var ours, theirs sample
	for i := range o.rounds {
		y, err := loadYardstick(ctx, csv, yard)
		if err != nil {
			return fmt.Errorf("yardstick: %w", err)
		}
		name := fmt.Sprintf("orders%d", i)
		folder := filepath.Join(o.dir, "folders", name)
		if err := writeFolder(folder, name, csv); err != nil {
			return err
		}
		began := time.Now()
		if _, err := p.weft(ctx, o, "apply", folder); err != nil {
			return err
		}
		w := time.Since(began).Seconds()
		ours, theirs = append(ours, w), append(theirs, y)
		fmt.Fprintf(os.Stderr, "  load %d: weft %.2f s, yardstick %.2f s\n", i+1, w, y)
		if i < o.rounds-1 {
			if _, err := p.weft(ctx, o, "delete", "bench."+name, "--yes"); err != nil {
				return err
			}
		}
	}
	ratio := ratios(ours, theirs).median()
	r.add(line{
		what: fmt.Sprintf("first load of a CSV, %d rows × %d columns, 20 checks", o.rows, columns), weft: ours.seconds(),
		yard: "DuckDB read_csv → COPY TO parquet (zstd) + the checks as one query: " + theirs.seconds(), figure: fmt.Sprintf("%.2f ×", ratio),
		asked: "≤ 1.3 ×", kept: ratio <= 1.3, measured: true,
	})
	return benchQueries(ctx, o, r, p, fmt.Sprintf("bench.orders%d", o.rounds-1))
}

// loadYardstick is what one would do without Weft; seconds.
func loadYardstick(ctx context.Context, csv, to string) (float64, error) {
	d, err := engine.OpenDirect(map[string]string{"preserve_insertion_order": "false"})
	if err != nil {
		return 0, err
	}
	defer func() { _ = d.Close() }()
	began := time.Now()
	if _, err := d.Exec(ctx, engine.Statement{SQL: fmt.Sprintf("COPY (FROM read_csv('%s')) TO '%s' (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2)", csv, to)}); err != nil {
		return 0, err
	}
	if _, err := drain(ctx, d, fmt.Sprintf(checksSQL, to)); err != nil {
		return 0, err
	}
	return time.Since(began).Seconds(), nil
}

// drain reads an answer to its end and returns its size as Arrow, in bytes.
func drain(ctx context.Context, d *engine.Direct, sql string) (int64, error) {
	rows, err := d.Query(ctx, engine.Statement{SQL: sql})
	if err != nil {
		return 0, err
	}
	defer rows.Release()
	var n int64
	for rows.Next() {
		n += arrowBytes(rows.RecordBatch())
	}
	return n, rows.Err()
}

// aggregates are the questions asked over HTTP and directly.
var aggregates = []string{
	"SELECT channel, count(*) AS orders, sum(quantity * unit_price) AS value FROM %s GROUP BY channel ORDER BY channel",
	"SELECT country, channel, avg(discount) AS discount, max(unit_price) AS dearest FROM %s GROUP BY ALL ORDER BY ALL",
	"SELECT date_trunc('month', placed_at) AS month, count(DISTINCT customer_id) AS customers FROM %s GROUP BY 1 ORDER BY 1",
	"SELECT sku, sum(quantity) AS sold FROM %s WHERE country = 'DE' AND paid GROUP BY sku ORDER BY sold DESC, sku LIMIT 10",
	"SELECT count(*) AS orders FROM %s WHERE placed_at >= TIMESTAMPTZ '2024-03-01 00:00:00+00' AND note IS NOT NULL",
}

func benchQueries(ctx context.Context, o options, r *report, p *process, product string) error {
	file, err := storedFile(p)
	if err != nil {
		return err
	}
	d, err := engine.OpenDirect(map[string]string{"enable_object_cache": "true"})
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	worst := 0.0
	var weftAll, directAll, over sample
	for _, q := range aggregates {
		var ours, theirs sample
		for i := range 2 * o.rounds {
			began := time.Now()
			if _, err := drain(ctx, d, fmt.Sprintf(q, "read_parquet('"+file+"')")); err != nil {
				return err
			}
			y := time.Since(began).Seconds()
			began = time.Now()
			if _, err := ask(ctx, p, fmt.Sprintf(q, product)); err != nil {
				return err
			}
			if w := time.Since(began).Seconds(); i > 0 { // the first warms both
				ours, theirs = append(ours, w), append(theirs, y)
			}
		}
		// What is asked is 1.15 times the yardstick and 5 ms: the excess over the 5 ms.
		x := (ours.median() - 0.005) / theirs.median()
		worst = max(worst, x)
		weftAll, directAll, over = append(weftAll, ours.median()), append(directAll, theirs.median()), append(over, x)
		fmt.Fprintf(os.Stderr, "  aggregate: weft %s, direct %s\n", ours.seconds(), theirs.seconds())
	}
	r.add(line{
		what: fmt.Sprintf("%d aggregate questions through the gate over HTTP", len(aggregates)), weft: weftAll.seconds(),
		yard: "the same SQL by a streaming reader on the same Parquet: " + directAll.seconds(), figure: fmt.Sprintf("(t − 5 ms) / yardstick: %.2f ×, worst %.2f ×", over.median(), worst),
		asked: "≤ 1.15 ×", kept: worst <= 1.15, measured: true,
	})
	return benchExport(ctx, o, r, p, product)
}

// ask asks over HTTP for Arrow and reads the answer to its end.
func ask(ctx context.Context, p *process, sql string) (int64, error) {
	ans, err := p.client.Query(ctx, serve.QueryRequest{SQL: sql})
	if err != nil {
		return 0, err
	}
	return size(ans)
}

func size(ans *weft.Answer) (int64, error) {
	defer func() { _ = ans.Close() }()
	var n int64
	for ans.Rows.Next() {
		n += arrowBytes(ans.Rows.RecordBatch())
	}
	return n, ans.Rows.Err()
}

func benchExport(ctx context.Context, o options, r *report, p *process, product string) error {
	var speed sample
	for range o.rounds {
		began := time.Now()
		n, err := ask(ctx, p, "SELECT * FROM "+product)
		if err != nil {
			return err
		}
		speed = append(speed, float64(n)/1e9/time.Since(began).Seconds())
	}
	c := speed.sorted()
	r.add(line{
		what: "full export as Arrow over HTTP", weft: fmt.Sprintf("%.2f GB/s (%.2f–%.2f)", speed.median(), c[0], c[len(c)-1]),
		figure: fmt.Sprintf("%.2f GB/s", speed.median()), asked: "≥ 0.4 GB/s", kept: speed.median() >= 0.4, measured: true,
	})
	return nil
}

// storedFile is the Parquet file that the store keeps the last table in.
func storedFile(p *process) (string, error) {
	var found string
	var largest int64
	err := filepath.WalkDir(filepath.Join(p.dir, ".weft", "products"), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".parquet" {
			return err
		}
		i, err := e.Info()
		if err == nil && i.Size() > largest {
			found, largest = path, i.Size()
		}
		return err
	})
	if err == nil && found == "" {
		err = fmt.Errorf("the node keeps no Parquet file")
	}
	return found, err
}

// arrowBytes is the size of a batch's buffers.
func arrowBytes(b arrow.RecordBatch) int64 {
	var n int64
	for _, c := range b.Columns() {
		n += int64(c.Data().SizeInBytes())
	}
	return n
}
