// Package web reads sources that are files on a web server: one GET a table,
// conditional where the server gives an ETag or a date, then as local files.
package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/zeebo/xxh3"

	"weft"
	"weft/contract"
	"weft/ingest"
)

// Driver reads http and https servers. The zero values of its limits are the
// defaults.
type Driver struct {
	Files    ingest.Driver // reads what was downloaded
	MaxBytes int64         // most that one download may have; 0 is 20 GB
	Stall    time.Duration // how long a body may stay silent; 0 is a minute
	Tries    int           // how often a download is begun; 0 is 4
	Wait     time.Duration // before the second try, then longer; 0 is a second

	once      sync.Once
	transport http.RoundTripper // refuses link-local addresses
}

// New returns the driver of servers of type api, http and https; files reads
// what it downloads.
func New(files ingest.Driver) *Driver { return &Driver{Files: files} }

// Serves is true for servers with an http or https address.
func (d *Driver) Serves(s *contract.Server) bool {
	switch s.Type {
	case "http", "https", "api", "custom":
		return s.URL != ""
	}
	return false
}

// Modes lists snapshot and upsert.
func (d *Driver) Modes() []contract.Mode {
	return []contract.Mode{contract.ModeSnapshot, contract.ModeUpsert}
}

// Locations is empty: downloads go to the staging folder.
func (d *Driver) Locations(*contract.Server, string, func(string) (string, bool)) ([]string, error) {
	return nil, nil
}

// position is what was downloaded for each table.
type position struct {
	Version int        `json:"v"`
	How     string     `json:"how"` // hash of the address, the dialect and the wanted columns
	Tables  []download `json:"tables"`
}

// download is one file that was fetched.
type download struct {
	Table    string `json:"table"`
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"modified,omitempty"`
	Size     int64  `json:"size"`
	Hash     string `json:"hash"`

	path string
	same bool // the server says that nothing has changed
}

// Read downloads every table and stages it. When no byte has changed since the
// position it is Unchanged.
func (d *Driver) Read(ctx context.Context, r ingest.Request) (*ingest.Result, error) {
	var old position
	if len(r.Position) > 0 {
		if err := json.Unmarshal(r.Position, &old); err != nil || old.Version != 1 {
			return nil, weft.Errorf(weft.KindCorrupt, "read the position of the source", r.Where(), "it was not written by this kind of source").
				WithHint("if the input's server changed its type, apply the folder again to load from the start")
		}
	}
	next := position{Version: 1, How: how(r)}
	folder := filepath.Join(r.Stage, "downloads")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, weft.Errorf(weft.KindUnavailable, "stage the source", r.Where(), "%w", err)
	}
	defer os.RemoveAll(folder)
	unchanged := true
	for i := range r.Tables {
		got, err := d.fetchTable(ctx, r, i, folder, old.of(next.How, r.Tables[i].Table.Name))
		if err != nil {
			return nil, err
		}
		unchanged = unchanged && got.same
		next.Tables = append(next.Tables, got)
	}
	if unchanged {
		return &ingest.Result{Unchanged: true, Position: r.Position}, nil
	}
	for i, t := range next.Tables { // a snapshot needs those that did not change as well
		if t.path != "" {
			continue
		}
		got, err := d.fetchTable(ctx, r, i, folder, download{})
		if err != nil {
			return nil, err
		}
		next.Tables[i] = got
	}
	return d.stage(ctx, r, next)
}

// of is the earlier download of a table, empty where it was read otherwise.
func (p position) of(how, table string) download {
	if p.How == how {
		for _, t := range p.Tables {
			if t.Table == table {
				return t
			}
		}
	}
	return download{}
}

// stage hands the downloads to the driver of local files.
func (d *Driver) stage(ctx context.Context, r ingest.Request, next position) (*ingest.Result, error) {
	server, local := *r.Server, r
	server.Type, server.URL = "local", ""
	local.Server, local.Position, local.Window = &server, nil, nil
	local.Private = nil // the downloads lie among the node's own files, and are for this read
	local.Labels = map[string]string{}
	res := &ingest.Result{}
	for i, t := range next.Tables {
		addr, err := address(r, i)
		if err != nil {
			return nil, err
		}
		local.Labels[t.path] = label(addr)
		server.Path = t.path
		local.Tables = r.Tables[i : i+1]
		one, err := d.Files.Read(ctx, local)
		if err != nil {
			return nil, err
		}
		res.Tables = append(res.Tables, one.Tables...)
		res.Notes = append(res.Notes, one.Notes...)
	}
	raw, err := json.Marshal(next)
	if err != nil {
		return nil, weft.Errorf(weft.KindInternal, "record the position of the source", r.Where(), "%w", err)
	}
	res.Position = raw
	return res, nil
}

// address is the URL of a table.
func address(r ingest.Request, i int) (*url.URL, error) {
	text, err := r.Expand(r.Server.URL)
	if err != nil {
		return nil, err
	}
	t := r.Tables[i].Table
	name := t.PhysicalName
	if name == "" {
		name = t.Name
	}
	bad := func(why, hint string) error {
		return weft.Errorf(weft.KindInvalid, "read the source", r.Where(), "the address of server %q %s", r.Server.Name, why).WithHint("%s", hint)
	}
	if len(r.Tables) > 1 && !strings.Contains(text, "{table}") {
		return nil, bad(fmt.Sprintf("stands for %d tables", len(r.Tables)), "put {table} into it")
	}
	u, err := url.Parse(strings.ReplaceAll(text, "{table}", url.PathEscape(name)))
	switch {
	case err != nil, u.Host == "", u.Scheme != "http" && u.Scheme != "https":
		return nil, bad("is no http or https address", "write it like https://data.example.com/orders.csv")
	case u.User != nil:
		return nil, bad("holds a user", "use weftUser and weftPassword, with ${VAR}")
	}
	return u, nil
}

// label is the address as it may be shown: queries may hold keys.
func label(u *url.URL) string {
	c := *u
	c.RawQuery, c.Fragment, c.User = "", "", nil
	return c.String()
}

// how hashes what decides what is fetched and how it is read.
func how(r ingest.Request) string {
	s := r.Server
	text := fmt.Sprintf("%q", []string{s.URL, s.Format, s.Delimiter, s.Quote, s.Escape, s.NullText, s.DateFormat, s.Encoding})
	if s.Header != nil {
		text += fmt.Sprint(*s.Header)
	}
	for _, w := range r.Tables {
		text += fmt.Sprintf("\n%s %v", w.Table.Name, w.Strict)
		for _, c := range w.Columns {
			text += fmt.Sprintf("\n%q %q %s", c.Name, c.SourceName(), c.Type)
		}
	}
	return fmt.Sprintf("%x", xxh3.HashString128(text).Bytes())
}
