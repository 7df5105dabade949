package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"weft"
)

// TestMemo holds that what is remembered is what the engine would say, for every
// script, and that visibility and time are worked out each time.
func TestMemo(t *testing.T) {
	s := newParser(t)
	opened := 0
	m := NewMemo(16 << 20)
	p := m.Parser(func(context.Context) (Session, error) { opened++; return s, nil })
	for _, q := range seeds(t) {
		want := describe(Bind(t.Context(), s, q, testRules))
		for range 2 {
			if got := describe(Bind(t.Context(), p, q, testRules)); got != want {
				t.Fatalf("%.200s\n  gives %s\n  not   %s", q, got, want)
			}
		}
	}
	const q = "select now() as n, a from sales.orders"
	_, _ = Bind(t.Context(), p, q, testRules)
	opened = 0
	if _, err := Bind(t.Context(), p, q, testRules); err != nil || opened != 0 {
		t.Fatalf("a text that was read before opens %d sessions: %v", opened, err)
	}
	hidden := testRules
	hidden.Resolve = func(TableRef) (Target, error) {
		return Target{}, weft.Errorf(weft.KindNotFound, gateOp, "", "there is no such product")
	}
	if _, err := Bind(t.Context(), p, q, hidden); weft.KindOf(err) != weft.KindNotFound {
		t.Errorf("another subject is told %v", err)
	}
	later := testRules
	now := testNow.AddDate(1, 0, 0)
	later.Now = func() time.Time { return now }
	if b, err := Bind(t.Context(), p, q, later); err != nil || !strings.Contains(b.SQL, "2027") {
		t.Errorf("a year later: %+v, %v", b, err)
	}
}

func TestMemoIsBounded(t *testing.T) {
	m := NewMemo(100_000)
	for i := range 10_000 {
		m.add(memoTree, fmt.Sprint("select ", i), strings.Repeat("x", 1000))
	}
	size := 0
	for _, half := range []map[string]string{m.young, m.old} {
		for k, v := range half {
			size += len(k) + len(v)
		}
	}
	if size > 100_000 || size < 30_000 {
		t.Errorf("it holds %d bytes", size)
	}
	if _, ok := m.get(memoTree, "select 9999"); !ok {
		t.Error("the newest is forgotten")
	}
	m.add(memoTree, "large", strings.Repeat("x", 50_000))
	if _, ok := m.get(memoTree, "large"); ok {
		t.Error("a large text pushes out the others")
	}
}

func TestMemoMarks(t *testing.T) {
	m := NewMemo(10_000)
	m.Unmark("never marked")
	for round := range 200 { // in both halves
		m.Mark("slow")
		for i := range round {
			m.add(memoTree, fmt.Sprint(round, " ", i), strings.Repeat("x", 50))
		}
		if round < 50 && !m.Marked("slow") {
			t.Fatalf("round %d: the mark is gone", round)
		}
		if m.Unmark("slow"); m.Marked("slow") {
			t.Fatalf("round %d: the mark stays", round)
		}
		size := 0
		for k, v := range m.young {
			size += len(k) + len(v)
		}
		if size != m.size {
			t.Fatalf("round %d: %d bytes are counted, %d are there", round, m.size, size)
		}
	}
}
