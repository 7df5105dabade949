// Package run starts and stops things: a named task group, the clock, pauses, and the
// Env (logger, clock, metrics) that constructors are handed. Nothing is global.
package run

import (
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Clock tells the time. The real one is Wall; tests inject another.
type Clock interface {
	Now() time.Time
}

// Wall is the machine's clock.
type Wall struct{}

// Now returns the current time in UTC.
func (Wall) Now() time.Time { return time.Now().UTC() }

// Env is what every part of a node is handed when it is built.
type Env struct {
	Log   *slog.Logger
	Clock Clock
	// Metrics is where a part registers what it counts, once for each registry;
	// nil counts for nobody.
	Metrics prometheus.Registerer
}

// Quiet is an Env that logs nothing, counts for nobody and uses the machine's
// clock.
func Quiet() Env {
	return Env{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Clock: Wall{}}
}

// Named returns the Env with a logger that says which part speaks.
func (e Env) Named(part string) Env {
	e.Log = e.Log.With("part", part)
	return e
}
