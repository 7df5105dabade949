package engine

import (
	"math/bits"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// The frames of large answers are some megabytes each. Their memory is taken again for
// later ones, as soon as the last array over it was released: clearing new memory and
// collecting it costs more than all that is done with the rows between two nodes.

const (
	leastFrameClass = 16 // 64 KB: smaller ones are not worth it
	mostFrameClass  = 26 // 64 MB
)

// frameMemory has memory by its size, a power of two.
var frameMemory [mostFrameClass + 1]sync.Pool

// poisoned says that memory that was given back is overwritten, so that whoever still
// reads it is found out: so it is under the race detector.
var poisoned = raced

// newFrame gives memory for n bytes, with what was in it before.
func newFrame(n int) []byte {
	class := bits.Len(uint(max(n, 1) - 1))
	if class < leastFrameClass || class > mostFrameClass {
		return make([]byte, n)
	}
	if p, ok := frameMemory[class].Get().(*[]byte); ok {
		return (*p)[:n]
	}
	return make([]byte, n, 1<<class)
}

// freeFrame takes memory back that newFrame gave, or other memory, which is left alone.
func freeFrame(b []byte) {
	b = b[:cap(b)]
	class := bits.Len(uint(max(len(b), 1) - 1))
	if len(b) != 1<<class || class < leastFrameClass || class > mostFrameClass {
		return
	}
	if poisoned {
		for i := range b {
			b[i] = 0xdb
		}
	}
	frameMemory[class].Put(&b)
}

// frameOwner is a memory.Allocator for buffers over a frame: with the last of them the
// frame is given back.
type frameOwner struct{}

// Allocate and Reallocate are never asked of it: nothing of a frame grows.
func (frameOwner) Allocate(size int) []byte { return make([]byte, size) }

func (frameOwner) Reallocate(size int, b []byte) []byte {
	return append(make([]byte, 0, size), b...)[:size]
}
func (frameOwner) Free(b []byte) { freeFrame(b) }

// ownedFrame is a frame of newFrame as a buffer, to be released.
func ownedFrame(b []byte) *memory.Buffer { return memory.NewBufferWithAllocator(b, frameOwner{}) }
