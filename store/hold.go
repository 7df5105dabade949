package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"weft"
	"weft/sign"
)

// Hold is a named claim on a commit: as long as it is there, the history from
// that commit on can be read, whatever retention would let go of. It survives a
// restart.
type Hold struct {
	Name string   `json:"name"`
	Seq  weft.Seq `json:"seq"`
}

const (
	holdsMagic = "weft holds"
	holdsFile  = "holds"
	maxHolds   = 10_000
	maxHoldsIn = 8 << 20 // bytes of the file
)

// Hold claims a commit under a name of small letters, digits, dots, dashes and
// underscores. It is durable when it returns. The same name and commit again
// change nothing; the same name and another commit is KindConflict. A commit
// that is no longer kept is KindGone, one that never was KindNotFound.
func (s *Store) Hold(name string, seq weft.Seq) error {
	if !safeName(name) {
		return weft.Errorf(weft.KindInvalid, "hold the commit", name, "a hold's name has 1 to 200 small letters, digits, dots, dashes and underscores, and starts with no dot")
	}
	s.holding.Lock()
	defer s.holding.Unlock()
	if err := s.kept(seq); err != nil {
		return err
	}
	if err := s.holdsReadable(); err != nil {
		return err
	}
	s.mu.Lock()
	i := slices.IndexFunc(s.holds, func(h Hold) bool { return h.Name == name })
	var err error
	switch {
	case i >= 0 && s.holds[i].Seq == seq:
		s.mu.Unlock()
		return nil
	case i >= 0:
		err = weft.Errorf(weft.KindConflict, "hold the commit", seq.String(), "the hold %s has commit %s", name, s.holds[i].Seq).
			WithHint("release it first, or give this one another name")
	case len(s.holds) == maxHolds:
		err = weft.Errorf(weft.KindLimit, "hold the commit", seq.String(), "there are %d holds already", maxHolds).
			WithHint("release those that nobody needs")
	case seq < s.man.Oldest:
		err = s.gone(seq.String())
	case seq < s.letting:
		err = weft.Errorf(weft.KindGone, "hold the commit", seq.String(), "what is before %s is being let go", s.letting).
			WithHint("hold %s or a later one", s.letting)
	}
	if err != nil {
		s.mu.Unlock()
		return err
	}
	before := s.holds
	s.holds = append(slices.Clone(before), Hold{name, seq})
	s.mu.Unlock()
	return s.writeHolds(before)
}

// Release ends a hold; one that is not there is KindNotFound. What only it kept
// goes with the next fold.
func (s *Store) Release(name string) error {
	s.holding.Lock()
	defer s.holding.Unlock()
	if err := s.holdsReadable(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return closedError()
	}
	before := s.holds
	i := slices.IndexFunc(before, func(h Hold) bool { return h.Name == name })
	if i < 0 {
		s.mu.Unlock()
		return weft.Errorf(weft.KindNotFound, "release the hold", name, "there is no such hold")
	}
	after := slices.Delete(slices.Clone(before), i, i+1)
	s.mu.Unlock()
	// Only when the disk knows of it may a fold act on it.
	if err := writeWhole(s.fs, s.holdsPath(), encodeHolds(after)); err != nil {
		return ioError("release the hold", s.holdsPath(), err)
	}
	s.mu.Lock()
	s.holds = after
	s.mu.Unlock()
	return nil
}

