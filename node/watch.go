package node

import (
	"context"
	"errors"
	"io/fs"
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
	dirs map[string]*watchedDir
}

// watchedDir is a folder that is watched: it, not its path, which may become that
// of another. It is known by what it is until it goes (a new folder may get the
// inode of one that went); nil is none.
type watchedDir struct {
	users map[*product]bool
	is    os.FileInfo
}

// watched is what concerns a product: patterns of its files, patterns of the folders
// and links on the way to them, and the folders there are now in which to look for
// either. The folders of all of them have no links in their paths.
type watched struct{ dirs, files, ways []string }

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
	changed := settling{}
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
			files, ways := n.watch.concerned(e)
			for _, p := range ways {
				n.watch.set(p) // another folder is there, or none
			}
			for _, p := range append(files, ways...) {
				changed.note(p, time.Now())
			}
		case err := <-w.Errors:
			// Some changes were missed: everybody looks.
			n.env.Log.Warn("watch the sources", "error", err)
			for _, p := range n.watch.all() {
				n.watch.set(p)
				changed.note(p, time.Now())
			}
		case <-timer.C:
		}
		settled, wait := changed.pop(time.Now())
		for _, p := range settled {
			if p.canLoad() == nil {
				p.wake(weft.CauseLoad)
			}
		}
		timer.Reset(wait)
	}
}

// A product is woken when its files have not changed for settle, since a file that
// is being written changes many times; one whose files never rest after longest.
const (
	settle  = 300 * time.Millisecond
	longest = 10 * time.Second
)

// settling are the products whose files have changed of late.
type settling map[*product]struct{ first, last time.Time }

func (s settling) note(p *product, now time.Time) {
	c, known := s[p]
	if !known {
		c.first = now
	}
	c.last = now
	s[p] = c
}

// pop takes those whose files rest, or have changed for long enough, and says how
// long it is until the next one may.
func (s settling) pop(now time.Time) (out []*product, wait time.Duration) {
	wait = time.Hour
	for p, c := range s {
		left := min(c.last.Add(settle).Sub(now), c.first.Add(longest).Sub(now))
		if left > 0 {
			wait = min(wait, left)
			continue
		}
		out = append(out, p)
		delete(s, p)
	}
	return out, wait
}

func (w *watch) open(fw *fsnotify.Watcher) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.w, w.of, w.dirs = fw, map[*product]watched{}, map[string]*watchedDir{}
}

func (w *watch) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.w.Close()
	w.w = nil
}

// set watches what concerns the product now, in place of what did before. Folders
// that come while it looks are found at the next round.
func (w *watch) set(p *product) {
	for range 10 {
		to := p.watched()
		if w.replace(p, to); slices.Equal(p.watched().dirs, to.dirs) {
			return
		}
	}
}

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
	if len(to.dirs) == 0 {
		delete(w.of, p)
	}
	for _, d := range to.dirs {
		w.add(d, p)
	}
	for _, d := range was.dirs {
		if x := w.dirs[d]; x != nil && !slices.Contains(to.dirs, d) {
			if delete(x.users, p); len(x.users) == 0 {
				delete(w.dirs, d)
				_ = w.w.Remove(d) // the folder may be gone
			}
		}
	}
}

// add watches the folder that is at path d now. The watch is locked.
func (w *watch) add(d string, p *product) {
	x, is := w.dirs[d], statOf(d)
	first := x == nil
	if first {
		x = &watchedDir{users: map[*product]bool{}}
		w.dirs[d] = x
	}
	x.users[p] = true
	if x.is != nil && is != nil && os.SameFile(x.is, is) {
		return
	}
	if !first {
		_ = w.w.Remove(d) // the one that was there, which may be gone
	}
	x.is = is
	if err := w.w.Add(d); err != nil {
		x.is = nil
		if first && !errors.Is(err, fs.ErrPermission) { // a folder on the way may be closed to the node; what is in it need not be
			p.node.env.Log.Warn("watch the sources", "product", p.name().String(), "folder", d, "error", err)
		}
	}
}

func statOf(path string) os.FileInfo {
	st, err := os.Stat(path)
	if err != nil {
		return nil
	}
	return st
}

// concerned are the products that have a source at the path of an event, and those
// to whose sources the path is on the way, where another folder stands there now.
func (w *watch) concerned(e fsnotify.Event) (files, ways []*product) {
	w.mu.Lock()
	defer w.mu.Unlock()
	gone := e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename)
	for d, x := range w.dirs {
		if gone && (d == e.Name || strings.HasPrefix(d, e.Name+string(filepath.Separator))) {
			x.is = nil
		}
	}
	in := w.dirs[filepath.Dir(e.Name)]
	if in == nil {
		in = w.dirs[e.Name] // the folder itself is gone
	}
	if in == nil {
		return nil, nil
	}
	matches := func(pattern string) bool {
		ok, err := filepath.Match(pattern, e.Name)
		return ok || err != nil
	}
	for p := range in.users {
		x := w.of[p]
		if slices.ContainsFunc(x.files, matches) {
			files = append(files, p)
		}
		if (gone || e.Has(fsnotify.Create)) && slices.ContainsFunc(x.ways, matches) {
			ways = append(ways, p)
		}
	}
	return files, ways
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
		out.walk("/", strings.Split(filepath.Clean(path), "/"), mostLinks)
	}
	return out
}

// mostLinks is how many links are followed on one way, as the system does.
const mostLinks = 40

// walk notes what is on the way from a folder without links to the files that the
// rest of a path, which may be a pattern, leads to: any folder or link of it may be
// replaced, also one that a link leads through.
func (w *watched) walk(dir string, rest []string, links int) {
	for len(rest) > 0 && (rest[0] == "" || rest[0] == ".") {
		rest = rest[1:]
	}
	if len(rest) == 0 {
		return
	}
	if !slices.Contains(w.dirs, dir) {
		w.dirs = append(w.dirs, dir)
	}
	if rest[0] == ".." {
		w.walk(filepath.Dir(dir), rest[1:], links)
		return
	}
	next := filepath.Join(dir, rest[0])
	into := &w.ways
	if len(rest) == 1 {
		into = &w.files
	}
	if !slices.Contains(*into, next) {
		*into = append(*into, next)
	}
	found, err := filepath.Glob(next) // what a pattern matches today
	if err != nil {
		return
	}
	for _, name := range found {
		st, err := os.Lstat(name)
		switch {
		case err != nil:
		case st.Mode()&fs.ModeSymlink != 0 && links > 0:
			to, err := os.Readlink(name)
			if err != nil {
				continue
			}
			from := dir
			if filepath.IsAbs(to) {
				from = "/"
			}
			w.walk(from, append(strings.Split(to, "/"), rest[1:]...), links-1)
		case st.IsDir() && len(rest) > 1:
			w.walk(name, rest[1:], links)
		}
	}
}
