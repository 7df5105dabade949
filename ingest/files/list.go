package files

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"weft"
	"weft/contract"
	"weft/ingest"
)

// plan is which files make which table, and which of them are to be read.
type plan struct {
	tables    []table
	unchanged bool
}

// table is one wanted table with its files.
type table struct {
	want ingest.Want
	all  []*file // by path
	read []*file // those to read now
}

// file is one file of a table.
type file struct {
	path        string
	root        string // the folder that it may not lead out of; empty is its own
	private     func(path string) bool
	label       string // how people know it
	size        int64
	time        time.Time
	begun       time.Time // when the reading began
	format      format
	compression string // as the engine calls it: none, gzip, zstd
	hash        string // set when the bytes were hashed
	table       string
}

// maxFiles is how many files one table may be made of.
const maxFiles = 100_000

// list finds the files of every wanted table. A table without any is
// KindUnavailable: the source is lost.
func list(r ingest.Request) (*plan, error) {
	pattern, err := r.Expand(r.Server.Path)
	if err != nil {
		return nil, err
	}
	if pattern == "" {
		return nil, weft.Errorf(weft.KindInvalid, "read the source", r.Where(), "server %q has no path", r.Server.Name)
	}
	if len(r.Tables) > 1 && !strings.Contains(pattern, "{table}") {
		return nil, weft.Errorf(weft.KindInvalid, "read the source", r.Where(), "the path %s stands for %d tables", pattern, len(r.Tables)).
			WithHint("put {table} into the path")
	}
	p := &plan{}
	for _, w := range r.Tables {
		name := w.Table.PhysicalName
		if name == "" {
			name = w.Table.Name
		}
		full := absolute(strings.ReplaceAll(pattern, "{table}", name), r.Dir)
		if !strings.Contains(pattern, "{table}") || within(full, fixedPart(absolute(pattern, r.Dir))) {
			t, err := listTable(r, w, full)
			if err != nil {
				return nil, err
			}
			p.tables = append(p.tables, t)
			continue
		}
		return nil, weft.Errorf(weft.KindInvalid, "read the source", r.Where(), "table name %q leads out of the server's path", name)
	}
	return p, nil
}

func listTable(r ingest.Request, w ingest.Want, pattern string) (table, error) {
	t := table{want: w}
	paths, err := expandGlob(pattern)
	if err != nil {
		return t, weft.Errorf(weft.KindUnavailable, "read the source", r.Where(), "%s: %s", pattern, plain(err)).
			WithHint("the node must be able to read it")
	}
	root := ""
	switch base := fixedPart(pattern); {
	case r.Dir != "" && within(pattern, r.Dir): // what a folder brings along is in it
		root = r.Dir
	case base != pattern || isFolder(base):
		root = base
	}
	for _, name := range paths {
		if private(name, r.Private) {
			continue
		}
		st, err := os.Stat(name)
		if err != nil {
			return t, weft.Errorf(weft.KindUnavailable, "read the source", r.Where(), "%s: %s", name, plain(err))
		}
		if !st.Mode().IsRegular() {
			continue
		}
		f := &file{path: name, root: root, private: r.Private, label: r.Label(name), size: st.Size(), time: st.ModTime(), begun: now(r), table: w.Table.Name}
		if err := f.recognise(r.Server.Format); err != nil {
			return t, err
		}
		t.all = append(t.all, f)
	}
	if len(t.all) == 0 && !(r.Mode() == contract.ModeAppend && len(r.Position) > 0) {
		return t, weft.Errorf(weft.KindUnavailable, "read the source", r.Where(), "no file is at %s", pattern).
			WithHint("the source is lost, or the path of server %q is wrong", r.Server.Name)
	}
	return t, nil
}

