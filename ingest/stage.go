package ingest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weft"
	"weft/engine"
)

// Copy runs the SELECT of st into a new Parquet file of the staging folder and
// returns its rows.
func (r Request) Copy(ctx context.Context, st engine.Statement, file string) (int64, error) {
	st.SQL = engine.CopyParquet(st.SQL, file)
	return r.Session.Exec(ctx, st)
}

// File is a path in the staging folder: "orders-part-2.parquet".
func (r Request) File(table, kind string, n int) string {
	return filepath.Join(r.Stage, fmt.Sprintf("%s-%s-%d.parquet", table, kind, n))
}

// Meter tells Request.Progress how far a table is, at most ten times a second.
type Meter struct {
	tell  func(Progress)
	table string
	total int64
	begin time.Time
	rows  atomic.Int64
	bytes atomic.Int64
	mu    sync.Mutex
	last  time.Time
}

// Meter begins the progress of one table. total is 0 where it is not known.
func (r Request) Meter(table string, total int64) *Meter {
	return &Meter{tell: r.Progress, table: table, total: total, begin: time.Now()}
}

// Add counts rows and bytes.
func (m *Meter) Add(rows, bytes int64) {
	m.rows.Add(rows)
	m.bytes.Add(bytes)
	m.show(false)
}

// Bytes is how many bytes were counted.
func (m *Meter) Bytes() int64 { return m.bytes.Load() }

// Done tells the last state.
func (m *Meter) Done() { m.show(true) }

func (m *Meter) show(force bool) {
	if m.tell == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !force && time.Since(m.last) < 100*time.Millisecond {
		return
	}
	m.last = time.Now()
	p := Progress{Table: m.table, Rows: m.rows.Load(), Bytes: m.bytes.Load(), TotalBytes: m.total}
	if s := time.Since(m.begin).Seconds(); s > 0.05 {
		p.Rate = float64(p.Bytes) / s
	}
	if p.TotalBytes > 0 {
		p.Bytes = min(p.Bytes, p.TotalBytes)
		if p.Rate > 0 {
			p.Left = time.Duration(float64(p.TotalBytes-p.Bytes) / p.Rate * float64(time.Second))
		}
	}
	m.tell(p)
}

// Watch follows the engine through a statement over part bytes of the source
// until the returned function is called, which counts them as read.
func (m *Meter) Watch(s engine.Session, part int64) (done func()) {
	start := m.bytes.Load()
	count := func() { m.bytes.Store(start + part) }
	if m.tell == nil {
		return count
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(120 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if p := s.Progress(); p >= 0 {
					m.bytes.Store(start + int64(min(p, 1)*float64(part)))
					m.show(false)
				}
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(stop)
		<-stopped
		count()
		m.show(false)
	})
}

// quoted matches what an engine's message cites from the data.
var quoted = regexp.MustCompile(`"[^"]*"|'[^']*'`)

// Sanitize returns the first line of an engine's message without what it cites:
// it may cite rows, and rows may hold personal data.
func Sanitize(err error) string {
	s := err.Error()
	if e := (*weft.Error)(nil); errors.As(err, &e) {
		if s = e.Message; s == "" && e.Cause != nil {
			s = e.Cause.Error()
		}
	}
	s, _, _ = strings.Cut(s, "\n")
	s = quoted.ReplaceAllString(s, "…")
	if len(s) > 200 {
		s = s[:200] + "…"
	}
	return s
}

// Fault wraps what the engine said while it read place. A dead worker, a
// cancellation and a limit keep their kind; anything else is what is wrong with
// the source.
func Fault(err error, where, place string) error {
	switch k := kindOf(err); k {
	case weft.KindUnavailable, weft.KindCancelled, weft.KindLimit, weft.KindDenied:
		e := weft.Errorf(k, "read the source", where, "%s: %s", place, Sanitize(err))
		e.Hint = weft.HintOf(err)
		return e
	}
	return weft.Errorf(weft.KindInvalid, "read the source", where, "%s cannot be read: %s", place, Sanitize(err)).
		WithHint("is the file whole, and of the format that its name or weftFormat says?")
}

// Retry reports whether a statement failed for a value, so that another way of
// reading may do, and not because the engine or the reader went away.
func Retry(err error) bool {
	switch kindOf(err) {
	case weft.KindUnavailable, weft.KindCancelled, weft.KindLimit, weft.KindDenied:
		return false
	}
	return true
}

// kindOf is weft.KindOf, where the context's own errors have their kind too.
func kindOf(err error) weft.Kind {
	var e *weft.Error
	if !errors.As(err, &e) && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return weft.KindCancelled
	}
	return weft.KindOf(err)
}
