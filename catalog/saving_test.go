package catalog

import (
	"testing"
	"time"

	"weft/catalog/catalogtest"
)

// TestIndexesWhileItSaves holds that cards are found while the folder is written or
// parts are merged, which takes seconds where there are many.
func TestIndexesWhileItSaves(t *testing.T) {
	c := open(t, Config{Dir: t.TempDir()})
	m, s := catalogtest.NewMesh(4), newSigner()
	c.parts.Lock() // as whoever merges
	saved := make(chan error)
	go func() { saved <- c.saveCards() }()
	for i := range 20 { // enough parts to be merged
		c.Apply(s.card(t, m, i, 1))
		for began := time.Now(); search(t, c, m.Name(i).String()).Total == 0; {
			if time.Since(began) > 20*time.Second {
				t.Fatal("a card is not found while somebody merges")
			}
		}
	}
	c.parts.Unlock()
	if err := <-saved; err != nil {
		t.Fatal(err)
	}
}