func isFolder(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// private reports whether a file lies where nothing is data, links followed.
func private(name string, private func(string) bool) bool {
	real, err := filepath.EvalSymlinks(name)
	return err == nil && private != nil && private(real)
}

// openRaw opens the file's bytes. Whoever can write to a source's folder can lay a
// link in it, or put one, a pipe or a device in the place of a file between two
// looks: what leads out of the folder, is the node's own or is no file is not read.
func (f *file) openRaw() (*os.File, error) {
	dir := f.root
	if dir == "" {
		dir = filepath.Dir(f.path)
	}
	leadsOut := weft.Errorf(weft.KindDenied, "read the source", f.path, "it is a link that leads out of %s", dir).
		WithHint("declare the place where the file really is")
	// A link may name its place by the whole path, which the library would refuse.
	inside, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	real, err := filepath.EvalSymlinks(f.path)
	if err != nil {
		return nil, err
	}
	if !within(real, inside) {
		return nil, leadsOut
	}
	rel, err := filepath.Rel(inside, real)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(inside)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	h, err := root.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would wait for its writer
	if err != nil && strings.Contains(err.Error(), "escapes") {     // exchanged meanwhile; the library's error has no name
		return nil, leadsOut
	}
	if err != nil {
		return nil, err
	}
	if err := f.opened(h); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// opened judges what was opened, whatever its name leads to by now.
func (f *file) opened(h *os.File) error {
	st, err := h.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return weft.Errorf(weft.KindDenied, "read the source", f.path, "it is no file any more")
	}
	if f.private == nil {
		return nil
	}
	real, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", h.Fd()))
	if err != nil {
		return weft.Errorf(weft.KindUnavailable, "read the source", f.path, "where it really is cannot be told: %s", plain(err)).
			WithHint("the node needs /proc")
	}
	if f.private(real) {
		return weft.Errorf(weft.KindDenied, "read the source", f.path, "it is a link to a file of the node itself")
	}
	return nil
}

// plain is a file system's error without the path, which is said already.
func plain(err error) string {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok || u.Unwrap() == nil {
			return err.Error()
		}
		err = u.Unwrap()
	}
}

const wild = "*?["

// fixedPart is the folder above the first wildcard or {table}; the path itself
// where it has none.
func fixedPart(p string) string {
	parts := strings.Split(p, string(filepath.Separator))
	for i, s := range parts {
		if strings.ContainsAny(s, wild) || strings.Contains(s, "{table}") {
			if d := strings.Join(parts[:i], string(filepath.Separator)); d != "" {
				return d
			}
			return string(filepath.Separator)
		}
	}
	return p
}

func within(p, dir string) bool {
	rel, err := filepath.Rel(dir, p)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// expandGlob lists the files that match, by name: * and ? within one folder, **
// across folders. A folder stands for the files in it; files whose name starts
// with a dot or an underscore are nobody's data.
func expandGlob(pattern string) ([]string, error) {
	base := fixedPart(pattern)
	if base == pattern && !strings.ContainsAny(pattern, wild) {
		st, err := os.Stat(pattern)
		switch {
		case os.IsNotExist(err):
			return nil, nil
		case err != nil:
			return nil, err
		case !st.IsDir():
			return []string{pattern}, nil
		}
		pattern = filepath.Join(pattern, "*")
	}
	rel, _ := filepath.Rel(base, pattern)
	want := strings.Split(filepath.ToSlash(rel), "/")
	for _, w := range want {
		if _, err := path.Match(w, ""); err != nil {
			return nil, weft.Errorf(weft.KindInvalid, "read the pattern", pattern, "a [ is not closed")
		}
	}
	deep := slices.Contains(want, "**")
	var found []string
	err := filepath.WalkDir(base, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			if p == base && os.IsNotExist(err) {
				return fs.SkipAll
			}
			return err
		}
		rel, _ := filepath.Rel(base, p)
		have := strings.Split(filepath.ToSlash(rel), "/")
		if p == base {
			return nil
		}
		if d.IsDir() {
			if !deep && (len(have) >= len(want) || !matchParts(want[:len(have)], have)) {
				return fs.SkipDir
			}
			return nil
		}
		if hidden(d.Name()) && !hidden(want[len(want)-1]) {
			return nil
		}
		if matchParts(want, have) {
			if found = append(found, p); len(found) > maxFiles {
				return weft.Errorf(weft.KindLimit, "read the pattern", pattern, "it matches more than %d files", maxFiles)
			}
		}
		return nil
	})
	slices.Sort(found)
	return found, err
}

func hidden(name string) bool { return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") }

func matchParts(want, have []string) bool {
	if len(want) == 0 {
		return len(have) == 0
	}
	if want[0] == "**" {
		for i := 0; i <= len(have); i++ {
			if matchParts(want[1:], have[i:]) {
				return true
			}
		}
		return false
	}
	if len(have) == 0 {
		return false
	}
	ok, _ := path.Match(want[0], have[0])
	return ok && matchParts(want[1:], have[1:])
}
