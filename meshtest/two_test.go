package meshtest_test

import (
	"testing"
	"time"

	"weft/meshtest"
)

// Two nodes over the machine's network: a card of one is seen by the other.
func TestTwoNodes(t *testing.T) {
	a, b := meshtest.StartTCP(t, "a", meshtest.Options{}), meshtest.StartTCP(t, "b", meshtest.Options{})
	meshtest.Found(t, "sales", a, b)
	a.Card(t, "sales.orders", "one")
	meshtest.Within(t, 20*time.Second, 5*time.Millisecond, "the card is at the other node", func() bool { return b.Purpose("sales.orders") == "one" })
	b.Card(t, "sales.stores", "two")
	d := meshtest.Within(t, 20*time.Second, time.Millisecond, "the card is at the first node", func() bool { return a.Purpose("sales.stores") == "two" })
	t.Log(d)
	if t.Failed() {
		t.Log(a.Log.String(), b.Log.String())
	}
}
