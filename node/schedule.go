package node

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"weft"
	"weft/contract"
	"weft/records"
)

// When sources are read: the frequency of the contract's SLA, else when a local
// file changes, else hourly. A failed read is tried again sooner.
const (
	defaultInterval = time.Hour
	firstRetry      = 30 * time.Second
	settle          = 300 * time.Millisecond // a file that is being written changes many times
)

// loop loads the product whenever it is due or asked for, one load at a time,
// until ctx ends.
func (p *product) loop(ctx context.Context) error {
	watch := p.watch()
	defer watch.close()
	timer := time.NewTimer(p.firstRead())
	defer timer.Stop()
	retry := firstRetry
	for {
		var r request
		select {
		case <-ctx.Done():
			return nil
		case r = <-p.ask:
		case <-timer.C:
			r = request{cause: weft.CauseLoad}
		case e := <-watch.events():
			if !watch.concerns(e) {
				continue
			}
			watch.drain(ctx, settle)
			r = request{cause: weft.CauseLoad}
		}
		l := p.attempt(ctx, r)
		if r.done != nil {
			r.done <- l
		}
		wait := p.interval()
		if l.err != nil && !l.refused && weft.KindOf(l.err) == weft.KindUnavailable {
			wait, retry = min(retry, wait), min(2*retry, defaultInterval)
		} else {
			retry = firstRetry
		}
		p.mu.Lock()
		p.next = p.node.env.Clock.Now().Add(wait)
		p.mu.Unlock()
		timer.Reset(wait)
		watch.renew(p)
	}
}

// firstRead is when a product is read first: at once after a restart, since a
// look at an unchanged source costs little; a product that was just applied is
// being asked for already.
func (p *product) firstRead() time.Duration {
	if p.applying {
		return defaultInterval
	}
	return 0
}

// attempt runs one load and writes down how it ended.
func (p *product) attempt(ctx context.Context, r request) loaded {
	if err := p.canLoad(); err != nil {
		return loaded{err: err}
	}
	p.loading.Lock()
	defer p.loading.Unlock()
	p.mu.Lock()
	p.busy, p.waiting = true, false
	p.mu.Unlock()
	a := records.Attempt{Started: p.node.env.Clock.Now()}
	l := p.flow(ctx, r, &a)
	a.Ended = p.node.env.Clock.Now()
	a.Verdict, a.Notes = l.verdict, l.notes
	switch {
	case l.refused:
		a.Outcome = records.Refused
	case l.err != nil:
		a.Outcome = records.Failed
	case l.commit != nil:
		a.Outcome, a.Seq = records.Committed, l.commit.Seq
	default:
		a.Outcome = records.Unchanged
	}
	if l.err != nil {
		a.Error, a.Kind, a.Hint = l.err.Error(), weft.KindOf(l.err), weft.HintOf(l.err)
	}
	p.finish(ctx, a)
	if l.commit != nil {
		p.node.notify(p.name())
	}
	return l
}

// finish keeps the attempt, in memory and in the books.
func (p *product) finish(ctx context.Context, a records.Attempt) {
	p.mu.Lock()
	p.busy, p.last = false, &a
	if a.Outcome == records.Committed || a.Outcome == records.Unchanged {
		p.lastOK = a.Ended
	}
	id := p.rec.ID
	p.mu.Unlock()
	log := p.node.env.Log.With("product", p.name().String(), "outcome", string(a.Outcome), "seconds", a.Ended.Sub(a.Started).Seconds())
	switch {
	case a.Error != "":
		log.Warn("load", "error", a.Error)
	case a.Outcome == records.Unchanged:
		log.Debug("load")
	default:
		log.Info("load", "seq", uint64(a.Seq), "rows", a.Rows)
	}
	if ctx.Err() == nil { // a load that the node's end broke off says nothing of the product
		if err := p.node.books.PutAttempt(context.WithoutCancel(ctx), id, a); err != nil {
			p.node.env.Log.Error("record the attempt", "product", p.name().String(), "error", err)
		}
	}
}

