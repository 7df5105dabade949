package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"weft/records"
	"weft/serve"
)

// TestWatchFollowsReplacedFolders holds that a change of a source is seen at once,
// also where the folder of the file, or one above it, has been replaced before.
func TestWatchFollowsReplacedFolders(t *testing.T) {
	r := newRig(t)
	unscheduled := strings.Replace(shop, "slaProperties: [{property: frequency, value: 1, unit: d}]\n", "", 1)
	// The data stand behind a link, as a release does that is switched.
	r.write(strings.ReplaceAll(unscheduled, "path: data/shop.csv", "path: ../now/in/shop.csv"))
	put := func(release, price string) {
		r.write("-- " + release + "/in/shop.csv --\nid,item,price\n1,pen," + price + "\n")
	}
	at := func(parts ...string) string { return filepath.Join(append([]string{r.dir}, parts...)...) }
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	seen := func(what, price string) {
		t.Helper()
		r.eventually(what, func() bool { return r.ask("SELECT price FROM sales.shop") == price })
	}
	put("one", "1.00")
	do(os.Symlink("one", at("now")))
	r.apply("shop", serve.OutcomeCommitted)
	seen("the first", "1.00")

	put("new", "2.00")
	do(os.Rename(at("one", "in"), at("old")))
	do(os.Rename(at("new", "in"), at("one", "in")))
	seen("the folder is another", "2.00")
	put("one", "3.00")
	seen("a file in the other folder", "3.00")

	put("two", "4.00")
	do(os.Symlink("two", at("next")))
	do(os.Rename(at("next"), at("now")))
	seen("the link leads elsewhere", "4.00")
	put("two", "5.00")
	seen("a file behind the other link", "5.00")

	do(os.RemoveAll(at("two")))
	put("two", "6.00")
	seen("the folder was removed and made again", "6.00")
	put("two", "7.00")
	seen("a file in the folder that was made again", "7.00")

	do(os.RemoveAll(at("two")))
	r.eventually("nobody watches what is gone", func() bool { return !r.watches(at("two")) })
	put("two", "8.00")
	seen("the folder was made again later", "8.00")

	do(os.Rename(at("two", "in"), at("aside")))
	do(os.Rename(at("aside"), at("two", "in")))
	put("two", "9.00")
	seen("a file in the folder that went and came back", "9.00")

	do(os.Rename(at("two", "in", "shop.csv"), at("two", "in", "9")))
	do(os.Symlink("9", at("two", "in", "shop.csv")))
	r.write("-- two/in/9 --\nid,item,price\n1,pen,10.00\n")
	seen("a file behind a link of its own", "10.00")
}

// watches says whether a folder is watched.
func (r *rig) watches(dir string) bool {
	r.node.watch.mu.Lock()
	defer r.node.watch.mu.Unlock()
	x := r.node.watch.dirs[dir]
	return x != nil && x.is != nil
}

// TestWatchKnowsNewFoldersFromOld holds that a folder that went is not taken for the
// one that came, which has its inode on many file systems.
func TestWatchKnowsNewFoldersFromOld(t *testing.T) {
	r := newRig(t)
	dir, other := filepath.Join(r.dir, "x", "y"), filepath.Join(r.dir, "other")
	is := statOf(r.dir)
	w := watch{dirs: map[string]*watchedDir{r.dir: {is: is}, dir: {is: is}, other: {is: is}}}
	w.concerned(fsnotify.Event{Name: filepath.Join(r.dir, "x"), Op: fsnotify.Remove})
	if w.dirs[dir].is != nil || w.dirs[other].is == nil || w.dirs[r.dir].is == nil {
		t.Error("not what went is forgotten, or more than that")
	}
}

// TestWatchDoesNotStarve holds that files that never rest are read all the same,
// and that those of one product hold up no other.
func TestWatchDoesNotStarve(t *testing.T) {
	steady, once := &product{title: mustName(t, "sales.a")}, &product{title: mustName(t, "sales.b")}
	s, now := settling{}, time.Unix(0, 0)
	var woken []string
	s.note(once, now)
	for range 300 { // 30 s of writes, one in 100 ms
		s.note(steady, now)
		now = now.Add(100 * time.Millisecond)
		ps, wait := s.pop(now)
		for _, p := range ps {
			woken = append(woken, p.name().String()+" "+now.Sub(time.Unix(0, 0)).String())
		}
		if len(s) > 0 && wait > settle {
			t.Fatalf("the next look is in %s", wait)
		}
	}
	if got := strings.Join(woken, ", "); got != "sales.b 300ms, sales.a 10s, sales.a 20s, sales.a 30s" {
		t.Errorf("woken are %s", got)
	}
}

// TestWatchGivesBackFolders holds that nothing is watched for a product that is gone.
func TestWatchGivesBackFolders(t *testing.T) {
	r := newRig(t)
	r.write(strings.Replace(shop, "slaProperties: [{property: frequency, value: 1, unit: d}]\n", "", 1))
	r.apply("shop", serve.OutcomeCommitted)
	watched := func() int {
		r.node.watch.mu.Lock()
		defer r.node.watch.mu.Unlock()
		return len(r.node.watch.dirs)
	}
	if watched() == 0 {
		t.Fatal("nothing is watched")
	}
	if err := r.node.Delete(t.Context(), tester, mustName(t, "sales.shop"), "sales.shop"); err != nil {
		t.Fatal(err)
	}
	if n := watched(); n > 0 {
		t.Errorf("%d folders are watched for nobody", n)
	}
	r.node.watch.set(newProduct(r.node, records.Product{Name: mustName(t, "sales.none"), Dir: r.dir}))
	if n := watched(); n > 0 {
		t.Errorf("%d folders are watched for a product without sources", n)
	}
}
