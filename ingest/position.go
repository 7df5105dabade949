package ingest

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"weft"
)

// FilePosition is what an input of files had been read to: one print a file, and
// how the files were read.
type FilePosition struct {
	Version int         `json:"v"`
	How     string      `json:"how"` // hash of the dialect and the wanted columns
	Files   []FilePrint `json:"files"`
}

// FilePrint tells whether a file is still the one that was read.
type FilePrint struct {
	Table string    `json:"table"`
	Path  string    `json:"path"`
	Size  int64     `json:"size"`
	Time  time.Time `json:"time"` // last change, as the file system has it
	Read  time.Time `json:"read"` // when it was read
	Hash  string    `json:"hash"` // XXH3-128 of all its bytes
}

// racy is how close to the reading a change may lie without showing in the time
// of the file: file systems keep as little as two seconds.
const racy = 2 * time.Second

// ParseFilePosition reads a recorded position; nil gives an empty one.
func ParseFilePosition(raw json.RawMessage, where string) (FilePosition, error) {
	p := FilePosition{Version: 1}
	if len(raw) == 0 {
		return p, nil
	}
	if err := json.Unmarshal(raw, &p); err != nil || p.Version != 1 {
		return p, weft.Errorf(weft.KindCorrupt, "read the position of the source", where, "it was not written by this kind of source").
			WithHint("if the input's server changed its type, apply the folder again to load from the start")
	}
	return p, nil
}

// JSON returns the position as it is recorded.
func (p FilePosition) JSON() json.RawMessage {
	slices.SortFunc(p.Files, func(a, b FilePrint) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Path, b.Path))
	})
	b, _ := json.Marshal(p) // numbers, strings and times always encode
	return b
}

// Find returns the print of a file that was read before.
func (p FilePosition) Find(table, path string) (FilePrint, bool) {
	for _, f := range p.Files {
		if f.Table == table && f.Path == path {
			return f, true
		}
	}
	return FilePrint{}, false
}

// Same reports whether a file of that size and time is surely the one of the
// print; when it is not, only the hash tells.
func (f FilePrint) Same(size int64, changed time.Time) bool {
	return f.Size == size && f.Time.Equal(changed) && f.Read.Sub(f.Time) > racy
}
