package replicate

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// errQuiet ends the wait for an origin that sends nothing, or next to nothing.
var errQuiet = errors.New("the other node sends nothing")

// leastBytes is how much has to come in a quiet time where nothing came to its end.
const leastBytes = 32 << 10

// watch ends a context where the other side goes quiet.
type watch struct {
	every  time.Duration
	cancel context.CancelCauseFunc
	timer  *time.Timer
	bytes  atomic.Int64
	ends   atomic.Int64 // frames that came to their end
	held   atomic.Bool
}

func startWatch(ctx context.Context, every time.Duration) (context.Context, *watch) {
	w := &watch{every: every}
	ctx, w.cancel = context.WithCancelCause(ctx)
	ready := make(chan struct{})
	w.timer = time.AfterFunc(every, func() {
		<-ready
		if w.bytes.Swap(0) < leastBytes && w.ends.Swap(0) == 0 && !w.held.Load() {
			w.cancel(errQuiet)
			return
		}
		w.timer.Reset(w.every)
	})
	close(ready)
	return ctx, w
}

// busy stops the watch while this side is what takes time, until the function that it
// gives is called.
func (w *watch) busy() (done func()) {
	w.held.Store(true)
	return func() {
		w.ends.Add(1) // a full measure from here
		w.held.Store(false)
	}
}

func (w *watch) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// reader counts what comes.
func (w *watch) reader(r io.Reader) io.Reader { return &watched{r, w} }

type watched struct {
	r io.Reader
	w *watch
}

// Read is of io.Reader.
func (r *watched) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.w.bytes.Add(int64(n))
	return n, err
}

// why is err, or that the other side went quiet, where that ended ctx.
func why(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errQuiet) {
		return errQuiet
	}
	return err
}

// readFull fills b as far as r goes.
func readFull(r io.Reader, b []byte) (int, error) {
	n, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, err
}
