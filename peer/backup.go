package peer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"slices"

	"weft"
	"weft/sign"
)

// File is a file of a mesh folder, for a backup.
type File struct {
	Name  string // in the mesh folder
	Bytes []byte
}

// copyFile is where a backup has the records; the next Open takes them from there.
const (
	copyFile  = "records.weftr"
	copyStart = "weft records 1\n"
	maxCopy   = 1 << 30
)

// IsBackupName reports whether a backup may have a file of that name of a mesh folder.
func IsBackupName(name string) bool {
	return name == stateFile || name == copyFile || isKeyName(name)
}

// isKeyName reports whether a file of that name is a key.
func isKeyName(name string) bool {
	switch domain, ok := bytes.CutPrefix([]byte(name), []byte(domainStart)); {
	case name == nodeKey:
		return true
	case ok:
		d, ok := bytes.CutSuffix(domain, []byte(keySuffix))
		return ok && weft.CheckName(string(d)) == nil
	}
	return slices.ContainsFunc(founderNames(), func(n string) bool { return n == name })
}

func founderNames() (names []string) {
	for i := range maxFounders {
		names = append(names, founderName(i))
	}
	return names
}

// Backup gives what makes a node the same node again when its mesh folder is made of
// it: its keys, the mesh, who may say what in it, and what the node said itself. What
// other nodes say of their products comes again from them. Of a node that is in no mesh
// it is the key, if there is one. Whoever has the files can act as the node.
func (m *Mesh) Backup() ([]File, error) {
	m.change.Lock() // keys and records go together
	defer m.change.Unlock()
	if m.cfg.Dir == "" {
		return nil, nil
	}
	names, err := m.folder.keyNames()
	if err != nil {
		return nil, err
	}
	var files []File
	if m.Joined() {
		names = append(names, stateFile)
		files = []File{{Name: copyFile, Bytes: m.set.copyOf(m.Self())}}
	} else {
		names = slices.DeleteFunc(names, func(n string) bool { return n != nodeKey }) // it may have signed
	}
	for _, n := range names {
		if !IsBackupName(n) {
			continue
		}
		b, err := os.ReadFile(m.folder.path(n))
		if err != nil {
			return nil, weft.Errorf(weft.KindUnavailable, "back up the mesh", m.folder.path(n), "%w", err)
		}
		files = append(files, File{Name: n, Bytes: b})
	}
	return files, nil
}

// copyOf are the facts, and what a node says itself.
func (s *Set) copyOf(node weft.KeyID) []byte {
	out := s.appendFacts([]byte(copyStart))
	s.mu.RLock()
	defer s.mu.RUnlock()
	s.tree.all(func(it *item) bool {
		if it.fact == nil && it.signer() == node {
			if r := s.record(it); r != nil {
				out = appendRaw(out, r.Raw())
			}
		}
		return true
	})
	for id := range s.floors {
		if s.keep == nil {
			break
		}
		if r, err := s.keep.read(id); err == nil && r.Signers[0] == node {
			out = appendRaw(out, r.Raw())
		}
	}
	return out
}

func appendRaw(out, raw []byte) []byte {
	return append(binary.BigEndian.AppendUint32(out, uint32(len(raw))), raw...)
}

// splitRecords reads what appendRaw wrote behind start. Nothing of it has been
// verified.
func splitRecords(b []byte, start string, most int) (records []*sign.Record, ok bool) {
	if len(b) > most || !bytes.HasPrefix(b, []byte(start)) {
		return nil, false
	}
	for b = b[len(start):]; len(b) > 0; {
		if len(b) < 4 {
			return nil, false
		}
		n := binary.BigEndian.Uint32(b)
		if n > sign.MaxRecord || int(n) > len(b)-4 {
			return nil, false
		}
		r, err := sign.Peek(b[4 : 4+n : 4+n])
		if err != nil {
			return nil, false
		}
		records = append(records, r)
		b = b[4+n:]
	}
	return records, true
}

// takeCopy takes the records of a folder that was restored, and makes a new series of
// invitations: which of the old ones were used since is not known.
func (m *Mesh) takeCopy() error {
	if m.cfg.Dir == "" {
		return nil
	}
	const op = "take the restored records"
	path := m.folder.path(copyFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return weft.Errorf(weft.KindUnavailable, op, path, "%w", err)
	}
	records, ok := splitRecords(b, copyStart, maxCopy)
	if !ok {
		return weft.Errorf(weft.KindCorrupt, op, path, "it is not what was written").
			WithHint("remove the file, and the records come again from the other nodes; or restore another state of the backup")
	}
	for _, r := range records {
		if _, fate, err := m.set.Add(r.Raw()); err != nil && fate != FateEarly {
			m.cfg.Env.Log.Warn("a restored record is not taken", "kind", r.Kind, "key", r.Key, "error", err)
		}
	}
	st := *m.state
	st.Series = newSeries()
	if err := m.folder.save(&st); err != nil {
		return err
	}
	m.mu.Lock()
	m.state = &st
	m.mu.Unlock()
	if err := os.Remove(path); err != nil {
		return weft.Errorf(weft.KindUnavailable, op, path, "%w", err)
	}
	return nil
}
