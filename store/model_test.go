package store

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weft"
)

// world runs a store and a model of it side by side: the rows of both tables at
// every commit.
type world struct {
	t     testing.TB
	rnd   *rand.Rand
	e     *testEngine
	fs    *faultFS
	cfg   Config
	s     *Store
	log   []string
	cuts  []state // by Seq; 0 is before the first
	maybe *state  // of a commit that failed: a crash may bring it back
	again string  // the command that runs this history again
	// faulty says that opening meets faults too.
	faulty bool
	held   []heldCut
	holds  map[string]weft.Seq // acknowledged; 0 where a failure left it open
	// columns is how many columns the table wide has had.
	columns int
	// upserted counts the upserts that the key index has answered.
	upserted int
	images   []heldImage
	restored int
}

// modelTables are the tables of the model.
var modelTables = []string{"people", "events", "wide"}

// state is the rows of the model's tables, nil where a table does not exist.
type state struct {
	people map[int64]string
	events []row
	wide   *wideTable
}

type heldCut struct {
	snap *Snapshot
	seq  weft.Seq
}

func (s state) clone() state {
	c := state{events: slices.Clone(s.events), wide: s.wide.clone()}
	if s.people != nil {
		c.people = map[int64]string{}
		for k, v := range s.people {
			c.people[k] = v
		}
	}
	return c
}

func (s state) rows(table string) []string {
	out := []string{}
	if table == "wide" {
		return s.wide.text()
	}
	if table == "people" {
		for k, v := range s.people {
			out = append(out, fmt.Sprintf("%d|%s", k, v))
		}
	} else {
		for _, r := range s.events {
			out = append(out, fmt.Sprintf("%d|%s", r.ID, r.Name))
		}
	}
	slices.Sort(out)
	return out
}

