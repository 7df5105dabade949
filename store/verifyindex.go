package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"
)

// keyIndex checks the derived key index, if there is one: all that it holds is
// read, checksums and all. A process that was killed leaves it as it was, and what
// is torn in it looks like damage; neither does any harm.
func (v *verifier) keyIndex() {
	dir := filepath.Join(v.dir, indexDir)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err := readIndex(v, dir); err != nil {
		v.put(Finding{
			File: indexDir, Message: "the derived key index is damaged, or was left so by a crash: " + rootCause(err).Error(),
			Consequence: "none but speed: it is removed and made again when a table is next asked by key", Note: true,
		})
	}
}

func readIndex(v *verifier, dir string) (err error) {
	disk, err := storage.OpenFile(dir, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	db, err := leveldb.Open(disk, &opt.Options{Strict: opt.StrictAll, ErrorIfMissing: true, ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows := db.NewIterator(nil, nil)
	defer rows.Release()
	for rows.Next() && v.ctx.Err() == nil { // the bytes are under checksums, that is all that is asked
	}
	return rows.Error()
}
