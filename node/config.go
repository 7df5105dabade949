package node

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"weft"
	"weft/run"
)

// Config is everything a node is told. Zero fields mean the default.
type Config struct {
	Name    string   // how the node calls itself; default the host's name
	Version string   // of the program
	Domains []string // domains whose products it may hold; none means any
	Data    string   // data folder, absolute
	Listen  string   // address of the API, default 127.0.0.1:7070; port 0 picks one
	Hosts   []string // further names that the API is called by
	Env     string   // picks servers[].environment

	TLSCert string // PEM files; needed to listen elsewhere than on loopback
	TLSKey  string

	Memory      int64         // bytes for one question, default 2 GB
	LoadMemory  int64         // bytes for one load, default half of the machine's memory, at most 8 GB
	TempBytes   int64         // bytes that a worker may spill, default 20 GB
	Threads     int           // threads of a worker, default all cores
	Deadline    time.Duration // longest question, default 5 minutes
	Concurrency int           // questions at once, default twice the cores
	Loads       int           // loads at once, default 1

	TailRows  int64         // see store.Config
	KeepFor   time.Duration // see store.Config
	KeepBytes int64         // see store.Config

	Secrets func(string) (string, bool) // values of ${VAR}; nil knows none

	RunEnv run.Env
}

// WithDefaults fills what was left open.
func (c Config) WithDefaults() Config {
	def := func(p *int64, v int64) {
		if *p == 0 {
			*p = v
		}
	}
	if c.Listen == "" {
		c.Listen = "127.0.0.1:7070"
	}
	def(&c.Memory, 2<<30)
	def(&c.LoadMemory, min(totalMemory()/2, 8<<30))
	def(&c.TempBytes, 20<<30)
	if c.Threads == 0 {
		c.Threads = runtime.NumCPU()
	}
	if c.Deadline == 0 {
		c.Deadline = 5 * time.Minute
	}
	if c.Concurrency == 0 {
		c.Concurrency = 2 * runtime.NumCPU()
	}
	if c.Loads == 0 {
		c.Loads = 1
	}
	if c.Secrets == nil {
		c.Secrets = func(string) (string, bool) { return "", false }
	}
	if c.RunEnv.Log == nil {
		c.RunEnv = run.Quiet()
	}
	return c
}

// Validate returns all faults of the configuration, each with the key it is about.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, weft.Errorf(weft.KindInvalid, "check the configuration", key, format, args...))
	}
	if !filepath.IsAbs(c.Data) {
		bad("data", "the data folder must be an absolute path, not %q", c.Data)
	}
	for _, d := range c.Domains {
		if err := weft.CheckName(d); err != nil {
			errs = append(errs, err)
		}
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		bad("listen", "%q is no address: write it like 127.0.0.1:7070", c.Listen)
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		bad("tls", "a certificate and its key go together")
	}
	for _, n := range []struct {
		key string
		v   int64
	}{
		{"memory", c.Memory},
		{"loadMemory", c.LoadMemory},
		{"tempBytes", c.TempBytes},
		{"threads", int64(c.Threads)},
		{"deadline", int64(c.Deadline)},
		{"concurrency", int64(c.Concurrency)},
		{"loads", int64(c.Loads)},
	} {
		if n.v < 0 {
			bad(n.key, "%d is below zero", n.v)
		}
	}
	return errors.Join(errs...)
}

// holds says whether the node may hold products of the domain.
func (c Config) holds(domain string) error {
	if len(c.Domains) == 0 || slices.Contains(c.Domains, domain) {
		return nil
	}
	return weft.Errorf(weft.KindDenied, "take the product", domain, "this node holds the domains %v", c.Domains).
		WithHint("apply it at the node of its domain, or add the domain to weft.yaml")
}

// paths of the data folder.
func (c Config) path(parts ...string) string {
	return filepath.Join(append([]string{c.Data}, parts...)...)
}

func (c Config) productDir(id string) string { return c.path("products", id) }

func (c Config) stageDir(id string, n int64) string {
	return c.path("stage", fmt.Sprintf("%s-%d", id, n))
}
