package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weft"
	"weft/sign"
)

// blockPrefix is what stands before the Arrow message in a block: the nonce and
// the digest of the schema.
const blockPrefix = sign.NonceSize + 32

// encodeSchema returns the Arrow IPC schema message, which is deterministic for
// a normalised schema; its digest is the schema's id.
func encodeSchema(s *arrow.Schema) ([]byte, error) {
	var b bytes.Buffer
	p := ipc.GetSchemaPayload(s, memory.DefaultAllocator)
	defer p.Release()
	if _, err := p.WritePayload(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// decodeSchema reads what encodeSchema wrote.
func decodeSchema(b []byte) (s *arrow.Schema, err error) {
	defer func() { err = recovered(err, recover()) }()
	r, err := ipc.NewReaderFromMessageReader(&messages{rest: [][]byte{b}}, ipc.WithDelayReadSchema(false))
	if err != nil {
		return nil, err
	}
	defer r.Release()
	return r.Schema(), nil
}

// writeBlock appends a block frame and returns where its payload is in f.
func writeBlock(f *frameBuffer, schema weft.Hash, rec arrow.RecordBatch) (from, to int, err error) {
	p, err := ipc.GetRecordBatchPayload(rec)
	if err != nil {
		return 0, 0, err
	}
	defer p.Release()
	start := f.begin()
	from = len(f.bytes)
	f.bytes = append(f.bytes, make([]byte, sign.NonceSize)...)
	sign.Nonce(f.bytes[from:])
	f.bytes = append(f.bytes, schema[:]...)
	if _, err := p.WritePayload(f); err != nil {
		return 0, 0, err
	}
	to = len(f.bytes)
	if to-from > maxFrame {
		return 0, 0, errTooLong
	}
	f.end(start, frameBlock)
	return from, to, nil
}

// blockSchema is the digest of the schema that a block's rows have.
func blockSchema(payload []byte) (h weft.Hash, err error) {
	if len(payload) < blockPrefix {
		return h, fmt.Errorf("a block of %d bytes is too short", len(payload))
	}
	copy(h[:], payload[sign.NonceSize:])
	return h, nil
}

// decodeBlock reads the rows of a block whose schema message is known. The rows
// refer to payload's memory.
func decodeBlock(schema, payload []byte) (rec arrow.RecordBatch, err error) {
	defer func() { err = recovered(err, recover()) }()
	if len(payload) < blockPrefix {
		return nil, fmt.Errorf("a block of %d bytes is too short", len(payload))
	}
	// Also where the block is this node's own: a folder may come from anywhere.
	if err := checkBatchMessage(payload[blockPrefix:]); err != nil {
		return nil, err
	}
	r, err := ipc.NewReaderFromMessageReader(&messages{rest: [][]byte{schema, payload[blockPrefix:]}})
	if err != nil {
		return nil, err
	}
	defer r.Release()
	if !r.Next() {
		if r.Err() != nil {
			return nil, r.Err()
		}
		return nil, fmt.Errorf("a block without rows")
	}
	rec = r.RecordBatch()
	rec.Retain()
	return rec, nil
}

// recovered turns a panic of a decoder into an error: bytes from a disk must
// never end the process.
func recovered(err error, p any) error {
	if p != nil {
		return fmt.Errorf("the bytes are no Arrow message: %v", p)
	}
	return err
}

// recordSize is about how many bytes the buffers of rec hold.
func recordSize(rec arrow.RecordBatch) int {
	n := 0
	for _, c := range rec.Columns() {
		n += dataSize(c.Data())
	}
	return n
}

func dataSize(d arrow.ArrayData) int {
	n := 0
	for _, b := range d.Buffers() {
		if b != nil {
			n += b.Len()
		}
	}
	for _, c := range d.Children() {
		n += dataSize(c)
	}
	return n
}

// messages gives encapsulated IPC messages from memory without copying them.
type messages struct {
	rest [][]byte
	last *ipc.Message
}

// Message gives the next message; it stays valid until the one after.
func (m *messages) Message() (*ipc.Message, error) {
	if len(m.rest) == 0 {
		return nil, io.EOF
	}
	b := m.rest[0]
	m.rest = m.rest[1:]
	if len(b) < 8 || binary.LittleEndian.Uint32(b) != 0xFFFFFFFF {
		return nil, fmt.Errorf("an Arrow message of %d bytes without its mark", len(b))
	}
	n := int64(binary.LittleEndian.Uint32(b[4:]))
	if n <= 0 || 8+n > int64(len(b)) {
		return nil, fmt.Errorf("an Arrow message whose head of %d bytes is not whole", n)
	}
	m.last = ipc.NewMessage(memory.NewBufferBytes(b[8:8+n]), memory.NewBufferBytes(b[8+n:]))
	if got := m.last.BodyLen(); got < 0 || got > int64(len(b))-8-n {
		return nil, fmt.Errorf("an Arrow message whose body of %d bytes is not whole", got)
	}
	return m.last, nil
}

// Retain is part of ipc.MessageReader; memory is the collector's.
func (m *messages) Retain() {}

// Release is part of ipc.MessageReader.
func (m *messages) Release() {}
