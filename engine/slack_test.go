package engine

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTimersMayBeLate holds that a thread of the program has the slack that was set before
// the first one of the runtime's.
func TestTimersMayBeLate(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if ns, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err != nil || ns != 1_000_000 {
		t.Errorf("%d ns, %v", ns, err)
	}
}
