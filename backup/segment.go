package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"slices"

	"weft"
	"weft/sign"
	"weft/store"
)

// segment copies what the folder does not have of a segment. Segments only ever
// grow, so what an earlier state says of one still holds; what is behind it was
// written by a backup that broke off, and is written again.
func (s *saver) segment(ctx context.Context, m *store.Image, g store.ImageSegment) (Segment, error) {
	out := Segment{ID: g.ID, Incarnation: g.Incarnation, Number: g.Number}
	s.state.Bytes += g.Length
	known := s.longest(out)
	there, err := s.length(out.path())
	if err != nil {
		return out, err
	}
	if there < known.end() {
		known.Pieces = nil // somebody has cut it: all of it is written again
	}
	for _, p := range known.Pieces {
		if p.End > g.Length {
			break
		}
		out.Pieces = append(out.Pieces, p)
	}
	from := out.end()
	if from == g.Length {
		s.progress(m)
		return out, nil
	}
	piece, err := s.rest(ctx, out.path(), from, known.end(), there, g)
	if err != nil {
		return out, err
	}
	out.Pieces = append(out.Pieces, Piece{g.Length, piece})
	if len(out.Pieces) > maxPieces {
		if out.Pieces, err = s.joined(ctx, out.path(), out.Pieces); err != nil {
			return out, err
		}
	}
	s.progress(m)
	return out, nil
}

// rest sees to it that the folder has the segment's bytes from..Length. Up to
// named they are of states, up to there of anything.
func (s *saver) rest(ctx context.Context, rel string, from, named, there int64, g store.ImageSegment) (weft.Hash, error) {
	if named > from {
		// The folder has more of it than is to be saved: a later state of the same
		// chain, before a restore went back.
		piece, same, err := s.samePart(ctx, rel, from, g.Length, g)
		if err == nil && !same {
			err = fork(s.path(rel), "the segment of the journal that the backup has is of another chain")
		}
		return piece, err
	}
	if len(s.unread) > 0 && there > from {
		// It may be of a state that cannot be read. The same is written over it, or nothing.
		_, same, err := s.samePart(ctx, rel, from, min(there, g.Length), g)
		if err == nil && !same {
			err = weft.Errorf(weft.KindConflict, "back up to", s.path(rel), "the folder has something else than the node, which may be of a state that cannot be read: %s", s.unread[0].ID).
				WithHint("let go of that state by removing its file %s, or back up to another folder", stateFile(s.unread[0].ID))
		}
		if err != nil {
			return weft.Hash{}, err
		}
	}
	var piece weft.Hash
	err := s.roomFor(func() (err error) {
		piece, err = appendPiece(ctx, s.folder, rel, from, g.Length-from, g.Reader(from))
		return err
	})
	if err == nil {
		s.touch(rel)
		s.state.Copied += g.Length - from
	}
	return piece, err
}

// length is how long a file of the folder is; 0 where it is not there.
func (s *saver) length(rel string) (int64, error) {
	st, err := s.Lstat(rel)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, ioError("back up", s.path(rel), err)
	}
	return st.Size(), nil
}

// maxPieces is how many pieces a segment has before they are joined into one:
// a state is written with each backup, and the pieces of the active segment with it.
const maxPieces = 64

// longest is the most that any state says of a segment.
func (s *saver) longest(of Segment) Segment {
	best := of
	for _, b := range s.before {
		for _, p := range b.Products {
			for _, g := range p.Segments {
				if g.path() == of.path() && g.end() > best.end() {
					best = g
				}
			}
		}
	}
	return best
}

// samePart holds the folder's bytes from..to against the product's: they differ
// where two chains have one name, or a write was torn. The digest is the product's.
func (s *saver) samePart(ctx context.Context, rel string, from, to int64, g store.ImageSegment) (weft.Hash, bool, error) {
	h := sha256.New()
	if _, err := io.Copy(h, reading(ctx, io.LimitReader(g.Reader(from), to-from))); err != nil {
		return weft.Hash{}, false, ioError("back up", s.path(rel), err)
	}
	want := weft.Hash(h.Sum(nil))
	got, _, err := digestOf(ctx, s.opener(rel), from, to-from)
	return want, got == want, err
}

// joined reads a segment's pieces once more and makes one of them.
func (s *saver) joined(ctx context.Context, rel string, pieces []Piece) ([]Piece, error) {
	f, err := s.folder.open(rel)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	all, from := sha256.New(), int64(0)
	for _, p := range pieces {
		got, n, err := sign.DigestReader(tee{reading(ctx, io.NewSectionReader(f, from, p.End-from)), all})
		if err != nil {
			return nil, ioError("back up", s.path(rel), err)
		}
		if got != p.Hash || n != p.End-from {
			return nil, corrupt(s.path(rel), "the bytes from %d to %d are not what was written", from, p.End)
		}
		from = p.End
	}
	return []Piece{{from, weft.Hash(all.Sum(nil))}}, nil
}

// sameChain refuses to save a chain beside another of the same name: two nodes
// then run from copies of one data folder, or one runs from an older copy.
func (s *saver) sameChain(m *store.Image) error {
	for _, b := range slices.Backward(s.before) {
		for _, p := range b.Products {
			if p.Point.ID != m.Point.ID || p.Point.Seq == 0 {
				continue
			}
			if p.Point.Incarnation != m.Incarnation() {
				return nil // a restore lies between, and says from where it went on
			}
			what := p.Point.Product.String() + p.Point.Seq.String()
			if p.Point.Seq > m.Point.Seq {
				return fork(s.dir, "state "+b.ID+" has "+what+", the node only "+m.Point.Seq.String()+", and nothing says that it was restored")
			}
			if weft.KindOf(m.Same(p.Point)) == weft.KindConflict {
				return fork(s.dir, "state "+b.ID+" has another "+what)
			}
			return nil
		}
	}
	return nil
}

func fork(subject, why string) error {
	return weft.Errorf(weft.KindConflict, "back up to", subject, "%s: a fork", why).
		WithHint("two nodes run from copies of one data folder: find out which should go on and make the other a clone; back this one up to another folder")
}
