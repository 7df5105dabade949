package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"weft"
	"weft/backup"
	"weft/node"
	"weft/run"
	"weft/serve"
)

func (a *app) backupCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "backup DIR [PRODUCT…]",
		Short: "Add a state of the node's data to a backup folder",
		Long: `Add a state of the node's data to the backup folder DIR, which is made where there is
none: all products or those named, each at a commit, with the books and the node's
keys. Only what is not there yet is copied, and everything is read back. The node may
run, and then it writes the folder itself: DIR is a folder of its machine. Without a
running node the local data folder is read.

A backup that breaks off leaves the states before as they were. weft verify DIR checks
a backup folder, weft restore DIR brings a state back. Who can read the folder can act
as the node's administrator and read all of its data: it is made for its owner only
(mode 0700). The secrets in .env are not part of it.`,
		Example: `  weft backup /mnt/backup/weft --keep 30
  weft backup /mnt/backup/weft --list`,
		Args: atLeast("DIR"),
	}
	format := listFormat(c.Flags(), "text", "json")
	keep := c.Flags().Int("keep", 0, "states of these products of this node to keep, this one included; the oldest go (default all)")
	noKeys := c.Flags().Bool("no-keys", false, "leave out the node's token")
	list := c.Flags().Bool("list", false, "list the states in DIR; no node is needed")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := filepath.Abs(args[0])
		if err != nil {
			return weft.Errorf(weft.KindInvalid, "back up to", args[0], "%w", err)
		}
		if *list {
			return a.listStates(dir, format.value)
		}
		if *keep < 0 {
			return usage("back up to", dir, "--keep %d is below zero", *keep)
		}
		r := serve.BackupRequest{Dir: dir, Keep: *keep, NoKeys: *noKeys}
		for _, p := range args[1:] {
			name, err := weft.ParseName(p)
			if err != nil {
				return err
			}
			r.Products = append(r.Products, name)
		}
		line := a.progress()
		res, err := a.backUp(cmd.Context(), r, line.event)
		line.clear()
		if err != nil {
			return err
		}
		if format.value == "json" {
			return a.printJSON(res)
		}
		a.out.printf("state %s: %s, %s, %s of it new, in %s\n", a.out.paint(bold, res.State), plural(int64(res.Products), "product"),
			size(res.Bytes), size(res.Copied), span(time.Duration(res.Seconds*float64(time.Second))))
		for _, w := range res.Warnings {
			a.err.printf("%s %s\n", a.err.paint(yellow, "warning:"), clean(w))
		}
		if res.Keys {
			a.out.println("it holds the node's token: keep the folder where secrets are kept")
		}
		return nil
	}
	return c
}

// backUp asks the running node, or reads the data folder where none runs.
func (a *app) backUp(ctx context.Context, r serve.BackupRequest, progress serve.Progress) (*serve.BackupResult, error) {
	if _, remote := a.env.lookup("WEFT_NODE"); a.node == "" && !remote {
		cfg, stopped, err := a.stoppedNode()
		if err != nil {
			return nil, err
		}
		if stopped {
			cfg.RunEnv = run.Quiet() // what happens is told here, not in a node's log
			n, err := node.New(cfg)
			if err != nil {
				return nil, err
			}
			defer func() { _ = n.Close() }()
			if err := n.OpenStopped(ctx); err != nil {
				return nil, err
			}
			return n.Backup(ctx, operator(), r, progress)
		}
	}
	cl, err := a.connect()
	if err != nil {
		return nil, err
	}
	return cl.Backup(ctx, r, progress)
}

// stoppedNode finds a data folder, of this folder or the one of weft.yaml above,
// that no node holds.
func (a *app) stoppedNode() (node.Config, bool, error) {
	cfg, err := a.nodeConfig(home(mustGetwd()), noFlags())
	if err != nil {
		return cfg, false, err
	}
	if _, err := os.Stat(filepath.Join(cfg.Data, "books.db")); errors.Is(err, os.ErrNotExist) {
		return cfg, false, nil
	}
	return cfg, !node.InUse(filepath.Join(cfg.Data, "lock")), nil
}

// listedState is a state of a backup folder, for programs.
type listedState struct {
	*backup.State
	Error string `json:"error,omitempty"` // why it cannot be read: only its id is known then
}

