package engine

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/bitutil"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft/framemem"
)

// Answers travel as Arrow buffers behind a head of our own. Arrow's IPC format
// keeps its head in flatbuffers, whose Go reader believes every count in it: a
// worker that was taken over could make its node allocate without bound. Here
// each number is checked against the bytes that are there.

// wireType is an Arrow type in a schema frame.
type wireType struct {
	Name  string     `json:"name,omitempty"`
	Kind  string     `json:"kind"`
	P     int32      `json:"p,omitempty"` // precision of a decimal
	S     int32      `json:"s,omitempty"` // scale of a decimal
	Unit  int        `json:"unit,omitempty"`
	Zone  string     `json:"zone,omitempty"`
	Size  int32      `json:"size,omitempty"` // of a list of fixed size
	UUID  bool       `json:"uuid,omitempty"` // text that is a uuid
	Parts []wireType `json:"parts,omitempty"`
}

// simpleTypes are those that are nothing but their name.
var simpleTypes = byName(
	arrow.Null, arrow.FixedWidthTypes.Boolean,
	arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Int32, arrow.PrimitiveTypes.Int64,
	arrow.PrimitiveTypes.Uint8, arrow.PrimitiveTypes.Uint16, arrow.PrimitiveTypes.Uint32, arrow.PrimitiveTypes.Uint64,
	arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64, arrow.FixedWidthTypes.Date32,
	arrow.BinaryTypes.String, arrow.BinaryTypes.Binary, arrow.FixedWidthTypes.MonthDayNanoInterval,
)

func byName(ts ...arrow.DataType) map[string]arrow.DataType {
	m := map[string]arrow.DataType{}
	for _, t := range ts {
		m[t.Name()] = t
	}
	return m
}

// encodeSchema writes the schema of an answer; an error names a type that no
// answer has.
func encodeSchema(sc *arrow.Schema) ([]byte, error) {
	fields := make([]wireType, sc.NumFields())
	for i, f := range sc.Fields() {
		w, err := toWire(f)
		if err != nil {
			return nil, err
		}
		fields[i] = w
	}
	return json.Marshal(fields)
}

func toWire(f arrow.Field) (wireType, error) {
	w := wireType{Name: f.Name, Kind: f.Type.Name(), UUID: f.Metadata.Len() > 0}
	var parts []arrow.Field
	switch t := f.Type.(type) {
	case *arrow.Decimal128Type:
		w.P, w.S = t.Precision, t.Scale
	case *arrow.Time64Type:
		w.Unit = int(t.Unit)
	case *arrow.TimestampType:
		w.Unit, w.Zone = int(t.Unit), t.TimeZone
	case *arrow.ListType:
		parts = []arrow.Field{t.ElemField()}
	case *arrow.FixedSizeListType:
		w.Size, parts = t.Len(), []arrow.Field{t.ElemField()}
	case *arrow.StructType:
		parts = t.Fields()
	case *arrow.MapType:
		parts = []arrow.Field{t.KeyField(), t.ItemField()}
	default:
		if simpleTypes[w.Kind] == nil {
			return w, classed("Not implemented", "column %s has the Arrow type %s, which an answer cannot carry: cast it to VARCHAR", f.Name, t)
		}
	}
	for _, p := range parts {
		c, err := toWire(p)
		if err != nil {
			return w, err
		}
		w.Parts = append(w.Parts, c)
	}
	return w, nil
}

const (
	maxDepth   = 64
	maxColumns = 100_000
)

// decodeSchema reads a schema frame.
func decodeSchema(b []byte) (*arrow.Schema, error) {
	var ws []wireType
	if err := json.Unmarshal(b, &ws); err != nil {
		return nil, err
	}
	if len(ws) > maxColumns {
		return nil, fmt.Errorf("%d columns", len(ws))
	}
	fields := make([]arrow.Field, len(ws))
	for i, w := range ws {
		t, err := fromWire(w, maxDepth)
		if err != nil {
			return nil, err
		}
		fields[i] = w.field(t)
	}
	return arrow.NewSchema(fields, nil), nil
}

