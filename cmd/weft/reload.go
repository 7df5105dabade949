package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"weft/node"
	"weft/serve"
)

func (a *app) reloadCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "reload",
		Short: "Make the node read its configuration again, without a restart",
		Long: `Make the node read its configuration, certificates, secrets and the local token
again. Settings that can change while it runs hold from now on; those that cannot are
named. A configuration with faults changes nothing, all of them are shown, and the
exit code is 1. SIGHUP does the same, and the log says what came of it.`,
		Args: exactly(),
	}
	format := listFormat(c.Flags(), "text", "json")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cl, err := a.connect()
		if err != nil {
			return err
		}
		res, err := cl.Reload(cmd.Context())
		if err != nil {
			return err
		}
		if format.value == "json" {
			if err := a.printJSON(res); err != nil {
				return err
			}
		} else {
			a.printReload(res)
		}
		if len(res.Faults) > 0 {
			return no()
		}
		return nil
	}
	return c
}

func (a *app) printReload(r *serve.ReloadResult) {
	if len(r.Faults) > 0 {
		printFaults(a.err, r.Faults)
		a.err.println("nothing was changed: the configuration has faults")
		return
	}
	if len(r.Changed) == 0 {
		a.out.println("certificates, secrets and the local token were read again; no setting that can change has changed")
	} else {
		a.out.printf("changed: %s\n", strings.Join(r.Changed, ", "))
	}
	if len(r.Restart) > 0 {
		a.out.printf("needs a restart: %s\n", strings.Join(r.Restart, ", "))
	}
}

// reader reads the configuration of a running node again.
type reader struct {
	app   *app
	dir   string
	flags *pflag.FlagSet
	now   settings // that hold
	log   *levelLog
}

// again reads it. Nothing of the running node is changed.
func (r *reader) again() (*node.Reread, error) {
	s, faults := loadSettings(r.dir, r.flags, r.app.env)
	out := &node.Reread{Faults: faults}
	env, err := r.app.env.withFile(r.dir)
	if err != nil {
		out.Faults = append(out.Faults, configFault(".env", 0, 0, "config-secrets", err.Error()))
	}
	if len(out.Faults) > 0 {
		return out, nil
	}
	for _, o := range options {
		switch {
		case s.text[o.key] == r.now.text[o.key]:
		case o.restart:
			out.Restart = append(out.Restart, o.key)
		default:
			out.Changed = append(out.Changed, o.key)
		}
	}
	out.Config = r.app.configOf(r.dir, s, env, r.log)
	out.Taken = func() {
		r.log.set(s.LogLevel)
		// What needs a restart is named again until there was one.
		for _, k := range out.Restart {
			s.text[k] = r.now.text[k]
		}
		r.now = s
	}
	return out, nil
}

// onHangup reloads the node whenever the process gets SIGHUP, until ctx ends.
func onHangup(ctx context.Context, hangups <-chan os.Signal, n *node.Node) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			tellManager("RELOADING=1", monotonic())
			_, _ = n.Reload(ctx, operator()) // the log says what came of it
			tellManager("READY=1")
		}
	}
}

// hangups is where SIGHUP goes from now on, instead of ending the process.
func hangups() (<-chan os.Signal, func()) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGHUP)
	return ch, func() { signal.Stop(ch) }
}
