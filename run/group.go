package run

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Group runs named tasks until one fails or the context ends: the first error
// cancels all, and there is one Wait. A Group is used once.
type Group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	once   sync.Once
	err    error
}

// NewGroup returns a group whose tasks end with ctx.
func NewGroup(ctx context.Context) *Group {
	c, cancel := context.WithCancelCause(ctx)
	return &Group{ctx: c, cancel: cancel}
}

// Context is cancelled when a task fails or Stop is called.
func (g *Group) Context() context.Context { return g.ctx }

// Go starts a task. Its error, unless it is only that the context ended, stops
// the group and is what Wait returns.
func (g *Group) Go(name string, task func(context.Context) error) {
	g.wg.Add(1)
	go func() {
		defer g.wg.Done()
		if err := task(g.ctx); err != nil && !(errors.Is(err, context.Canceled) && g.ctx.Err() != nil) {
			g.fail(fmt.Errorf("%s: %w", name, err))
		}
	}()
}

func (g *Group) fail(err error) {
	g.once.Do(func() { g.err = err })
	g.cancel(err)
}

// Stop ends all tasks without an error.
func (g *Group) Stop() { g.cancel(nil) }

// Wait blocks until every task has ended and returns the first error.
func (g *Group) Wait() error {
	g.wg.Wait()
	g.cancel(nil)
	return g.err
}
