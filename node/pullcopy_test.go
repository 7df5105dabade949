package node

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"weft"
	"weft/replicate"
	"weft/serve"
)

// counted has the rows of tables counted that the asker asks the origin for.
func (c *copying) counted(between func(w http.ResponseWriter, r *http.Request) bool) (tables *atomic.Int64) {
	tables = new(atomic.Int64)
	c.lies(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.Path, "/tables/") {
			tables.Add(1)
		}
		if between == nil || !between(w, r) {
			next.ServeHTTP(w, r)
		}
	})
	return tables
}

// TestInputIsKept: a product of another node that is an input is kept as a copy, where
// its owner consents: its rows come once, and then what is new. The copy goes with the
// last product that reads it, unless somebody added it.
func TestInputIsKept(t *testing.T) {
	c := newCopying(t, consents)
	c.fold()
	tables := c.counted(nil)
	c.asker.write(sums)
	c.asker.apply("sums", serve.OutcomeCommitted)
	c.asker.want("SELECT * FROM insights.sums", "3,11.75")
	if i := c.info(); !i.Needed || i.State != replicate.StateCurrent && i.State != replicate.StateBehind {
		t.Errorf("%+v", i)
	}
	c.sells("1,pen,2.50\n2,ink,7.25")
	c.asker.node.notify(c.name())
	c.asker.eventually("it follows", func() bool { return c.asker.ask("SELECT * FROM insights.sums") == "2,9.75" })
	c.asker.write("-- sums/sums.sql --\nSELECT count(*) AS orders, 2 * sum(price) AS value FROM shop\n")
	c.asker.apply("sums", serve.OutcomeCommitted)
	c.asker.want("SELECT * FROM insights.sums", "2,19.50")
	if n := tables.Load(); n > 0 {
		t.Errorf("%d tables were asked for beside the copy", n)
	}
	all, err := replicaDoor{c.asker.node}.Replicas(t.Context(), tester)
	if err != nil || len(all) != 1 || !all[0].Needed || len(all[0].Inputs) != 1 || all[0].Inputs[0] != mustName(t, "insights.sums") {
		t.Errorf("%+v %v", all, err)
	}

	// Over a restart it is what it was.
	c.asker.restart()
	c.card()
	if i := c.info(); !i.Needed {
		t.Errorf("%+v", i)
	}

	// One that somebody adds stays.
	if err := c.asker.node.copies.Add(c.name()); err != nil {
		t.Fatal(err)
	}
	if err := c.asker.node.copies.Add(c.name()); weft.KindOf(err) != weft.KindConflict {
		t.Errorf("added twice: %v", err)
	}
	if err := c.asker.node.Delete(t.Context(), tester, mustName(t, "insights.sums"), "insights.sums"); err != nil {
		t.Fatal(err)
	}
	if i := c.info(); i.Needed {
		t.Errorf("%+v", i)
	}
	if err := c.asker.node.copies.Remove(c.name()); err != nil {
		t.Fatal(err)
	}
	c.asker.apply("sums", serve.OutcomeCommitted)
	if i := c.info(); !i.Needed {
		t.Errorf("%+v", i)
	}
	if _, err := c.asker.node.Retire(t.Context(), tester, mustName(t, "insights.sums")); err != nil {
		t.Fatal(err)
	}
	if l := c.asker.node.copies.List(); len(l) > 0 {
		t.Errorf("left: %+v", l)
	}
}

// TestInputWithoutItsCopy: where there is no consent, and where the copy does not go on,
// the rows are asked for.
func TestInputWithoutItsCopy(t *testing.T) {
	for name, x := range map[string]struct {
		consent string
		between func(w http.ResponseWriter, r *http.Request) bool
		kept    int
	}{
		"no consent":                 {"", nil, 0},
		"consent to others":          {", {property: weftReplicas, value: {domains: [finance], for: 1h}}", nil, 0},
		"the copy cannot be begun":   {consents, func(w http.ResponseWriter, r *http.Request) bool { return refuses(w, r, "/snapshot") }, 1},
		"the copy cannot go on":      {consents, func(w http.ResponseWriter, r *http.Request) bool { return refuses(w, r, "/feed") }, 1},
		"its files cannot be had":    {consents, func(w http.ResponseWriter, r *http.Request) bool { return refuses(w, r, "/files/") }, 1},
		"its files are not in order": {consents, func(w http.ResponseWriter, r *http.Request) bool { return garbles(w, r, "/files/") }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCopying(t, x.consent)
			c.fold()
			tables := c.counted(x.between)
			c.asker.write(sums)
			c.asker.apply("sums", serve.OutcomeCommitted)
			c.asker.want("SELECT * FROM insights.sums", "3,11.75")
			if n := tables.Load(); n != 1 {
				t.Errorf("%d tables were asked for", n)
			}
			if l := c.asker.node.copies.List(); len(l) != x.kept {
				t.Errorf("%+v", l)
			}
		})
	}
}

