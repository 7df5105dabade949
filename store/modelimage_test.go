package store

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
)

// upsert writes rows by key into the table wide as a load does: through the key
// index where that is of use, else by comparing; on the head that it was made from.
func (w *world) upsert() {
	w.t.Helper()
	ctx := context.Background()
	head := w.s.Head().Seq
	next := w.head().clone()
	t := next.wide
	if t == nil {
		return
	}
	if w.rnd.IntN(3) == 0 {
		w.lookup(t)
	}
	var in, want []wideRow
	var order []int64
	for range 1 + w.rnd.IntN(6) {
		k := w.rnd.Int64N(40)
		switch _, ok := t.rows[k]; {
		case ok && w.rnd.IntN(3) == 0: // as it is
		default:
			w.put(t, k)
		}
		in, order = append(in, wideRow{"", t.cells(k)}), append(order, k)
	}
	td := TableData{Table: "wide", Op: weft.OpMerge, Schema: t.schema(), Key: []string{"id"}}
	before := w.head().wide
	for i, k := range order {
		if slices.Contains(order[i+1:], k) {
			continue // a later row of the key counts
		}
		now := t.cells(k)
		if _, ok := before.rows[k]; !ok {
			want = append(want, wideRow{"i", now})
			td.Inserted++
		} else if was := before.cells(k); !slices.Equal(was, now) {
			want = append(want, wideRow{"b", was}, wideRow{"u", now})
			td.Updated++
		}
	}
	if len(want) > 0 {
		td.Batches = []arrow.RecordBatch{t.batch(want)}
	}
	got, ok, err := w.s.Upsert(ctx, w.e.session(w.t), Rows{Table: "wide", Schema: t.schema(), Batches: []arrow.RecordBatch{t.batch(in)}})
	w.say("upsert of %d rows: by the index %v, %v", len(in), ok, err)
	if err != nil {
		w.fatal("upsert: %v", err)
	}
	if ok {
		w.upserted++
		if g, x := changeText(got), changeText(td); g != x {
			w.fatal("the index makes of it\n%s\nwant\n%s", g, x)
		}
		td = got
	}
	if len(want) == 0 {
		return
	}
	if w.rnd.IntN(8) == 0 {
		wrong := head + 1
		if _, err := w.s.Append(ctx, Candidate{Tables: []TableData{td}, Expect: &wrong}); weft.KindOf(err) != weft.KindConflict && !w.fs.crashed && !w.fs.hit {
			w.fatal("a change that another head was expected for: %v", err)
		}
		if w.fs.crashed {
			return
		}
	}
	w.append(Candidate{Cause: weft.CauseLoad, Tables: []TableData{td}, Expect: &head}, next)
}

func changeText(td TableData) string {
	out := fmt.Sprintln(td.Inserted, "inserted,", td.Updated, "updated")
	for _, b := range td.Batches {
		for _, l := range texts(b) {
			out += l + "\n"
		}
	}
	return out
}

// lookup asks for keys, which makes an index where there is none.
func (w *world) lookup(t *wideTable) {
	w.t.Helper()
	b := array.NewInt64Builder(memory.DefaultAllocator)
	var want []string
	for k := range int64(40) {
		b.Append(k)
		if _, ok := t.rows[k]; ok {
			want = append(want, texts(t.batch([]wideRow{{"", t.cells(k)}}))...)
		}
	}
	key := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	rec, err := lookup(w.s, w.e.session(w.t), "wide", array.NewRecordBatch(key, []arrow.Array{b.NewArray()}, 40))
	w.say("lookup: %v", err)
	if err != nil {
		if !w.fs.hit {
			w.fatal("lookup failed without a fault: %v", err)
		}
		return
	}
	if got := texts(rec); !slices.Equal(got, want) {
		w.fatal("the index gives\n%v\nwant\n%v", got, want)
	}
}

