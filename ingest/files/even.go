package files

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
)

// even rewrites the group's files into the staging folder with one kind of line
// end, which the engine insists on; line numbers stay. False where the files had
// only one kind: then something else is wrong with them.
func (l *load) even(ctx context.Context, g *group) (*group, bool, error) {
	e := *g
	e.files, e.compression, e.csv.encoding = nil, "none", "utf-8"
	labels := maps.Clone(l.r.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	mixed := false
	for i, f := range g.files {
		l.parts++
		to := l.r.File(l.out.Table, fmt.Sprintf("even-%d", i), l.parts) + ".csv"
		kinds, err := l.evenFile(ctx, g.csv, f, to)
		if err != nil {
			return nil, false, fault(l.r, f, err)
		}
		mixed = mixed || kinds > 1
		labels[to] = f.label
		e.files = append(e.files, &file{path: to, label: f.label, size: f.size, format: f.format, compression: "none", table: f.table})
	}
	l.r.Labels = labels
	return &e, mixed, nil
}

// drop removes the rewritten files.
func (g *group) drop() {
	for _, f := range g.files {
		_ = os.Remove(f.path) // an orphan in the staging folder harms nobody
	}
}

// evenFile ends every line with a newline and counts the kinds of line ends that
// there were outside quotes.
func (l *load) evenFile(ctx context.Context, d dialect, f *file, to string) (kinds int, err error) {
	in, err := f.open()
	if err != nil {
		return 0, err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	w := bufio.NewWriterSize(out, 1<<20)
	kinds, err = evenLines(d, decoded(&ctxReader{ctx, in}, d.encoding), w)
	if err == nil {
		err = w.Flush()
	}
	return kinds, errors.Join(err, out.Close())
}

func evenLines(d dialect, r *bufio.Reader, w *bufio.Writer) (int, error) {
	inside := false
	var seen [3]bool // LF, CRLF, CR
	for {
		c, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			n := 0
			for _, s := range seen {
				if s {
					n++
				}
			}
			return n, nil
		}
		if err != nil {
			return 0, err
		}
		switch {
		case inside && d.escape != "" && d.escape != d.quote && c == d.escape[0]:
			if next, _ := r.Peek(1); len(next) == 1 && next[0] != '\n' && next[0] != '\r' {
				_ = w.WriteByte(c) // an error of w comes back from Flush
				c, _ = r.ReadByte()
			}
		case d.quote != "" && c == d.quote[0]:
			inside = !inside // a doubled quote toggles twice
		case inside:
		case c == '\n':
			seen[0] = true
		case c == '\r':
			kind := 2
			if next, _ := r.Peek(1); len(next) == 1 && next[0] == '\n' {
				_, _ = r.ReadByte()
				kind = 1
			}
			c, seen[kind] = '\n', true
		}
		_ = w.WriteByte(c) // an error of w comes back from Flush
	}
}
