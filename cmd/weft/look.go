package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/ingest"
	"weft/node"
	"weft/run"
	"weft/serve"
)

// lookMemory is how much memory the look at a source may use, in bytes.
const lookMemory = 2 << 30

// looked is what a look at a source found.
type looked struct {
	*contract.Shape
	vars []string // variables that the folder names for credentials that were in --from
}

// look reads the source that --from names and measures what a draft needs. What
// it stages is gone when it returns.
func (a *app) look(ctx context.Context, name weft.Name, from string) (*looked, error) {
	const op = "look at the source of"
	wd, err := os.Getwd()
	if err != nil {
		return nil, weft.Errorf(weft.KindUnavailable, op, name.String(), "%w", err)
	}
	env, err := a.env.withFile(home(wd))
	if err != nil {
		return nil, err
	}
	origin, err := ingest.ParseFrom(from, wd, name)
	if err != nil {
		return nil, err
	}
	lookup := func(v string) (string, bool) {
		if s, ok := origin.Vars[v]; ok {
			return s, true
		}
		return env.secret(v)
	}
	tmp, err := os.MkdirTemp("", "weft-look-")
	if err != nil {
		return nil, weft.Errorf(weft.KindUnavailable, op, name.String(), "%w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	drivers := node.Drivers()
	places, err := drivers.Locations(&origin.Server, wd, lookup)
	if err != nil {
		return nil, err
	}
	out := &looked{vars: slices.Sorted(maps.Keys(origin.Vars))}
	line := a.progress()
	defer line.clear()
	err = withWorkers(func(pool *engine.Pool) error {
		stage, spill := filepath.Join(tmp, "stage"), filepath.Join(tmp, "spill")
		for _, d := range []string{stage, spill} {
			if err := os.Mkdir(d, 0o700); err != nil {
				return weft.Errorf(weft.KindUnavailable, op, name.String(), "%w", err)
			}
		}
		s, err := pool.Session(ctx, engine.SessionConfig{
			Name: "look", Read: append(places, stage), Write: stage, Memory: lookMemory, Temp: spill, TempBytes: 20 << 30,
		})
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		out.Shape, err = drivers.Shape(ctx, ingest.Request{
			Product: name, Server: &origin.Server, Tables: []ingest.Want{{Table: origin.Table}},
			Dir: wd, Stage: stage, Session: s, Lookup: lookup, Progress: lookProgress(line), Env: run.Quiet(),
		})
		return err
	})
	return out, err
}

// lookProgress draws how far the look is.
func lookProgress(line *progressLine) func(ingest.Progress) {
	return func(p ingest.Progress) {
		e := serve.Event{Phase: "read", Table: p.Table, Rows: p.Rows, Bytes: p.Bytes, Total: p.TotalBytes, Left: float64(p.Left) / float64(time.Second)}
		line.event(e)
	}
}
