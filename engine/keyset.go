package engine

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// KeySet is a set of keys, each with a number, laid out so that a worker can ask
// it without building anything: weft_unchanged('name', since, key, …) in SQL. It only
// grows, by one goroutine at a time; workers read it meanwhile, and so may other
// goroutines what was in it before.
//
// The layout, all numbers little-endian, every part at a multiple of eight bytes:
//
//	  0  magic "WEFTKEYS"
//	  8  version (4), width of a key (4), 0 where keys differ in length
//	 16  count, capacity, slots, bloom, room: 8 bytes each
//	 56  seed
//	 64  CRC-32C of the file (4), which counts as zero for that; zero (4)
//	 72  what the set is of, in a file (8), and zeros up to 128
//	128  bloom words, slots, numbers of the keys, [ends of the keys,] keys
//
// A bloom word has four bits of each key that falls on it. A slot is zero, or the
// upper half of a key's hash and its position, counted from 1, below that.
type KeySet struct {
	mem     []byte
	file    *os.File // the memory file that mem is mapped from; nil for a set in memory of the process
	width   int
	seed    uint64
	bloom   []uint64
	slots   []uint64
	numbers []int64
	ends    []uint64
	keys    []byte
	count   int
	used    int // bytes of keys
	shift   uint
}

// MaxKeyColumns is how many columns a key may have that weft_unchanged is asked for:
// MAX_COLUMNS of keycode.h.
const MaxKeyColumns = 64

// KeySetSeedAt is where in a file of keys the seed stands.
const KeySetSeedAt = 56

const (
	keySetMagic   = "WEFTKEYS"
	keySetVersion = 1
	keySetHead    = 128
	leastKeys     = 64
	// sharedFrom is the size from which a set lies in a memory file that workers
	// map; a smaller one is handed over with each statement.
	sharedFrom = 64 << 10
	maxKeys    = 1<<32 - 2
)

// keySetShape is what the head of a set says.
type keySetShape struct {
	width, count, capacity, slots, bloom, room, seed uint64
}

// size is the number of bytes of a set of this shape.
func (s keySetShape) size() uint64 {
	n := keySetHead + 8*(s.bloom+s.slots+s.capacity)
	if s.width == 0 {
		n += 8 * s.capacity
	}
	return n + (s.room+7)&^7
}

// check holds the shape against the number of bytes that there are.
func (s keySetShape) check(have int64) error {
	const most = 1 << 40
	for _, v := range []uint64{s.capacity, s.slots, s.bloom, s.room} {
		if v > most {
			return fmt.Errorf("a set of keys with impossible sizes")
		}
	}
	switch {
	case s.width > 1<<12, s.capacity > maxKeys, s.count > s.capacity,
		bits.OnesCount64(s.slots) != 1, s.slots < 2, bits.OnesCount64(s.bloom) != 1,
		s.width > 0 && s.room != s.width*s.capacity, s.size() != uint64(have):
		return fmt.Errorf("a set of keys of %d bytes whose head does not fit", have)
	}
	return nil
}

// shapeOf makes the shape of a set for capacity keys of room bytes in all.
func shapeOf(width, capacity int, room, seed uint64) keySetShape {
	s := keySetShape{width: uint64(width), capacity: uint64(capacity), room: room, seed: seed}
	if width > 0 {
		s.room = s.width * s.capacity
	}
	s.slots = 1 << bits.Len64(uint64(2*capacity-1))
	s.bloom = 1 << bits.Len64(max(s.capacity/4, 2)-1) // at least 16 bits a key
	return s
}

// NewKeySet returns an empty set. Width is the length of every key in bytes, 0
// where they differ. The seed keeps whoever chooses the keys from choosing how
// fast they are found; sets that are asked together are fastest with one seed.
func NewKeySet(width int, seed uint64) *KeySet {
	k, err := makeKeySet(shapeOf(width, leastKeys, 16*leastKeys, seed), false)
	if err != nil {
		panic(err) // memory of the process alone is used
	}
	return k
}

// makeKeySet makes an empty set of a shape, in a memory file where shared is set.
func makeKeySet(s keySetShape, shared bool) (*KeySet, error) {
	k := &KeySet{}
	if n := s.size(); shared {
		f, mem, err := sharedMemory("weft-keys", int64(n))
		if err != nil {
			return nil, err
		}
		k.file, k.mem = f, mem
		runtime.AddCleanup(k, func(m []byte) { _ = unix.Munmap(m) }, mem)
	} else {
		k.mem = wordMemory(n)
	}
	copy(k.mem, keySetMagic)
	binary.LittleEndian.PutUint32(k.mem[8:], keySetVersion)
	binary.LittleEndian.PutUint32(k.mem[12:], uint32(s.width))
	for i, v := range []uint64{0, s.capacity, s.slots, s.bloom, s.room, s.seed} {
		binary.LittleEndian.PutUint64(k.mem[16+8*i:], v)
	}
	k.lay(s)
	return k, nil
}

// lay points into mem, whose size was held against the shape.
func (k *KeySet) lay(s keySetShape) {
	k.width, k.seed = int(s.width), s.seed
	k.shift = uint(64 - bits.Len64(s.slots-1))
	at := keySetHead
	words := func(n uint64) unsafe.Pointer {
		p := unsafe.Pointer(&k.mem[at])
		at += int(8 * n)
		return p
	}
	k.bloom = unsafe.Slice((*uint64)(words(s.bloom)), s.bloom)
	k.slots = unsafe.Slice((*uint64)(words(s.slots)), s.slots)
	k.numbers = unsafe.Slice((*int64)(words(s.capacity)), s.capacity)
	if s.width == 0 {
		k.ends = unsafe.Slice((*uint64)(words(s.capacity)), s.capacity)
	}
	k.keys = k.mem[at : at+int(s.room)]
}

