package backup

import (
	"io/fs"
	"os"
	"path/filepath"
)

// prune lets go of the oldest states above what is to be kept, and then of every
// file that no state names. States go first: a crash in between leaves space
// taken and nothing missing.
func (s *saver) prune() error {
	kept := append(s.before, s.state)
	if s.opt.Keep > 0 && len(kept) > s.opt.Keep {
		for _, old := range kept[:len(kept)-s.opt.Keep] {
			path := s.path(filepath.Join("states", old.ID+".json"))
			if err := os.Remove(path); err != nil {
				return ioError("remove an old state", path, err)
			}
		}
		kept = kept[len(kept)-s.opt.Keep:]
		if err := syncDir(s.path("states")); err != nil {
			return err
		}
	}
	named := map[string]bool{}
	for _, st := range kept {
		st.names(func(rel string) { named[rel] = true })
	}
	for _, root := range []string{"products", "blobs"} {
		if err := s.sweep(root, named); err != nil {
			return err
		}
	}
	return nil
}

// names calls with every file that the state needs, relative to the folder.
func (s *State) names(name func(string)) {
	for _, p := range s.Products {
		name(p.Manifest.path())
		for _, f := range p.Files {
			name(filePath(p.Point.ID, f.Name))
		}
		for _, g := range p.Segments {
			name(g.path())
		}
	}
	name(s.Books.path())
	for _, k := range s.Keys {
		name(k.path())
	}
}

func (s *saver) sweep(root string, named map[string]bool) error {
	err := filepath.WalkDir(s.path(root), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(s.dir, path)
		if err != nil || named[rel] {
			return err
		}
		return os.Remove(path)
	})
	if err != nil && !os.IsNotExist(err) {
		return ioError("remove what no state needs", s.dir, err)
	}
	return nil
}
