package engine

/*
#include <stdlib.h>
#include "arrow.h"
*/
import "C"

import (
	"slices"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/cdata"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// attached is a Source that the engine can see. Its batches are kept, and their
// memory with them, until detach; the engine's vectors point into them.
type attached struct {
	src     *C.struct_weft_source
	schema  *C.struct_weft_schema
	empty   *C.struct_weft_array
	batches *C.struct_weft_array
	n       int
}

// attach makes a source readable as arrow_source('name') by every connection of
// this process.
func attach(s Source) (*attached, error) {
	s, err := withoutDictionaries(s)
	if err != nil {
		return nil, err
	}
	defer s.release()
	a := &attached{n: len(s.Batches)}
	a.schema = (*C.struct_weft_schema)(C.calloc(1, C.sizeof_struct_weft_schema))
	a.empty = (*C.struct_weft_array)(C.calloc(1, C.sizeof_struct_weft_array))
	a.batches = (*C.struct_weft_array)(C.calloc(C.size_t(a.n+1), C.sizeof_struct_weft_array))
	cdata.ExportArrowSchema(s.Schema, (*cdata.CArrowSchema)(unsafe.Pointer(a.schema)))
	empty := emptyBatch(s.Schema)
	cdata.ExportArrowRecordBatch(empty, (*cdata.CArrowArray)(unsafe.Pointer(a.empty)), nil)
	empty.Release()
	for i, b := range s.Batches {
		if !b.Schema().Equal(s.Schema) && !sameTypes(b.Schema(), s.Schema) {
			a.n = i
			a.detach()
			return nil, classed("Invalid Input", "batch %d of source %q has another schema than the source", i, s.Name)
		}
		whole, err := fromZero(b)
		if err != nil {
			a.n = i
			a.detach()
			return nil, err
		}
		cdata.ExportArrowRecordBatch(whole, (*cdata.CArrowArray)(unsafe.Pointer(a.at(i))), nil)
		whole.Release()
	}
	name := C.CString(s.Name)
	defer C.free(unsafe.Pointer(name))
	a.src = C.weft_source_add(name, a.schema, a.empty, a.batches, C.int64_t(a.n))
	if a.src == nil {
		a.detach()
		return nil, classed("Invalid Input", "source %q is there twice", s.Name)
	}
	return a, nil
}

func (a *attached) at(i int) *C.struct_weft_array {
	return (*C.struct_weft_array)(unsafe.Add(unsafe.Pointer(a.batches), uintptr(i)*C.sizeof_struct_weft_array))
}

// detach hides the source and releases its batches. The results that read it
// must be destroyed before.
func (a *attached) detach() {
	if a.src != nil {
		C.weft_source_remove(a.src)
		a.src = nil
	}
	for i := range a.n {
		cdata.ReleaseCArrowArray((*cdata.CArrowArray)(unsafe.Pointer(a.at(i))))
	}
	cdata.ReleaseCArrowArray((*cdata.CArrowArray)(unsafe.Pointer(a.empty)))
	cdata.ReleaseCArrowSchema((*cdata.CArrowSchema)(unsafe.Pointer(a.schema)))
	C.free(unsafe.Pointer(a.batches))
	C.free(unsafe.Pointer(a.empty))
	C.free(unsafe.Pointer(a.schema))
	a.n = 0
}

// withoutDictionaries returns the source with dictionaries of text as text, to
// be released: the engine loses the nulls of a dictionary.
func withoutDictionaries(s Source) (Source, error) {
	out := Source{Name: s.Name, Schema: s.Schema}
	fields := s.Schema.Fields()
	found := false
	for i, f := range fields {
		d, ok := f.Type.(*arrow.DictionaryType)
		if ok && d.ValueType.ID() == arrow.STRING {
			fields[i].Type, found = d.ValueType, true
		} else if hasDictionary(f.Type) {
			return out, classed("Not implemented", "column %s of source %q is a dictionary of %s", f.Name, s.Name, f.Type)
		}
	}
	if found {
		out.Schema = arrow.NewSchema(fields, nil)
	}
	for _, b := range s.Batches {
		b.Retain()
		if found && b.Schema().Equal(s.Schema) {
			cols := make([]arrow.Array, b.NumCols())
			for i, c := range b.Columns() {
				cols[i] = c
				if c.DataType().ID() == arrow.DICTIONARY {
					d := decodeDictionary(c.Data())
					cols[i] = array.MakeFromData(d)
					d.Release()
					defer cols[i].Release()
				}
			}
			b.Release()
			b = array.NewRecordBatch(out.Schema, cols, b.NumRows())
		}
		out.Batches = append(out.Batches, b)
	}
	return out, nil
}

func hasDictionary(t arrow.DataType) bool {
	if t.ID() == arrow.DICTIONARY {
		return true
	}
	n, ok := t.(arrow.NestedType)
	return ok && slices.ContainsFunc(n.Fields(), func(f arrow.Field) bool { return hasDictionary(f.Type) })
}

// fromZero returns the batch with arrays that begin at the start of their
// memory, to be released: the engine does not read every nested type with an
// offset truly. What came out of a memory file has no offsets and is not copied.
func fromZero(b arrow.RecordBatch) (arrow.RecordBatch, error) {
	cols := make([]arrow.Array, b.NumCols())
	for i, c := range b.Columns() {
		if !hasOffset(c.Data()) {
			c.Retain()
			cols[i] = c
		} else if a, err := array.Concatenate([]arrow.Array{c}, memory.DefaultAllocator); err == nil {
			cols[i] = a
		} else {
			return nil, err
		}
		defer cols[i].Release()
	}
	return array.NewRecordBatch(b.Schema(), cols, b.NumRows()), nil
}

func hasOffset(d arrow.ArrayData) bool {
	return d.Offset() != 0 || slices.ContainsFunc(d.Children(), hasOffset)
}

// emptyBatch is a batch of sc without rows.
func emptyBatch(sc *arrow.Schema) arrow.RecordBatch {
	rb := array.NewRecordBuilder(memory.DefaultAllocator, sc)
	defer rb.Release()
	return rb.NewRecordBatch()
}

// sameTypes reports whether two schemas differ in no more than metadata and
// nullability.
func sameTypes(a, b *arrow.Schema) bool {
	if a.NumFields() != b.NumFields() {
		return false
	}
	for i, f := range a.Fields() {
		if f.Name != b.Field(i).Name || !arrow.TypeEqual(f.Type, b.Field(i).Type) {
			return false
		}
	}
	return true
}
