package backup

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"weft"
	"weft/peer"
	"weft/sign"
)

// State is one state of a node's data. Its cut names the commit of each product.
type State struct {
	ID       string    `json:"id"` // the time it was begun, and its file's name
	Time     time.Time `json:"time"`
	Node     string    `json:"node,omitempty"`
	Version  string    `json:"version,omitempty"` // of the program that wrote it
	Whole    bool      `json:"whole"`             // all products of the node
	Cut      string    `json:"cut"`               // token: ask the node or its restored copy with --at
	Products []Product `json:"products"`
	Books    Blob      `json:"books"`
	Keys     []Key     `json:"keys,omitempty"`
	Bytes    int64     `json:"bytes"`  // that a restore writes
	Copied   int64     `json:"copied"` // that were not in the folder before
}

// Product is one product's data at its commit.
type Product struct {
	Point    weft.Point   `json:"point"`
	Lineage  []weft.Point `json:"lineage,omitempty"` // heads at which earlier incarnations ended
	Manifest Blob         `json:"manifest"`
	Files    []weft.File  `json:"files,omitempty"`
	Segments []Segment    `json:"segments,omitempty"`
}

// Segment is one segment of the journal, up to the end of its last piece. Each
// backup that found more in it added a piece.
type Segment struct {
	ID          string  `json:"id"` // of the product whose chain it is of
	Incarnation uint32  `json:"incarnation"`
	Number      uint32  `json:"number"`
	Pieces      []Piece `json:"pieces"`
}

// Piece is the bytes from the end of the one before.
type Piece struct {
	End  int64     `json:"end"`
	Hash weft.Hash `json:"hash"`
}

// Blob is a small file, named by its content.
type Blob struct {
	Hash  weft.Hash `json:"hash"`
	Bytes int64     `json:"bytes"`
}

// Key is a file that only its owner may read: who has it is the node's
// administrator.
type Key struct {
	Name string `json:"name"` // in the data folder
	Blob
}

// bytes is what a restore writes of the product.
func (p Product) bytes() int64 {
	n := p.Manifest.Bytes
	for _, f := range p.Files {
		n += f.Bytes
	}
	for _, g := range p.Segments {
		n += g.end()
	}
	return n
}

func (s Segment) end() int64 {
	if len(s.Pieces) == 0 {
		return 0
	}
	return s.Pieces[len(s.Pieces)-1].End
}

// path is where the folder has the segment.
func (s Segment) path() string {
	return filepath.Join("products", s.ID, "journal", strconv.FormatUint(uint64(s.Incarnation), 10), strconv.FormatUint(uint64(s.Number), 10)+".weftj")
}

func filePath(id, name string) string { return filepath.Join("products", id, "files", name) }

func (b Blob) path() string { return filepath.Join("blobs", b.Hash.String()) }

// CutPoints is the state's cut.
func (s *State) CutPoints() weft.Cut {
	var c weft.Cut
	for _, p := range s.Products {
		if p.Point.Seq > 0 {
			c = append(c, p.Point)
		}
	}
	return c.Sorted()
}

const (
	magic         = "weft backup"
	formatVersion = 1
	maxState      = 256 << 20
	// maxIncarnation is more than anybody restores, and leaves room for the next.
	maxIncarnation = 1 << 30
)

// envelope is the form of backup.json and of a state's file.
type envelope struct {
	Magic   string          `json:"magic"`
	Version uint32          `json:"version"`
	Digest  weft.Hash       `json:"digest,omitzero"` // of the bytes of body
	Body    json.RawMessage `json:"body,omitempty"`
}

func (s *State) encode() ([]byte, error) {
	body, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(envelope{magic, formatVersion, sign.Digest(body), body})
	return append(b, '\n'), err
}

// decodeState reads a state's file.
func decodeState(path string, b []byte) (*State, error) {
	e, err := decodeEnvelope(path, b)
	if err != nil {
		return nil, err
	}
	// An envelope has one spelling: a reader of JSON forgives what a digest would not.
	again, err := json.Marshal(e)
	if err != nil || !bytes.Equal(append(again, '\n'), b) || sign.Digest(e.Body) != e.Digest {
		return nil, corrupt(path, "the digest of the state does not hold")
	}
	s := new(State)
	dec := json.NewDecoder(bytes.NewReader(e.Body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(s); err != nil {
		return nil, corrupt(path, "the state cannot be read: %v", err)
	}
	if err := s.check(); err != nil {
		return nil, corrupt(path, "%v", err)
	}
	return s, nil
}

func decodeEnvelope(path string, b []byte) (envelope, error) {
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil || e.Magic != magic {
		return e, corrupt(path, "the file is no backup's")
	}
	if e.Version != formatVersion {
		return e, weft.Errorf(weft.KindInvalid, "read", path, "the backup has format version %d, this program knows %d", e.Version, formatVersion).
			WithHint("another release of weft has written it; run that one")
	}
	return e, nil
}

// check refuses names that would lead out of a folder: a backup may come from
// anywhere.
func (s *State) check() error {
	for _, p := range s.Products {
		if !plainName(p.Point.ID) || p.Point.Product.IsZero() {
			return errors.New("a product has no valid id")
		}
		for _, x := range append([]weft.Point{p.Point}, p.Lineage...) {
			if x.Incarnation > maxIncarnation {
				return errors.New("a product has been restored too often")
			}
		}
		for _, f := range p.Files {
			if !plainName(f.Name) || f.Bytes < 0 {
				return errors.New("a data file has no valid name")
			}
		}
		for i, g := range p.Segments {
			if !plainName(g.ID) || g.Incarnation > maxIncarnation || g.Number == 0 || i > 0 && g.Number <= p.Segments[i-1].Number {
				return errors.New("the journal's segments are out of order")
			}
			end := int64(0)
			for _, piece := range g.Pieces {
				if piece.End <= end {
					return errors.New("the pieces of a segment are out of order")
				}
				end = piece.End
			}
		}
	}
	for _, k := range s.Keys {
		if !isKey(k.Name) {
			return errors.New("a key has an unknown name")
		}
	}
	return nil
}

// plainName reports whether a name is one of a file in its folder.
func plainName(n string) bool {
	if n == "" || len(n) > 200 || n[0] == '.' {
		return false
	}
	return strings.Trim(n, "abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

// keyFiles are the files of a data folder that are secret.
var keyFiles = []string{"token"}

// meshFolder is where a data folder has its part in a mesh.
const meshFolder = "mesh/"

// isKey reports whether a secret of that name is put back.
func isKey(name string) bool {
	in, ok := strings.CutPrefix(name, meshFolder)
	return ok && peer.IsBackupName(in) || slices.Contains(keyFiles, name)
}

func corrupt(path, format string, args ...any) *weft.Error {
	return weft.Errorf(weft.KindCorrupt, "read the backup", path, format, args...).
		WithHint("restore another state, with --at; `weft verify` lists all faults of the backup")
}
