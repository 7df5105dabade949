package serve

import (
	"errors"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"weft"
)

// arrowEncoder writes an Arrow IPC stream, uncompressed: on the links that carry
// it compression costs more than it saves. The schema's metadata holds the cut.
type arrowEncoder struct {
	o      *out
	schema *arrow.Schema
	w      *ipc.Writer
}

func newArrowEncoder(o *out, a *weft.Answer) *arrowEncoder {
	md := cutMetadata(a)
	s := arrow.NewSchema(a.Schema.Fields(), &md)
	return &arrowEncoder{o: o, schema: s, w: ipc.NewWriter(o, ipc.WithSchema(s))}
}

func (e *arrowEncoder) batch(rec arrow.RecordBatch) error {
	r := withSchema(rec, e.schema)
	defer r.Release()
	return e.fault(e.w.Write(r))
}

func (e *arrowEncoder) end(int64) error { return e.fault(e.w.Close()) }

func (e *arrowEncoder) release() {}

// fault tells the writer's errors from the data's.
func (e *arrowEncoder) fault(err error) error { return libraryFault(e.o, FormatArrow, err) }

// libraryFault names an error of a library that writes through o.
func libraryFault(o *out, f Format, err error) error {
	var known *weft.Error
	switch {
	case err == nil:
		return nil
	case o.err != nil:
		return o.err
	case errors.As(err, &known):
		return err
	}
	return weft.Errorf(weft.KindInternal, "write the answer", string(f), "%w", err).
		WithHint("cast the columns in SQL to one of the types in docs/types.md, or take another format")
}
