package files

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"

	"weft"
	"weft/engine"
	"weft/ingest"
	"weft/ingest/ingesttest"
	"weft/run"
)

// hooked is a session that calls before each statement.
type hooked struct {
	engine.Session
	before func(sql string)
}

func (h *hooked) Exec(ctx context.Context, st engine.Statement) (int64, error) {
	h.before(st.SQL)
	return h.Session.Exec(ctx, st)
}

func (h *hooked) Query(ctx context.Context, st engine.Statement) (array.RecordReader, error) {
	h.before(st.SQL)
	return h.Session.Query(ctx, st)
}

// hookedRequest is a read of the port's tables with a hooked session.
func hookedRequest(p *ingesttest.Port, before func(sql string)) ingest.Request {
	s, stage := p.Session()
	return ingest.Request{
		Server: &p.Server, Tables: p.Tables, Dir: p.Dir, Stage: stage, Env: run.Quiet(), Session: &hooked{s, before},
	}
}

// TestLostRowsEndTheRead: where fewer rows are loaded than were counted, no other
// way of reading is tried: it would load the others a second time.
func TestLostRowsEndTheRead(t *testing.T) {
	p := port(t, map[string]string{"a.csv": "id,qty\n1,2\n3\n4,5\n"}, "a.csv", ingesttest.Table("t", "id bigint", "qty bigint"))
	file := filepath.Join(p.Dir, "a.csv")
	st, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	looked, exchanged := false, false
	_, err = New().Read(context.Background(), hookedRequest(p, func(sql string) {
		looked = looked || strings.HasPrefix(sql, "CREATE TEMP TABLE weft_look_1 ")
		if looked && !exchanged && strings.HasPrefix(sql, "COPY") {
			exchanged = true // one row less, of the same size and time
			write(t, p.Dir, "a.csv", "id,qty\n1,2\n3\n456\n")
			if err := os.Chtimes(file, st.ModTime(), st.ModTime()); err != nil {
				t.Error(err)
			}
		}
	}))
	if err == nil || !exchanged || weft.KindOf(err) != weft.KindInternal || !strings.Contains(err.Error(), "2 rows fit, but 1 were loaded") {
		t.Errorf("error %v (the file was exchanged: %v)", err, exchanged)
	}
}

// countdown is a context that is cancelled when it was asked left times since it
// was armed.
type countdown struct {
	context.Context
	armed bool
	left  int
}

func (c *countdown) Err() error {
	if !c.armed {
		return nil
	}
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestCancelledWhileRejecting: whenever a read is cancelled while it looks for the
// lines of rejected rows, it is no success with fewer of them, and no fault of the
// source.
func TestCancelledWhileRejecting(t *testing.T) {
	p := port(t, map[string]string{"a.csv": "id,qty\n1,2\n2,2.5\n3,4\n", "b.csv": "id,qty\n5,5.5\n"}, "*.csv", ingesttest.Table("t", "id bigint", "qty bigint"))
	ended := map[string]int{}
	for n := range 20 {
		ctx := &countdown{Context: context.Background(), left: n}
		r := hookedRequest(p, func(sql string) { ctx.armed = ctx.armed || strings.Contains(sql, "GROUP BY filename, reason") })
		plan, err := list(r)
		if err != nil {
			t.Fatal(err)
		}
		tab := &plan.tables[0]
		tab.read = tab.all
		l := &load{r: r, t: tab, rejects: ingest.NewRejects("p", "t"), out: &ingest.Staged{Table: "t"}}
		l.meter = r.Meter("t", 0)
		err = l.run(ctx)
		switch {
		case err == nil && l.rejects.Count() == 2:
			ended["whole"]++
		case weft.KindOf(err) == weft.KindCancelled:
			ended["cancelled"]++
		default:
			t.Errorf("cancelled at the %dth look: %d rows rejected, %v", n, l.rejects.Count(), err)
		}
	}
	if ended["whole"] == 0 || ended["cancelled"] == 0 {
		t.Errorf("no run of each kind: %v", ended)
	}
}
