package peer

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"weft"
)

// invitedFile says until when the last of this node's invitations can be used. Keys
// that nobody knows get through the first handshake until then, and at no other time.
const invitedFile = "invited"

// invites notes that an invitation can be used until then.
func (m *Mesh) invites(until time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !until.After(m.invited) {
		return nil
	}
	if m.cfg.Dir != "" {
		path := m.folder.path(invitedFile)
		if err := writeFile(path, []byte(until.UTC().Format(time.RFC3339)+"\n")); err != nil {
			return weft.Errorf(weft.KindUnavailable, "note the invitation", path, "%w", err)
		}
	}
	m.invited = until
	return nil
}

// readInvited reads what invites has noted. A file that cannot be read means that no
// invitation is open: who has one asks for another.
func (m *Mesh) readInvited() {
	if m.cfg.Dir == "" {
		return
	}
	path := m.folder.path(invitedFile)
	b, err := os.ReadFile(path)
	var until time.Time
	if err == nil && len(b) > 0 {
		until, err = time.Parse(time.RFC3339, string(b[:len(b)-1]))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.cfg.Env.Log.Warn("no invitation made before this start can be used", "file", path, "error", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.invited = until
}

// admitting reports whether an invitation of this node can still be used.
func (m *Mesh) admitting() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.now().Before(m.invited)
}
