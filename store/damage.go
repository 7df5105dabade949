package store

import (
	"errors"
	"path/filepath"
	"slices"
	"sync"

	"weft"
)

// A store opens although something of it is damaged, as far as what it then
// reads is proven: nothing is guessed, nothing passed over. Damage of the journal
// makes the store read-only, so that a copy of it can be compared and repaired;
// where acknowledged commits are lost with it, the newest state is refused too, and
// those before can be read by their number. A damaged data file takes with it only
// what is read from it, and a manifest is read from its copy (decision 0020).

// damage is what is known to be broken. Safe for concurrent use.
type damage struct {
	mu      sync.Mutex
	found   []Finding
	journal *weft.Error // the first that concerns the journal: the store is read-only
	head    *weft.Error // commits after the head of the store were made and cannot be read
}

// Damage lists what this store knows to be broken, nil where it knows of
// nothing. Data files are held in the background after the start, and before
// they are read.
func (s *Store) Damage() []Finding {
	s.broken.mu.Lock()
	defer s.broken.mu.Unlock()
	return slices.Clone(s.broken.found)
}

// ReadOnly says why nothing can be committed; nil where it can.
func (s *Store) ReadOnly() error {
	s.broken.mu.Lock()
	defer s.broken.mu.Unlock()
	if s.broken.journal == nil {
		return nil
	}
	return s.broken.journal
}

// headLost says why the newest state cannot be read, nil where it can.
func (s *Store) headLost() error {
	s.broken.mu.Lock()
	defer s.broken.mu.Unlock()
	if s.broken.head == nil {
		return nil
	}
	return s.broken.head
}

// note remembers a fault of the folder.
func (s *Store) note(err *weft.Error, consequence string) { s.remember(s.finding(err, consequence)) }

func (s *Store) remember(f Finding) {
	s.broken.mu.Lock()
	known := slices.ContainsFunc(s.broken.found, func(o Finding) bool { return o.File == f.File && o.Offset == f.Offset })
	if !known && len(s.broken.found) < maxFindings {
		s.broken.found = append(s.broken.found, f)
	}
	s.broken.mu.Unlock()
	if !known {
		s.cfg.Env.Log.Error("the data is damaged", "product", s.cfg.Product.String(), "file", f.File, "offset", f.Offset, "fault", f.Message, "consequence", f.Consequence)
	}
}

func (s *Store) finding(err *weft.Error, consequence string) Finding {
	f := Finding{File: err.Subject, Message: err.Message, Consequence: consequence}
	if rel, e := filepath.Rel(s.cfg.Dir, err.Subject); e == nil {
		f.File = rel
	}
	var at place
	if errors.As(err, &at) {
		f.Offset = int64(at)
	}
	if f.Message == "" {
		f.Message = err.Error()
	}
	return f
}

// journalDamage takes a fault of the journal: the store reads on and takes
// nothing new. Errors of other kinds are given back: they end the opening.
func (s *Store) journalDamage(err error, consequence string) error {
	e := knownError(err)
	if e.Kind != weft.KindCorrupt {
		return err
	}
	s.note(e, consequence)
	told := *e
	told.Message += ", so that " + consequence + ", and nothing can be committed"
	s.broken.mu.Lock()
	defer s.broken.mu.Unlock()
	if s.broken.journal == nil {
		s.broken.journal = &told
	}
	return nil
}

// loseHead takes a fault behind which there are commits that were acknowledged:
// states up to the head that is left can be read by their number, the newest one
// is not known.
func (s *Store) loseHead(err error) error {
	after := s.head.Seq
	consequence := "no commit after " + after.String() + " can be read"
	if after == 0 {
		consequence = "no commit can be read"
	}
	if err := s.journalDamage(err, consequence); err != nil {
		return err
	}
	s.broken.mu.Lock()
	defer s.broken.mu.Unlock()
	if s.broken.head == nil {
		told := *knownError(err)
		told.Message += ", so that " + consequence
		hint := "restore the product from a backup"
		if after > 0 {
			hint += "; until then ask with --at " + after.String() + " or an older commit"
		}
		s.broken.head = told.WithHint("%s. `weft verify` lists all faults of the folder", hint)
	}
	return nil
}

// fileDamage takes what the guard found.
func (s *Store) fileDamage(f *dataFile, err *weft.Error) {
	s.note(err, s.needs(f))
}

// needs says what cannot be read without a file.
func (s *Store) needs(f *dataFile) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range s.tableNames() {
		for i, sp := range s.tables[name].spans {
			if !slices.Contains(sp.files(), f) {
				continue
			}
			text := "table " + name + " cannot be read from " + max(sp.from, f.First).String() + " on"
			if i+1 < len(s.tables[name].spans) {
				text = "table " + name + " cannot be read from " + max(sp.from, f.First).String() + " to before " + s.tables[name].spans[i+1].from.String()
			}
			return text
		}
	}
	return "commit " + f.First.String() + " cannot be followed; every table is readable"
}
