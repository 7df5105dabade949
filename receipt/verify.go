package receipt

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"weft"
	"weft/peer"
	"weft/sign"
)

// Check is what a receipt is held against.
type Check struct {
	Keys   Keys      // who is trusted
	Result io.Reader // the answer; nil leaves that open
	SQL    *string   // the question; nil leaves that open
	// Past takes also the word of keys that were revoked, and of domains that were given
	// to another key, since the time that the receipt states.
	Past bool
}

// Statement is one thing that a receipt says.
type Statement struct {
	About string `json:"about"`
	Text  string `json:"text"`
}

// Report says what was proved of a receipt, and what was not.
type Report struct {
	Receipt  *Receipt    `json:"receipt"`
	Proved   []Statement `json:"proved"`
	Unproved []Statement `json:"unproved"`
}

// Verify holds a receipt against keys, and against the answer and the question where
// they are given. An error of KindContract says why the receipt is not valid; any other
// one that it could not be verified.
func Verify(raw []byte, c Check) (*Report, error) {
	r, err := Open(raw)
	if err != nil {
		return nil, err
	}
	parts, err := r.openParts()
	if err != nil {
		return nil, err
	}
	v := &verifier{r: r, parts: parts, c: c, rep: &Report{Receipt: r, Proved: []Statement{}, Unproved: []Statement{}}}
	for _, step := range []func() error{v.who, v.result, v.question, v.reads, v.told} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return v.rep, nil
}

type verifier struct {
	r       *Receipt
	parts   []*Part
	c       Check
	witness *peer.Witness // nil where the receipt is held against one node's key
	rep     *Report
}

func (v *verifier) proved(about, format string, args ...any) {
	v.rep.Proved = append(v.rep.Proved, Statement{about, fmt.Sprintf(format, args...)})
}

func (v *verifier) unproved(about, format string, args ...any) {
	v.rep.Unproved = append(v.rep.Unproved, Statement{about, fmt.Sprintf(format, args...)})
}

// who proves that the answering node is one to trust.
func (v *verifier) who() error {
	k, r := v.c.Keys, v.r
	switch {
	case k.IsZero():
		return weft.Errorf(weft.KindInvalid, "verify the receipt", "", "nothing says whom to trust").
			WithHint("give the keys of its mesh, or of its node, that somebody you trust has sent you: weft mesh keys > keys.json")
	case k.Mesh == (weft.Hash{}):
		if r.Node != k.Node {
			return invalid("node %s signed it, and the key that was given is %s", r.Node.Short(), k.Node.Short())
		}
		v.proved("the answer", "node %s gave it, at %s by its own clock", r.Node.Short(), moment(r))
		return nil
	case r.Mesh != (weft.Hash{}) && r.Mesh != k.Mesh:
		return invalid("it is of mesh %s, and the keys are of mesh %s", r.Mesh.Short(), k.Mesh.Short())
	}
	v.witness = peer.NewWitness(k.Mesh)
	v.witness.Hear(slices.Concat(k.Records, r.Records))
	if v.witness.Charter() == nil {
		return invalid("the charter of mesh %s is neither in it nor among the keys", k.Mesh.Short())
	}
	if err := v.stands(r.Node, ""); err != nil {
		return err
	}
	v.proved("the answer", "%s of mesh %s gave it, at %s by its own clock", v.node(r.Node), v.witness.Charter().Name, moment(r))
	if peer.NewWitness(k.Mesh).Hear(k.Records) < 2 || k.Time.Before(r.Time) { // the charter alone
		v.unproved("revocations", "that nobody who signed was revoked since: keys that are newer than the receipt know (weft mesh keys)")
	}
	return nil
}

func moment(r *Receipt) string { return r.Time.Format("2006-01-02 15:04:05 UTC") }

// stands is an error where the key is not one of the domain, or of the mesh for "".
func (v *verifier) stands(node weft.KeyID, domain string) error {
	of := "the mesh"
	if domain != "" {
		of = "domain " + domain
	}
	st := v.witness.Of(node, domain)
	switch {
	case st.Holds:
		return nil
	case !st.Was:
		return invalid("nothing proves that node %s was ever admitted to %s", node.Short(), of)
	case !v.c.Past:
		return invalid("node %s is no longer of %s: %s", node.Short(), of, st.Ended).
			WithHint("a key that somebody else may have can sign anything, with any time in it; --past takes its word for what it states to be older")
	case !st.Since.IsZero() && !v.r.Time.Before(st.Since):
		return invalid("node %s signed it after it was no longer of %s: %s", node.Short(), of, st.Ended)
	}
	v.unproved("node "+node.Short(), "that it signed before it was no longer of %s (%s): the time is its own word", of, st.Ended)
	return nil
}

// node names a node.
func (v *verifier) node(k weft.KeyID) string {
	if v.witness != nil {
		if name := v.witness.NameOf(k); name != "" {
			return "node " + name + " (" + k.Short() + ")"
		}
	}
	return "node " + k.Short()
}

