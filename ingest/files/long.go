package files

import (
	"bufio"
	"context"
	"errors"
	"io"
)

// longRecords reports whether a file of the group has a record that is longer
// than the engine's buffers usually are.
func (g *group) longRecords(ctx context.Context) (bool, error) {
	for _, f := range g.files {
		if f.size <= maxLine && g.compression == "none" {
			continue
		}
		long, err := f.longRecord(ctx, g.csv)
		if err != nil || long {
			return long, err
		}
	}
	return false, nil
}

func (f *file) longRecord(ctx context.Context, d dialect) (bool, error) {
	in, err := f.open()
	if err != nil {
		return false, err
	}
	defer in.Close()
	return longRecord(d, bufio.NewReaderSize(&ctxReader{ctx, in}, 1<<20))
}

// longRecord looks for a record of more than maxLine bytes.
func longRecord(d dialect, r *bufio.Reader) (bool, error) {
	inside, n := false, 0
	for {
		c, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		switch {
		case inside && d.escape != "" && d.escape != d.quote && c == d.escape[0]:
			_, _ = r.Discard(1) // an end of the file shows with the next byte
		case d.quote != "" && c == d.quote[0]:
			inside = !inside // a doubled quote toggles twice
		case !inside && (c == '\n' || c == '\r'):
			n = 0
			continue
		}
		if n++; n > maxLine {
			return true, nil
		}
	}
}
