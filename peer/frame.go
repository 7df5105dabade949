package peer

import (
	"encoding/binary"
	"io"
	"sync"

	"weft"
	"weft/sign"
)

// A link carries frames: four bytes of length, one of kind, and a body. A frame holds
// at most one record of the largest size and what goes with it; who announces more is
// cut off before a byte of it is read.
const (
	frameHeader = 5
	maxFrame    = sign.MaxRecord + 4<<10
	// pageBytes is how large frames get that could be larger: what is urgent waits
	// behind one of them at most.
	pageBytes = 64 << 10
)

// kind of a frame. Those that a version does not know are passed over.
type frameKind byte

const (
	frameHello  frameKind = 1 + iota // who speaks which versions; the first of each side
	frameReady                       // the link stands
	frameBye                         // why it ends
	framePing                        // are you there
	framePong                        // yes
	framePush                        // records that are new
	frameAsk                         // a question with a number
	frameAnswer                      // what is answered to the question of that number
	frameBehind                      // the sender has what the receiver lacks: it should ask
	frameRing                        // of a relay: somebody asks for you, call with this ticket
)

// frame is one message of a link.
type frame struct {
	kind frameKind
	body []byte
}

func badFrame(format string, args ...any) error {
	return weft.Errorf(weft.KindInvalid, "read the link", "", format, args...)
}

// readFrame reads one frame. The body is a new slice. An end between two frames is
// io.EOF, one within io.ErrUnexpectedEOF.
func readFrame(r io.Reader) (frame, error) {
	kind, n, err := readHeader(r)
	if err != nil {
		return frame{}, err
	}
	f := frame{kind: kind}
	if n > 0 {
		f.body = make([]byte, n)
	}
	if err := readBody(r, f.body); err != nil {
		return frame{}, err
	}
	return f, nil
}

// readHeader reads what comes before a frame's body, of which it returns the length.
func readHeader(r io.Reader) (frameKind, int, error) {
	var h [frameHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, 0, err
	}
	n := binary.BigEndian.Uint32(h[:4])
	if n > maxFrame {
		return 0, 0, badFrame("a frame of %d bytes is announced, and %d is the most", n, maxFrame)
	}
	return frameKind(h[4]), int(n), nil
}

func readBody(r io.Reader, body []byte) error {
	_, err := io.ReadFull(r, body)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// appendHeader writes what comes before a frame's body of n bytes behind b.
func appendHeader(b []byte, kind frameKind, n int) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(n)), byte(kind))
}

// appendFrame writes a frame behind b.
func appendFrame(b []byte, f frame) []byte {
	return append(appendHeader(b, f.kind, len(f.body)), f.body...)
}

// pages has the memory of what goes out and of records that come in: a link that is
// idle keeps none.
var pages = sync.Pool{New: func() any { b := make([]byte, 0, pageRoom); return &b }}

const pageRoom = 2 * pageBytes

// lend gives memory for n bytes, and more, until it is given back.
func lend(n int) []byte {
	if n > pageRoom {
		return make([]byte, 0, n)
	}
	return *pages.Get().(*[]byte)
}

func giveBack(b []byte) {
	if cap(b) == pageRoom { // it has not grown
		b = b[:0]
		pages.Put(&b)
	}
}

// appendRecord writes a record as one of a batch behind b.
func appendRecord(b, raw []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(raw))), raw...)
}

// records calls f with each record of a batch until it returns false. The slices are
// of b itself.
func records(b []byte, f func(raw []byte) bool) error {
	for len(b) > 0 {
		if len(b) < 4 {
			return badFrame("a batch ends within a length")
		}
		n := binary.BigEndian.Uint32(b)
		if n == 0 || n > sign.MaxRecord || int(n) > len(b)-4 {
			return badFrame("a record of %d bytes is announced, and %d follow", n, len(b)-4)
		}
		if !f(b[4 : 4+n : 4+n]) {
			return nil
		}
		b = b[4+n:]
	}
	return nil
}

// question is what a frame of frameAsk is about.
type question byte

const (
	askSums    question = 1 + iota // level and prefix: the sums
	askEntries                     // leaves: their entries
	askRecords                     // ids: the records
	askKind                        // a kind and the key to go on after: its records in order
)

// The most that one question asks for.
const (
	maxLeavesAsked = 64
	maxIDsAsked    = 1024
)