// interval is how long to wait before the sources are read again: the shortest
// that any port's frequency says.
func (p *product) interval() time.Duration {
	f, _ := p.current()
	now := p.node.env.Clock.Now()
	shortest := time.Duration(0)
	consider := func(d time.Duration) {
		if d > 0 && (shortest == 0 || d < shortest) {
			shortest = d
		}
	}
	for _, in := range f.Inputs {
		if in.Contract != nil { // another product wakes this one by itself
			consider(due(in.Contract.SLA, now))
		}
	}
	for _, o := range f.Outputs {
		consider(due(o.Contract.SLA, now))
	}
	if shortest == 0 {
		return defaultInterval
	}
	return max(shortest, time.Second)
}

// due is how long it is until the SLA wants a read, 0 where it does not say.
func due(sla contract.SLA, now time.Time) time.Duration {
	if sla.Schedule != "" {
		if s, err := contract.ParseSchedule(sla.Schedule); err == nil { // the folder was read: it is one
			if next := s.Next(now); !next.IsZero() {
				return next.Sub(now)
			}
		}
	}
	return sla.Frequency
}

// watcher tells when a local file of a source changes.
type watcher struct {
	w        *fsnotify.Watcher
	dirs     string   // what is watched, to notice when that changes
	patterns []string // the files that count; others in the same folder do not
}

// watch looks at the folders of the product's local sources. Where the machine
// gives no watches, the schedule serves alone.
func (p *product) watch() *watcher {
	w := &watcher{}
	w.renew(p)
	return w
}

func (w *watcher) renew(p *product) {
	dirs, patterns := p.watched()
	w.patterns = patterns
	if key := strings.Join(dirs, "\n"); key != w.dirs {
		w.close()
		w.dirs = key
	} else {
		return
	}
	if len(dirs) == 0 {
		return
	}
	fw, err := fsnotify.NewWatcher()
	if err != nil {
		p.node.env.Log.Warn("watch the sources", "product", p.name().String(), "error", err)
		return
	}
	for _, d := range dirs {
		if err := fw.Add(d); err != nil {
			p.node.env.Log.Warn("watch the sources", "product", p.name().String(), "folder", d, "error", err)
		}
	}
	w.w = fw
}

// watched are the folders whose changes concern the product, those of local
// sources without a schedule, and the patterns of the files in them.
func (p *product) watched() (dirs, patterns []string) {
	f, rec := p.current()
	if rec.Dir == "" || f == nil {
		return nil, nil // its files came with the folder and do not change
	}
	for _, in := range f.Inputs {
		if in.Contract == nil || in.Contract.SLA.Frequency > 0 || in.Contract.SLA.Schedule != "" {
			continue
		}
		s, err := in.Contract.Server(rec.Env)
		if err != nil || s.Type != "local" {
			continue
		}
		path := strings.ReplaceAll(s.Path, "{table}", "*")
		if !filepath.IsAbs(path) {
			path = filepath.Join(rec.Dir, path)
		}
		patterns = append(patterns, filepath.Clean(path))
		found, err := filepath.Glob(filepath.Dir(path)) // a pattern in the folder part: what it matches today
		if err != nil {
			continue
		}
		for _, d := range found {
			if st, err := os.Stat(d); err == nil && st.IsDir() {
				dirs = append(dirs, d)
			}
		}
	}
	return dirs, patterns
}

// concerns says whether a change is one of a source's file.
func (w *watcher) concerns(e fsnotify.Event) bool {
	for _, p := range w.patterns {
		if ok, err := filepath.Match(p, e.Name); ok || err != nil {
			return true
		}
	}
	return false
}

func (w *watcher) events() <-chan fsnotify.Event {
	if w.w == nil {
		return nil
	}
	return w.w.Events
}

// drain waits until nothing has changed for d, so that a file is read when it is whole.
func (w *watcher) drain(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-w.events():
			t.Reset(d)
		case <-t.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

func (w *watcher) close() {
	if w.w != nil {
		_ = w.w.Close()
		w.w = nil
	}
}
