package engine

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"

	"golang.org/x/sys/unix"

	"weft"
	"weft/framemem"
)

// The node and a worker speak frames over a socket pair: eight bytes of header
// (length of the payload, little endian; kind; three zero bytes) and the
// payload. The node asks one thing at a time and reads frames until frameEnd;
// only frameInterrupt and frameProgress may be sent in between.
const (
	frameConfigure byte = 'C' // node: job-less settings, JSON; answered by frameEnd
	frameStatement byte = 'S' // node: a job, JSON; a memory file comes with it when it has sources
	frameInterrupt byte = 'I' // node: the id of the job to stop, eight bytes
	frameProgress  byte = 'P' // node: asks for, worker: says the share done, JSON number
	frameSchema    byte = 'A' // worker: the columns of an answer, JSON
	frameBatch     byte = 'B' // worker: rows of an answer, see codec.go
	frameBegun     byte = 'K' // worker: it has begun with the job, where that was to be said; empty
	frameEnd       byte = 'E' // worker: the outcome, JSON
)

// Bounds of one frame's payload.
const (
	maxControl = 64 << 20  // JSON: a syntax tree, a view over many files
	maxMessage = 256 << 20 // rows of an answer
)

// job is one statement as it is sent to a worker.
type job struct {
	ID      uint64       `json:"id"`
	Do      string       `json:"do"`            // exec, query, parse, deparse
	Say     bool         `json:"say,omitempty"` // when it begins
	Text    string       `json:"text"`
	Else    string       `json:"else,omitempty"` // for a query whose Text cannot be bound
	Views   []View       `json:"views,omitempty"`
	Files   []int64      `json:"files,omitempty"` // sizes of the memory files that come with the job
	Sources []sourceSpan `json:"sources,omitempty"`
	Keys    []keysSpan   `json:"keys,omitempty"`
}

// piece is a place in a memory file of the job.
type piece struct {
	File   int   `json:"file"`
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

// sourceSpan says where a source lies: its batches in one or more pieces.
type sourceSpan struct {
	Name  string  `json:"name"`
	Parts []piece `json:"parts"`
	Rows  int64   `json:"rows"`           // that count, from the first
	Mark  string  `json:"mark,omitempty"` // a column more, whose bits Marks has
	Marks piece   `json:"marks"`
}

// keysSpan says where the sets of keys of one name lie.
type keysSpan struct {
	Name string    `json:"name"`
	Sets []setSpan `json:"sets"`
}

type setSpan struct {
	Path string `json:"path,omitempty"` // of a file; otherwise At says where
	At   piece  `json:"at"`
	From int64  `json:"from"`
	UpTo int64  `json:"upto"`
}

// outcome ends a job.
type outcome struct {
	ID    uint64      `json:"id"`
	Rows  int64       `json:"rows,omitempty"`
	Text  string      `json:"text,omitempty"` // of parse and deparse
	Fault *fault      `json:"fault,omitempty"`
	Dirty bool        `json:"dirty,omitempty"` // the session may hold something of the statement
	Ready *Protection `json:"ready,omitempty"` // of configure
}

// fault is an error on its way from the worker.
type fault struct {
	Kind    weft.Kind `json:"kind"`
	Message string    `json:"message"`
	Hint    string    `json:"hint,omitempty"`

	Unplanned bool `json:"unplanned,omitempty"` // the engine has no plan for it
}

// wire is one end of the socket pair. Reads are made by one goroutine at a
// time, writes by any.
type wire struct {
	conn  *net.UnixConn
	mu    sync.Mutex // of writes
	held  []byte     // frames that go with the next one
	buf   []byte     // read but not used yet
	room  [64 << 10]byte
	oob   [16 + 4*maxFiles + 64]byte
	files bool  // file descriptors are taken from the other side
	fds   []int // received with the bytes read so far, in order
}

func newWire(c *net.UnixConn) *wire {
	_ = c.SetWriteBuffer(1 << 20) // fewer, larger steps; a kernel that gives less is as right
	return &wire{conn: c}
}

// header reads the next frame's header. The payload must be read before the next.
func (w *wire) header() (kind byte, n int, err error) {
	var h [8]byte
	if err := w.full(h[:]); err != nil {
		return 0, 0, err
	}
	return parseHeader(h)
}

// parseHeader checks a header before anything is allocated for its payload.
func parseHeader(h [8]byte) (kind byte, n int, err error) {
	n, kind = int(binary.LittleEndian.Uint32(h[:4])), h[4]
	limit := maxControl
	switch kind {
	case frameBatch:
		limit = maxMessage
	case frameProgress, frameInterrupt, frameBegun:
		limit = 64
	case frameConfigure, frameStatement, frameSchema, frameEnd:
	default:
		return 0, 0, fmt.Errorf("frame of unknown kind %#x", kind)
	}
	if n > limit || h[5]|h[6]|h[7] != 0 {
		return 0, 0, fmt.Errorf("frame %q of %d bytes is not valid", kind, n)
	}
	return kind, n, nil
}

// full reads exactly len(p) bytes and keeps the file descriptors that come along.
func (w *wire) full(p []byte) error {
	for len(p) > 0 {
		if len(w.buf) > 0 {
			n := copy(p, w.buf)
			p, w.buf = p[n:], w.buf[n:]
			continue
		}
		into := w.room[:]
		if len(p) >= len(w.room) {
			into = p
		}
		n, oobn, _, _, err := w.conn.ReadMsgUnix(into, w.oob[:])
		if oobn > 0 {
			w.keep(w.oob[:oobn])
		}
		if n == 0 && err == nil {
			err = io.EOF
		}
		if err != nil {
			return err
		}
		if len(p) >= len(w.room) {
			p = p[n:]
		} else {
			w.buf = w.room[:n]
		}
	}
	return nil
}

func (w *wire) keep(oob []byte) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return
	}
	for i := range msgs {
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			continue
		}
		if w.files {
			w.fds = append(w.fds, fds...)
			continue
		}
		for _, fd := range fds { // nobody here asked for any
			_ = unix.Close(fd)
		}
	}
}

