package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
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
	to := s.path(out.path())
	if st, err := os.Stat(to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return out, ioError("back up", to, err)
	} else if err != nil || st.Size() < known.end() {
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
	var piece weft.Hash
	var err error
	if known.end() > from {
		// The folder has more of it than is to be saved: a later state of the same
		// chain, before a restore went back.
		if piece, err = s.samePart(ctx, to, from, g); err != nil {
			return out, err
		}
	} else {
		if piece, err = appendPiece(ctx, to, from, g.Length-from, g.Reader(from)); err != nil {
			return out, err
		}
		s.touch(to)
		s.state.Copied += g.Length - from
	}
	out.Pieces = append(out.Pieces, Piece{g.Length, piece})
	if len(out.Pieces) > maxPieces {
		if out.Pieces, err = s.joined(ctx, to, out.Pieces); err != nil {
			return out, err
		}
	}
	s.progress(m)
	return out, nil
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

// samePart holds the folder's bytes from..Length against the product's: they
// differ only where two chains have one name.
func (s *saver) samePart(ctx context.Context, to string, from int64, g store.ImageSegment) (weft.Hash, error) {
	h := sha256.New()
	if _, err := io.Copy(h, reading(ctx, g.Reader(from))); err != nil {
		return weft.Hash{}, ioError("back up", to, err)
	}
	want := weft.Hash(h.Sum(nil))
	got, _, err := digestOf(ctx, to, from, g.Length-from)
	if err != nil {
		return want, err
	}
	if got != want {
		return want, fork(to, "the segment of the journal that the backup has is of another chain")
	}
	return want, nil
}

// joined reads a segment's pieces once more and makes one of them.
func (s *saver) joined(ctx context.Context, to string, pieces []Piece) ([]Piece, error) {
	f, err := os.Open(to)
	if err != nil {
		return nil, ioError("back up", to, err)
	}
	defer func() { _ = f.Close() }()
	all, from := sha256.New(), int64(0)
	for _, p := range pieces {
		got, n, err := sign.DigestReader(tee{reading(ctx, io.NewSectionReader(f, from, p.End-from)), all})
		if err != nil {
			return nil, ioError("back up", to, err)
		}
		if got != p.Hash || n != p.End-from {
			return nil, corrupt(to, "the bytes from %d to %d are not what was written", from, p.End)
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
