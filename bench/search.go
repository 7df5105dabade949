package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the yardstick

	"weft"
	"weft/catalog"
	"weft/catalog/catalogtest"
	"weft/peer"
	"weft/run"
	"weft/serve"
)

// benchSearch measures the catalogue with the cards of 100,000 products of another
// node: how long a ranked search takes beside SQLite's FTS5 with BM25 over the same
// texts, building the index, memory, and from the start of the program to the first
// search. The records and SQLite's tables are kept between runs.
func benchSearch(ctx context.Context, o options, r *report) error {
	m := catalogtest.NewMesh(1)
	dir := filepath.Join(o.dir, "search")
	if err := foreignMesh(ctx, dir, m, o.cards); err != nil {
		return err
	}
	node := filepath.Join(dir, "here")
	if err := os.RemoveAll(filepath.Join(node, ".weft", "mesh", "catalog")); err != nil {
		return err
	}
	there, err := openMesh(ctx, filepath.Join(node, ".weft", "mesh"))
	if err != nil {
		return err
	}
	s := &searching{o: o, r: r, m: m, dir: dir, mesh: there}
	err = s.build(ctx)
	for _, f := range []func(context.Context) error{s.compare, s.changes} {
		if err == nil {
			err = f(ctx)
		}
	}
	if s.c != nil {
		err = errors.Join(err, s.c.Close())
	}
	if err := errors.Join(err, there.Close()); err != nil {
		return err
	}
	return s.restart(ctx, node)
}

// searching is a catalogue that is measured.
type searching struct {
	o    options
	r    *report
	m    *catalogtest.Mesh
	dir  string
	mesh *peer.Mesh
	c    *catalog.Catalog
}

func (s *searching) name() string { return fmt.Sprintf("over %d cards", s.o.cards) }

// build fills a catalogue from the records and says what that takes.
func (s *searching) build(ctx context.Context) (err error) {
	before := heap()
	if s.c, err = catalog.Open(ctx, catalog.Config{Dir: filepath.Join(s.dir, "here", ".weft", "mesh", "catalog"), Env: run.Quiet()}); err != nil {
		return err
	}
	began := time.Now()
	s.c.SyncSet(s.mesh.Set())
	took := time.Since(began).Seconds()
	if s.c.Len() != s.o.cards {
		return fmt.Errorf("the catalogue has %d cards", s.c.Len())
	}
	s.r.add(line{what: "building the index of the catalogue " + s.name(), weft: fmt.Sprintf("%s, %.0f cards a second", short(took), float64(s.o.cards)/took)})
	s.r.add(line{what: "memory of the catalogue " + s.name() + ", with cards and heads", weft: fmt.Sprintf("%d MB", (heap()-before)>>20)})
	return nil
}

func heap() int64 {
	runtime.GC()
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	return int64(ms.HeapAlloc)
}

// question is one that both are asked. SQLite, which forgives no mistakes, is asked
// with the words written right.
type question struct{ ours, theirs string }

func (s *searching) questions(each int) (qs []question) {
	for i := range each {
		for _, words := range []int{1, 3, 5} {
			right := s.m.Query(i, words, false)
			qs = append(qs, question{right, right}, question{s.m.Query(i, words, true), right})
		}
	}
	return qs
}

// perTheirs is how many questions are asked of the catalogue for one of SQLite.
const perTheirs = 10

// compare asks both in turn.
func (s *searching) compare(ctx context.Context) error {
	fts, err := s.openFTS(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = fts.Close() }()
	qs := s.questions(4 * s.o.rounds * perTheirs)
	runtime.LockOSThread() // its time on a processor is counted
	defer runtime.UnlockOSThread()
	var ours, busy, theirs sample
	found := 0
	for i, q := range qs {
		if i%perTheirs == 0 {
			began := time.Now()
			n, err := askFTS(ctx, fts, qs[i/perTheirs].theirs)
			if err != nil {
				return err
			}
			found += n
			theirs = append(theirs, time.Since(began).Seconds())
		}
		began, used := time.Now(), threadTime()
		if _, err := s.c.Search(ctx, catalog.Query{Text: q.ours}); err != nil {
			return err
		}
		ours, busy = append(ours, time.Since(began).Seconds()), append(busy, (threadTime()-used).Seconds())
	}
	if found == 0 {
		return errors.New("SQLite finds nothing")
	}
	p99 := ours.quantile(0.99)
	what := fmt.Sprintf("ranked search %s, 1, 3 and 5 words, half of them misspelt", s.name())
	onCPU := fmt.Sprintf("; of a processor's time p50 %s, p99 %s", short(busy.median()), short(busy.quantile(0.99)))
	both := func(s sample) string {
		return fmt.Sprintf("%d searches: p50 %s, p99 %s", len(s), short(s.median()), short(s.quantile(0.99)))
	}
	yard := "SQLite FTS5 with BM25, the same texts and words, written right: " + both(theirs)
	s.r.add(line{what: what, weft: both(ours) + onCPU, yard: yard, figure: short(p99) + " p99", asked: "≤ 10 ms", kept: p99 <= 0.010, measured: s.o.cards == fullCards})
	ratio := min(theirs.quantile(0.99)/p99, theirs.median()/ours.median())
	s.r.add(line{
		what: "that beside SQLite FTS5, the lesser of the ratios of p50 and p99", weft: both(ours), yard: yard,
		figure: fmt.Sprintf("%.1f×", ratio), asked: "≥ 5×", kept: ratio >= 5, measured: s.o.cards == fullCards,
	})
	return nil
}

