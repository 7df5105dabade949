package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"
	"pgregory.net/rapid"

	"weft"
	"weft/serve"
)

func paper(width int) (*printer, *bytes.Buffer) {
	var b bytes.Buffer
	return &printer{Writer: &b, tty: true, width: width}, &b
}

func TestExitCodes(t *testing.T) {
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	fail := func(k weft.Kind) error { return weft.Errorf(k, "do", "it", "no") }
	for _, c := range []struct {
		ctx  context.Context
		err  error
		want int
	}{
		{nil, nil, 0},
		{nil, no(), 1},
		{nil, fail(weft.KindContract), 1},
		{nil, fail(weft.KindDrift), 1},
		{nil, fail(weft.KindInvalid), 2},
		{nil, fail(weft.KindNotFound), 2},
		{nil, fail(weft.KindConflict), 2},
		{nil, fail(weft.KindUnavailable), 2},
		{nil, fail(weft.KindGone), 2},
		{nil, fail(weft.KindCorrupt), 2},
		{nil, fail(weft.KindInternal), 2},
		{nil, errors.New("plain"), 2},
		{nil, fail(weft.KindBreaks), 3},
		{nil, fmt.Errorf("wrapped: %w", fail(weft.KindDenied)), 4},
		{nil, fail(weft.KindLimit), 4},
		{nil, fail(weft.KindCancelled), 130},
		{stopped, fail(weft.KindUnavailable), 130},
		{stopped, nil, 0},
	} {
		if c.ctx == nil {
			c.ctx = context.Background()
		}
		if got := exitCode(c.ctx, c.err); got != c.want {
			t.Errorf("%v ends with %d and should end with %d", c.err, got, c.want)
		}
	}
}

func TestPrintError(t *testing.T) {
	p, b := paper(60)
	cause := weft.Errorf(weft.KindUnavailable, "open", "orders.csv", "there is no such file").WithHint("check the path: it starts at the product folder")
	printError(p, &weft.Error{Op: "read the source of", Subject: "sales.orders", Kind: weft.KindUnavailable, Message: "the first of its files could not be read, and so nothing was", Cause: cause})
	want := `✗ could not read the source of sales.orders
  the first of its files could not be read, and so nothing
  was: open orders.csv: there is no such file
→ check the path: it starts at the product folder
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b, want)
	}
}

// TestErrorFitsScreen holds that no error takes more than a screen, or sends
// control characters to the terminal.
func TestErrorFitsScreen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, b := paper(rapid.IntRange(10, 200).Draw(t, "width"))
		long := strings.Repeat(rapid.String().Draw(t, "text"), rapid.IntRange(1, 500).Draw(t, "times"))
		printError(p, &weft.Error{Op: "do", Subject: long, Kind: weft.KindInternal, Message: long, Hint: "x" + long})
		if strings.ContainsAny(b.String(), "\x1b\x07\x00\r") {
			t.Fatalf("control characters in %q", b)
		}
		if n := strings.Count(b.String(), "\n"); p.width >= 80 && n > 60 {
			t.Fatalf("%d lines", n)
		}
	})
}

// TestIndent holds that a coloured lead does not push the lines below it.
func TestIndent(t *testing.T) {
	p, b := paper(30)
	p.colour = true
	p.indent(p.paint(dim, "name")+"  ", "one two three four five six seven", plain)
	if got, want := sgrRE.ReplaceAllString(b.String(), ""), "name  one two three four five\n      six seven\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestWrap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-z ä日\n]{0,80}`).Draw(t, "text")
		width := rapid.IntRange(4, 40).Draw(t, "width")
		lines := wrap(text, width)
		for _, l := range lines {
			if runewidth.StringWidth(l) > width {
				t.Fatalf("%q is wider than %d", l, width)
			}
		}
		letters := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if letters(strings.Join(lines, "\n")) != letters(text) {
			t.Fatalf("%q became %q", text, lines)
		}
	})
}

