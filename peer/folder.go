package peer

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"weft"
	"weft/sign"
)

// folder is a mesh folder: the keys, the state that says which mesh the node is in,
// and the invitations that were used. Without a directory it is in memory.
type folder struct {
	dir string

	mu    sync.Mutex // guards what follows, which counts without a directory only
	keys  map[string]sign.Key
	state *state
	used  map[string]spent
}

// The files of a mesh folder.
const (
	stateFile   = "mesh.json"
	nodeKey     = "node.key"
	nextKey     = "node.key.next"
	charterKey  = "charter" // and "-2" and so on
	keySuffix   = ".key"
	spentDir    = "spent"
	domainStart = "domain-"
)

// state says which mesh a node is in. A node whose folder has none is in none,
// whatever else the folder has.
type state struct {
	Magic   string    `json:"magic"`
	Version int       `json:"version"`
	Mesh    weft.Hash `json:"mesh"`
	Charter []byte    `json:"charter"`          // the founding one, as it was signed
	Series  []byte    `json:"series,omitempty"` // of the invitations that count
	// Seeds are nodes that were known when this one came in: where the records are
	// lost they are the way back.
	Seeds []Seed `json:"seeds,omitempty"`
}

// Seed is a node of the mesh and where it was.
type Seed struct {
	Node      weft.KeyID `json:"node"`
	Addresses []string   `json:"addresses"`
}

const stateMagic, stateVersion = "weft mesh", 1

// spent is an invitation that was used.
type spent struct {
	Node  weft.KeyID `json:"node"`
	Until time.Time  `json:"until"`
}

func newFolder(dir string) *folder {
	return &folder{dir: dir, keys: map[string]sign.Key{}, used: map[string]spent{}}
}

func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

// make makes the directory.
func (f *folder) make() error {
	if f.dir == "" {
		return nil
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return weft.Errorf(weft.KindUnavailable, "make the mesh folder", f.dir, "%w", err)
	}
	return nil
}

// key reads a key; where there is none it is zero.
func (f *folder) key(name string) (sign.Key, error) {
	if f.dir == "" {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.keys[name], nil
	}
	k, err := sign.LoadKey(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return sign.Key{}, nil
	}
	return k, err
}

// saveKey writes a key.
func (f *folder) saveKey(name string, k sign.Key) error {
	if f.dir == "" {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.keys[name] = k
		return nil
	}
	return sign.SaveKey(f.path(name), k)
}

// someKey reads a key, or makes it where there is none.
func (f *folder) someKey(name string) (sign.Key, error) {
	k, err := f.key(name)
	if err != nil || !k.IsZero() {
		return k, err
	}
	k = sign.NewKey()
	return k, f.saveKey(name, k)
}

// removeKey removes a key, if it is there.
func (f *folder) removeKey(name string) error {
	if f.dir == "" {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.keys, name)
		return nil
	}
	if err := os.Remove(f.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return weft.Errorf(weft.KindUnavailable, "remove the key", f.path(name), "%w", err)
	}
	return nil
}

// renameKey puts one key in another's place.
func (f *folder) renameKey(from, to string) error {
	if f.dir == "" {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.keys[to] = f.keys[from]
		delete(f.keys, from)
		return nil
	}
	err := os.Rename(f.path(from), f.path(to))
	if err == nil {
		err = syncDir(f.dir)
	}
	if err != nil {
		return weft.Errorf(weft.KindUnavailable, "rename the key", f.path(from), "%w", err)
	}
	return nil
}

