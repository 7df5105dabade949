package store

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"strconv"
)

// Every file of the store's own starts with a magic and a format version.
const (
	journalMagic   = "WEFTJRN\n"
	formatVersion  = 2
	oldestReadable = 1 // one version back
)

// The kinds of journal frames.
const (
	frameSegment = 'g' // JSON segmentInfo; the first frame of a segment
	frameSchema  = 's' // an Arrow IPC schema message
	frameBlock   = 'b' // nonce, digest of the schema, an Arrow IPC record batch message
	frameHeader  = 'h' // JSON of a weft.Header, exactly the bytes that are hashed; ends a commit
)

const (
	fileHeaderSize  = 16 // magic 8, version 4, zero 4
	frameHeaderSize = 16 // payload length 4, kind 1, zero 3, CRC32C 4, zero 4
	maxFrame        = 1 << 30
)

var crcTable = crc32.MakeTable(crc32.Castagnoli)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// appendFileHeader starts a file of the store's own.
func appendFileHeader(b []byte, magic string) []byte {
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, formatVersion)
	return append(b, 0, 0, 0, 0)
}

// checkFileHeader gives the version of a file and says what is wrong with its
// first bytes: nothing, not ours, or a version that this program does not know.
func checkFileHeader(path, magic string, b []byte) (version uint32, err error) {
	if len(b) < fileHeaderSize || string(b[:8]) != magic {
		return 0, corrupt(path, 0, "the file does not start with %q", magic)
	}
	if binary.LittleEndian.Uint32(b[12:]) != 0 {
		return 0, corrupt(path, 12, "the bytes after the version are not zero")
	}
	version = binary.LittleEndian.Uint32(b[8:])
	return version, checkVersion(path, version)
}

// appendFrame appends one frame, padded to eight bytes so that what an Arrow
// message refers to stays aligned.
func appendFrame(b []byte, kind byte, payload ...[]byte) []byte {
	f := frameBuffer{bytes: b}
	start := f.begin()
	for _, p := range payload {
		f.bytes = append(f.bytes, p...)
	}
	f.end(start, kind)
	return f.bytes
}

// frameBuffer is frames that are written one behind the other. A payload is
// written to it between begin and end, so that nothing is copied.
type frameBuffer struct{ bytes []byte }

// Write appends to the payload of the frame that was begun.
func (f *frameBuffer) Write(p []byte) (int, error) {
	f.bytes = append(f.bytes, p...)
	return len(p), nil
}

// begin makes room for a frame's head and returns where it starts.
func (f *frameBuffer) begin() int {
	start := len(f.bytes)
	f.bytes = append(f.bytes, make([]byte, frameHeaderSize)...)
	return start
}

// end writes the head of the frame that starts at start.
func (f *frameBuffer) end(start int, kind byte) {
	b := f.bytes[start:]
	binary.LittleEndian.PutUint32(b, uint32(len(b)-frameHeaderSize))
	b[4] = kind
	binary.LittleEndian.PutUint32(b[8:], frameCRC(b[:8], b[frameHeaderSize:]))
	for len(f.bytes)%8 != 0 {
		f.bytes = append(f.bytes, 0)
	}
}

// frameCRC is over the length, the kind and the payload.
func frameCRC(head, payload []byte) uint32 {
	return crc32.Update(crc32.Update(0, crcTable, head), crcTable, payload)
}

// frame is one frame as it was read. Payload is a buffer of its own.
type frame struct {
	Kind    byte
	Offset  int64 // where its header starts
	Payload []byte
}

// End is the offset of the byte after the frame and its padding.
func (f frame) End() int64 { return frameEnd(f.Offset, len(f.Payload)) }

func frameEnd(offset int64, payload int) int64 {
	return (offset + frameHeaderSize + int64(payload) + 7) &^ 7
}

// frameHead is what the first bytes of a frame say, before the payload is read.
type frameHead struct {
	kind   byte
	length int
	raw    [frameHeaderSize]byte
}

// badFrame says why there is no good frame at an offset. Short means that the
// bytes end before the frame does.
type badFrame struct {
	offset int64
	why    string
	short  bool
}

func (e *badFrame) Error() string { return "at byte " + itoa(e.offset) + ": " + e.why }

// readFrameHead reads the head at offset of a file that ends at size; io.EOF
// means that the file ends exactly there.
func readFrameHead(r io.ReaderAt, offset, size int64) (frameHead, error) {
	var h frameHead
	if offset == size {
		return h, io.EOF
	}
	if offset+frameHeaderSize > size {
		return h, &badFrame{offset, "the file ends within the head of a frame", true}
	}
	if _, err := r.ReadAt(h.raw[:], offset); err != nil && err != io.EOF {
		return h, err
	}
	n := binary.LittleEndian.Uint32(h.raw[:])
	h.kind = h.raw[4]
	zero := h.raw[5] == 0 && h.raw[6] == 0 && h.raw[7] == 0 && binary.LittleEndian.Uint32(h.raw[12:]) == 0
	switch {
	case h.kind != frameSegment && h.kind != frameSchema && h.kind != frameBlock && h.kind != frameHeader && h.kind != frameTold, !zero:
		return h, &badFrame{offset, "there is no frame here", false}
	case n > maxFrame:
		return h, &badFrame{offset, "the frame is longer than any valid one", false}
	}
	h.length = int(n)
	if end := frameEnd(offset, h.length); end > size {
		return h, &badFrame{offset, "the file ends within a frame", true}
	}
	return h, nil
}

// readFrame reads the frame at offset of a file that ends at size and holds its
// checksum. Errors are io.EOF, a *badFrame or what the disk says.
func readFrame(r io.ReaderAt, offset, size int64) (frame, error) {
	h, err := readFrameHead(r, offset, size)
	if err != nil {
		return frame{}, err
	}
	padded := make([]byte, frameEnd(offset, h.length)-offset-frameHeaderSize)
	if _, err := r.ReadAt(padded, offset+frameHeaderSize); err != nil && err != io.EOF {
		return frame{}, err
	}
	f := frame{Kind: h.kind, Offset: offset, Payload: padded[:h.length:h.length]}
	for _, b := range padded[h.length:] {
		if b != 0 {
			return frame{}, &badFrame{offset, "what is behind the frame is not zero", false}
		}
	}
	if frameCRC(h.raw[:8], f.Payload) != binary.LittleEndian.Uint32(h.raw[8:]) {
		return frame{}, &badFrame{offset, "the checksum of the frame does not hold", false}
	}
	return f, nil
}