// takeFDs returns the received file descriptors.
func (w *wire) takeFDs() []int {
	fds := w.fds
	w.fds = nil
	return fds
}

// payload reads n bytes, into memory that may be given back.
func (w *wire) payload(n int) ([]byte, error) {
	b := framemem.New(n)
	return b, w.full(b)
}

// maxFiles is how many file descriptors come with one frame at most; the kernel
// takes a few more.
const maxFiles = 200

// frameHead is the header of a frame made of parts.
func frameHead(kind byte, parts [][]byte) ([]byte, error) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	h := make([]byte, 8)
	binary.LittleEndian.PutUint32(h, uint32(n))
	h[4] = kind
	if _, _, err := parseHeader([8]byte(h)); err != nil || n > maxMessage {
		return nil, fmt.Errorf("a frame of %d bytes is too large", n)
	}
	return h, nil
}

// send writes one frame made of parts, with file descriptors along with it, behind
// what is held.
func (w *wire) send(kind byte, fds []int, parts ...[]byte) error {
	h, err := frameHead(kind, parts)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(fds) > 0 {
		if err := w.release(); err != nil {
			return err
		}
		if _, _, err := w.conn.WriteMsgUnix(h, unix.UnixRights(fds...), nil); err != nil {
			return err
		}
	} else {
		parts = append([][]byte{w.held, h}, parts...)
		w.held = nil
	}
	bufs := net.Buffers(parts)
	_, err = bufs.WriteTo(w.conn)
	return err
}

// hold keeps a copy of a small frame to go with the next one, or by flush: each write
// wakes the other side.
func (w *wire) hold(kind byte, parts ...[]byte) error {
	h, err := frameHead(kind, parts)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = append(w.held, h...)
	for _, p := range parts {
		w.held = append(w.held, p...)
	}
	return nil
}

// flush writes what is held.
func (w *wire) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.release()
}

// release is flush; the lock is held.
func (w *wire) release() error {
	if len(w.held) == 0 {
		return nil
	}
	_, err := w.conn.Write(w.held)
	w.held = nil
	return err
}

// sendJSON writes v as a frame.
func (w *wire) sendJSON(kind byte, fds []int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.send(kind, fds, b)
}
