package budget

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// small is a node of four places, one of which each lane of questions can always
// have.
func small() Config {
	one := Amount{Memory: 10, Temp: 10, Threads: 2, Places: 1}
	c := Config{Total: Amount{Memory: 50, Temp: 50, Threads: 10, Places: 5}}
	c.SetLane(Light, one, 2, 3, 6)
	c.SetLane(Heavy, one, 2, 3, 6)
	c.SetLane(Own, one, 0, 0, 0)
	return c
}

var one = Amount{Memory: 10, Temp: 10, Threads: 2, Places: 1}

// bench runs a budget in a bubble of its own time.
type bench struct {
	t     *testing.T
	b     *Budget
	mu    sync.Mutex // of what several takers write at one moment
	held  map[string]*Grant
	log   []string
	stops map[string]context.CancelFunc
}

func newBench(t *testing.T, c Config) *bench {
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, b: New(c, time.Now), held: map[string]*Grant{}, stops: map[string]context.CancelFunc{}}
}

// ask starts to wait; the name is who, a slash and anything.
func (x *bench) ask(name string, l Lane, a Amount) {
	ctx, cancel := context.WithCancel(context.Background())
	x.stops[name] = cancel
	who, _, _ := strings.Cut(name, "/")
	go func() {
		g, err := x.b.Take(ctx, Ask{Who: who, Lane: l, Amount: a})
		var r *Refusal
		x.mu.Lock()
		defer x.mu.Unlock()
		switch {
		case errors.As(err, &r):
			x.log = append(x.log, name+" refused: "+r.Rule)
		case err != nil:
			x.log = append(x.log, name+" gone")
		default:
			x.held[name] = g
			x.log = append(x.log, name)
		}
	}()
	synctest.Wait()
}

func (x *bench) release(name string) {
	x.t.Helper()
	if x.held[name] == nil {
		x.t.Fatalf("%s holds nothing; so far %v", name, x.log)
	}
	g := x.held[name]
	delete(x.held, name)
	g.Release()
	synctest.Wait()
}

func (x *bench) want(log ...string) {
	x.t.Helper()
	if !slices.Equal(x.log, log) {
		x.t.Errorf("so far %q\n    want %q", x.log, log)
	}
	x.log = nil
}

func (x *bench) end() {
	for _, stop := range x.stops {
		stop()
	}
	synctest.Wait() // nobody waits any more
	for _, g := range x.held {
		g.Release()
	}
	if s := x.b.State(); s.Used != (Amount{}) || s.Waiting[Light]+s.Waiting[Heavy]+s.Waiting[Own] != 0 {
		x.t.Errorf("at the end there is %+v", s)
	}
	for l := range lanes {
		if len(x.b.askers[l]) > 0 {
			x.t.Errorf("lane %s keeps %d askers", l, len(x.b.askers[l]))
		}
	}
}

func scenario(t *testing.T, c Config, f func(x *bench)) {
	synctest.Test(t, func(t *testing.T) {
		x := newBench(t, c)
		f(x)
		x.end()
	})
}

func TestManyHeavyDoNotStopALightOne(t *testing.T) {
	scenario(t, small(), func(x *bench) {
		for i := range 7 {
			x.ask(fmt.Sprintf("ann/%d", i), Heavy, one)
		}
		// Two run, which is ann's share; three wait; the rest is told why.
		x.want("ann/0", "ann/1", "ann/5 refused: 3 of yours are waiting already, the most that one may have",
			"ann/6 refused: 3 of yours are waiting already, the most that one may have")
		x.ask("bob/light", Light, one)
		x.ask("cid/heavy", Heavy, one)
		x.want("bob/light", "cid/heavy")
		x.release("ann/0")
		x.want("ann/2")
	})
}

func TestAPlaceForThoseWhoHoldNothing(t *testing.T) {
	c := small()
	c.RunningAll = 3
	scenario(t, c, func(x *bench) {
		for i := range 2 {
			x.ask(fmt.Sprintf("ann/h%d", i), Heavy, one)
			x.ask(fmt.Sprintf("ann/l%d", i), Light, one)
		}
		x.want("ann/h0", "ann/l0", "ann/h1")
		x.ask("bob/l", Light, one)
		x.want("bob/l")
		x.release("ann/h0")
		x.want("ann/l1")
	})
}

func TestReserveOfEachLane(t *testing.T) {
	scenario(t, small(), func(x *bench) {
		for i := range 9 {
			x.ask(fmt.Sprintf("p%d/load", i), Own, one)
		}
		x.want("p0/load", "p1/load", "p2/load") // two places stay free for questions
		x.ask("ann/h", Heavy, one)
		x.ask("ann/l", Light, one)
		x.want("ann/h", "ann/l")
		x.ask("bob/l", Light, one)
		x.want()
		x.release("p0/load") // the light one goes before what came earlier
		x.want("bob/l")
		x.release("bob/l")
		x.want("p3/load")
	})
}

