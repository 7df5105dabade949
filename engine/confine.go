package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// settings is a SessionConfig as it is sent to a worker.
type settings struct {
	Folders   []string `json:"folders"` // that statements may read
	Files     []string `json:"files"`
	Write     string   `json:"write"`
	Memory    int64    `json:"memory"`
	Threads   int      `json:"threads"`
	Temp      string   `json:"temp"`
	TempBytes int64    `json:"temp_bytes"`
	Limit     int64    `json:"limit"` // of the process's memory
	Leave     bool     `json:"leave"` // files of the folders are opened by the node
	Ordered   bool     `json:"ordered"`
	Rules     []rule   `json:"rules,omitempty"` // what the kernel lets it have
}

// rule is a path without links that the kernel lets a worker have, and everything
// beneath it.
type rule struct {
	Path  string `json:"path"`
	Write bool   `json:"write,omitempty"`
	Leave bool   `json:"leave,omitempty"` // not where the node opens what is in it
}

// rules says where what a session may have really lies. What is exchanged for a link
// from then on is not followed: the kernel is not told of it.
func (c SessionConfig) rules(set settings) (all []rule) {
	for i, p := range c.Read {
		r := rule{Path: Resolved(p), Leave: set.Leave && slices.Contains(set.Folders, p)}
		if c.Real != nil {
			r.Path = c.Real[i]
		}
		all = append(all, r)
	}
	for _, p := range []string{set.Write, set.Temp} {
		if p != "" {
			all = append(all, rule{Path: Resolved(p), Write: true})
		}
	}
	return all
}

// Resolved is a path without links, as far as it exists.
func Resolved(path string) string {
	if to, err := filepath.EvalSymlinks(path); err == nil {
		return to
	}
	if dir := filepath.Dir(path); dir != path {
		return filepath.Join(Resolved(dir), filepath.Base(path))
	}
	return path
}

// startSettings are in force before a worker knows what it is for.
var startSettings = map[string]string{
	"threads":                      "1",
	"autoinstall_known_extensions": "false",
	"autoload_known_extensions":    "false",
	"allow_community_extensions":   "false",
	"allow_unsigned_extensions":    "false",
	"allow_persistent_secrets":     "false",
}

// setting is one setting of the engine: what is said and what must then be read
// back, where that is known.
type setting struct{ name, value, want string }

// lockdown is the settings of a session, in the order in which they are set:
// the last two cannot be taken back.
func lockdown(c settings) []setting {
	plain := func(name string, v any) setting { s := fmt.Sprint(v); return setting{name, s, s} }
	set := []setting{
		plain("threads", c.Threads),
		{"memory_limit", QuoteLiteral(fmt.Sprintf("%dB", c.Memory)), ""},
		{"temp_directory", QuoteLiteral(c.Temp), c.Temp},
		plain("preserve_insertion_order", c.Ordered),
		{"TimeZone", "'UTC'", "UTC"},
		plain("parquet_metadata_cache", true),
		plain("enable_external_file_cache", false),
		plain("progress_bar_time", 0), // turns the next two on
		plain("enable_progress_bar_print", false),
		// Of a question nobody asks how far it is; to know costs a tenth of a small one.
		plain("enable_progress_bar", !c.Leave),
		plain("arrow_large_buffer_size", false),
		plain("produce_arrow_string_view", false),
		plain("arrow_lossless_conversion", false),
		plain("errors_as_json", false),
	}
	if !c.Ordered {
		// The engine's threads stop when so much waits to be fetched, 1 MB by itself, and of
		// chunks in which a filter left few rows it counts the room. Nothing is seen before so
		// much is there, so that it is for rows that nobody sees.
		set = append(set, setting{"streaming_buffer_size", "'32MB'", ""})
	}
	if c.TempBytes > 0 {
		set = append(set, setting{"max_temp_directory_size", QuoteLiteral(fmt.Sprintf("%dB", c.TempBytes)), ""})
	}
	return append(set, []setting{
		{"allowed_directories", list(c.folders()), ""},
		{"allowed_paths", list(c.Files), ""},
		plain("enable_external_access", false),
		plain("lock_configuration", true),
	}...)
}

// fixed are the settings that openDatabase makes, read back as well.
var fixed = []setting{
	{name: "autoinstall_known_extensions", want: "false"},
	{name: "autoload_known_extensions", want: "false"},
	{name: "allow_community_extensions", want: "false"},
	{name: "allow_unsigned_extensions", want: "false"},
	{name: "allow_persistent_secrets", want: "false"},
}

// lock puts the settings in force and reads them back; an engine that did not
// take one is not used.
func (d *database) lock(set []setting) error {
	for _, s := range set {
		if err := d.run("set " + s.name + " = " + s.value); err != nil {
			return fmt.Errorf("set %s: %w", s.name, err)
		}
	}
	for _, s := range append(set[:len(set):len(set)], fixed...) {
		if s.want == "" {
			continue
		}
		if got, err := d.setting(s.name); err != nil || got != s.want {
			return fmt.Errorf("the setting %s is %q and not %q (%v)", s.name, got, s.want, err)
		}
	}
	return nil
}

// folders are those that the engine itself lets a statement name.
func (c settings) folders() []string {
	return append(c.Folders[:len(c.Folders):len(c.Folders)], c.Write, c.Temp)
}

// confine gives up everything that a session does not need. What the engine can
// do it must do; what the kernel can do is done where it can, and reported.
func confine(d *database, c settings) (*Protection, error) {
	if c.Temp != "" {
		if err := os.Mkdir(c.Temp, 0o700); err != nil {
			return nil, fmt.Errorf("the folder to spill to: %w", err)
		}
	}
	p := &Protection{wishes: -1}
	if err := p.limits(c); err != nil {
		return nil, err
	}
	c.Leave = c.Leave && canAsk()
	if p.Files = limitFiles(c); p.Files != "on" {
		c.Leave = false // then nothing would hold what the node leaves to the kernel
	}
	if err := d.lock(lockdown(c)); err != nil {
		return nil, err
	}
	p.Engine = true
	p.Syscalls, p.wishes = limitSyscalls(c.Leave)
	if c.Leave && p.wishes < 0 {
		return nil, fmt.Errorf("the files cannot be opened by leave: %s", p.Syscalls)
	}
	p.Leave = c.Leave
	return p, nil
}

// list writes paths as an SQL list, without the empty ones.
func list(paths []string) string {
	var q []string
	for _, p := range paths {
		if p != "" {
			q = append(q, QuoteLiteral(p))
		}
	}
	return "[" + strings.Join(q, ", ") + "]"
}
