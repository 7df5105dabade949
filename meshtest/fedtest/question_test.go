package fedtest

import (
	"context"
	"flag"
	"strings"
	"testing"
	"time"

	"weft"
	"weft/engine"
)

var (
	questions = flag.Int("questions", 1000, "how many made-up questions are asked of many nodes")
	onlyOne   = flag.Int("question", -1, "the one question to ask of the first world; -1 for all")
	firstSeed = flag.Uint64("seed", 1, "the first seed of the worlds that they are asked of")
)

// perWorld is how many questions are asked of the same tables.
const perWorld = 200

// oracleMost is how long one engine may take over all there is.
const oracleMost = 10 * time.Second

// knownFault says of an error that it is one of the engine's own, an assertion that it makes of
// one question in 100,000, over these tables and not over those: some cross joins within a join
// within a lateral query go to it as inner joins on true.
func knownFault(err error) bool {
	return err != nil && strings.Contains(err.Error(), "ExpressionExecutor::Execute called with a result vector of type")
}

// tally is what came of some questions.
type tally struct{ asked, same, failed, faults, unsure, rows, empty int }

// world asks a mesh questions about made-up tables of domains, and holds each answer
// against one engine over the same rows.
func world(t *testing.T, m Asked, d *engine.Direct, seed uint64, domains []string, count int, sum *tally) {
	t.Helper()
	w := NewWorld(seed, domains, []string{Asker})
	products, err := w.Make(t.Context(), d, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range products {
		m.Publish(p)
	}
	m.Heard(Asker, products...)
	sum.asked += count
	for n := range uint64(count) {
		if *onlyOne >= 0 && n != uint64(*onlyOne) {
			continue
		}
		sql := w.Question(n)
		ctx, cancel := context.WithTimeout(t.Context(), oracleMost)
		want, err := AskEngine(ctx, d, sql)
		cancel()
		if err != nil { // it is no question
			sum.failed++
			t.Logf("world %d, question %d: the engine says %v\n%s", seed, n, err, sql)
			continue
		}
		sum.rows += want.Rows
		if want.Rows == 0 {
			sum.empty++
		}
		got, err := m.Ask(t.Context(), Asker, sql)
		if weft.KindOf(err) == weft.KindLimit && tooLarge(t, d, sql) { // it is none for a node of this size
			sum.failed++
			t.Logf("world %d, question %d: %v\n%s", seed, n, err, sql)
			continue
		}
		if knownFault(err) {
			sum.faults++
			t.Logf("world %d, question %d: %.200s\n%s", seed, n, err, sql)
			continue
		}
		if err != nil {
			t.Errorf("world %d, question %d: %v\n%s", seed, n, err, sql)
			continue
		}
		if diff := Diff(got, want); diff != "" {
			if unsure(t, d, sql, want) {
				sum.unsure++
				t.Logf("world %d, question %d has more than one answer\n%s", seed, n, sql)
				continue
			}
			t.Errorf("world %d, question %d: %s\n%s", seed, n, diff, sql)
			continue
		}
		sum.same++
	}
}

// tooLarge says whether one engine fails too with the memory and the room to spill that a node
// of a Circle has.
func tooLarge(t *testing.T, d *engine.Direct, sql string) bool {
	t.Helper()
	set := func(sql string) {
		if _, err := d.Exec(t.Context(), engine.Statement{SQL: sql}); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{"memory_limit": "'512MiB'", "max_temp_directory_size": "'1GiB'"} {
		set("SET " + name + " = " + value)
		defer set("RESET " + name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), oracleMost)
	defer cancel()
	_, err := AskEngine(ctx, d, sql)
	return weft.KindOf(err) == weft.KindLimit
}

// unsure says whether one engine gives another answer when it is asked again: of rows that
// sort alike, a window takes the one or the other first.
func unsure(t *testing.T, d *engine.Direct, sql string, want *Answer) bool {
	t.Helper()
	for range 8 {
		if again, err := AskEngine(t.Context(), d, sql); err == nil && Diff(again, want) != "" {
			return true
		}
	}
	return false
}

// check holds that the questions were worth asking.
func (s tally) check(t *testing.T) {
	t.Helper()
	t.Logf("%+v", s)
	if *onlyOne < 0 && (s.failed > s.asked/20 || s.empty > s.asked/2 || s.faults > 1+s.asked/50000 || s.unsure > 1+s.asked/1000) {
		t.Errorf("of %d questions %d are none, %d have no rows, of %d the engine makes a fault, and of %d it is not sure", s.asked, s.failed, s.empty, s.faults, s.unsure)
	}
}

// TestQuestionsAtOneNode asks a node that has all products itself.
func TestQuestionsAtOneNode(t *testing.T) {
	count := min(*questions, 200)
	if testing.Short() {
		count = 30
	}
	d := direct(t)
	m := NewAlone(t)
	var sum tally
	for seed := *firstSeed; sum.asked < count; seed++ {
		world(t, m, d, seed, []string{"one", "two"}, min(perWorld, count-sum.asked), &sum)
	}
	sum.check(t)
}
