package store

import (
	"slices"

	"weft"
)

// planRetention decides what a fold's manifest lets go of: spans that no kept
// cut is read from, files that only followers of old commits need, and journal
// segments whose commits are older than all that. The oldest cut moves on only
// where that frees something.
func (s *Store) planRetention(p *foldPlan) error {
	p.history = s.planHistory(p)
	byTime, err := s.tooOld()
	if err != nil {
		return err
	}
	s.mu.Lock()
	held := s.heldFrom(p.at.Seq)
	s.mu.Unlock()
	target := max(p.oldest, min(byTime, held))
	oldest := p.oldest
	if p.frees(s.journal, target) {
		oldest = target
	}
	for p.superseded(s.journal, oldest) > s.cfg.KeepBytes {
		next := p.nextFree(s.journal, oldest)
		if next == 0 || next > held {
			break
		}
		oldest = next
	}
	p.oldest = s.letGo(oldest)
	oldest = p.oldest
	for _, t := range p.tables {
		for i, f := range t.spans {
			end := f.endsAt(t, i)
			f.drop = end != 0 && end <= oldest
		}
	}
	p.history = slices.DeleteFunc(p.history, func(f *dataFile) bool { return f.First <= oldest })
	return s.planSegments(p)
}

// tooOld is the last commit that has been kept long enough; 0 where there is none,
// or where damage to the journal hides which it is: then nothing goes by its age.
func (s *Store) tooOld() (weft.Seq, error) {
	seq, err := s.journal.seqAt(s.cfg.Env.Clock.Now().Add(-s.cfg.KeepFor))
	if weft.KindOf(err) == weft.KindCorrupt { // it was told when it was found
		return 0, nil
	}
	return seq, err
}

// planHistory lists the files of bulk commits that no span has any more.
func (s *Store) planHistory(p *foldPlan) []*dataFile {
	s.mu.Lock()
	history := slices.Clone(s.man.History)
	s.mu.Unlock()
	for _, f := range p.spans {
		for _, l := range f.view.levels {
			if l.file != nil && l.file.Form != formChange && !slices.Contains(f.levels, l.file) {
				history = append(history, l.file)
			}
		}
	}
	return history
}

// endsAt is the Seq from which the next span serves, 0 for the last one. A span
// that is rebased stays until the next fold.
func (f *spanFold) endsAt(t *foldTable, i int) weft.Seq {
	if i+1 < len(t.spans) {
		return t.spans[i+1].span.from
	}
	return 0
}

// frees reports whether something could go if target were the oldest cut.
func (p *foldPlan) frees(j *journal, target weft.Seq) bool {
	next := p.nextFree(j, p.oldest)
	return next != 0 && next <= target
}

// nextFree is the least Seq above oldest that frees something when the oldest
// cut is there; 0 where nothing can go.
func (p *foldPlan) nextFree(j *journal, oldest weft.Seq) weft.Seq {
	var next weft.Seq
	see := func(seq weft.Seq) {
		if seq > oldest && seq <= p.at.Seq && (next == 0 || seq < next) {
			next = seq
		}
	}
	for _, t := range p.tables {
		for i, f := range t.spans {
			see(f.endsAt(t, i))
		}
	}
	for _, f := range p.history {
		see(f.First)
	}
	for _, first := range p.segmentStarts(j) {
		see(first)
	}
	return next
}

// segmentStarts lists the first commits of the segments that could become the
// journal's first.
func (p *foldPlan) segmentStarts(j *journal) []weft.Seq {
	segs := j.acquire()
	defer j.release(segs...)
	var out []weft.Seq
	for _, g := range segs[1:] {
		if g.info.Segment <= p.at.Segment {
			out = append(out, g.info.First)
		}
	}
	return out
}

// superseded is the size of what is kept for cuts and followers before the
// head, were oldest the oldest cut.
func (p *foldPlan) superseded(j *journal, oldest weft.Seq) int64 {
	var n int64
	for _, t := range p.tables {
		for i, f := range t.spans {
			if end := f.endsAt(t, i); end > oldest {
				for _, d := range f.levels {
					n += d.Bytes
				}
			}
		}
	}
	for _, f := range p.history {
		if f.First > oldest {
			n += f.Bytes
		}
	}
	segs := j.acquire()
	defer j.release(segs...)
	for i, g := range segs[:len(segs)-1] {
		if g.info.Segment < p.at.Segment && segs[i+1].info.First > oldest {
			n += g.end
		}
	}
	return n
}

// planSegments decides which segments go: all before the one that holds the
// oldest commit. What they said of tables that did not change since is kept; where
// damage hides that, the segments stay.
func (s *Store) planSegments(p *foldPlan) error {
	segs := s.journal.acquire()
	defer s.journal.release(segs...)
	keep := segs[0]
	for _, g := range segs {
		if g.info.First <= p.oldest && g.info.Segment <= p.at.Segment {
			keep = g
		}
	}
	p.dropSegment = keep.info.Segment
	if keep == segs[0] {
		return nil
	}
	floors := map[*foldTable]*rowsAt{}
	for _, t := range p.tables {
		n, ok, err := s.journal.rows(segs, t.name, keep.info.First-1)
		if weft.KindOf(err) == weft.KindCorrupt {
			p.dropSegment = segs[0].info.Segment
			return nil
		}
		if err != nil {
			return err
		}
		if ok {
			floors[t] = &rowsAt{keep.info.First - 1, n}
		}
	}
	for t, floor := range floors {
		t.floor = floor
	}
	return nil
}

// retentionDue reports whether a base, a file or a segment has been kept long
// enough.
func (s *Store) retentionDue() (bool, error) {
	target, err := s.tooOld()
	if err != nil || target == 0 {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &foldPlan{at: s.man.Checkpoint, tables: map[string]*foldTable{}, history: s.man.History}
	for _, t := range s.tables {
		ft := &foldTable{}
		for _, sp := range t.spans {
			ft.spans = append(ft.spans, &spanFold{span: sp})
		}
		p.tables[t.name] = ft
	}
	p.at.Seq, p.oldest = s.head.Seq, s.man.Oldest
	return p.frees(s.journal, s.heldFrom(target)), nil
}

// foldDue reports whether the tail has become large, or files have come to
// slow down reads; the lock must be held.
func (s *Store) foldDue() bool {
	for _, t := range s.tables {
		for _, sp := range t.spans {
			if sp.slow() {
				return true
			}
		}
	}
	return s.unfolded(1)
}

// slow reports whether every read has to join with a file of changes that has no
// keys, or to open many small files.
func (s *span) slow() bool {
	changes := false
	views := make([]levelView, 0, len(s.levels))
	for _, l := range s.levels {
		f := l.file
		changes = changes || l.merges() != 0
		if f != nil && changes && (f.Form != formChange || f.keys == keysMissing) {
			return true
		}
		if f != nil {
			views = append(views, levelView{file: f})
		}
	}
	return !changes && len(views) > maxSmallFiles && joinedFrom(views) < len(views)
}

// tellDue wakes Run when a fold is due; the lock must be held.
func (s *Store) tellDue() {
	if s.foldDue() {
		select {
		case s.due <- struct{}{}:
		default:
		}
	}
}
