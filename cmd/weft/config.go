package main

import (
	"fmt"
	"strings"
	"time"

	"weft"
	"weft/meter"
)

// settings is what a node is started with. Each field is filled by exactly one
// option of the table below.
type settings struct {
	Domains []string
	Name    string
	Listen  string
	Data    string
	Env     string
	Hosts   []string

	TLSCert, TLSKey string

	Memory, Temp int64
	Threads      int

	QueryMemory      int64
	QueryDeadline    time.Duration
	QueryThreads     int
	QueryConcurrency int
	QueryQueue       int

	LoadMemory      int64
	LoadConcurrency int

	KeepTime    time.Duration
	KeepBytes   int64
	Spill       int64
	DiskReserve int64

	OpenMetrics bool

	Budgets []meter.Rule

	LineageEndpoint, LineageKey, LineageNamespace string

	MeshAdvertise []string
	MeshRelay     bool

	LogLevel, LogFormat string

	// from says where each option that is not at its default was set, by key:
	// "weft.yaml:3", "WEFT_LISTEN", "--listen".
	from map[string]string
	// text is what each option was set to, by key, as it was written.
	text map[string]string
}

// option describes one setting, once: flags, WEFT_* variables, weft.yaml, help,
// docs/configuration.md and validation all come from this table.
type option struct {
	key   string // its path in weft.yaml, dots between the levels
	kind  string // what values look like, for people
	value string // the default, as it would be written; "" is none
	text  string // what it does, one sentence
	set   func(*settings, string) error

	restart bool // a change needs a restart; others take effect with weft reload
}

// take sets the option and notes what it was set to.
func (o option) take(s *settings, v string) error {
	if err := o.set(s, v); err != nil {
		return err
	}
	s.text[o.key] = v
	return nil
}

// flag is the option's name on the command line.
func (o option) flag() string { return strings.ReplaceAll(o.key, ".", "-") }

// env is the option's name in the environment.
func (o option) env() string {
	return "WEFT_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(o.key))
}

