package run

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for _, x := range []struct{ ask, takes time.Duration }{
			{-time.Second, 0}, {0, 0}, {40 * time.Second, 40 * time.Second}, {time.Hour, 20 * time.Second}, {0, 0}, {time.Hour, 0},
		} {
			began := time.Now()
			err := Pause(ctx, x.ask)
			if took := time.Since(began); took != x.takes || err != ctx.Err() {
				t.Errorf("a pause of %v took %v and gives %v; the context's error is %v", x.ask, took, err, ctx.Err())
			}
		}
	})
}
