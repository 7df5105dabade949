package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// report collects the figures of one run.
type report struct {
	options options
	lines   []line
}

// line is one figure beside what was asked.
type line struct {
	what     string
	weft     string
	yard     string
	figure   string
	asked    string
	kept     bool
	measured bool // false where nothing was asked
}

// sample is one measured quantity over several rounds.
type sample []float64

func (s sample) sorted() sample {
	c := slices.Clone(s)
	slices.Sort(c)
	return c
}

// median is the middle value, or the mean of the two.
func (s sample) median() float64 {
	c := s.sorted()
	if len(c) == 0 {
		return 0
	}
	if n := len(c); n%2 == 0 {
		return (c[n/2-1] + c[n/2]) / 2
	}
	return c[len(c)/2]
}

func (s sample) sum() (all float64) {
	for _, v := range s {
		all += v
	}
	return all
}

// seconds prints median and spread of times in seconds.
func (s sample) seconds() string {
	c := s.sorted()
	return fmt.Sprintf("%s (%s–%s)", short(s.median()), short(c[0]), short(c[len(c)-1]))
}

func short(s float64) string {
	switch {
	case s < 0.001:
		return fmt.Sprintf("%.0f µs", s*1e6)
	case s < 1:
		return fmt.Sprintf("%.3g ms", s*1e3)
	}
	return fmt.Sprintf("%.3g s", s)
}

// ratios divides round by round, so that a machine that drifts does not count.
func ratios(a, b sample) sample {
	var out sample
	for i := range a {
		out = append(out, a[i]/b[i])
	}
	return out
}

func (r *report) add(l line) { r.lines = append(r.lines, l) }

func (r *report) String() string {
	var b strings.Builder
	b.WriteString("# Figures\n\nWritten by `make bench`, in one run. Times are medians with the least and the most in brackets, or the percentiles that are named. ")
	b.WriteString("A yardstick that has a time or a rate was measured in turn with Weft, but for what runs beside a load: there it is the same without the load, taken before. ")
	b.WriteString("A ratio is the median of the ratios of the rounds, or that of the percentiles that are named. Where nothing was asked, or not of this size, no verdict stands.\n\n")
	fmt.Fprintf(&b, "- %s, %s\n- %s, commit %s\n- %d rows where no other number stands, %d rounds\n\n", time.Now().UTC().Format("2006-01-02"), machine(),
		runtime.Version(), output("git", "describe", "--always", "--dirty"), r.options.rows, r.options.rounds)
	b.WriteString("| what | Weft | yardstick | figure | asked | kept |\n|---|---|---|---|---|---|\n")
	for _, l := range r.lines {
		kept := "—"
		if l.measured {
			kept = "no"
			if l.kept {
				kept = "yes"
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", l.what, l.weft, l.yard, l.figure, l.asked, kept)
	}
	return b.String()
}

// machine says what the figures were measured on.
func machine() string {
	cpu := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for l := range strings.SplitSeq(string(b), "\n") {
			if _, v, ok := strings.Cut(l, ":"); ok && strings.HasPrefix(l, "model name") {
				cpu = strings.TrimSpace(v)
				break
			}
		}
	}
	var i unix.Sysinfo_t
	_ = unix.Sysinfo(&i) // zero memory in the page says enough
	return fmt.Sprintf("%d cores (%s), %d GB of memory, %s/%s", runtime.NumCPU(), cpu, int64(i.Totalram)*int64(i.Unit)>>30, runtime.GOOS, runtime.GOARCH)
}

func output(name string, args ...string) string {
	b, err := exec.Command(name, args...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}
