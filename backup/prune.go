package backup

import (
	"io/fs"
	"maps"
	"slices"
)

// prune lets go of the oldest states above what is to be kept, and then of every
// file that no state names. States go first: a crash in between leaves space
// taken and nothing missing. While a state cannot be read nobody knows what it
// names, and nothing goes.
func (s *saver) prune() error {
	if len(s.unread) > 0 {
		return nil
	}
	kept := append(slices.Clone(s.before), s.state)
	if s.opt.Keep > 0 {
		old := s.series()
		old = old[:max(0, len(old)-s.opt.Keep+1)]
		for _, o := range old {
			if err := s.Remove(stateFile(o.ID)); err != nil {
				return ioError("remove an old state", s.path(stateFile(o.ID)), err)
			}
		}
		kept = slices.DeleteFunc(kept, func(st *State) bool { return slices.Contains(old, st) })
		if err := s.sync("states"); err != nil {
			return err
		}
	}
	return s.sweep(kept, nil)
}

// series are the earlier states that the new one takes the place of one day,
// oldest first: of the same node and the same products. A state of some products
// goes with those of exactly these. One of all of a node's products goes with
// those of all that lead to it, each having a product of the next or none: a
// clone has the node's name and other products.
func (s *saver) series() []*State {
	var out []*State
	ids := s.state.ids()
	for _, b := range slices.Backward(s.before) {
		if b.Node != s.state.Node || b.Whole != s.state.Whole {
			continue
		}
		theirs := b.ids()
		if b.Whole && (len(theirs) == 0 || len(ids) == 0 || overlap(ids, theirs)) {
			for id := range theirs {
				ids[id] = true
			}
			out = append(out, b)
		} else if !b.Whole && maps.Equal(ids, theirs) {
			out = append(out, b)
		}
	}
	slices.Reverse(out)
	return out
}

func (s *State) ids() map[string]bool {
	out := map[string]bool{}
	for _, p := range s.Products {
		out[p.Point.ID] = true
	}
	return out
}

func overlap(a, b map[string]bool) bool {
	for id := range a {
		if b[id] {
			return true
		}
	}
	return false
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

// sweep removes every file that no state names, and that is not among spare.
func (s *saver) sweep(states []*State, spare map[string]bool) error {
	if len(s.unread) > 0 {
		return nil
	}
	named := map[string]bool{}
	for _, st := range states {
		st.names(func(rel string) { named[rel] = true })
	}
	for _, root := range []string{"products", "blobs"} {
		if !s.has(root) {
			continue
		}
		err := fs.WalkDir(s.FS(), root, func(rel string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || named[rel] || spare[rel] {
				return err
			}
			return s.Remove(rel)
		})
		if err != nil {
			return ioError("remove what no state needs", s.dir, err)
		}
	}
	return nil
}

// roomFor writes once more where the disk was full and something could go that
// nobody needs: what a backup left that broke off, or a state that a person removed.
func (s *saver) roomFor(write func() error) error {
	err := write()
	if !full(err) {
		return err
	}
	if e := s.sweep(s.before, s.touched); e != nil {
		return err
	}
	return write()
}
