package replicate

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"weft"
)

// record is what a copy's folder says of it, in the file replica.json: what a restart
// has to know.
type record struct {
	Magic   string    `json:"magic"`
	Version int       `json:"version"`
	Product weft.Name `json:"product"`
	Added   time.Time `json:"added"`
	// Folder is the number of the store's folder, 0 while there is none.
	Folder  int      `json:"folder"`
	Last    int      `json:"last"` // the highest number that was given
	ID      string   `json:"id,omitempty"`
	Tables  []string `json:"tables,omitempty"`
	Seconds int64    `json:"seconds"` // for which it may be used while the origin is away, as the origin said last
	// Current is when it was last known to be what the origin has.
	Current time.Time `json:"current,omitzero"`
	State   State     `json:"state"`
	// Needed says that it is there for who reads it all the time, and goes with them.
	Needed bool   `json:"needed,omitempty"`
	Reason string `json:"reason,omitempty"`
	Todo   string `json:"todo,omitempty"`
	// Ended is when it began not to be used; zero while it may be.
	Ended time.Time `json:"ended,omitzero"`
}

const (
	recordMagic   = "weft replica"
	recordVersion = 1
	recordFile    = "replica.json"
	maxRecord     = 4 << 20
)

// readRecord reads a copy's record. Its folder has the product's name.
func readRecord(dir string) (*record, error) {
	const op = "read the copy"
	path := filepath.Join(dir, recordFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, weft.Errorf(weft.KindNotFound, op, path, "the file is missing")
	}
	if err != nil {
		return nil, weft.Errorf(weft.KindUnavailable, op, path, "%w", err)
	}
	defer func() { _ = f.Close() }()
	b := make([]byte, maxRecord+1)
	n, err := readFull(f, b)
	if err != nil {
		return nil, weft.Errorf(weft.KindUnavailable, op, path, "%w", err)
	}
	r, err := parseRecord(b[:n])
	if err != nil || r.Product.String() != filepath.Base(dir) {
		return nil, weft.Errorf(weft.KindCorrupt, op, path, "it cannot be read as what a copy says of itself").
			WithHint("remove the folder while the node is stopped, and add the copy again")
	}
	return r, nil
}

func parseRecord(b []byte) (*record, error) {
	if len(b) > maxRecord {
		return nil, errMalformed
	}
	d := json.NewDecoder(bytes.NewReader(b))
	r := new(record)
	if err := d.Decode(r); err != nil {
		return nil, err
	}
	if r.Magic != recordMagic || r.Version != recordVersion || r.Product.IsZero() || r.Folder < 0 || r.Last < r.Folder || r.Seconds < 0 {
		return nil, errMalformed
	}
	return r, nil
}

// write replaces the record, durably.
func (r *record) write(dir string) error {
	b, err := json.Marshal(r)
	if err == nil {
		err = writeWhole(filepath.Join(dir, recordFile), append(b, '\n'))
	}
	if err != nil {
		return weft.Errorf(weft.KindUnavailable, "write down how the copy stands", r.Product.String(), "%w", err)
	}
	return nil
}

// writeWhole replaces a file so that a crash leaves the old content or the new one.
func writeWhole(path string, b []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	return err
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
