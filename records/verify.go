package records

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver registers itself under "sqlite"

	"weft"
	"weft/sign"
)

// The seal is a file beside the books that holds their digest from a clean stop
// to the next start. SQLite has no checksums: without it a flipped bit in a value
// would be found by nobody. While the books are open, and after a process that was
// killed, there is none.
type seal struct {
	Magic   string    `json:"magic"`
	Version int       `json:"version"`
	Bytes   int64     `json:"bytes"`
	Digest  weft.Hash `json:"digest"` // of the books' file
}

const (
	sealSuffix = ".seal"
	sealMagic  = "weft seal"
)

// putSeal seals closed books.
func putSeal(path string) error {
	for _, s := range []string{"-wal", "-journal"} {
		if st, err := os.Stat(path + s); err == nil && st.Size() > 0 {
			return nil // somebody else has them open
		}
	}
	got, n, err := digestOf(path)
	if err != nil {
		return err
	}
	b, err := json.Marshal(seal{sealMagic, version, n, got})
	if err != nil {
		return err
	}
	tmp := path + sealSuffix + ".tmp"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	if err := errors.Join(syncPath(tmp), os.Rename(tmp, path+sealSuffix)); err != nil {
		return err
	}
	return syncPath(filepath.Dir(path))
}

// checkSeal says what is wrong with sealed books; nil where there is no seal.
func checkSeal(path string) error {
	b, err := os.ReadFile(path + sealSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var head struct { // what a newer seal says besides may be of other types
		Magic   string
		Version int
	}
	var s seal
	switch err := json.Unmarshal(b, &head); {
	case err != nil, head.Magic != sealMagic:
		return corrupt(path+sealSuffix, "the file is no seal")
	case head.Version > version:
		return newer(path+sealSuffix, head.Version)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return corrupt(path+sealSuffix, "the file is no seal")
	}
	if again, err := json.Marshal(s); err != nil || !bytes.Equal(append(again, '\n'), b) {
		return corrupt(path+sealSuffix, "the seal is not as it was written")
	}
	got, n, err := digestOf(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return corrupt(path, "the file is missing")
	case err != nil:
		return err
	case n != s.Bytes || got != s.Digest:
		return corrupt(path, "the books are not what they were when the node stopped")
	}
	return nil
}

// hasSeal reports whether there is a seal.
func hasSeal(path string) bool {
	_, err := os.Stat(path + sealSuffix)
	return err == nil
}

// breakSeal takes the seal away before the books change.
func breakSeal(path string) error {
	if err := os.Remove(path + sealSuffix); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return syncPath(filepath.Dir(path))
}

func corrupt(path, why string) *weft.Error {
	return weft.Errorf(weft.KindCorrupt, "read the node's books", path, "%s", why).
		WithHint("restore the data folder from a backup; if you changed the books yourself and mean it, remove %s", filepath.Base(path)+sealSuffix)
}

func digestOf(path string) (weft.Hash, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return weft.Hash{}, 0, err
	}
	defer func() { _ = f.Close() }()
	return sign.DigestReader(f)
}

// Fault is something wrong with the books on the disk.
type Fault struct {
	File        string // name beside the books
	Message     string
	Consequence string
}

// Verify checks the books at path, which nobody has open: the seal, the version,
// SQLite's own check of the whole file and of what refers to what. It changes
// nothing: it looks at a copy. Each folder that the books hold is given to check,
// with the digest that names it. What the books say of products is returned.
func Verify(ctx context.Context, path string, check func(h weft.Hash, archive []byte) error) ([]Product, []Fault) {
	name := filepath.Base(path)
	var faults []Fault
	add := func(file, consequence, format string, args ...any) {
		faults = append(faults, Fault{file, fmt.Sprintf(format, args...), consequence})
	}
	if err := checkSeal(path); err != nil {
		file, why := name, err.Error()
		var e *weft.Error
		if errors.As(err, &e) {
			file, why = filepath.Base(e.Subject), e.Message
		}
		add(file, "the node does not start", "%s", why)
	}
	v, err := versionOf(path)
	switch {
	case errors.Is(err, errNoDatabase):
		add(name, "the node does not start", "%v", err)
		return nil, faults
	case err != nil:
		add(name, "the node starts without any product", "the file is missing")
		return nil, faults
	case v > version:
		add(name, "the node does not start; a newer one does", "the books have format version %d, this program knows up to %d", v, version)
		return nil, faults
	}
	db, done, err := openCopy(path)
	if err != nil {
		add(name, "the books were not looked at", "%v", err)
		return nil, faults
	}
	defer done()
	for _, q := range []string{"PRAGMA integrity_check(100)", "SELECT 'a row of ' || \"table\" || ' refers to one of ' || parent || ' that is not there' FROM pragma_foreign_key_check"} {
		for _, text := range texts(ctx, db, q) {
			if text != "ok" {
				add(name, "the node may not start, or know less than it did", "%s", text)
			}
		}
	}
	b := &Books{db: db}
	products, err := b.Products(ctx)
	if err != nil {
		add(name, "the node does not start", "the products cannot be read: %v", err)
		return nil, faults
	}
	for _, p := range products {
		archive, err := b.Archive(ctx, p.Folder)
		if err == nil {
			err = check(p.Folder, archive)
		}
		if err != nil {
			add(name, "the product cannot be loaded any more until it is applied again", "the applied folder of %s: %v", p.Name, err)
		}
	}
	return products, faults
}

// openCopy opens a copy of the books, with what a killed process left beside them.
func openCopy(path string) (*sql.DB, func(), error) {
	dir, err := os.MkdirTemp("", "weft-verify-*")
	if err != nil {
		return nil, nil, err
	}
	clean := func() { _ = os.RemoveAll(dir) }
	to := filepath.Join(dir, "books.db")
	for _, s := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + s)
		if s != "" && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(to+s, b, 0o600)
		}
		if err != nil {
			clean()
			return nil, nil, err
		}
	}
	db, err := sql.Open("sqlite", "file:"+to)
	if err != nil {
		clean()
		return nil, nil, err
	}
	return db, func() { _ = db.Close(); clean() }, nil
}

// texts are the first column of a query; an error is a text, too.
func texts(ctx context.Context, db *sql.DB, q string) []string {
	rows, err := db.QueryContext(ctx, q)
	if err != nil {
		return []string{err.Error()}
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return append(out, err.Error())
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		out = append(out, err.Error())
	}
	return out
}
