package fedtest

import "testing"

// spread are the domains that made-up tables are laid out over; the last one asks.
func spread() []string { return []string{"one", "two", "three", Asker} }

// ask holds the answers to made-up questions against one engine.
func ask(t *testing.T, m Asked, count int) {
	t.Helper()
	d := direct(t)
	var sum tally
	for seed := *firstSeed; sum.asked < count; seed++ {
		world(t, m, d, seed, spread(), min(perWorld, count-sum.asked), &sum)
	}
	sum.check(t)
}

// TestQuestions asks one reader made-up questions about products of its own and of three
// others.
func TestQuestions(t *testing.T) {
	count := *questions
	if testing.Short() {
		count = 50
	}
	ask(t, NewCircle(t, spread()...), count)
}

// TestQuestionsAway asks them where another reader puts the parts together, whatever it is
// worth.
func TestQuestionsAway(t *testing.T) {
	count := *questions
	if testing.Short() {
		count = 50
	}
	c := NewCircle(t, spread()...)
	c.SendAway()
	ask(t, c, count)
	t.Logf("%d last steps were made by other readers", c.away.Load())
	if *onlyOne < 0 && c.away.Load() < int64(count)/4 {
		t.Errorf("of %d questions %d had their last step made by another reader", count, c.away.Load())
	}
}
