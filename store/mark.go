package store

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
)

// mark is the acknowledged length of the journal, in a file of its own: 16
// bytes of file header and two slots of 32 bytes that are written in turn, so
// that a torn write leaves the other one. It is not synced: it may lag behind
// the journal, never run ahead of it.
type mark struct {
	path string
	f    file
	next int64 // slot that is written next
	old  bool  // the file says an older version; the slots are the same
}

const (
	markMagic = "WEFTMRK\n"
	markSlot  = 32 // counter 8, segment 4, zero 4, length 8, zero 4, CRC32C of these 4
	markSize  = fileHeaderSize + 2*markSlot
)

// openMark opens or makes the mark and returns the place it names; segment 0 is
// none.
func openMark(fsys fileSystem, path string) (*mark, uint32, int64, error) {
	b := make([]byte, markSize)
	f, n, err := readMarkFile(fsys, path, b)
	if err == nil && n < markSize { // there is none, or an older program crashed while it made one
		if f != nil {
			err = f.Close()
		}
		if err = errors.Join(err, makeMark(fsys, path)); err == nil {
			f, n, err = readMarkFile(fsys, path, b)
		}
	}
	if err != nil {
		return nil, 0, 0, ioError("open the mark", path, err)
	}
	m := &mark{path: path, f: f}
	version, err := checkFileHeader(path, markMagic, b[:n])
	if err != nil {
		return nil, 0, 0, errors.Join(err, f.Close())
	}
	m.old = version < formatVersion
	counter, segment, length := readMark(b)
	m.next = int64(counter)
	return m, segment, length, nil
}

// readMarkFile opens the mark and reads it into b; no file is no bytes.
func readMarkFile(fsys fileSystem, path string, b []byte) (file, int, error) {
	f, err := fsys.Open(path, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	n, err := f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, n, nil
}

// makeMark makes a mark without a place. It has its name only when all of it is
// on the disk: a head that was written and not synced would be read as if it
// were there, and slots be written behind it, until the power goes. Where its name
// may not be on the disk it is taken back, since nobody would sync it later.
func makeMark(fsys fileSystem, path string) error {
	err := writeWhole(fsys, path, append(appendFileHeader(nil, markMagic), make([]byte, 2*markSlot)...))
	if err != nil {
		_ = fsys.Remove(path) // best effort; it is made again
	}
	return err
}

// readMark returns the newest whole slot of a mark's bytes.
func readMark(b []byte) (counter uint64, segment uint32, length int64) {
	for i := range 2 {
		s := b[fileHeaderSize+i*markSlot:][:markSlot]
		c := binary.LittleEndian.Uint64(s)
		if c > counter && frameCRC(s[:28], nil) == binary.LittleEndian.Uint32(s[28:]) {
			counter, segment = c, binary.LittleEndian.Uint32(s[8:])
			length = int64(binary.LittleEndian.Uint64(s[16:]))
		}
	}
	return counter, segment, length
}

// set says that the journal is acknowledged up to length in segment.
func (m *mark) set(segment uint32, length int64) {
	m.next++
	b := make([]byte, markSlot)
	binary.LittleEndian.PutUint64(b, uint64(m.next))
	binary.LittleEndian.PutUint32(b[8:], segment)
	binary.LittleEndian.PutUint64(b[16:], uint64(length))
	binary.LittleEndian.PutUint32(b[28:], frameCRC(b[:28], nil))
	_, _ = m.f.WriteAt(b, fileHeaderSize+m.next%2*markSlot)
}

// upgrade says the version of today: four bytes, of which one changes.
func (m *mark) upgrade() error {
	if !m.old {
		return nil
	}
	if _, err := m.f.WriteAt(appendFileHeader(nil, markMagic), 0); err != nil {
		return ioError("write the mark", m.path, err)
	}
	m.old = false
	return nil
}

func (m *mark) close() error {
	if m == nil || m.f == nil {
		return nil
	}
	err := m.f.Close()
	m.f = nil
	if errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return err
}
