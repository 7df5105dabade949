package federate

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"weft"
	"weft/engine"
	"weft/run"
	"weft/store"
)

// Product is what the reader needs of a product that lives here.
type Product struct {
	Name    weft.Name
	ID      string
	Retired bool // only its history can be read
	Store   *store.Store
}

// Products finds the products of this node. Safe for concurrent use.
type Products interface {
	// Product returns the product of that name, if s may read it.
	Product(s weft.Subject, n weft.Name) (Product, bool)
	// Names lists what s may know of, for suggestions.
	Names(s weft.Subject) []weft.Name
}

// Config bounds what questions may use.
type Config struct {
	Data        string        // folder of the products' files: all that a worker may read
	Temp        string        // folder to spill to
	Memory      int64         // bytes for one question
	TempBytes   int64         // bytes that one question may spill
	Threads     int           // 0 is all cores
	Deadline    time.Duration // longest run of one question
	Concurrency int           // questions that run at once
	Queue       int           // questions that wait at most
}

// Federation answers questions. Safe for concurrent use.
type Federation struct {
	cfg      Config
	sessions engine.Sessions
	products Products
	env      run.Env
	slots    chan struct{}
	waiting  atomic.Int64
}

// New makes a Federation; it touches nothing.
func New(cfg Config, sessions engine.Sessions, products Products, env run.Env) *Federation {
	return &Federation{
		cfg: cfg, sessions: sessions, products: products, env: env.Named("federate"),
		slots: make(chan struct{}, max(cfg.Concurrency, 1)),
	}
}

// Waiting is the number of questions that wait for a worker.
func (f *Federation) Waiting() int { return int(f.waiting.Load()) }

// Running is the number of questions that run.
func (f *Federation) Running() int { return len(f.slots) }

// admit waits for a slot; the func it returns gives it back.
func (f *Federation) admit(ctx context.Context) (func(), error) {
	select {
	case f.slots <- struct{}{}:
	default:
		if int(f.waiting.Add(1)) > f.cfg.Queue {
			f.waiting.Add(-1)
			return nil, weft.Errorf(weft.KindLimit, "take the question", "", "%d questions are running and %d are waiting", cap(f.slots), f.cfg.Queue).
				WithHint("ask again in a moment")
		}
		defer f.waiting.Add(-1)
		select {
		case f.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, cancelled(ctx)
		}
	}
	return func() { <-f.slots }, nil
}

// cancelled says why ctx ended, in the words of a refusal.
func cancelled(ctx context.Context) error {
	err := context.Cause(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return weft.Errorf(weft.KindLimit, "answer the question", "", "it ran past its deadline").
			WithHint("narrow it down, or ask for a longer deadline")
	}
	return &weft.Error{Op: "answer the question", Kind: weft.KindCancelled, Cause: err}
}

func (f *Federation) session() engine.SessionConfig {
	return engine.SessionConfig{
		Name: "query", Read: []string{f.cfg.Data}, Memory: f.cfg.Memory, Threads: f.cfg.Threads,
		Temp: f.cfg.Temp, TempBytes: f.cfg.TempBytes, Ordered: true,
	}
}
