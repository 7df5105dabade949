package federate

import (
	"context"
	"errors"
	"math/bits"
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
	Release func() // gives the store up, when the answer has been read
	// Deny says why the subject may not read a table, nil where it may; of "", why
	// it may read none at all, and then there need be no Store. A nil Deny lets all
	// be read.
	Deny func(table string) error
	// Shard gives the column by which a table is a shard of something larger, where all of
	// its rows at that state and at those after it are known to be. Nil for never.
	Shard func(table string, at weft.Seq) (column string, s weft.Shard, ok bool)
}

// shard is Shard, not ok where there is none.
func (p Product) shard(table string, at weft.Seq) (column string, s weft.Shard, ok bool) {
	if p.Shard == nil {
		return "", s, false
	}
	return p.Shard(table, at)
}

// denied is Deny, nil where there is none.
func (p Product) denied(table string) error {
	if p.Deny == nil {
		return nil
	}
	return p.Deny(table)
}

// Products finds the products of this node. Safe for concurrent use.
type Products interface {
	// Product returns the product of that name, if s may know of it. Its Release is
	// called once.
	Product(s weft.Subject, n weft.Name) (Product, bool)
	// Names lists what s may know of, for suggestions.
	Names(s weft.Subject) []weft.Name
}

// Config bounds what questions may use. How many run and wait at once is the
// budget's to say, which the sessions come out of.
type Config struct {
	Data      string        // folder of the products' files: all that a worker may read
	Copies    string        // and of those of copies of other nodes' products; empty for none
	Temp      string        // folder to spill to
	Memory    int64         // bytes for one question
	TempBytes int64         // bytes that one question may spill
	Threads   int           // 0 is all cores
	Deadline  time.Duration // longest run of one question, the wait for its turn included
	Admit     Admit         // says whether a question may run; nil lets all run
	Elsewhere Elsewhere     // how other nodes are asked; nil where only what is here counts
	Away      Weighs        // says whether a question's last step moves to another node; nil is by what is worth it
	Slice     time.Duration // how long a question may run as a light one; 0 is a fifth of a second
}

// folders are those that a worker may read.
func (c *Config) folders() []string {
	if c.Copies == "" {
		return []string{c.Data}
	}
	return []string{c.Data, c.Copies}
}

// Federation answers questions. Safe for concurrent use.
type Federation struct {
	cfg      atomic.Pointer[Config]
	sessions engine.Sessions
	products Products
	env      run.Env
	memo     *engine.Memo
	shapes   shapes
	running  atomic.Int64
	waiting  atomic.Int64
}

// memoBytes is what is kept of the texts that were asked.
const memoBytes = 16 << 20

// New makes a Federation; it touches nothing.
func New(cfg Config, sessions engine.Sessions, products Products, env run.Env) *Federation {
	f := &Federation{
		sessions: sessions, products: products, env: env.Named("federate"), memo: engine.NewMemo(memoBytes),
	}
	f.Limit(cfg)
	return f
}

// Limit changes what questions may use; those that run keep what they have.
func (f *Federation) Limit(cfg Config) {
	if cfg.Slice <= 0 {
		cfg.Slice = 200 * time.Millisecond
	}
	f.cfg.Store(&cfg)
}

// Waiting is the number of questions that wait for their turn.
func (f *Federation) Waiting() int { return int(f.waiting.Load()) }

// Running is the number of questions that are being answered.
func (f *Federation) Running() int { return int(f.running.Load() - f.waiting.Load()) }

// cancelled says why ctx ended, in the words of a refusal.
func cancelled(ctx context.Context) error {
	err := context.Cause(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return weft.Errorf(weft.KindLimit, "answer the question", "", "it ran past its deadline").
			WithHint("narrow it down, or ask for a longer deadline")
	}
	return &weft.Error{Op: "answer the question", Kind: weft.KindCancelled, Cause: err}
}

// session opens a session for the question when its turn has come.
func (f *Federation) session(ctx context.Context, q weft.Question, lane engine.Lane) (engine.Session, error) {
	f.waiting.Add(1)
	defer f.waiting.Add(-1)
	cfg := f.cfg.Load()
	return f.sessions.Session(ctx, engine.SessionConfig{
		Name: "query", Lane: lane, Who: q.Subject.Key(),
		Read: cfg.folders(), Leave: true, Memory: lowered(cfg.Memory, q.Limits.Memory), Threads: threads(cfg.Threads, q.Limits.Threads),
		Temp: cfg.Temp, TempBytes: cfg.TempBytes, Ordered: !q.AnyOrder,
	})
}

// leastMemory is what a question gets at least, however little it asks for.
const leastMemory = 64 << 20

// lowered is the node's limit of memory or the question's where that is lower:
// then the next power of two below it, since workers are kept by their limits.
func lowered(limit, asked int64) int64 {
	if asked <= 0 || asked >= limit {
		return limit
	}
	return max(1<<(bits.Len64(uint64(asked))-1), min(leastMemory, limit))
}

func threads(limit, asked int) int {
	if asked <= 0 || limit > 0 && asked >= limit {
		return limit
	}
	return asked
}
