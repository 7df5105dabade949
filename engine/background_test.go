package engine

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBackgroundStepsBack holds that every thread of a worker in the background has
// the lower priority, those that a statement starts too, and no thread of another.
func TestBackgroundStepsBack(t *testing.T) {
	for _, back := range []bool{true, false} {
		s := testSession(t, func(c *SessionConfig) { c.Background, c.Threads = back, 4 })
		r, err := s.Query(context.Background(), Statement{SQL: "SELECT sum(hash(i)) FROM range(3000000) t(i)"})
		if err != nil {
			t.Fatal(err)
		}
		for r.Next() {
		}
		r.Release()
		want := 0
		if back {
			want = background
		}
		pid := s.(*session).proc.cmd.Process.Pid
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil || len(tasks) < 4 {
			t.Fatal(len(tasks), err)
		}
		for _, task := range tasks {
			id, _ := strconv.Atoi(task.Name())
			// The system call gives 20 less the niceness.
			if got, err := unix.Getpriority(unix.PRIO_PROCESS, id); err == nil && 20-got != want {
				name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/comm", pid, id))
				t.Errorf("background %v: thread %d of %d has niceness %d: %s", back, id, pid, 20-got, name)
			}
		}
	}
}
