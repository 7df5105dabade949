package store

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/engine"
)

// checkStaged holds the files that a commit names: they are there, and what they say
// of themselves is what the header says.
func (s *Store) checkStaged(ctx context.Context, changes []*change, staged map[string]string) error {
	var sess engine.Session
	for _, ch := range changes {
		if len(ch.info.Files) > 1 {
			return invalid(ch.info.Table, "it has %d files", len(ch.info.Files))
		}
		for _, f := range ch.info.Files {
			path := staged[f.Name]
			if path == "" {
				return weft.Errorf(weft.KindInternal, "take a commit", ch.info.Table, "file %s was not fetched", f.Name)
			}
			if sess == nil {
				var err error
				if sess, err = s.lookInto(ctx, filepath.Dir(path)); err != nil {
					return err
				}
				defer func() { _ = sess.Close() }()
			}
			want := ch.schema
			if ch.info.Op == weft.OpMerge {
				want = withOp(want)
			}
			if err := looksLike(ctx, sess, path, want, nil, f.Rows); err != nil {
				return err
			}
			if err := countsOf(ch.info, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// countsOf holds what a header counts of a file's rows.
func countsOf(info weft.TableChange, f weft.File) error {
	n := info.Rows
	switch info.Op {
	case weft.OpAppend:
		n = info.Inserted
	case weft.OpMerge:
		n = info.Inserted + 2*info.Updated + info.Deleted
	}
	if n != f.Rows {
		return invalid(info.Table, "the file has %d rows, the commit counts %d", f.Rows, n)
	}
	return nil
}

// lookInto opens a session that may read one folder.
func (s *Store) lookInto(ctx context.Context, dir string) (engine.Session, error) {
	if s.cfg.Sessions == nil {
		return nil, weft.Errorf(weft.KindInternal, "look at files", s.cfg.Product.String(), "the store was opened without an engine")
	}
	return s.cfg.Sessions.Session(ctx, engine.SessionConfig{Name: "look at " + s.cfg.Product.String(), Read: []string{dir}, Memory: 512 << 20, Threads: 1, Background: true})
}

// looksLike asks a worker for a file's columns and the number of its rows: whoever
// wrote it may mean harm, and its footer is not read in this process.
func looksLike(ctx context.Context, sess engine.Session, path string, want *arrow.Schema, more []string, rows int64) error {
	bad := func(why string, args ...any) error {
		return weft.Errorf(weft.KindCorrupt, "look at the file", filepath.Base(path), why, args...)
	}
	from := " FROM read_parquet([" + engine.QuoteLiteral(path) + "], hive_partitioning = false)"
	n := int64(-1)
	have := map[string]bool{}
	r, err := sess.Query(ctx, engine.Statement{SQL: "SELECT *" + from + " LIMIT 0"})
	if err != nil {
		return ifEnded(ctx, bad("it is no whole Parquet file"))
	}
	for _, f := range r.Schema().Fields() {
		have[f.Name] = true
	}
	r.Release()
	for _, f := range want.Fields() {
		if !have[f.Name] {
			return bad("column %q is missing in it", f.Name)
		}
	}
	for _, name := range more {
		if !have[name] {
			return bad("it has no changes")
		}
	}
	r, err = sess.Query(ctx, engine.Statement{SQL: "SELECT count(*) AS n" + from})
	if err != nil {
		return ifEnded(ctx, bad("its rows cannot be counted"))
	}
	defer r.Release()
	for r.Next() {
		if b := r.RecordBatch(); b.NumRows() == 1 {
			_, _ = fmt.Sscan(b.Column(0).ValueStr(0), &n)
		}
	}
	if r.Err() != nil || n != rows {
		return ifEnded(ctx, bad("it has %d rows, the origin says %d", n, rows))
	}
	return nil
}

// ifEnded is err, or that ctx has ended, which may be why.
func ifEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return &weft.Error{Op: "look at the file", Kind: weft.KindCancelled, Cause: ctx.Err()}
	}
	return err
}

// CheckCopy holds every data file of a copy's last checkpoint: what it says of itself
// is what the manifest says. It is asked once, after LayOut.
func (s *Store) CheckCopy(ctx context.Context) error {
	s.mu.Lock()
	var files []*dataFile
	for _, t := range s.tables {
		for _, sp := range t.spans {
			files = append(files, sp.files()...)
		}
	}
	s.mu.Unlock()
	if len(files) == 0 {
		return nil
	}
	sess, err := s.lookInto(ctx, s.filesDir())
	if err != nil {
		return err
	}
	defer func() { _ = sess.Close() }()
	for _, f := range files {
		want, more := f.schema, []string(nil)
		switch f.Form {
		case formMerge:
			want = withOp(want)
		case formChange:
			more = []string{ColumnSeq, columnSeqTo, ColumnOp}
		}
		if err := looksLike(ctx, sess, s.filePath(f.Name), want, more, f.Rows); err != nil {
			return err
		}
	}
	return nil
}

// TrustCopy takes the data files for held: whoever laid the copy out has just done
// that.
func (s *Store) TrustCopy() {
	s.mu.Lock()
	files := s.allFiles()
	s.mu.Unlock()
	for _, f := range files {
		s.guard.trust(f)
	}
}
