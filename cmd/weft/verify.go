package main

import (
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"weft/node"
)

func (a *app) verifyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "verify [DIR]",
		Short: "Check a data folder, offline: is every byte what was written?",
		Long: `Check the data of a node that is not running: the node's books, its token, every
product's journal, manifest and files, and that they belong together. DIR is the
node's folder, its data folder, one product's, or a copy of one; without it, this
folder. Nothing is changed, and no node is needed.

Of a backup folder every state is checked, and every file that one needs.

Exit code 1 means that something is not what was written; each fault is listed
with its file, the byte where it starts and what cannot be read because of it.
What is only left over is a note, and no fault.`,
		Args: atMostOne,
	}
	format := listFormat(c.Flags(), "text", "json")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		dir := "."
		if len(args) == 1 {
			dir = args[0]
		}
		if data := filepath.Join(dir, dataFolder); isFolder(filepath.Join(data, "products")) {
			dir = data
		}
		line := a.progress()
		r, err := node.VerifyFolder(cmd.Context(), dir, line.event)
		line.clear()
		if err != nil {
			return err
		}
		if format.value == "json" {
			err = a.printJSON(r)
		} else {
			printVerify(a.out, r)
		}
		if err == nil && len(r.Faults) > 0 {
			err = no()
		}
		return err
	}
	return c
}

func isFolder(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

func printVerify(p *printer, r *node.Verification) {
	print := func(f node.Finding, color style) {
		p.printf("%s: %s %s\n", p.paint(bold, filepath.Join(f.Folder, f.File)), p.paint(color, "at byte "+count(f.Offset)+":"), clean(f.Message))
		if f.Consequence != "" {
			p.indent("    ", clean(f.Consequence), plain)
		}
	}
	for _, f := range r.Faults {
		print(f, red)
	}
	for _, f := range r.Notes {
		p.printf("%s: note: %s; %s\n", filepath.Join(f.Folder, f.File), clean(f.Message), clean(f.Consequence))
	}
	words := plural(int64(r.Products), "product")
	if r.States > 0 {
		words = plural(int64(r.States), "state") + " of " + words
	}
	if len(r.Faults) == 0 {
		p.println(words + ", no faults: every byte of " + plural(int64(r.Files), "file") + " (" + size(r.Bytes) + ") is what was written")
		return
	}
	p.println(words + ", " + plural(int64(len(r.Faults)), "fault"))
}
