package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"weft"
)

// SavedDir is the folder, in a product's folder or a node's, that keeps what an
// upgrade to this format replaced. In a product's folder it is a whole product's
// folder of the version before: a program of that version opens it in the place
// of this one, without the commits that came after the upgrade.
var SavedDir = fmt.Sprintf("before-%d", formatVersion)

// upgrade brings a folder of an older version to this one, after saving it. It
// may be interrupted anywhere: as long as the manifest says the older version it
// is begun again. Segments and data files stay as they are.
func (s *Store) upgrade() error {
	if s.man.version == 0 || s.man.version == formatVersion {
		return s.journal.mark.upgrade()
	}
	if err := s.save(); err != nil {
		return err
	}
	m, _, _, err := findManifest(s.fs, s.cfg.Dir)
	if err != nil {
		return err
	}
	b, err := encodeManifest(m)
	if err != nil {
		return err
	}
	if err := s.writeManifest(b); err != nil {
		return err
	}
	s.cfg.Env.Log.Info("upgraded the product's data; what was replaced is kept", "product", s.cfg.Product.String(),
		"from", s.man.version, "to", formatVersion, "kept", filepath.Join(s.cfg.Dir, SavedDir))
	s.man.version, s.manifest = formatVersion, b
	return s.journal.mark.upgrade()
}

// save makes the copy of an older folder. What never changes is linked, so that
// it takes no space until retention lets go of it here.
func (s *Store) save() error {
	to := filepath.Join(s.cfg.Dir, SavedDir)
	tmp := to + ".tmp"
	for _, d := range []string{tmp, to} {
		if err := removeTree(s.fs, d); err != nil {
			return ioError("remove what an interrupted upgrade saved", d, err)
		}
	}
	for _, d := range []string{tmp, filepath.Join(tmp, "journal"), filepath.Join(tmp, "files")} {
		if err := makeFolder(s.fs, d); err != nil {
			return ioError("make the folder", d, err)
		}
	}
	copied := []string{manifestFile, filepath.Join("journal", "mark")}
	linked, err := s.unchanging()
	if err != nil {
		return err
	}
	for _, name := range copied {
		if err := copyFile(s.fs, filepath.Join(s.cfg.Dir, name), filepath.Join(tmp, name)); err != nil {
			return ioError("save the file", filepath.Join(s.cfg.Dir, name), err)
		}
	}
	for _, name := range linked {
		from := filepath.Join(s.cfg.Dir, name)
		err := s.fs.Link(from, filepath.Join(tmp, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a file system without links
			err = copyFile(s.fs, from, filepath.Join(tmp, name))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return ioError("save the file", from, err)
		}
	}
	for _, d := range []string{filepath.Join(tmp, "journal"), filepath.Join(tmp, "files"), tmp} {
		if err := s.fs.SyncDir(d); err != nil {
			return ioError("sync the folder", d, err)
		}
	}
	if err := s.fs.Rename(tmp, to); err != nil {
		return ioError("save the folder", to, err)
	}
	if err := s.fs.SyncDir(s.cfg.Dir); err != nil {
		return ioError("sync the folder", s.cfg.Dir, err)
	}
	return nil
}

// unchanging lists the files that this program only ever reads and removes:
// segments of the older version and data files.
func (s *Store) unchanging() ([]string, error) {
	var names []string
	for _, g := range s.journal.segments {
		if g.version == formatVersion {
			return nil, weft.Errorf(weft.KindCorrupt, "upgrade the data", g.path, "a segment of format version %d stands beside a manifest of version %d", g.version, s.man.version).
				WithHint("restore the product from a backup")
		}
		names = append(names, filepath.Join("journal", filepath.Base(g.path)))
	}
	for _, f := range s.allFiles() { // nobody else has the store yet
		for _, p := range f.parts() {
			names = append(names, filepath.Join("files", p.name))
		}
	}
	return names, nil
}

// copyFile copies a file and makes the copy's content durable.
func copyFile(fsys fileSystem, from, to string) error {
	src, err := fsys.Open(from, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	st, err := src.Stat()
	if err != nil {
		return err
	}
	dst, err := fsys.Open(to, os.O_CREATE|os.O_TRUNC|os.O_RDWR)
	if err != nil {
		return err
	}
	b := make([]byte, 1<<20)
	for at := int64(0); at < st.Size() && err == nil; {
		var n int
		if n, err = src.ReadAt(b[:min(int64(len(b)), st.Size()-at)], at); err == io.EOF {
			err = nil
		}
		if err == nil {
			_, err = dst.WriteAt(b[:n], at)
			at += int64(n)
		}
		if n == 0 {
			break
		}
	}
	if err == nil {
		err = dst.Sync()
	}
	return errors.Join(err, dst.Close())
}

// removeTree removes a folder with all that is in it; none is no error.
func removeTree(fsys fileSystem, dir string) error {
	es, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range es {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			err = removeTree(fsys, path)
		} else {
			err = fsys.Remove(path)
		}
		if err != nil {
			return err
		}
	}
	return fsys.Remove(dir)
}
