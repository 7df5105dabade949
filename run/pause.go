package run

import (
	"context"
	"time"
)

// Pause waits for d, or until ctx ends, whose error it returns then. What is not to wait
// makes no timer: under the race detector, timers of one synctest bubble that two goroutines
// have fire at once can end the process (Go 1.26: they share a context without a lock).
func Pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
