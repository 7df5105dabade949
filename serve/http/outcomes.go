package http

import (
	"sync"

	"weft/serve"
)

// outcomes remembers what became of the last streamed answers, so that a reader
// whose stream broke can ask why: after the first byte HTTP has no place left
// for an error that every reader would see.
type outcomes struct {
	mu   sync.Mutex
	ring []outcome
	next int
}

type outcome struct {
	token string
	serve.RequestOutcome
}

func newOutcomes(size int) *outcomes { return &outcomes{ring: make([]outcome, size)} }

func (o *outcomes) put(x outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ring[o.next] = x
	o.next = (o.next + 1) % len(o.ring)
}

// get finds a request of the token, or of any token for an administrator.
func (o *outcomes) get(id string, who *serve.Identity) (serve.RequestOutcome, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, x := range o.ring {
		if x.Request == id && id != "" && (x.token == who.Token || who.May()) {
			return x.RequestOutcome, true
		}
	}
	return serve.RequestOutcome{}, false
}
