package engine

/*
#include <stdlib.h>
#include "columns.h"
*/
import "C"

import (
	"fmt"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	duck "github.com/duckdb/duckdb-go-bindings"
)

// batch is a batch in the making for answers of plain columns: the engine's
// vectors are copied once, to where Arrow wants them. Its memory serves one
// batch after another.
type batch struct {
	c     *C.struct_weft_batch
	types []arrow.DataType
	names []string
}

// plainKind says how vectors of type t become Arrow columns; not ok is for
// nested and rare types, which the engine exports itself.
func plainKind(t duck.LogicalType) (kind C.int, width C.size_t, ok bool) {
	id := duck.GetTypeId(t)
	if id == duck.TypeDecimal {
		id = duck.DecimalInternalType(t)
		switch id {
		case duck.TypeSmallInt:
			return C.WEFT_WIDEN, 2, true
		case duck.TypeInteger:
			return C.WEFT_WIDEN, 4, true
		case duck.TypeBigInt:
			return C.WEFT_WIDEN, 8, true
		case duck.TypeHugeInt:
			return C.WEFT_COPY, 16, true
		}
		return 0, 0, false
	}
	switch id {
	case duck.TypeBoolean:
		return C.WEFT_BOOL, 1, true
	case duck.TypeTinyInt, duck.TypeUTinyInt:
		return C.WEFT_COPY, 1, true
	case duck.TypeSmallInt, duck.TypeUSmallInt:
		return C.WEFT_COPY, 2, true
	case duck.TypeInteger, duck.TypeUInteger, duck.TypeFloat, duck.TypeDate:
		return C.WEFT_COPY, 4, true
	case duck.TypeBigInt, duck.TypeUBigInt, duck.TypeDouble, duck.TypeTime, duck.TypeTimestamp, duck.TypeTimestampTZ:
		return C.WEFT_COPY, 8, true
	case duck.TypeHugeInt:
		return C.WEFT_HUGE, 16, true
	case duck.TypeUHugeInt:
		return C.WEFT_UHUGE, 16, true
	case duck.TypeVarchar, duck.TypeBlob:
		return C.WEFT_TEXT, 16, true
	case duck.TypeUUID:
		return C.WEFT_UUID, 16, true
	}
	return 0, 0, false
}

// newBatch returns a batch of sc, or nil where a column is not plain.
func newBatch(sc *arrow.Schema, types []duck.LogicalType) *batch {
	for _, t := range types {
		if _, _, ok := plainKind(t); !ok {
			return nil
		}
	}
	b := &batch{c: (*C.struct_weft_batch)(C.calloc(1, C.sizeof_struct_weft_batch))}
	b.c.n = C.uint64_t(len(types))
	b.c.columns = (*C.struct_weft_column)(C.calloc(C.size_t(len(types)+1), C.sizeof_struct_weft_column))
	for i, t := range types {
		c := &b.columns()[i]
		c.kind, c.width, _ = plainKind(t)
		b.types = append(b.types, sc.Field(i).Type)
		b.names = append(b.names, sc.Field(i).Name)
	}
	return b
}

func (b *batch) columns() []C.struct_weft_column {
	return unsafe.Slice(b.c.columns, int(b.c.n))
}

func (b *batch) free() {
	if b != nil && b.c != nil {
		C.weft_batch_free(b.c)
		b.c = nil
	}
}

// add appends the rows of a chunk of the engine.
func (b *batch) add(ch duck.DataChunk) error {
	switch C.weft_batch_append(b.c, ch.Ptr) {
	case C.WEFT_OK:
		return nil
	case C.WEFT_NO_MEMORY:
		return classed("Out of Memory", "a batch of the answer")
	case C.WEFT_TOO_WIDE:
		return errTooWide
	}
	return classed("Out of Range", "column %s: %v", b.names[int(b.c.bad)], errHuge)
}

var errHuge = fmt.Errorf("a value has more than 38 digits; cast it to DOUBLE, or to a smaller type where the data allows it")

// record returns what was added; it is valid until the batch is reset or freed.
func (b *batch) record(sc *arrow.Schema) arrow.RecordBatch {
	n := int(b.c.rows)
	cols := make([]arrow.Array, len(b.types))
	for i := range cols {
		c := &b.columns()[i]
		bufs := []*memory.Buffer{nil, wrap(c.data, c.data_len)}
		if c.nulls > 0 {
			bufs[0] = wrap((*C.char)(unsafe.Pointer(c.valid)), C.size_t(n+7)/8)
		}
		if c.kind == C.WEFT_TEXT || c.kind == C.WEFT_UUID {
			bufs = []*memory.Buffer{bufs[0], wrap((*C.char)(unsafe.Pointer(c.offsets)), C.size_t(n+1)*4), bufs[1]}
		}
		d := array.NewData(b.types[i], n, bufs, nil, int(c.nulls), 0)
		cols[i] = array.MakeFromData(d)
		d.Release()
		defer cols[i].Release()
	}
	return array.NewRecordBatch(sc, cols, int64(n))
}

// wrap is C memory as a buffer that does not own it.
func wrap(p *C.char, n C.size_t) *memory.Buffer {
	return memory.NewBufferBytes(unsafe.Slice((*byte)(unsafe.Pointer(p)), int(n)))
}
