package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

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
	if err := known(dir); err != nil {
		return nil, err
	}
	v := &verifier{ctx: ctx, dir: dir, seen: map[string]bool{}, chains: map[chainAt]chainSeen{}}
	names, err := stateFiles(dir)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		s, err := readState(dir, n)
		var e *weft.Error
		if errors.As(err, &e) && e.Kind == weft.KindCorrupt {
			v.add(filepath.Join("states", n), 0, e.Message, "this state cannot be restored")
			continue
		}
		if err != nil {
			return nil, err
		}
		v.state(s)
		if err := ctx.Err(); err != nil {
			return nil, &weft.Error{Op: "verify", Subject: dir, Kind: weft.KindCancelled, Cause: err}
		}
	}
	return &v.report, nil
}

type verifier struct {
	ctx    context.Context
	dir    string
	report Report
	seen   map[string]bool // files that were looked at, and up to where
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

func (v *verifier) state(s *State) {
	v.report.States++
	lost := func(p Product) string {
		return fmt.Sprintf("%s cannot be restored from state %s, nor from others that need the file", p.Point.Product, s.ID)
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
			v.add(filepath.Join("states", s.ID+".json"), 0,
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
	return true
}

func (v *verifier) blob(b Blob, consequence string) {
	v.file(b.path(), weft.File{Bytes: b.Bytes, Hash: b.Hash}, consequence)
}

func (v *verifier) file(rel string, f weft.File, consequence string) {
	if !v.once(rel + f.Hash.String()) {
		return
	}
	got, n, err := digestOf(v.ctx, filepath.Join(v.dir, rel), 0, -1)
	v.report.Files++
	v.report.Bytes += n
	switch {
	case errors.Is(err, os.ErrNotExist):
		v.add(rel, 0, "the file is missing", consequence)
	case err != nil:
		v.add(rel, 0, err.Error(), consequence)
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
			got, n, err := digestOf(v.ctx, filepath.Join(v.dir, g.path()), from, p.End-from)
			v.report.Bytes += n
			if from == 0 {
				v.report.Files++
			}
			switch {
			case errors.Is(err, os.ErrNotExist):
				v.add(g.path(), 0, "the file is missing", consequence)
				return
			case err != nil:
				v.add(g.path(), from, err.Error(), consequence)
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

// readBlob gives a small file, held against its digest.
func readBlob(dir string, b Blob) ([]byte, error) {
	path := filepath.Join(dir, b.path())
	f, err := os.Open(path)
	if err != nil {
		return nil, ioError("read the backup", path, err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, b.Bytes+1))
	if err != nil {
		return nil, ioError("read the backup", path, err)
	}
	if int64(len(text)) != b.Bytes || sign.Digest(text) != b.Hash {
		return nil, corrupt(path, "the digest of the file does not hold")
	}
	return text, nil
}
