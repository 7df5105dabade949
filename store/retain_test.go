package store

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
)

func compactNow(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Compact(context.Background(), true); err != nil {
		t.Fatal(err)
	}
}

func TestRetentionLetsGoOfWhatIsOldAndNotRead(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	cfg := testConfig(dir, e)
	clock := cfg.Env.Clock.(*step)
	cfg.KeepFor = 24 * time.Hour
	s := mustOpen(t, cfg)
	s.journal.max = 1000
	for i := range 4 {
		mustAppend(t, s, change1(weft.OpReplace, batch(row{int64(i), "Ada"})))
	}
	mustAppend(t, s, Candidate{Tables: []TableData{{Table: "still", Schema: people, Op: weft.OpAppend, Batches: nil}}})
	compactNow(t, s)
	held, err := s.Snapshot(context.Background(), 2)
	if err != nil {
		t.Fatal(err)
	}
	clock.t = clock.t.Add(25 * time.Hour)
	mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"i", row{77, "Bob"}})))
	if err := s.Compact(context.Background(), false); err != nil { // due by time alone
		t.Fatal(err)
	}
	if s.Oldest() != 5 {
		t.Fatal("oldest is", s.Oldest())
	}
	for seq, kind := range map[weft.Seq]weft.Kind{2: weft.KindGone, 4: weft.KindGone, 5: "", 6: ""} {
		snap, err := s.Snapshot(context.Background(), seq)
		if err == nil {
			_ = snap.Close()
		}
		if (err == nil) != (kind == "") || err != nil && weft.KindOf(err) != kind {
			t.Errorf("%s: %v", seq, err)
		}
	}
	if _, err := s.SeqAt(clock.t.Add(-25 * time.Hour).Add(-10 * time.Second)); weft.KindOf(err) != weft.KindGone {
		t.Error(err)
	}
	for _, err := range s.Follow(context.Background(), 1) {
		if weft.KindOf(err) != weft.KindGone {
			t.Error(err)
		}
		break
	}
	// The lease keeps its file until it is given up.
	rel, err := held.Relation("people")
	if err != nil {
		t.Fatal(err)
	}
	if got := e.rows(t, rel); !slices.Equal(got, []string{"1|Ada"}) {
		t.Fatal(got)
	}
	before := countFiles(t, dir)
	_ = held.Close()
	if after := countFiles(t, dir); after != before-1 {
		t.Fatal(before, after)
	}
	commits, err := s.Commits(0, 100)
	if err != nil || len(commits) != 2 {
		t.Fatal(len(commits), err)
	}
	// What nothing said anything of since still knows its rows.
	for range 2 {
		rows, _ := e.at(t, s, 5, "people")
		if !slices.Equal(rows, []string{"3|Ada"}) {
			t.Fatal(rows)
		}
		_ = s.Close()
		s = mustOpen(t, cfg)
	}
	if f := func() []Finding { _ = s.Close(); return Verify(dir) }(); len(f) != 0 {
		t.Fatal(f)
	}
}

func countFiles(t testing.TB, dir string) int {
	t.Helper()
	es, err := os.ReadDir(filepath.Join(dir, "files"))
	if err != nil {
		t.Fatal(err)
	}
	return len(es)
}

func TestRetentionByBytes(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	cfg := testConfig(dir, e)
	cfg.KeepBytes = 1500
	s := mustOpen(t, cfg)
	for i := range 12 {
		mustAppend(t, s, change1(weft.OpReplace, batch(row{int64(i), "Ada"})))
		compactNow(t, s)
	}
	if o := s.Oldest(); o < 5 || o > 12 {
		t.Fatal("oldest is", o)
	}
	for seq := s.Oldest(); seq <= 12; seq++ {
		if rows, _ := e.at(t, s, seq, "people"); len(rows) != 1 || rows[0] != itoa(int64(seq)-1)+"|Ada" {
			t.Fatal(seq, rows)
		}
	}
}

