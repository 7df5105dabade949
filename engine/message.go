package engine

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"golang.org/x/sys/unix"
)

// Sources go to a worker in a memory file, as Arrow IPC messages: the worker
// believes its node. A message lies there as its length and the padding before
// it, that padding, eight bytes (length of the metadata, little endian; four
// zero bytes), the metadata padded to eight bytes, and the body.

const maxMeta = 16 << 20

var zeros [64]byte

// messageParts cuts a payload into the pieces that are written, without a copy.
func messageParts(p ipc.Payload) ([][]byte, int64) {
	meta := p.Meta()
	defer meta.Release()
	head := make([]byte, 8)
	binary.LittleEndian.PutUint32(head, uint32(meta.Len()))
	c := collector{head, meta.Bytes()}
	if r := meta.Len() % 8; r != 0 {
		c = append(c, zeros[:8-r])
	}
	_ = p.SerializeBody(&c) // a collector does not fail
	var n int64
	for _, b := range c {
		n += int64(len(b))
	}
	return c, n
}

type collector [][]byte

func (c *collector) Write(p []byte) (int, error) {
	*c = append(*c, p)
	return len(p), nil
}

// parseMessageHead returns the lengths of metadata and body in a message of
// total bytes.
func parseMessageHead(h [8]byte, total int) (meta, padded, body int, err error) {
	meta = int(binary.LittleEndian.Uint32(h[:4]))
	padded = (meta + 7) &^ 7
	body = total - 8 - padded
	if meta < 8 || meta > maxMeta || body < 0 {
		return 0, 0, 0, fmt.Errorf("an Arrow message of %d bytes has %d bytes of metadata", total, meta)
	}
	return meta, padded, body, nil
}

// messages gives an ipc.Reader what next returns; the reader owns it.
type messages struct {
	refs atomic.Int64
	next func() (meta, body *memory.Buffer, err error)
	last *ipc.Message
}

func newMessages(next func() (meta, body *memory.Buffer, err error)) *messages {
	m := &messages{next: next}
	m.refs.Add(1)
	return m
}

func (m *messages) Retain() { m.refs.Add(1) }

func (m *messages) Release() {
	if m.refs.Add(-1) == 0 && m.last != nil {
		m.last.Release()
		m.last = nil
	}
}

// Message returns the next message, valid until the one after.
func (m *messages) Message() (*ipc.Message, error) {
	meta, body, err := m.next()
	if err != nil {
		return nil, err
	}
	if m.last != nil {
		m.last.Release()
	}
	m.last = ipc.NewMessage(meta, body)
	meta.Release()
	body.Release()
	if m.last.BodyLen() != int64(body.Len()) {
		return nil, fmt.Errorf("an Arrow message says %d bytes of body and has %d", m.last.BodyLen(), body.Len())
	}
	return m.last, nil
}

// spool writes the messages of one source into a memory file.
type spool struct {
	w   *bufio.Writer
	pos int64
}

func (s *spool) Start() error { return nil }
func (s *spool) Close() error { return nil }

// WritePayload writes the message's length, room to 64 bytes, and the message:
// bodies then lie as Arrow likes them.
func (s *spool) WritePayload(p ipc.Payload) error {
	parts, n := messageParts(p)
	pad := -(s.pos + 16 + int64((len(parts[1])+7)&^7)) & 63
	var h [8]byte
	binary.LittleEndian.PutUint64(h[:], uint64(n)<<8|uint64(pad))
	for _, b := range append([][]byte{h[:], zeros[:pad]}, parts...) {
		if _, err := s.w.Write(b); err != nil {
			return err
		}
		s.pos += int64(len(b))
	}
	return nil
}

// write puts bytes at a multiple of 64 and returns where.
func (s *spool) write(b []byte) (piece, error) {
	pad := -s.pos & 63
	for _, p := range [][]byte{zeros[:pad], b} {
		n, err := s.w.Write(p)
		if s.pos += int64(n); err != nil {
			return piece{}, err
		}
	}
	return piece{Offset: s.pos - int64(len(b)), Length: int64(len(b))}, nil
}

// seal ends a memory file: nobody can change it any more.
func (s *spool) seal(f *os.File) error {
	if err := s.w.Flush(); err != nil {
		return err
	}
	_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL)
	return err
}

func writeSource(s *spool, src Source) error {
	w := ipc.NewWriterWithPayloadWriter(s, ipc.WithSchema(src.Schema))
	for _, b := range src.Batches {
		if !b.Schema().Equal(src.Schema) {
			if !sameTypes(b.Schema(), src.Schema) {
				return fmt.Errorf("a batch has another schema than its source")
			}
			c := array.NewRecordBatch(src.Schema, b.Columns(), b.NumRows())
			defer c.Release()
			b = c
		}
		if err := w.Write(b); err != nil {
			return err
		}
	}
	return w.Close()
}

// readSource reads a source out of mapped memory, which must stay mapped for as
// long as its batches are used.
func readSource(name string, mem []byte) (Source, error) {
	src := Source{Name: name}
	pos := 0
	r, err := ipc.NewReaderFromMessageReader(newMessages(func() (*memory.Buffer, *memory.Buffer, error) {
		if pos == len(mem) {
			return nil, nil, io.EOF
		}
		if len(mem)-pos < 8 {
			return nil, nil, io.ErrUnexpectedEOF
		}
		v := binary.LittleEndian.Uint64(mem[pos:])
		n, pad := int(v>>8), int(v&63)
		pos += 8 + pad
		if n < 8 || n > len(mem)-pos {
			return nil, nil, io.ErrUnexpectedEOF
		}
		meta, padded, _, err := parseMessageHead([8]byte(mem[pos:]), n)
		if err != nil {
			return nil, nil, err
		}
		m := mem[pos : pos+n]
		pos += n
		return memory.NewBufferBytes(m[8 : 8+meta]), memory.NewBufferBytes(m[8+padded:]), nil
	}))
	if err != nil {
		return src, err
	}
	defer r.Release()
	src.Schema = r.Schema()
	for r.Next() {
		b := r.RecordBatch()
		b.Retain()
		src.Batches = append(src.Batches, b)
	}
	return src, r.Err()
}

func (s Source) release() {
	for _, b := range s.Batches {
		b.Release()
	}
}
