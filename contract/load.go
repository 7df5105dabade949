package contract

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"weft"
)

// The names of a product folder.
const (
	productFile    = "product.odps.yaml"
	contractSuffix = ".odcs.yaml"
	policyFile     = "policy.yaml"
)

// The bounds of a product folder.
const (
	maxFiles       = 2_000
	maxFileBytes   = 4 << 20  // one CSV of sample/ or tests/, one SQL file
	maxFolderBytes = 64 << 20 // all together
)

// loader reads the files of one folder.
type loader struct {
	*sink
	fsys  fs.FS
	dir   string
	files map[string][]byte
	total int
}

// shown returns the path of a file of the folder as faults name it.
func shownPath(dir, file string) string { return path.Join(dir, file) }

// loadFiles reads every file that belongs to the product folder dir; ok is
// false where nothing useful could be read.
func loadFiles(s *sink, fsys fs.FS, dir string) (files map[string][]byte, ok bool) {
	l := &loader{sink: s, fsys: fsys, dir: dir, files: map[string][]byte{}}
	err := fs.WalkDir(fsys, dir, l.visit)
	if err != nil && !errors.Is(err, fs.SkipAll) {
		s.errorf(at{file: dir}, "read", "check the path and who may read it", "the folder cannot be read: %s", reason(err))
		return nil, false
	}
	return l.files, true
}

func (l *loader) visit(p string, d fs.DirEntry, err error) error {
	rel := strings.TrimPrefix(strings.TrimPrefix(p, l.dir), "/")
	if l.dir == "." {
		rel = p
	}
	if err != nil {
		if p == l.dir {
			return err
		}
		l.errorf(at{file: p}, "read", "check who may read it", "the file cannot be read: %s", reason(err))
		return nil
	}
	if p == l.dir {
		if !d.IsDir() {
			return errors.New("it is a file, not a folder")
		}
		return nil
	}
	if d.IsDir() {
		if !folderOfProduct(rel) {
			return fs.SkipDir
		}
		return nil
	}
	switch belongs(rel) {
	case notOurs:
		l.misnamed(p, rel)
		return nil
	case ignored:
		return nil
	}
	if !d.Type().IsRegular() {
		l.errorf(at{file: p}, "file-kind", "put the file itself into the folder", "only ordinary files are read, no links or devices")
		return nil
	}
	return l.read(p, rel)
}

func (l *loader) read(p, rel string) error {
	if len(l.files) >= maxFiles {
		l.errorf(at{file: l.dir}, "folder-size", "keep a few invented rows for each table", "the folder has more than %d files", maxFiles)
		return fs.SkipAll
	}
	data, err := readBounded(l.fsys, p, maxFileBytes)
	switch {
	case errors.Is(err, errTooLarge):
		l.errorf(at{file: p}, "file-size", "keep a few invented rows; real data is read through servers", "the file is larger than %d MB", maxFileBytes>>20)
		return nil
	case err != nil:
		l.errorf(at{file: p}, "read", "check who may read it", "the file cannot be read: %s", reason(err))
		return nil
	}
	if l.total += len(data); l.total > maxFolderBytes {
		l.errorf(at{file: l.dir}, "folder-size", "keep a few invented rows for each table", "the folder is larger than %d MB", maxFolderBytes>>20)
		return fs.SkipAll
	}
	l.files[rel] = data
	return nil
}

var errTooLarge = errors.New("too large")

// readBounded reads at most limit bytes of a file.
func readBounded(fsys fs.FS, p string, limit int64) ([]byte, error) {
	f, err := fsys.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, errTooLarge
	}
	return data, err
}

// reason is the cause of a file error without the path, which may be one of
// the machine.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

type belonging int

const (
	ours    belonging = iota
	ignored           // documentation, data of local sources, hidden files
	notOurs           // looks like one of ours and is none
)

// folderOfProduct says whether a folder inside a product folder is part of it.
func folderOfProduct(rel string) bool {
	top, _, _ := strings.Cut(rel, "/")
	return (top == "tests" || top == "sample") && !strings.HasPrefix(path.Base(rel), ".")
}

func belongs(rel string) belonging {
	base := path.Base(rel)
	switch {
	case strings.HasPrefix(base, "."):
		return ignored
	case folderOfProduct(rel) && strings.Contains(rel, "/"):
		return ours
	case rel == productFile, rel == policyFile, strings.HasSuffix(rel, contractSuffix), strings.HasSuffix(rel, ".sql"), rel == "README.md":
		return ours
	case strings.HasSuffix(rel, ".yaml"), strings.HasSuffix(rel, ".yml"):
		return notOurs
	}
	return ignored
}

// misnamed warns of YAML files that nobody will read.
func (l *loader) misnamed(p, rel string) {
	hint := "contracts are called NAME.odcs.yaml, the product " + productFile
	switch stem := strings.TrimSuffix(strings.TrimSuffix(rel, ".yml"), ".yaml"); {
	case strings.HasSuffix(stem, ".odcs"), strings.HasSuffix(stem, ".odps"), stem == "policy":
		l.errorf(at{file: p}, "file-name", "rename it to "+stem+".yaml", "the file would not be read")
	default:
		l.warnf(at{file: p}, "file-name", hint, "the file is not read")
	}
}

// hashFiles is the digest of a folder: over names and bytes, in order of names.
func hashFiles(files map[string][]byte) weft.Hash {
	h := sha256.New()
	var size [8]byte
	part := func(b []byte) {
		binary.BigEndian.PutUint64(size[:], uint64(len(b)))
		h.Write(size[:])
		h.Write(b)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		part([]byte(name))
		part(files[name])
	}
	return weft.Hash(h.Sum(nil))
}

// maxFindDepth bounds how deep Find looks.
const maxFindDepth = 12

// Find returns the product folders at and below root, in order of their paths.
// A product folder is one that holds product.odps.yaml; hidden folders and
// folders inside a product folder are not looked into.
func Find(fsys fs.FS, root string) []string {
	var found []string
	_ = fs.WalkDir(fsys, root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // what cannot be read holds no product folder
		case !d.IsDir():
			return nil
		case p != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules"),
			strings.Count(p, "/")-strings.Count(root, "/") > maxFindDepth:
			return fs.SkipDir
		}
		if info, err := fs.Stat(fsys, path.Join(p, productFile)); err == nil && !info.IsDir() {
			found = append(found, p)
			return fs.SkipDir
		}
		return nil
	})
	return found
}