// threadTime is how long this thread was on a processor.
func threadTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) // it cannot fail for oneself
	return time.Duration(t.Nano())
}

// fullCards is what is asked for.
const fullCards = 100_000

// changes measures how long a new edition of a card and a new head take until they
// count.
func (s *searching) changes(ctx context.Context) error {
	var cards, heads sample
	for i := range 20 {
		card, head := s.m.Card(i, 2), s.m.Head(i, 2)
		began := time.Now()
		if err := s.c.Put(card, nil); err != nil {
			return err
		}
		for {
			res, err := s.c.Search(ctx, catalog.Query{Text: card.Product.String(), Limit: 1})
			if err != nil {
				return err
			}
			if len(res.Hits) == 1 && res.Hits[0].Entry.Card.Version == card.Version {
				break
			}
			if time.Since(began) > 10*time.Second {
				return fmt.Errorf("the new edition of %s is not found", card.Product)
			}
		}
		cards = append(cards, time.Since(began).Seconds())
		began = time.Now()
		if err := s.c.Put(card, head); err != nil {
			return err
		}
		heads = append(heads, time.Since(began).Seconds())
	}
	s.r.add(line{
		what: "from a new card to the search that finds it, " + s.name(), weft: cards.seconds(), figure: short(cards.quantile(1)), asked: "≤ 100 ms",
		kept: cards.quantile(1) <= 0.1, measured: true,
	})
	s.r.add(line{what: "from a new head to its place in the ranking, " + s.name(), weft: heads.seconds()})
	return nil
}

// restart starts the program with the node's folder and searches as soon as it
// answers.
func (s *searching) restart(ctx context.Context, dir string) error {
	var took sample
	for range s.o.rounds {
		began := time.Now()
		p, err := startNode(ctx, s.o, dir)
		if err != nil {
			return err
		}
		text := s.m.Name(s.o.cards / 2).String()
		res, err := p.client.Search(ctx, serve.SearchRequest{Text: text})
		took = append(took, time.Since(began).Seconds())
		if err == nil && (res.Searched != s.o.cards || len(res.Hits) == 0 || res.Hits[0].Product.String() != text) {
			err = fmt.Errorf("%d cards were searched for %s, and it is not the first hit", res.Searched, text)
		}
		if err := errors.Join(err, p.stop()); err != nil {
			return fmt.Errorf("%w\n%s", err, p.log.String())
		}
	}
	s.r.add(line{
		what: fmt.Sprintf("start of a node with %d foreign cards to its first search over HTTP", s.o.cards), weft: took.seconds(), figure: short(took.median()),
		asked: "≤ 2 s", kept: took.median() <= 2, measured: s.o.cards == fullCards,
	})
	return nil
}

// openFTS opens SQLite's index of the same texts, and makes it where no earlier run
// did.
func (s *searching) openFTS(ctx context.Context) (*sql.DB, error) {
	path := filepath.Join(s.dir, fmt.Sprintf("fts5-%d.db", s.o.cards))
	_, err := os.Stat(path)
	made := err == nil
	at := path
	if !made {
		at += ".new"
		_ = os.Remove(at) // of a run that was broken off
	}
	db, err := sql.Open("sqlite", at)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if made {
		_, err := db.ExecContext(ctx, "PRAGMA cache_size = -400000")
		return db, err
	}
	began := time.Now()
	err = s.fillFTS(ctx, db)
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	s.r.add(line{what: "building SQLite's index " + s.name(), weft: "—", yard: short(time.Since(began).Seconds())})
	if err := os.Rename(at, path); err != nil {
		return nil, err
	}
	return s.openFTS(ctx)
}

func (s *searching) fillFTS(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF"); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "CREATE VIRTUAL TABLE cards USING fts5(name, business, columns, tags, owner, texts, tokenize = 'porter unicode61')"); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it is none
	add, err := tx.PrepareContext(ctx, "INSERT INTO cards VALUES (?, ?, ?, ?, ?, ?)")
	if err != nil {
		return err
	}
	for i := range s.o.cards {
		if _, err := add.ExecContext(ctx, textsOf(s.m.Card(i, 1))...); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "INSERT INTO cards(cards) VALUES ('optimize'); INSERT INTO cards(cards, rank) VALUES ('rank', 'bm25(12, 7, 5, 5, 3, 2)')")
	return err
}

// textsOf is what SQLite indexes of a card.
func textsOf(c *weft.Card) []any {
	split := strings.NewReplacer("_", " ", ".", " ").Replace
	var business, columns, texts []string
	texts = append(texts, c.Purpose, c.Usage)
	for _, t := range c.Tables {
		texts = append(texts, t.Description, t.Granularity)
		for _, col := range t.Columns {
			business, columns, texts = append(business, col.BusinessName), append(columns, split(col.Name)), append(texts, col.Description)
		}
	}
	return []any{
		split(c.Product.String()), strings.Join(business, " "), strings.Join(columns, " "), strings.Join(c.Tags, " "), c.Owner, strings.Join(texts, " "),
	}
}

// askFTS asks SQLite for the twenty best cards that have any of the words: their
// numbers alone, without the places of the words.
func askFTS(ctx context.Context, db *sql.DB, text string) (n int, err error) {
	rows, err := db.QueryContext(ctx, "SELECT rowid FROM cards WHERE cards MATCH ? ORDER BY rank LIMIT 20", strings.Join(strings.Fields(text), " OR "))
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	for ; rows.Next(); n++ {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return n, err
		}
	}
	return n, rows.Err()
}
