package engine

/*
#include <stdlib.h>
#include "keyset.h"
*/
import "C"

import (
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"golang.org/x/sys/unix"
)

// received is what a worker holds for a job: what it has mapped, and what the
// engine sees of it.
type received struct {
	mem  *mappings
	srcs []*attached
	keys []*C.struct_weft_keysets

	columns map[string]string // of the sources, by name: what these are
}

// unpack maps what came with a job and shows it to the engine. The file
// descriptors are closed, whatever comes.
func (r *received) unpack(j job, fds []int) error {
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}()
	if len(fds) != len(j.Files) {
		return classed("INTERNAL", "%d files came with a job that has %d", len(fds), len(j.Files))
	}
	r.mem.begin()
	defer r.mem.settle()
	files := make([][]byte, len(fds))
	for i, fd := range fds {
		b, err := r.mem.add(fd, j.Files[i], i == 0)
		if err != nil {
			return classed("INTERNAL", "map what came with the job: %v", err)
		}
		files[i] = b
	}
	for _, sp := range j.Sources {
		if err := r.source(sp, files); err != nil {
			return err
		}
	}
	for _, k := range j.Keys {
		if err := r.keysets(k, files); err != nil {
			return err
		}
	}
	return nil
}

// cut returns the bytes of a piece, nil where it lies outside.
func (s piece) cut(files [][]byte) []byte {
	if s.File < 0 || s.File >= len(files) || s.Offset < 0 || s.Length < 0 || s.Offset > int64(len(files[s.File]))-s.Length {
		return nil
	}
	return files[s.File][s.Offset : s.Offset+s.Length]
}

func (r *received) source(sp sourceSpan, files [][]byte) error {
	whole := Source{Name: sp.Name}
	defer func() { whole.release() }()
	for _, p := range sp.Parts {
		b := p.cut(files)
		if b == nil {
			return classed("INTERNAL", "source %s lies outside its file", sp.Name)
		}
		part, err := readSource(sp.Name, b)
		whole.Batches = append(whole.Batches, part.Batches...)
		if err != nil {
			return err
		}
		whole.Schema = part.Schema
	}
	if whole.Schema == nil {
		return classed("INTERNAL", "source %s has no columns", sp.Name)
	}
	if sp.Rows > 0 {
		whole.limit(sp.Rows)
	}
	if sp.Mark != "" {
		marks := sp.Marks.cut(files)
		if marks == nil || int64(len(marks))*8 < whole.rows() {
			return classed("INTERNAL", "source %s has marks for fewer rows than it has", sp.Name)
		}
		whole.mark(sp.Mark, marks)
	}
	a, err := attach(whole)
	if err == nil {
		r.srcs = append(r.srcs, a)
		if r.columns == nil {
			r.columns = map[string]string{}
		}
		r.columns[sp.Name] = whole.Schema.String()
	}
	return err
}

func (s *Source) rows() (n int64) {
	for _, b := range s.Batches {
		n += b.NumRows()
	}
	return n
}

// limit leaves the first rows.
func (s *Source) limit(rows int64) {
	var out []arrow.RecordBatch
	for _, b := range s.Batches {
		switch n := b.NumRows(); {
		case rows == 0:
			b.Release()
			continue
		case n > rows:
			out = append(out, b.NewSlice(0, rows))
			b.Release()
			rows = 0
		default:
			out = append(out, b)
			rows -= n
		}
	}
	s.Batches = out
}

// mark adds a column of bits.
func (s *Source) mark(name string, bits []byte) {
	field := arrow.Field{Name: name, Type: arrow.FixedWidthTypes.Boolean}
	s.Schema = arrow.NewSchema(append(append([]arrow.Field{}, s.Schema.Fields()...), field), nil)
	buf := memory.NewBufferBytes(bits)
	at := 0
	for i, b := range s.Batches {
		n := int(b.NumRows())
		d := array.NewData(field.Type, n, []*memory.Buffer{nil, buf}, nil, 0, at)
		col := array.NewBooleanData(d)
		d.Release()
		s.Batches[i] = array.NewRecordBatch(s.Schema, append(append([]arrow.Array{}, b.Columns()...), col), int64(n))
		col.Release()
		b.Release()
		at += n
	}
}

// keysets makes the sets of one name known.
func (r *received) keysets(k keysSpan, files [][]byte) error {
	sets := make([]C.struct_weft_keyset, len(k.Sets)+1)
	for i, sp := range k.Sets {
		b := sp.At.cut(files)
		if sp.Path != "" {
			var err error
			if b, err = r.mem.open(sp.Path); err != nil {
				return classed("IO", "read the keys of a file: %v", err)
			}
		}
		shape, err := readShape(b, int64(len(b)))
		if err != nil {
			return classed("INTERNAL", "keys %s: %v", k.Name, err)
		}
		sets[i] = lowered(shape, b, sp.From, sp.UpTo)
	}
	name := C.CString(k.Name)
	defer C.free(unsafe.Pointer(name))
	c := C.weft_keysets_add(name, &sets[0], C.uint64_t(len(k.Sets)))
	if c == nil {
		return classed("Invalid Input", "keys %q are there twice", k.Name)
	}
	r.keys = append(r.keys, c)
	return nil
}

// lowered is a set as the engine's side knows it. The shape was held against b.
func lowered(s keySetShape, b []byte, from, upto int64) C.struct_weft_keyset {
	k := KeySet{mem: b}
	k.lay(s)
	c := C.struct_weft_keyset{
		bloom: (*C.uint64_t)(unsafe.SliceData(k.bloom)), slots: (*C.uint64_t)(unsafe.SliceData(k.slots)),
		numbers: (*C.int64_t)(unsafe.SliceData(k.numbers)), ends: (*C.uint64_t)(unsafe.SliceData(k.ends)),
		bytes: (*C.uint8_t)(unsafe.SliceData(k.keys)), width: C.uint64_t(s.width), capacity: C.uint64_t(s.capacity),
		slot_mask: C.uint64_t(s.slots - 1), bloom_mask: C.uint64_t(s.bloom - 1), room: C.uint64_t(s.room),
		seed: C.uint64_t(s.seed), slot_shift: C.uint(k.shift), from: C.int64_t(from), upto: C.int64_t(upto),
	}
	return c
}

// close takes everything from the engine again; the results that read it must
// be destroyed before.
func (r *received) close() {
	for _, s := range r.srcs {
		s.detach()
	}
	for _, k := range r.keys {
		C.weft_keysets_remove(k)
	}
	r.srcs, r.keys = nil, nil
	r.mem.end()
}
