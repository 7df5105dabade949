package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"golang.org/x/sys/unix"

	"weft"
	"weft/engine"
	"weft/run"
	"weft/store"
)

// benchVerify measures `weft verify` and the first read after a start against
// reading the same files from the disk, with nothing in the page cache.
func benchVerify(ctx context.Context, o options, r *report) error {
	dir := filepath.Join(o.dir, "verify")
	cfg := store.Config{Dir: dir, Product: weft.Name{Domain: "bench", Product: "verify"}, Env: run.Quiet()}
	if err := makeVerified(ctx, o, cfg); err != nil {
		return err
	}
	var read, verify, first, again sample
	var size int64
	for i := range o.rounds {
		y, n, err := readFolder(dir)
		if err != nil {
			return err
		}
		size = n
		if err := dropCache(dir); err != nil {
			return err
		}
		began := time.Now()
		if f := store.VerifyFolder(ctx, dir).Faults(); len(f) > 0 {
			return fmt.Errorf("%v", f[0])
		}
		v := time.Since(began).Seconds()
		w, a, err := firstRead(ctx, cfg)
		if err != nil {
			return err
		}
		read, verify, first, again = append(read, y), append(verify, v), append(first, w), append(again, a)
		fmt.Fprintf(os.Stderr, "  verify %d: %.2f s, reading %.2f s, first read waits %.2f s\n", i+1, v, y, w)
	}
	share := ratios(read, verify).median()
	gb := float64(size) / 1e9
	r.add(line{
		what: fmt.Sprintf("weft verify of %.1f GB in 4 files, cold", gb), weft: verify.seconds(),
		yard: "reading the same files in order, cold: " + read.seconds(), figure: fmt.Sprintf("%.2f of the disk's speed", share),
		asked: "≥ 0.5", kept: share >= 0.5, measured: true,
	})
	cost := ratios(first, read).median()
	r.add(line{
		what: fmt.Sprintf("the first read of a table of %.1f GB after a start, when nothing was held yet, cold", gb), weft: first.seconds() + "; afterwards " + again.seconds(),
		yard: "reading the same files in order, cold: " + read.seconds(), figure: fmt.Sprintf("%.2f ×", cost), asked: "—",
	})
	return nil
}

// makeVerified makes a product with four large files, once.
func makeVerified(ctx context.Context, o options, cfg store.Config) error {
	const files = 4
	if s, err := store.Open(ctx, cfg); err == nil {
		head := s.Head().Seq
		if err := s.Close(); err != nil || head == files {
			return err
		}
	}
	if err := os.RemoveAll(cfg.Dir); err != nil {
		return err
	}
	d, err := engine.OpenDirect(map[string]string{})
	if err != nil {
		return err
	}
	defer d.Close()
	s, err := store.Open(ctx, cfg)
	if err != nil {
		return err
	}
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "name", Type: arrow.BinaryTypes.String}}, nil)
	per := o.rows // a row has about 37 bytes that cannot be packed
	for i := range files {
		path := filepath.Join(o.dir, fmt.Sprintf("verify-%d.parquet", i))
		sql := fmt.Sprintf("SELECT range AS id, md5(range::VARCHAR) AS name FROM range(%d, %d)", int64(i)*per, int64(i+1)*per)
		if _, err := d.Exec(ctx, engine.Statement{SQL: engine.CopyParquet(sql, path)}); err != nil {
			return err
		}
		_, err := s.Append(ctx, store.Candidate{Cause: weft.CauseLoad, Tables: []store.TableData{{Table: "rows", Op: weft.OpAppend, Schema: schema, File: path}}})
		if err != nil {
			return err
		}
	}
	return s.Close()
}

// readFolder reads all files of a folder in order, cold.
func readFolder(dir string) (seconds float64, size int64, err error) {
	if err := dropCache(dir); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	b := make([]byte, 1<<20)
	err = eachFile(dir, func(f *os.File) error {
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, b)
		size += n
		return err
	})
	return time.Since(began).Seconds(), size, err
}

// dropCache takes the files of a folder out of the page cache.
func dropCache(dir string) error {
	return eachFile(dir, func(f *os.File) error {
		if err := f.Sync(); err != nil {
			return err
		}
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}

func eachFile(dir string, do func(*os.File) error) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		return do(f)
	})
}

// firstRead opens a store and asks for its table: how long that waits for the
// files to be held, and how long when they were.
func firstRead(ctx context.Context, cfg store.Config) (first, again float64, err error) {
	s, err := store.Open(ctx, cfg)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = s.Close() }()
	if err := dropCache(cfg.Dir); err != nil {
		return 0, 0, err
	}
	for _, t := range []*float64{&first, &again} {
		snap, err := s.Snapshot(ctx, 0)
		if err != nil {
			return 0, 0, err
		}
		began := time.Now()
		_, err = snap.Relation("rows")
		*t = time.Since(began).Seconds()
		if err != nil {
			return 0, 0, err
		}
		_ = snap.Close()
	}
	return first, again, nil
}
