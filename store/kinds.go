package store

import (
	"io/fs"
	"path"
	"path/filepath"
	"strings"
)

// kind is one kind of file in a product's folder.
type kind struct {
	pattern string // of its path in the folder, as path.Match takes it
	what    string
	magic   string // with which it starts; empty where the format is another's
	left    string // what a file is that nothing names; empty where every one counts
}

// kinds are all the files that a product's folder has. A file of no kind is told.
// Who adds a kind of file adds a line, names the file in dataFile.parts or checks
// it in verifier, and describes it in docs/format.
var kinds = []kind{
	{pattern: "lock", what: "lock"},
	{pattern: "manifest", what: "manifest", magic: `{"magic":"weft manifest"`},
	{pattern: "manifest.copy", what: "manifest's copy", magic: `{"magic":"weft manifest"`},
	{pattern: "manifest*.tmp", what: "manifest", left: "a manifest that was being written"},
	{pattern: "holds", what: "list of holds", magic: `{"magic":"weft holds"`},
	{pattern: "holds.tmp", what: "list of holds", left: "a list of holds that was being written"},
	{pattern: "journal/*.weftj", what: "journal segment", magic: journalMagic},
	{pattern: "journal/mark", what: "mark", magic: markMagic},
	{pattern: "journal/mark.tmp", what: "mark", left: "a mark that was being made"},
	{pattern: "files/*.parquet", what: "data file", magic: "PAR1", left: "a data file that no commit names"},
	{pattern: "files/*.parquet" + keysSuffix, what: "file of keys", magic: "WEFTKEYS", left: "keys of a data file that no commit names"},
	{pattern: indexDir + "/*", what: "key index"},
	{pattern: "files/*.tmp", what: "data file", left: "a file that was being written"},
	{pattern: "tmp/*", what: "temporary file", left: "a temporary file of a compaction"},
	{pattern: "tmp/*/*", what: "temporary file", left: "a temporary file of a compaction"},
}

// kindOf finds the kind of a file by its path in the folder, nil for none.
func kindOf(rel string) *kind {
	for i := range kinds {
		if ok, err := path.Match(kinds[i].pattern, filepath.ToSlash(rel)); ok && err == nil {
			return &kinds[i]
		}
	}
	return nil
}

// others looks at all that lies in the folder: what nothing names is left over,
// what is of no kind is strange.
func (v *verifier) others() (files int, size int64) {
	err := filepath.WalkDir(v.dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); strings.HasPrefix(name, "before-") && filepath.Dir(p) == v.dir {
				v.put(Finding{File: name, Message: "what an upgrade replaced is kept here", Consequence: "it takes space until you remove it; weft verify checks it by its own path", Note: true})
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(v.dir, p)
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		files, size = files+1, size+st.Size()
		switch k := kindOf(rel); {
		case k == nil:
			v.put(Finding{File: rel, Message: "the file is of no kind that this program knows", Consequence: "it is left alone", Note: true})
		case k.left != "" && !v.named[rel]:
			v.put(Finding{File: rel, Message: k.left, Consequence: "it takes space until the product is opened next; nothing reads it", Note: true})
		}
		return nil
	})
	if err != nil {
		v.fail(".", 0, err, "not all of the folder was looked at")
	}
	return files, size
}