// keyNames lists the keys that there are.
func (f *folder) keyNames() (names []string, err error) {
	if f.dir == "" {
		f.mu.Lock()
		defer f.mu.Unlock()
		for n := range f.keys {
			names = append(names, n)
		}
	} else {
		list, err := os.ReadDir(f.dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, weft.Errorf(weft.KindUnavailable, "read the mesh folder", f.dir, "%w", err)
		}
		for _, e := range list {
			if strings.HasSuffix(e.Name(), keySuffix) {
				names = append(names, e.Name())
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// founders are the founding keys that are here.
func (f *folder) founders() (keys []sign.Key, err error) {
	names, err := f.keyNames()
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		if n != charterKey+keySuffix && !strings.HasPrefix(n, charterKey+"-") {
			continue
		}
		k, err := f.key(n)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func domainKey(domain string) string { return domainStart + domain + keySuffix }

// load reads the state, nil where the node is in no mesh.
func (f *folder) load() (*state, error) {
	const op = "read the state of the mesh"
	if f.dir == "" {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.state, nil
	}
	b, err := os.ReadFile(f.path(stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, weft.Errorf(weft.KindUnavailable, op, f.path(stateFile), "%w", err)
	}
	st := &state{}
	if err := json.Unmarshal(b, st); err != nil || st.Magic != stateMagic || sign.Digest(st.Charter) != st.Mesh {
		return nil, weft.Errorf(weft.KindCorrupt, op, f.path(stateFile), "it is not what was written").WithHint("restore it from a backup")
	}
	if st.Version > stateVersion {
		return nil, weft.Errorf(weft.KindInvalid, op, f.path(stateFile), "a newer version of weft wrote it").WithHint("use that version")
	}
	return st, nil
}

// save writes the state: from then on the node is in a mesh.
func (f *folder) save(st *state) error {
	st.Magic, st.Version = stateMagic, stateVersion
	if f.dir == "" {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.state = st
		return nil
	}
	b, err := json.Marshal(st)
	if err == nil {
		err = writeFile(f.path(stateFile), append(b, '\n'))
	}
	if err != nil {
		return weft.Errorf(weft.KindUnavailable, "write the state of the mesh", f.path(stateFile), "%w", err)
	}
	return nil
}

// spend notes that a node used an invitation. It returns who did before, zero for
// nobody; then nothing is noted.
func (f *folder) spend(nonce []byte, by spent) (weft.KeyID, error) {
	const op = "note the invitation"
	name := hex.EncodeToString(nonce)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dir == "" {
		if was, ok := f.used[name]; ok {
			return was.Node, nil
		}
		f.used[name] = by
		return weft.KeyID{}, nil
	}
	path := filepath.Join(f.dir, spentDir, name)
	if b, err := os.ReadFile(path); err == nil {
		var was spent
		if err := json.Unmarshal(b, &was); err != nil {
			return weft.KeyID{}, weft.Errorf(weft.KindCorrupt, op, path, "it is not what was written").WithHint("make a new invitation")
		}
		return was.Node, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return weft.KeyID{}, weft.Errorf(weft.KindUnavailable, op, path, "%w", err)
	}
	b, err := json.Marshal(by)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = errors.Join(writeFile(path, b), syncDir(f.dir))
	}
	if err != nil {
		return weft.KeyID{}, weft.Errorf(weft.KindUnavailable, op, path, "%w", err)
	}
	return weft.KeyID{}, nil
}

// forgetSpent removes what is noted of invitations that have expired for a day.
func (f *folder) forgetSpent(now time.Time) {
	late := func(s spent) bool { return now.Sub(s.Until) > 24*time.Hour }
	f.mu.Lock()
	defer f.mu.Unlock()
	for n, s := range f.used {
		if late(s) {
			delete(f.used, n)
		}
	}
	if f.dir == "" {
		return
	}
	list, _ := os.ReadDir(f.path(spentDir))
	for _, e := range list {
		path := filepath.Join(f.dir, spentDir, e.Name())
		var s spent
		if b, err := os.ReadFile(path); err == nil && json.Unmarshal(b, &s) == nil && late(s) {
			_ = os.Remove(path) // it is tried again
		}
	}
}

// writeFile writes a file durably, whole or not at all.
func writeFile(path string, b []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
