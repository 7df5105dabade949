package node

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"weft/engine"
)

// peerPace is how fast another node has to answer: so many bytes in so long, or that it
// says that it is at work. A load must not wait for ever for one that sends a byte now and
// then.
type peerPace struct {
	every time.Duration
	bytes int64
}

var defaultPace = peerPace{every: time.Minute, bytes: 64 << 10}

// errSlowPeer ends the wait for a node that sends too little.
var errSlowPeer = errors.New("the other node is too slow")

// pacing watches how fast another node answers, and ends the context where that is
// too slow.
type pacing struct {
	pace   peerPace
	ctx    context.Context // that it ends
	cancel context.CancelCauseFunc
	timer  *time.Timer
	got    atomic.Int64
	held   atomic.Bool
}

func (n *Node) startPace(ctx context.Context) (context.Context, *pacing) {
	w := &pacing{pace: n.pace}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	started := make(chan struct{})
	w.timer = time.AfterFunc(w.pace.every, func() {
		<-started
		if got := w.got.Swap(0); got < w.pace.bytes && !w.held.Load() {
			w.cancel(errSlowPeer)
			return
		}
		w.timer.Reset(w.pace.every)
	})
	close(started)
	return w.ctx, w
}

// hold stops the watch while the other node is not waited for.
func (w *pacing) hold() { w.held.Store(true) }

func (w *pacing) resume() {
	w.got.Store(w.pace.bytes) // a full measure from here
	w.held.Store(false)
}

// works says that the other node is at work on what it will send.
func (w *pacing) works() { w.got.Store(w.pace.bytes) }

// why is err, or that the other node was too slow, where that ended the context.
func (w *pacing) why(err error) error {
	if err != nil && errors.Is(context.Cause(w.ctx), errSlowPeer) {
		return errSlowPeer
	}
	return err
}

func (w *pacing) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// pacedBody counts what comes.
type pacedBody struct {
	io.ReadCloser
	watch *pacing
}

func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.watch.got.Add(int64(n))
	return n, err
}

// beat tells another node that waits for rows that this one is at work on them, as long as
// none go out. What else is written is written under its lock.
type beat struct {
	sync.Mutex
	stop chan struct{}
	done sync.WaitGroup
}

// startBeat begins, after the section that comes before the rows has gone out.
func (n *Node) startBeat(w http.ResponseWriter) *beat {
	b := &beat{stop: make(chan struct{})}
	every := time.NewTicker(n.pace.every / 4)
	b.done.Go(func() {
		defer every.Stop()
		for {
			select {
			case <-b.stop:
				return
			case <-every.C:
			}
			if !b.TryLock() { // something goes out
				continue
			}
			err := engine.WriteWork(w)
			if err == nil {
				err = http.NewResponseController(w).Flush()
			}
			b.Unlock()
			if err != nil {
				return // whoever writes next finds out, too
			}
		}
	})
	return b
}

// end ends it, before the request does. Of nil it does nothing.
func (b *beat) end() {
	if b != nil {
		close(b.stop)
		b.done.Wait()
	}
}
