package node

import (
	"context"
	"slices"

	"weft"
	"weft/access"
	"weft/contract"
	"weft/federate"
	"weft/serve"
	"weft/serve/http"
)

// Reread is a configuration that was read again.
type Reread struct {
	Config  Config
	Faults  []contract.Fault // with any, the rest says nothing
	Changed []string         // settings that are other than before and can change while the node runs
	Restart []string         // settings that are other than before and cannot
	Taken   func()           // called when the node has taken it; may be nil
}

// conf is the configuration that holds now. What the node was built with, such
// as folders and addresses, is in cfg and stays.
func (n *Node) conf() *Config { return n.now.Load() }

// Reload reads configuration, certificates, secrets and the local token again.
// Everything is checked before anything is changed.
func (n *Node) Reload(ctx context.Context, _ weft.Subject) (*serve.ReloadResult, error) {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	if n.cfg.Reread == nil {
		return nil, weft.Errorf(weft.KindConflict, "reload", n.conf().Name, "the node was started without a configuration that could be read again")
	}
	again, err := n.cfg.Reread()
	if err != nil {
		n.count.reloads.WithLabelValues(outcomeOf(err)).Inc()
		return nil, err
	}
	res := &serve.ReloadResult{Changed: []string{}, Restart: []string{}, Faults: again.Faults}
	take, faults := n.prepare(ctx, again)
	if res.Faults = append(res.Faults, faults...); len(res.Faults) > 0 {
		n.count.reloads.WithLabelValues(string(weft.KindInvalid)).Inc()
		for _, f := range res.Faults {
			n.env.Log.ErrorContext(ctx, "the configuration has a fault, nothing was changed", "file", f.File, "line", f.Line, "error", f.Message)
		}
		return res, nil
	}
	take()
	res.Changed, res.Restart = append(res.Changed, again.Changed...), append(res.Restart, again.Restart...)
	n.count.reloads.WithLabelValues("ok").Inc()
	n.env.Log.InfoContext(ctx, "the configuration was read again", "changed", res.Changed, "restart", res.Restart)
	return res, nil
}

// prepare checks all of a new configuration; take puts it in the place of the
// old one and cannot fail.
func (n *Node) prepare(ctx context.Context, again *Reread) (take func(), faults []contract.Fault) {
	if len(again.Faults) > 0 {
		return nil, nil
	}
	faults = faultsOf(again.Config.WithDefaults().Validate())
	cfg := n.cfg.live(again.Config)
	if len(faults) == 0 {
		faults = faultsOf(cfg.Validate()) // what is new beside what stays
	}
	// The door stays at its address.
	door, err := n.server.Reconfigure(http.Config{Addr: n.cfg.Listen, CertFile: cfg.TLSCert, KeyFile: cfg.TLSKey, Hosts: cfg.Hosts})
	faults = append(faults, faultsOf(err)...)
	if len(faults) > 0 {
		return nil, faults
	}
	token, err := access.LocalToken(n.cfg.path("token")) // last: it makes a token where there is none
	return func() {
		door()
		n.now.Store(&cfg)
		n.reader.Limit(n.limits(cfg))
		n.meter.SetRules(ctx, cfg.Budgets)
		n.tokens.SetLocal(token)
		n.mu.Lock()
		n.token = token
		n.mu.Unlock()
		if again.Taken != nil {
			again.Taken()
		}
	}, faultsOf(err)
}

// live is c with those settings of another configuration that can change while a
// node runs; c is what it was started with.
func (c Config) live(other Config) Config {
	c.Name, c.Domains, c.Env = other.Name, other.Domains, other.Env
	c.Hosts, c.TLSCert, c.TLSKey = other.Hosts, other.TLSCert, other.TLSKey
	c.Memory, c.LoadMemory, c.TempBytes = other.Memory, other.LoadMemory, other.TempBytes
	c.Threads, c.Deadline, c.DiskReserve = other.Threads, other.Deadline, other.DiskReserve
	c.Budgets = other.Budgets
	c.Secrets, c.Private = other.Secrets, other.Private
	return c.WithDefaults()
}

// limits are what questions may use.
func (n *Node) limits(c Config) federate.Config {
	return federate.Config{
		Data: n.cfg.path("products"), Copies: n.cfg.path(copiesFolder), Temp: n.cfg.path("tmp"), Memory: c.Memory, TempBytes: c.TempBytes,
		Threads: c.Threads, Deadline: c.Deadline, Elsewhere: partner{n}, Admit: n.admit,
	}
}

// faultsOf shows errors as faults of the configuration, each by itself.
func faultsOf(err error) []contract.Fault {
	if err == nil {
		return nil
	}
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		var out []contract.Fault
		for _, e := range all.Unwrap() {
			out = append(out, faultsOf(e)...)
		}
		return slices.Clip(out)
	}
	return []contract.Fault{{File: "weft.yaml", Rule: "config-value", Severity: contract.FaultError, Message: err.Error(), Hint: weft.HintOf(err)}}
}
