package main

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"weft"
	"weft/serve/client"
)

// app is what every command works with.
type app struct {
	env      environment
	in       io.Reader
	out, err *printer

	node   string           // --node
	spoke  []*client.Client // of the nodes that were spoken to
	goesOn bool             // what was begun does not end with this process

	drawing sync.Mutex // guards drawn and the writing of what shares the line's terminal
	drawn   bool       // a progress line stands on the terminal
}

// The groups that help lists commands under.
const (
	groupOwners    = "owners"
	groupConsumers = "consumers"
	groupMesh      = "mesh"
	groupNode      = "node"
)

// root builds the tree of commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "weft",
		Short: "A data mesh that you can run",
		Long: `Weft turns data into products, beside the data: a product is a folder with a
contract; a node loads it, holds its data against the contract, publishes it in
commits and answers SQL over it.

Start with "weft demo", or with "weft up" in a folder of product folders.`,
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	root.AddGroup(
		&cobra.Group{ID: groupOwners, Title: "For owners of products:"},
		&cobra.Group{ID: groupConsumers, Title: "For consumers:"},
		&cobra.Group{ID: groupMesh, Title: "The mesh:"},
		&cobra.Group{ID: groupNode, Title: "The node:"},
	)
	root.PersistentFlags().StringVar(&a.node, "node", "", "URL of the node to speak to (default $WEFT_NODE, or the local node)")
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetIn(a.in)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return flagFault(cmd.Flags(), cmd.CommandPath(), err)
	})
	a.addCommands(root)
	withoutFlagsInUse(root)
	root.SetHelpCommandGroupID(groupNode)
	root.SetCompletionCommandGroupID(groupNode)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	return root
}

// addCommands lists every command, in the order that help shows them.
func (a *app) addCommands(root *cobra.Command) {
	cobra.EnableCommandSorting = false
	for _, g := range []struct {
		id       string
		commands []*cobra.Command
	}{
		{groupOwners, []*cobra.Command{
			a.productCommand(), a.lintCommand(), a.testCommand(), a.diffCommand(), a.applyCommand(),
			a.refreshCommand(), a.pauseCommand(), a.resumeCommand(), a.rollbackCommand(),
			a.retireCommand(), a.deleteCommand(), a.quarantineCommand(), a.checksCommand(), a.historyCommand(),
		}},
		{groupConsumers, []*cobra.Command{a.statusCommand(), a.searchCommand(), a.showCommand(), a.lineageCommand(), a.queryCommand(), a.explainCommand(), a.cutCommand(), a.replicaCommand(), a.receiptCommand(), a.usageCommand()}},
		{groupMesh, []*cobra.Command{
			a.meshCommand(), a.inviteCommand(), a.joinCommand(), a.peersCommand(), a.memberCommand(), a.handoverCommand(),
		}},
		{groupNode, []*cobra.Command{
			a.upCommand(), a.demoCommand(), a.tokenCommand(), a.reloadCommand(), a.backupCommand(), a.restoreCommand(), a.verifyCommand(), a.versionCommand(),
		}},
	} {
		for _, c := range g.commands {
			c.GroupID = g.id
			root.AddCommand(c)
		}
	}
}

// withoutFlagsInUse keeps "[flags]" out of the usage lines: hints quote them.
func withoutFlagsInUse(c *cobra.Command) {
	c.DisableFlagsInUseLine = true
	for _, sub := range c.Commands() {
		withoutFlagsInUse(sub)
	}
}

// unknownCommand names the command that was probably meant.
func unknownCommand(cmd *cobra.Command, word string) error {
	e := usage("run", cmd.CommandPath()+" "+word, "there is no such command").WithHint("%s --help lists the commands", cmd.CommandPath())
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	if near := nearest(word, names); near != "" {
		return e.WithHint("did you mean %s %s?", cmd.CommandPath(), near)
	}
	return e
}

// group makes a command that only holds others.
func group(use, short string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	c.AddCommand(children...)
	return c
}

// exactly wants the named arguments, and says which is missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usage("run", cmd.CommandPath(), "%s is missing", names[len(args)]).WithHint("%s", cmd.UseLine())
		case len(args) > len(names):
			return usage("run", cmd.CommandPath(), "%q is one argument too many", oneLine(args[len(names)], 60)).WithHint("%s", cmd.UseLine())
		}
		return nil
	}
}

// atLeast wants one or more of the named argument.
func atLeast(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage("run", cmd.CommandPath(), "%s is missing", name).WithHint("%s", cmd.UseLine())
		}
		return nil
	}
}

// atMostOne takes one optional argument.
func atMostOne(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage("run", cmd.CommandPath(), "%q is one argument too many", oneLine(args[1], 60)).WithHint("%s", cmd.UseLine())
	}
	return nil
}

// choice is a flag whose value is one of a few words.
type choice struct {
	value string
	words []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.words, "|") }

// Set takes one of the words.
func (c *choice) Set(v string) error {
	if err := oneOf(v, c.words...); err != nil {
		return err
	}
	c.value = v
	return nil
}

// listFormat adds the --format of every list.
func listFormat(set *pflag.FlagSet, words ...string) *choice {
	if len(words) == 0 {
		words = []string{"table", "json"}
	}
	c := &choice{value: words[0], words: words}
	set.Var(c, "format", "how to print it")
	return c
}

// printList prints a list as JSON where the format says so, says none of an empty one,
// with what to do about it, and leaves the rest to show.
func printList[T any](a *app, format *choice, all []T, none, hint string, show func([]T)) error {
	switch {
	case format.value == "json" && all == nil:
		return a.printJSON([]T{})
	case format.value == "json":
		return a.printJSON(all)
	case len(all) > 0:
		show(all)
		return nil
	}
	a.out.println(none)
	if hint != "" {
		a.out.indent("→ ", hint, cyan)
	}
	return nil
}

// printJSON writes v as indented JSON.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return weft.Errorf(weft.KindUnavailable, "print the answer", "", "%w", err)
	}
	return nil
}

// confirm asks for the word to be typed on a terminal. Elsewhere nothing is
// asked, and the answer is no.
func (a *app) confirm(question, word string) (bool, error) {
	if !isTerminal(a.in) || !a.err.tty {
		return false, nil
	}
	a.err.printf("%s\nType %s to go on: ", question, word)
	line, err := readLine(a.in)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, weft.Errorf(weft.KindUnavailable, "read the answer", "", "%w", err)
	}
	return strings.TrimSpace(line) == word, nil
}

// readLine reads up to the line break, at most 1 KB.
func readLine(r io.Reader) (string, error) {
	var b strings.Builder
	one := make([]byte, 1)
	for b.Len() < 1024 {
		n, err := r.Read(one)
		if n == 1 && one[0] == '\n' {
			return b.String(), nil
		}
		b.Write(one[:n])
		if err != nil {
			return b.String(), err
		}
	}
	return b.String(), nil
}
