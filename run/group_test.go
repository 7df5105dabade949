package run

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
)

func TestFirstErrorCancelsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		g := NewGroup(context.Background())
		ended := false
		g.Go("waits", func(ctx context.Context) error {
			<-ctx.Done()
			ended = true
			return ctx.Err()
		})
		g.Go("fails", func(context.Context) error { return broken })
		err := g.Wait()
		if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "fails: ") {
			t.Errorf("Wait gives %v", err)
		}
		if !ended {
			t.Error("the other task was not waited for")
		}
	})
}

func TestEndOfContextIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		g := NewGroup(ctx)
		g.Go("waits", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		cancel()
		if err := g.Wait(); err != nil {
			t.Errorf("Wait gives %v", err)
		}
	})
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGroup(context.Background())
		g.Go("waits", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		g.Stop()
		if err := g.Wait(); err != nil {
			t.Errorf("Wait gives %v", err)
		}
	})
}
