package node

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"weft"
)

// watch tells which products' local files change; one of it serves all products.
// Where the machine gives no watches, the schedule serves alone. The zero value
// watches nothing.
type watch struct {
	mu   sync.Mutex
	w    *fsnotify.Watcher
	of   map[*product]watched
	dirs map[string]int // how many products have files there
}

// watched are the folders whose changes concern a product, and the patterns of its
// files in them.
type watched struct{ dirs, patterns []string }

// runWatch wakes products whose files have changed, until ctx ends.
func (n *Node) runWatch(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		n.env.Log.Warn("watch the sources; they are read by the schedule alone", "error", err)
		return nil
	}
	defer n.watch.close()
	n.watch.open(w)
	for _, p := range n.all() {
		n.watch.set(p)
	}
	changed := map[*product]time.Time{} // when nothing had changed for a while, if nothing does
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Events:
			if !ok {
				return nil
			}
			for _, p := range n.watch.concerned(e.Name) {
				changed[p] = time.Now().Add(settle)
			}
			timer.Reset(settle)
		case err := <-w.Errors:
			// Some changes were missed: everybody looks.
			n.env.Log.Warn("watch the sources", "error", err)
			for _, p := range n.watch.all() {
				changed[p] = time.Now()
			}
			timer.Reset(settle)
		case <-timer.C:
			for p, at := range changed {
				if d := time.Until(at); d > 0 {
					timer.Reset(d)
					continue
				}
				delete(changed, p)
				if p.canLoad() == nil {
					p.wake(weft.CauseLoad)
				}
			}
		}
	}
}

func (w *watch) open(fw *fsnotify.Watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.w, w.of, w.dirs = fw, map[*product]watched{}, map[string]int{}
}

func (w *watch) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.w.Close()
	w.w = nil
}

// set watches what concerns the product now, in place of what did before.
func (w *watch) set(p *product) { w.replace(p, p.watched()) }

// remove ends watching for a product.
func (w *watch) remove(p *product) { w.replace(p, watched{}) }

func (w *watch) replace(p *product, to watched) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.w == nil {
		return
	}
	if p.ended() {
		to = watched{}
	}
	was := w.of[p]
	w.of[p] = to
	if len(to.patterns) == 0 {
		delete(w.of, p)
	}
	if slices.Equal(was.dirs, to.dirs) {
		return
	}
	for _, d := range to.dirs {
		if w.dirs[d]++; w.dirs[d] > 1 {
			continue
		}
		if err := w.w.Add(d); err != nil {
			p.node.env.Log.Warn("watch the sources", "product", p.name().String(), "folder", d, "error", err)
		}
	}
	for _, d := range was.dirs {
		if w.dirs[d]--; w.dirs[d] == 0 {
			delete(w.dirs, d)
			_ = w.w.Remove(d) // the folder may be gone
		}
	}
}

// concerned are the products that have a source at path.
func (w *watch) concerned(path string) []*product {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*product
	for p, x := range w.of {
		if !slices.Contains(x.dirs, filepath.Dir(path)) {
			continue
		}
		if slices.ContainsFunc(x.patterns, func(pattern string) bool {
			ok, err := filepath.Match(pattern, path)
			return ok || err != nil
		}) {
			out = append(out, p)
		}
	}
	return out
}

func (w *watch) all() []*product {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []*product
	for p := range w.of {
		out = append(out, p)
	}
	return out
}

// watched are the local sources without a schedule of a product that loads.
func (p *product) watched() watched {
	p.mu.Lock()
	b, rec := p.brief, p.rec
	p.mu.Unlock()
	var out watched
	if rec.Dir == "" || rec.Retired {
		return out // files that came with the folder do not change
	}
	for _, path := range b.Local {
		path = strings.ReplaceAll(path, "{table}", "*")
		if !filepath.IsAbs(path) {
			path = filepath.Join(rec.Dir, path)
		}
		out.patterns = append(out.patterns, filepath.Clean(path))
		found, err := filepath.Glob(filepath.Dir(path)) // a pattern in the folder part: what it matches today
		if err != nil {
			continue
		}
		for _, d := range found {
			if st, err := os.Stat(d); err == nil && st.IsDir() && !slices.Contains(out.dirs, d) {
				out.dirs = append(out.dirs, d)
			}
		}
	}
	return out
}
