package catalog

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weft"
	"weft/catalog/catalogtest"
	"weft/run"
	"weft/sign"
)

// signer seals the records of a test.
type signer struct{ key sign.Key }

func newSigner() signer { return signer{sign.NewKey()} }

func (s signer) record(t testing.TB, kind string, n weft.Name, version uint64, body any) *sign.Record {
	t.Helper()
	r, err := sign.Seal(sign.Head{Kind: kind, Key: n.String(), Version: version, Time: noon}, body, s.key)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (s signer) card(t testing.TB, m *catalogtest.Mesh, i, edition int) *sign.Record {
	return s.record(t, kindCard, m.Name(i), uint64(edition), m.Card(i, edition))
}

func (s signer) head(t testing.TB, m *catalogtest.Mesh, i, edition int) *sign.Record {
	return s.record(t, kindHead, m.Name(i), uint64(edition), m.Head(i, edition))
}

func (s signer) tombstone(t testing.TB, m *catalogtest.Mesh, i int, version uint64) *sign.Record {
	return s.record(t, kindCard, m.Name(i), version, map[string]any{"gone": true, "id": fmt.Sprint(i)})
}

func search(t testing.TB, c *Catalog, text string) *Result {
	t.Helper()
	r, err := c.Search(context.Background(), Query{Text: text, Limit: 50})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestSeenAtOnce says when what is applied is seen.
func TestSeenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		env := run.Quiet()
		c, err := Open(context.Background(), Config{Env: env})
		if err != nil {
			t.Fatal(err)
		}
		m, s := catalogtest.NewMesh(1), newSigner()
		c.Apply(s.card(t, m, 1, 1), s.head(t, m, 1, 1))
		e, ok := c.Get(m.Name(1))
		if !ok || e.Card.Product != m.Name(1) || e.Head == nil || e.Head.Seq != 1 || e.Version != 1 || e.Signer != s.key.ID() || c.Len() != 1 {
			t.Fatalf("got %+v", e)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if r := search(t, c, m.Name(1).String()); r.Total == 0 || r.Hits[0].Entry.Card.Product != m.Name(1) {
			t.Fatalf("got %+v", r)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestTogether searches, reads and lists while cards and heads come.
func TestTogether(t *testing.T) {
	c := open(t, Config{})
	m, s := catalogtest.NewMesh(2), newSigner()
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for g := range 3 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				search(t, c, m.Query(i, 1+g, g == 1))
				c.Get(m.Name(i % 300))
				c.Names("b", 5)
				c.Near(m.Name(i%300).String(), 3)
				c.Consumers(m.Name(i % 300))
			}
		})
	}
	for g := range 2 {
		writers.Go(func() {
			for i := range 300 {
				c.Apply(s.card(t, m, i, 1+g), s.head(t, m, i, 2-g))
				if i%7 == 0 {
					c.Apply(s.tombstone(t, m, i, 3))
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	c.flush()
	if got := c.Len(); got != 300-43 {
		t.Errorf("%d products", got)
	}
	if r, err := c.Search(context.Background(), Query{}); err != nil || r.Total != 300-43 {
		t.Errorf("all are %v, %v", r, err)
	}
}
