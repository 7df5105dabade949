package meter

import (
	"container/list"
	"math"
	"math/bits"
)

// pace knows how long questions take at this node: those of a text, and those that
// read about as much.
type pace struct {
	texts map[string]*list.Element // of *textPace
	order *list.List               // the text that was asked last comes first
	sizes [sizes]seen              // by the power of two of the bytes
	moved bool                     // sizes are not in the books as they are
}

// sizes is one for each power of two of an int64.
const sizes = 64

// maxTexts is of how many texts it is known how long they take.
const maxTexts = 4096

// seen is how long some questions took, the later ones counting more.
type seen struct {
	Seconds float64
	Bytes   float64 // that they read
	N       int64
}

type textPace struct {
	text string
	seen
}

func newPace() *pace { return &pace{texts: map[string]*list.Element{}, order: list.New()} }

// newest is how much the newest question counts against those before.
const newest = 0.3

func (s *seen) add(seconds float64, bytes int64) {
	s.N++
	part := max(newest, 1/float64(s.N))
	s.Seconds += part * (seconds - s.Seconds)
	s.Bytes += part * (float64(bytes) - s.Bytes)
}

// scaled is how long it takes to read bytes, where the time grows with them.
func (s *seen) scaled(bytes int64) float64 {
	if s.Bytes < 1 || bytes < 1 {
		return s.Seconds
	}
	return s.Seconds * float64(bytes) / s.Bytes
}

func sizeOf(bytes int64) int { return bits.Len64(uint64(max(bytes, 0))) }

// What is assumed where nothing was asked yet: a moment, and what one core reads.
const (
	firstSeconds   = 0.005
	bytesPerSecond = 200 << 20
)

// nearSizes is how many powers of two away questions are still alike.
const nearSizes = 3

// predict says how many seconds a question will take.
func (p *pace) predict(text string, bytes int64) float64 {
	if e, ok := p.texts[text]; ok {
		return e.Value.(*textPace).scaled(bytes)
	}
	size := sizeOf(bytes)
	for d := range nearSizes + 1 {
		for _, i := range []int{size + d, size - d} {
			if i >= 0 && i < sizes && p.sizes[i].N > 0 {
				return p.sizes[i].scaled(bytes)
			}
		}
	}
	var all seen
	for _, s := range p.sizes {
		all.Seconds, all.Bytes = all.Seconds+s.Seconds, all.Bytes+s.Bytes
	}
	if all.Seconds > 0 && all.Bytes > 0 {
		return max(firstSeconds, all.scaled(bytes))
	}
	return firstSeconds + float64(bytes)/bytesPerSecond
}

// learn notes how long a question took.
func (p *pace) learn(text string, bytes int64, seconds float64) {
	if !(seconds >= 0) || math.IsInf(seconds, 0) {
		return
	}
	p.sizes[sizeOf(bytes)].add(seconds, bytes)
	p.moved = true
	if text == "" {
		return
	}
	e, ok := p.texts[text]
	if !ok {
		if p.order.Len() >= maxTexts {
			last := p.order.Back()
			delete(p.texts, last.Value.(*textPace).text)
			p.order.Remove(last)
		}
		e = p.order.PushFront(&textPace{text: text})
		p.texts[text] = e
	}
	p.order.MoveToFront(e)
	e.Value.(*textPace).add(seconds, bytes)
}
