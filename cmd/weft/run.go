package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"weft"
	"weft/node"
	"weft/run"
)

// nodeConfig reads the settings of a node in dir.
func (a *app) nodeConfig(dir string, flags *pflag.FlagSet) (node.Config, error) {
	s, faults := loadSettings(dir, flags, a.env)
	if len(faults) > 0 {
		for i, f := range faults {
			if rel, err := filepath.Rel(mustGetwd(), f.File); err == nil && !strings.HasPrefix(rel, "..") {
				faults[i].File = rel
			}
		}
		printFaults(a.err, faults)
		return node.Config{}, answerNo{exitFailed}
	}
	env, err := a.env.withFile(dir)
	if err != nil {
		return node.Config{}, err
	}
	r := &reader{app: a, dir: dir, flags: flags, now: s, log: newLevelLog(a.logWriter(), s.LogLevel, s.LogFormat)}
	cfg := a.configOf(dir, s, env, r.log)
	cfg.Reread = r.again
	return cfg, nil
}

// configOf is the node's configuration that the settings make.
func (a *app) configOf(dir string, s settings, env environment, log *levelLog) node.Config {
	if s.Name == "" {
		s.Name, _ = os.Hostname()
	}
	return node.Config{
		Name: s.Name, Version: programVersion(), Domains: s.Domains,
		Data: resolve(dir, s.Data), Listen: s.Listen, Hosts: s.Hosts, Env: s.Env,
		TLSCert: resolveFile(dir, s.TLSCert), TLSKey: resolveFile(dir, s.TLSKey),
		AllMemory: s.Memory, AllThreads: s.Threads, AllTemp: s.Temp, Queue: s.QueryQueue,
		Memory: s.QueryMemory, Threads: s.QueryThreads, Deadline: s.QueryDeadline, Concurrency: s.QueryConcurrency,
		LoadMemory: s.LoadMemory, Loads: s.LoadConcurrency, TempBytes: s.Spill, DiskReserve: s.DiskReserve,
		OpenMetrics: s.OpenMetrics, KeepFor: s.KeepTime, KeepBytes: s.KeepBytes,
		Budgets:   s.Budgets,
		Advertise: s.MeshAdvertise, Relay: s.MeshRelay,
		Lineage: node.LineageConfig{Endpoint: s.LineageEndpoint, Key: s.LineageKey, Namespace: s.LineageNamespace},
		Secrets: env.secret, Private: []string{filepath.Join(dir, ".env")},
		RunEnv: run.Env{Log: log.Logger, Clock: run.Wall{}},
	}
}

func mustGetwd() string {
	wd, err := os.Getwd()
	if err != nil {
		return "/"
	}
	return wd
}

// resolveFile is resolve for a setting that may be empty.
func resolveFile(dir, path string) string {
	if path == "" {
		return ""
	}
	return resolve(dir, path)
}

// levelLog is the node's logger, whose level can be changed.
type levelLog struct {
	*slog.Logger
	level *slog.LevelVar
}

func newLevelLog(w io.Writer, level, format string) *levelLog {
	l := &levelLog{level: new(slog.LevelVar)}
	l.set(level)
	opt := &slog.HandlerOptions{Level: l.level}
	if format == "json" {
		l.Logger = slog.New(slog.NewJSONHandler(w, opt))
	} else {
		l.Logger = slog.New(slog.NewTextHandler(w, opt))
	}
	return l
}

// set changes the level; one that is none, which the settings do not let
// through, changes nothing.
func (l *levelLog) set(level string) { _ = l.level.UnmarshalText([]byte(level)) }

// runNode runs a node until ctx ends, and says where it is. Once it answers, then
// runs beside it; an error of then stops the node.
func (a *app) runNode(ctx context.Context, cfg node.Config, then func(context.Context, *node.Node) error) error {
	return serveNode(ctx, cfg, func(ctx context.Context, n *node.Node) error {
		a.out.printf("%s at %s\n", a.out.paint(bold, cfg.Name), n.URL())
		if text := n.Upgraded(); text != "" {
			a.out.println(text)
		}
		return then(ctx, n)
	})
}

// quietNode runs a node as long as do runs.
func (a *app) quietNode(ctx context.Context, cfg node.Config, do func(context.Context, *node.Node) error) error {
	err := serveNode(ctx, cfg, func(ctx context.Context, n *node.Node) error {
		if err := do(ctx, n); err != nil {
			return err
		}
		return answerNo{exitDone}
	})
	if err == error(answerNo{exitDone}) {
		return nil
	}
	return err
}

// serveNode runs a node until ctx ends or then, which runs beside it once it
// answers, fails.
func serveNode(ctx context.Context, cfg node.Config, then func(context.Context, *node.Node) error) error {
	hups, give := hangups()
	defer give()
	n, err := node.New(cfg)
	if err != nil {
		return err
	}
	if err := n.Open(ctx); err != nil {
		return err
	}
	g := run.NewGroup(ctx)
	g.Go("manager", func(ctx context.Context) error {
		onHangup(ctx, hups, n)
		tellManager("STOPPING=1")
		return nil
	})
	var failed error
	g.Go("node", n.Run)
	g.Go("apply", func(ctx context.Context) error {
		if err := untilReady(ctx, n); err != nil {
			return err
		}
		tellManager("READY=1")
		failed = then(ctx, n)
		return failed
	})
	err = g.Wait()
	if cerr := n.Close(); err == nil {
		err = cerr
	}
	switch {
	case failed != nil && ctx.Err() == nil:
		return failed
	case err != nil && ctx.Err() != nil && weft.KindOf(err) == weft.KindCancelled:
		return nil
	}
	return err
}

// untilReady waits until the node answers.
func untilReady(ctx context.Context, n *node.Node) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !n.Running() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}
