package node

import (
	"context"
	"sync"
	"time"

	"weft"
)

// work counts what runs in the node, so that a stop can refuse what is new and
// wait for the rest. The zero value is ready; safe for concurrent use.
type work struct {
	mu       sync.Mutex
	running  int
	stopping bool
	idle     chan struct{} // closed when nothing runs any more, while stopping
}

// begin takes note of something that a stop waits for, until the returned
// function is called, once. A node that stops takes nothing new.
func (w *work) begin(op, subject string) (end func(), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopping {
		return nil, stoppingError(op, subject)
	}
	w.running++
	return w.end, nil
}

func (w *work) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running--; w.running == 0 && w.stopping {
		close(w.idle)
	}
}

// stop refuses what is new from now on; the channel is closed when nothing runs.
func (w *work) stop() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopping {
		w.stopping, w.idle = true, make(chan struct{})
		if w.running == 0 {
			close(w.idle)
		}
	}
	return w.idle
}

// state says whether the node stops, and what runs.
func (w *work) state() (stopping bool, running int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stopping, w.running
}

func stoppingError(op, subject string) error {
	return weft.Errorf(weft.KindUnavailable, op, subject, "the node is stopping").WithHint("ask again when it has started")
}

// drain waits until what runs has ended, at most for the configured time, and
// says how it went.
func (n *Node) drain() {
	began := time.Now()
	idle := n.work.stop()
	_, running := n.work.state()
	n.env.Log.Info("stopping: nothing new is taken", "running", running)
	late := time.NewTimer(n.cfg.Drain)
	defer late.Stop()
	select {
	case <-idle:
		n.env.Log.Info("drained", "seconds", time.Since(began).Seconds())
	case <-late.C:
		_, running = n.work.state()
		n.env.Log.Warn("what runs did not end in time and is cut off", "running", running, "after", n.cfg.Drain.String())
	}
}

// serve runs the door until ctx ends, then drains and closes it. The door stays
// open meanwhile: probes learn that the node stops, and what is new is refused
// in so many words.
func (n *Node) serve(ctx context.Context, cutOff func()) error {
	open, shut := context.WithCancel(context.WithoutCancel(ctx))
	defer shut()
	done := make(chan error, 1)
	go func() { done <- n.server.Run(open) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	n.drain()
	cutOff()
	shut()
	return <-done
}