func TestRunFoldsAndEnds(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	cfg := testConfig(dir, e)
	cfg.TailRows = 1
	s := mustOpen(t, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	mustAppend(t, s, change1(weft.OpReplace, batch(row{1, "Ada"}, row{2, "Bob"})))
	for countFiles(t, dir) == 0 { // by Run or by this, whoever comes first
		if err := s.Compact(ctx, false); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	go func() { done <- s.Run(context.Background()) }()
	_ = s.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestFoldsGoOnOverADamagedJournal damages what an old segment says: folds go on,
// keep what they cannot decide of, and let go of it when they can.
func TestFoldsGoOnOverADamagedJournal(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	cfg := testConfig(dir, e)
	clock := cfg.Env.Clock.(*step)
	cfg.KeepFor = 24 * time.Hour
	s := mustOpen(t, cfg)
	s.journal.max = 5000
	mustAppend(t, s, Candidate{Tables: []TableData{{Table: "still", Schema: people, Op: weft.OpAppend, Batches: nil}}})
	for s.journal.active().info.Segment < 3 {
		clock.t = clock.t.Add(time.Minute)
		mustAppend(t, s, change1(weft.OpReplace, batch(row{1, "Ada"})))
	}
	compactNow(t, s)
	third, err := s.Commit(3)
	if err != nil {
		t.Fatal(err)
	}
	_, at, err := s.journal.find(3)
	if err != nil {
		t.Fatal(err)
	}
	path := s.journal.segments[0].path
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at.at+frameHeaderSize+20] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, cfg)
	if s.ReadOnly() != nil {
		t.Fatal(s.ReadOnly())
	}
	// fold makes a commit and folds it.
	fold := func() {
		t.Helper()
		c := mustAppend(t, s, change1(weft.OpReplace, batch(row{int64(s.Head().Seq), "Ada"})))
		compactNow(t, s)
		if !s.Folded() {
			t.Fatal(c.Seq, "was not folded")
		}
		if err := s.Compact(context.Background(), false); err != nil {
			t.Fatal(err)
		}
		if rows, _ := e.at(t, s, 0, "people"); !slices.Equal(rows, []string{itoa(int64(c.Seq)-1) + "|Ada"}) {
			t.Fatal(rows)
		}
	}
	// The commit that has been kept for long enough may be the hidden one.
	clock.t = third.Time.Add(cfg.KeepFor + 30*time.Second)
	fold()
	if s.Oldest() >= 4 || s.journal.segments[0].path != path {
		t.Fatal(s.Oldest(), s.journal.segments[0].path)
	}
	if d := s.Damage(); len(d) != 1 || d[0].File != "journal/"+filepath.Base(path) {
		t.Fatal(d)
	}
	// Behind it, rows of a table that nobody changed since are still hidden.
	clock.t = clock.t.Add(48 * time.Hour)
	fold()
	if s.Oldest() < 4 || s.journal.segments[0].path != path {
		t.Fatal(s.Oldest(), s.journal.segments[0].path)
	}
	mustAppend(t, s, Candidate{Tables: []TableData{{Table: "still", Schema: people, Op: weft.OpAppend, Batches: []arrow.RecordBatch{batch(row{1, "Ada"})}}}})
	clock.t = clock.t.Add(48 * time.Hour)
	s.journal.max = 1 // the next commit starts a segment
	fold()
	clock.t = clock.t.Add(48 * time.Hour)
	fold()
	if s.journal.segments[0].path == path {
		t.Fatal("the damaged segment stays for ever")
	}
	if f := func() []Finding { _ = s.Close(); return Verify(dir) }(); len(f) != 0 {
		t.Fatal(f)
	}
}

// TestOldCutsCountWhileRetentionLetsGo counts the rows of a cut after retention has
// let go of the segments that say them.
func TestOldCutsCountWhileRetentionLetsGo(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	cfg := testConfig(dir, e)
	cfg.KeepBytes = 1
	s := mustOpen(t, cfg)
	s.journal.max = 1
	for i := range int64(4) {
		rows := make([]row, i+1)
		for k := range rows {
			rows[k].ID = int64(k)
		}
		mustAppend(t, s, change1(weft.OpReplace, batch(rows...)))
	}
	snap, segs, err := s.fix(context.Background(), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = snap.Close() }()
	compactNow(t, s)
	mustAppend(t, s, change1(weft.OpMerge, mergeBatch(opRow{"i", row{9, "Bob"}})))
	compactNow(t, s)
	if s.Oldest() <= 2 || s.journal.segments[0].info.First <= 2 {
		t.Fatal(s.Oldest(), s.journal.segments[0].info.First)
	}
	if err := snap.countRows(segs); err != nil {
		t.Fatal(err)
	}
	s.journal.release(segs...)
	if got := snap.Tables()[0].Rows; got != 2 {
		t.Fatalf("the cut has %d rows, want 2", got)
	}
	for _, g := range segs[:2] {
		if _, err := g.f.Stat(); err == nil {
			t.Errorf("%s is still open", g.path)
		}
	}
	if _, err := s.Snapshot(context.Background(), 2); weft.KindOf(err) != weft.KindGone {
		t.Error(err)
	}
}