// Holds lists the holds by their names.
func (s *Store) Holds() []Hold {
	s.mu.Lock()
	out := slices.Clone(s.holds)
	s.mu.Unlock()
	slices.SortFunc(out, func(a, b Hold) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return out
}

// writeHolds makes the holds durable, or takes them back. A fold respects them
// from before they were written.
func (s *Store) writeHolds(before []Hold) error {
	s.mu.Lock()
	now := s.holds
	s.mu.Unlock()
	err := writeWhole(s.fs, s.holdsPath(), encodeHolds(now))
	if err == nil {
		return nil
	}
	s.mu.Lock()
	s.holds = before
	s.mu.Unlock()
	return ioError("hold the commit", s.holdsPath(), err)
}

// heldFrom is the least commit that is held, at most upTo; the lock must be held.
func (s *Store) heldFrom(upTo weft.Seq) weft.Seq {
	for _, h := range s.holds {
		upTo = min(upTo, h.Seq)
	}
	return upTo
}

// letGo settles how far a fold moves the oldest cut on: not past what is held.
// From then on nobody can hold what is before it, until a manifest is durable: one
// whose writing failed may be on the disk.
func (s *Store) letGo(oldest weft.Seq) weft.Seq {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holdsBroken != nil {
		oldest = s.man.Oldest
	}
	s.letting = max(s.man.Oldest, s.letting, s.heldFrom(oldest))
	return s.letting
}

func (s *Store) holdsPath() string { return filepath.Join(s.cfg.Dir, holdsFile) }

func encodeHolds(holds []Hold) []byte { return encodeHoldsAs(formatVersion, holds) }

func encodeHoldsAs(version uint32, holds []Hold) []byte {
	body, _ := json.Marshal(holds) // of strings and numbers
	b, _ := json.Marshal(manifestEnvelope{holdsMagic, version, sign.Digest(body), body})
	return append(b, '\n')
}

// decodeHolds reads the file at path from its bytes.
func decodeHolds(path string, b []byte) ([]Hold, error) {
	var e manifestEnvelope
	if err := json.Unmarshal(b, &e); err != nil || e.Magic != holdsMagic {
		return nil, corrupt(path, 0, "the file is no list of holds")
	}
	if err := checkVersion(path, e.Version); err != nil {
		return nil, err
	}
	var holds []Hold
	if err := json.Unmarshal(e.Body, &holds); err != nil || sign.Digest(e.Body) != e.Digest || !bytes.Equal(encodeHoldsAs(e.Version, holds), b) {
		return nil, corrupt(path, 0, "the digest of the list of holds does not hold")
	}
	for i, h := range holds {
		if !safeName(h.Name) || h.Seq == 0 || slices.ContainsFunc(holds[:i], func(o Hold) bool { return o.Name == h.Name }) {
			return nil, corrupt(path, 0, "hold %d has no valid name or commit", i+1)
		}
	}
	return holds, nil
}

// readHolds reads the holds of a store that is being opened. Damage is no reason
// to let go of what somebody holds: then nothing is let go of.
func (s *Store) readHolds() error {
	b, err := readWhole(s.fs, s.holdsPath(), maxHoldsIn)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, errTooLong):
		err = corrupt(s.holdsPath(), 0, "%v", err)
	case err != nil:
		return ioError("open the store", s.holdsPath(), err)
	default:
		s.holds, err = decodeHolds(s.holdsPath(), b)
	}
	if weft.KindOf(err) == weft.KindCorrupt {
		s.note(knownError(err), holdsLost)
		s.holdsBroken, err = knownError(err), nil
	}
	return err
}

// holdsLost is what it means that the list of holds cannot be read.
const holdsLost = "what is held is not known: nothing is let go of, and no hold can be made or released"

// holdsReadable says why holds cannot be changed, nil where they can.
func (s *Store) holdsReadable() error {
	if s.holdsBroken == nil {
		return nil
	}
	e := *s.holdsBroken
	e.Message += ", so that " + holdsLost
	return e.WithHint("restore the product from a backup, or remove the file when nothing needs to be held")
}

// holds checks the list of holds.
func (v *verifier) holds() {
	const consequence = holdsLost
	path := filepath.Join(v.dir, holdsFile)
	b, err := readWhole(v.fs, path, maxHoldsIn)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		_, err = decodeHolds(path, b)
	}
	if err != nil {
		v.fail(holdsFile, 0, err, consequence)
	}
}

// String gives one line for people.
func (h Hold) String() string { return fmt.Sprintf("%s holds %s", h.Name, h.Seq) }
