package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"
)

// manyWriters write at once, each to a product or a file of its own; fewRows is
// how many rows a commit has whose time is the disk's and not the processor's.
const (
	manyWriters = 64
	fewRows     = 10
)

// benchManyWriters measures writers of many products, with commits of 1,000 rows
// and with commits that are so small that their syncs decide.
func benchManyWriters(ctx context.Context, o options, r *report, dir string) error {
	return errors.Join(
		measureWriters(ctx, o, r, filepath.Join(dir, "large"), commitRows),
		measureWriters(ctx, o, r, filepath.Join(dir, "few"), fewRows))
}

// measureWriters takes in turn a second of one writer, of 64, of 64 plain files,
// and of 64 plain files of which only one is written and synced at a time. The
// last is what a disk gives that shares nothing: who is faster has shared syncs.
// Of large commits no verdict is given, since there the processor decides.
func measureWriters(ctx context.Context, o options, r *report, dir string, rows int) error {
	ws, ps, err := openMany(ctx, dir, rows)
	defer func() {
		for _, w := range ws {
			_ = w.s.Close()
		}
		for _, p := range ps {
			_ = p.f.Close()
		}
	}()
	if err != nil {
		return err
	}
	var turn sync.Mutex
	commit := func(i int) error { _, err := ws[i].commit(ctx); return err }
	plain := func(i int) error { _, err := ps[i].write(); return err }
	alone := func(i int) error { turn.Lock(); defer turn.Unlock(); return plain(i) }
	var one, many, files, serial sample
	for range o.rounds {
		for _, m := range []struct {
			n  int
			do func(int) error
			to *sample
		}{{1, commit, &one}, {manyWriters, commit, &many}, {manyWriters, plain, &files}, {manyWriters, alone, &serial}} {
			rate, err := rateOf(m.n, time.Second, m.do)
			if err != nil {
				return err
			}
			*m.to = append(*m.to, rate)
		}
	}
	x := ratios(many, serial).median()
	l := line{
		what: fmt.Sprintf("%d products, each with a writer of %d rows a commit", manyWriters, rows),
		weft: fmt.Sprintf("%.0f commits/s; one writer alone %.0f", many.median(), one.median()),
		yard: fmt.Sprintf("%d plain files of %d KB a write: %.0f writes/s, %.0f where one is synced at a time (%.1f × by sharing)",
			manyWriters, (len(ps[0].b)+1023)>>10, files.median(), serial.median(), ratios(files, serial).median()),
		figure: fmt.Sprintf("%.2f × one sync at a time, %.1f × one writer, %.2f × the plain files", x, ratios(many, one).median(), ratios(many, files).median()),
	}
	if rows == fewRows {
		l.asked, l.kept, l.measured = "they share syncs: > 1 × one sync at a time", x > 1, true
	}
	r.add(l)
	return nil
}

// openMany opens products and plain files whose writes are as large as a commit
// of the products. What it has opened it returns with an error, too.
func openMany(ctx context.Context, dir string, rows int) (ws []*writer, ps []*plainFile, err error) {
	for i := range manyWriters {
		w, err := openWriter(ctx, filepath.Join(dir, fmt.Sprintf("many%d", i)), nil)
		if err != nil {
			return ws, ps, err
		}
		w.rows, ws = rows, append(ws, w)
		size, err := w.bytesPerCommit(ctx)
		if err != nil {
			return ws, ps, err
		}
		p, err := openPlain(filepath.Join(dir, fmt.Sprintf("plain%d", i)), size)
		if err != nil {
			return ws, ps, err
		}
		ps = append(ps, p)
	}
	return ws, ps, nil
}
