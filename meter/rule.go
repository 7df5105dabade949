package meter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"weft"
)

// Price is what a question takes: estimated before, measured after.
type Price struct {
	Rows    int64   // read of this node's tables
	Bytes   int64   // that these rows take where they are kept
	Seconds float64 // that it has a worker
}

func (p Price) plus(q Price) Price {
	return Price{p.Rows + q.Rows, p.Bytes + q.Bytes, p.Seconds + q.Seconds}
}

func (p Price) minus(q Price) Price {
	return Price{p.Rows - q.Rows, p.Bytes - q.Bytes, p.Seconds - q.Seconds}
}

// Consumer is who uses products.
type Consumer struct {
	Node     weft.KeyID // the node that asks; zero is this one
	NodeName string     // what that node calls itself
	Kind     weft.SubjectKind
	Subject  string
	Domains  []string // of the subject
	Purpose  string
}

// WhoKind says by what consumers are counted together.
type WhoKind string

// The kinds of consumers that a rule can be for.
const (
	WhoSubject WhoKind = "subject"
	WhoNode    WhoKind = "node"
	WhoDomain  WhoKind = "domain"
)

// each, as the id of a Who, is each one of the kind by itself.
const each = "*"

// Who is whom a rule is for.
type Who struct {
	Kind WhoKind
	ID   string // a subject's id, or its kind and id; a node's key or name; a domain; "*"
}

// ParseWho reads "*", "subject:ID", "node:KEY", "node:NAME" or "domain:NAME"; ID, KEY
// and NAME may be "*" for each.
func ParseWho(text string) (Who, error) {
	if text == each {
		return Who{WhoSubject, each}, nil
	}
	kind, id, ok := strings.Cut(text, ":")
	w := Who{WhoKind(kind), strings.TrimSpace(id)}
	switch {
	case !ok || w.Kind != WhoSubject && w.Kind != WhoNode && w.Kind != WhoDomain:
		return w, fmt.Errorf("%q says nobody: write *, subject:ID, node:NAME or domain:NAME", text)
	case w.ID == "" || len(w.ID) > 200:
		return w, fmt.Errorf("%q names no %s", text, w.Kind)
	case w.Kind == WhoDomain && w.ID != each:
		return w, weft.CheckName(w.ID)
	}
	return w, nil
}

// String is the Who as ParseWho reads it.
func (w Who) String() string {
	if w == (Who{WhoSubject, each}) {
		return each
	}
	return string(w.Kind) + ":" + w.ID
}

// keyed is a consumer with its keys, which every rule asks for.
type keyed struct {
	*Consumer
	key     string // the node, the subject's kind and its id: who is one consumer
	subject string // its kind and id
	node    string // empty for this one
}

func keysOf(c *Consumer) *keyed {
	k := &keyed{Consumer: c, subject: string(c.Kind) + " " + c.Subject}
	k.key = k.subject
	if !c.Node.IsZero() {
		k.node = c.Node.String()
		k.key = k.node + " " + k.subject
	}
	return k
}

// accounts are those that a use of the consumer is booked to; none where the Who is
// not for it.
func (w Who) accounts(c *keyed) []string {
	switch w.Kind {
	case WhoSubject:
		if w.ID == each || w.ID == c.Subject || w.ID == c.subject {
			return []string{c.key}
		}
	case WhoNode:
		// By its key, also where it is named: two nodes of one name are two.
		if c.node != "" && (w.ID == each || w.ID == c.NodeName || w.ID == c.node) {
			return []string{c.node}
		}
	case WhoDomain:
		var out []string
		for _, d := range c.Domains {
			if d != weft.AllDomains && (w.ID == each || w.ID == d) {
				out = append(out, d)
			}
		}
		return out
	}
	return nil
}

// Scope is a product, or with "*" for the product all of a domain.
type Scope weft.Name

// ParseScope reads "sales.orders" or "sales.*".
func ParseScope(text string) (Scope, error) {
	if d, ok := strings.CutSuffix(text, ".*"); ok {
		return Scope{Domain: d, Product: each}, weft.CheckName(d)
	}
	n, err := weft.ParseName(text)
	return Scope(n), err
}

// String is the Scope as ParseScope reads it.
func (s Scope) String() string { return s.Domain + "." + s.Product }