// field is the field of a part whose type was read.
func (w wireType) field(t arrow.DataType) arrow.Field {
	f := arrow.Field{Name: w.Name, Type: t, Nullable: true}
	if w.UUID && t.ID() == arrow.STRING {
		f.Metadata = arrow.NewMetadata([]string{TypeKey}, []string{typeUUID})
	}
	return f
}

func fromWire(w wireType, depth int) (arrow.DataType, error) {
	if depth == 0 {
		return nil, errors.New("types nested too deep")
	}
	parts := make([]arrow.Field, len(w.Parts))
	for i, p := range w.Parts {
		t, err := fromWire(p, depth-1)
		if err != nil {
			return nil, err
		}
		parts[i] = p.field(t)
	}
	switch unit := arrow.TimeUnit(w.Unit); {
	case w.Kind == "decimal" && w.P > 0 && w.P <= 38 && w.S >= 0 && w.S <= w.P:
		return &arrow.Decimal128Type{Precision: w.P, Scale: w.S}, nil
	case w.Kind == "time64" && (unit == arrow.Microsecond || unit == arrow.Nanosecond):
		return &arrow.Time64Type{Unit: unit}, nil
	case w.Kind == "timestamp" && unit >= arrow.Second && unit <= arrow.Nanosecond && (w.Zone == "" || w.Zone == "UTC"):
		return &arrow.TimestampType{Unit: unit, TimeZone: w.Zone}, nil
	case w.Kind == "list" && len(parts) == 1:
		return arrow.ListOfField(parts[0]), nil
	case w.Kind == "fixed_size_list" && len(parts) == 1 && w.Size > 0 && w.Size < 1<<24:
		return arrow.FixedSizeListOfField(w.Size, parts[0]), nil
	case w.Kind == "struct":
		return arrow.StructOf(parts...), nil
	case w.Kind == "map" && len(parts) == 2:
		return arrow.MapOf(parts[0].Type, parts[1].Type), nil
	case len(parts) == 0 && simpleTypes[w.Kind] != nil:
		return simpleTypes[w.Kind], nil
	}
	return nil, fmt.Errorf("a column of type %.40q", w.Kind)
}

// A batch frame is a head of 64-bit numbers, little endian, and the buffers,
// each padded to eight bytes. The head has the number of rows, the number of
// numbers that follow, and for each array, parents first: its length, its nulls
// and the lengths of its buffers, -1 for one that is not there.

// encodeBatch returns the pieces of a batch frame, which point into b, and
// their size. The arrays of b have no offsets.
func encodeBatch(b arrow.RecordBatch) ([][]byte, int64) {
	e := &batchEncoder{parts: [][]byte{nil}}
	for _, c := range b.Columns() {
		e.add(c.Data())
	}
	head := make([]byte, 0, 16+8*len(e.head))
	head = binary.LittleEndian.AppendUint64(head, uint64(b.NumRows()))
	head = binary.LittleEndian.AppendUint64(head, uint64(len(e.head)))
	for _, v := range e.head {
		head = binary.LittleEndian.AppendUint64(head, uint64(v))
	}
	e.parts[0] = head
	return e.parts, e.size + int64(len(head))
}

type batchEncoder struct {
	head  []int64
	parts [][]byte
	size  int64
}

