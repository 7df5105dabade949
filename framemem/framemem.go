// Package framemem gives memory for the batches of large answers and takes it back: they
// are some megabytes each, and to clear new memory and to collect it costs more than all
// that is done with their rows on the way.
package framemem

import (
	"math/bits"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

const (
	leastClass = 16 // 64 KB: smaller ones are not worth it
	mostClass  = 26 // 64 MB
)

// free has memory by its size, a power of two.
var free [mostClass + 1]sync.Pool

// poisoned says that memory that was given back is overwritten, so that whoever still
// reads it is found out.
var poisoned = raced

// Poison turns that on or off and says what it was: for tests, one at a time.
func Poison(on bool) (was bool) {
	was, poisoned = poisoned, on
	return was
}

// New gives memory for n bytes, with what was in it before. Safe for concurrent use.
func New(n int) []byte {
	class := bits.Len(uint(max(n, 1) - 1))
	if class < leastClass || class > mostClass {
		return make([]byte, n)
	}
	if p, ok := free[class].Get().(*[]byte); ok {
		return (*p)[:n]
	}
	return make([]byte, n, 1<<class)
}

// Free takes memory back that New gave, or other memory, which is left alone. Safe for
// concurrent use; nobody may read b afterwards.
func Free(b []byte) {
	b = b[:cap(b)]
	class := bits.Len(uint(max(len(b), 1) - 1))
	if len(b) != 1<<class || class < leastClass || class > mostClass {
		return
	}
	if poisoned {
		for i := range b {
			b[i] = 0xdb
		}
	}
	free[class].Put(&b)
}

// Allocator has Arrow take its memory from here; a buffer's is given back with the last
// array over it that is released. It is not cleared, so that it is for buffers that are
// filled as a whole, as those of Arrow's streams are.
type Allocator struct{}

var _ memory.Allocator = Allocator{}

// Allocate gives memory for size bytes, as New does.
func (Allocator) Allocate(size int) []byte { return New(size) }

// Reallocate gives memory for size bytes that begins with what b has.
func (Allocator) Reallocate(size int, b []byte) []byte {
	if size <= cap(b) {
		return b[:size]
	}
	more := New(size)
	copy(more, b)
	Free(b)
	return more
}

// Free takes memory back, as the function does.
func (Allocator) Free(b []byte) { Free(b) }

// Owned is memory that New gave as a buffer, to be released.
func Owned(b []byte) *memory.Buffer { return memory.NewBufferWithAllocator(b, Allocator{}) }