func TestTurns(t *testing.T) {
	c := small()
	c.Total.Places, c.Total.Memory = 3, 30 // one place a lane
	scenario(t, c, func(x *bench) {
		x.ask("ann/1", Heavy, one)
		x.ask("ann/2", Heavy, one)
		x.ask("ann/3", Heavy, one)
		x.ask("bob/1", Heavy, one)
		x.want("ann/1")
		time.Sleep(time.Second)
		x.release("ann/1")
		x.want("bob/1") // ann had her turn
		time.Sleep(3 * time.Second)
		x.release("bob/1")
		x.ask("bob/2", Heavy, one)
		x.want("ann/2")
		x.release("ann/2")
		x.want("ann/3") // two seconds less than bob, who comes back
		x.stops["bob/2"]()
		synctest.Wait()
		x.want("bob/2 gone")
	})
}

func TestNothingOvertakesALargeQuestion(t *testing.T) {
	scenario(t, small(), func(x *bench) {
		large := Amount{Memory: 30, Temp: 10, Threads: 2, Places: 1}
		x.ask("ann/1", Heavy, one)
		x.ask("bob/large", Heavy, large)
		x.ask("cid/1", Heavy, one)
		x.want("ann/1") // 10 of 50 used, 20 reserved: 30 do not fit, and cid waits behind
		x.release("ann/1")
		x.want("bob/large")
		x.release("bob/large")
		x.want("cid/1")
		x.ask("dan/impossible", Heavy, Amount{Memory: 31, Places: 1})
		x.want("dan/impossible refused: it may use more memory than the node can ever give to one")
	})
}

func TestOwnWorkOvertakes(t *testing.T) {
	scenario(t, small(), func(x *bench) {
		x.ask("a/load", Own, Amount{Memory: 20, Places: 1, Threads: 2})
		x.ask("b/load", Own, Amount{Memory: 20, Places: 1, Threads: 2})
		x.ask("a/fold", Own, Amount{Memory: 10, Places: 1, Threads: 2}) // the load may wait for it
		x.want("a/load", "a/fold")
		x.release("a/load")
		x.want("b/load")
	})
}

func TestMove(t *testing.T) {
	scenario(t, small(), func(x *bench) {
		x.ask("p/load", Own, one)
		x.ask("p/fold", Own, one)
		x.ask("ann/1", Light, one)
		x.ask("ann/2", Light, one)
		x.ask("ann/3", Light, one)
		x.want("p/load", "p/fold", "ann/1", "ann/2")
		first := x.held["ann/1"]
		if !first.Move(Heavy, false) {
			t.Error("there is room among the heavy ones")
		}
		synctest.Wait()
		x.want("ann/3") // she holds one light place less
		x.ask("bob/1", Heavy, one)
		x.want()
		if x.held["ann/2"].Move(Heavy, false) {
			t.Error("it overtakes bob")
		}
		if !x.held["ann/2"].Move(Heavy, true) {
			t.Error("what has to move moves")
		}
		x.release("ann/1")
		x.want("bob/1")
		var none *Grant
		if !none.Move(Heavy, false) {
			t.Error("no grant, no rule")
		}
		none.Release()
	})
}

// TestMoveChargesOnce holds that each lane counts the time that was spent in it.
func TestMoveChargesOnce(t *testing.T) {
	scenario(t, small(), func(x *bench) {
		x.ask("ann/light", Light, one)
		x.ask("ann/stays", Light, one)
		x.ask("ann/heavy", Heavy, one)
		time.Sleep(8 * time.Second)
		moved := x.held["ann/light"]
		moved.Move(Heavy, true)
		time.Sleep(2 * time.Second)
		moved.Release()
		light, heavy := x.b.askers[Light]["ann"].spent, x.b.askers[Heavy]["ann"].spent
		if light != 8*time.Second || heavy != 2*time.Second {
			t.Errorf("%v are counted as light and %v as heavy", light, heavy)
		}
	})
}

func TestGoneBeforeItsTurn(t *testing.T) {
	scenario(t, small(), func(x *bench) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := x.b.Take(ctx, Ask{Who: "ann", Lane: Light, Amount: one}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		large := Amount{Memory: 30, Places: 1}
		x.ask("ann/1", Heavy, one)
		x.ask("bob/large", Heavy, large)
		x.ask("cid/1", Heavy, one)
		x.want("ann/1")
		x.stops["bob/large"]() // it stood in front of cid
		synctest.Wait()
		slices.Sort(x.log)
		x.want("bob/large gone", "cid/1")
	})
}

func TestWhenToComeBack(t *testing.T) {
	scenario(t, small(), func(x *bench) {
		for range 40 { // such questions take eight seconds
			x.ask("ann/1", Heavy, one)
			time.Sleep(8 * time.Second)
			x.release("ann/1")
		}
		x.log = nil
		for i := range 5 {
			x.ask(fmt.Sprintf("ann/%d", i), Heavy, one)
		}
		_, err := x.b.Take(context.Background(), Ask{Who: "ann", Lane: Heavy, Amount: one})
		var r *Refusal
		if !errors.As(err, &r) || r.After < 10*time.Second || r.After > 13*time.Second {
			t.Errorf("%+v", r) // three wait, two run: about twelve seconds
		}
		if after := x.b.After(Heavy); after < r.After || after > r.After+5*time.Second {
			t.Errorf("one who comes now is told to wait %v", after) // behind the three
		}
	})
}

func TestValidate(t *testing.T) {
	c := small()
	c.Total.Temp = 29
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "more temp") {
		t.Error(err)
	}
	if m := small().Most(Own); m != (Amount{Memory: 30, Temp: 30, Threads: 6, Places: 3}) {
		t.Errorf("%+v", m)
	}
}
