package store

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weft"
)

func TestHoldKeepsACommitThroughRetentionAndRestart(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	cfg := testConfig(dir, e)
	clock := cfg.Env.Clock.(*step)
	cfg.KeepFor, cfg.KeepBytes = time.Hour, 1
	s := mustOpen(t, cfg)
	s.journal.max = 500
	for i := range int64(6) {
		mustAppend(t, s, change1(weft.OpReplace, batch(row{i, "Ada"})))
		compactNow(t, s)
		if i == 2 {
			if err := s.Hold("report.q1", 3); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s.Oldest() != 3 {
		t.Fatal("oldest is", s.Oldest())
	}
	if err := s.Hold("report.q1", 3); err != nil {
		t.Error("again:", err)
	}
	for _, c := range []struct {
		name string
		seq  weft.Seq
		kind weft.Kind
	}{
		{"report.q1", 4, weft.KindConflict},
		{"old", 2, weft.KindGone},
		{"none", 7, weft.KindNotFound},
		{"none", 0, weft.KindNotFound},
		{"", 4, weft.KindInvalid},
		{"../x", 4, weft.KindInvalid},
		{"Report", 4, weft.KindInvalid},
		{strings.Repeat("a", 201), 4, weft.KindInvalid},
	} {
		if err := s.Hold(c.name, c.seq); weft.KindOf(err) != c.kind {
			t.Errorf("hold %s by %q: %v", c.seq, c.name, err)
		}
	}
	_ = s.Close()
	s = mustOpen(t, cfg)
	if got := s.Holds(); !slices.Equal(got, []Hold{{"report.q1", 3}}) {
		t.Fatal(got)
	}
	clock.t = clock.t.Add(48 * time.Hour)
	mustAppend(t, s, change1(weft.OpReplace, batch(row{9, "Ada"})))
	compactNow(t, s)
	if rows, _ := e.at(t, s, 3, "people"); !slices.Equal(rows, []string{"2|Ada"}) || s.Oldest() != 3 {
		t.Fatal(rows, s.Oldest())
	}
	if err := s.Release("report.q1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Release("report.q1"); weft.KindOf(err) != weft.KindNotFound {
		t.Error(err)
	}
	if err := s.Compact(context.Background(), false); err != nil {
		t.Fatal(err)
	}
	_, err := s.Snapshot(context.Background(), 3)
	if weft.KindOf(err) != weft.KindGone || !strings.Contains(err.Error(), s.Oldest().String()) || s.Oldest() <= 3 {
		t.Fatal(err, s.Oldest())
	}
}

// TestHoldDuringAFold takes holds while a fold decides what goes: each one that
// was granted can be read behind it.
func TestHoldDuringAFold(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	cfg := testConfig(dir, e)
	cfg.KeepBytes = 1
	s := mustOpen(t, cfg)
	s.journal.max = 500
	for i := range int64(30) {
		mustAppend(t, s, change1(weft.OpReplace, batch(row{i, "Ada"})))
	}
	done := make(chan error, 1)
	go func() { done <- s.Compact(context.Background(), true) }()
	var granted []weft.Seq
	for seq := weft.Seq(30); seq >= 1; seq-- {
		if err := s.Hold("h"+itoa(int64(seq)), seq); err == nil {
			granted = append(granted, seq)
		} else if weft.KindOf(err) != weft.KindGone {
			t.Error(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	compactNow(t, s)
	for _, seq := range granted {
		if rows, _ := e.at(t, s, seq, "people"); !slices.Equal(rows, []string{itoa(int64(seq)-1) + "|Ada"}) {
			t.Fatal(seq, rows)
		}
	}
}

func TestDamagedHoldsAreNeverLostSilently(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, testConfig(dir))
	mustAppend(t, s, change1(weft.OpReplace, batch(row{1, "Ada"})))
	if err := s.Hold("one", 1); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	path := filepath.Join(dir, holdsFile)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := [][]byte{nil, good[:len(good)-1], append(bytes.Clone(good), '\n')}
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1 << (i % 8)
		bad = append(bad, b)
	}
	for _, b := range bad {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if f := Verify(dir); len(f) != 1 || f[0].File != holdsFile {
			t.Fatalf("%s: %v", b, f)
		}
		s, err := Open(context.Background(), testConfig(dir))
		if err != nil {
			if weft.KindOf(err) != weft.KindInvalid { // a version that was flipped
				t.Fatalf("%s: %v", b, err)
			}
			continue
		}
		if err := s.Hold("two", 1); weft.KindOf(err) != weft.KindCorrupt || len(s.Damage()) != 1 {
			t.Fatalf("%s: %v %v", b, err, s.Damage())
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if s = mustOpen(t, testConfig(dir)); len(s.Holds()) != 1 {
		t.Fatal(s.Holds())
	}
}

// TestDamagedHoldsLetNothingGo damages the list of holds: the product is read as
// before, retention lets go of nothing, and nobody takes the damage for no holds.
func TestDamagedHoldsLetNothingGo(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir)
	cfg := testConfig(dir, e)
	cfg.KeepBytes = 1
	s := mustOpen(t, cfg)
	for i := range 3 {
		mustAppend(t, s, change1(weft.OpReplace, batch(row{int64(i), "Ada"})))
	}
	if err := s.Hold("audit", 2); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, holdsFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, cfg)
	mustAppend(t, s, change1(weft.OpReplace, batch(row{9, "Bob"})))
	compactNow(t, s)
	if rows, _ := e.at(t, s, 2, "people"); s.Oldest() > 2 || len(rows) != 1 {
		t.Error(s.Oldest(), rows)
	}
	for _, err := range []error{s.Hold("more", 4), s.Release("audit")} {
		if weft.KindOf(err) != weft.KindCorrupt || weft.HintOf(err) == "" {
			t.Error(err)
		}
	}
	if d := s.Damage(); len(d) != 1 || d[0].File != holdsFile {
		t.Error(d)
	}
}

// TestHoldAfterAFoldThatFailed makes every sync and every change of a name fail
// within a fold, once each: whoever was given a hold behind it has it after the
// next start, however much of the fold is on the disk.
func TestHoldAfterAFoldThatFailed(t *testing.T) {
	root := memoryDir(t)
	e := newEngine(t, root)
	for _, fault := range []string{"sync", "name"} {
		for n, hit := 0, true; hit; n++ {
			dir := filepath.Join(root, fault+itoa(int64(n)))
			fsys := newFaultFS(memoryDir(t), rand.New(rand.NewPCG(uint64(n), 5)))
			cfg := testConfig(dir, e)
			cfg.KeepBytes = 1
			s, err := open(context.Background(), cfg, fsys)
			if err != nil {
				t.Fatal(err)
			}
			s.journal.max = 1
			for i := range int64(6) {
				mustAppend(t, s, change1(weft.OpReplace, batch(row{i, "Ada"})))
			}
			fsys.plan(n, fault)
			err = s.Compact(context.Background(), true)
			hit = fsys.hit
			fsys.restore()
			if err == nil && hit && fault == "sync" {
				t.Errorf("%s %d: the fold succeeded", fault, n)
			}
			var granted []weft.Seq
			for seq := weft.Seq(1); seq <= 6; seq++ {
				if err := s.Hold("h"+itoa(int64(seq)), seq); err == nil {
					granted = append(granted, seq)
				} else if weft.KindOf(err) != weft.KindGone {
					t.Fatal(err)
				}
			}
			for _, again := range []string{"at once", "after a fold"} {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if s, err = open(context.Background(), cfg, fsys); err != nil {
					t.Fatal(err)
				}
				for _, seq := range granted {
					snap, err := s.Snapshot(context.Background(), seq)
					if err != nil {
						t.Fatalf("%s %d, %s: %s was held: %v", fault, n, again, seq, err)
					}
					_ = snap.Close()
				}
				compactNow(t, s)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
