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
	"weft/meter"
	"weft/openlineage"
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

	Advertise []string // host:port where other nodes reach it; none means where it listens, "none" alone that they cannot
	Relay     bool     // other nodes may be reached through it

	Lineage LineageConfig // whom it tells of its loads

	TLSCert string // PEM files; needed to listen elsewhere than on loopback
	TLSKey  string

	AllMemory  int64 // bytes that all workers together may have, default three quarters of the machine's
	AllThreads int   // threads that all workers together may run, default those of up to eight workers
	AllTemp    int64 // bytes that all workers together may spill, default half of what is free

	Memory      int64         // bytes for one question, default a tenth of AllMemory, at most 2 GB
	LoadMemory  int64         // bytes for one load, default a third of AllMemory, at most 8 GB
	TempBytes   int64         // bytes that a worker may spill, default an eighth of AllTemp, at most 20 GB
	Threads     int           // threads of a worker, default all cores
	Deadline    time.Duration // longest question, default 5 minutes
	Concurrency int           // questions at once, default twice the cores
	Queue       int           // questions of one subject that wait, default 50 times Concurrency
	Loads       int           // loads at once, default 1

	DiskReserve int64 // bytes that are to stay free on the data folder's disk, default 1 GB

	IdleAfter time.Duration // a product that is not used for so long is closed, default 5 minutes
	IdleOpen  int           // products that stay open though nobody uses them, default 32

	Budgets []meter.Rule // what consumers may use of its products

	Drain       time.Duration // longest wait for what runs when the node stops, default 25 seconds
	OpenMetrics bool          // /metrics needs no token

	TailRows  int64         // see store.Config
	KeepFor   time.Duration // see store.Config
	KeepBytes int64         // see store.Config

	// Private are further files that no source may read, such as that of the
	// secrets; the data folder and the TLS key are so by themselves.
	Private []string

	// Reread reads the configuration again for Reload; nil where that cannot be.
	Reread func() (*Reread, error)

	Secrets func(string) (string, bool) // values of ${VAR}; nil knows none

	RunEnv run.Env

	free  func(dir string) int64 // bytes free on dir's disk; tests fill it
	cards cardSink               // where cards go; tests fill it
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
	def(&c.AllMemory, totalMemory()/4*3)
	def(&c.Memory, min(c.AllMemory/10, 2<<30))
	def(&c.LoadMemory, min(c.AllMemory/3, 8<<30))
	if c.AllTemp == 0 {
		c.AllTemp = max(freeAbove(c.Data)/2, 1<<30)
	}
	def(&c.TempBytes, min(c.AllTemp/8, 20<<30))
	if c.Threads == 0 {
		c.Threads = runtime.NumCPU()
	}
	if c.Deadline == 0 {
		c.Deadline = 5 * time.Minute
	}
	def(&c.DiskReserve, 1<<30)
	if c.free == nil {
		c.free = freeDisk
	}
	def((*int64)(&c.IdleAfter), int64(idleAfter))
	if c.IdleOpen == 0 {
		c.IdleOpen = idleOpen
	}
	def((*int64)(&c.Drain), int64(25*time.Second)) // the whole stop has 30
	if c.Concurrency == 0 {
		c.Concurrency = 2 * runtime.NumCPU()
	}
	if c.Lineage.Namespace == "" {
		c.Lineage.Namespace = "weft"
	}
	if c.Queue == 0 {
		c.Queue = 50 * c.Concurrency
	}
	if c.Loads == 0 {
		c.Loads = 1
	}
	if c.AllThreads == 0 {
		c.AllThreads = c.Threads * max(min(c.Concurrency+c.Loads+1, 8), 4)
	}
	if c.Secrets == nil {
		c.Secrets = func(string) (string, bool) { return "", false }
	}
	if c.RunEnv.Log == nil {
		c.RunEnv = run.Quiet()
	}
	c.RunEnv.Log = run.Lined(c.RunEnv.Log)
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
	for _, a := range c.Advertise {
		if _, _, err := net.SplitHostPort(a); err != nil && !c.hidden() {
			bad("mesh.advertise", "%q is no address: write it like weft.example.com:7070", a)
		}
	}
	if c.Lineage.Endpoint != "" {
		if err := (openlineage.SenderConfig{URL: c.Lineage.Endpoint}).Validate(); err != nil {
			errs = append(errs, err)
		}
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		bad("tls", "a certificate and its key go together")
	}
	for _, n := range []struct {
		key string
		v   int64
	}{
		{"memory", c.AllMemory},
		{"threads", int64(c.AllThreads)},
		{"temp", c.AllTemp},
		{"query.memory", c.Memory},
		{"load.memory", c.LoadMemory},
		{"spill", c.TempBytes},
		{"query.threads", int64(c.Threads)},
		{"query.deadline", int64(c.Deadline)},
		{"query.concurrency", int64(c.Concurrency)},
		{"query.queue", int64(c.Queue)},
		{"load.concurrency", int64(c.Loads)},
		{"disk.reserve", c.DiskReserve},
		{"idleAfter", int64(c.IdleAfter)},
		{"idleOpen", int64(c.IdleOpen)},
		{"drain", int64(c.Drain)},
	} {
		if n.v < 0 {
			bad(n.key, "%d is below zero", n.v)
		}
	}
	if err := meter.CheckRules(c.Budgets); err != nil {
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		errs = append(errs, c.checkDivision())
	}
	return errors.Join(errs...)
}

// hidden says that no other node can reach this one from outside.
func (c Config) hidden() bool { return slices.Equal(c.Advertise, []string{"none"}) }

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
