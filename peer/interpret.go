package peer

import (
	"slices"
	"strconv"
	"strings"

	"weft"
	"weft/sign"
)

func refuse(r *sign.Record, kind weft.Kind, format string, args ...any) error {
	return weft.Errorf(kind, "take the record", strings.TrimSpace(r.Kind+" "+r.Key), format, args...)
}

// interpret fills what the body says and returns who claims the record's place. What
// it finds wrong is wrong in any mesh and at any time.
func (it *item) interpret(r *sign.Record) (by string, err error) {
	body, known := bodies[r.Kind]
	if !known || r.Format > sign.RecordFormat {
		it.opaque = true
		return opaqueBy(r.Format, r.Signers[0]), nil
	}
	if len(r.Signers) != len(slices.Compact(slices.SortedFunc(slices.Values(r.Signers), compareKeys))) {
		return "", refuse(r, weft.KindInvalid, "a signer signed twice")
	}
	by, err = body(it, r)
	if err != nil && weft.KindOf(err) != weft.KindInvalid {
		err = refuse(r, weft.KindInvalid, "%w", err)
	}
	return by, err
}

func compareKeys(a, b weft.KeyID) int { return slices.Compare(a[:], b[:]) }

// bodies read the kinds that are known. Each says who claims the place.
var bodies = map[string]func(*item, *sign.Record) (string, error){
	KindCharter: readCharter, KindDomain: readCertificate, KindAdmission: readAdmission, KindNode: readNode,
	KindRevocation: readRevocation, KindRotation: readRotation, KindCard: readCard, KindHead: readHead, KindHandover: readHandover,
}

func readCharter(it *item, r *sign.Record) (string, error) {
	var c Charter
	if err := r.Decode(&c); err != nil {
		return "", err
	}
	if r.Key != "" {
		return "", refuse(r, weft.KindInvalid, "a charter has no key")
	}
	if err := c.check(); err != nil {
		return "", refuse(r, weft.KindInvalid, "%w", err)
	}
	it.fact = &c
	if r.Mesh == (weft.Hash{}) {
		if r.Version != 1 {
			return "", refuse(r, weft.KindInvalid, "a charter that founds a mesh is its first version")
		}
		return "founds", nil
	}
	return "", nil
}

// check says what is wrong with a charter.
func (c *Charter) check() error {
	const op = "read the charter"
	switch {
	case c.Name == "" || len(c.Name) > 100:
		return weft.Errorf(weft.KindInvalid, op, "", "a mesh has a name of at most 100 bytes")
	case len(c.Founders) == 0 || len(c.Founders) > maxFounders:
		return weft.Errorf(weft.KindInvalid, op, "", "a mesh has 1 to %d founding keys, this has %d", maxFounders, len(c.Founders))
	case c.Threshold < 1 || c.Threshold > len(c.Founders):
		return weft.Errorf(weft.KindInvalid, op, "", "%d of %d founding keys cannot sign", c.Threshold, len(c.Founders))
	case len(slices.Compact(slices.SortedFunc(slices.Values(c.Founders), compareKeys))) != len(c.Founders):
		return weft.Errorf(weft.KindInvalid, op, "", "a founding key is named twice")
	}
	return nil
}

func readCertificate(it *item, r *sign.Record) (string, error) {
	var c Certificate
	if err := r.Decode(&c); err != nil {
		return "", err
	}
	switch {
	case c.Domain != r.Key || c.Key.IsZero():
		return "", refuse(r, weft.KindInvalid, "its body is of another domain, or names no key")
	case c.Epoch != r.Version:
		return "", refuse(r, weft.KindInvalid, "its epoch is not its version")
	}
	it.fact = &c
	return c.Key.String(), weft.CheckName(c.Domain)
}

func readAdmission(it *item, r *sign.Record) (string, error) {
	var a Admission
	if err := r.Decode(&a); err != nil {
		return "", err
	}
	if r.Key != NodeKey(a.Node, a.Domain) || a.Node.IsZero() {
		return "", refuse(r, weft.KindInvalid, "its body is of another node or domain")
	}
	it.fact = &a
	if a.Domain == "" {
		return "", nil
	}
	if len(r.Signers) != 1 {
		return "", refuse(r, weft.KindInvalid, "one key admits to a domain, not %d", len(r.Signers))
	}
	return r.Signers[0].String(), weft.CheckName(a.Domain)
}

