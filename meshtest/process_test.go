package meshtest_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"weft/meshtest"
)

func TestMain(m *testing.M) {
	if meshtest.Child() {
		return
	}
	os.Exit(m.Run())
}

// sameRoots reports whether all processes hold the same.
func sameRoots(t *testing.T, all []*meshtest.Process) bool {
	root := all[0].Ask(t, "root")
	for _, p := range all[1:] {
		if p.Ask(t, "root") != root {
			return false
		}
	}
	return true
}

// TestProcesses tries the same faults with processes of their own, whose connections
// are delayed, lose bytes, and are cut.
func TestProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts processes and takes half a minute")
	}
	var all []*meshtest.Process
	for i := range 6 {
		all = append(all, meshtest.StartProcess(t, i+1))
	}
	all[0].Ask(t, "found")
	for _, p := range all[1:] {
		p.Ask(t, "join", all[0].Ask(t, "invite"))
	}
	say := func(text string) {
		for i, p := range all {
			p.Ask(t, "card", product(i), text)
		}
	}
	settled := func(what string, who []*meshtest.Process) {
		t.Helper()
		d := meshtest.Within(t, 3*period, 20*time.Millisecond, what, func() bool { return sameRoots(t, who) })
		t.Logf("%s within %s", what, d.Round(time.Millisecond))
	}
	say("first")
	settled("all know the first cards", all)

	// A bad line: late, with losses, and one process that stops for a while.
	for _, p := range all {
		p.Relay.Set("", meshtest.Line{Delay: 20 * time.Millisecond, Loss: 0.2})
	}
	all[2].Signal(t, syscall.SIGSTOP)
	for i, p := range all {
		if i != 2 {
			p.Ask(t, "card", product(i), "bad")
		}
	}
	time.Sleep(5 * time.Second)
	all[2].Signal(t, syscall.SIGCONT)
	settled("all know what was said over a bad line", all)

	// Cut in two: each side hears nothing of the other, and both go on.
	for _, p := range all {
		p.Relay.Set("", meshtest.Line{})
	}
	cut := func(yes bool) {
		for i, p := range all {
			for j, q := range all {
				if i%2 != j%2 {
					p.Relay.Set(q.IP, meshtest.Line{Cut: yes})
				}
			}
		}
	}
	cut(true)
	say("apart")
	time.Sleep(6 * time.Second)
	if sameRoots(t, all) {
		t.Error("the processes were not cut off from each other")
	}
	cut(false)
	begin := time.Now()
	settled("both sides hold the same", all)
	if d := time.Since(begin); d > period+time.Second { // two cores may be busy with other tests
		t.Errorf("it took %s", d)
	}
	for i := range all {
		for _, p := range all {
			if got := p.Ask(t, "purpose", product(i)); got != "apart" {
				t.Errorf("%s says of product %d %q", p.Name, i, got)
			}
		}
	}

	// Half of them die.
	for _, p := range all[:3] {
		p.Signal(t, syscall.SIGKILL)
	}
	all[4].Ask(t, "card", "sales.late", "alive")
	settled("those that are left hold the same", all[3:])
	for _, p := range all[3:] {
		if got := p.Ask(t, "purpose", "sales.late"); got != "alive" {
			t.Errorf("%s says %q", p.Name, got)
		}
		for i := range all {
			if got := p.Ask(t, "purpose", fmt.Sprint("sales.p", i)); got != "apart" {
				t.Errorf("%s has lost product %d: %q", p.Name, i, got)
			}
		}
	}
}
