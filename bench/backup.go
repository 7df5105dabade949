package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/backup"
	"weft/engine"
	"weft/run"
	"weft/store"
)

// benchBackup measures a backup of a product that has not changed. The product
// is of o.backup gigabytes of Parquet that does not compress.
func benchBackup(ctx context.Context, o options, r *report) error {
	dir := filepath.Join(o.dir, "backup")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	stage := filepath.Join(dir, "stage")
	if err := os.MkdirAll(stage, 0o700); err != nil {
		return err
	}
	pool := engine.NewPool(engine.PoolConfig{}, run.Quiet())
	defer pool.Close()
	sess, err := pool.Session(ctx, engine.SessionConfig{Name: "bench", Read: []string{stage}, Write: stage, Memory: 1 << 30, Threads: 2})
	if err != nil {
		return err
	}
	defer func() { _ = sess.Close() }()
	product := weft.Name{Domain: "bench", Product: "large"}
	s, err := store.Open(ctx, store.Config{Dir: filepath.Join(dir, "data", "products", "large"), ID: "large", Product: product, Env: run.Quiet()})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	schema := arrow.NewSchema([]arrow.Field{{Name: "a", Type: arrow.PrimitiveTypes.Int64}}, nil)
	const rows = 8 << 20 // of 8 random bytes: 64 MB
	for i := range o.backup * 16 {
		file := filepath.Join(stage, fmt.Sprintf("%d.parquet", i))
		sql := fmt.Sprintf("SELECT (hash(range + %d)::UHUGEINT - 9223372036854775808::HUGEINT)::BIGINT AS a FROM range(%d)", int64(i)*rows, int64(rows))
		if _, err := sess.Exec(ctx, engine.Statement{SQL: engine.CopyParquet(sql, file)}); err != nil {
			return err
		}
		c := store.Candidate{Cause: weft.CauseLoad, Tables: []store.TableData{{Table: "large", Op: weft.OpAppend, Schema: schema, File: file}}}
		if _, err := s.Append(ctx, c); err != nil {
			return err
		}
	}
	src := backup.Source{
		Node: "bench", Data: filepath.Join(dir, "data"), Whole: true, Now: time.Now,
		Products: []func(context.Context) (*store.Image, error){s.Image},
		Books:    func(_ context.Context, path string) error { return os.WriteFile(path, []byte("books"), 0o600) },
	}
	save := func() (*backup.State, float64, error) {
		began := time.Now()
		st, err := backup.Save(ctx, filepath.Join(dir, "kept"), src, backup.Options{Keep: 5})
		return st, time.Since(began).Seconds(), err
	}
	first, whole, err := save()
	if err != nil {
		return err
	}
	var again sample
	for range o.rounds {
		st, took, err := save()
		if err != nil {
			return err
		}
		if st.Copied != 0 {
			return fmt.Errorf("an unchanged product cost %d bytes", st.Copied)
		}
		again = append(again, took)
	}
	size := fmt.Sprintf("%.1f GB in %d files", float64(first.Bytes)/1e9, o.backup*16)
	r.add(line{what: "first backup of a product of " + size + ", read back", weft: short(whole)})
	r.add(line{
		what: "backup of an unchanged product of " + size, weft: again.seconds(), figure: short(again.median()),
		asked: "≤ 1 s for 10 GB (-backup 10)", kept: again.median() <= 1, measured: first.Bytes >= 10e9,
	})
	return nil
}