func exampleStatus() *serve.NodeStatus {
	now := at("2025-03-01T12:00:00Z")
	last, next := now.Add(-3*time.Minute), now.Add(57*time.Minute)
	name := func(s string) weft.Name {
		n, err := weft.ParseName(s)
		if err != nil {
			panic(err)
		}
		return n
	}
	return &serve.NodeStatus{
		Name: "shop", Domains: []string{"sales"}, Env: "dev", Version: "dev", Started: now.Add(-2 * time.Hour), Address: "http://127.0.0.1:7070",
		Disk: serve.DiskStatus{Used: 210e6, Free: 35e9}, Memory: 42e6, Workers: serve.WorkerStatus{Running: 1, Idle: 2},
		Products: []serve.ProductSummary{
			{Name: name("sales.orders"), Life: weft.LifeActive, State: weft.StateFresh, Rows: 1336776, Held: 12, Seq: 1842, LastCommit: &last, NextRefresh: &next},
			{
				Name: name("sales.returns"), Life: weft.LifeDraft, State: weft.StateRefused, Rows: 10, Seq: 1, LastCommit: &last,
				Todo: "12 rows have no reason: mend the source, or let them be held back, then weft refresh sales.returns",
			},
			{Name: name("sales.carts"), Life: weft.LifeProposed, State: weft.StateEmpty},
		},
	}
}

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestPrintStatus(t *testing.T) {
	p, b := paper(120)
	printStatus(p, exampleStatus(), at("2025-03-01T12:00:00Z"))
	want := `shop · sales · env dev · up 2 h · http://127.0.0.1:7070 · weft dev
3 products · 1,336,786 rows · 12 rows held back · disk 200 MiB used, 33 GiB free · memory 40 MiB
workers 1 running, 2 idle

product        life      state         rows  held  commit  changed    next       what to do
sales.orders   active    fresh    1,336,776    12   #1842  3 min ago  in 57 min
sales.returns  draft     refused         10            #1  3 min ago             12 rows have no reason: mend the
                                                                                 source, or let them be held back, then
                                                                                 weft refresh sales.returns
sales.carts    proposed  empty            0             —  never
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b, want)
	}
}

// TestMedium holds that where prose has no room beside the others it stands below
// its row, without the spare columns.
func TestMedium(t *testing.T) {
	p, b := paper(80)
	productGrid(exampleStatus().Products, at("2025-03-01T12:00:00Z")).print(p)
	want := `product        life      state         rows  held  commit  changed
sales.orders   active    fresh    1,336,776    12   #1842  3 min ago
sales.returns  draft     refused         10            #1  3 min ago
    → 12 rows have no reason: mend the source, or let them be held back, then
      weft refresh sales.returns
sales.carts    proposed  empty            0             —  never
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b, want)
	}
}

