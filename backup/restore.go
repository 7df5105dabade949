package backup

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"weft"
	"weft/records"
	"weft/run"
	"weft/store"
)

// RestoreOptions say what is restored, and as what.
type RestoreOptions struct {
	State    string         // id of the state; "" is the newest
	Clone    bool           // as another node, with products of new ids
	Progress func(Progress) // may be nil
	Env      run.Env
}

// Restored says what was restored.
type Restored struct {
	State    *State
	Products []weft.Point // the heads afterwards: the first commits of new incarnations
	Keys     bool         // the node's secrets too
}

// Restore makes the data folder to from a state of the backup folder dir. There
// must be nothing in to. Each product becomes a new incarnation, whose first
// commit says from which head it goes on, so that whoever knew later commits
// notices. The folder is checked as a whole before it is given its name: one
// that is there is good.
func Restore(ctx context.Context, dir, to string, opt RestoreOptions) (*Restored, error) {
	const op = "restore to"
	from, err := openBackup(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = from.Close() }()
	st, err := from.find(opt.State)
	if err != nil {
		return nil, err
	}
	if real, err := filepath.EvalSymlinks(to); err == nil {
		to = real // the folder that a link leads to is made, not one in the link's place
	}
	es, err := os.ReadDir(to)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, ioError(op, to, err)
	}
	if len(es) > 0 {
		return nil, weft.Errorf(weft.KindConflict, op, to, "there is data in it").
			WithHint("move it away first, or restore to another folder with --to; a restore never writes over anything")
	}
	if err := sameDisk(to); err != nil {
		return nil, err
	}
	r := &restorer{from: from, state: st, opt: opt, ids: map[string]string{}}
	tmp := to + ".restoring"
	err = os.RemoveAll(tmp) // of a restore that broke off
	if err == nil {
		err = os.MkdirAll(tmp, 0o700)
	}
	if err == nil {
		r.folder, err = openFolder(tmp)
	}
	if err != nil {
		return nil, ioError(op, tmp, err)
	}
	out, err := r.all(ctx)
	_ = r.Close()
	if err == nil {
		err = settle(tmp, to)
	}
	if err != nil {
		_ = os.RemoveAll(tmp)
		return nil, ioError(op, to, err)
	}
	return out, nil
}

// sameDisk refuses a folder that a disk is mounted on: the finished one could not
// take its name.
func sameDisk(to string) error {
	var in, above unix.Stat_t
	if unix.Stat(to, &in) != nil || unix.Stat(filepath.Dir(to), &above) != nil || in.Dev == above.Dev {
		return nil // what cannot be looked at is told when it is made
	}
	return weft.Errorf(weft.KindConflict, "restore to", to, "another disk is mounted there, and a restore gives a finished folder its name").
		WithHint("restore to a folder on that disk, with --to %s, and set data in weft.yaml to it", filepath.Join(to, "weft"))
}

// settle gives a finished folder its name.
func settle(tmp, to string) error {
	if err := unix.Rename(tmp, to); err != nil { // os.Rename takes the place of no folder, not of an empty one either
		return &os.LinkError{Op: "rename", Old: tmp, New: to, Err: err}
	}
	parent, err := openFolder(filepath.Dir(to))
	if err != nil {
		return err
	}
	defer func() { _ = parent.Close() }()
	return parent.sync(".")
}

// restorer makes the folder.
type restorer struct {
	*folder
	from  *folder // the backup
	state *State
	opt   RestoreOptions
	ids   map[string]string // of the products: as they were, as they are
	last  map[string]uint32 // the latest incarnation of each that the backup knows
	done  int64
}

func (r *restorer) all(ctx context.Context) (*Restored, error) {
	if err := r.MkdirAll("products", 0o700); err != nil {
		return nil, ioError("restore", r.dir, err)
	}
	var err error
	if r.last, err = r.from.incarnations(); err != nil {
		return nil, err
	}
	out := &Restored{State: r.state}
	for _, p := range r.state.Products {
		head, err := r.product(ctx, p)
		if err != nil {
			return nil, err
		}
		out.Products = append(out.Products, head)
	}
	if err := r.books(ctx); err != nil {
		return nil, err
	}
	if !r.opt.Clone {
		for _, k := range r.state.Keys {
			if err := r.put(k.Blob, k.Name); err != nil {
				return nil, err
			}
			out.Keys = true
		}
	}
	return out, r.syncTree()
}