func (w *world) say(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

func (w *world) fatal(format string, args ...any) {
	w.t.Helper()
	for _, l := range w.log {
		w.t.Log(l)
	}
	w.t.Logf("run it again with: %s", w.again)
	w.t.Fatalf(format, args...)
}

func (w *world) head() state { return w.cuts[len(w.cuts)-1] }

// open opens the store and holds its head against the model's. Now and then
// opening meets a fault of its own first.
func (w *world) open() {
	w.t.Helper()
	for w.faulty && w.rnd.IntN(4) == 0 {
		fault, after := faults[w.rnd.IntN(len(faults))], w.rnd.IntN(10)
		w.say("plan %s after %d operations of opening", fault, after)
		w.fs.plan(after, fault)
		s, err := open(context.Background(), w.cfg, w.fs)
		if err == nil {
			w.s = s
			w.close(w.fs.crashed)
			continue
		}
		w.say("  open: %v", err)
		if !w.fs.hit {
			w.fatal("open failed without a fault: %v", err)
		}
		if w.fs.crashed {
			w.fs.lose()
		}
		w.fs.restore()
	}
	s, err := open(context.Background(), w.cfg, w.fs)
	if err != nil {
		w.fatal("open: %v", err)
	}
	if d := s.Damage(); len(d) > 0 && !d[0].Note {
		w.fatal("damage: %v", d)
	}
	w.s = s
	switch got := int(s.Head().Seq); {
	case got == len(w.cuts)-1:
	case got == len(w.cuts) && w.maybe != nil:
		w.say("  the commit that had failed is there")
		w.cuts = append(w.cuts, *w.maybe)
	default:
		w.fatal("the store has %d commits, %d were acknowledged", got, len(w.cuts)-1)
	}
	w.maybe = nil
	for name, seq := range w.holds {
		if seq > 0 && !slices.Contains(s.Holds(), Hold{name, seq}) {
			w.fatal("the hold of %s by %s is lost", seq, name)
		}
	}
}

// close ends the store; the power is gone when lose is set.
func (w *world) close(lose bool) {
	for _, h := range w.held {
		_ = h.snap.Close()
	}
	w.held = nil
	w.dropImages()
	w.fs.mu.Lock()
	if lose {
		w.fs.crashed = true
	}
	w.fs.mu.Unlock()
	_ = w.s.Close()
	if lose {
		w.fs.lose()
	}
	w.fs.restore()
}

// candidate makes a random commit and the state it leads to.
func (w *world) candidate() (Candidate, state) {
	next := w.head().clone()
	var c Candidate
	c.Cause = weft.CauseLoad
	if w.rnd.IntN(8) == 0 {
		return c, next // a commit without rows, such as applying a folder
	}
	if next.people == nil || w.rnd.IntN(3) > 0 {
		c.Tables = append(c.Tables, w.people(&next))
	}
	if w.rnd.IntN(3) == 0 {
		c.Tables = append(c.Tables, w.events(&next))
	}
	if w.rnd.IntN(3) == 0 {
		c.Tables = append(c.Tables, w.wideChange(&next))
	}
	return c, next
}

func (w *world) name() string { return string(rune('a'+w.rnd.IntN(26))) + itoa(w.rnd.Int64N(1000)) }

func (w *world) people(next *state) TableData {
	td := TableData{Table: "people", Schema: people, Key: []string{"id"}}
	n := 1 + w.rnd.IntN(6)
	if w.rnd.IntN(60) == 0 {
		n = 2500 // more than a block
	}
	var rows []opRow
	used := map[int64]bool{}
	fresh := func() (int64, bool) {
		for range 50 {
			if k := w.rnd.Int64N(int64(n) * 8); !used[k] {
				if _, ok := next.people[k]; !ok {
					used[k] = true
					return k, true
				}
			}
		}
		return 0, false
	}
	switch kind := w.rnd.IntN(10); {
	case next.people == nil || kind == 0:
		td.Op = weft.OpReplace
		next.people = map[int64]string{}
	case kind < 3:
		td.Op = weft.OpAppend
	default:
		td.Op = weft.OpMerge
		for _, k := range slices.Sorted(maps.Keys(next.people)) {
			v := next.people[k]
			if len(rows) > n || w.rnd.IntN(2) == 0 || used[k] {
				continue
			}
			used[k] = true
			if w.rnd.IntN(2) == 0 {
				rows = append(rows, opRow{"d", row{k, v}})
				td.Deleted++
			} else {
				u := w.name()
				rows = append(rows, opRow{"b", row{k, v}}, opRow{"u", row{k, u}})
				td.Updated++
			}
		}
	}
	for range n {
		if k, ok := fresh(); ok {
			rows = append(rows, opRow{"i", row{k, w.name()}})
			td.Inserted++
		}
	}
	for _, r := range rows {
		switch r.Op {
		case "d":
			delete(next.people, r.ID)
		case "i", "u":
			next.people[r.ID] = r.Name
		}
	}
	w.fill(&td, rows)
	return td
}

func (w *world) events(next *state) TableData {
	td := TableData{Table: "events", Schema: people, Op: weft.OpAppend}
	if w.rnd.IntN(6) == 0 {
		td.Op = weft.OpReplace
		next.events = nil
	}
	var rows []opRow
	for range w.rnd.IntN(5) {
		r := row{w.rnd.Int64N(9), w.name()}
		next.events = append(next.events, r)
		rows = append(rows, opRow{"i", r})
	}
	w.fill(&td, rows)
	return td
}

// fill puts rows into a change, as batches or as a file.
func (w *world) fill(td *TableData, rows []opRow) {
	bulk := w.e != nil && len(rows) > 0 && w.rnd.IntN(5) == 0
	w.say("  %s %s of %d rows, bulk %v", td.Op, td.Table, len(rows), bulk)
	if bulk {
		sql := ""
		for i, r := range rows {
			if i > 0 {
				sql += ", "
			}
			sql += fmt.Sprintf("('%s', %d::BIGINT, '%s')", r.Op, r.ID, r.Name)
		}
		cols := "id, name"
		if td.Op == weft.OpMerge {
			cols = "_op, id, name"
		}
		td.File = w.e.stageFile(w.t, "SELECT "+cols+" FROM (VALUES "+sql+") t(_op, id, name)")
		return
	}
	for len(rows) > 0 {
		n := min(len(rows), 1+w.rnd.IntN(len(rows)))
		for n < len(rows) && rows[n].Op == "u" {
			n++
		}
		if td.Op == weft.OpMerge {
			td.Batches = append(td.Batches, mergeBatch(rows[:n]...))
		} else {
			var plain []row
			for _, r := range rows[:n] {
				plain = append(plain, r.row)
			}
			td.Batches = append(td.Batches, batch(plain...))
		}
		rows = rows[n:]
	}
}

// commit appends a random candidate.
func (w *world) commit() {
	c, next := w.candidate()
	w.append(c, next)
}

// append commits c, which leads to next.
func (w *world) append(c Candidate, next state) {
	w.t.Helper()
	_, err := w.s.Append(context.Background(), c)
	w.say("append #%d: %v", len(w.cuts), err)
	if err == nil {
		w.cuts = append(w.cuts, next)
		w.maybe = nil
		return
	}
	if w.fs.left != 0 && !w.fs.hit {
		w.fatal("append failed without a fault: %v", err)
	}
	w.maybe = &next
	for _, td := range c.Tables {
		if td.File != "" && !errors.Is(err, errCrash) {
			if _, err := os.Stat(td.File); err != nil {
				w.fatal("the staged file is gone after a failed commit: %v", err)
			}
		}
	}
}

// check reads a cut and compares it.
func (w *world) check(snap *Snapshot, seq weft.Seq) {
	w.t.Helper()
	want := w.cuts[seq]
	for _, table := range modelTables {
		rel, err := snap.Relation(table)
		if weft.KindOf(err) == weft.KindNotFound {
			if len(want.rows(table)) > 0 {
				w.fatal("%s is not there at %s", table, seq)
			}
			continue
		}
		if err != nil {
			w.fatal("relation of %s at %s: %v", table, seq, err)
		}
		if table == "wide" {
			w.checkColumns(snap, seq)
		}
		got := w.e.rows(w.t, rel)
		if exp := want.rows(table); !slices.Equal(got, exp) {
			w.fatal("%s at %s is\n%.500s, want\n%.500s\n%s", table, seq, fmt.Sprint(got), fmt.Sprint(exp), rel.SQL)
		}
		if rel.Rows != int64(len(got)) {
			w.fatal("%s at %s has %d rows, the counter says %d", table, seq, len(got), rel.Rows)
		}
	}
}

// checkColumns holds the columns of a cut against the model's.
func (w *world) checkColumns(snap *Snapshot, seq weft.Seq) {
	w.t.Helper()
	for _, info := range snap.Tables() {
		if info.Table != "wide" {
			continue
		}
		if got, want := columnsText(info.Schema), w.cuts[seq].wide.columns(); got != want {
			w.fatal("wide at %s has the columns %s, want %s", seq, got, want)
		}
		return
	}
	w.fatal("wide at %s is in no list of tables", seq)
}

func (w *world) checkCut(seq weft.Seq) {
	w.t.Helper()
	if seq == 0 || w.e == nil {
		return
	}
	snap, err := w.s.Snapshot(context.Background(), seq)
	if weft.KindOf(err) == weft.KindGone && seq < w.s.Oldest() {
		for name, held := range w.holds {
			if held > 0 && held <= seq {
				w.fatal("%s is gone and %s holds %s", seq, name, held)
			}
		}
		return
	}
	if err != nil {
		w.fatal("snapshot %s: %v", seq, err)
	}
	defer func() { _ = snap.Close() }()
	w.check(snap, seq)
}

// faults are what a step of the file system can meet.
var faults = []string{"crash", "full", "sync", "write", "name"}

// hold takes or gives up a random hold.
func (w *world) hold() {
	name := string(rune('a' + w.rnd.IntN(4)))
	if seq, ok := w.holds[name]; ok && seq > 0 {
		err := w.s.Release(name)
		w.say("release %s: %v", name, err)
		if delete(w.holds, name); err != nil {
			w.holds[name] = 0
		}
		return
	}
	seq := weft.Seq(1 + w.rnd.IntN(len(w.cuts)))
	// A fold that failed may have let go of what is before letting: the world is the
	// only one that uses the store, and needs no lock to look.
	err := w.s.Hold(name, seq)
	w.say("hold %s by %s: %v", seq, name, err)
	switch k := weft.KindOf(err); {
	case err == nil:
		w.holds[name] = seq
	case k == weft.KindGone && seq < max(w.s.Oldest(), w.s.letting), k == weft.KindNotFound && int(seq) >= len(w.cuts):
	case k == weft.KindConflict && w.holds[name] == 0: // it is there after all
	case w.fs.hit || w.fs.left == 0:
		w.holds[name] = 0
	default:
		w.fatal("hold %s: %v", seq, err)
	}
}

// run takes n random steps and then checks everything.
func (w *world) run(n int) {
	w.open()
	for range n {
		switch k := w.rnd.IntN(46); {
		case k < 24:
			w.commit()
		case k >= 43 && w.e != nil:
			w.upsert()
		case k >= 41 && w.e != nil:
			w.takeImage()
		case k >= 40:
			w.restoreImage()
		case k < 28 && w.e != nil:
			err := w.s.Compact(context.Background(), true)
			w.say("compact: %v (oldest %s)", err, w.s.Oldest())
			if err != nil && !w.fs.hit {
				w.fatal("compact failed without a fault: %v", err)
			}
		case k < 29:
			w.hold()
		case k < 31:
			w.say("reopen")
			w.close(false)
			if w.rnd.IntN(2) == 0 {
				w.say("  %s", spoilIndex(w.t, w.rnd, w.s.indexPath()))
			}
			w.open()
		case k < 34:
			fault := faults[w.rnd.IntN(len(faults))]
			after := w.rnd.IntN(12)
			w.say("plan %s after %d operations", fault, after)
			w.fs.plan(after, fault)
		case k < 36 && len(w.cuts) > 1 && w.e != nil:
			seq := weft.Seq(1 + w.rnd.IntN(len(w.cuts)-1))
			if snap, err := w.s.Snapshot(context.Background(), seq); err == nil {
				w.held = append(w.held, heldCut{snap, seq})
			}
		default:
			w.checkCut(weft.Seq(w.rnd.IntN(len(w.cuts))))
		}
		if w.fs.crashed || w.rnd.IntN(30) == 0 {
			w.say("the power is gone")
			w.close(true)
			w.open()
		}
	}
	for _, h := range w.held {
		w.check(h.snap, h.seq)
	}
	w.restoreImage()
	w.fs.plan(-1, "")
	w.close(false)
	w.open()
	for seq := range w.cuts {
		if !testing.Short() || seq%3 == 0 {
			w.checkCut(weft.Seq(seq))
		}
	}
	w.follow()
	w.close(false)
}

// follow replays the whole history from the oldest cut and compares the end.
func (w *world) follow() {
	from := w.s.Oldest()
	if from > 0 {
		return // replaying from the middle needs the rows there; the cuts were compared
	}
	got := state{people: map[int64]string{}, wide: &wideTable{rows: map[int64]map[int]string{}}}
	if len(w.cuts) == 1 {
		return
	}
	seq := weft.Seq(0)
	for c, err := range w.s.Follow(context.Background(), 0) {
		if err != nil {
			w.fatal("follow: %v", err)
		}
		if c.Commit.Seq != seq+1 {
			w.fatal("follow gave %s after %s", c.Commit.Seq, seq)
		}
		for _, tr := range c.Tables {
			got.apply(tr)
		}
		if c.More {
			continue
		}
		seq = c.Commit.Seq
		for _, table := range modelTables {
			if g, e := got.rows(table), w.cuts[seq].rows(table); !slices.Equal(g, e) {
				w.fatal("following, %s at %s is %v, want %v", table, seq, g, e)
			}
		}
		if int(seq) == len(w.cuts)-1 {
			break
		}
	}
}

func (s *state) apply(tr TableRows) {
	if tr.Table == "wide" {
		s.wide.apply(tr)
		return
	}
	if tr.Op == weft.OpReplace && tr.Part == 0 {
		if tr.Table == "people" {
			s.people = map[int64]string{}
		} else {
			s.events = nil
		}
	}
	for _, b := range tr.Batches {
		for i := range int(b.NumRows()) {
			var id int64
			_, _ = fmt.Sscan(b.Column(1).ValueStr(i), &id)
			name := b.Column(2).ValueStr(i)
			switch {
			case tr.Table == "events":
				s.events = append(s.events, row{id, name})
			case b.Column(0).ValueStr(i) == "d":
				delete(s.people, id)
			case b.Column(0).ValueStr(i) != "b":
				s.people[id] = name
			}
		}
	}
}

var (
	seedCount = flag.Int("seeds", 0, "how many seeds the model tests run; 0 is their own number")
	seedFrom  = flag.Int("seed", 0, "the first seed")
)

// seeds are those to run, n of them where the flags say nothing.
func seeds(n int) (from, to int) {
	if *seedCount > 0 {
		n = *seedCount
	}
	return *seedFrom, *seedFrom + n
}

// TestModel runs random histories with faults against a model. A seed that
// fails says the command that runs it again.
func TestModel(t *testing.T) {
	n := 60
	if testing.Short() {
		n = 15
	}
	e := newEngine(t, memoryDir(t))
	upserted, restored := 0, 0
	for seed, to := seeds(n); seed < to; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(uint64(seed), 1))
			w := newWorld(t, rnd, e, seed)
			w.cfg.TailRows = 1 + rnd.Int64N(50)
			if seed%4 == 0 {
				w.cfg.KeepBytes = 1
			}
			w.run(40)
			upserted, restored = upserted+w.upserted, restored+w.restored
		})
	}
	t.Logf("%d upserts by the index, %d images restored", upserted, restored)
	if n := n / 5; *seedCount == 0 && (upserted < n || restored < n) {
		t.Error("that is so little that the test says nothing of them")
	}
}

