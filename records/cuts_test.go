package records

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"weft"
)

func cutOf(n int) weft.Cut {
	return weft.Cut{{
		Product: weft.Name{Domain: "sales", Product: fmt.Sprint("p", n)}, ID: "x", Incarnation: 1, Seq: 3, Hash: sha256.Sum256([]byte{byte(n)}),
		Time: time.UnixMicro(1_700_000_000_000_001).UTC(),
	}}
}

// TestSavedCuts keeps cuts under names over a restart.
func TestSavedCuts(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "books.db")
	b, err := Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	c := SavedCut{
		Name: "one", Cut: cutOf(1), By: "person a", Saved: time.UnixMicro(1_700_000_000_000_002).UTC(), Notes: []string{"n"},
		Holds: map[weft.Name]Claim{cutOf(1)[0].Product: {Hold: "h", Node: weft.KeyID{1}, Until: time.UnixMicro(1_800_000_000_000_000).UTC()}},
	}
	if err := b.SaveCut(ctx, c); err != nil {
		t.Fatal(err)
	}
	if err := b.SaveCut(ctx, c); weft.KindOf(err) != weft.KindConflict {
		t.Errorf("the same name again: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err = Open(ctx, path); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	got, err := b.SavedCut(ctx, "one")
	if err != nil || fmt.Sprint(*got) != fmt.Sprint(c) {
		t.Errorf("%+v, %v", got, err)
	}
	if list, err := b.SavedCuts(ctx); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := b.SavedCut(ctx, "two"); weft.KindOf(err) != weft.KindNotFound {
		t.Error(err)
	}
	if err := b.DropCut(ctx, "one"); err != nil {
		t.Error(err)
	}
	if err := b.DropCut(ctx, "one"); weft.KindOf(err) != weft.KindNotFound {
		t.Error(err)
	}
}

// TestWholes keeps those cuts without a token that were used last, each once.
func TestWholes(t *testing.T) {
	ctx := t.Context()
	b, err := Open(ctx, filepath.Join(t.TempDir(), "books.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	now := time.UnixMicro(1_700_000_000_000_000)
	if err := b.PutWhole(ctx, cutOf(1), now); err != nil {
		t.Fatal(err)
	}
	// As many others as there is room for, older and younger than it.
	_, err = b.db.ExecContext(ctx, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < ?)
		INSERT INTO whole SELECT 'x' || i, x'00', ? + i FROM n`, maxWholes, now.UnixMicro()-int64(maxWholes)/2)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if err := b.PutWhole(ctx, cutOf(2), now.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	var n, used int64
	if err := b.db.QueryRowContext(ctx, `SELECT count(*), max(used) FILTER (WHERE hash = ?) FROM whole`, cutOf(2).Ref().String()).Scan(&n, &used); err != nil || n != maxWholes || used != now.UnixMicro() {
		t.Errorf("%d are kept, the last one used at %d, %v", n, used, err)
	}
	for i := 1; i <= 2; i++ {
		if c, err := b.Whole(ctx, cutOf(i).Ref()); err != nil || c.Ref() != cutOf(i).Ref() {
			t.Errorf("cut %d: %v, %v", i, c, err)
		}
	}
	if err := b.PutWhole(ctx, cutOf(1), now.Add(2*usedEvery)); err != nil {
		t.Fatal(err)
	}
	if err := b.db.QueryRowContext(ctx, `SELECT used FROM whole WHERE hash = ?`, cutOf(1).Ref().String()).Scan(&used); err != nil || used != now.Add(2*usedEvery).UnixMicro() {
		t.Errorf("a later use is not known: %d, %v", used, err)
	}
	if _, err := b.Whole(ctx, weft.Hash{}); weft.KindOf(err) != weft.KindNotFound {
		t.Error(err)
	}
	// What is not what its hash says is not given.
	if _, err := b.db.ExecContext(ctx, `UPDATE whole SET body=x'00' WHERE hash=?`, cutOf(1).Ref().String()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Whole(ctx, cutOf(1).Ref()); weft.KindOf(err) != weft.KindCorrupt {
		t.Error(err)
	}
}

// TestHolds keeps who holds what.
func TestHolds(t *testing.T) {
	ctx := t.Context()
	b, err := Open(ctx, filepath.Join(t.TempDir(), "books.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	h := Hold{ID: "x", Product: cutOf(1)[0].Product, Name: "cut.one.3", Point: cutOf(1)[0], By: "ann", Domains: []string{"insights"}, For: "one", Asked: time.UnixMicro(1).UTC()}
	for _, until := range []time.Time{{}, time.UnixMicro(1_800_000_000_000_000).UTC()} {
		h.Expires = until
		if err := b.PutHold(ctx, h); err != nil {
			t.Fatal(err)
		}
		if list, err := b.Holds(ctx); err != nil || len(list) != 1 || fmt.Sprint(list[0]) != fmt.Sprint(h) {
			t.Errorf("%+v, %v", list, err)
		}
	}
	for range 2 {
		if err := b.DropHold(ctx, "x", h.Name); err != nil {
			t.Error(err)
		}
	}
	if list, err := b.Holds(ctx); err != nil || len(list) > 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
