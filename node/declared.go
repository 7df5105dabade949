package node

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"weft"
	"weft/engine"
)

// private are the node's own files and folders, without links: the data folder
// with its products, books and token, the TLS key, the file of secrets. A contract
// can declare any path of the machine as a source, but not these.
func (c Config) private() []string {
	var out []string
	for _, p := range append([]string{c.Data, c.TLSKey}, c.Private...) {
		if p != "" {
			out = append(out, engine.Resolved(p))
		}
	}
	return out
}

// demoFolder is where weft demo puts its sources: the one folder beneath the data
// folder that is not the node's own.
const demoFolder = "demo"

// owns reports whether a path without links is one of the node's own.
func (c Config) owns(real string) bool {
	for _, p := range c.private() {
		if within(real, p) && !within(real, filepath.Join(engine.Resolved(c.Data), demoFolder)) {
			return true
		}
	}
	return false
}

// maxAround bounds what declared lists around the node's own files.
const maxAround = 2000

// opening is something that a loader may see: as it was declared, and without links,
// as it was when it was held against what is the node's own.
type opening struct{ at, real string }

// declared is what a loader may see of a declared location: the location, or,
// where something of the node's own lies in it, what else is in that folder.
func (c Config) declared(at string) ([]opening, error) {
	real := engine.Resolved(at)
	if c.owns(real) {
		return nil, weft.Errorf(weft.KindDenied, "read the source", at, "it lies among the node's own files").
			WithHint("a source is a file or folder outside of the node's data folder")
	}
	if !slices.ContainsFunc(c.private(), func(p string) bool { return within(p, real) }) {
		return []opening{{at, real}}, nil
	}
	entries, err := os.ReadDir(real)
	if err != nil {
		return nil, weft.Errorf(weft.KindUnavailable, "read the source", at, "%w", err)
	}
	if len(entries) > maxAround {
		return nil, weft.Errorf(weft.KindInvalid, "read the source", at, "the node's own files lie in it, beside more than %d others", maxAround).
			WithHint("put the source into a folder of its own")
	}
	var out []opening
	for _, e := range entries {
		path := filepath.Join(real, e.Name())
		if !e.Type().IsRegular() && !e.IsDir() { // a link may lead back in
			continue
		}
		more, err := c.declared(path)
		switch {
		case err == nil:
			out = append(out, more...)
		case weft.KindOf(err) != weft.KindDenied:
			return nil, err
		}
	}
	return out, nil
}

// within reports whether path is dir or lies in it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
