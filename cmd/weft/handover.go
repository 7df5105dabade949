package main

import (
	"github.com/spf13/cobra"

	"weft"
)

func (a *app) handoverCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "handover PRODUCT --to NODE",
		Short: "Move a product to another node of its domain; its address stays",
		Long: `Move a product to another node, which both nodes sign: the origin offers, the other
one accepts.

With --to the node that holds the product signs an offer and prints it; nothing has
changed yet. With --accept the other node takes the offer, and from then on it is
the product's origin: the cards of the old one count for nothing. Its folder is
applied there with weft apply, or its data brought with weft backup and weft restore.

NODE is the other node's name, or the beginning of its key; it must be admitted to
the product's domain. OFFER may be "-" for standard input.`,
		Example: `  weft handover sales.orders --to shop2 > offer
  weft handover --accept - < offer`,
		Args: atMostOne, ValidArgsFunction: a.completeProducts,
	}
	format := listFormat(c.Flags(), "text", "json")
	to := c.Flags().String("to", "", "the node that is to hold the product")
	accept := c.Flags().String("accept", "", "take a product that was offered to this node: the offer, as it was printed")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case *accept != "" && (*to != "" || len(args) > 0):
			return usage("hand over", "", "--accept goes alone: the offer names the product").WithHint("weft handover --accept OFFER")
		case *accept != "":
			return a.acceptHandover(cmd, *accept, format.value)
		case len(args) == 0:
			return usage("hand over", "", "PRODUCT is missing").WithHint("%s", cmd.UseLine())
		case *to == "":
			return usage("hand over", oneLine(args[0], 130), "--to is missing").WithHint("%s", cmd.UseLine())
		}
		return a.offerHandover(cmd, args[0], *to, format.value)
	}
	return c
}

func (a *app) offerHandover(cmd *cobra.Command, product, to, format string) error {
	name, err := weft.ParseName(product)
	if err != nil {
		return err
	}
	cl, err := a.connect()
	if err != nil {
		return err
	}
	p, err := a.findPeer(cmd.Context(), cl.Peers, to)
	if err != nil {
		return err
	}
	o, err := cl.OfferProduct(cmd.Context(), name, p.Node)
	if err != nil {
		return err
	}
	if format == "json" {
		return a.printJSON(o)
	}
	a.err.printf("an offer of %s to %s, for weft handover --accept there:\n", o.Product, peerName(p))
	a.out.println(o.Offer)
	return nil
}

func (a *app) acceptHandover(cmd *cobra.Command, offer, format string) error {
	offer, err := a.wordOrInput("read the offer", offer)
	if err != nil {
		return err
	}
	cl, err := a.connect()
	if err != nil {
		return err
	}
	h, err := cl.TakeProduct(cmd.Context(), offer)
	if err != nil {
		return err
	}
	if format == "json" {
		return a.printJSON(h)
	}
	a.out.printf("%s is this node's from now on; it was that of %s\n", h.Product, h.From.Short())
	a.out.indent("→ ", "weft apply FOLDER brings it here", cyan)
	return nil
}