func readNode(it *item, r *sign.Record) (string, error) {
	var n NodeInfo
	if err := r.Decode(&n); err != nil {
		return "", err
	}
	if len(r.Signers) != 1 || r.Key != r.Signers[0].String() {
		return "", refuse(r, weft.KindInvalid, "a node speaks of itself alone")
	}
	if len(n.Name) > 100 || len(n.Addresses) > 16 || len(n.Relays) > 16 {
		return "", refuse(r, weft.KindInvalid, "its name has more than 100 bytes, or it has more than 16 addresses or relays")
	}
	it.fact = &n
	return r.Key, nil
}

func readRevocation(it *item, r *sign.Record) (string, error) {
	var v Revocation
	if err := r.Decode(&v); err != nil {
		return "", err
	}
	if r.Key != NodeKey(v.Node, v.Domain) || v.Node.IsZero() {
		return "", refuse(r, weft.KindInvalid, "its body is of another node or domain")
	}
	it.fact = &v
	if v.Domain == "" {
		return "", nil
	}
	// The founders' word and that of each key of the domain stand beside each other:
	// none of them can put an older one away. One signer and several are told apart by
	// who they are when the record is judged.
	return signersBy(r.Signers), weft.CheckName(v.Domain)
}

// signersBy names several signers, whatever their order.
func signersBy(keys []weft.KeyID) string {
	var by strings.Builder
	for _, k := range slices.SortedFunc(slices.Values(keys), compareKeys) {
		by.WriteString(k.String())
	}
	return by.String()
}

// opaqueBy names who claims a place with what is not interpreted: formats live side by
// side.
func opaqueBy(format int, signer weft.KeyID) string {
	return "format " + strconv.Itoa(format) + " " + signer.String()
}

func readRotation(it *item, r *sign.Record) (string, error) {
	var o Rotation
	if err := r.Decode(&o); err != nil {
		return "", err
	}
	if o.Old == o.New || r.Key != o.Old.String() || len(r.Signers) != 2 || r.Signers[0] != o.Old || r.Signers[1] != o.New {
		return "", refuse(r, weft.KindInvalid, "the old key and then the new one sign a rotation")
	}
	it.fact = &o
	return o.New.String(), nil
}

// claim is what every card says.
type claim struct {
	ID      string     `json:"id"`
	Product weft.Name  `json:"product"`
	Origin  weft.KeyID `json:"origin"`
	Gone    bool       `json:"gone"`
}

const maxProductID = 100

func readCard(it *item, r *sign.Record) (string, error) {
	c, err := readClaim(it, r)
	if err != nil || c.Gone {
		return it.signers[0].String(), err
	}
	var card weft.Card // whoever reads it later finds a card
	if err := r.Decode(&card); err != nil {
		return "", err
	}
	if card.Product.String() != r.Key || card.Origin != r.Signers[0] {
		return "", refuse(r, weft.KindInvalid, "a card is of its own name and signed by its origin")
	}
	return it.signers[0].String(), nil
}

func readHead(it *item, r *sign.Record) (string, error) {
	c, err := readClaim(it, r)
	if err != nil || c.Gone {
		return it.signers[0].String(), err
	}
	var head weft.CardHead
	if err := r.Decode(&head); err != nil {
		return "", err
	}
	if head.Product.String() != r.Key || head.Origin != r.Signers[0] {
		return "", refuse(r, weft.KindInvalid, "a head is of its own name and signed by its origin")
	}
	return it.signers[0].String(), nil
}

func readClaim(it *item, r *sign.Record) (c claim, err error) {
	if _, err := weft.ParseName(r.Key); err != nil {
		return c, err
	}
	if len(r.Signers) != 1 {
		return c, refuse(r, weft.KindInvalid, "one node signs it, not %d", len(r.Signers))
	}
	if err := r.Decode(&c); err != nil {
		return c, err
	}
	if c.ID == "" || len(c.ID) > maxProductID {
		return c, refuse(r, weft.KindInvalid, "it names no product, or with more than %d bytes", maxProductID)
	}
	it.product, it.gone = c.ID, c.Gone
	return c, nil
}

func readHandover(it *item, r *sign.Record) (string, error) {
	var h Handover
	if err := r.Decode(&h); err != nil {
		return "", err
	}
	if h.Product.String() != r.Key || h.From == h.To || len(r.Signers) != 2 || r.Signers[0] != h.From || r.Signers[1] != h.To {
		return "", refuse(r, weft.KindInvalid, "the one who gives and then the one who takes sign a handover")
	}
	if h.ID == "" || len(h.ID) > maxProductID {
		return "", refuse(r, weft.KindInvalid, "it names no product")
	}
	it.product, it.fact = h.ID, &h
	return h.From.String(), nil
}
