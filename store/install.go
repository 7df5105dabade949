package store

import (
	"slices"

	"weft"
)

// installFold writes the manifest of a fold and then puts its files in the
// place of the levels they were made from. What was committed meanwhile stays
// behind them.
func (s *Store) installFold(p *foldPlan) error {
	m, err := p.manifest(&s.man)
	if err != nil {
		return err
	}
	b, err := encodeManifest(m)
	if err != nil {
		return err
	}
	// Once the manifest may be on the disk its files stay there, whatever comes, and
	// nobody can hold what it lets go of.
	p.kept = true
	if err := s.writeManifest(b); err != nil {
		return err
	}
	s.mu.Lock()
	before := s.allFiles()
	s.man = *m
	s.man.Tables = nil
	s.manifest, s.letting = b, 0
	for _, name := range p.order {
		ft, t := p.tables[name], s.tables[name]
		t.floor = ft.floor
		if len(t.spans) == len(ft.spans) { // else the table was replaced meanwhile
			t.rows += ft.wrong
		}
		t.spans = ft.install(t.spans, p.at.Seq)
	}
	now := s.allFiles()
	var dead []*dataFile
	for _, f := range append(before, p.made...) {
		if !f.dead && !slices.Contains(now, f) {
			if f.dead = true; f.refs == 0 {
				dead = append(dead, f)
			}
		}
	}
	s.mu.Unlock()
	s.removeFiles(dead)
	return s.journal.drop(p.dropSegment)
}

// manifest describes the store at the fold's commit.
func (p *foldPlan) manifest(old *manifest) (*manifest, error) {
	m := &manifest{
		ID: old.ID, Product: old.Product, Incarnation: old.Incarnation, Created: old.Created,
		Oldest: p.oldest, Checkpoint: p.at, Lineage: old.Lineage, History: p.history, Copy: old.Copy,
	}
	for _, name := range p.order {
		ft := p.tables[name]
		mt := manifestTable{Name: name, Hidden: ft.hidden, Rows: ft.rows, IDs: ft.ids}
		if ft.floor != nil {
			mt.Floor = &manifestRows{ft.floor.seq, ft.floor.rows}
		}
		for _, f := range ft.spans {
			if f.drop {
				continue
			}
			ms, err := newManifestSpan(f.span.from, f.editions, f.span.key, f.levels)
			if err != nil {
				return nil, err
			}
			ms.Uncounted = f.uncounted
			mt.Spans = append(mt.Spans, ms)
			if f.rebase != nil {
				if ms, err = newManifestSpan(p.at.Seq, f.editions[len(f.editions)-1:], f.span.key, []*dataFile{f.rebase}); err != nil {
					return nil, err
				}
				ms.Uncounted = f.uncounted
				mt.Spans = append(mt.Spans, ms)
			}
		}
		m.Tables = append(m.Tables, mt)
	}
	return m, nil
}

// install returns a table's spans with the fold's files in them. The fold saw
// the first of the spans there are now, as they were at its commit.
func (ft *foldTable) install(now []*span, at weft.Seq) []*span {
	var out []*span
	for _, f := range ft.spans {
		sp := f.span
		rest := levelsAfter(sp.levels, at)
		// A new object: views hold the old one's levels.
		later := sp.editions[len(sp.editions)-f.later(sp):] // that came after the fold's commit
		kept := &span{from: sp.from, editions: append(slices.Clone(f.editions), later...), key: sp.key, uncounted: f.uncounted}
		for _, d := range f.levels {
			kept.addFile(d)
		}
		if !f.drop {
			out = append(out, kept)
		}
		if f.rebase != nil {
			now := f.editions[len(f.editions)-1]
			now.from = at
			kept = &span{from: at, editions: append([]edition{now}, later...), key: sp.key, uncounted: f.uncounted}
			kept.addFile(f.rebase)
			out = append(out, kept)
		}
		kept.levels = append(kept.levels, rest...)
	}
	return append(out, now[len(ft.spans):]...)
}

// later is how many editions a span got after the fold had looked at it.
func (f *spanFold) later(sp *span) int {
	last := f.editions[len(f.editions)-1].from
	n := 0
	for n < len(sp.editions) && sp.editions[len(sp.editions)-1-n].from > last {
		n++
	}
	return n
}

// levelsAfter is what levels hold of the commits after at. The fold has closed
// the tail there, so that a level is wholly before or after.
func levelsAfter(levels []*level, at weft.Seq) []*level {
	i := 0
	for i < len(levels) && levels[i].first() <= at {
		i++
	}
	return slices.Clone(levels[i:])
}