func (s Scope) has(n weft.Name) bool {
	return s.Domain == n.Domain && (s.Product == each || s.Product == n.Product)
}

// Rule is a budget: what one consumer may use in any span of time of that length,
// and at once. Zero is no limit.
type Rule struct {
	Name       string // what refusals call it; where it is empty, what it is for
	For        Who
	Except     []Who   // whom it is not for
	Products   []Scope // of which; none is all
	Per        time.Duration
	Rows       int64
	Bytes      int64
	Seconds    float64
	Concurrent int // questions that run now
}

// Label is what the rule is called.
func (r *Rule) Label() string {
	if r.Name != "" {
		return r.Name
	}
	words := []string{r.For.String()}
	for i, s := range r.Products {
		words = append(words, []string{"on", "and"}[min(i, 1)], s.String())
	}
	if r.Per > 0 {
		words = append(words, "per", ShowPer(r.Per))
	}
	return strings.Join(words, " ")
}

// The shortest and the longest span of a rule.
const (
	LeastPer = time.Minute
	MostPer  = 366 * 24 * time.Hour
)

// MaxRules is how many rules a node may have.
const MaxRules = 64

// Validate returns what is wrong with the rule.
func (r *Rule) Validate() error {
	spans := r.Rows != 0 || r.Bytes != 0 || r.Seconds != 0
	switch {
	case r.For == Who{}:
		return errors.New("it does not say whom it is for")
	case r.Rows < 0 || r.Bytes < 0 || !(r.Seconds >= 0) || r.Concurrent < 0:
		return errors.New("a limit is below zero")
	case !spans && r.Concurrent == 0:
		return errors.New("it limits nothing: give rows, bytes, seconds or concurrent")
	case spans && r.Per == 0:
		return errors.New("it does not say per what time, such as per: 1h")
	case r.Per != 0 && (r.Per < LeastPer || r.Per > MostPer):
		return fmt.Errorf("per is out of range: from %s to 366d", LeastPer)
	case len(r.Name) > 63:
		return errors.New("its name is longer than 63 characters")
	}
	return nil
}

// CheckRules returns everything that is wrong with the rules together.
func CheckRules(rules []Rule) error {
	var errs []error
	bad := func(i int, err error) {
		errs = append(errs, weft.Errorf(weft.KindInvalid, "check the configuration", fmt.Sprintf("budgets, rule %d", i+1), "%w", err))
	}
	labels, known := map[string]bool{}, map[string]bool{}
	for i := range rules {
		r := &rules[i]
		if err := r.Validate(); err != nil {
			bad(i, err)
		}
		if labels[r.Label()] && !known[r.identity()] {
			bad(i, fmt.Errorf("another one is called %q too: give it a name", r.Label()))
		}
		if known[r.identity()] {
			bad(i, errors.New("another one is for the same consumers, products and time: put all limits into one"))
		}
		labels[r.Label()], known[r.identity()] = true, true
	}
	if len(rules) > MaxRules {
		bad(MaxRules, fmt.Errorf("there are more than %d rules", MaxRules))
	}
	return errors.Join(errs...)
}

// identity is what makes a rule the same one: with other limits it goes on with what
// was used.
func (r *Rule) identity() string {
	words := []string{r.For.String(), r.Per.String()}
	for _, w := range r.Except {
		words = append(words, "-"+w.String())
	}
	for _, s := range r.Products {
		words = append(words, s.String())
	}
	slices.Sort(words[2:])
	return strings.Join(words, " ")
}

// accounts are those of the consumer under the rule.
func (r *Rule) accounts(c *keyed) []string {
	for _, w := range r.Except {
		if len(w.accounts(c)) > 0 {
			return nil
		}
	}
	return r.For.accounts(c)
}

// counts is what the rule counts of the reads; false where it is about none of them.
func (r *Rule) counts(reads []Read) (p Price, ok bool) {
	for _, x := range reads {
		if len(r.Products) == 0 || slices.ContainsFunc(r.Products, func(s Scope) bool { return s.has(x.Product) }) {
			p.Rows, p.Bytes, ok = p.Rows+x.Rows, p.Bytes+x.Bytes, true
		}
	}
	return p, ok || len(r.Products) == 0
}
