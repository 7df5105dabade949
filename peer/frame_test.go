package peer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"weft"
)

func TestFrames(t *testing.T) {
	var b []byte
	want := []frame{{framePing, nil}, {framePush, []byte("x")}, {frameAsk, bytes.Repeat([]byte{7}, maxFrame)}}
	for _, f := range want {
		b = appendFrame(b, f)
	}
	r := bytes.NewReader(b)
	for i, w := range want {
		f, err := readFrame(r)
		if err != nil || f.kind != w.kind || !bytes.Equal(f.body, w.body) {
			t.Errorf("frame %d: kind %d, %d bytes, %v", i, f.kind, len(f.body), err)
		}
	}
	if _, err := readFrame(r); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	for cut := 1; cut < frameHeader+1; cut++ {
		if _, err := readFrame(bytes.NewReader(appendFrame(nil, want[1])[:cut])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut off after %d bytes: %v", cut, err)
		}
	}
	// What is too long is refused before it is read or room is made for it.
	long := binary.BigEndian.AppendUint32(nil, 10<<20)
	if _, err := readFrame(bytes.NewReader(append(long, byte(framePush)))); weft.KindOf(err) != weft.KindInvalid {
		t.Errorf("10 MB: %v", err)
	}
}

// What foreign bytes say is either read whole or refused as a fault of who sent them.
func TestBadBodies(t *testing.T) {
	for name, err := range map[string]error{
		"half a length":     records([]byte{0, 0}, func([]byte) bool { return true }),
		"an empty record":   records([]byte{0, 0, 0, 0}, func([]byte) bool { return true }),
		"a cut record":      records([]byte{0, 0, 0, 9, 1}, func([]byte) bool { return true }),
		"a huge record":     records([]byte{255, 255, 255, 255, 1}, func([]byte) bool { return true }),
		"an empty question": readAskErr(nil),
		"no sums":           readSumsErr([]byte{3, 0, 0}),
		"a prefix of none":  readSumsErr([]byte{2, 0, 64}),
		"a prefix of all":   readSumsErr([]byte{0, 0, 1}),
		"no leaf":           readLeavesErr(nil),
		"half a leaf":       readLeavesErr([]byte{1}),
		"a leaf too far":    readLeavesErr([]byte{16, 0}),
		"too many leaves":   readLeavesErr(make([]byte, 2*maxLeavesAsked+2)),
		"half an id":        readIDsErr(make([]byte, 15)),
		"too many ids":      readIDsErr(make([]byte, 16*maxIDsAsked+16)),
		"no kind":           readKindErr([]byte("card")),
		"half a leaf's":     readEntries([]byte{0, 0, 0}, func(uint16, []Entry) {}),
		"entries of none":   readEntries([]byte{0, 0, 255, 255, 255, 255}, func(uint16, []Entry) {}),
		"a short answer":    readAnswerErr([]byte{1}),
	} {
		if weft.KindOf(err) != weft.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func readAskErr(b []byte) error    { _, _, _, err := readAsk(b); return err }
func readSumsErr(b []byte) error   { _, _, err := readSumsArgs(b); return err }
func readLeavesErr(b []byte) error { _, err := readLeaves(b); return err }
func readIDsErr(b []byte) error    { _, err := readIDs(b); return err }
func readKindErr(b []byte) error   { _, _, err := readKindArgs(b); return err }
func readAnswerErr(b []byte) error { _, _, err := readAnswer(b); return err }

// FuzzFrames reads foreign bytes as a link does, and all that a frame may hold.
func FuzzFrames(f *testing.F) {
	f.Add(appendFrame(nil, frame{framePush, appendRecord(nil, []byte("{}\n{}\n"))}))
	f.Add(appendFrame(nil, newAsk(1, askSums, sumsArgs(2, 63))))
	f.Add(appendFrame(nil, newAsk(2, askKind, kindArgs("card", "a.b"))))
	f.Add(appendFrame(nil, newAnswer(2, appendEntries(nil, 5, []Entry{{Version: 3}}))))
	set := newSet(nil, nil, nil)
	n := &network{set: set}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		for {
			fr, err := readFrame(r)
			if err != nil {
				if fr.body != nil {
					t.Error("a frame that is not whole has a body")
				}
				return
			}
			if len(fr.body) > maxFrame {
				t.Errorf("a frame has %d bytes", len(fr.body))
			}
			total := 0
			_ = records(fr.body, func(raw []byte) bool {
				total += len(raw)
				return true
			})
			if total > len(fr.body) {
				t.Errorf("records have %d bytes of %d", total, len(fr.body))
			}
			_ = readEntries(fr.body, func(leaf uint16, e []Entry) {
				if !bytes.Contains(fr.body, appendEntries(nil, leaf, e)) {
					t.Error("entries are not what was written")
				}
			})
			if _, q, args, err := readAsk(fr.body); err == nil {
				if a, err := n.answer(q, args); err == nil && len(a) > maxFrame {
					t.Errorf("an answer has %d bytes", len(a))
				}
			}
		}
	})
}
