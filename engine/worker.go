package engine

/*
#include "rest.h"
*/
import "C"

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	duck "github.com/duckdb/duckdb-go-bindings"
	"golang.org/x/sys/unix"

	"weft"
)

// workerEnv marks a process that is started to be a worker.
const workerEnv = "WEFT_WORKER"

// IsWorker reports whether this process was started by a Pool to be a worker.
// A program that uses a Pool begins its main, and a test its TestMain, with
//
//	if engine.IsWorker() {
//		os.Exit(engine.Work())
//	}
func IsWorker() bool { return os.Getenv(workerEnv) == "1" }

// Work is the life of a worker: it serves the process that started it until
// that one goes away, and returns the exit code.
func Work() int { return serveNode(nil) }

// serveNode is Work with jobs of tests, by name: text in, text out, under all that
// holds a worker.
func serveNode(probes map[string]func(string) string) int {
	runtime.LockOSThread() // the engine and its threads inherit this thread's confinement
	// A wait of some microseconds shall be one. It is no harm where it cannot be had.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1000, 0, 0, 0)
	f := os.NewFile(3, "node")
	c, err := net.FileConn(f)
	f.Close()
	if err != nil {
		fmt.Fprintln(os.Stderr, "weft worker: started without a connection to its node")
		return 2
	}
	if err := errors.Join(closeInherited(), holdBack()); err != nil {
		fmt.Fprintln(os.Stderr, "weft worker:", err)
		return 2
	}
	k := &worker{wire: newWire(c.(*net.UnixConn)), jobs: make(chan request), probes: probes}
	k.wire.files = true
	go k.listen()
	fmt.Fprintln(os.Stderr, "weft worker:", k.serve())
	return 1
}

// request is what the listener hands to the engine's goroutine.
type request struct {
	kind byte
	body []byte
	fds  []int
}

// worker is the child's side of a session.
type worker struct {
	wire *wire
	jobs chan request
	db   *database
	cfg  settings

	probes map[string]func(string) string // of tests; see serveNode

	standing standing // nil where no transaction stands
	plan     plan     // of its last question
	mem      mappings

	current atomic.Uint64 // id of the job that can be interrupted, 0 for none
	mu      sync.Mutex    // an interrupt is of the current job and of no later one
	stop    atomic.Uint64 // id of the job that is to stop
}

// listen reads frames until the node goes away, which ends the process: nothing
// of a worker outlives its node.
func (k *worker) listen() {
	for {
		kind, n, err := k.wire.header()
		if err != nil {
			os.Exit(0)
		}
		b, err := k.wire.payload(n)
		if err != nil {
			os.Exit(0)
		}
		switch kind {
		case frameConfigure, frameStatement:
			k.jobs <- request{kind, b, k.wire.takeFDs()}
		case frameInterrupt:
			var id uint64
			if json.Unmarshal(b, &id) == nil {
				k.stop.Store(id)
				go k.interrupt(id)
			}
		case frameProgress:
			share := -1.0
			if k.current.Load() != 0 {
				share = k.db.progress()
			}
			_ = k.wire.sendJSON(frameProgress, nil, share)
		default:
			os.Exit(3)
		}
	}
}