// newWorld is a world in memory; without an engine nothing is folded and read.
func newWorld(t *testing.T, rnd *rand.Rand, e *testEngine, seed int) *world {
	t.Helper()
	dir := memoryDir(t)
	w := &world{t: t, rnd: rnd, cuts: []state{{}}, faulty: true, holds: map[string]weft.Seq{}}
	w.again = fmt.Sprintf("go test ./store -run '^%s$' -seed %d -seeds 1", strings.TrimSuffix(t.Name(), fmt.Sprintf("/%d", seed)), seed)
	if e != nil {
		w.e, dir = e, filepath.Join(e.dir, strings.ReplaceAll(t.Name(), "/", "-"))
		w.cfg = testConfig(dir, e)
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
	} else {
		w.cfg = testConfig(dir)
	}
	w.fs = newFaultFS(memoryDir(t), rnd)
	return w
}

// TestModelJournal does the same without an engine, and so many more times.
func TestModelJournal(t *testing.T) {
	n := 440
	if testing.Short() {
		n = 60
	}
	run := func(seed int) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			newWorld(t, rand.New(rand.NewPCG(uint64(seed), 2)), nil, seed).run(60)
		})
	}
	if *seedCount == 0 {
		for _, seed := range foundJournal {
			run(seed)
		}
	}
	for seed, to := seeds(n); seed < to; seed++ {
		run(seed)
	}
}