// TestNarrow holds that on a narrow terminal rows become blocks, and nothing
// but a single long word is wider than the terminal.
func TestNarrow(t *testing.T) {
	p, b := paper(44)
	printStatus(p, exampleStatus(), at("2025-03-01T12:00:00Z"))
	want := `shop · sales · env dev · up 2 h
http://127.0.0.1:7070 · weft dev
3 products · 1,336,786 rows
12 rows held back
disk 200 MiB used, 33 GiB free
memory 40 MiB · workers 1 running, 2 idle

sales.orders
  life        active
  state       fresh
  rows        1,336,776
  held        12
  commit      #1842
  changed     3 min ago
  next        in 57 min

sales.returns
  life        draft
  state       refused
  rows        10
  commit      #1
  changed     3 min ago
  what to do  12 rows have no reason: mend
              the source, or let them be
              held back, then weft refresh
              sales.returns

sales.carts
  life        proposed
  state       empty
  rows        0
  commit      —
  changed     never
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b, want)
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 14 * time.Millisecond: "14 ms", 1500 * time.Millisecond: "1.5 s", 42 * time.Second: "42 s",
		3 * time.Minute: "3 min", 80 * time.Minute: "1 h 20 min", 2 * time.Hour: "2 h", 30 * time.Hour: "30 h", 72 * time.Hour: "3 days",
	} {
		if got := span(d); got != want {
			t.Errorf("%s is %q and should be %q", time.Duration(d), got, want)
		}
	}
}

func TestEventWords(t *testing.T) {
	e := serve.Event{Phase: "read", Product: "sales.orders", Table: "lines", Rows: 1200000, Bytes: 120e6, Total: 480e6, Left: 9}
	for _, c := range []struct {
		event serve.Event
		took  time.Duration
		want  string
	}{
		{e, 3 * time.Second, "read sales.orders lines · 1,200,000 rows · 114 MiB of 458 MiB (25 %) · 400,000 rows/s · 9.0 s left"},
		{serve.Event{Phase: "read", Bytes: 120e6}, 2 * time.Second, "read · 114 MiB · 57 MiB/s"},
		{serve.Event{Phase: "read", Rows: 12, Total: 480e6}, 0, "read · 12 rows"},
		{serve.Event{Phase: "publish", Product: "sales.orders"}, time.Hour, "publish sales.orders"},
	} {
		if got := eventWords(c.event, c.took); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

var sgrRE = regexp.MustCompile("\x1b\\[[0-9]*m")

// TestProgress holds that work is drawn on one line of a terminal, taken off at
// its end and before a log line, and not drawn elsewhere.
func TestProgress(t *testing.T) {
	p, b := paper(40)
	a := &app{err: p}
	line := a.progress()
	line.event(serve.Event{Phase: "read", Product: "sales.orders", Rows: 1204000, Bytes: 120e6, Total: 480e6})
	if got, want := b.String(), "\r\x1b[2Kread sales.orders · 1,204,000 rows · 1…"; got != want {
		t.Errorf("drawn is %q and should be %q", got, want)
	}
	b.Reset()
	fmt.Fprint(a.logWriter(), "a line\n")
	if got, want := b.String(), "\r\x1b[2Ka line\n"; got != want {
		t.Errorf("logged is %q and should be %q", got, want)
	}
	b.Reset()
	line.clear()
	if b.Len() > 0 {
		t.Errorf("cleared twice: %q", b)
	}
	p.tty = false
	a.progress().event(serve.Event{Phase: "read"})
	if b.Len() > 0 {
		t.Errorf("drawn where there is no terminal: %q", b)
	}
}

// TestColours holds that styles are sequences around the same words.
func TestColours(t *testing.T) {
	p, b := paper(80)
	p.colour = true
	printStatus(p, exampleStatus(), at("2025-03-01T12:00:00Z"))
	q, c := paper(80)
	printStatus(q, exampleStatus(), at("2025-03-01T12:00:00Z"))
	if !strings.Contains(b.String(), "\x1b[32mfresh\x1b[0m") {
		t.Errorf("fresh is not green in %q", b)
	}
	if got := sgrRE.ReplaceAllString(b.String(), ""); got != c.String() {
		t.Errorf("without colours it is\n%s\nand should be\n%s", got, c)
	}
}

// TestChanges: a commit is summed up by what it changed, not by how it is stored.
func TestChanges(t *testing.T) {
	for want, tables := range map[string][]weft.TableChange{
		"+7":              {{Op: weft.OpReplace, Inserted: 7, Rows: 7}},
		"+2 −5":           {{Op: weft.OpReplace, Inserted: 2, Deleted: 5, Rows: 7}},
		"~1,400 −10":      {{Op: weft.OpReplace, Updated: 1400, Deleted: 10, Rows: 1400}},
		"10 → 7 rows":     {{Op: weft.OpReplace, Inserted: 7, Deleted: 10, Rows: 7}},
		"+1 ~1 9 → 1 row": {{Op: weft.OpReplace, Inserted: 1, Deleted: 9, Rows: 1}, {Op: weft.OpMerge, Inserted: 1, Updated: 1, Rows: 8}, {Hidden: true, Inserted: 4}},
		"−7":              {{Op: weft.OpReplace, Deleted: 7}},
		"":                {{Hidden: true, Op: weft.OpAppend, Inserted: 3}},
	} {
		if got := changes(weft.Commit{Header: weft.Header{Tables: tables}}); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

// TestHistoryShowsOtherColumnsAndDamage: a commit of rows that also changed the
// columns says so, and a damaged one is named below the list.
func TestHistoryShowsOtherColumnsAndDamage(t *testing.T) {
	commit := func(seq weft.Seq, schema byte, tables ...weft.TableChange) serve.CommitInfo {
		var c serve.CommitInfo
		c.Seq, c.Cause, c.Time = seq, weft.CauseLoad, at("2025-03-01T12:00:00Z")
		for _, t := range tables {
			t.Table, t.Schema = "orders", weft.Hash{schema}
			c.Tables = append(c.Tables, t)
		}
		return c
	}
	plus := weft.TableChange{Op: weft.OpReplace, Inserted: 2, Deleted: 1, Rows: 3}
	damaged := commit(3, 0)
	damaged.Damaged = "read the journal: the bytes are not what was written"
	p, b := paper(120)
	p.tty = false
	list := &serve.CommitList{Commits: []serve.CommitInfo{
		commit(6, 2, plus), commit(5, 2, plus), commit(4, 1, plus), damaged, commit(2, 1, plus), commit(1, 9, plus),
	}}
	printHistory(p, weft.Name{Domain: "sales", Product: "orders"}, list, at("2025-03-01T12:00:01Z"))
	for line, want := range map[string]bool{
		`#6 .* \+2 −1 +3 `: true, `#5 .* \+2 −1 other columns +3 `: true, `#4 .* \+2 −1 +3 `: true, `#3 +damaged`: true,
		`#2 .* \+2 −1 other columns +3 `: true, `✗ #3 cannot be read: read the journal: the bytes are not what was written`: true,
		`→ restore the product from a backup`: true, `0001-01-01`: false,
	} {
		if regexp.MustCompile(line).MatchString(b.String()) != want {
			t.Errorf("%s: want %v in\n%s", line, want, b)
		}
	}
}