// options is the table.
var options = []option{
	{
		key: "domain", kind: kindNames,
		text: "The domain that this node serves, or several separated by commas; products of others are refused. Without it any is taken.",
		set: func(s *settings, v string) error {
			s.Domains = splitList(v)
			return each(s.Domains, weft.CheckName)
		},
	},
	{
		key: "name", kind: "text",
		text: "What the node calls itself in `weft status` and in logs. Without it, the machine's name.",
		set:  func(s *settings, v string) error { s.Name = v; return maxLength(v, 63) },
	},
	{
		restart: true,
		key:     "listen", kind: "address:port", value: "127.0.0.1:7070",
		text: "Where the node answers. Port 0 takes a free one. An address that is not loopback needs tls.cert and tls.key.",
		set:  func(s *settings, v string) error { s.Listen = v; return checkAddress(v) },
	},
	{
		restart: true,
		key:     "data", kind: "folder", value: ".weft",
		text: "Where the node keeps its data, relative to the folder of weft.yaml. One node at a time may use it.",
		set:  func(s *settings, v string) error { s.Data = v; return notEmpty(v) },
	},
	{
		key: "env", kind: "name",
		text: "Which servers of the input contracts are read: those whose `environment` is this. Without it a contract must have one server only, or one without an environment.",
		set:  func(s *settings, v string) error { s.Env = v; return maxLength(v, 63) },
	},
	{
		key: "hosts", kind: kindNames,
		text: "Names by which the node may be reached besides its address, separated by commas; a request for any other host is refused.",
		set:  func(s *settings, v string) error { s.Hosts = splitList(v); return nil },
	},
	{
		key: "tls.cert", kind: "file",
		text: "PEM file of the server certificate and its chain. Read again when it changes.",
		set:  func(s *settings, v string) error { s.TLSCert = v; return nil },
	},
	{
		key: "tls.key", kind: "file",
		text: "PEM file of the certificate's private key.",
		set:  func(s *settings, v string) error { s.TLSKey = v; return nil },
	},
	{
		restart: true,
		key:     "memory", kind: "bytes",
		text: "Memory that all workers together may have: queries, loads and folds wait for their turn. Without it, three quarters of the machine's.",
		set:  func(s *settings, v string) (err error) { s.Memory, err = parseBytes(v, 1<<30); return err },
	},
	{
		restart: true,
		key:     "threads", kind: "number", value: "0",
		text: "Threads that all workers together may run; 0 is those of up to eight workers.",
		set:  func(s *settings, v string) (err error) { s.Threads, err = parseInt(v, 0, 1<<16); return err },
	},
	{
		restart: true,
		key:     "temp", kind: "bytes",
		text: "Disk space that all workers together may use for what does not fit into memory. Without it, half of what is free where the data is.",
		set:  func(s *settings, v string) (err error) { s.Temp, err = parseBytes(v, 16<<20); return err },
	},
	{
		key: "query.memory", kind: "bytes",
		text: "Memory that one query may use; more ends the query, never the node. Without it, a tenth of memory, at most 2 GiB.",
		set:  func(s *settings, v string) (err error) { s.QueryMemory, err = parseBytes(v, 32<<20); return err },
	},
	{
		key: "query.deadline", kind: "duration", value: "5m",
		text: "How long one query may run.",
		set: func(s *settings, v string) (err error) {
			s.QueryDeadline, err = parseDuration(v, time.Millisecond, 24*time.Hour)
			return err
		},
	},
	{
		key: "query.threads", kind: "number", value: "0",
		text: "Threads that one query may use; 0 is all cores.",
		set:  func(s *settings, v string) (err error) { s.QueryThreads, err = parseInt(v, 0, 1024); return err },
	},
	{
		restart: true,
		key:     "query.concurrency", kind: "number", value: "0",
		text: "Queries that run at once, others wait; 0 is twice the number of cores.",
		set:  func(s *settings, v string) (err error) { s.QueryConcurrency, err = parseInt(v, 0, 1024); return err },
	},
	{
		restart: true,
		key:     "query.queue", kind: "number", value: "0",
		text: "Queries of one subject that may wait for their turn; one more is refused and told when to come back. 0 is 50 times query.concurrency.",
		set:  func(s *settings, v string) (err error) { s.QueryQueue, err = parseInt(v, 0, 1<<20); return err },
	},
	{
		key: "load.memory", kind: "bytes",
		text: "Memory that one load of a product may use. Without it, a third of memory, at most 8 GiB.",
		set:  func(s *settings, v string) (err error) { s.LoadMemory, err = parseBytes(v, 64<<20); return err },
	},
	{
		restart: true,
		key:     "load.concurrency", kind: "number", value: "1",
		text: "Loads that run at once, others wait.",
		set:  func(s *settings, v string) (err error) { s.LoadConcurrency, err = parseInt(v, 1, 256); return err },
	},
	{
		key: "spill", kind: "bytes",
		text: "Disk space that one query or load may use for what does not fit into its memory. Without it, an eighth of temp, at most 20 GiB.",
		set:  func(s *settings, v string) (err error) { s.Spill, err = parseBytes(v, 1<<20); return err },
	},
	{
		key: "disk.reserve", kind: "bytes", value: "1GiB",
		text: "Disk space that is to stay free. With less, nothing new is taken in and the node says so, while compaction and retention go on; it resumes by itself.",
		set:  func(s *settings, v string) (err error) { s.DiskReserve, err = parseBytes(v, 1); return err },
	},
	{
		key: "budgets", kind: kindRules,
		text: "What consumers may use of this node's products: a list of rules (docs/budgets.md). As a flag or a variable it is written as in the file, on one line. What was used goes on to count when limits change.",
		set:  func(s *settings, v string) (err error) { s.Budgets, err = parseBudgets(v); return err },
	},
	{
		restart: true,
		key:     "keep.time", kind: "duration", value: "720h",
		text: "How long older states of a product stay readable at least, as far as keep.bytes allows.",
		set: func(s *settings, v string) (err error) {
			s.KeepTime, err = parseDuration(v, 0, 100*365*24*time.Hour)
			return err
		},
	},
	{
		restart: true,
		key:     "keep.bytes", kind: "bytes", value: "10GiB",
		text: "Disk space that the superseded files of one product may take.",
		set:  func(s *settings, v string) (err error) { s.KeepBytes, err = parseBytes(v, 0); return err },
	},
	{
		restart: true,
		key:     "metrics.open", kind: "true|false", value: "false",
		text: "Whether /metrics is answered without a token. With false it wants one of scope metrics, read or admin.",
		set:  func(s *settings, v string) (err error) { s.OpenMetrics, err = parseBool(v); return err },
	},
	{
		restart: true,
		key:     "mesh.advertise", kind: kindNames,
		text: "Addresses (host:port) at which the other nodes of the mesh reach this one, separated by commas. Without it, where it listens; `none` where no other node can reach it: it is reached through others then.",
		set: func(s *settings, v string) error {
			if s.MeshAdvertise = splitList(v); v == "none" {
				return nil
			}
			return each(s.MeshAdvertise, checkAddress)
		},
	},
	{
		restart: true,
		key:     "mesh.relay", kind: "true|false", value: "true",
		text: "Whether nodes of the mesh that cannot be reached from outside may be reached through this one.",
		set:  func(s *settings, v string) (err error) { s.MeshRelay, err = parseBool(v); return err },
	},
	{
		restart: true,
		key:     "lineage.endpoint", kind: "url",
		text: "Where the node sends OpenLineage run events of its loads, such as `https://marquez.example.com/api/v1/lineage`. Without it, none are sent.",
		set:  func(s *settings, v string) error { s.LineageEndpoint = v; return checkEndpoint(v) },
	},
	{
		restart: true,
		key:     "lineage.key", kind: "${VAR}",
		text: "The key for lineage.endpoint, sent as a bearer token: the name of a variable as `${VAR}`, never the key itself.",
		set:  func(s *settings, v string) error { s.LineageKey = v; return checkVariable(v) },
	},
	{
		restart: true,
		key:     "lineage.namespace", kind: "text", value: "weft",
		text: "The namespace that OpenLineage events have for this mesh's jobs and datasets; the same at all of its nodes.",
		set:  func(s *settings, v string) error { s.LineageNamespace = v; return maxLength(v, 200) },
	},
	{
		key: "log.level", kind: "debug|info|warn|error", value: "info",
		text: "The least severe lines that are logged, to standard error.",
		set:  func(s *settings, v string) error { s.LogLevel = v; return oneOf(v, "debug", "info", "warn", "error") },
	},
	{
		restart: true,
		key:     "log.format", kind: "text|json", value: "text",
		text: "How lines are logged.",
		set:  func(s *settings, v string) error { s.LogFormat = v; return oneOf(v, "text", "json") },
	},
}

// clientVariable is a variable that commands read and that is no setting of a
// node.
type clientVariable struct{ name, text string }

// clientVariables are listed in the docs and known to the check for typing
// errors.
var clientVariables = []clientVariable{
	{"WEFT_NODE", "URL of the node that commands speak to; the flag --node goes before it. Without either it is the local node, found by the folder `.weft` here or above."},
	{"WEFT_TOKEN", "The token for that node. It is never a flag, since other users of the machine see flags. The local node's token is found in `.weft/token`."},
	{"WEFT_CA", "PEM file of a certificate authority to trust for --node, besides the system's."},
}

// kindNames marks the options that take a list.
const kindNames = "names"

// defaults are the settings where nothing is said.
func defaults() settings {
	s := settings{from: map[string]string{}, text: map[string]string{}}
	for _, o := range options {
		if o.value != "" {
			if err := o.take(&s, o.value); err != nil {
				panic(fmt.Sprintf("the default of %s: %v", o.key, err)) // held by TestDefaults
			}
		}
	}
	return s
}