func refuses(w http.ResponseWriter, r *http.Request, path string) bool {
	if !strings.Contains(r.URL.Path, path) {
		return false
	}
	refusePeer(w, weft.Errorf(weft.KindInternal, "answer", "", "out of order"))
	return true
}

func garbles(w http.ResponseWriter, r *http.Request, path string) bool {
	if !strings.Contains(r.URL.Path, path) {
		return false
	}
	_, _ = w.Write([]byte(strings.Repeat("x", 100_000)))
	return true
}

// TestInputWhileItsOriginIsAway: a product can be made anew from the copy of its input.
// It says so, and that the origin is away.
func TestInputWhileItsOriginIsAway(t *testing.T) {
	c := newCopying(t, consents)
	c.asker.write(sums)
	c.asker.apply("sums", serve.OutcomeCommitted)
	c.has("1|pen|1.5", "2|ink|7.25", "3|pad|3")
	base := c.seen.moves(nowhere)
	c.asker.write("-- sums/sums.sql --\nSELECT count(*) AS orders, 2 * sum(price) AS value FROM shop\n")
	res := c.asker.apply("sums", serve.OutcomeCommitted)
	c.asker.want("SELECT * FROM insights.sums", "3,23.50")
	if len(res.Notes) != 1 || !strings.Contains(res.Notes[0], "the copy here was read") {
		t.Errorf("the notes are %q", res.Notes)
	}
	if s := c.asker.state("insights.sums"); s.State != weft.StateUpstreamStopped {
		t.Errorf("%s, to do %q", s.State, s.Todo)
	}
	// Where nothing has to be made anew, whoever asks is told that the origin is away.
	if _, err := c.asker.node.Refresh(t.Context(), tester, mustName(t, "insights.sums"), serve.RefreshRequest{Wait: true}, nil); weft.KindOf(err) != weft.KindUnavailable {
		t.Errorf("a refresh while the origin is away: %v", err)
	}
	c.seen.moves(base)
	c.sells("1,pen,2.50")
	c.asker.node.notify(c.name())
	c.asker.eventually("it follows", func() bool { return c.asker.ask("SELECT * FROM insights.sums") == "1,5.00" })
	c.asker.eventually("it is fresh", func() bool { return c.asker.state("insights.sums").State == weft.StateFresh })
}

// TestInputIsNotReadFromAnOlderCopy: what was read of the origin is not read again from a
// copy that is older.
func TestInputIsNotReadFromAnOlderCopy(t *testing.T) {
	c := newCopying(t, consents)
	c.asker.write(sums)
	c.asker.apply("sums", serve.OutcomeCommitted)
	c.has("1|pen|1.5", "2|ink|7.25", "3|pad|3")
	c.counted(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/feed") {
			panic(http.ErrAbortHandler) // as on a bad line
		}
		return false
	})
	c.server.CloseClientConnections()
	c.is(replicate.StateAway, "")
	c.sells("1,pen,2.50\n2,ink,7.25")
	if res, err := c.asker.node.Refresh(t.Context(), tester, mustName(t, "insights.sums"), serve.RefreshRequest{Wait: true}, nil); err != nil || res.Outcome != serve.OutcomeCommitted {
		t.Fatalf("%+v %v", res, err)
	}
	c.asker.want("SELECT * FROM insights.sums", "2,9.75")
	if i := c.info(); i.Point.Seq >= c.seen.products[c.name()].head.Seq {
		t.Fatalf("the copy is not older: %+v", i)
	}
	c.seen.moves(nowhere)
	c.asker.write("-- sums/sums.sql --\nSELECT count(*) AS orders, 2 * sum(price) AS value FROM shop\n")
	if _, err := c.asker.node.Apply(t.Context(), tester, serve.ApplyRequest{Archive: c.asker.pack("sums")}, nil); weft.KindOf(err) != weft.KindUnavailable {
		t.Errorf("an older copy was read: %v", err)
	}
	c.asker.want("SELECT * FROM insights.sums", "2,9.75")
}

// TestReplicaOfARestoredOrigin: an origin that was restored from a backup says so itself,
// and the copy is begun anew of what it has now.
func TestReplicaOfARestoredOrigin(t *testing.T) {
	c := newCopying(t, consents)
	c.add()
	c.has("1|pen|1.5", "2|ink|7.25", "3|pad|3")
	kept := filepath.Join(t.TempDir(), "kept")
	if _, err := c.origin.node.Backup(t.Context(), tester, serve.BackupRequest{Dir: kept}, nil); err != nil {
		t.Fatal(err)
	}
	c.sells("1,pen,9.50")
	c.has("1|pen|9.5")
	before := c.info()

	c.origin.csv("1,pen,1.50\n2,ink,7.25\n3,pad,3.00") // as then: the node reads its source when it starts
	c.silent()
	c.origin.restores(kept)
	c.serves()
	c.card()
	c.asker.eventually("the copy is of the new incarnation", func() bool { return c.info().Point.Incarnation > before.Point.Incarnation })
	c.has("1|pen|1.5", "2|ink|7.25", "3|pad|3")
	c.sells("4,cap,1.00")
	c.has("4|cap|1")
}
