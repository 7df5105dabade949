package main

import (
	"os"

	"github.com/spf13/cobra"

	"weft"
)

func (a *app) demoCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "demo [DIR]",
		Short: "Start a mesh of five nodes with real flights, weather and planes, and take a tour",
		Long: `Start a mesh with the nycflights13 data (CC0): all 336,776 flights that left New
York City in 2013, their planes and airlines, the airports and the weather, as
products of four domains with a node each, and a fifth node whose product is made
from theirs by SQL. They find each other by invitations, one is killed and comes back,
and questions are asked on the way. Then all stay up until Ctrl-C.

Each node has a folder DIR/.weft/DOMAIN, by default here, with its settings, its
product folders and its data: weft up starts it without the others. Addresses are
those from --listen on, one after the other, and the same at the next start; port 0
takes free ones.

With --single one node holds all domains, and the tour is of questions over several
of them. With --check the tour runs in a folder of its own and the command ends: exit
code 0 means that every answer was right.`,
		Args: atMostOne,
	}
	check := c.Flags().Bool("check", false, "hold the answers against the right ones, and end")
	single := c.Flags().Bool("single", false, "one node for all domains, and no mesh")
	addFlags(c.Flags())
	c.RunE = func(cmd *cobra.Command, args []string) error {
		dir := "."
		if len(args) == 1 {
			dir = args[0]
		}
		set := cmd.Flags()
		if *check {
			tmp, err := os.MkdirTemp("", "weft-demo-")
			if err != nil {
				return weft.Errorf(weft.KindUnavailable, "start the demo", "", "%w", err)
			}
			defer func() { _ = os.RemoveAll(tmp) }()
			dir = tmp
			if !set.Changed("listen") {
				if err := set.Set("listen", "127.0.0.1:0"); err != nil {
					return err
				}
			}
		}
		if !set.Changed("log-level") {
			if err := set.Set("log-level", "warn"); err != nil {
				return err
			}
		}
		if *single {
			return a.demoSingle(cmd, dir, *check)
		}
		return a.demoMesh(cmd.Context(), dir, set, *check)
	}
	return c
}
