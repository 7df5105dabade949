package node

import (
	"context"

	"weft"
)

// Explain says how q is answered. With analyze it is answered, which is counted, let in
// and written down as every question is.
func (d doorQuestions) Explain(ctx context.Context, q weft.Question, analyze bool) (*weft.Plan, error) {
	q.Subject = withoutNode(q.Subject)
	var err error
	if q.At, err = d.n.fixAt(ctx, q.Subject, q.At); err != nil {
		return nil, err
	}
	if !analyze {
		end, err := d.n.work.begin("explain the question", "")
		if err != nil {
			return nil, err
		}
		defer end()
		return d.n.reader.Explain(ctx, q)
	}
	var plan func() *weft.Plan
	ans, err := d.ask(ctx, q, func(ctx context.Context) (ans *weft.Answer, err error) {
		ans, plan, err = d.n.reader.Analyze(ctx, q)
		return ans, err
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = ans.Close() }()
	for ans.Rows.Next() {
	}
	if err := ans.Rows.Err(); err != nil {
		return nil, err
	}
	return plan(), nil
}
