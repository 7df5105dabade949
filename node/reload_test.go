package node

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"weft/access"
	"weft/serve"
)

// TestReloadTakesWhatCanChange holds that of a new configuration only those
// settings hold that can change while the node runs: what it guards as its own,
// above all its data folder, stays what it is.
func TestReloadTakesWhatCanChange(t *testing.T) {
	var again Config
	r := newRigWith(t, func(c *Config) { c.Reread = func() (*Reread, error) { return &Reread{Config: again}, nil } })
	was := *r.node.conf()
	again = was
	again.Name, again.Deadline, again.DiskReserve = "other", 7*time.Second, 5
	again.Data, again.Listen, again.KeepBytes = filepath.Join(r.dir, "other"), "127.0.0.1:1", 77
	again.AllMemory, again.Loads, again.OpenMetrics = was.AllMemory*2, was.Loads+3, true
	res, err := r.node.Reload(t.Context(), tester)
	if err != nil || len(res.Faults) > 0 {
		t.Fatal(res, err)
	}
	got := r.node.conf()
	if got.Name != "other" || got.Deadline != 7*time.Second || got.DiskReserve != 5 {
		t.Errorf("what can change has not: %+v", got)
	}
	if got.Data != was.Data || got.Listen != was.Listen || got.KeepBytes != was.KeepBytes || got.AllMemory != was.AllMemory ||
		got.Loads != was.Loads || got.OpenMetrics != was.OpenMetrics {
		t.Errorf("what needs a restart has changed: %+v", got)
	}
	if !got.owns(filepath.Join(was.Data, "books.db")) {
		t.Error("a source may read the node's own folder")
	}
}

// TestRefusedReloadChangesNothing holds that a configuration with faults does not
// make a token either.
func TestRefusedReloadChangesNothing(t *testing.T) {
	var again Config
	r := newRigWith(t, func(c *Config) { c.Reread = func() (*Reread, error) { return &Reread{Config: again}, nil } })
	again = *r.node.conf()
	again.Deadline = -1
	path, was := r.node.cfg.path("token"), r.node.Token()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	res, err := r.node.Reload(t.Context(), tester)
	if err != nil || len(res.Faults) != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("a refused reload made a token:", err)
	}
	again.Deadline = time.Minute
	if res, err = r.node.Reload(t.Context(), tester); err != nil || len(res.Faults) > 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	now, err := access.LocalToken(path)
	if err != nil || now == was || r.node.Token() != now {
		t.Errorf("the new token is not the node's: %v", err)
	}
	r.write(shop)
	r.apply("shop", serve.OutcomeCommitted)
}
