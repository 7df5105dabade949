package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"weft"
)

// maxToken is the most text of an invitation or an offer that is read.
const maxToken = 64 << 10

func (a *app) joinCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "join TOKEN",
		Short: "Enter a mesh by an invitation",
		Long: `Enter a mesh by an invitation that weft invite printed at a node of it. The node
brings it to the one that gave it, which must be reachable now, and takes the
mesh's records. TOKEN may be "-" for standard input.`,
		Example: `  weft join weft-invite-…
  ssh shop weft invite --domain places | weft join -`,
		Args: exactly("TOKEN"),
	}
	format := listFormat(c.Flags(), "text", "json")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		token, err := a.wordOrInput("read the invitation", args[0])
		if err != nil {
			return err
		}
		cl, err := a.connect()
		if err != nil {
			return err
		}
		info, err := cl.JoinMesh(cmd.Context(), token)
		if err != nil {
			return err
		}
		if format.value == "json" {
			return a.printJSON(info)
		}
		a.out.printf("%s (%s) is in the mesh %s%s\n", clean(info.Name), info.Node.Short(), a.out.paint(bold, clean(info.Mesh)), speaksFor(info))
		printFacts(a.out, []string{plural(int64(info.Peers), "other node"), plural(int64(info.Cards), "product")})
		a.out.indent("→ ", "weft search finds products, weft peers shows the nodes", cyan)
		return nil
	}
	return c
}

// wordOrInput is the argument, or standard input where that is "-": one word.
func (a *app) wordOrInput(op, arg string) (string, error) {
	if arg == "-" {
		b, err := io.ReadAll(io.LimitReader(a.in, maxToken+1))
		if err != nil {
			return "", weft.Errorf(weft.KindUnavailable, op, "", "%w", err)
		}
		arg = string(b)
	}
	arg = strings.TrimSpace(arg)
	switch {
	case arg == "":
		return "", usage(op, "", "there is nothing in it").WithHint("give the one word that was printed")
	case len(arg) > maxToken || strings.ContainsAny(arg, " \t\r\n"):
		return "", usage(op, "", "it is not one word").WithHint("give the one word that was printed, whole")
	}
	return arg, nil
}