// Add puts a key into the set with its number; a key that is there keeps the
// lesser one. It returns the set that has it: a larger one where this one was full,
// which keeps what it has.
func (k *KeySet) Add(key []byte, number int64) (*KeySet, error) {
	h := hashKey(key, k.seed)
	at, slot := k.find(key, h)
	if at >= 0 {
		if number < k.numbers[at] {
			atomic.StoreInt64(&k.numbers[at], number)
		}
		return k, nil
	}
	if k.width > 0 && len(key) != k.width {
		return k, fmt.Errorf("a key of %d bytes in a set of keys of %d", len(key), k.width)
	}
	if k.count == len(k.numbers) || k.used+len(key) > len(k.keys) {
		grown, err := k.grow(len(key))
		if err != nil {
			return k, err
		}
		k = grown
		_, slot = k.find(key, h)
	}
	at = k.count
	copy(k.keys[k.used:], key)
	k.used += len(key)
	if k.ends != nil {
		k.ends[at] = uint64(k.used)
	}
	k.numbers[at] = number
	k.publish(h, slot, at)
	k.count++
	binary.LittleEndian.PutUint64(k.mem[16:], uint64(k.count))
	return k, nil
}

// publish makes a key findable, after all that is known of it was written.
func (k *KeySet) publish(h uint64, slot, at int) {
	w := &k.bloom[h>>24&uint64(len(k.bloom)-1)]
	atomic.StoreUint64(w, *w|1<<(h&63)|1<<(h>>6&63)|1<<(h>>12&63)|1<<(h>>18&63))
	atomic.StoreUint64(&k.slots[slot], h>>32<<32|uint64(at+1))
}

// find returns a key's position, or -1 and the slot that is free for it.
func (k *KeySet) find(key []byte, h uint64) (at, slot int) {
	mask := len(k.slots) - 1
	for slot = int(h * 0x9e3779b97f4a7c15 >> k.shift); ; slot = (slot + 1) & mask {
		v := k.slots[slot]
		if v == 0 {
			return -1, slot
		}
		if v>>32 != h>>32 {
			continue
		}
		if at = int(v&0xffffffff) - 1; string(k.key(at)) == string(key) {
			return at, slot
		}
	}
}

func (k *KeySet) key(at int) []byte {
	if k.width > 0 {
		return k.keys[at*k.width : (at+1)*k.width]
	}
	from := uint64(0)
	if at > 0 {
		from = k.ends[at-1]
	}
	return k.keys[from:k.ends[at]]
}

// grow returns a set with at least twice the room and all that k has.
func (k *KeySet) grow(more int) (*KeySet, error) {
	capacity := len(k.numbers)
	if k.count == capacity {
		capacity *= 2
	}
	if capacity > maxKeys {
		return k, fmt.Errorf("more than %d keys in one set", maxKeys)
	}
	return k.Copy(capacity, uint64(max(2*(k.used+more), len(k.keys))))
}

// Copy returns a set with the keys of k and room for capacity keys of room bytes
// in all.
func (k *KeySet) Copy(capacity int, room uint64) (*KeySet, error) {
	s := shapeOf(k.width, max(capacity, leastKeys), room, k.seed)
	var big *KeySet
	var err error
	if s.size() >= sharedFrom {
		big, err = makeKeySet(s, true)
	}
	if big == nil || err != nil { // a process without room for files copies it each time
		if big, err = makeKeySet(s, false); err != nil {
			return k, err
		}
	}
	copy(big.keys, k.keys[:k.used])
	copy(big.ends, k.ends[:min(k.count, len(k.ends))])
	copy(big.numbers, k.numbers[:k.count])
	big.used = k.used
	for i := range k.count {
		h := hashKey(k.key(i), k.seed)
		slot := int(h * 0x9e3779b97f4a7c15 >> big.shift)
		for big.slots[slot] != 0 {
			slot = (slot + 1) & (len(big.slots) - 1)
		}
		big.publish(h, slot, i)
	}
	big.count = k.count
	binary.LittleEndian.PutUint64(big.mem[16:], uint64(big.count))
	runtime.KeepAlive(k)
	return big, nil
}

// Still returns what k has now, for workers to read while k grows: k itself where
// they map its memory, else a copy. The set must not grow during the call.
func (k *KeySet) Still() *KeySet {
	if k.file != nil {
		return k
	}
	c := &KeySet{mem: wordMemory(uint64(len(k.mem))), count: k.count, used: k.used}
	copy(c.mem, k.mem)
	s, err := readShape(c.mem, int64(len(c.mem)))
	if err != nil {
		panic(err) // it was laid out by that shape
	}
	c.lay(s)
	return c
}

// wordMemory is memory of the process for numbers of eight bytes.
func wordMemory(size uint64) []byte {
	w := make([]uint64, size/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(&w[0])), size)
}

// hashKey is what keyset.c has as hash.
func hashKey(key []byte, seed uint64) uint64 {
	h := seed + uint64(len(key))*0x9e3779b97f4a7c15
	for ; len(key) >= 8; key = key[8:] {
		h = mixKey(h ^ binary.LittleEndian.Uint64(key))
	}
	if len(key) > 0 {
		var w [8]byte
		copy(w[:], key)
		h = mixKey(h ^ binary.LittleEndian.Uint64(w[:]))
	}
	return h
}

func mixKey(h uint64) uint64 {
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}