func newAsk(number uint32, q question, args []byte) frame {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, 5+len(args)), number)
	return frame{frameAsk, append(append(b, byte(q)), args...)}
}

func readAsk(b []byte) (number uint32, q question, args []byte, err error) {
	if len(b) < 5 {
		return 0, 0, nil, badFrame("a question has %d bytes", len(b))
	}
	return binary.BigEndian.Uint32(b), question(b[4]), b[5:], nil
}

func newAnswer(number uint32, b []byte) frame {
	return frame{frameAnswer, append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(b)), number), b...)}
}

func readAnswer(b []byte) (number uint32, body []byte, err error) {
	if len(b) < 4 {
		return 0, nil, badFrame("an answer has %d bytes", len(b))
	}
	return binary.BigEndian.Uint32(b), b[4:], nil
}

// Sums.

func readSumsArgs(b []byte) (level int, prefix uint16, err error) {
	if len(b) != 3 || b[0] > 2 {
		return 0, 0, badFrame("a question for sums is not one")
	}
	prefix = binary.BigEndian.Uint16(b[1:])
	if b[0] == 2 && prefix >= 64 || b[0] < 2 && prefix != 0 {
		return 0, 0, badFrame("there are no sums under %d", prefix)
	}
	return int(b[0]), prefix, nil
}

func readSums(b []byte, want int) ([]Sum, error) {
	if len(b) != 16*want {
		return nil, badFrame("sums have %d bytes instead of %d", len(b), 16*want)
	}
	out := make([]Sum, want)
	for i := range out {
		copy(out[i][:], b[16*i:])
	}
	return out, nil
}

// Entries: for each leaf its number, how many entries follow, and these.

const entryBytes = 32

func appendEntries(b []byte, leaf uint16, entries []Entry) []byte {
	b = binary.BigEndian.AppendUint16(b, leaf)
	b = binary.BigEndian.AppendUint32(b, uint32(len(entries)))
	for _, e := range entries {
		b = append(b, e.ID[:]...)
		b = binary.BigEndian.AppendUint64(b, e.Version)
		b = append(b, e.Hash[:]...)
	}
	return b
}

// readEntries calls f for each leaf of an answer.
func readEntries(b []byte, f func(leaf uint16, entries []Entry)) error {
	for len(b) > 0 {
		if len(b) < 6 {
			return badFrame("entries end within a leaf's head")
		}
		leaf, n := binary.BigEndian.Uint16(b), binary.BigEndian.Uint32(b[2:])
		b = b[6:]
		if leaf >= 4096 || uint64(n)*entryBytes > uint64(len(b)) {
			return badFrame("leaf %d announces %d entries, and %d bytes follow", leaf, n, len(b))
		}
		entries := make([]Entry, n)
		for i := range entries {
			e := b[entryBytes*i:]
			copy(entries[i].ID[:], e)
			entries[i].Version = binary.BigEndian.Uint64(e[16:])
			copy(entries[i].Hash[:], e[24:32])
		}
		f(leaf, entries)
		b = b[entryBytes*int(n):]
	}
	return nil
}

func readLeaves(b []byte) ([]uint16, error) {
	if len(b) == 0 || len(b)%2 != 0 || len(b) > 2*maxLeavesAsked {
		return nil, badFrame("a question for leaves has %d bytes", len(b))
	}
	out := make([]uint16, len(b)/2)
	for i := range out {
		if out[i] = binary.BigEndian.Uint16(b[2*i:]); out[i] >= 4096 {
			return nil, badFrame("there is no leaf %d", out[i])
		}
	}
	return out, nil
}

func readIDs(b []byte) ([]RecordID, error) {
	if len(b) == 0 || len(b)%16 != 0 || len(b) > 16*maxIDsAsked {
		return nil, badFrame("a question for records has %d bytes", len(b))
	}
	out := make([]RecordID, len(b)/16)
	for i := range out {
		copy(out[i][:], b[16*i:])
	}
	return out, nil
}

// readKindArgs reads a kind and the key to go on after, with a zero byte between.
func readKindArgs(b []byte) (kind, after string, err error) {
	for i, c := range b {
		if c == 0 {
			return string(b[:i]), string(b[i+1:]), nil
		}
	}
	return "", "", badFrame("a question for a kind names none")
}
