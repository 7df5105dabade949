package backup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"weft"
)

// Unread is a state that cannot be read, and why.
type Unread struct {
	ID  string // what its file is called
	Err error
}

// States lists the states of a backup folder, oldest first, and apart from them
// those that cannot be read. The error says that the folder is no backup.
func States(dir string) ([]*State, []Unread, error) {
	f, err := openBackup(dir)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }()
	return f.states()
}

// Find gives one state by its id, or by what it starts with; "" is the newest.
// Of all states only that one is read.
func Find(dir, id string) (*State, error) {
	f, err := openBackup(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return f.find(id)
}

// Is reports whether dir is a backup folder.
func Is(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "backup.json"))
	return err == nil
}

// openBackup holds a backup folder open. One that is no backup, or of another
// version, is refused.
func openBackup(dir string) (*folder, error) {
	f, err := openFolder(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !f.has("backup.json") {
		err = weft.Errorf(weft.KindNotFound, "read the backup", dir, "the folder holds no backup").WithHint("weft backup %s makes one", dir)
	}
	if err == nil {
		err = f.known()
	}
	if err != nil {
		if f != nil {
			_ = f.Close()
		}
		return nil, ioError("read the backup", dir, err)
	}
	return f, nil
}

// known refuses a folder of another version, and one whose backup.json is not a
// backup's. All that this file says, each state says as well: where it is damaged
// and a state can be read, the folder is a backup all the same.
func (f *folder) known() error {
	err := f.checkHead()
	if weft.KindOf(err) != weft.KindCorrupt {
		return err
	}
	if all, _, e := f.states(); e == nil && len(all) > 0 {
		return nil
	}
	return err
}

// checkHead reads backup.json.
func (f *folder) checkHead() error {
	b, err := f.read("backup.json", 1<<10)
	if err == nil {
		_, err = decodeEnvelope(f.path("backup.json"), b)
	}
	if err == nil && !bytes.Equal(b, head()) {
		err = corrupt(f.path("backup.json"), "the file is not what was written")
	}
	return err
}

// head is the content of backup.json: it has one spelling.
func head() []byte {
	return fmt.Appendf(nil, "{\"magic\":%q,\"version\":%d}\n", magic, formatVersion)
}

// ids are the names of all states, oldest first.
func (f *folder) ids() ([]string, error) {
	es, err := fs.ReadDir(f.FS(), "states")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, ioError("read the backup", f.path("states"), err)
	}
	var ids []string
	for _, e := range es {
		if id, ok := strings.CutSuffix(e.Name(), ".json"); ok && id != "" && id[0] != '.' {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

func (f *folder) states() (read []*State, unread []Unread, err error) {
	ids, err := f.ids()
	if err != nil {
		return nil, nil, err
	}
	for _, id := range ids {
		switch s, err := f.state(id); {
		case err == nil:
			read = append(read, s)
		case !errors.Is(err, fs.ErrNotExist): // a backup that runs has let go of it
			unread = append(unread, Unread{id, err})
		}
	}
	return read, unread, nil
}

func stateFile(id string) string { return filepath.Join("states", id+".json") }

func (f *folder) state(id string) (*State, error) {
	path := f.path(stateFile(id))
	b, err := f.read(stateFile(id), maxState)
	if err != nil {
		return nil, err
	}
	s, err := decodeState(path, b)
	if err != nil {
		return nil, err
	}
	if s.ID != id {
		return nil, corrupt(path, "the state is another one's: %s", s.ID)
	}
	return s, nil
}

func (f *folder) find(id string) (*State, error) {
	ids, err := f.ids()
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, weft.Errorf(weft.KindNotFound, "read the backup", f.dir, "there is no state in it: the first backup did not end").
			WithHint("run weft backup %s again", f.dir)
	}
	if id == "" {
		return f.state(ids[len(ids)-1])
	}
	if slices.Contains(ids, id) {
		return f.state(id)
	}
	found := slices.DeleteFunc(ids, func(have string) bool { return !strings.HasPrefix(have, id) })
	if len(found) != 1 {
		return nil, weft.Errorf(weft.KindNotFound, "find the state", id, "%d states are called so", len(found)).
			WithHint("weft backup %s --list shows them", f.dir)
	}
	return f.state(found[0])
}

// incarnations gives the latest incarnation of each product that anything in the
// folder is of: a state that can be read, or a journal that one has that cannot,
// or that a backup left which broke off.
func (f *folder) incarnations() (map[string]uint32, error) {
	out := map[string]uint32{}
	see := func(id string, inc uint32) { out[id] = max(out[id], inc) }
	all, _, err := f.states()
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		for _, p := range s.Products {
			for _, x := range append([]weft.Point{p.Point}, p.Lineage...) {
				see(x.ID, x.Incarnation)
			}
			for _, g := range p.Segments {
				see(g.ID, g.Incarnation)
			}
		}
	}
	dirs, err := fs.Glob(f.FS(), "products/*/journal/*")
	if err != nil {
		return nil, ioError("read the backup", f.dir, err)
	}
	for _, d := range dirs {
		part := strings.Split(d, "/")
		if inc, err := strconv.ParseUint(part[3], 10, 32); err == nil && inc <= maxIncarnation {
			see(part[1], uint32(inc))
		}
	}
	return out, nil
}