// foundJournal are seeds of TestModelJournal that once failed. A history is another
// one as soon as the store takes other steps; what a seed found has a test of its
// own beside.
var foundJournal = []int{
	8670, // TestMarkIsMadeWhole
}

// TestModelEveryStep runs one history with everything in it and lets every kind of
// fault come at every single step of it. With -seeds the steps are that many from
// -seed on; otherwise some of all are taken, others each time in the nightly run.
func TestModelEveryStep(t *testing.T) {
	e := newEngine(t, memoryDir(t))
	steps := everyStep(t, e, -1, "crash")
	if steps < 100 {
		t.Fatal("the history has only", steps, "steps")
	}
	stride := 11
	if testing.Short() {
		stride = 37
	}
	from := 0
	if *seedCount > 0 {
		stride, from, steps = 1, *seedFrom, min(steps, *seedFrom+*seedCount)
	}
	for i, fault := range faults {
		for step := from + i*7%stride; step < steps; step += stride {
			everyStep(t, e, step, fault)
		}
	}
}

func everyStep(t *testing.T, e *testEngine, step int, fault string) (steps int) {
	t.Helper()
	t.Run(fmt.Sprintf("%s at %d", fault, step), func(t *testing.T) {
		w := newWorld(t, rand.New(rand.NewPCG(9, 5)), e, step)
		w.again = fmt.Sprintf("go test ./store -run '^TestModelEveryStep$' -seed %d -seeds 1", step)
		w.faulty = false
		w.fs.rnd = rand.New(rand.NewPCG(uint64(step), 6))
		w.cfg.TailRows, w.cfg.KeepBytes = 5, 4000
		s, err := open(context.Background(), w.cfg, w.fs)
		if err != nil {
			t.Fatal(err)
		}
		w.s = s
		w.s.journal.max = 3000
		w.fs.plan(step, fault)
		for i := range 24 {
			if w.fs.crashed {
				w.say("the power is gone")
				w.close(true)
				w.open()
			}
			switch {
			case i%5 == 4:
				err := w.s.Compact(context.Background(), true)
				w.say("compact: %v", err)
				if err != nil && !w.fs.hit {
					w.fatal("compact failed without a fault: %v", err)
				}
			case i == 12:
				w.say("reopen")
				w.close(w.fs.crashed)
				w.open()
				if step >= 0 && !w.fs.hit {
					w.fs.plan(max(0, step-w.fs.steps), fault)
				}
			default:
				w.commit()
			}
		}
		w.close(true)
		w.open()
		for seq := range w.cuts {
			if seq%4 == 0 || seq == len(w.cuts)-1 {
				w.checkCut(weft.Seq(seq))
			}
		}
		w.follow()
		steps = w.fs.steps
		w.close(false)
		for _, f := range Verify(w.cfg.Dir) {
			if !strings.HasSuffix(f.File, keysSuffix) { // made again when they are needed, and not synced
				w.fatal("%v", f)
			}
		}
	})
	return steps
}