// listStates prints the states of a backup folder, newest first, and those that
// cannot be read.
func (a *app) listStates(dir, format string) error {
	states, unread, err := backup.States(dir)
	if err != nil {
		return err
	}
	if format == "json" {
		out := []listedState{}
		for _, s := range states {
			out = append(out, listedState{State: s})
		}
		for _, u := range unread {
			out = append(out, listedState{State: &backup.State{ID: u.ID}, Error: u.Err.Error()})
		}
		err = a.printJSON(out)
	} else {
		a.printStates(states)
		for _, u := range unread {
			a.out.printf("%s %s %s\n", a.out.paint(bold, clean(u.ID)), a.out.paint(red, "cannot be read:"), clean(u.Err.Error()))
		}
	}
	if err == nil && len(unread) > 0 {
		err = no()
	}
	return err
}

func (a *app) printStates(states []*backup.State) {
	if len(states) == 0 {
		a.out.println("no states yet")
		return
	}
	g := &grid{columns: []gridColumn{
		{title: "state"},
		{title: "made"},
		{title: "products", right: true},
		{title: "size", right: true},
		{title: "new", right: true},
		{title: "keys"},
		{title: "node", optional: true},
		{title: "cut", flex: true, optional: true},
	}}
	for i := len(states) - 1; i >= 0; i-- {
		s := states[i]
		keys := "no"
		if len(s.Keys) > 0 {
			keys = "yes"
		}
		g.add(styled(bold, s.ID), cell(stamp(s.Time)), cell(count(int64(len(s.Products)))), cell(size(s.Bytes)), cell(size(s.Copied)),
			cell(keys), cell(clean(s.Node)), cell(oneLine(s.CutPoints().String(), 240)))
	}
	g.print(a.out)
}

func (a *app) restoreCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "restore DIR",
		Short: "Make a data folder from a state of a backup folder",
		Long: `Make a data folder from a state of the backup folder DIR; no node is needed, and the
folder must be empty or not there. Everything is checked before the folder gets its
name. Start the node with weft up afterwards.

Each product goes on as a new incarnation, whose first commit says from which one: a
cut of a commit that the backup has still answers, one of a later commit is refused
with what happened to it, and followers that have seen more stop.

With --clone it becomes another node, for a test: products have new ids and are paused,
nobody's token is good there, and the original is not touched by anything it does.`,
		Example: `  weft restore /mnt/backup/weft
  weft restore /mnt/backup/weft --at 20261128T0300 --to /srv/weft/.weft
  weft restore /mnt/backup/weft --clone --to /tmp/test/.weft`,
		Args: exactly("DIR"),
	}
	format := listFormat(c.Flags(), "text", "json")
	at := c.Flags().String("at", "", "the state: its id, or what that starts with (default the newest)")
	to := c.Flags().String("to", "", "the data folder to make (default that of weft.yaml here or above, or .weft)")
	clone := c.Flags().Bool("clone", false, "make another node of it")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		data := *to
		if data == "" {
			dir := home(mustGetwd())
			s, faults := loadSettings(dir, noFlags(), a.env)
			if len(faults) > 0 {
				printFaults(a.err, faults)
				return answerNo{exitFailed}
			}
			data = resolve(dir, s.Data)
		}
		data, err := filepath.Abs(data)
		if err != nil {
			return weft.Errorf(weft.KindInvalid, "restore to", *to, "%w", err)
		}
		line := a.progress()
		res, err := backup.Restore(cmd.Context(), args[0], data, backup.RestoreOptions{
			State: *at, Clone: *clone, Env: run.Quiet(),
			Progress: func(g backup.Progress) {
				line.event(serve.Event{Phase: "restore", Product: g.Product, Bytes: g.Copied, Total: g.Bytes})
			},
		})
		line.clear()
		if err != nil {
			return err
		}
		if format.value == "json" {
			return a.printJSON(restoredReport{res.State.ID, data, *clone, res.Keys, res.Products})
		}
		a.printRestored(res, data, *clone)
		return nil
	}
	return c
}

// restoredReport is what was restored, for programs.
type restoredReport struct {
	State    string       `json:"state"`
	Data     string       `json:"data"`
	Clone    bool         `json:"clone"`
	Keys     bool         `json:"keys"`
	Products []weft.Point `json:"products"` // heads of the new incarnations
}

func (a *app) printRestored(r *backup.Restored, data string, clone bool) {
	a.out.printf("%s from state %s, of %s\n", a.out.paint(bold, data), r.State.ID, stamp(r.State.Time))
	for i, p := range r.State.Products {
		a.out.printf("  %s as of %s, goes on with %s as incarnation %d\n", p.Point.Product, p.Point.Seq, r.Products[i].Seq, r.Products[i].Incarnation)
	}
	switch {
	case clone:
		a.out.println("it is a clone: its products are paused, and the node makes a token of its own; weft up starts it, weft resume PRODUCT lets one load")
	case r.Keys:
		a.out.println("the node's token is as it was; weft up starts the node")
	default:
		a.out.println("the backup has no keys: the node makes a new token; weft up starts it")
	}
}