// product lays out one product and makes it a new incarnation.
func (r *restorer) product(ctx context.Context, p Product) (weft.Point, error) {
	id, clone := p.Point.ID, ""
	if r.opt.Clone {
		id = newID()
		clone = id
	}
	r.ids[p.Point.ID] = id
	in := filepath.Join("products", id)
	for _, f := range p.Files {
		if err := copyWhole(ctx, r.from.opener(filePath(p.Point.ID, f.Name)), r.folder, store.FilePath(in, f.Name), f); err != nil {
			return weft.Point{}, err
		}
		r.progress(p, f.Bytes)
	}
	var last Segment
	for _, g := range p.Segments {
		if err := r.segment(ctx, g, store.SegmentPath(in, g.Number)); err != nil {
			return weft.Point{}, err
		}
		r.progress(p, g.end())
		last = g
	}
	manifest, err := r.from.blob(p.Manifest)
	if err != nil {
		return weft.Point{}, err
	}
	if err := r.MkdirAll(in, 0o700); err != nil {
		return weft.Point{}, ioError("restore", r.path(in), err)
	}
	to := r.path(in)
	if err := store.Revive(to, clone, manifest, p.Point, last.Number, last.end(), r.last[p.Point.ID]); err != nil {
		return weft.Point{}, err
	}
	return r.begin(ctx, to, id, p)
}

// begin opens the product, makes the first commit of its incarnation, and holds
// all of it against its digests.
func (r *restorer) begin(ctx context.Context, dir, id string, p Product) (weft.Point, error) {
	s, err := store.Open(ctx, store.Config{Dir: dir, ID: id, Product: p.Point.Product, Env: r.opt.Env})
	if err != nil {
		return weft.Point{}, err
	}
	defer func() { _ = s.Close() }()
	if p.Point.Seq > 0 {
		last, _ := s.Last()
		if last.Seq != p.Point.Seq || last.Hash != p.Point.Hash {
			return weft.Point{}, corrupt(r.from.dir, "the journal of %s ends with %s %s, the state says %s %s", p.Point.Product, last.Seq, last.Hash.Short(), p.Point.Seq, p.Point.Hash.Short())
		}
		c := store.Candidate{Cause: weft.CauseRestore, Contract: last.Contract, Folder: last.Folder, Revision: last.Revision, Positions: last.Positions}
		if _, err := s.Append(ctx, c); err != nil {
			return weft.Point{}, err
		}
	}
	head := s.Head()
	if err := s.Close(); err != nil {
		return weft.Point{}, err
	}
	if faults := store.Verify(dir); len(faults) > 0 {
		return weft.Point{}, corrupt(r.from.dir, "%s of %s: %s", faults[0].File, p.Point.Product, faults[0].Message)
	}
	return head, nil
}

// segment writes a segment as far as the state has it.
func (r *restorer) segment(ctx context.Context, g Segment, to string) error {
	in, err := r.from.open(g.path())
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	from := int64(0)
	for _, piece := range g.Pieces {
		got, err := appendPiece(ctx, r.folder, to, from, piece.End-from, io.NewSectionReader(in, from, piece.End-from))
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return corrupt(in.Name(), "the file ends before byte %d", piece.End)
		}
		if err != nil {
			return err
		}
		if got != piece.Hash {
			return corrupt(in.Name(), "the bytes from %d to %d are not what was written", from, piece.End)
		}
		from = piece.End
	}
	return nil
}

// put writes a small file that only its owner may read.
func (r *restorer) put(b Blob, name string) error {
	text, err := r.from.blob(b)
	if err != nil {
		return err
	}
	return r.write(name, text)
}

// books puts the books back, with the products that were restored.
func (r *restorer) books(ctx context.Context) error {
	if err := r.put(r.state.Books, "books.db"); err != nil {
		return err
	}
	b, err := records.Open(ctx, r.path("books.db"))
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	if err := b.Restored(ctx, r.ids); err != nil {
		return err
	}
	if r.opt.Clone {
		if err := b.Cloned(ctx); err != nil {
			return err
		}
	}
	return b.Close()
}

func (r *restorer) progress(p Product, n int64) {
	r.done += n
	if r.opt.Progress != nil {
		r.opt.Progress(Progress{Product: p.Point.Product.String(), Bytes: r.state.Bytes, Copied: r.done})
	}
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand aborts the program instead
	return hex.EncodeToString(b[:])
}
