package node

import (
	"context"

	"weft"
	"weft/serve"
)

// Explain says how q is answered. With analyze it is answered, which is counted, let in
// and written down as every question is.
func (d doorQuestions) Explain(ctx context.Context, q weft.Question, analyze bool) (*weft.Plan, error) {
	q.Subject = withoutNode(q.Subject)
	var err error
	if q.At, err = d.n.fixAt(ctx, q.Subject, q.At); err != nil {
		return nil, err
	}
	if analyze {
		return d.analyze(ctx, q)
	}
	end, err := d.n.work.begin("explain the question", "")
	if err != nil {
		return nil, err
	}
	defer end()
	if q.At, err = d.n.fixAt(ctx, q.Subject, q.At); err != nil {
		return nil, err
	}
	return d.n.reader.Explain(ctx, q)
}

// analyze answers q, and drops its rows.
func (d doorQuestions) analyze(ctx context.Context, q weft.Question) (*weft.Plan, error) {
	var plan func() *weft.Plan
	ans, err := d.ask(ctx, q, func(ctx context.Context) (ans *weft.Answer, err error) {
		q := q
		if q.At, err = d.n.fixAt(ctx, q.Subject, q.At); err == nil {
			ans, plan, err = d.n.reader.Analyze(ctx, q)
		}
		return ans, err
	})
	if err != nil {
		return nil, err
	}
	ans = d.n.warnOfSkew(ctx, q.Subject, ans)
	defer func() { _ = ans.Close() }()
	for ans.Rows.Next() {
	}
	if err := ans.Rows.Err(); err != nil {
		return nil, err
	}
	p := plan()
	p.Warnings = serve.Warnings(ans)
	return p, nil
}
