package ingest

import (
	"context"
	"os"
	"slices"
	"strings"

	"weft"
	"weft/contract"
)

// Drivers are the kinds of sources that a node reads, in the order of asking.
type Drivers []Driver

// For returns the driver that serves s. KindInvalid where there is none.
func (ds Drivers) For(s *contract.Server) (Driver, error) {
	for _, d := range ds {
		if d.Serves(s) {
			return d, nil
		}
	}
	return nil, weft.Errorf(weft.KindInvalid, "read the source", s.Name, "servers of type %q are not supported", s.Type).
		WithHint("supported are local, postgres and http")
}

// Locations are what the session of a read of s must be able to see.
func (ds Drivers) Locations(s *contract.Server, dir string, lookup func(string) (string, bool)) ([]string, error) {
	d, err := ds.For(s)
	if err != nil {
		return nil, err
	}
	return d.Locations(s, dir, lookup)
}

// Read reads one input port with the driver of its server; see Driver.Read.
func (ds Drivers) Read(ctx context.Context, r Request) (*Result, error) {
	d, err := ds.For(r.Server)
	if err != nil {
		return nil, err
	}
	if err := checkMode(d, r); err != nil {
		return nil, err
	}
	if len(r.Tables) == 0 {
		return nil, weft.Errorf(weft.KindInvalid, "read the source", r.Where(), "no table is asked for").
			WithHint("name at least one table under schema: in the input's contract")
	}
	if err := os.MkdirAll(r.Stage, 0o700); err != nil {
		return nil, weft.Errorf(weft.KindUnavailable, "stage the source", r.Where(), "%w", err)
	}
	return d.Read(ctx, r)
}

// checkMode refuses modes and windows that the driver cannot follow.
func checkMode(d Driver, r Request) error {
	mode, modes := r.Mode(), d.Modes()
	if !slices.Contains(modes, mode) {
		var w []string
		for _, m := range modes {
			w = append(w, string(m))
		}
		return weft.Errorf(weft.KindInvalid, "read the source", r.Where(), "source mode %q is not supported yet", mode).
			WithHint("supported are %s: set weftMode on server %q", strings.Join(w, ", "), r.Server.Name)
	}
	if r.Window != nil && mode == contract.ModeSnapshot {
		return weft.Errorf(weft.KindInvalid, "read the source", r.Where(), "a window needs an append or upsert source, this one is a snapshot").
			WithHint("leave --from and --to away: a snapshot is always read whole")
	}
	if w := r.Window; w != nil && !w.From.IsZero() && !w.To.IsZero() && !w.From.Before(w.To) {
		return weft.Errorf(weft.KindInvalid, "read the source", r.Where(), "the window ends before it begins")
	}
	return nil
}

// Mode is how the server is read; snapshot where it does not say.
func (r Request) Mode() contract.Mode {
	if r.Server.Mode == "" {
		return contract.ModeSnapshot
	}
	return r.Server.Mode
}

// Where names the port for errors: "sales.orders/shop".
func (r Request) Where() string {
	if r.Port == nil || r.Port.Name == "" {
		return r.Product.String()
	}
	return r.Product.String() + "/" + r.Port.Name
}

// PortName is the name of the input port, empty while looking at a new source.
func (r Request) PortName() string {
	if r.Port == nil {
		return ""
	}
	return r.Port.Name
}

// Expand resolves ${VAR} in text; see contract.Expand.
func (r Request) Expand(text string) (string, error) { return Expand(text, r.Lookup) }

// Expand is contract.Expand, where a nil lookup knows no variable.
func Expand(text string, lookup func(string) (string, bool)) (string, error) {
	if lookup == nil {
		lookup = func(string) (string, bool) { return "", false }
	}
	return contract.Expand(text, lookup)
}

// Label is how people know the file at path.
func (r Request) Label(path string) string {
	if l, ok := r.Labels[path]; ok {
		return l
	}
	return path
}
