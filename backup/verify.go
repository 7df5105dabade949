package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"weft"
	"weft/sign"
	"weft/store"
)

// maxFindings bounds what Verify reports of one folder.
const maxFindings = 1000

// Report is what the check of a backup folder gave.
type Report struct {
	store.Report
	States   int
	Products int // of all states, each once
}

// Verify checks a whole backup folder: that every state can be read and every
// file that one names is what was written, and that no two states tell of two
// chains under one name. It changes nothing.
func Verify(ctx context.Context, dir string) (*Report, error) {
	f, err := openFolder(dir)
	if err != nil {
		return nil, ioError("verify", dir, err)
	}
	defer func() { _ = f.Close() }()
	v := &verifier{ctx: ctx, folder: f, seen: map[string]bool{}, chains: map[chainAt]chainSeen{}}
	if err := f.checkHead(); err != nil {
		v.add("backup.json", 0, messageOf(err), "the folder may not be taken for a backup; the next weft backup writes the file anew where a state can be read")
	}
	ids, err := f.ids()
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		v.add("states", 0, "there is no state", "nothing can be restored: no backup has ended yet")
	}
	for _, id := range ids {
		s, err := f.state(id)
		switch {
		case err == nil:
			v.state(s)
		case !errors.Is(err, fs.ErrNotExist): // a backup that runs has let go of it
			v.add(stateFile(id), 0, messageOf(err), "this state cannot be restored, and weft backup lets go of no other while it is there")
		}
		if err := ctx.Err(); err != nil {
			return nil, &weft.Error{Op: "verify", Subject: dir, Kind: weft.KindCancelled, Cause: err}
		}
	}
	return &v.report, nil
}

// messageOf is what an error says without what it was about.
func messageOf(err error) string {
	var e *weft.Error
	if errors.As(err, &e) && e.Message != "" {
		return e.Message
	}
	return err.Error()
}

type verifier struct {
	*folder
	ctx    context.Context
	report Report
	seen   map[string]bool // files that were looked at, and up to where
	fresh  []string        // what is seen since the present state
	chains map[chainAt]chainSeen
}

// chainAt is a place in a chain, where there can be one commit only.
type chainAt struct {
	id  string
	inc uint32
	seq weft.Seq
}

type chainSeen struct {
	hash  weft.Hash
	state string
}

func (v *verifier) add(file string, at int64, message, consequence string) {
	if len(v.report.Findings) < maxFindings {
		v.report.Findings = append(v.report.Findings, store.Finding{File: file, Offset: at, Message: message, Consequence: consequence})
	}
}

// state looks at what a state names. A backup that runs may let go of the state,
// and then of its files: what was not found is no fault then, but for the states
// that name it too.
func (v *verifier) state(s *State) {
	before := v.report
	v.fresh = nil
	v.needs(s)
	if len(v.report.Findings) > len(before.Findings) && !v.has(stateFile(s.ID)) {
		v.report = before
		for _, key := range v.fresh {
			delete(v.seen, key)
		}
	}
}

func (v *verifier) needs(s *State) {
	v.report.States++
	lost := func(p Product) string {
		return fmt.Sprintf("%s cannot be restored from state %s, nor from others that need the file; where it is removed, the next backup copies it again if the node still has it", p.Point.Product, s.ID)
	}
	for _, p := range s.Products {
		if v.once("product " + p.Point.ID) {
			v.report.Products++
		}
		v.chain(s, p)
		v.blob(p.Manifest, lost(p))
		for _, f := range p.Files {
			v.file(filePath(p.Point.ID, f.Name), f, lost(p))
		}
		for _, g := range p.Segments {
			v.segment(g, lost(p))
		}
	}
	v.blob(s.Books, "state "+s.ID+" cannot be restored")
	for _, k := range s.Keys {
		v.blob(k.Blob, "state "+s.ID+" cannot be restored with its keys")
	}
}

// chain holds what a state says of a product's commits against the others.
func (v *verifier) chain(s *State, p Product) {
	for _, x := range append([]weft.Point{p.Point}, p.Lineage...) {
		if x.Seq == 0 {
			continue
		}
		at := chainAt{x.ID, x.Incarnation, x.Seq}
		was, ok := v.chains[at]
		if !ok {
			v.chains[at] = chainSeen{x.Hash, s.ID}
			continue
		}
		if was.hash != x.Hash {
			v.add(stateFile(s.ID), 0,
				fmt.Sprintf("there are two commits %s%s of incarnation %d: %s here, %s in state %s: a fork", x.Product, x.Seq, x.Incarnation, x.Hash.Short(), was.hash.Short(), was.state),
				"two nodes ran from copies of one data folder; each state is whole, and they do not go together")
		}
	}
}

func (v *verifier) once(key string) bool {
	if v.seen[key] {
		return false
	}
	v.seen[key] = true
	v.fresh = append(v.fresh, key)
	return true
}

func (v *verifier) blob(b Blob, consequence string) {
	v.file(b.path(), weft.File{Bytes: b.Bytes, Hash: b.Hash}, consequence)
}

func (v *verifier) file(rel string, f weft.File, consequence string) {
	if !v.once(rel + f.Hash.String()) {
		return
	}
	got, n, err := digestOf(v.ctx, v.opener(rel), 0, -1)
	v.report.Files++
	v.report.Bytes += n
	switch {
	case errors.Is(err, fs.ErrNotExist):
		v.add(rel, 0, "the file is missing", consequence)
	case err != nil:
		v.add(rel, 0, messageOf(err), consequence)
	case n != f.Bytes:
		v.add(rel, min(n, f.Bytes), fmt.Sprintf("the file does not have the %d bytes that were written", f.Bytes), consequence)
	case got != f.Hash:
		v.add(rel, 0, "the digest of the file does not hold", consequence)
	}
}

func (v *verifier) segment(g Segment, consequence string) {
	from := int64(0)
	for _, p := range g.Pieces {
		if v.once(fmt.Sprintf("%s %d %d %s", g.path(), from, p.End, p.Hash)) {
			got, n, err := digestOf(v.ctx, v.opener(g.path()), from, p.End-from)
			v.report.Bytes += n
			if from == 0 {
				v.report.Files++
			}
			switch {
			case errors.Is(err, fs.ErrNotExist):
				v.add(g.path(), 0, "the file is missing", consequence)
				return
			case err != nil:
				v.add(g.path(), from, messageOf(err), consequence)
				return
			case n != p.End-from:
				v.add(g.path(), from+n, fmt.Sprintf("the file ends before byte %d", p.End), consequence)
				return
			case got != p.Hash:
				v.add(g.path(), from, fmt.Sprintf("the bytes up to %d are not what was written", p.End), consequence)
			}
		}
		from = p.End
	}
}

// blob gives a small file, held against its digest.
func (f *folder) blob(b Blob) ([]byte, error) {
	text, err := f.read(b.path(), b.Bytes)
	if err != nil {
		return nil, err
	}
	if int64(len(text)) != b.Bytes || sign.Digest(text) != b.Hash {
		return nil, corrupt(f.path(b.path()), "the digest of the file does not hold")
	}
	return text, nil
}
