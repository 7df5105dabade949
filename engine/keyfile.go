package engine

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
)

// Keys are the keys of a set, each with its number, wherever they lie.
type Keys interface {
	// size is the length of every key, 0 where they differ, how many there are and
	// how many bytes they have in all.
	size() (width, count int, bytes uint64)
	each(do func(key []byte, number int64) error) error
}

// JoinKeySets returns a new set with the keys of all of sets, which are of one width.
// None of them may grow meanwhile.
func JoinKeySets(width int, seed uint64, sets ...Keys) (*KeySet, error) {
	var count int
	var room uint64
	for _, o := range sets {
		w, n, bytes := o.size()
		if w != width {
			return nil, fmt.Errorf("a set of keys of %d bytes among sets of keys of %d", w, width)
		}
		count, room = count+n, room+bytes
	}
	k, err := NewKeySet(width, seed).Copy(count, room)
	for _, o := range sets {
		if err != nil {
			return nil, err
		}
		err = o.each(func(key []byte, number int64) error {
			k, err = k.Add(key, number)
			return err
		})
	}
	return k, err
}

func (k *KeySet) size() (width, count int, bytes uint64) { return k.width, k.count, uint64(k.used) }

func (k *KeySet) each(do func(key []byte, number int64) error) error {
	defer runtime.KeepAlive(k) // its memory goes with it
	for i := range k.count {
		if err := do(k.key(i), k.numbers[i]); err != nil {
			return err
		}
	}
	return nil
}

// Write writes the set as it is kept in a file, with its checksum and a word that
// says what it is of. The set must not grow meanwhile.
func (k *KeySet) Write(w io.Writer, of uint64) error {
	defer runtime.KeepAlive(k) // its memory goes with it
	head := append([]byte(nil), k.mem[:keySetHead]...)
	binary.LittleEndian.PutUint64(head[72:], of)
	sum := crc32.Update(crc32.Checksum(head, crcTable()), crcTable(), k.mem[keySetHead:])
	binary.LittleEndian.PutUint32(head[64:], sum)
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err := w.Write(k.mem[keySetHead:])
	return err
}

// KeyFile is a file that a set was written to. It is read in pieces and never held
// in memory as a whole. Safe for concurrent use where its reader is.
type KeyFile struct {
	r     io.ReaderAt
	head  [keySetHead]byte
	shape keySetShape
	bytes uint64 // of all keys
}

// keyPiece is how much of a file of keys is read at once.
const keyPiece = 256 << 10

// OpenKeyFile reads the head of a file of size bytes, which is to be of what Write
// was told.
func OpenKeyFile(r io.ReaderAt, size int64, of uint64) (*KeyFile, error) {
	f := &KeyFile{r: r}
	n, err := r.ReadAt(f.head[:min(size, keySetHead)], 0)
	if err != nil && (err != io.EOF || n < int(min(size, keySetHead))) {
		return nil, err
	}
	if f.shape, err = readShape(f.head[:n], size); err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint64(f.head[72:]) != of {
		return nil, fmt.Errorf("a set of keys that belongs to something else")
	}
	f.bytes = f.shape.width * f.shape.count
	if f.shape.width == 0 && f.shape.count > 0 {
		var end [8]byte
		if _, err := r.ReadAt(end[:], f.numbersAt()+8*int64(f.shape.capacity+f.shape.count-1)); err != nil {
			return nil, err
		}
		if f.bytes = binary.LittleEndian.Uint64(end[:]); f.bytes > f.shape.room {
			return nil, fmt.Errorf("a set of keys whose keys end behind it")
		}
	}
	return f, nil
}

// Len is the number of keys.
func (f *KeyFile) Len() int { return int(f.shape.count) }

// Check holds the file against its checksum.
func (f *KeyFile) Check() error {
	head := f.head
	want := binary.LittleEndian.Uint32(head[64:])
	copy(head[64:68], zeros[:4])
	sum := crc32.Checksum(head[:], crcTable())
	b := make([]byte, min(keyPiece, f.shape.size()-keySetHead))
	for at, size := int64(keySetHead), int64(f.shape.size()); at < size; {
		piece := b[:min(int64(len(b)), size-at)]
		if n, err := f.r.ReadAt(piece, at); err != nil && (err != io.EOF || n < len(piece)) {
			return err
		}
		sum = crc32.Update(sum, crcTable(), piece)
		at += int64(len(piece))
	}
	if sum != want {
		return fmt.Errorf("the checksum of a set of keys does not hold")
	}
	return nil
}

// numbersAt is where the numbers of the keys begin.
func (f *KeyFile) numbersAt() int64 { return keySetHead + 8*int64(f.shape.bloom+f.shape.slots) }

func (f *KeyFile) size() (width, count int, bytes uint64) {
	return int(f.shape.width), int(f.shape.count), f.bytes
}

// each reads the numbers, the ends and the keys side by side.
func (f *KeyFile) each(do func(key []byte, number int64) error) error {
	at := f.numbersAt()
	part := func(size uint64) *bufio.Reader {
		r := bufio.NewReaderSize(io.NewSectionReader(f.r, at, int64(size)), keyPiece)
		at += int64(size)
		return r
	}
	numbers := part(8 * f.shape.capacity)
	var ends *bufio.Reader
	if f.shape.width == 0 {
		ends = part(8 * f.shape.capacity)
	}
	keys := part(f.shape.room)
	var word [8]byte
	key := make([]byte, f.shape.width)
	from := uint64(0)
	for range f.shape.count {
		if ends != nil {
			if _, err := io.ReadFull(ends, word[:]); err != nil {
				return err
			}
			end := binary.LittleEndian.Uint64(word[:])
			if end < from || end > f.bytes {
				return fmt.Errorf("a set of keys whose keys do not lie one behind the other")
			}
			if n := int(end - from); n > cap(key) {
				key = make([]byte, n, 2*n)
			} else {
				key = key[:n]
			}
			from = end
		}
		if _, err := io.ReadFull(keys, key); err != nil {
			return err
		}
		if _, err := io.ReadFull(numbers, word[:]); err != nil {
			return err
		}
		if err := do(key, int64(binary.LittleEndian.Uint64(word[:]))); err != nil {
			return err
		}
	}
	return nil
}

func crcTable() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// readShape reads the head of a set of size bytes from its first bytes.
func readShape(b []byte, size int64) (keySetShape, error) {
	if len(b) < keySetHead || string(b[:8]) != keySetMagic {
		return keySetShape{}, fmt.Errorf("these %d bytes are no set of keys", size)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != keySetVersion {
		return keySetShape{}, fmt.Errorf("a set of keys of version %d", v)
	}
	n := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	s := keySetShape{
		width: uint64(binary.LittleEndian.Uint32(b[12:])), count: n(16), capacity: n(24),
		slots: n(32), bloom: n(40), room: n(48), seed: n(56),
	}
	return s, s.check(size)
}