// interrupt stops a job, again and again: an interrupt between two steps of a
// job, when the engine runs nothing, is lost on the engine.
func (k *worker) interrupt(id uint64) {
	for {
		k.mu.Lock()
		running := k.current.Load() == id
		if running {
			k.db.interrupt()
		}
		k.mu.Unlock()
		if !running {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// settled says that the job cannot be interrupted any more.
func (k *worker) settled() {
	k.mu.Lock()
	k.current.Store(0)
	k.mu.Unlock()
}

// serve runs jobs one after another, until the node cannot be answered.
func (k *worker) serve() error {
	db, err := openDatabase(startSettings)
	if err != nil {
		return err
	}
	k.db = db
	for {
		r := k.await()
		var out outcome
		var fds []int
		switch r.kind {
		case frameConfigure:
			if out = k.configure(r.body); out.Ready != nil && out.Ready.wishes >= 0 {
				fds = []int{out.Ready.wishes}
			}
		case frameStatement:
			out = k.do(r)
		}
		if err := k.wire.sendJSON(frameEnd, fds, out); err != nil {
			return err
		}
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}
}

// await returns the next request; a worker that waits gives back the memory that
// it does not use.
func (k *worker) await() request {
	rest := time.NewTimer(restAfter)
	defer rest.Stop()
	for {
		select {
		case r := <-k.jobs:
			return r
		case <-rest.C:
			k.mem.close()
			giveBack()
		}
	}
}

// giveBack returns the memory that is not used to the machine.
func giveBack() {
	debug.FreeOSMemory()
	C.weft_give_back()
}

const restAfter = time.Second

func (k *worker) configure(b []byte) outcome {
	if err := json.Unmarshal(b, &k.cfg); err != nil {
		return outcome{Fault: &fault{Kind: "internal", Message: err.Error()}}
	}
	p, err := confine(k.db, k.cfg)
	if err != nil {
		return outcome{Fault: &fault{Kind: "internal", Message: err.Error()}}
	}
	return outcome{Ready: p}
}

// do runs one job.
func (k *worker) do(r request) (out outcome) {
	var j job
	if err := json.Unmarshal(r.body, &j); err != nil {
		return outcome{Fault: &fault{Kind: "internal", Message: "the job is not readable"}}
	}
	out.ID = j.ID
	if j.Say {
		if err := k.wire.send(frameBegun, nil); err != nil {
			return outcome{Fault: &fault{Kind: weft.KindInternal, Message: err.Error()}}
		}
	}
	k.current.Store(j.ID)
	defer k.settled()
	var err error
	got := received{mem: &k.mem}
	if len(r.fds) > 0 || j.Do == "query" || j.Do == "exec" { // what parses has nothing, and leaves the last one's
		defer got.close()
		err = got.unpack(j, r.fds)
	}
	if err == nil {
		err = k.job(j, &got, &out)
	}
	if err != nil {
		k.faulty(j.ID, err, &out)
	}
	return out
}

// faulty says how a job has failed. What ran out of memory may hold on to it, and a
// fault of the engine leaves who knows what: neither serves another session, also
// where the job was to stop and nobody hears of it.
func (k *worker) faulty(id uint64, err error, out *outcome) {
	out.Fault = faultOf(err, k.cfg)
	if out.Fault.Kind == weft.KindLimit {
		giveBack()
	}
	out.Dirty = out.Dirty || out.Fault.Kind == weft.KindLimit || out.Fault.Kind == weft.KindInternal
	if k.stop.Load() == id {
		out.Fault = &fault{Kind: weft.KindCancelled, Message: "stopped"}
	}
}

// job runs the statement of j within a transaction that takes its views away
// again, or stands for the next one.
func (k *worker) job(j job, got *received, out *outcome) error {
	switch j.Do {
	case "parse":
		b, err := k.db.parse(j.Text)
		out.Text = string(b)
		return k.spoilt(err)
	case "deparse":
		s, err := k.db.deparse([]byte(j.Text))
		out.Text = s
		return k.spoilt(err)
	case "query", "exec":
	default:
		if f := k.probes[j.Do]; f != nil {
			out.Text = f(j.Text)
			return nil
		}
		return classed("INTERNAL", "unknown job %q", j.Do)
	}
	drops, err := k.begin(j, got)
	if err == nil && k.stop.Load() == j.ID {
		err = classed("INTERRUPT", "stopped")
	}
	keep := false
	if err == nil {
		if j.Do == "query" {
			err = k.query(j, out)
		} else {
			keep, err = k.exec(j.Text, out)
		}
	}
	k.settled() // what tidies up must not be interrupted
	if len(j.Sources) > 0 || err != nil || k.standing == nil {
		k.plan.drop() // it points into the sources
	}
	if err == nil && k.standing != nil {
		return nil
	}
	k.standing = nil
	if !keep || err != nil {
		if e := k.rollback(); e != nil {
			return e
		}
		return err
	}
	for _, sql := range append(drops, "commit") {
		if err := k.db.run(sql); err != nil {
			return err
		}
	}
	out.Dirty = true
	return nil
}

// A small question spends a third of its time on its views. So the transaction of
// a question stands until something else is asked: one that asks for the very same
// views finds them. It never sees others: any difference ends the transaction, and
// with it all that it held.

// exec runs a statement for its effect; keep says that it changed the session
// itself.
func (k *worker) exec(sql string, out *outcome) (keep bool, err error) {
	rows, kind, err := k.db.exec(sql)
	out.Rows = rows
	keep = kind != duck.StatementTypeSelect && kind != duck.StatementTypeCopy && kind != duck.StatementTypeExplain
	return keep, err
}
