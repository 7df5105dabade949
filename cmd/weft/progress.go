package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"weft/serve"
)

// progressLine shows how far long work is: on a terminal one line that is drawn
// again, elsewhere nothing but what is printed before and after.
type progressLine struct {
	a     *app
	last  time.Time
	what  string    // phase and table of the events at present
	began time.Time // of the first of these
}

// redraw is how often the line is drawn at most.
const redraw = 100 * time.Millisecond

func (a *app) progress() *progressLine { return &progressLine{a: a} }

// event draws what e says. It is a serve.Progress.
func (l *progressLine) event(e serve.Event) {
	p := l.a.err
	if !p.tty {
		return
	}
	l.a.drawing.Lock()
	defer l.a.drawing.Unlock()
	now := time.Now()
	if what := e.Phase + e.Product + e.Table; what != l.what {
		l.what, l.began = what, now
	}
	if now.Sub(l.last) < redraw {
		return
	}
	l.last, l.a.drawn = now, true
	p.printf("\r\x1b[2K%s", runewidth.Truncate(clean(eventWords(e, now.Sub(l.began))), max(p.width-1, 10), "…"))
}

// clear takes the line off the terminal.
func (l *progressLine) clear() {
	l.a.drawing.Lock()
	defer l.a.drawing.Unlock()
	if l.a.drawn {
		l.a.err.printf("\r\x1b[2K")
		l.a.drawn = false
	}
}

// steady is how long work must have run for its rate to mean something.
const steady = 300 * time.Millisecond

// eventWords writes an event as one line: what, how much, how fast, how long. It
// has been going on for took.
func eventWords(e serve.Event, took time.Duration) string {
	w := []string{strings.Join(strings.Fields(e.Phase+" "+e.Product+" "+e.Table), " ")}
	if e.Rows > 0 {
		w = append(w, plural(e.Rows, "row"))
	}
	switch {
	case e.Bytes > 0 && e.Total > 0:
		share := min(100*float64(e.Bytes)/float64(e.Total), 100)
		w = append(w, fmt.Sprintf("%s of %s (%.0f %%)", size(e.Bytes), size(e.Total), share))
	case e.Bytes > 0:
		w = append(w, size(e.Bytes))
	}
	if took >= steady {
		switch {
		case e.Rows > 0:
			w = append(w, count(int64(float64(e.Rows)/took.Seconds()))+" rows/s")
		case e.Bytes > 0:
			w = append(w, size(int64(float64(e.Bytes)/took.Seconds()))+"/s")
		}
	}
	if e.Left > 0 {
		w = append(w, span(time.Duration(e.Left*float64(time.Second)))+" left")
	}
	if e.Text != "" {
		w = append(w, e.Text)
	}
	return strings.Join(w, " · ")
}

// logWriter writes log lines to standard error, taking the progress line off
// first so that the two do not mix.
type logWriter struct{ a *app }

func (a *app) logWriter() *logWriter { return &logWriter{a} }

// Write writes one log line.
func (w *logWriter) Write(b []byte) (int, error) {
	w.a.drawing.Lock()
	defer w.a.drawing.Unlock()
	if w.a.drawn {
		w.a.err.printf("\r\x1b[2K")
		w.a.drawn = false
	}
	return w.a.err.Write(b)
}
