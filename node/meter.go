package node

import (
	"context"

	"weft"
	"weft/federate"
	"weft/meter"
)

// withoutNode is the subject as it may be where it does not come from another node:
// what says so is set only by what another node has proved.
func withoutNode(s weft.Subject) weft.Subject {
	if _, said := s.Attributes[AttributeNode]; !said {
		return s
	}
	own := map[string]string{}
	for k, v := range s.Attributes {
		if k != AttributeNode {
			own[k] = v
		}
	}
	s.Attributes = own
	return s
}

// ofNode is the subject as another node's.
func ofNode(s weft.Subject, node weft.KeyID) weft.Subject {
	s = withoutNode(s)
	with := map[string]string{AttributeNode: node.String()}
	for k, v := range s.Attributes {
		with[k] = v
	}
	s.Attributes = with
	return s
}

// doorQuestions is the gate for doors of this node: nobody who comes through them is
// another node.
type doorQuestions struct{ questions }

// Query answers q through the gate.
func (d doorQuestions) Query(ctx context.Context, q weft.Question) (*weft.Answer, error) {
	q.Subject = withoutNode(q.Subject)
	return d.questions.Query(ctx, q)
}

// askedKey is where the context of a question has what is counted of it; questions
// without are the node's own and nobody's use.
type askedKey struct{}

func withAsked(ctx context.Context, a *asked) context.Context {
	return context.WithValue(ctx, askedKey{}, a)
}

// openMeter reads what was used before.
func (n *Node) openMeter(ctx context.Context) error {
	n.meter = meter.New(meter.Config{Rules: n.cfg.Budgets, Books: n.books, Env: n.cfg.RunEnv})
	return n.meter.Open(ctx)
}

// admit lets a question run or refuses it; what it used is booked when it has ended.
func (n *Node) admit(ctx context.Context, q weft.Question, _ weft.Cut, e federate.Estimate) (func(federate.Used), error) {
	a, ok := ctx.Value(askedKey{}).(*asked)
	if !ok {
		return nil, nil
	}
	ask, err := n.askOf(q, e)
	if err != nil {
		return nil, err
	}
	var t *meter.Ticket
	if a.own {
		t = n.meter.Book(ask)
	} else if t, err = n.meter.Admit(ask); err != nil {
		return nil, err
	}
	return func(u federate.Used) {
		t.Done(meter.Used{Began: u.Began, Seconds: u.Time.Seconds(), GivenRows: a.rows, GivenBytes: a.bytes})
	}, nil
}

// askOf is a question as the meter sees it.
func (n *Node) askOf(q weft.Question, e federate.Estimate) (meter.Ask, error) {
	s := q.Subject
	a := meter.Ask{
		Consumer: meter.Consumer{Kind: s.Kind, Subject: s.ID, Domains: s.Domains, Purpose: s.Purpose},
		Text:     n.digestText(q.SQL), Reads: make([]meter.Read, len(e.Reads)),
	}
	for i, r := range e.Reads {
		a.Reads[i] = meter.Read(r)
	}
	if text, ok := s.Attributes[AttributeNode]; ok {
		if err := a.Consumer.Node.UnmarshalText([]byte(text)); err != nil {
			return a, err
		}
		a.Consumer.NodeName = n.nameOf(a.Consumer.Node)
	}
	return a, nil
}

// copying is another node that takes bytes of a product to keep a copy of it: no
// question, and counted as one.
func (n *Node) copying(node weft.KeyID, name weft.Name, bytes int64) meter.Ask {
	c := meter.Consumer{Node: node, NodeName: n.nameOf(node), Kind: weft.SubjectService, Subject: node.String(), Purpose: "copy"}
	if n.far != nil {
		c.Domains = n.far.domainsOf(node)
	}
	return meter.Ask{Consumer: c, Reads: []meter.Read{{Product: name, Bytes: bytes}}}
}
