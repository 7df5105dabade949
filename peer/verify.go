package peer

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/syndtr/goleveldb/leveldb/storage"

	"weft"
	"weft/sign"
)

// Finding is a fault of a mesh folder, or a note on it.
type Finding struct {
	File        string // in the mesh folder
	Message     string
	Consequence string
	Note        bool // it is no fault
}

// derived are the folders and files of a mesh folder that can be made again or count
// for nothing when they are lost.
var derived = map[string]bool{"catalog": true, recordsDir: true, spentDir: true, invitedFile: true, copyFile: true, nextKey: true}

// VerifyFolder checks a mesh folder that no node is running on: the keys, the state,
// and each record with its signatures. It changes nothing. A folder that is not there
// has no faults.
func VerifyFolder(ctx context.Context, dir string) (found []Finding) {
	add := func(file string, err error, consequence string) {
		text := err.Error()
		var e *weft.Error
		if errors.As(err, &e) && e.Message != "" {
			text = e.Message
		}
		found = append(found, Finding{File: file, Message: text, Consequence: consequence})
	}
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		add(".", err, "the mesh folder was not looked at")
		return found
	}
	f := newFolder(dir)
	st, err := f.load()
	if err != nil {
		add(stateFile, err, "the node does not start: "+weft.HintOf(err))
	}
	for _, e := range list {
		switch name := e.Name(); {
		case isKeyName(name):
			if _, err := sign.LoadKey(f.path(name)); err != nil {
				add(name, err, "what needs the key cannot be done: "+weft.HintOf(err))
			}
		case strings.HasSuffix(name, ".tmp"):
			found = append(found, Finding{File: name, Message: "a file that was being written", Consequence: "nothing reads it", Note: true})
		case name != stateFile && !derived[name]:
			found = append(found, Finding{File: name, Message: "it is of no kind that this program knows", Consequence: "it is left alone", Note: true})
		}
	}
	if st == nil {
		return found
	}
	if _, err := os.Stat(f.path(nodeKey)); errors.Is(err, fs.ErrNotExist) {
		found = append(found, Finding{File: nodeKey, Message: "the file is missing", Consequence: "the node does not start: restore it from a backup"})
	}
	if err := verifyRecords(ctx, dir); err != nil {
		add(recordsDir, err, "the node does not start, or does not know all of its mesh: "+
			"where the folder is moved away the records come again from the other nodes, and the keys stay")
	}
	return found
}

// verifyRecords reads all records without changing a byte, and verifies them.
func verifyRecords(ctx context.Context, mesh string) (err error) {
	dir := filepath.Join(mesh, recordsDir)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil // a node that was restored has none before it starts
	}
	disk, err := storage.OpenFile(dir, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	db, err := leveldb.Open(disk, &opt.Options{Strict: opt.StrictAll &^ opt.StrictJournal, ErrorIfMissing: true, ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return (&keep{db: db, dir: dir}).check(func(*sign.Record) error { return ctx.Err() })
}