// result holds the answer's bytes against those that went out.
func (v *verifier) result() error {
	want := v.r.Result
	what := fmt.Sprintf("%d bytes of %s with %s", want.Bytes, want.Format, rowsOf(want.Rows))
	if v.c.Result == nil {
		v.unproved("the result", "it was not given: the node sent %s, SHA-256 %s", what, want.Hash)
		return nil
	}
	got, n, err := sign.DigestReader(io.LimitReader(v.c.Result, want.Bytes+1))
	switch {
	case err != nil:
		return weft.Errorf(weft.KindUnavailable, "read the result", "", "%w", err)
	case n > want.Bytes:
		return invalid("the result is longer than the %d bytes that the node sent", want.Bytes)
	case n < want.Bytes:
		return invalid("the result has %d bytes, and the node sent %d", n, want.Bytes)
	case got != want.Hash:
		return invalid("the result is not what the node sent: a byte of it is another")
	}
	v.proved("the result", "it is what the node sent, to the byte: %s", what)
	return nil
}

// question holds a text against the one that was asked.
func (v *verifier) question() error {
	if v.c.SQL == nil {
		v.unproved("the question", "its text was not given (--sql); the receipt has its digest alone")
		return nil
	}
	if TextDigest(v.r.Nonce, *v.c.SQL) != v.r.Question {
		return invalid("another question was asked than the one that is given").WithHint("the text must be the one that was asked, to the byte")
	}
	v.proved("the question", "it is the one that was asked, to the byte")
	return nil
}

// reads proves for each part that its node may speak for the products.
func (v *verifier) reads() error {
	for _, p := range v.parts {
		for _, x := range p.Reads {
			if slices.Contains(p.Copies, x.Product) {
				if err := v.standsAsGiver(p); err != nil {
					return err
				}
				v.unproved(x.Product.String(), "%s: %s read it from a copy, and its origin signed nothing", state(x), v.node(p.Node))
				continue
			}
			if err := v.standsFor(p, x.Product.Domain); err != nil {
				return err
			}
			v.proved(x.Product.String(), "%s, read by %s%s", state(x), v.node(p.Node), v.as(x.Product.Domain))
		}
		if len(p.Reads) > 0 {
			v.proved(productsOf(p), "%s; %s left %s; %s", v.asked(p), rowsOf(p.Rows), v.node(p.Node), restrictions(p))
		}
	}
	return nil
}

func (v *verifier) standsAsGiver(p *Part) error {
	if v.witness == nil {
		return v.standsFor(p, "")
	}
	return v.stands(p.Node, "")
}

// standsFor proves that the part's node is of the domain; without a mesh one node alone
// is trusted.
func (v *verifier) standsFor(p *Part, domain string) error {
	switch {
	case v.witness == nil && p.Node != v.r.Node:
		return invalid("node %s signed a part of it, and the key that was given is %s", p.Node.Short(), v.r.Node.Short())
	case v.witness == nil || v.r.Mesh == (weft.Hash{}) && p.Node == v.r.Node:
		return nil // a node without a mesh speaks for what it holds
	}
	return v.stands(p.Node, domain)
}

func (v *verifier) as(domain string) string {
	switch {
	case v.r.Mesh == (weft.Hash{}):
		return ", which is in no mesh"
	case v.witness == nil: // who says that it spoke for the domain?
		v.unproved("domain "+domain, "that its node was admitted to it: the key of one node says nothing of its mesh")
		return ""
	}
	return ", which domain " + domain + " admitted"
}

func (v *verifier) asked(p *Part) string {
	if p.Text == v.r.Question {
		return "asked the whole question"
	}
	return "asked a part of the question"
}

func rowsOf(n int64) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", n)
}

// state writes a product's state for people.
func state(x Read) string {
	s := fmt.Sprintf("%s (%s)", x.Seq, x.Hash.Short())
	switch {
	case x.Contract == (weft.Hash{}): // of a copy whose commits do not say it
		return s + ", contract not known"
	case x.Version != "":
		return s + fmt.Sprintf(", contract %s (%s)", x.Version, x.Contract.Short())
	}
	return s + ", contract " + x.Contract.Short()
}

func productsOf(p *Part) string {
	var names []string
	for _, x := range p.Reads {
		names = append(names, x.Product.String())
	}
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(names))), ", ")
}

func restrictions(p *Part) string {
	if len(p.Restrictions) == 0 {
		return "no restrictions"
	}
	var words []string
	for _, r := range p.Restrictions {
		w := r.Product.String() + "." + r.Table
		if r.Filter {
			w += " without some rows"
		}
		for _, m := range r.Masks {
			w += fmt.Sprintf(", %s by %s", m.Column, m.Action)
		}
		words = append(words, w)
	}
	return "restricted: " + strings.Join(words, "; ")
}

// told says what the reader was told of the answer.
func (v *verifier) told() error {
	for _, w := range v.r.Warnings {
		about := "the answer"
		if w.Product != "" {
			about = w.Product
		}
		v.unproved(about, "%s: %s", w.Kind, w.Message)
	}
	if len(v.parts) == 0 {
		v.proved("products", "none was read")
	}
	return nil
}

// Matches says why a receipt is not that of a question whose answer came as these bytes;
// nil where it is. It is for who has just asked.
func (r *Receipt) Matches(sql string, got weft.Hash) error {
	switch {
	case r.Result.Hash != got:
		return invalid("it is of other bytes than came")
	case r.Question != TextDigest(r.Nonce, sql):
		return invalid("it is of another question")
	}
	return nil
}

// IsInvalid reports whether an error of this package says that a receipt is not valid,
// and not that it could not be verified.
func IsInvalid(err error) bool {
	var e *weft.Error
	return errors.As(err, &e) && e.Kind == weft.KindContract
}
