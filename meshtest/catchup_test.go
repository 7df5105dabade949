package meshtest_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"weft/meshtest"
	"weft/peer"
)

var catchUp = flag.Int("catchup", 4000, "records that a late node catches up with")

// TestCatchUp has a node come late to many records, over the machine's network and
// with records on the disk. What is said meanwhile does not wait for the rest.
func TestCatchUp(t *testing.T) {
	a := meshtest.StartTCP(t, "a", meshtest.Options{Dir: t.TempDir()})
	if err := a.Found(t.Context(), peer.Founding{Name: "m", Domains: []string{"sales"}}); err != nil {
		t.Fatal(err)
	}
	for i := range *catchUp {
		a.Card(t, fmt.Sprint("sales.many", i), "one of many")
	}
	b := meshtest.StartTCP(t, "b", meshtest.Options{Dir: t.TempDir()})
	begin := time.Now()
	meshtest.Join(t, a, b, "sales")
	var slowest time.Duration
	pushes := 0
	for b.Set().Count() < *catchUp {
		name := fmt.Sprint("sales.fresh", pushes)
		said := time.Now()
		a.Card(t, name, "now")
		pushes++
		meshtest.Within(t, 10*time.Second, time.Millisecond, "what is said meanwhile is there", func() bool { return b.Purpose(name) == "now" })
		slowest = max(slowest, time.Since(said))
		time.Sleep(5 * time.Millisecond)
		if time.Since(begin) > 10*time.Minute {
			t.Fatalf("%d records after %s", b.Set().Count(), time.Since(begin))
		}
	}
	took := time.Since(begin)
	meshtest.Within(t, 3*period, 10*time.Millisecond, "both hold the same", func() bool { return meshtest.Same(a, b) })
	t.Logf("%d records in %s (%.0f a second); the slowest of %d said meanwhile came after %s", *catchUp, took, float64(*catchUp)/took.Seconds(), pushes, slowest)
}