// heldImage is an image that was taken and not copied yet.
type heldImage struct {
	image *Image
	seq   weft.Seq
}

// takeImage fixes the data as a backup does; it is copied some steps later.
func (w *world) takeImage() {
	m, err := w.s.Image(context.Background())
	w.say("image of #%d: %v", len(w.cuts)-1, err)
	if err != nil {
		if !w.fs.hit {
			w.fatal("image failed without a fault: %v", err)
		}
		return
	}
	if int(m.Point.Seq) != len(w.cuts)-1 {
		w.fatal("the image is of %s, the head is #%d", m.Point.Seq, len(w.cuts)-1)
	}
	w.images = append(w.images, heldImage{m, m.Point.Seq})
}

// dropImages gives up images as a backup that broke off.
func (w *world) dropImages() {
	for _, h := range w.images {
		h.image.Close()
	}
	w.images = nil
}

// restoreImage copies the oldest image out, restores it to another folder and
// compares what that answers.
func (w *world) restoreImage() {
	w.t.Helper()
	if len(w.images) == 0 {
		return
	}
	h := w.images[0]
	w.images = w.images[1:]
	defer h.image.Close()
	w.restored++
	dir := fmt.Sprintf("%s-image-%d", w.cfg.Dir, w.restored)
	w.say("restore the image of %s", h.seq)
	defer func() { _ = os.RemoveAll(dir) }()
	if err := layOut(h.image, dir); err != nil {
		w.fatal("lay out the image of %s: %v", h.seq, err)
	}
	cfg := w.cfg
	cfg.Dir = dir
	s, err := Open(context.Background(), cfg)
	if err != nil {
		w.fatal("open the restored %s: %v", h.seq, err)
	}
	defer func() { _ = s.Close() }()
	if d := s.Damage(); len(d) > 0 && !d[0].Note {
		w.fatal("the restored %s is damaged: %v", h.seq, d)
	}
	if s.Head().Seq != h.seq {
		w.fatal("restored from the image of %s the head is %s", h.seq, s.Head().Seq)
	}
	w.checkRestored(s, h.seq)
	if h.seq > 1 {
		w.checkRestored(s, weft.Seq(1+w.rnd.IntN(int(h.seq))))
	}
	if _, err := s.Append(context.Background(), Candidate{Cause: weft.CauseRestore}); err != nil && h.seq > 0 {
		w.fatal("the restored %s takes no commit: %v", h.seq, err)
	}
	_ = s.Close()
	for _, f := range Verify(dir) {
		w.fatal("the restored %s: %v", h.seq, f)
	}
}

func (w *world) checkRestored(s *Store, seq weft.Seq) {
	w.t.Helper()
	if seq == 0 {
		return
	}
	snap, err := s.Snapshot(context.Background(), seq)
	if weft.KindOf(err) == weft.KindGone && seq < s.Oldest() {
		return
	}
	if err != nil {
		w.fatal("snapshot %s of what was restored: %v", seq, err)
	}
	defer func() { _ = snap.Close() }()
	w.check(snap, seq)
}

// layOut makes a folder of an image as a backup and its restore do together.
func layOut(m *Image, dir string) error {
	write := func(to string, from io.Reader) error {
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		out, err := os.Create(to)
		if err != nil {
			return err
		}
		defer func() { _ = out.Close() }()
		_, err = io.Copy(out, from)
		return err
	}
	for _, f := range m.Files {
		in, err := os.Open(f.Path)
		if err != nil {
			return err
		}
		err = write(FilePath(dir, f.Name), in)
		_ = in.Close()
		if err != nil {
			return err
		}
	}
	var number uint32
	var length int64
	for _, g := range m.Segments {
		if err := write(SegmentPath(dir, g.Number), g.Reader(0)); err != nil {
			return err
		}
		number, length = g.Number, g.Length
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return Revive(dir, "", m.Manifest, m.Point, number, length, 0)
}
