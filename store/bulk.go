package store

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	pqfile "github.com/apache/arrow-go/v18/parquet/file"

	"weft"
	"weft/sign"
)

// prepareFile checks a staged Parquet file against its table: its columns, its
// footer and its number of rows.
func (s *Store) prepareFile(td TableData, ch *change) error {
	names, rows, err := parquetShape(td.File)
	if err != nil {
		return weft.Errorf(weft.KindInvalid, "commit table", td.Table, "the staged file is no whole Parquet file: %v", err)
	}
	want := make([]string, 0, ch.schema.NumFields()+1)
	if td.Op == weft.OpMerge {
		want = append(want, ColumnOp)
	}
	for _, f := range ch.schema.Fields() {
		want = append(want, f.Name)
	}
	if strings.Join(names, "\x00") != strings.Join(want, "\x00") {
		return invalid(td.Table, "the staged file has the columns %s, the table has %s", strings.Join(names, ", "), strings.Join(want, ", "))
	}
	if td.FileRows != 0 && td.FileRows != rows {
		return invalid(td.Table, "the staged file has %d rows, %d were announced", rows, td.FileRows)
	}
	ch.info.Inserted = rows
	if td.Op == weft.OpMerge {
		ch.info.Inserted, ch.info.Updated, ch.info.Deleted = td.Inserted, td.Updated, td.Deleted
		if n := td.Inserted + 2*td.Updated + td.Deleted; n != rows {
			return invalid(td.Table, "the staged file has %d rows, the counts of inserts, updates (two rows each) and deletes make %d", rows, n)
		}
	}
	ch.info.Files = []weft.File{{Rows: rows}}
	return nil
}

// parquetShape reads the footer of a Parquet file: its top columns and its rows.
func parquetShape(path string) (names []string, rows int64, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("its footer cannot be read: %v", p)
		}
	}()
	r, err := pqfile.OpenParquetFile(path, false)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = r.Close() }()
	root := r.MetaData().Schema.Root()
	for i := range root.NumFields() {
		names = append(names, root.Field(i).Name())
	}
	return names, r.NumRows(), nil
}

// moveIn syncs the staged files of a commit, hashes them and moves them into
// the store's folder. Nothing refers to them until the commit is written.
func (s *Store) moveIn(ctx context.Context, seq weft.Seq, changes []*change) (moved []*change, err error) {
	for _, ch := range changes {
		if ch.staged == "" {
			continue
		}
		if err := s.ended(ctx, "commit"); err != nil {
			return moved, err
		}
		f := &ch.info.Files[0]
		if f.Hash, f.Bytes, err = s.sealFile(ch.staged); err != nil {
			return moved, err
		}
		f.Name = fileName(seq, ch.info.Table)
		if err := s.fs.Rename(ch.staged, s.filePath(f.Name)); err != nil {
			return moved, ioError("move in the staged file", ch.staged, err)
		}
		moved = append(moved, ch)
	}
	if len(moved) > 0 {
		if err := s.fs.SyncDir(s.filesDir()); err != nil {
			return moved, ioError("move in the staged files", s.filesDir(), err)
		}
	}
	return moved, nil
}

// trust takes the moved files of a commit as held: they were just hashed.
func (s *Store) trust(moved []*change) {
	for _, ch := range moved {
		f := ch.info.Files[0]
		s.guard.trust(&dataFile{Name: f.Name, Bytes: f.Bytes, Hash: f.Hash})
	}
}

// moveBack undoes moveIn as well as it can, so that a caller can try again.
func (s *Store) moveBack(moved []*change) {
	for _, ch := range moved {
		if err := s.fs.Rename(s.filePath(ch.info.Files[0].Name), ch.staged); err != nil {
			s.cfg.Env.Log.Warn("a staged file could not be given back", "file", ch.staged, "error", err)
		}
	}
}

// sealFile makes a file's content durable and hashes it.
func (s *Store) sealFile(path string) (weft.Hash, int64, error) {
	f, err := s.fs.Open(path, os.O_RDWR)
	if err != nil {
		return weft.Hash{}, 0, ioError("open the file", path, err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Sync(); err != nil {
		return weft.Hash{}, 0, ioError("sync the file", path, err)
	}
	st, err := f.Stat()
	if err != nil {
		return weft.Hash{}, 0, ioError("hash the file", path, err)
	}
	h, n, err := sign.DigestReader(io.NewSectionReader(f, 0, st.Size()))
	if err != nil {
		return weft.Hash{}, 0, ioError("hash the file", path, err)
	}
	return h, n, nil
}

// fileName makes a name for a data file that nothing has yet.
func fileName(seq weft.Seq, table string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(table) {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' {
			r = '-'
		}
		if b.Len() < 80 {
			b.WriteRune(r)
		}
	}
	var nonce [sign.NonceSize]byte
	sign.Nonce(nonce[:])
	return fmt.Sprintf("%010d-%s-%s.parquet", uint64(seq), b.String(), hex.EncodeToString(nonce[:6]))
}