func (e *batchEncoder) add(d arrow.ArrayData) {
	bufs := d.Buffers()
	nulls := d.NullN()
	if nulls < 0 { // not counted yet
		nulls = 0
		if len(bufs) > 0 && bufs[0] != nil && bufs[0].Len() > 0 {
			nulls = d.Len() - bitutil.CountSetBits(bufs[0].Bytes(), 0, d.Len())
		}
	}
	e.head = append(e.head, int64(d.Len()), int64(nulls))
	for i := range buffersOf(d.DataType()) {
		var b *memory.Buffer
		if i < len(bufs) {
			b = bufs[i]
		}
		if b == nil {
			e.head = append(e.head, -1)
			continue
		}
		e.head = append(e.head, int64(b.Len()))
		if b.Len() > 0 {
			e.parts = append(e.parts, b.Bytes())
		}
		if pad := -b.Len() & 7; pad > 0 {
			e.parts = append(e.parts, zeros[:pad])
		}
		e.size += int64((b.Len() + 7) &^ 7)
	}
	for _, c := range d.Children() {
		e.add(c)
	}
}

// decodeBatch reads a batch frame of schema sc, which framemem gave and which is the
// batch's from now on. Everything that a reader of the batch relies on is checked.
func decodeBatch(sc *arrow.Schema, frame []byte) (b arrow.RecordBatch, err error) {
	whole := framemem.Owned(frame)
	defer whole.Release()
	defer func() {
		if p := recover(); p != nil { // the checks below should leave Arrow no reason
			b, err = nil, fmt.Errorf("a batch that cannot be read: %v", p)
		}
	}()
	d := &batchDecoder{head: frame, whole: whole}
	rows, numbers := d.number(), d.number()
	if d.bad || rows < 0 || rows > maxMessage || numbers < 0 || numbers > int64(len(d.head)/8) {
		return nil, errors.New("a batch without a head")
	}
	d.head, d.body = d.head[:numbers*8], d.head[numbers*8:]
	cols := make([]arrow.Array, sc.NumFields())
	for i, f := range sc.Fields() {
		data := d.array(f.Type)
		if data == nil || int64(data.Len()) != rows {
			return nil, fmt.Errorf("column %d is not whole", i)
		}
		cols[i] = array.MakeFromData(data)
		data.Release()
		defer cols[i].Release()
	}
	if len(d.head) != 0 || len(d.body) != 0 {
		return nil, errors.New("a batch with something behind it")
	}
	b = array.NewRecordBatch(sc, cols, rows)
	if err := checkBytes(b); err != nil {
		b.Release()
		return nil, err
	}
	return b, nil
}

type batchDecoder struct {
	head, body []byte
	whole      *memory.Buffer // what both are of
	bad        bool
}

func (d *batchDecoder) number() int64 {
	if len(d.head) < 8 {
		d.bad = true
		return -1
	}
	v := int64(binary.LittleEndian.Uint64(d.head))
	d.head = d.head[8:]
	return v
}

// array reads one array and its children; nil when it is not whole.
func (d *batchDecoder) array(t arrow.DataType) arrow.ArrayData {
	n, nulls := d.number(), d.number()
	if d.bad || n < 0 || n > maxMessage || nulls < 0 || nulls > n {
		return nil
	}
	bufs := make([]*memory.Buffer, buffersOf(t))
	for i := range bufs {
		size := d.number()
		padded := (size + 7) &^ 7
		switch {
		case d.bad || size < -1 || padded > int64(len(d.body)):
			return nil
		case size >= 0:
			bufs[i] = memory.SliceBuffer(d.whole, d.whole.Len()-len(d.body), int(size))
			defer bufs[i].Release()
			d.body = d.body[padded:]
		}
	}
	var kids []arrow.ArrayData
	if nested, ok := t.(arrow.NestedType); ok {
		for _, f := range nested.Fields() {
			k := d.array(f.Type)
			if k == nil {
				return nil
			}
			defer k.Release()
			kids = append(kids, k)
		}
	}
	return array.NewData(t, int(n), bufs, kids, int(nulls), 0)
}

// buffersOf is how many buffers an array of a type has.
func buffersOf(t arrow.DataType) int {
	switch t.ID() {
	case arrow.STRING, arrow.BINARY:
		return 3
	case arrow.STRUCT, arrow.FIXED_SIZE_LIST, arrow.NULL:
		return 1
	}
	return 2
}
